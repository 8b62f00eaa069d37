// Device windows of the simulated machine, and what was stored into memory that was nobody's.
#include <sys/mman.h>

#include <algorithm>
#include <cstring>
#include <string>

#include "base/spare_mappings.h"
#include "base/step.h"
#include "host/sim/sim_host_mm.h"

namespace softxe {

namespace {

/// Windows up to this size are poisoned from the start; larger ones would cost real memory.
constexpr std::uint64_t kPrepoisonedWindowBytes = 16ULL * 1024 * 1024;

}  // namespace

Result<std::byte*> SimHostMm::make_window(std::uint64_t bytes) {
  SX_TRY_VOID(SX_STEP("host.sim.window"));
  if (bytes == 0 || !is_aligned(bytes, kPageSize)) return fail(EINVAL, "window is not whole pages");
  std::byte* const base = map_window(bytes);
  if (base == nullptr) return fail(ENOMEM, "no address space for the device window");
  Guard guard(lock_);
  windows_.push_back(Window{base, bytes});
  return base;
}

std::byte* SimHostMm::map_window(std::uint64_t bytes) {
  if (void* spare = SpareMappings::take(SpareMappings::Source::kVram, bytes).start) {
    return static_cast<std::byte*>(spare);
  }
  void* base = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (base == MAP_FAILED) return nullptr;
  if (bytes <= kPrepoisonedWindowBytes) std::memset(base, static_cast<int>(SimFrames::kPoison), bytes);
  return static_cast<std::byte*>(base);
}

void SimHostMm::unmap_window(const Window& window) {
  const std::byte unused = window.bytes <= kPrepoisonedWindowBytes ? SimFrames::kPoison : std::byte{};
  if (SpareMappings::kept()) std::memset(window.base, static_cast<int>(unused), window.used_bytes);
  SpareMappings::give_or_unmap(SpareMappings::Source::kVram, {window.base, window.bytes});
}

std::string SimHostMm::stored_after_free() {
  Guard guard(lock_);
  if (const auto frame = frames_.stored_after_free()) {
    return "frame " + std::to_string(static_cast<std::uint32_t>(*frame)) + " was stored into after it was free";
  }
  if (!homes_.empty()) return {};
  for (const Window& window : windows_) {
    for (std::uint64_t at = 0; at < window.used_bytes; at += kPageSize) {
      const std::byte* page = window.base + at;
      // Never used, or left.
      if (holds_one_byte(page, std::byte{}) || holds_one_byte(page, SimFrames::kPoison)) continue;
      return "VRAM at " + std::to_string(at) + " was stored into after its pages had left";
    }
  }
  return {};
}

void SimHostMm::drop_window(std::byte* window) {
  Guard guard(lock_);
  const auto at = std::find_if(windows_.begin(), windows_.end(), [&](const Window& w) { return w.base == window; });
  if (at == windows_.end()) return;
  unmap_window(*at);
  windows_.erase(at);
}

}  // namespace softxe
