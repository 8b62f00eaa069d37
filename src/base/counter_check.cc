#include "base/counter_check.h"

#include <fmt/format.h>

#include <initializer_list>
#include <vector>

namespace softxe {

namespace {

using C = Counter;
enum class Relation : std::uint8_t { kEqual, kAtMost };

/// The sum on the left, times `unit`, is (at most) the sum on the right.
struct Identity {
  std::vector<Counter> left;
  Relation relation;
  std::vector<Counter> right;
  std::uint64_t unit = 1;
};

#define SX_BY_SIZE_(before, after) C::before##4K_##after, C::before##64K_##after, C::before##2M_##after

const std::vector<Identity>& identities() {
  static const std::vector<Identity> all = {
      {{C::gpu_fault_read_count, C::gpu_fault_write_count, C::gpu_fault_atomic_count},
       Relation::kEqual,
       {C::gpu_fault_count}},
      {{SX_BY_SIZE_(svm_, device_copy_kb)}, Relation::kEqual, {C::svm_device_copy_kb}},
      {{SX_BY_SIZE_(svm_, device_copy_us)}, Relation::kEqual, {C::svm_device_copy_us}},
      {{SX_BY_SIZE_(svm_, cpu_copy_kb)}, Relation::kEqual, {C::svm_cpu_copy_kb}},
      {{SX_BY_SIZE_(svm_, cpu_copy_us)}, Relation::kEqual, {C::svm_cpu_copy_us}},
      {{C::svm_device_copy_kb}, Relation::kEqual, {C::svm_migrate_to_vram_bytes}, 1024},
      {{C::svm_cpu_copy_kb}, Relation::kEqual, {C::svm_migrate_to_system_bytes}, 1024},
      {{C::svm_migrate_to_vram_gpu_fault_count, C::svm_migrate_to_vram_prefetch_count},
       Relation::kEqual,
       {C::svm_migrate_to_vram_count}},
      // Each move is of at least one page, and of at most 2M.
      {{C::svm_migrate_to_vram_count}, Relation::kAtMost, {C::svm_migrate_to_vram_bytes}, 4096},
      {{C::svm_migrate_to_system_count}, Relation::kAtMost, {C::svm_migrate_to_system_bytes}, 4096},
      {{C::svm_cpu_fault_count, C::svm_eviction_count, C::svm_fork_evict_count, C::svm_mapping_evict_count},
       Relation::kAtMost,
       {C::svm_migrate_to_system_count}},
      {{C::svm_cpu_fault_bytes, C::svm_eviction_bytes}, Relation::kAtMost, {C::svm_migrate_to_system_bytes}},
      {{C::svm_4K_valid_pagefault_count}, Relation::kAtMost, {C::svm_4K_pagefault_count}},
      {{C::svm_64K_valid_pagefault_count}, Relation::kAtMost, {C::svm_64K_pagefault_count}},
      {{C::svm_2M_valid_pagefault_count}, Relation::kAtMost, {C::svm_2M_pagefault_count}},
      {{C::svm_fault_again_count}, Relation::kAtMost, {C::svm_pagefault_count}},
      {{C::svm_range_collected_count, C::svm_range_removed_count}, Relation::kAtMost, {C::svm_range_created_count}},
      {{C::eu_fault_count}, Relation::kAtMost, {C::gpu_fault_count}},
      {{C::eu_kernel_failed_count}, Relation::kAtMost, {C::eu_kernel_count}},
      {{C::eu_group_count}, Relation::kAtMost, {C::eu_thread_count}},
      {{C::eu_send_count}, Relation::kAtMost, {C::eu_instruction_count}},
      {{C::eu_image_count}, Relation::kAtMost, {C::eu_send_count}},
  };
  return all;
}

#undef SX_BY_SIZE_

std::string names(const std::vector<Counter>& counters) {
  std::string text;
  for (Counter c : counters) {
    if (!text.empty()) text += " + ";
    text += kCounterNames[static_cast<std::size_t>(c)];
  }
  return text;
}

}  // namespace

std::string broken_identity(const CounterReader& value, std::optional<std::uint64_t> live_ranges) {
  auto sum = [&](const std::vector<Counter>& counters) {
    std::uint64_t total = 0;
    for (Counter c : counters) total += value(c);
    return total;
  };
  for (const Identity& identity : identities()) {
    const std::uint64_t left = sum(identity.left) * identity.unit;
    const std::uint64_t right = sum(identity.right);
    const bool holds = identity.relation == Relation::kEqual ? left == right : left <= right;
    if (holds) continue;
    return fmt::format("({}) * {} = {}, {} = {}", names(identity.left), identity.unit, left, names(identity.right),
                       right);
  }
  if (!live_ranges) return {};
  const std::uint64_t gone = value(C::svm_range_collected_count) + value(C::svm_range_removed_count);
  if (value(C::svm_range_created_count) == gone + *live_ranges) return {};
  return fmt::format("{} ranges created, {} collected or removed, {} live", value(C::svm_range_created_count), gone,
                     *live_ranges);
}

}  // namespace softxe
