// What a scenario file may ask of the system under test: one method per verb.
//
// The runner (scenario_runner.h) drives a ScenarioWorld; the engine over SimHostMm, the engine over the
// live process, and the fake of the unit tests are three of them. Numbers are passed on as the file
// has them, unaligned or empty, so that a scenario can ask for EINVAL. Grammar: docs/SCENARIOS.md.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/event.h"
#include "base/result.h"
#include "vm/mem_attr.h"

namespace softxe::scenario {

/// An interval as written: start and size in bytes, unchecked.
struct Span {
  std::uint64_t start = 0;
  std::uint64_t size = 0;
  std::uint64_t end() const { return start + size; }
};

/// A memory region: `system`, `device` (the default device), `vram0`, `gpu1/vram0`.
struct Place {
  enum class Kind : std::uint8_t { kDefaultDevice, kSystem, kVram };
  Kind kind = Kind::kDefaultDevice;
  unsigned tile = 0;
  std::string device;  ///< by the name of its `device` line; empty: the VM's
  friend bool operator==(const Place&, const Place&) = default;
};

/// Attributes named in a madvise line or in an expectation.
struct Attrs {
  std::optional<AtomicAccess> atomic;
  std::optional<Place> preferred;
  std::optional<MigrationPolicy> policy;
  std::optional<unsigned> pat;
};

struct DeviceSpec {
  std::string name;     ///< empty: the first device
  std::string profile;  ///< bmg, pvc, lnl, cri, nvlp
  /// vram, autoreset, dma, order, ... as written; the world refuses what it does not know.
  std::map<std::string, std::string> options;
};

struct VmSpec {
  std::string name;
  std::string device;
  bool lr = false;
  bool fault = false;
  bool scratch = false;
  bool no_overcommit = false;
};

struct BoSpec {
  std::string name;
  std::uint64_t size = 0;
  bool vram = false;
  bool system = false;
};

struct BindSpec {
  enum class What : std::uint8_t { kMirror, kNull, kBo, kUserptr, kUnbind };
  What what = What::kMirror;
  std::string vm;
  Span span;
  std::string bo;               ///< kBo
  std::uint64_t offset = 0;     ///< into the BO; the CPU address of a userptr
  std::optional<unsigned> pat;  ///< none: the device's write-back index
  bool autoreset = false;
  bool read_only = false;
  bool dumpable = false;
  bool immediate = false;
};

enum class Protection : std::uint8_t { kNone, kRead, kReadWrite };
enum class Backing : std::uint8_t { kAnon, kShmem, kFile, kHugetlb, kDevice };

struct CpuMmap {
  Span span;
  Backing backing = Backing::kAnon;
  Protection prot = Protection::kReadWrite;
  bool shared = false;           ///< of a file
  std::uint64_t file_bytes = 0;  ///< size of the new object; 0: the mapping's
};

struct CpuMremap {
  Span old;
  std::uint64_t new_size = 0;
  std::optional<std::uint64_t> to;  ///< MREMAP_FIXED
  bool dont_unmap = false;
};

/// madvise(2) by name: dontneed, free, remove, pageout, cold, populate_read, populate_write,
/// guard_install, guard_remove, dontfork, dofork.
struct CpuMadvise {
  Span span;
  std::string advice;
};

/// One load or store of 1, 2, 4 or 8 bytes.
struct Access {
  std::uint64_t address = 0;
  unsigned bytes = 4;
  std::uint64_t value = 0;  ///< stored or added
};

struct GpuTarget {
  std::string vm;
  unsigned tile = 0;
};

/// A kernel as a walker would start it, one dimension of work-items in a group.
struct KernelSpec {
  GpuTarget gpu;
  std::uint64_t address = 0;    ///< of the code
  std::vector<std::byte> code;  ///< stored there first, by the client; empty: what is there runs
  std::array<std::uint32_t, 3> groups{1, 1, 1};
  unsigned lanes = 16;
  std::uint32_t items = 16;  ///< of a group
  std::uint32_t slm_bytes = 0;
  std::array<std::uint64_t, 4> arguments{};
};

enum class QueueRank : std::uint8_t { kLow, kNormal, kHigh };

struct QueueSpec {
  std::string name;
  std::string vm;
  std::string engine_class;           ///< copy, compute, render
  std::vector<unsigned> instances{};  ///< of the class; empty: 0
  bool makes_group = false;
  std::string joins{};  ///< the group of this queue
  QueueRank in_group = QueueRank::kNormal;
  bool has_rank_in_group = false;
  QueueRank priority = QueueRank::kNormal;
};

/// One command of a batch.
struct BatchCommand {
  enum class Kind : std::uint8_t {
    kStore,
    kWait,  ///< a semaphore: until the word has the value; another member of the group may go meanwhile
    kSpin,  ///< the same by a loop, which lets nobody in; ends the batch
    kBad,   ///< what no engine decodes
  };
  Kind kind = Kind::kStore;
  std::uint64_t address = 0;
  std::uint32_t value = 0;
};

struct ExecSpec {
  std::string queue;
  std::string job;
  std::uint64_t address = 0;        ///< of the batch
  std::vector<BatchCommand> batch;  ///< stored there first, by the client; empty: what is there runs
};

// --- answers ----------------------------------------------------------------------------------------

struct VmaInfo {
  enum class Kind : std::uint8_t { kMirror, kNull, kBo, kUserptr };
  Span span;
  Kind kind = Kind::kMirror;
  AtomicAccess atomic = AtomicAccess::kUndefined;
  Place preferred{};
  MigrationPolicy policy = MigrationPolicy::kAllPages;
  unsigned pat = 0;
  unsigned default_pat = 0;
  bool read_only = false;
  bool autoreset = false;
  bool dumpable = false;
};

struct RangeInfo {
  Span span;
  bool dead = false;    ///< flagged unmapped, waiting for the collector
  bool mapped = false;  ///< valid PTEs on at least one tile
  bool vram = false;    ///< its pages are in VRAM
};

struct PteInfo {
  bool present = false;
  bool writable = false;
  bool vram = false;
  std::uint64_t entry_bytes = 0;  ///< 4K, 64K, 2M
};

/// The system under test. Every method is one complete operation; a failure is the errno the client
/// would see (GPU accesses: the errno of the fault service). Methods are called from one thread, except
/// inside a `parallel` block of a world that says kThreads.
class ScenarioWorld {
 public:
  enum class Parallel : std::uint8_t { kInterleave, kThreads };

