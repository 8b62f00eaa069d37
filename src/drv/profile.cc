#include "drv/profile.h"

#include <array>

namespace softxe {
namespace {

constexpr const DeviceProfile* kAll[] = {&kProfileBmg, &kProfilePvc, &kProfileLnl};

/// Fields of one Xe2 entry in the order debugfs prints them.
constexpr PatEntry xe2(unsigned no_promote, unsigned compressed, unsigned l3_class, unsigned l3_policy,
                       unsigned l4_policy, PatCoherency coherency) {
  PatEntry e;
  e.state = compressed != 0 ? PatState::kCompressed : PatState::kPlain;
  e.coherency = coherency;
  e.no_promote = static_cast<std::uint8_t>(no_promote);
  e.l3_class = static_cast<std::uint8_t>(l3_class);
  e.l3_policy = static_cast<std::uint8_t>(l3_policy);
  e.l4_policy = static_cast<std::uint8_t>(l4_policy);
  e.value = no_promote << 10 | compressed << 9 | l3_class << 6 | l3_policy << 4 | l4_policy << 2 |
            static_cast<unsigned>(coherency);
  return e;
}

// Cache policies of the two levels.
constexpr unsigned kWb = 0;
constexpr unsigned kWbTransient = 1;
constexpr unsigned kWt = 1;
constexpr unsigned kUc = 3;
constexpr auto kNo = PatCoherency::kNone;
constexpr auto k1Way = PatCoherency::kOneWay;
constexpr auto k2Way = PatCoherency::kTwoWay;

constexpr std::array<PatEntry, 32> make_xe2_table() {
  std::array<PatEntry, 32> t{};
  t[0] = xe2(0, 0, 0, kWb, kUc, kNo);
  t[1] = xe2(0, 0, 0, kWb, kUc, k1Way);
  t[2] = xe2(0, 0, 0, kWb, kUc, k2Way);
  t[3] = xe2(0, 0, 0, kUc, kUc, kNo);
  t[4] = xe2(0, 0, 0, kUc, kWb, k1Way);
  t[5] = xe2(0, 0, 0, kUc, kUc, k1Way);
  t[6] = xe2(1, 0, 0, kWbTransient, kUc, kNo);
  t[7] = xe2(0, 0, 0, kUc, kWb, k2Way);
  t[8] = xe2(0, 0, 0, kUc, kWb, kNo);
  t[9] = xe2(0, 1, 0, kWb, kUc, kNo);
  t[10] = xe2(0, 1, 0, kUc, kWb, kNo);
  t[11] = xe2(1, 1, 0, kWbTransient, kUc, kNo);
  t[12] = xe2(0, 1, 0, kUc, kUc, kNo);
  t[13] = xe2(0, 0, 0, kWb, kWb, kNo);
  t[14] = xe2(0, 1, 0, kWb, kWb, kNo);
  t[15] = xe2(1, 1, 0, kWbTransient, kWt, kNo);
  // 16..19 stay reserved. 20..31: cached entries once per further L3 class of service.
  for (unsigned cls = 1; cls <= 3; ++cls) {
    const unsigned base = 16 + 4 * cls;
    t[base + 0] = xe2(0, 0, cls, kWb, kUc, kNo);
    t[base + 1] = xe2(0, 1, cls, kWb, kUc, kNo);
    t[base + 2] = xe2(0, 0, cls, kWb, kUc, k1Way);
    t[base + 3] = xe2(0, 0, cls, kWb, kUc, k2Way);
  }
  return t;
}

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

constinit const std::array<PatEntry, 32> kXe2Pat = make_xe2_table();

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
