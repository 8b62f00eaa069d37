// Everything softxe counts, once: names, order, and where a number is added up.
//
// The first group carries the kernel's names in the kernel's order (debugfs gtN/stats, spec/svm.md 9.1:
// clients take the first line that contains a name, so the order is part of the contract). The second
// group is softxe's own, for the report. Units: _count events, _us microseconds, _kb KiB, _bytes bytes.
//
// A CounterSet adds to itself and to its parents (VM -> GT -> device), with relaxed atomics: any thread,
// any lock, no allocation. Its words may live in memory shared with the runner of `softxe run`.
//
// What is worth an event is counted by count(): the table for_each_count() says what the event stands for, here and
// for whoever reads the stream.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/event_ring.h"

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
  X(eu_image_count)                      \
  X(eu_texel_count)                      \
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

/// The member of a 4K/64K/2M triple that fits `bytes`; `first` is the 4K one.
constexpr Counter counter_for_size(Counter first, std::uint64_t bytes) {
  auto index = static_cast<std::uint16_t>(first);
  if (bytes > 4096) ++index;
  if (bytes > 65536) ++index;
  return static_cast<Counter>(index);
}

namespace detail {

template <typename Add>
constexpr void count_move_to_vram(const Event& e, Add add) {
  if (e.err != 0) return add(Counter::svm_migrate_to_vram_failed_count, 1);
  add(Counter::svm_migrate_to_vram_count, 1);
  add(Counter::svm_migrate_to_vram_bytes, e.size);
  add(e.cause == EventCause::kPrefetch ? Counter::svm_migrate_to_vram_prefetch_count
                                       : Counter::svm_migrate_to_vram_gpu_fault_count,
      1);
  add(Counter::svm_device_copy_us, word_low(e.word));
  add(counter_for_size(Counter::svm_4K_device_copy_us, e.size), word_low(e.word));
  add(Counter::svm_device_copy_kb, e.size / 1024);
  add(counter_for_size(Counter::svm_4K_device_copy_kb, e.size), e.size / 1024);
}

/// The high half of the word is the size of the block in VRAM, in KiB: the size class is the block's.
template <typename Add>
constexpr void count_move_home(const Event& e, Add add) {
  const std::uint64_t block_bytes = std::uint64_t{word_high(e.word)} * 1024;
  add(Counter::svm_migrate_to_system_count, 1);
  add(Counter::svm_migrate_to_system_bytes, e.size);
  add(Counter::svm_cpu_copy_kb, e.size / 1024);
  add(counter_for_size(Counter::svm_4K_cpu_copy_kb, block_bytes), e.size / 1024);
  add(Counter::svm_cpu_copy_us, word_low(e.word));
  add(counter_for_size(Counter::svm_4K_cpu_copy_us, block_bytes), word_low(e.word));
  switch (e.cause) {
    case EventCause::kCpuTouch:
      add(Counter::svm_cpu_fault_count, 1);
      add(Counter::svm_cpu_fault_bytes, e.size);
      break;
    case EventCause::kEviction:
      add(Counter::svm_eviction_count, 1);
      add(Counter::svm_eviction_bytes, e.size);
      break;
    case EventCause::kFork: add(Counter::svm_fork_evict_count, 1); break;
    case EventCause::kMapping: add(Counter::svm_mapping_evict_count, 1); break;
    default: break;
  }
}

template <typename Add>
constexpr void count_fault(const Event& e, Add add) {
  add(Counter::gpu_fault_count, 1);
  add(e.cause == EventCause::kRead    ? Counter::gpu_fault_read_count
      : e.cause == EventCause::kWrite ? Counter::gpu_fault_write_count
                                      : Counter::gpu_fault_atomic_count,
      1);
}

template <typename Add>
constexpr void count_fault_end(const Event& e, Add add) {
  if (e.err == 0) return;
  add(Counter::gpu_fault_failed_count, 1);
  if (e.cause == EventCause::kPrefetch) add(Counter::invalid_prefetch_pagefault_count, 1);
}

template <typename Add>
constexpr void count_fault_owned(const Event& e, Add add) {
  add(Counter::vma_pagefault_count, 1);
  add(Counter::vma_pagefault_kb, e.size / 1024);
}

template <typename Add>
constexpr void count_tlb(const Event& e, Add add) {
  add(Counter::tlb_inval_count, word_low(e.word));
  add(Counter::pte_zap_count, word_high(e.word));
}

template <typename Add>
constexpr void count_evicted_bo(const Event& e, Add add) {
  add(Counter::bo_eviction_count, 1);
  add(Counter::bo_eviction_bytes, e.size);
}

}  // namespace detail

