#include "preload/engine_alloc.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <cstdint>
#include <cstdlib>
#include <new>

#include "base/engine_memory.h"
#include "base/raw_syscall.h"
#include "preload/spin_futex.h"

namespace softxe::preload {
namespace {

constexpr std::uint64_t kSlabBytes = 64ULL * 1024;
constexpr std::uint64_t kLargestRegion = 16ull << 30;
constexpr std::uint64_t kSmallestRegion = 16ull << 20;
constexpr std::uint64_t kRegionShare = 8;  ///< of the address space that RLIMIT_AS leaves
constexpr std::uint64_t kSlabsPerStep = 256;
constexpr unsigned kOrders = 21;  // 2^20 slabs are the largest region
constexpr std::size_t kSmallMax = 16ULL * 1024;
constexpr std::uint64_t kEmergencyBytes = 1 << 20;
constexpr std::uint64_t kReturnedBytes = 1 << 20;  ///< blocks this large give their pages back

struct Link {
  Link* next;
};
struct BuddyLink {
  BuddyLink* next;
  BuddyLink* before;
};

/// What a slab is, one byte each. Runs are marked at their first slab.
enum : std::uint8_t { kInside = 0, kFreeRun = 0x40, kUsedRun = 0x80, kSmallSlab = 0xc0 };
constexpr std::uint8_t kKindMask = 0xc0;
constexpr std::uint8_t kNumberMask = 0x3f;

struct SizeClass {
  SpinFutex lock;
  Link* free = nullptr;
  std::byte* next = nullptr;
  std::byte* end = nullptr;
};

struct Heap {
  std::byte* base = nullptr;
  std::uint64_t slabs = 0;
  std::uint64_t slabs_usable = 0;  ///< from the start; the rest is only reserved
  std::uint8_t* kinds = nullptr;
  std::atomic<std::uint64_t> emergency_used{0};
  std::byte* emergency = nullptr;
  SpinFutex runs_lock;
  std::array<BuddyLink*, kOrders> free_runs{};
  std::array<SizeClass, 64> classes{};
};

constinit Heap heap;
/// The region. Never unmapped: the library's own destructors come last.
alignas(EngineMapping) constinit std::byte region_storage[sizeof(EngineMapping)];
EngineMapping& region() { return *std::launder(reinterpret_cast<EngineMapping*>(region_storage)); }
constinit std::atomic<int> heap_state{0};  // 0 not made, 1 being made, 2 ready
thread_local constinit bool inside = false;

[[noreturn]] void die(const char* text, std::size_t length) {
  raw_syscall(SYS_write, 2, text, length);
  std::abort();
}
#define SX_DIE(text) die(text, sizeof text - 1)

// 16-byte steps up to 256, then four steps per power of two. Every class is a multiple of 16.
constexpr unsigned class_of(std::size_t bytes) {
  if (bytes <= 256) return bytes == 0 ? 0 : static_cast<unsigned>((bytes - 1) / 16);
  const unsigned power = static_cast<unsigned>(std::bit_width(bytes - 1)) - 1;  // 8..13
  const unsigned quarter = static_cast<unsigned>((bytes - 1) >> (power - 2)) & 3u;
  return 16 + (power - 8) * 4 + quarter;
}
constexpr std::size_t class_bytes(unsigned index) {
  if (index < 16) return (index + std::size_t{1}) * 16;
  const unsigned power = 8 + (index - 16) / 4;
  return (std::size_t{1} << power) + ((index - 16) % 4 + 1) * (std::size_t{1} << (power - 2));
}
static_assert(class_bytes(class_of(1)) == 16 && class_bytes(class_of(257)) == 320 &&
              class_bytes(class_of(512)) == 512 && class_bytes(class_of(kSmallMax)) == kSmallMax &&
              class_of(kSmallMax) < 64);

std::byte* slab_at(std::uint64_t index) { return heap.base + index * kSlabBytes; }
std::uint64_t index_of(const void* at) {
  return static_cast<std::uint64_t>(static_cast<const std::byte*>(at) - heap.base) / kSlabBytes;
}

void push_run(std::uint64_t slab, unsigned order) {
  auto* run = reinterpret_cast<BuddyLink*>(slab_at(slab));
  run->before = nullptr;
  run->next = heap.free_runs[order];
  if (run->next != nullptr) run->next->before = run;
  heap.free_runs[order] = run;
  heap.kinds[slab] = static_cast<std::uint8_t>(kFreeRun | order);
}

void pull_run(BuddyLink* run, unsigned order) {
  if (run->next != nullptr) run->next->before = run->before;
  (run->before != nullptr ? run->before->next : heap.free_runs[order]) = run->next;
  heap.kinds[index_of(run)] = kInside;
}

/// Slabs up to `target` become usable and free.
void grow_to(std::uint64_t target) {
  if (!region().grow(target * kSlabBytes)) SX_DIE("softxe: no memory for the runtime's heap\n");
  for (std::uint64_t slab = heap.slabs_usable; slab < target;) {
    unsigned order = static_cast<unsigned>(std::countr_zero(slab));
    while (order >= kOrders || slab + (1ull << order) > target) --order;
    push_run(slab, order);
    slab += 1ull << order;
  }
  heap.slabs_usable = target;
}

/// Makes a free run of 2^order slabs come to be. False: the region is used up.
bool grow_for(unsigned order) {
  const std::uint64_t run = 1ull << order;
  const std::uint64_t needed = align_up(heap.slabs_usable, run) + run;
  if (needed > heap.slabs) return false;
  grow_to(std::min(heap.slabs, align_up(needed, kSlabsPerStep)));
  return true;
}

/// Reserves the region: kinds table, emergency area, then the slabs.
void make_heap() {
  std::uint64_t bytes = std::bit_floor(std::min(kLargestRegion, address_space_left() / kRegionShare));
  for (;; bytes /= 2) {
    if (bytes < kSmallestRegion) SX_DIE("softxe: no address space for the runtime's heap\n");
    auto made = EngineMapping::reserve({.bytes = bytes, .alignment = kSlabBytes});
    if (!made) continue;
    ::new (region_storage) EngineMapping(std::move(*made));
    break;
  }
  heap.base = region().data();
  heap.slabs = bytes / kSlabBytes;
  const std::uint64_t reserved = align_up(heap.slabs + kEmergencyBytes, kSlabBytes) / kSlabBytes;
  if (!region().grow(reserved * kSlabBytes)) SX_DIE("softxe: no memory for the runtime's heap\n");
  heap.kinds = reinterpret_cast<std::uint8_t*>(heap.base);
  heap.emergency = heap.base + align_up(heap.slabs, kPageSize);
  heap.slabs_usable = reserved;
}

void need_heap() {
  if (heap_state.load(std::memory_order_acquire) == 2) return;
  int none = 0;
  if (heap_state.compare_exchange_strong(none, 1)) {
    make_heap();
    heap_state.store(2, std::memory_order_release);
  }
  while (heap_state.load(std::memory_order_acquire) != 2) raw_syscall(SYS_sched_yield);
}

std::byte* take_run(unsigned order, std::uint8_t kind) {
  heap.runs_lock.lock();
  unsigned found = order;
  while (found < kOrders && heap.free_runs[found] == nullptr) ++found;
  if (found == kOrders) {
    if (!grow_for(order)) SX_DIE("softxe: the engine's heap is used up\n");
    for (found = order; heap.free_runs[found] == nullptr;) ++found;
  }
  BuddyLink* run = heap.free_runs[found];
  pull_run(run, found);
  const std::uint64_t slab = index_of(run);
  for (; found > order; --found) push_run(slab + (1ull << (found - 1)), found - 1);
  heap.kinds[slab] = kind;
  heap.runs_lock.unlock();
  return slab_at(slab);
}

void give_run(std::uint64_t slab, unsigned order) {
  const std::uint64_t bytes = kSlabBytes << order;
  if (bytes >= kReturnedBytes) raw_syscall(SYS_madvise, slab_at(slab), bytes, MADV_DONTNEED);
  heap.runs_lock.lock();
  for (; order + 1 < kOrders; ++order) {
    const std::uint64_t buddy = slab ^ (1ull << order);
    if (buddy >= heap.slabs || heap.kinds[buddy] != (kFreeRun | order)) break;
    pull_run(reinterpret_cast<BuddyLink*>(slab_at(buddy)), order);
    heap.kinds[slab] = kInside;
    if (buddy < slab) slab = buddy;
  }
  push_run(slab, order);
  heap.runs_lock.unlock();
}

void* take_small(unsigned index) {
  SizeClass& c = heap.classes[index];
  const std::size_t bytes = class_bytes(index);
  c.lock.lock();
  void* found = c.free;
  if (found != nullptr) {
    c.free = c.free->next;
  } else {
    if (c.next == nullptr || c.next + bytes > c.end) {
      c.next = take_run(0, static_cast<std::uint8_t>(kSmallSlab | index));
      c.end = c.next + kSlabBytes;
    }
    found = c.next;
    c.next += bytes;
  }
  c.lock.unlock();
  return found;
}

void* take_emergency(std::size_t bytes, std::size_t alignment) {
  const std::uint64_t padded = align_up(bytes, 16) + alignment;
  const std::uint64_t at = heap.emergency_used.fetch_add(padded);
  if (at + padded > kEmergencyBytes) SX_DIE("softxe: too many nested signal handlers\n");
  const auto address = reinterpret_cast<std::uint64_t>(heap.emergency) + at;
  return reinterpret_cast<void*>(align_up(address, alignment));
}

}  // namespace

void* engine_allocate(std::size_t bytes, std::size_t alignment) {
  if (inside) return take_emergency(bytes, alignment);
  need_heap();
  inside = true;
  void* found = nullptr;
  if (alignment > 16) bytes = std::bit_ceil(bytes < alignment ? alignment : bytes);
  if (bytes <= kSmallMax) {
    found = take_small(class_of(bytes));
  } else {
    const std::uint64_t slabs = align_up(bytes, kSlabBytes) / kSlabBytes;
    const auto order = static_cast<unsigned>(std::bit_width(slabs - 1));
    if (order >= kOrders) SX_DIE("softxe: an absurd allocation\n");
    found = take_run(order, static_cast<std::uint8_t>(kUsedRun | order));
  }
  inside = false;
  return found;
}

void engine_release(void* memory) {
  if (memory == nullptr || inside) return;
  const std::uint64_t slab = index_of(memory);
  if (slab >= heap.slabs) SX_DIE("softxe: released memory that is not the engine's\n");
  const std::uint8_t kind = heap.kinds[slab];
  inside = true;
  if ((kind & kKindMask) == kSmallSlab) {
    SizeClass& c = heap.classes[kind & kNumberMask];
    auto* link = static_cast<Link*>(memory);
    c.lock.lock();
    link->next = c.free;
    c.free = link;
    c.lock.unlock();
  } else if ((kind & kKindMask) == kUsedRun) {
    give_run(slab, kind & kNumberMask);
  }  // else: emergency memory, which stays
  inside = false;
}

HostRange engine_heap() {
  need_heap();
  return HostRange::of(HostVa(reinterpret_cast<std::uint64_t>(heap.base)), heap.slabs * kSlabBytes);
}

// Every lock is held from the first to the second, across fork.
void engine_heap_before_fork() {
  need_heap();
  inside = true;
  for (SizeClass& c : heap.classes) c.lock.hold_over_fork();
  heap.runs_lock.hold_over_fork();
}

void engine_heap_after_fork() {
  heap.runs_lock.release_after_fork();
  for (SizeClass& c : heap.classes) c.lock.release_after_fork();
  inside = false;
}

}  // namespace softxe::preload

