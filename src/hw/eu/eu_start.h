// Thread start: the registers with which a thread of a walker begins (spec/compute-dispatch.md 6.1).
#pragma once

#include <array>
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

/// Local ids of one thread's lanes as they stand in registers; the same in every group of a walker.
struct EuIdRows {
  std::array<std::array<std::uint16_t, kEuGrfBytes / 2>, 3> row;
  std::uint32_t count = 0;
};
EuIdRows eu_id_rows(const EuWalker& walker, std::uint32_t thread);

/// Gives `thread` all of its state. What the specification leaves undefined is zero.
void eu_start_thread(EuThread& thread, const EuWalker& walker, const EuThreadPlace& place, const EuIdRows& ids);
inline void eu_start_thread(EuThread& thread, const EuWalker& walker, const EuThreadPlace& place) {
  eu_start_thread(thread, walker, place, eu_id_rows(walker, place.thread));
}

}  // namespace softxe
