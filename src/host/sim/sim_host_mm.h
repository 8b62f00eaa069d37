// SimHostMm: HostMm over a simulated process with page contents, and the CPU that runs in it.
//
// Everything above the seam runs on it unchanged; tests play the client by calling the cpu_* methods,
// which behave like system calls, loads and stores. Frames and device windows are real memory, so
// the GPU model follows the same pointers as on the live backend. A page that leaves a frame or a
// VRAM page leaves 0xDB behind: a stale reader sees it.
//
//   sim_host_mm.cc   HostMm: looking, notifiers, collecting, moving pages
//   sim_faults.cc    CPU loads and stores, fault-in, copy on write, VRAM pages coming home
//   sim_syscalls.cc  mmap, munmap, mremap, mprotect, brk, mlock, fork, exit
//   sim_madvise.cc   madvise, object truncation, swap, pins
//
// Behaviour: spec/svm.md 1.2, 1.6, 2.2, 5.4-5.8; fork as decision 0013 (VRAM comes home first).
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "base/clock.h"
#include "base/lock.h"
#include "base/thread_annotations.h"
#include "host/host_mm.h"
#include "host/sim/sim_frames.h"
#include "host/sim/sim_process.h"

namespace softxe {

/// Errors of CPU accesses: what would have been a signal.
inline constexpr int kCpuSegv = EFAULT;
inline constexpr int kCpuBus = EIO;
/// A CPU access that waits for a residency deadline (WaitPolicy::kReport): try again later.
inline constexpr int kCpuWaits = EAGAIN;

/// When notifiers hear of what the client did. kAfter models userfaultfd events read late: the change
/// has happened, the frames may already be somebody else's (or poison).
enum class NotifyOrder : std::uint8_t { kBefore, kAfter };

/// A CPU touch of a VRAM page before its residency deadline.
enum class WaitPolicy : std::uint8_t {
  kAdvanceClock,  ///< time passes: the clock jumps to the deadline
  kReport,        ///< the access returns kCpuWaits; for schedulers
};

struct SimOptions {
  NotifyOrder order = NotifyOrder::kBefore;
  WaitPolicy wait = WaitPolicy::kAdvanceClock;
  std::uint64_t ram_bytes = 4 * k1G;
  HostVa mmap_base = HostVa(0x7f00'0000'0000);
  HostVa brk_base = HostVa(0x5555'0000'0000);
};

/// Processes of the simulated machine. Only kMain is mirrored; the others are fork descendants.
enum class Pid : std::uint32_t { kMain = 0 };

struct MmapRequest {
  enum class Place : std::uint8_t { kHint, kFixed, kFixedNoReplace };
  std::uint64_t size_bytes = 0;
  HostVa at{};
  Place place = Place::kHint;
  CpuVma::Kind kind = CpuVma::Kind::kAnonPrivate;
  Prot prot = Prot::kReadWrite;
  Share share = Share::kPrivate;                ///< of files; kShmem is always shared
  std::shared_ptr<SimObject> object = nullptr;  ///< kShmem without one gets a new one of the mapping's size
  std::uint64_t offset_bytes = 0;
};

struct MremapRequest {
  enum class Move : std::uint8_t { kInPlace, kMayMove, kFixed, kDontUnmap };
  HostRange old;
  std::uint64_t new_size_bytes = 0;
  Move move = Move::kMayMove;
  HostVa to{};  ///< kFixed, and a hint for kDontUnmap when not 0
};

enum class CpuAdvice : std::uint8_t {
  kNormal,
  kDontNeed,
  kFree,
  kRemove,
  kPageout,
  kCold,
  kPopulateRead,
  kPopulateWrite,
  kGuardInstall,
  kGuardRemove,
  kDontFork,
  kDoFork,
};

/// What the notifiers were told, by kind, since construction.
struct SimEventCounts {
  std::array<std::uint64_t, 5> calls{};  ///< indexed by HostEvent; events that reached a notifier
  std::uint64_t of(HostEvent kind) const { return calls[static_cast<std::size_t>(kind)]; }
};

/// The simulated machine. Owns frames, processes and windows; every entry takes the mm lock.
/// Invariants: a page is in exactly one place; an allocation with a page is in `homes_`; notifiers
/// are called with the lock held and, for what the engine itself does, always before the change.
/// A heap whose pages are still in use must outlive it, or cpu_exit(Pid::kMain) comes first. The pages
/// of a SimObject live as long as the machine.
class SimHostMm final : public HostMm {
 public:
  explicit SimHostMm(ManualClock& clock, SimOptions options = {});
  ~SimHostMm() override;