using softxe::preload::engine_allocate;
using softxe::preload::engine_release;

void* operator new(std::size_t n) { return engine_allocate(n, 16); }
void* operator new[](std::size_t n) { return engine_allocate(n, 16); }
void* operator new(std::size_t n, const std::nothrow_t&) noexcept { return engine_allocate(n, 16); }
void* operator new[](std::size_t n, const std::nothrow_t&) noexcept { return engine_allocate(n, 16); }
void* operator new(std::size_t n, std::align_val_t a) { return engine_allocate(n, static_cast<std::size_t>(a)); }
void* operator new[](std::size_t n, std::align_val_t a) { return engine_allocate(n, static_cast<std::size_t>(a)); }
void operator delete(void* p) noexcept { engine_release(p); }
void operator delete[](void* p) noexcept { engine_release(p); }
void operator delete(void* p, std::size_t) noexcept { engine_release(p); }
void operator delete[](void* p, std::size_t) noexcept { engine_release(p); }
void operator delete(void* p, const std::nothrow_t&) noexcept { engine_release(p); }
void operator delete[](void* p, const std::nothrow_t&) noexcept { engine_release(p); }
void operator delete(void* p, std::align_val_t) noexcept { engine_release(p); }
void operator delete[](void* p, std::align_val_t) noexcept { engine_release(p); }
void operator delete(void* p, std::size_t, std::align_val_t) noexcept { engine_release(p); }
void operator delete[](void* p, std::size_t, std::align_val_t) noexcept { engine_release(p); }
