// Thread start: the registers with which a thread of a walker begins (spec/compute-dispatch.md 6.1).
#pragma once

#include <cstdint>

#include "hw/eu/eu_thread.h"
#include "hw/eu/eu_walker.h"

namespace softxe {

/// Which thread of which group, and on which hardware thread.
struct EuThreadPlace {
  EuTriple group{};          ///< its id, first group included
  std::uint32_t thread = 0;  ///< number in the group
  std::uint16_t hw_id = 0;   ///< 0..511
};

/// Gives `thread` all of its state. What the specification leaves undefined is zero.
void eu_start_thread(EuThread& thread, const EuWalker& walker, const EuThreadPlace& place);

}  // namespace softxe
