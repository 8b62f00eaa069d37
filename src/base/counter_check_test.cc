#include "base/counter_check.h"

#include <gtest/gtest.h>

#include <map>

namespace softxe {
namespace {

/// Counters of a run in which everything happened once.
std::map<Counter, std::uint64_t> good() {
  using C = Counter;
  return {{C::gpu_fault_count, 3},
          {C::gpu_fault_read_count, 1},
          {C::gpu_fault_write_count, 1},
          {C::gpu_fault_atomic_count, 1},
          {C::svm_device_copy_kb, 2048},
          {C::svm_2M_device_copy_kb, 2048},
          {C::svm_cpu_copy_kb, 64},
          {C::svm_64K_cpu_copy_kb, 64},
          {C::svm_migrate_to_vram_bytes, 2048 * 1024},
          {C::svm_migrate_to_system_bytes, 64 * 1024},
          {C::svm_migrate_to_vram_count, 1},
          {C::svm_migrate_to_vram_prefetch_count, 1},
          {C::svm_migrate_to_system_count, 1},
          {C::svm_cpu_fault_count, 1},
          {C::svm_cpu_fault_bytes, 64 * 1024},
          {C::svm_pagefault_count, 2},
          {C::svm_2M_pagefault_count, 2},
          {C::svm_2M_valid_pagefault_count, 1},
          {C::svm_range_created_count, 3},
          {C::svm_range_collected_count, 1},
          {C::svm_range_removed_count, 1}};
}

std::string check(const std::map<Counter, std::uint64_t>& values, std::optional<std::uint64_t> live = 1) {
  return broken_identity([&](Counter c) { return values.contains(c) ? values.at(c) : 0; }, live);
}

TEST(CounterIdentities, HoldOfNothingAndOfAGoodRun) {
  EXPECT_EQ(check({}, 0), "");
  EXPECT_EQ(check(good()), "");
  EXPECT_EQ(check(good(), std::nullopt), "");
}

TEST(CounterIdentities, OneCountTooManyIsNoticed) {
  using C = Counter;
  for (Counter c : {C::gpu_fault_count, C::gpu_fault_atomic_count, C::svm_device_copy_kb, C::svm_4K_device_copy_kb,
                    C::svm_cpu_copy_us, C::svm_migrate_to_vram_bytes, C::svm_migrate_to_vram_gpu_fault_count,
                    C::svm_fork_evict_count, C::svm_eviction_bytes, C::svm_4K_valid_pagefault_count,
                    C::svm_range_created_count, C::svm_range_removed_count}) {
    auto values = good();
    values[c] += 1;
    EXPECT_NE(check(values), "") << kCounterNames[static_cast<std::size_t>(c)];
  }
  EXPECT_NE(check(good(), 2), "") << "a range too many";
}

}  // namespace
}  // namespace softxe