  virtual ~ScenarioWorld() = default;
  /// For `only sim` / `only live` lines: "sim", "live".
  virtual std::string backend() const = 0;
  virtual Parallel parallel() const { return Parallel::kInterleave; }

  // devices, VMs, binds
  virtual Status device(const DeviceSpec& spec) = 0;
  virtual Status vm_create(const VmSpec& spec) = 0;
  virtual Status vm_destroy(const std::string& vm) = 0;
  virtual Status bo_create(const BoSpec& spec) = 0;
  virtual Status bind(const BindSpec& spec) = 0;
  /// One ioctl per attribute that is set, in the order atomic, preferred and policy, pat.
  virtual Status madvise(const std::string& vm, Span span, const Attrs& attrs) = 0;
  /// `where` none: as the advice says (CONSULT_MEM_ADVISE_PREF_LOC).
  virtual Status prefetch(const std::string& vm, Span span, const std::optional<Place>& where) = 0;

  // the client; `process` is empty for the mirrored one, else the name a fork gave
  virtual Status cpu_mmap(const std::string& process, const CpuMmap& call) = 0;
  virtual Status cpu_munmap(const std::string& process, Span span) = 0;
  virtual Status cpu_mremap(const std::string& process, const CpuMremap& call) = 0;
  virtual Status cpu_mprotect(const std::string& process, Span span, Protection prot) = 0;
  virtual Status cpu_madvise(const std::string& process, const CpuMadvise& call) = 0;
  virtual Status cpu_mlock(const std::string& process, Span span) = 0;
  virtual Status cpu_munlock(const std::string& process, Span span) = 0;
  virtual Status cpu_fork(const std::string& process, const std::string& child) = 0;
  virtual Status cpu_exit(const std::string& process) = 0;
  virtual Result<std::uint64_t> cpu_read(const std::string& process, const Access& access) = 0;
  virtual Status cpu_write(const std::string& process, const Access& access) = 0;
  virtual Status cpu_fill(const std::string& process, Span span, std::uint8_t value) = 0;
  virtual Status cpu_pin(std::uint64_t address) = 0;
  virtual Status cpu_unpin(std::uint64_t address) = 0;