/// Calls `add(Counter, amount)` for everything the event stands for.
template <typename Add>
constexpr void for_each_count(const Event& e, Add add) {
  using C = Counter;
  switch (e.kind) {
    case EventKind::kBind: return add(C::vm_bind_count, 1);
    case EventKind::kAdvice: return add(C::madvise_count, 1);
    case EventKind::kAdviceZap: return add(C::madvise_zap_count, e.word);
    case EventKind::kExec: return add(C::exec_count, 1);
    case EventKind::kKernelFailed: return add(C::eu_kernel_failed_count, 1);
    case EventKind::kQueueMode:
      return add(e.cause == EventCause::kSuspend ? C::hw_engine_group_suspend_lr_queue_count
                 : e.cause == EventCause::kSkip  ? C::hw_engine_group_skip_lr_queue_count
                                                 : C::hw_engine_group_wait_dma_queue_count,
                 1);
    case EventKind::kBan: return add(C::exec_banned_count, 1);
    case EventKind::kFaultBegin: return detail::count_fault(e, add);
    case EventKind::kFaultLook: return add(C::svm_pagefault_count, 1);
    case EventKind::kFaultOwned: return detail::count_fault_owned(e, add);
    case EventKind::kFaultRange: return add(counter_for_size(C::svm_4K_pagefault_count, e.size), 1);
    case EventKind::kFaultValid: return add(counter_for_size(C::svm_4K_valid_pagefault_count, e.size), 1);
    case EventKind::kFaultMove: return add(counter_for_size(C::svm_4K_migrate_count, e.size), 1);
    case EventKind::kFaultRetry: return add(C::svm_fault_retry_count, 1);
    case EventKind::kFaultAgain: return add(C::svm_fault_again_count, 1);
    case EventKind::kFaultEnd: return detail::count_fault_end(e, add);
    case EventKind::kMigrate: return detail::count_move_to_vram(e, add);
    case EventKind::kHome: return detail::count_move_home(e, add);
    case EventKind::kEvictRange: return add(C::svm_range_evict_count, 1);
    case EventKind::kEvictBo: return detail::count_evicted_bo(e, add);
    case EventKind::kUnmap: return add(C::svm_unmap_event_count, 1);
    case EventKind::kInvalidate: return add(C::svm_invalidate_event_count, 1);
    case EventKind::kZap: return add(C::svm_tlb_inval_count, e.word);
    case EventKind::kTlb: return detail::count_tlb(e, add);
    case EventKind::kRangeCreate: return add(C::svm_range_created_count, 1);
    case EventKind::kRangeCollect: return add(C::svm_range_collected_count, 1);
    case EventKind::kRangeRemove: return add(C::svm_range_removed_count, 1);
    case EventKind::kReset: return add(C::svm_attribute_reset_count, 1);
    case EventKind::kSplit: return add(C::vma_split_count, 1);
    case EventKind::kMerge: return add(C::vma_merge_count, 1);
    default: return;
  }
}

/// False: the counter is a duration that no event has, or an amount of work inside kernels; its sum is in the report
/// alone.
constexpr bool is_carried_by_events(Counter counter) {
  using C = Counter;
  const std::string_view name = kCounterNames[static_cast<std::size_t>(counter)];
  const bool copies = name.find("_copy_us") != std::string_view::npos;
  if (name.ends_with("_us") && !copies) return false;
  return counter < C::eu_kernel_count || counter == C::eu_kernel_failed_count;
}

/// Whose counts these are, as events say it.
struct CounterOwner {
  std::uint8_t device = 0;
  std::uint32_t asid = 0;  ///< 0: of the whole device
};

/// Adds to its own words and to its parents'. Does not own `words` or `parent`; both outlive it.
class CounterSet {
 public:
  explicit CounterSet(CounterWords& words, CounterSet* parent = nullptr, CounterOwner owner = {})
      : words_(words), parent_(parent), owner_(owner) {}

  /// For what no event carries.
  void add(Counter counter, std::uint64_t amount = 1) {
    for (CounterSet* set = this; set != nullptr; set = set->parent_) {
      set->words_.value[static_cast<std::size_t>(counter)].fetch_add(amount, std::memory_order_relaxed);
    }
  }
  /// Counts what the event stands for, and records it as this owner's. Its number, for an EventScope.
  std::uint64_t count(Event event) {
    for_each_count(event, [this](Counter counter, std::uint64_t amount) {
      if (amount != 0) add(counter, amount);
    });
    if (__builtin_expect(!events_on(), 1)) return kNoEvent;
    event.device = owner_.device;
    if (owner_.asid != 0) event.asid = owner_.asid;
    return emit(event);
  }
  std::uint64_t get(Counter counter) const {
    return words_.value[static_cast<std::size_t>(counter)].load(std::memory_order_relaxed);
  }

 private:
  CounterWords& words_;
  CounterSet* parent_;
  const CounterOwner owner_;
};

}  // namespace softxe
