// Device memory that stands in a process's address space: what a migration moves pages into.
//
//   DevmemHeap        one VRAM region of one tile ("pagemap" in the kernel's words); implemented above
//   DevmemAllocation  one VRAM block backing one migration ("allocation" in spec/svm.md 0.1); 1:1 with
//                     the migrated range at creation, indivisible, freed when its last page has left
//
// HostMm knows which page of the process lives where; a heap knows which blocks are taken. An
// allocation belongs to its heap while it has no page, and to its pages (that is, to HostMm) from a
// successful migration until HostMm gives it back through DevmemHeap::release().
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>

#include "base/address.h"
#include "base/event.h"

namespace softxe {

/// Identity of an interconnect group (spec/svm.md 8.1). VMs map VRAM of their own group in place.
enum class OwnerGroup : std::uint32_t { kNobody = 0 };

/// Why pages moved, for counters and reports.
enum class MoveCause : std::uint8_t {
  kGpuFault,
  kPrefetch,
  kCpuFault,
  kEviction,    ///< VRAM pressure
  kRangeEvict,  ///< the driver's "evict range" helper (spec/svm.md 4.8)
  kFork,
  kMapping,  ///< mprotect, unaligned mremap, mlock: the mapping changes under the pages
  kTeardown,
};

constexpr EventCause event_cause(MoveCause cause) {
  switch (cause) {
    case MoveCause::kGpuFault: return EventCause::kGpuFault;
    case MoveCause::kPrefetch: return EventCause::kPrefetch;
    case MoveCause::kCpuFault: return EventCause::kCpuTouch;
    case MoveCause::kEviction: return EventCause::kEviction;
    case MoveCause::kRangeEvict: return EventCause::kRangeEvict;
    case MoveCause::kFork: return EventCause::kFork;
    case MoveCause::kMapping: return EventCause::kMapping;
    case MoveCause::kTeardown: return EventCause::kTeardown;
  }
  return EventCause::kNone;
}

struct DevmemAllocation;

/// Pages of one allocation that have just returned to system memory.
struct MovedHome {
  HostVa at{};  ///< the first one
  std::uint64_t pages = 0;
  std::uint64_t took_ns = 0;
  MoveCause cause = MoveCause::kCpuFault;
};

/// One VRAM region. Thread-safe.
class DevmemHeap {
 public:
  virtual ~DevmemHeap() = default;
  virtual OwnerGroup owner() const = 0;
  /// Bytes of the smallest VRAM page: 4 KiB, or 64 KiB on NEED64K devices.
  virtual std::uint64_t page_bytes() const = 0;
  /// Takes an empty allocation back. Called by HostMm with its lock held (rank HostMm): may take
  /// VramManager and leaves, must not call HostMm, allocate or block.
  virtual void release(DevmemAllocation& allocation) = 0;
  /// Counters only; same context.
  virtual void moved_to_system(const DevmemAllocation& allocation, const MovedHome& moved) = 0;
};

/// A block of VRAM whose pages stand, or will stand, at addresses of the process.
struct DevmemAllocation {
  static constexpr std::uint32_t kPagesMax = 512;  // 2 MiB, the largest SVM range

  DevmemHeap* heap = nullptr;
  DevRange block = DevRange::of(DevPa(0), kPageSize);  ///< contiguous, naturally aligned
  std::byte* frame = nullptr;                          ///< the block in the device window; reachable by the engine only
  /// Bit i: page i of the block holds data of the process. Guarded by the HostMm lock.
  std::array<std::uint64_t, kPagesMax / 64> present{};
  /// Before this time (Clock) CPU faults wait instead of migrating back (spec/svm.md 5.7).
  std::uint64_t residency_deadline_ns = 0;
  void* heap_private = nullptr;  ///< for the heap: its LRU entry
  void* host_private = nullptr;  ///< for HostMm: segments that map this allocation

  std::uint32_t pages() const { return static_cast<std::uint32_t>(block.pages()); }
  bool page_present(std::uint32_t page) const { return (present[page / 64] >> (page % 64)) & 1; }
  void set_present(std::uint32_t first, std::uint64_t count) {
    for_words(first, count, [this](std::uint32_t word, std::uint64_t mask) { present[word] |= mask; });
  }
  void clear_present(std::uint32_t first, std::uint64_t count) {
    for_words(first, count, [this](std::uint32_t word, std::uint64_t mask) { present[word] &= ~mask; });
  }
  std::uint32_t present_count() const {
    std::uint32_t n = 0;
    for (std::uint64_t word : present) n += static_cast<std::uint32_t>(std::popcount(word));
    return n;
  }

 private:
  template <typename Fn>
  static void for_words(std::uint32_t first, std::uint64_t count, Fn fn) {
    for (std::uint64_t page = first; page < first + count;) {
      const std::uint64_t bit = page % 64;
      const std::uint64_t n = std::min(64 - bit, first + count - page);
      fn(static_cast<std::uint32_t>(page / 64), (n == 64 ? ~0ull : (1ull << n) - 1) << bit);
      page += n;
    }
  }
};

}  // namespace softxe
