// MappingBudget: how many mappings the registration of single blocks may make of the client's few.
//
// The kernel has a mapping of its own for every part that is registered with a userfaultfd and one for every part
// between two, and no process may have more than vm.max_map_count of them: the client's own mprotect() and malloc()
// fail then. So beyond a number of parts a block is only registered together with what lies between it and its
// nearest registered neighbour, and what lies between registered blocks stays registered.
#pragma once

#include <cstdint>

#include "host/live/proc_maps.h"

namespace softxe::live {

/// Guarded by the mm lock of its owner.
class MappingBudget {
 public:
  static constexpr std::size_t kDefaultMax = 65530;  ///< of the kernel

  void init() { init(max_map_count()); }
  void init(std::size_t mappings_max) { mappings_max_ = mappings_max; }

  /// Whether one more part may stand alone beside `parts` others. `maps` is asked now and then.
  bool allows(std::size_t parts, const ProcMaps& maps) {
    if (parts >= mappings_max_ / kShareOfParts) return false;
    if (parts < mappings_max_ / kShareUncounted) return true;
    // Parts that were registered one by one may stay apart although they touch (each has pages of its own for the
    // kernel), and the client has mappings, too.
    if (until_count_ == 0) {
      crowded_ = maps.count() > mappings_max_ / 2;
      until_count_ = kTurnsPerCount;
    }
    --until_count_;
    return !crowded_;
  }

 private:
  static constexpr std::size_t kShareOfParts = 32;  // two mappings each: a sixteenth of all
  static constexpr std::size_t kShareUncounted = 64;
  static constexpr std::uint32_t kTurnsPerCount = 256;

  /// vm.max_map_count, or its default where nobody tells.
  static std::size_t max_map_count();

  std::size_t mappings_max_ = kDefaultMax;
  std::uint32_t until_count_ = 0;
  bool crowded_ = false;
};

}  // namespace softxe::live
