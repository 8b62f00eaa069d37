// Everything softxe counts, once: names, order, and where a number is added up.
//
// The first group carries the kernel's names in the kernel's order (debugfs gtN/stats, spec/svm.md 9.1:
// clients take the first line that contains a name, so the order is part of the contract). The second
// group is softxe's own, for the report. Units: _count events, _us microseconds, _kb KiB, _bytes bytes.
//
// A CounterSet adds to itself and to its parents (VM -> GT -> device), with relaxed atomics: any thread,
// any lock, no allocation. Its words may live in memory shared with the runner of `softxe run`.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

namespace softxe {

#define SX_COUNTERS_BY_SIZE_(X, before, after) X(before##4K_##after) X(before##64K_##after) X(before##2M_##after)

/// Kernel statistics, in file order.
#define SX_KERNEL_COUNTERS(X)                          \
  X(svm_pagefault_count)                               \
  X(tlb_inval_count)                                   \
  X(svm_tlb_inval_count)                               \
  X(svm_tlb_inval_us)                                  \
  X(vma_pagefault_count)                               \
  X(vma_pagefault_kb)                                  \
  X(invalid_prefetch_pagefault_count)                  \
  SX_COUNTERS_BY_SIZE_(X, svm_, pagefault_count)       \
  SX_COUNTERS_BY_SIZE_(X, svm_, valid_pagefault_count) \
  SX_COUNTERS_BY_SIZE_(X, svm_, pagefault_us)          \
  SX_COUNTERS_BY_SIZE_(X, svm_, migrate_count)         \
  SX_COUNTERS_BY_SIZE_(X, svm_, migrate_us)            \
  X(svm_device_copy_us)                                \
  SX_COUNTERS_BY_SIZE_(X, svm_, device_copy_us)        \
  X(svm_cpu_copy_us)                                   \
  SX_COUNTERS_BY_SIZE_(X, svm_, cpu_copy_us)           \
  X(svm_device_copy_kb)                                \
  SX_COUNTERS_BY_SIZE_(X, svm_, device_copy_kb)        \
  X(svm_cpu_copy_kb)                                   \
  SX_COUNTERS_BY_SIZE_(X, svm_, cpu_copy_kb)           \
  SX_COUNTERS_BY_SIZE_(X, svm_, get_pages_us)          \
  SX_COUNTERS_BY_SIZE_(X, svm_, bind_us)               \
  X(hw_engine_group_suspend_lr_queue_count)            \
  X(hw_engine_group_skip_lr_queue_count)               \
  X(hw_engine_group_wait_dma_queue_count)              \
  X(hw_engine_group_suspend_lr_queue_us)               \
  X(hw_engine_group_wait_dma_queue_us)                 \
  X(prl_4k_entry_count)                                \
  X(prl_64k_entry_count)                               \
  X(prl_2m_entry_count)                                \
  X(prl_issued_count)                                  \
  X(prl_aborted_count)

/// softxe's own numbers, for the report.
#define SX_REPORT_COUNTERS(X)            \
  X(gpu_fault_count)                     \
  X(gpu_fault_read_count)                \
  X(gpu_fault_write_count)               \
  X(gpu_fault_atomic_count)              \
  X(gpu_fault_failed_count)              \
  X(svm_fault_again_count)               \
  X(svm_fault_retry_count)               \
  X(svm_range_created_count)             \
  X(svm_range_collected_count)           \
  X(svm_range_removed_count)             \
  X(svm_unmap_event_count)               \
  X(svm_invalidate_event_count)          \
  X(svm_attribute_reset_count)           \
  X(vma_split_count)                     \
  X(vma_merge_count)                     \
  X(pte_zap_count)                       \
  X(svm_migrate_to_vram_count)           \
  X(svm_migrate_to_vram_bytes)           \
  X(svm_migrate_to_vram_gpu_fault_count) \
  X(svm_migrate_to_vram_prefetch_count)  \
  X(svm_migrate_to_vram_failed_count)    \
  X(svm_migrate_to_system_count)         \
  X(svm_migrate_to_system_bytes)         \
  X(svm_cpu_fault_count)                 \
  X(svm_cpu_fault_bytes)                 \
  X(svm_eviction_count)                  \
  X(svm_eviction_bytes)                  \
  X(svm_range_evict_count)               \
  X(svm_fork_evict_count)                \
  X(svm_mapping_evict_count)             \
  X(bo_eviction_count)                   \
  X(bo_eviction_bytes)                   \
  X(madvise_zap_count)                   \
  X(madvise_count)                       \
  X(vm_bind_count)                       \
  X(exec_count)                          \
  X(exec_banned_count)                   \
  X(eu_kernel_count)                     \
  X(eu_kernel_failed_count)              \
  X(eu_group_count)                      \
  X(eu_thread_count)                     \
  X(eu_lane_count)                       \
  X(eu_instruction_count)                \
  X(eu_send_count)                       \
  X(eu_fault_count)

enum class Counter : std::uint16_t {
#define SX_COUNTER_ENUM_(name) name,
  SX_KERNEL_COUNTERS(SX_COUNTER_ENUM_) SX_REPORT_COUNTERS(SX_COUNTER_ENUM_)
#undef SX_COUNTER_ENUM_
      kEnd
};

inline constexpr std::size_t kCounterCount = static_cast<std::size_t>(Counter::kEnd);

#define SX_COUNTER_ONE_(name) +1
inline constexpr std::size_t kKernelCounterCount = 0 SX_KERNEL_COUNTERS(SX_COUNTER_ONE_);
#undef SX_COUNTER_ONE_

inline constexpr std::array<const char*, kCounterCount> kCounterNames = {
#define SX_COUNTER_NAME_(name) #name,
    SX_KERNEL_COUNTERS(SX_COUNTER_NAME_) SX_REPORT_COUNTERS(SX_COUNTER_NAME_)
#undef SX_COUNTER_NAME_
};

/// The words themselves: plain memory, zero is a valid start, may be shared between processes.
struct CounterWords {
  std::array<std::atomic<std::uint64_t>, kCounterCount> value{};
};

/// Adds to its own words and to its parents'. Does not own `words` or `parent`; both outlive it.
class CounterSet {
 public:
  explicit CounterSet(CounterWords& words, CounterSet* parent = nullptr) : words_(words), parent_(parent) {}

  void add(Counter counter, std::uint64_t amount = 1) {
    for (CounterSet* set = this; set != nullptr; set = set->parent_) {
      set->words_.value[static_cast<std::size_t>(counter)].fetch_add(amount, std::memory_order_relaxed);
    }
  }
  std::uint64_t get(Counter counter) const {
    return words_.value[static_cast<std::size_t>(counter)].load(std::memory_order_relaxed);
  }

 private:
  CounterWords& words_;
  CounterSet* parent_;
};

/// The member of a 4K/64K/2M triple that fits `bytes`; `first` is the 4K one.
constexpr Counter counter_for_size(Counter first, std::uint64_t bytes) {
  auto index = static_cast<std::uint16_t>(first);
  if (bytes > 4096) ++index;
  if (bytes > 65536) ++index;
  return static_cast<Counter>(index);
}

}  // namespace softxe