  // --- HostMm -----------------------------------------------------------------------------------
  Result<HostVa> next_mapped(HostRange range) override;
  bool populated(HostRange range, OwnerGroup owner) override;
  Status watch(IntervalNotifier& notifier) override;
  void unwatch(IntervalNotifier& notifier) override;
  std::uint64_t read_begin(IntervalNotifier& notifier) override;
  Status collect(HostRange range, CollectRequest request, PageHomes& homes) override;
  bool stands_in(HostRange range, const DevmemHeap& heap) override;
  Result<MigrateCounts> migrate_to_device(HostRange range, DevmemAllocation& allocation,
                                          std::uint64_t residency_ns) override;
  bool can_move(HostRange) override { return true; }
  Status migrate_to_system(HostRange range, MoveCause cause, Residency residency) override;
  Status evict(DevmemAllocation& allocation) override;
  Result<std::byte*> make_window(std::uint64_t bytes) override;
  void drop_window(std::byte* window) override;
  const Clock& clock() const override { return clock_; }

  // --- the client's system calls; errno as the kernel gives it ------------------------------------
  Result<HostVa> cpu_mmap(const MmapRequest& request, Pid pid = Pid::kMain);
  Status cpu_munmap(HostRange range, Pid pid = Pid::kMain);
  Result<HostVa> cpu_mremap(const MremapRequest& request, Pid pid = Pid::kMain);
  Status cpu_mprotect(HostRange range, Prot prot, Pid pid = Pid::kMain);
  Status cpu_madvise(HostRange range, CpuAdvice advice, Pid pid = Pid::kMain);
  /// Returns the new break; as the system call, an impossible request returns the old one.
  HostVa cpu_brk(HostVa new_break, Pid pid = Pid::kMain);
  Status cpu_mlock(HostRange range, Pid pid = Pid::kMain);
  Status cpu_munlock(HostRange range, Pid pid = Pid::kMain);
  Result<Pid> cpu_fork(Pid parent = Pid::kMain);
  /// The process ends (or execs): everything is released.
  void cpu_exit(Pid pid);
  /// ftruncate: pages beyond the new end leave every mapping.
  void cpu_truncate(SimObject& object, std::uint64_t size_bytes);

  // --- loads and stores ---------------------------------------------------------------------------
  /// kCpuSegv, kCpuBus, kCpuWaits, ENOMEM. A failing access may have done a prefix.
  Status cpu_read(HostVa va, std::span<std::byte> to, Pid pid = Pid::kMain);
  Status cpu_write(HostVa va, std::span<const std::byte> from, Pid pid = Pid::kMain);
  /// One atomic fetch-and-add of a naturally aligned word; returns the old value.
  Result<std::uint32_t> cpu_fetch_add(HostVa va, std::uint32_t addend, Pid pid = Pid::kMain);

  // --- what a test does to the machine ------------------------------------------------------------
  /// Pins the page as O_DIRECT in flight would: it comes to RAM and stays. EFAULT: not accessible.
  Status pin(HostVa va);
  void unpin(HostVa va);
  /// Memory pressure: drops MADV_FREE'd pages and zero pages of the range, swaps out the others.
  Status reclaim(HostRange range, Pid pid = Pid::kMain);

  // --- what a test may ask ------------------------------------------------------------------------
  enum class PageState : std::uint8_t { kUnmapped, kHole, kZero, kSystem, kDevice, kSwapped, kGuard };
  PageState page_state(HostVa va, Pid pid = Pid::kMain);
  /// Which allocation holds the page; null when it is not in VRAM.
  DevmemAllocation* allocation_at(HostVa va);
  /// Where the page's bytes stand now, without touching it; null: nowhere yet, it reads zero.
  struct Peeked {
    PageState state;
    const std::byte* bytes;
    DevmemAllocation* allocation;
  };
  Peeked peek(HostVa va, Pid pid = Pid::kMain);
  /// The same of all pages of `range` at once, of kMain; out.size() == range.pages().
  void peek_all(HostRange range, std::span<Peeked> out);
  SimEventCounts events();
  std::uint64_t frames_in_use();
  /// What was stored into memory that was nobody's, in words: by an engine that had an old entry. Frames that are free
  /// now, and VRAM when no page is left there; empty: nothing. Memory that was handed out again shows it no more.
  std::string stored_after_free();
  /// Generation of the frame behind a PageHome::system pointer; moves when the frame is freed.
  std::uint64_t frame_generation(const std::byte* system);
  /// Aborts unless reference counts, reverse map and present bits agree with the page tables.
  void check_invariants();

 private:
  Result<CpuVma> vma_within(HostVa va, HostRange reach) override;
  enum class Access : std::uint8_t { kRead, kWrite };
  struct Faulted {
    FrameId frame;
    bool writable;  ///< may be stored to without another fault
  };
  struct Window {
    std::byte* base;
    std::uint64_t bytes;
    std::uint64_t used_bytes = 0;  ///< from its start: pages stood there
  };
  static std::byte* map_window(std::uint64_t bytes);
  static void unmap_window(const Window& window);

