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
//   live_host_mm.cc  life, looking, notifiers     live_migrate.cc  to VRAM and back
//   live_faults.cc   the reader thread, events    live_collect.cc  collect, populated
//   live_hooks.cc    system calls of the client   live_fork.cc     fork
// Read next: residency.h, event_pump.h, pins.h, engine_section.h.
#pragma once

#include <pthread.h>

#include <array>
#include <memory>
#include <optional>

#include "base/lock.h"
#include "host/host_mm.h"
#include "host/live/arena.h"
#include "host/live/client_call.h"
#include "host/live/device_windows.h"
#include "host/live/engine_section.h"
#include "host/live/event_pump.h"
#include "host/live/granules.h"
#include "host/live/mapping_budget.h"
#include "host/live/passing_calls.h"
#include "host/live/pins.h"
#include "host/live/proc_maps.h"
#include "host/live/residency.h"
#include "host/live/staging.h"
#include "host/live/uffd.h"

namespace softxe::live {

/// Whether raw system calls that passed no hook are seen too.
enum class ClientEvents : std::uint8_t { kAsAvailable, kOff };
enum class ArenaLock : std::uint8_t { kNo, kMlock };

struct LiveOptions {
  DmaMode dma = DmaMode::kMove;
  Rung highest_rung = Rung::kFull;
  ClientEvents events = ClientEvents::kAsAvailable;
  MapsSource maps = MapsSource::kBest;
  ArenaLock arena_lock = ArenaLock::kNo;
  std::uint64_t arena_bytes = 256ULL * 1024 * 1024;
  DevicePredicate is_device_mapping = nullptr;
};

/// What happened, for reports and tests. Relaxed counters.
struct LiveCounters {
  std::atomic<std::uint64_t> cpu_faults{0};     ///< messages served by the reader
  std::atomic<std::uint64_t> pages_out{0};      ///< to VRAM
  std::atomic<std::uint64_t> pages_home{0};     ///< back by MOVE
  std::atomic<std::uint64_t> pages_copied{0};   ///< back by COPY, the fallback
  std::atomic<std::uint64_t> pages_dropped{0};  ///< unmapped or discarded while in VRAM
  std::atomic<std::uint64_t> moved_eexist{0};   ///< EEXIST that meant "moved" (7.3)
  std::atomic<std::uint64_t> eagain{0};
  std::atomic<std::uint64_t> cow_breaks{0};
  std::atomic<std::uint64_t> deferred{0};  ///< reader found the mm lock taken
  std::atomic<std::uint64_t> parked{0};    ///< faults that waited for a residency deadline
  std::atomic<std::uint64_t> vanished{0};  ///< pages that the kernel dropped from VRAM (MADV_FREE)
  std::atomic<std::uint64_t> events{0};    ///< uffd events of calls that no hook saw
  std::atomic<std::uint64_t> registered{0};
  std::atomic<std::uint64_t> unregistered{0};
};

/// How /proc shows the thread that serves CPU touches of VRAM.
inline constexpr const char kReaderName[] = "softxe-faults";

class LiveHostMm final : public HostMm {
 public:
  struct Destroy {
    void operator()(LiveHostMm* mm) const;
  };
  using Owner = std::unique_ptr<LiveHostMm, Destroy>;

  /// Takes all kernel resources and starts the reader thread. Works on every rung.
  static Result<Owner> create(const LiveOptions& options);

  Rung rung() const { return rung_; }
  const LiveCounters& counters() const { return counters_; }
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
  const Clock& clock() const override { return clock_; }

  // --- for the syscall patcher and the interposed symbols -------------------------------------------
  // Each does the system call itself and returns what the kernel returned (negative errno).
  // Memory that softxe does not track costs a few instructions over the bare call.

