// HostMm: the one seam between the engine and the mirrored process's memory.
//
// It plays the part of the kernel's core mm: it knows the process's mappings, which page stands in
// system memory and which in VRAM, it moves pages between the two, serves CPU touches of VRAM pages,
// and tells interval notifiers BEFORE anything changes (spec/svm.md 2, 11; spec/live-memory.md 7).
//   LiveHostMm  the real process (userfaultfd)              host/live/
//   SimHostMm   a simulated process with page contents      host/sim/
// Everything above runs on both.
//
// Locking. HostMm has one lock of rank kHostMm ("the mm lock"). Its methods take it themselves; no
// caller holds a lock of rank >= kHostMm. Notifier callbacks and DevmemHeap calls are made with it held.
// Order given to notifiers: callback returns -> mapping or home changes -> event ends. While an event
// is in progress the mm lock is held, so read_begin() waits for it.
//
// Contract (what makes "real" real):
//   * when munmap/mremap/mprotect/madvise/fork returns to the process, every notifier that intersects
//     has been called, and no page of the old state is reachable by a GPU that honoured the callback;
//   * a page is in exactly one place; while it is in VRAM a CPU access at its address faults and waits;
//   * no data is lost by any failure: a refused migration leaves every page where it was.
#pragma once

#include <atomic>
#include <boost/intrusive/set.hpp>
#include <cstdint>
#include <utility>

#include "base/address.h"
#include "base/clock.h"
#include "base/result.h"
#include "host/devmem.h"
#include "host/page_homes.h"

namespace softxe {

/// Memfds of buffer objects carry this name, so that a client's mapping of one can be told from its own
/// shared memory (spec/svm.md 1.3, rule 6).
inline constexpr const char* kBoMemfdName = "softxe-bo";
inline constexpr const char* kBoMappingName = "/memfd:softxe-bo";

/// What happened to CPU addresses (spec/svm.md 2.2). kUnmap kills ranges, the others invalidate them.
enum class HostEvent : std::uint8_t {
  kUnmap,
  kProtect,  ///< mprotect, fork's write protection
  kClear,    ///< DONTNEED, FREE, REMOVE, reclaim
  kMigrate,  ///< a page changes its home, by anyone's doing
  kRelease,  ///< the address space goes away
};

constexpr EventCause event_cause(HostEvent event) {
  switch (event) {
    case HostEvent::kUnmap: return EventCause::kNone;  // has a kind of its own
    case HostEvent::kProtect: return EventCause::kProtect;
    case HostEvent::kClear: return EventCause::kClear;
    case HostEvent::kMigrate: return EventCause::kMigration;
    case HostEvent::kRelease: return EventCause::kRelease;
  }
  return EventCause::kNone;
}

/// Receiver of CPU-side events for a fixed window of addresses (kernel: mmu interval notifier).
class IntervalNotifier
    : public boost::intrusive::set_base_hook<boost::intrusive::link_mode<boost::intrusive::safe_link>> {
 public:
  explicit IntervalNotifier(HostRange window) : window_(window) {}
  virtual ~IntervalNotifier() = default;
  IntervalNotifier(const IntervalNotifier&) = delete;
  IntervalNotifier& operator=(const IntervalNotifier&) = delete;

  HostRange window() const { return window_; }

  /// `range` is the event clamped to the window. Called with the mm lock held, on the thread that
  /// causes the event (maybe a client thread inside its allocator) or on the CPU-fault thread.
  /// On return no GPU may reach the pages through an old translation. Must not allocate, call HostMm,
  /// take a lock below rank kSvmNotifier, or touch client memory.
  virtual void invalidate(HostRange range, HostEvent kind) = 0;

  /// Moves at every event that intersects the window, before invalidate() is called.
  /// Compare under the lock that invalidate() takes: equal to read_begin() means nothing happened.
  std::uint64_t sequence() const { return sequence_.load(std::memory_order_acquire); }

  /// For HostMm implementations only.
  void advance_sequence() { sequence_.fetch_add(1, std::memory_order_acq_rel); }

  /// Of equal ones the first to be watched comes first: addresses differ from run to run.
  friend bool operator<(const IntervalNotifier& a, const IntervalNotifier& b) {
    return a.window_.start() < b.window_.start();
  }

 private:
  HostRange window_;
  std::atomic<std::uint64_t> sequence_{1};
};

/// One mapping of the process, as a reader of /proc/self/maps sees it, with softxe's own splits undone
/// (neighbours that differ only in our registration are one mapping).
struct CpuVma {
  enum class Kind : std::uint8_t {
    kAnonPrivate,  ///< the only kind that can migrate
    kShmem,        ///< MAP_SHARED|MAP_ANONYMOUS, memfd
    kFile,         ///< disk file, private or shared
    kHugetlb,
    kDevice,   ///< device or BO mapping: GPU faults on it are -EIO
    kSpecial,  ///< vdso, vvar, guard areas of the kernel
  };
  HostRange range;
  Kind kind;
  bool readable;
  bool writable;
};

struct CollectRequest {
  enum class Intent : std::uint8_t { kRead, kWrite };
  Intent intent = Intent::kWrite;  ///< kWrite also breaks COW and replaces the zero page
  /// VRAM pages of this group stay where they are; all others come home first. kNobody: all do.
  OwnerGroup owner = OwnerGroup::kNobody;
};

enum class Residency : std::uint8_t {
  kHonour,  ///< wait for the residency deadline, as a CPU touch does
  kIgnore,  ///< VRAM eviction, fork, mapping changes
};

/// What a migration to VRAM did.
struct MigrateCounts {
  std::uint64_t pages_moved = 0;
  std::uint64_t pages_zero_filled = 0;  ///< holes and zero pages
};

class HostMm {
 public:
  virtual ~HostMm() = default;