  Peeked peeked(const SimVma* vma, const SimPte* pte, HostVa page) SX_REQUIRES(lock_);
  SimProcess& process(Pid pid) SX_REQUIRES(lock_);
  SimProcess& main() SX_REQUIRES(lock_) { return *processes_[0]; }

  /// Tells the notifiers of one change of the client's, on the side that options_.order says:
  /// construct, change the mapping, destroy.
  class EventScope {
   public:
    EventScope(SimHostMm& mm, const SimProcess& p, HostRange range, HostEvent kind);
    ~EventScope();
    EventScope(const EventScope&) = delete;
    EventScope& operator=(const EventScope&) = delete;

   private:
    SimHostMm& mm_;
    bool mirrored_;
    HostRange range_;
    HostEvent kind_;
  };
  void notify(HostRange range, HostEvent kind) SX_REQUIRES(lock_);

  // Page table work (sim_faults.cc). VRAM pages are never passed to fault_in.
  Result<std::byte*> cpu_reach(SimProcess& p, HostVa va, Access access) SX_REQUIRES(lock_);
  Result<Faulted> fault_in(SimProcess& p, HostVa page, Access access) SX_REQUIRES(lock_);
  Result<Faulted> fault_in_object(SimProcess& p, const SimVma& vma, HostVa page, Access access) SX_REQUIRES(lock_);
  Status swap_in(SimProcess& p, HostVa page) SX_REQUIRES(lock_);
  Result<Faulted> make_writable(SimProcess& p, const SimVma& vma, HostVa page) SX_REQUIRES(lock_);
  Status wait_residency(const DevmemAllocation& allocation, WaitPolicy policy) SX_REQUIRES(lock_);
  Status cpu_fault_on_device(HostVa page, MoveCause cause, WaitPolicy policy) SX_REQUIRES(lock_);
  void drop_pte(SimProcess& p, HostVa page) SX_REQUIRES(lock_);
  void drop_ptes(SimProcess& p, HostRange range) SX_REQUIRES(lock_);

  // Moving pages (sim_host_mm.cc).
  std::vector<HostVa> device_pages_in(HostRange range) SX_REQUIRES(lock_);
  Status move_home(std::span<const HostVa> pages, MoveCause cause) SX_REQUIRES(lock_);
  void leave_device(DevmemAllocation& allocation, std::uint32_t page) SX_REQUIRES(lock_);
  void release_if_empty(DevmemAllocation& allocation) SX_REQUIRES(lock_);
  void enter_device(HostVa page, DevmemAllocation& allocation, std::uint32_t index) SX_REQUIRES(lock_);
  Status check_collectable(HostRange range, const DevmemAllocation& allocation) SX_REQUIRES(lock_);
  Result<PageHome> collect_page(HostVa page, CollectRequest request) SX_REQUIRES(lock_);

  // System calls (sim_syscalls.cc, sim_madvise.cc).
  Status unmap_locked(SimProcess& p, HostRange range) SX_REQUIRES(lock_);
  Result<HostVa> place_mapping(SimProcess& p, const MmapRequest& request) SX_REQUIRES(lock_);
  Result<HostVa> move_mapping(SimProcess& p, const MremapRequest& request) SX_REQUIRES(lock_);
  void move_entries(SimProcess& p, HostRange from, HostVa to) SX_REQUIRES(lock_);
  Status unshare_pinned(SimProcess& parent, SimProcess& child) SX_REQUIRES(lock_);
  Status advise_vma(SimProcess& p, const SimVma& vma, HostRange part, CpuAdvice advice) SX_REQUIRES(lock_);
  Status populate(SimProcess& p, HostRange part, Access access) SX_REQUIRES(lock_);
  enum class LazyPages : std::uint8_t { kKeep, kDrop };
  Status page_out(SimProcess& p, HostRange part, LazyPages lazy) SX_REQUIRES(lock_);
  void punch(SimObject& object, std::uint64_t first_page, std::uint64_t end_page) SX_REQUIRES(lock_);

  ManualClock& clock_;
  const SimOptions options_;

  Mutex<LockRank::kHostMm> lock_{"sim mm"};
  SimFrames frames_ SX_GUARDED_BY(lock_);
  std::vector<std::unique_ptr<SimProcess>> processes_ SX_GUARDED_BY(lock_);
  boost::intrusive::multiset<IntervalNotifier> notifiers_ SX_GUARDED_BY(lock_);
  /// Reverse map: where in kMain each page of an allocation stands.
  std::map<DevmemAllocation*, std::vector<HostVa>> homes_ SX_GUARDED_BY(lock_);
  std::map<std::uint64_t, FrameId> pins_ SX_GUARDED_BY(lock_);  ///< by address of the pin() call
  std::vector<Window> windows_ SX_GUARDED_BY(lock_);
  SimEventCounts events_ SX_GUARDED_BY(lock_);
};

}  // namespace softxe
