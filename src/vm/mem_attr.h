// Memory attributes of a VMA: what MADVISE sets and the collector puts back (spec/vm.md 4.3).
#pragma once

#include <cstdint>
#include <memory>

namespace softxe {

class Pagemap;  // one VRAM region of one tile, svm/pagemap.h; here only held and compared

enum class AtomicAccess : std::uint8_t { kUndefined = 0, kDevice = 1, kGlobal = 2, kCpu = 3 };
enum class MigrationPolicy : std::uint16_t { kAllPages = 0, kOnlySystemPages = 1 };
enum class PurgeableState : std::uint8_t { kWillNeed, kDontNeed, kPurged };

/// Index into the device's PAT table; validity is checked by the ABI decoder.
enum class PatIndex : std::uint16_t {};

inline constexpr std::int32_t kPreferDefaultDevice = 0;
inline constexpr std::int32_t kPreferDefaultSystem = -1;

/// Where pages of a mirror VMA should live. `devmem_fd` is reported as the client gave it; `pagemap` is
/// what it meant when MADVISE resolved it, and keeps that VRAM region alive.
struct PreferredLocation {
  std::int32_t devmem_fd = kPreferDefaultDevice;
  MigrationPolicy policy = MigrationPolicy::kAllPages;
  std::shared_ptr<Pagemap> pagemap;

  friend bool operator==(const PreferredLocation&, const PreferredLocation&) = default;
};

struct MemAttr {
  PreferredLocation preferred;
  AtomicAccess atomic = AtomicAccess::kUndefined;
  PatIndex pat{};
  PatIndex default_pat{};  ///< the bind's PAT; only MAP changes it (invariant 11)
  PurgeableState purgeable = PurgeableState::kWillNeed;

  static MemAttr defaults(PatIndex bind_pat) {
    MemAttr attr;
    attr.pat = bind_pat;
    attr.default_pat = bind_pat;
    return attr;
  }
  /// The predicate of spec/vm.md 4.3: purgeable state and the resolved pagemap are not part of it.
  bool is_default() const {
    return atomic == AtomicAccess::kUndefined && pat == default_pat && preferred.devmem_fd == kPreferDefaultDevice &&
           preferred.policy == MigrationPolicy::kAllPages;
  }
  /// For events: descriptor, then atomic access, policy, PAT and the bind's PAT, a byte each (docs/TRACE.md).
  std::uint64_t as_word() const {
    const std::uint64_t bytes = static_cast<std::uint64_t>(atomic) | static_cast<std::uint64_t>(preferred.policy) << 8 |
                                (static_cast<std::uint64_t>(pat) & 0xff) << 16 |
                                (static_cast<std::uint64_t>(default_pat) & 0xff) << 24;
    return static_cast<std::uint32_t>(preferred.devmem_fd) | bytes << 32;
  }
  /// Back to what MAP gave, keeping the bind's PAT (quirk Q11 is fixed here).
  void reset() { *this = defaults(default_pat); }
};

}  // namespace softxe