  // the GPU
  virtual Result<std::uint64_t> gpu_read(const GpuTarget& gpu, const Access& access) = 0;
  virtual Status gpu_write(const GpuTarget& gpu, const Access& access) = 0;
  /// Fetch-and-add; returns the old value.
  virtual Result<std::uint64_t> gpu_atomic(const GpuTarget& gpu, const Access& access) = 0;
  virtual Status gpu_copy(const GpuTarget& gpu, std::uint64_t to, Span from) = 0;
  virtual Status gpu_fill(const GpuTarget& gpu, Span span, std::uint8_t value) = 0;
  /// Until its end. EBADRQC: an illegal instruction, ENOSYS: one that softxe does not have, EDEADLK: all threads wait,
  /// ETIME: it does not end.
  virtual Status gpu_kernel(const KernelSpec& kernel) = 0;

  // queues; engines run only in run() and wait(), on the caller's thread
  virtual Status queue_create(const QueueSpec&) { return no_queues(); }
  virtual Status queue_destroy(const std::string&) { return no_queues(); }
  /// Inside its group.
  virtual Status queue_priority(const std::string&, QueueRank) { return no_queues(); }
  virtual Status exec(const ExecSpec&) { return no_queues(); }
  /// So many slices of any engine, in turn; none: until nothing can run. ETIME: that does not come.
  virtual Status run(const std::optional<std::uint64_t>&) { return no_queues(); }
  /// Runs until the job is complete; the errno of its fence. ETIME: it does not complete.
  virtual Status wait(const std::string&) { return no_queues(); }
  /// pending, or the errno of the job's fence.
  virtual Result<std::string> job_state(const std::string&) { return fail(ENOSYS, "no queues in this world"); }
  /// alive or banned.
  virtual Result<std::string> queue_state(const std::string&) { return fail(ENOSYS, "no queues in this world"); }

  // the driver
  /// VRAM pressure on the allocations with a page in `span`; none: on everything evictable.
  virtual Status evict(const std::optional<Span>& span) = 0;
  /// One collector pass, as the worker does it; EAGAIN (VMAs changed) is success here.
  virtual Status gc(const std::string& vm) = 0;
  /// Lets simulated time pass.
  virtual Status sleep_ns(std::uint64_t ns) = 0;

  // looking; none of these may move a page or run the collector
  virtual Result<std::vector<VmaInfo>> vmas(const std::string& vm) = 0;
  virtual Result<std::vector<RangeInfo>> ranges(const std::string& vm) = 0;
  virtual Result<PteInfo> pte(const GpuTarget& gpu, std::uint64_t address) = 0;
  /// system, zero, hole, swapped, guard, unmapped, or vramN (NAME/vramN when another device's).
  virtual Result<std::string> page(const std::string& process, std::uint64_t address) = 0;
  /// Name of the device that a plain vramN means: the VM's, and for an empty `vm` (pages) the first. Answers of vmas()
  /// and page() leave it out. Empty when it has none.
  virtual std::string plain_device(const std::string&) { return {}; }
  /// By the name of the report or the kernel's GT stat; ENOENT when there is none of that name.
  virtual Result<std::uint64_t> counter(const std::string& name) = 0;
  /// open, banned or closed.
  virtual Result<std::string> vm_state(const std::string& vm) = 0;
  /// 2^va_bits of the VM, for `A..` in expectations.
  virtual Result<std::uint64_t> vm_size(const std::string& vm) = 0;
  /// Whether the engine checks itself as it goes; said before the first device. Off, check_invariants() is not called.
  enum class Checks : std::uint8_t { kOn, kOff };
  virtual void set_checks(Checks) {}
  /// Aborts or reports when an invariant of the engine is broken; run after every statement.
  virtual Status check_invariants() { return {}; }
  /// The same for what can only be checked when all threads of the world rest; at the end of a scenario.
  virtual Status check_at_rest() { return {}; }
  /// What happened since this was asked last; of a world with threads, as far as check_at_rest() has seen it.
  virtual std::vector<Event> take_events() { return {}; }

 private:
  static Status no_queues() { return fail(ENOSYS, "no queues in this world"); }
};

using WorldFactory = std::function<std::unique_ptr<ScenarioWorld>()>;

}  // namespace softxe::scenario
