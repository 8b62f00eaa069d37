// LiveHostMm: HostMm over the real process (spec/live-memory.md 7).
//
// VRAM is an anonymous window of this process (device_windows.h). UFFDIO_MOVE takes pages out of the client's
// mappings into the window and back; userfaultfd C (the client's memory) brings CPU touches of absent pages to
// the reader thread. The runtime's own memory (base/engine_memory.h) is not mapped at all for whoever asks
// here: it is never mirrored, collected or moved. CPU-side changes arrive through the hook_* methods before they
// happen, and through events of C when nobody hooked the call.
//
// One mm lock. Whoever holds it is inside an EngineSection and never touches client memory. The reader
// only tries it: faults it cannot serve now stay in the pump, and whoever unlocks wakes the reader.
// The work is done by the owners of what it is about:
//   client_calls.h   system calls of the client      live_memory.h     what the lock guards, part by part
//   migration.h      to VRAM                         live_resources.h  what guards itself
//   residents.h      in VRAM, and home again         fault_reader.h    the thread that serves CPU touches
// Here: life and looking (live_host_mm.cc), collecting (live_collect.cc), all at once, as for fork (live_fork.cc).
#pragma once

#include <array>
#include <memory>
#include <span>

#include "base/lock.h"
#include "host/host_mm.h"
#include "host/live/engine_section.h"
#include "host/live/fault_reader.h"
#include "host/live/live_memory.h"
#include "host/live/live_resources.h"

namespace softxe::live {

class LiveHostMm final : public HostMm {
 public:
  struct Destroy {
    void operator()(LiveHostMm* mm) const;
  };
  using Owner = std::unique_ptr<LiveHostMm, Destroy>;

  /// Takes all kernel resources and starts the reader thread. Works on every rung.
  static Result<Owner> create(const LiveOptions& options);

  Rung rung() const { return res_.rung; }
  const LiveCounters& counters() const { return res_.counters; }
  /// Distinguishes instances; never 0.
  std::uint64_t instance() const { return instance_; }

  // --- HostMm ---------------------------------------------------------------------------------------
  Result<HostVa> next_mapped(HostRange range) override;
  bool populated(HostRange range, OwnerGroup owner) override;
  Status watch(IntervalNotifier& notifier) override;
  void unwatch(IntervalNotifier& notifier) override;
  std::uint64_t read_begin(IntervalNotifier& notifier) override;
  /// `homes` must be engine memory: it is written with the mm lock held.
  Status collect(HostRange range, CollectRequest request, PageHomes& homes) override;
  bool stands_in(HostRange range, const DevmemHeap& heap) override;
  Result<MigrateCounts> migrate_to_device(HostRange range, DevmemAllocation& allocation,
                                          std::uint64_t residency_ns) override;
  bool can_move(HostRange range) override;
  Status migrate_to_system(HostRange range, MoveCause cause, Residency residency) override;
  Status evict(DevmemAllocation& allocation) override;
  Result<std::byte*> make_window(std::uint64_t bytes) override;
  void drop_window(std::byte* window) override;
  void serve_touches() override;
  const Clock& clock() const override { return res_.clock; }

  // --- for the syscall patcher and the interposed symbols -------------------------------------------
  // Each does the system call itself and returns what the kernel returned (negative errno).
  // Memory that softxe does not track costs a few instructions over the bare call.

  /// Lock-free: may anything of softxe be in `range`?
  bool tracked(HostRange range) const {
    return !res_.disabled.load(std::memory_order_relaxed) && GranuleMap::addressable(range) &&
           (res_.granules.tracked(range) || any_named());
  }
  long hook_munmap(std::uint64_t address, std::uint64_t length);
  struct MmapArgs {
    std::uint64_t address;
    std::uint64_t length;
    long protection;
    long flags;
    long fd;
    long offset;
  };
  long hook_mmap(const MmapArgs& args);
  struct MremapArgs {
    std::uint64_t old_address;
    std::uint64_t old_length;
    std::uint64_t new_length;
    unsigned long flags;
    std::uint64_t new_address;
  };
  long hook_mremap(const MremapArgs& args);
  long hook_brk(std::uint64_t address);
  long hook_madvise(std::uint64_t address, std::uint64_t length, int advice);
  long hook_mprotect(std::uint64_t address, std::uint64_t length, long protection);
  long hook_pkey_mprotect(std::uint64_t address, std::uint64_t length, long protection, long key);
  long hook_process_madvise(int pidfd, std::uint64_t iovec, std::uint64_t count, int advice, unsigned flags);
  long hook_shmat(int id, std::uint64_t address, int flags);
  long hook_shmdt(std::uint64_t address);
  long hook_remap_file_pages(std::uint64_t address, std::uint64_t size, long protection, std::uint64_t page_offset,
                             long flags);
  /// mlock, and mlock2 when `flags` is not 0.
  long hook_mlock(std::uint64_t address, std::uint64_t length, unsigned flags);
  long hook_mlockall(int flags);
  /// Any of the above by system call number; other numbers are passed through.
  long hook_syscall(long number, const std::array<long, 6>& args);