  // --- looking ----------------------------------------------------------------------------------

  /// The mapping that covers `va`. ENOENT: nothing is mapped there. EFAULT: the process is gone.
  Result<CpuVma> find_vma(HostVa va) { return vma_within(va, kEverywhere); }
  /// The same, cheaper, for a caller who needs to know about `reach` only: the answer tells how the mapping lies
  /// in `reach`, and may leave out what is beyond.
  Result<CpuVma> find_vma(HostVa va, HostRange reach) { return vma_within(va, reach); }
  /// Start of the first mapping that begins in or covers a part of `range`, clamped. ENOENT: none.
  virtual Result<HostVa> next_mapped(HostRange range) = 0;
  /// Snapshot without faulting in: every page present, or in VRAM of `owner` (spec/svm.md 1.2).
  virtual bool populated(HostRange range, OwnerGroup owner) = 0;

  // --- notifiers --------------------------------------------------------------------------------

  /// Registers; from return on, events reach it. ENOMEM.
  virtual Status watch(IntervalNotifier& notifier) = 0;
  /// Unregisters and waits for callbacks in flight.
  virtual void unwatch(IntervalNotifier& notifier) = 0;
  /// Waits while an event is in progress and returns notifier.sequence().
  virtual std::uint64_t read_begin(IntervalNotifier& notifier) = 0;

  // --- pages ------------------------------------------------------------------------------------

  /// Faults in every page of `range` (at most 2 MiB) and tells where each stands.
  /// The answer is a snapshot: valid only if the covering notifier's sequence has not moved.
  /// EFAULT: hole, missing permission, bus error, beyond end of file. EBUSY: raced for too long. ENOMEM.
  virtual Status collect(HostRange range, CollectRequest request, PageHomes& homes) = 0;

  /// Whether all pages of `range` are in one allocation of `heap`, where they could not stand better in a new one:
  /// side by side and aligned as `range` is. Snapshot without faulting in.
  virtual bool stands_in(HostRange range, const DevmemHeap& heap) = 0;

  /// Moves all pages of `range` into `allocation` (same size, empty). All or nothing.
  /// Notifiers see kMigrate first. Holes and zero pages become zero-filled VRAM.
  /// Pages already in VRAM of another allocation of the same group are copied over by the device.
  /// `residency_ns` > 0 sets the deadline to now + residency_ns.
  /// ENOENT: no mapping at the start. EINVAL: spans mappings, special or hugetlb.
  /// EBUSY: not anonymous, pinned, pinned stack, COW that cannot be broken, raced. ENOMEM.
  virtual Result<MigrateCounts> migrate_to_device(HostRange range, DevmemAllocation& allocation,
                                                  std::uint64_t residency_ns) = 0;

  /// False: this machine cannot move any page of `range`, whatever becomes of it (a lower rung of live memory);
  /// what needs VRAM then has to do where the memory is.
  virtual bool can_move(HostRange range) = 0;

  /// Brings every VRAM page of `range` home. Success when none is left. EBUSY: some could not move.
  virtual Status migrate_to_system(HostRange range, MoveCause cause, Residency residency) = 0;

  /// Brings all pages of one allocation home, wherever they are mapped; releases it. Needs no address.
  /// The caller guarantees that `allocation` is alive (it holds the heap's eviction claim on it).
  virtual Status evict(DevmemAllocation& allocation) = 0;

  // --- device windows -----------------------------------------------------------------------------

  /// Address space for a heap of `bytes`: block at DevPa p has its frame at window + p. Never reachable
  /// by accident: a frame without pages faults. Lives until drop_window(), at most as long as the HostMm. ENOMEM.
  virtual Result<std::byte*> make_window(std::uint64_t bytes) = 0;
  /// The heap is gone, and with it all its allocations.
  virtual void drop_window(std::byte* window) = 0;

  /// Called again and again by a thread that is blocked in invalidate(), with the mm lock held, on something that may
  /// itself wait for a page in VRAM. Serves the CPU faults that are pending, once; never blocks.
  virtual void serve_touches() {}

  virtual const Clock& clock() const = 0;

 protected:
  static constexpr HostRange kEverywhere = HostRange::of(HostVa(0), 1ull << 57);

  virtual Result<CpuVma> vma_within(HostVa va, HostRange reach) = 0;
};

/// A device window that goes with its owner. `host` outlives it.
class DeviceWindow {
 public:
  static Result<DeviceWindow> make(HostMm& host, std::uint64_t bytes) {
    SX_TRY(std::byte * base, host.make_window(bytes));
    return DeviceWindow(host, base);
  }
  ~DeviceWindow() {
    if (base_ != nullptr) host_->drop_window(base_);
  }
  DeviceWindow(DeviceWindow&& other) noexcept : host_(other.host_), base_(std::exchange(other.base_, nullptr)) {}
  DeviceWindow& operator=(DeviceWindow&& other) noexcept {
    std::swap(host_, other.host_);
    std::swap(base_, other.base_);
    return *this;
  }

  std::byte* base() const { return base_; }

 private:
  DeviceWindow(HostMm& host, std::byte* base) : host_(&host), base_(base) {}
  HostMm* host_;
  std::byte* base_;
};

}  // namespace softxe