  /// Lock-free: may anything of softxe be in `range`?
  bool tracked(HostRange range) const {
    return !disabled_.load(std::memory_order_relaxed) && GranuleMap::addressable(range) &&
           (granules_.tracked(range) || any_named_.load(std::memory_order_relaxed));
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

  /// Around fork(): everything comes home, and the mm lock is held until one of the other two.
  void fork_before();
  void fork_after_parent();
  /// Drops all state: later calls give EFAULT, hooks pass through. Closes what was inherited.
  void fork_after_child();
  bool disabled() const { return disabled_.load(); }
  /// Before the process ends with a core file, from a signal handler of a thread that is in no section: everything
  /// comes home as far as it can in bounded time, and nothing migrates any more.
  void come_home_for_good();

  // --- for the driver -------------------------------------------------------------------------------
  /// At every submission: waits until events that are in flight have been dealt with.
  void submission_probe();
  /// From return on, no page of `range` is or will be in VRAM, and no fault on it ours (until it is
  /// unmapped).
  void pin(HostRange range);
  std::uint64_t pin_generation() const { return pins_.generation(); }
  /// The part of `window` that belongs to the stack which `stack_pointer` is on.
  HostRange clamp_to_stack(HostRange window, HostVa stack_pointer) const;
  std::uint64_t static_tls_size() const { return static_tls_bytes_; }
  /// On Rung::kUserOnly only ranges named here may migrate, until they are unmapped (spec/live-memory.md 5).
  /// EINVAL: not a part of one anonymous mapping, for who names everything means no memory of his own.
  Status allow_migration(HostRange range);

 private:
  friend class LiveTestPeer;

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

  struct Window {
    std::byte* base;
    std::uint64_t bytes;
  };
  struct RunEnd {
    int err;
    std::uint64_t moved_bytes;
  };
  class Passing;  // a call that runs past us (live_hooks.cc)
  struct Sketch;  // a migration to VRAM under construction (live_migrate.cc)
  enum class HomeEnd : std::uint8_t { kMorePages, kEmptied, kStuck };
  enum class Served : std::uint8_t { kDone, kAgain };

  LiveHostMm(Arena arena, const LiveOptions& options);
  ~LiveHostMm() override = default;
  void shut_down();
  Status open_kernel_resources();
  Status start_reader();
  void stop_reader();
  void unlock() SX_RELEASE(mm_lock_);

  // looking
  Result<CpuVma> vma_within(HostVa va, HostRange reach) override;
  Result<CpuVma> logical_vma(HostVa va, HostRange reach) const;

  // notifiers
  void notify(HostRange range, HostEvent kind) SX_REQUIRES(mm_lock_);
  void add_named(HostRange range) SX_REQUIRES(mm_lock_);
  void forget_named(HostRange range) SX_REQUIRES(mm_lock_);
  bool is_named(HostRange range) const SX_REQUIRES(mm_lock_);

  // migration (live_migrate.cc)
  Status admit_migration(HostRange range, const DevmemAllocation& allocation) SX_REQUIRES(mm_lock_);
  /// Whether calls that no hook saw may have begun before events_read() was `read_before` and wait still: they have
  /// been read once any event has been.
  bool event_unread_since(std::uint64_t read_before) const;
  Status settle_calls(HostRange range) SX_REQUIRES(mm_lock_);
  Result<MigrateCounts> try_migrate(HostRange range, DevmemAllocation& allocation, std::uint64_t residency_ns,
                                    bool& shared_pages) SX_EXCLUDES(mm_lock_);
  void prepare_landing(const Sketch& sketch) SX_REQUIRES(mm_lock_);
  void note_page_tables(HostRange frame) SX_REQUIRES(mm_lock_);
  Result<MigrateCounts> take_pages(Sketch& sketch) SX_REQUIRES(mm_lock_);
  int take_gap(Sketch& sketch, HostRange gap) SX_REQUIRES(mm_lock_);
  int take_hole(Sketch& sketch, HostVa at, HostVa end) SX_REQUIRES(mm_lock_);
  void undo(Sketch& sketch) SX_REQUIRES(mm_lock_);
  void drain_events_of(Sketch& sketch) SX_REQUIRES(mm_lock_);
  void undo_gap(Sketch& sketch, HostRange gap) SX_REQUIRES(mm_lock_);
  Status land(Sketch& sketch) SX_REQUIRES(mm_lock_);
  void commit(Sketch& sketch, std::uint64_t residency_ns) SX_REQUIRES(mm_lock_);
  RunEnd move_run(const Uffd& uffd, UffdTransfer transfer) SX_REQUIRES(mm_lock_);
  RunEnd copy_run(const Uffd& uffd, UffdTransfer transfer) SX_REQUIRES(mm_lock_);
  RunEnd send_home(UffdTransfer transfer) SX_REQUIRES(mm_lock_);
  RunEnd send_home_copied(UffdTransfer transfer) SX_REQUIRES(mm_lock_);
  bool wait_turn(std::uint32_t& turns) SX_REQUIRES(mm_lock_);
  HomeEnd bring_home(Piece piece, MoveCause cause) SX_REQUIRES(mm_lock_);
  bool bring_allocation_home(DevmemAllocation& allocation, MoveCause cause) SX_REQUIRES(mm_lock_);
  Status bring_allocations_home(HostRange range, MoveCause cause) SX_REQUIRES(mm_lock_);
  bool bring_range_home(HostRange range, MoveCause cause) SX_REQUIRES(mm_lock_);
  void drop_pages(HostRange range) SX_REQUIRES(mm_lock_);
  bool release_if_empty(DevmemAllocation& allocation) SX_REQUIRES(mm_lock_);
  void discard_frame(std::uint64_t frame, std::uint64_t bytes) SX_REQUIRES(mm_lock_);
  FramePages* pages_of_frame(HostVa frame) { return windows_.pages_of(frame); }
  bool refill_dropped(HostRange frame) SX_REQUIRES(mm_lock_);
  void note_left(const Piece& piece) SX_REQUIRES(mm_lock_);
  /// Time until the last residency deadline in `range`, 0 when none is in the future.
  std::uint64_t residency_left_ns(HostRange range) SX_REQUIRES(mm_lock_);

  // collecting (live_collect.cc)
  Result<std::uint64_t> collect_device_pages(HostRange range, OwnerGroup owner, PageHomes& homes) SX_EXCLUDES(mm_lock_);
  Status collect_system_pages(HostRange range, CollectRequest::Intent intent, PageHomes& homes) SX_EXCLUDES(mm_lock_);

  Status forbid_writes(HostRange range, PageHomes& homes);

  // registration
  bool is_registered(HostVa page) SX_REQUIRES(mm_lock_);
  Status register_blocks(HostRange range, HostRange vma) SX_REQUIRES(mm_lock_);
  Result<HostRange> without_neighbours(HostRange block, HostRange range) SX_REQUIRES(mm_lock_);
  Result<HostRange> widened(HostRange block, HostRange vma) SX_REQUIRES(mm_lock_);
  int register_part(HostRange part) SX_REQUIRES(mm_lock_);
  bool may_cut_out(HostRange part) SX_REQUIRES(mm_lock_);
  bool unregister_range(HostRange range) SX_REQUIRES(mm_lock_);
  void restore_registration(HostRange range) SX_REQUIRES(mm_lock_);
  void unregister_idle(HostRange range) SX_REQUIRES(mm_lock_);
  void note_idle(HostRange range) SX_REQUIRES(mm_lock_);

  // reader thread (live_faults.cc)
  static void* reader_main(void* self);
  void reader_loop();
  void reader_work();
  void serve_faults() SX_REQUIRES(mm_lock_);
  Served serve_fault(std::uint64_t page) SX_REQUIRES(mm_lock_);
  void park(std::uint64_t page, std::uint64_t until_ns) SX_REQUIRES(mm_lock_);
  void serve_parked() SX_REQUIRES(mm_lock_);
  void wake_everybody() SX_REQUIRES(mm_lock_);
  void kick_reader();
  /// `own`: the call that is being carried out, whose events are no news.
  void drain_events(const CallPlan* own = nullptr) SX_REQUIRES(mm_lock_);
  /// An event that no hook saw is being dealt with: what it says about residency may not be recorded yet.
  bool dealing_with_event_ SX_GUARDED_BY(mm_lock_) = false;
  void on_event(const UffdMessage& message, const CallPlan* own) SX_REQUIRES(mm_lock_);
  void forget(HostRange range) SX_REQUIRES(mm_lock_);
  void forget_unmapped(HostRange range) SX_REQUIRES(mm_lock_);
  /// For whoever is not the reader: what is read here is left to it.
  bool pump_for_reader();
  void on_remap(HostRange from, HostVa to) SX_REQUIRES(mm_lock_);
  void on_missed_fork(int fd) SX_REQUIRES(mm_lock_);
  Status evict_everything(MoveCause cause) SX_REQUIRES(mm_lock_);

  // hooks (live_hooks.cc)
  void note_locked(HostRange range) SX_EXCLUDES(mm_lock_);
  bool note_real_borders(HostRange range) SX_REQUIRES(mm_lock_);
  long hook_call(const ClientCall& call);
  std::optional<long> run_past(const CallPlan& plan);
  void notify_late(const CallPlan& plan, long result);
  Result<long> carry_out(const CallPlanner& planner, const CallPlan& plan);
  Status prepare_home(const CallPlan& plan) SX_REQUIRES(mm_lock_);
  long call_each_mapping(const CallPlan& plan) SX_REQUIRES(mm_lock_);
  void settle(const CallPlan& plan, long result) SX_REQUIRES(mm_lock_);
  Status insist_home(HostRange range) SX_REQUIRES(mm_lock_);
  void fetch_by_touch(HostRange range) SX_REQUIRES(mm_lock_);
  bool may_move_pages() const;
  bool is_own_pidfd(int pidfd) const;

  // unguarded: fixed after construction, atomic, or locked by themselves
  const LiveOptions options_;
  Rung rung_ = Rung::kNone;
  std::uint64_t instance_;
  std::uint64_t static_tls_bytes_ = 0;
  SteadyClock clock_;
  ProcMaps maps_;
  PageMap pagemap_;
  Uffd client_;  ///< C
  int kick_fd_ = -1;
  pthread_t reader_{};
  bool reader_runs_ = false;
  std::atomic<std::uint32_t> reader_at_work_{0};  ///< a futex: 1 once its thread is past libc's start-up
  std::atomic<bool> stop_{false};
  std::atomic<bool> disabled_{false};
  std::atomic<bool> ending_{false};  ///< see come_home_for_good()
  std::atomic<bool> reader_waits_for_lock_{false};
  EngineMapping unreadable_;     ///< fixed: a page that nobody can read (Uffd::ask())
  std::uint64_t start_brk_ = 0;  ///< fixed; 0 when the kernel does not say
  std::atomic<std::uint64_t> last_break_{0};
  std::atomic<bool> locked_everywhere_{false};  ///< mlockall was called
  GranuleMap granules_;
  EventPump pump_;
  LiveCounters counters_;
  DeviceWindows windows_{counters_.vanished};  ///< come and go under the mm lock
  const Uffd& vram_ = windows_.uffd();         ///< V
  PinSet pins_;                                ///< table: mm lock
  PassingCalls passing_;

  Mutex<LockRank::kHostMm> mm_lock_{"HostMm"};
  Arena arena_ SX_GUARDED_BY(mm_lock_);
  ResidencyMap residency_ SX_GUARDED_BY(mm_lock_);
  ChunkSet chunks_ SX_GUARDED_BY(mm_lock_);
  MappingBudget budget_ SX_GUARDED_BY(mm_lock_);
  Staging staging_ SX_GUARDED_BY(mm_lock_);
  boost::intrusive::multiset<IntervalNotifier> notifiers_ SX_GUARDED_BY(mm_lock_);
  std::uint64_t widest_window_ SX_GUARDED_BY(mm_lock_) = 0;
  static constexpr std::size_t kAllowedMax = 1024;
  std::array<Window, kAllowedMax> allowed_ SX_GUARDED_BY(mm_lock_){};
  std::size_t allowed_count_ SX_GUARDED_BY(mm_lock_) = 0;
  std::atomic<bool> any_named_{false};

  struct Parked {
    std::uint64_t page;
    std::uint64_t until_ns;
  };
  static constexpr std::size_t kParkedMax = 1024;
  std::array<Parked, kParkedMax> parked_ SX_GUARDED_BY(mm_lock_){};
  std::size_t parked_count_ SX_GUARDED_BY(mm_lock_) = 0;
  std::atomic<std::uint64_t> next_parked_ns_{~0ull};
};

inline std::uint64_t number_of(const void* p) { return reinterpret_cast<std::uint64_t>(p); }
inline HostRange range_at(const void* p, std::uint64_t bytes) { return HostRange::of(HostVa(number_of(p)), bytes); }

}  // namespace softxe::live