  /// For mincore(): marks the pages of `range` that are in VRAM, one byte each in engine memory; how many.
  std::size_t mark_resident(HostRange range, std::span<std::uint8_t> pages);

  /// Around fork(), and while all other threads stand still: everything comes home, and the mm lock is held until one
  /// of the other two.
  void fork_before();
  void fork_after_parent();
  /// Drops all state: later calls give EFAULT, hooks pass through. Closes what was inherited.
  void fork_after_child();
  bool disabled() const { return res_.is_disabled(); }
  enum class Afterwards : std::uint8_t {
    kMayMigrate,
    kStays,  ///< nothing migrates any more: the process is about to end
  };
  /// Everything comes home, as far as it can in bounded time. For a signal handler or a debugger, on a thread that is
  /// in no section.
  void come_home(Afterwards afterwards);

  // --- for the driver -------------------------------------------------------------------------------
  /// At every submission: waits until events that are in flight have been dealt with.
  void submission_probe();
  /// From return on, no page of `range` is or will be in VRAM, and no fault on it ours (until it is
  /// unmapped).
  void pin(HostRange range);
  std::uint64_t pin_generation() const { return res_.pins.generation(); }
  /// The part of `window` that belongs to the stack which `stack_pointer` is on.
  HostRange clamp_to_stack(HostRange window, HostVa stack_pointer) const;
  std::uint64_t static_tls_size() const { return static_tls_bytes_; }
  /// On Rung::kUserOnly only ranges named here may migrate, until they are unmapped (spec/live-memory.md 5).
  /// EINVAL: not a part of one anonymous mapping, for who names everything means no memory of his own.
  Status allow_migration(HostRange range);

 private:
  friend class LiveTestPeer;
  friend class ClientCalls;

  /// Holds the mm lock: enters an EngineSection, locks, and deals with events read before.
  class SX_SCOPED_CAPABILITY Locked {
   public:
    explicit Locked(LiveHostMm& mm) SX_ACQUIRE(mm.mm_lock_);
    ~Locked() SX_RELEASE();
    Locked(const Locked&) = delete;
    Locked& operator=(const Locked&) = delete;

   private:
    LiveHostMm& mm_;
    EngineSection section_;
  };

  LiveHostMm(Arena arena, const LiveOptions& options);
  ~LiveHostMm() override = default;
  /// For the analysis: the object is not published yet, or no more, so its lock need not be taken.
  void nobody_else_knows_it() const SX_ASSERT_CAPABILITY(mm_lock_) {}
  void shut_down();
  Status open_kernel_resources();
  Status open_userfaultfds(const LadderReport& ladder);
  void unlock() SX_RELEASE(mm_lock_);
  /// Lock-free: memory that was named is looked after although nothing watches it. No analysis: the flag is atomic.
  bool any_named() const SX_NO_THREAD_SAFETY_ANALYSIS { return memory_.named.any(); }
  Result<CpuVma> vma_within(HostVa va, HostRange reach) override;
  Result<MigrateCounts> try_migrate(HostRange range, DevmemAllocation& allocation, std::uint64_t residency_ns,
                                    bool& shared_pages) SX_EXCLUDES(mm_lock_);

  // collecting (live_collect.cc)
  Result<std::uint64_t> collect_device_pages(HostRange range, OwnerGroup owner, PageHomes& homes) SX_EXCLUDES(mm_lock_);
  Status collect_system_pages(HostRange range, CollectRequest::Intent intent, PageHomes& homes) SX_EXCLUDES(mm_lock_);
  Status forbid_writes(HostRange range, PageHomes& homes);
  bool all_present(HostRange range);

  // everything of a range, or of all (live_fork.cc)
  Status bring_allocations_home(HostRange range, MoveCause cause) SX_REQUIRES(mm_lock_);
  Status insist_home(HostRange range) SX_REQUIRES(mm_lock_);
  Status evict_everything(MoveCause cause) SX_REQUIRES(mm_lock_);
  void fetch_by_touch(HostRange range) SX_REQUIRES(mm_lock_);
  bool may_move_pages() const;

  std::uint64_t instance_;
  std::uint64_t static_tls_bytes_ = 0;
  LiveResources res_;
  Mutex<LockRank::kHostMm> mm_lock_{"HostMm"};
  LiveMemory memory_ SX_GUARDED_BY(mm_lock_);
  FaultReader reader_;
};

}  // namespace softxe::live
