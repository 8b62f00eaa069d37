#include "drv/profile.h"

namespace softxe {
namespace {

constexpr const DeviceProfile* kAll[] = {&kProfileBmg, &kProfilePvc, &kProfileLnl, &kProfileCri, &kProfileNvlp};

}  // namespace

const char* engine_class_name(EngineClass cls) {
  switch (cls) {
    case EngineClass::kRender: return "rcs";
    case EngineClass::kCopy: return "bcs";
    case EngineClass::kVideoDecode: return "vcs";
    case EngineClass::kVideoEnhance: return "vecs";
    case EngineClass::kCompute: return "ccs";
    case EngineClass::kVmBind: return "bind";
  }
  return "unknown";
}

std::span<const DeviceProfile* const> all_profiles() { return kAll; }

Result<const DeviceProfile*> find_profile(std::string_view name) {
  for (const DeviceProfile* profile : kAll)
    if (name == profile->name) return profile;
  return fail(EINVAL, "no device profile of that name");
}

DeviceConfig default_config(const DeviceProfile& profile, std::uint32_t index) {
  return {.profile = &profile,
          .index = index,
          .vram_bytes = profile.default_vram_bytes,
          .visible_bytes = profile.default_vram_bytes};
}

}  // namespace softxe
