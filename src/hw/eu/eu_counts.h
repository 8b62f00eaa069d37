// What kernels did, as counters of a VM (base/counters.h).
#pragma once

#include <cstdint>
#include <utility>

#include "base/counters.h"
#include "hw/eu/eu_dispatch.h"

namespace softxe {

struct EuCounts {
  std::uint64_t kernels = 0;
  EuWork work;
  std::uint64_t faults = 0;  ///< GPU page faults, code included
};

inline void eu_count(const EuCounts& done, CounterSet& counters) {
  const std::pair<Counter, std::uint64_t> counts[] = {{Counter::eu_kernel_count, done.kernels},
                                                      {Counter::eu_group_count, done.work.groups},
                                                      {Counter::eu_thread_count, done.work.threads},
                                                      {Counter::eu_lane_count, done.work.lanes},
                                                      {Counter::eu_instruction_count, done.work.instructions},
                                                      {Counter::eu_send_count, done.work.sends},
                                                      {Counter::eu_image_count, done.work.images},
                                                      {Counter::eu_texel_count, done.work.texels},
                                                      {Counter::eu_fault_count, done.faults}};
  for (const auto& [counter, amount] : counts) {
    if (amount != 0) counters.add(counter, amount);
  }
}

}  // namespace softxe
