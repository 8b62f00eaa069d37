// libsoftxe: a software Intel Xe GPU as C++ objects. This header is the whole public interface for C++;
// softxe_c.h has the same for C.
//
//   Process   the memory that devices mirror: a simulated process, or the one this code runs in
//   Device    one card over it: VRAM, page tables, collector
//   Vm        one GPU address space: binds, memory attributes, what can be seen of them
//   Buffer    a buffer object
//   Engine    one hardware engine in a VM: loads, stores, atomics, copies, command batches, kernels;
//             it faults
//
// Objects are handles: copying is cheap, and each keeps alive what it stands on, so they may go in
// any order. All of them may be used from any thread, an Engine from one at a time. Nothing throws,
// except for std::bad_alloc. C++17; needs nothing but the standard library. docs/EMBEDDING.md has a
// program.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>
#include <variant>
#include <vector>

#if defined(_WIN32)
#error "libsoftxe is for Linux"
#endif
#define SOFTXE_API __attribute__((visibility("default")))
#define SOFTXE_INTERNAL __attribute__((visibility("hidden")))

/// Raised when a program that compiled against an older header may not compile any more.
#define SOFTXE_API_VERSION 1

namespace softxe::api {

/// A failure: a positive errno value, and one line for a reader. `reason` lives for ever.
struct Error {
  int err = 0;
  const char* reason = "";
};

/// A value or an Error. Reading the wrong one is undefined: ask first.
template <typename T>
class [[nodiscard]] Result {
 public:
  Result(T value) : holds_(std::in_place_index<0>, std::move(value)) {}
  Result(Error error) : holds_(std::in_place_index<1>, error) {}
  explicit operator bool() const { return holds_.index() == 0; }
  T& operator*() { return *std::get_if<0>(&holds_); }
  const T& operator*() const { return *std::get_if<0>(&holds_); }
  T* operator->() { return std::get_if<0>(&holds_); }
  const T* operator->() const { return std::get_if<0>(&holds_); }
  const Error& error() const { return *std::get_if<1>(&holds_); }

 private:
  std::variant<T, Error> holds_;
};

/// Success or an Error.
class [[nodiscard]] Status {
 public:
  Status() = default;
  Status(Error error) : error_(error) {}
  explicit operator bool() const { return error_.err == 0; }
  const Error& error() const { return error_; }

 private:
  Error error_;
};

/// Addresses [start, start + bytes). CPU and GPU addresses of a mirror are the same numbers.
struct Range {
  std::uint64_t start = 0;
  std::uint64_t bytes = 0;
};

// --- the process --------------------------------------------------------------------------------------------------

enum class Protection : std::uint8_t { kNone, kRead, kReadWrite };
/// kAbsent: mapped, but no page there yet.
enum class PageState : std::uint8_t { kUnmapped, kAbsent, kSystem, kVram };

struct LiveOptions {
  enum class Dma : std::uint8_t { kMove, kCopy };
  /// kInstall: SIGSEGV and SIGBUS get a handler that knows the engine's guarded accesses and
  /// otherwise restores the default action. kCaller: the caller's handler asks fixed_up() first.
  enum class Signals : std::uint8_t { kInstall, kCaller };
  /// kPatchLibc: system calls that libc makes (free, munmap, fork ...) are seen before they happen.
  /// Only while the process has one thread, and for one live Process at a time. kNone: whoever
  /// changes mirrored memory uses the methods below; other calls are noticed after the fact.
  enum class Hooks : std::uint8_t { kNone, kPatchLibc };
  Dma dma = Dma::kMove;
  Signals signals = Signals::kInstall;
  Hooks hooks = Hooks::kNone;
};

// What happened, and why: one record each (docs/TRACE.md 1 describes every field and kind).
struct Event {
  std::uint64_t seq = 0;     ///< from 1, without gaps
  std::uint64_t parent = 0;  ///< seq of the event that caused it; 0: the program's own call or access
  std::uint64_t time_ns = 0;
  std::uint64_t address = 0;  ///< of the interval it is about
  std::uint64_t bytes = 0;
  std::uint64_t word = 0;  ///< belongs to the kind
  std::uint32_t thread = 0;
  std::uint32_t asid = 0;                 ///< of the VM; 0: none
  int err = 0;                            ///< errno, where something was refused
  unsigned device = 0;                    ///< in the order in which they were made
  const char* kind = "";                  ///< "fault", "migrate", "unmap" ...; lives for ever
  const char* cause = "";                 ///< "gpu-fault", "eviction" ..., or ""; lives for ever
  PageState from = PageState::kUnmapped;  ///< of a move: kSystem or kVram; kUnmapped: does not say
  PageState to = PageState::kUnmapped;
};

/// Reads the events of a process. A handle; one thread at a time.
class SOFTXE_API EventReader {
 public:
  /// What happened since this was asked last, in order.
  std::vector<Event> read();
  /// Events that found no room: 65536 fit between two reads.
  std::uint64_t lost() const;
  /// What the events read so far say that a counter of a device is: the number Device::counter() has, when the reader
  /// was there from the beginning and nothing was lost. ENOENT: no such counter, or one that no event carries.
  Result<std::uint64_t> counted(const char* name, unsigned device = 0) const;

 private:
  friend class Process;
  struct SOFTXE_INTERNAL Impl;
  explicit EventReader(std::shared_ptr<Impl> impl) : impl_(std::move(impl)) {}
  std::shared_ptr<Impl> impl_;
};

class SOFTXE_API Process {
 public:
  /// A process with nothing in it, time that moves only when told to, and no threads.
  static Result<Process> simulated();
  /// The process this code runs in. Memory that its GPU touches must not hold the engine's own
  /// objects: the heap of malloc is kept out of VRAM, what the caller maps is not. ENOMEM, EPERM.
  static Result<Process> live(const LiveOptions& options = {});

  bool is_simulated() const;
  /// Whether pages can move to VRAM; on a machine without userfaultfd's MOVE they are used in
  /// place.
  bool can_migrate() const;

  // System calls of the process, errno as the kernel gives it. GPU mappings are gone when one
  // returns.
  /// Anonymous private memory, at `at` unless that is 0. EEXIST: in use.
  Result<std::uint64_t> map(std::uint64_t bytes, std::uint64_t at = 0);
  Status unmap(Range range);
  Status protect(Range range, Protection protection);
  /// madvise(MADV_DONTNEED).
  Status discard(Range range);
  /// mremap(MREMAP_MAYMOVE): the new address.
  Result<std::uint64_t> remap(Range range, std::uint64_t new_bytes);
  /// Any memory call by its number; live only. Returns what the kernel does: a negative errno.
  long system_call(long number, const std::array<long, 6>& arguments);

  // Loads and stores of the CPU. EFAULT: would have been SIGSEGV.
  Status read(std::uint64_t at, void* to, std::size_t bytes);
  Status write(std::uint64_t at, const void* from, std::size_t bytes);
  PageState page_state(std::uint64_t at);

  /// From now on what happens is recorded, as long as this process lives; call it before any device is made to miss
  /// nothing. One process of a program at a time: EBUSY. A second reader goes on where the first one stopped.
  Result<EventReader> events();

  /// Simulated only: time passes.
  void advance_ns(std::uint64_t ns);

  /// Around fork() without Hooks::kPatchLibc, for pthread_atfork: everything comes home, then
  /// parent and child go on alone. In the child no object works any more. Live only.
  void before_fork();
  void after_fork_in_parent();
  void after_fork_in_child();
  /// For signal handlers: true when the fault was the engine's and the handler has to return.
  static bool fixed_up(void* ucontext);

  struct SOFTXE_INTERNAL Impl;

 private:
  friend class Device;
  explicit Process(std::shared_ptr<Impl> impl) : impl_(std::move(impl)) {}
  std::shared_ptr<Impl> impl_;
};

// --- devices ------------------------------------------------------------------------------------------------------

/// When the collector puts attributes back after an unmap: for mirrors bound with it (Linux 7.2),
/// for every range, or for those bound with it by exactly what was unmapped.
enum class AttributeReset : std::uint8_t { kFlag, kAlways, kExact };
/// kManual: passes run in faults, binds and collect() only; then everything is deterministic.
enum class Collector : std::uint8_t { kManual, kThread };

struct DeviceOptions {
  const char* profile = "bmg";  ///< bmg, pvc, lnl, cri, nvlp
  /// Per tile; 0: as the profile says. Allowed are 2 MiB to 1 TiB in steps of 2 MiB; otherwise create() fails: EINVAL.
  std::uint64_t vram_bytes = 0;
  AttributeReset reset = AttributeReset::kFlag;
  Collector collector = Collector::kManual;
};

struct VmOptions {
  /// kFault: GPU page faults, mirrors and attributes. kLongRunning, kDmaFence: buffers only.
  enum class Mode : std::uint8_t { kFault, kLongRunning, kDmaFence };
  enum class Scratch : std::uint8_t { kOff, kOn };
  Mode mode = Mode::kFault;
  Scratch scratch = Scratch::kOff;
};

class Vm;
class Engine;

class SOFTXE_API Buffer {
 public:
  std::uint64_t bytes() const;
  /// Its contents; valid as long as the handle.
  void* data() const;
  bool in_vram() const;

  struct SOFTXE_INTERNAL Impl;

 private:
  friend class Device;
  friend class Vm;
  explicit Buffer(std::shared_ptr<Impl> impl) : impl_(std::move(impl)) {}
  std::shared_ptr<Impl> impl_;
};

class SOFTXE_API Device {
 public:
  /// EINVAL: no such profile. ENOMEM.
  static Result<Device> create(const Process& process, const DeviceOptions& options = {});
  Result<Vm> create_vm(const VmOptions& options = {});
  enum class Placement : std::uint8_t { kSystem, kVram, kEither };
  Result<Buffer> create_buffer(std::uint64_t bytes, Placement placement);

  unsigned tiles() const;
  /// How long a page stays after it was moved for an atomic, whoever wants it. 5 ms at first.
  void set_atomic_residency_ns(std::uint64_t ns);
  /// Memory pressure: everything in VRAM goes back.
  Status evict_all();

  /// Counted since the device was made, over all its VMs. ENOENT: no counter of that name.
  Result<std::uint64_t> counter(const char* name) const;
  /// nullptr behind the last one.
  static const char* counter_name(std::size_t index);

  struct SOFTXE_INTERNAL Impl;

 private:
  friend class Vm;
  explicit Device(std::shared_ptr<Impl> impl) : impl_(std::move(impl)) {}
  std::shared_ptr<Impl> impl_;
};

// --- address spaces -----------------------------------------------------------------------------------------------

enum class Access : std::uint8_t { kReadWrite, kReadOnly };
enum class AutoReset : std::uint8_t { kOff, kOn };
enum class Atomics : std::uint8_t { kUndefined, kDevice, kGlobal, kCpu };
/// Where pages should live: kDefault is the VRAM of whoever faults.
struct Location {
  enum class Kind : std::uint8_t { kDefault, kSystem, kVram };
  Kind kind = Kind::kDefault;
  unsigned tile = 0;  ///< kVram: of the VM's device
};

struct VmaInfo {
  enum class Kind : std::uint8_t { kBuffer, kNull, kMirror, kUserptr };
  Range range;
  Kind kind = Kind::kMirror;
  Access access = Access::kReadWrite;
  AutoReset autoreset = AutoReset::kOff;
  Atomics atomics = Atomics::kUndefined;
  Location preferred;
  bool default_attributes = true;
};
/// A piece of the mirror that a fault has dealt with.
struct RangeInfo {
  Range range;
  bool in_vram = false;
  bool mapped = false;  ///< has valid page-table entries
};
/// What the page table of a tile says about an address.
struct Translation {
  enum class Kind : std::uint8_t { kNone, kSystem, kVram, kScratch };
  Kind kind = Kind::kNone;
  bool writable = false;
  std::uint64_t entry_bytes = 0;  ///< size of the page
};

/// Errors of all changes are those of the ioctls (docs/spec/vm.md). Ranges are page aligned.
class SOFTXE_API Vm {
 public:
  std::uint64_t bytes() const;
  unsigned tiles() const;

  struct MirrorOptions {
    AutoReset autoreset = AutoReset::kOff;
    Access access = Access::kReadWrite;
  };
  /// GPU addresses of `range` mean the process's own memory.
  Status bind_mirror(Range range, const MirrorOptions& options);
  Status bind_mirror(Range range) { return bind_mirror(range, MirrorOptions{}); }
  Status bind_buffer(Range range, const Buffer& buffer, std::uint64_t offset_bytes = 0);
  /// Reads zero, drops writes.
  Status bind_null(Range range);
  Status unbind(Range range);
  /// Moves and maps without a fault; best effort.
  Status prefetch(Range range, Location to);

  Status advise_atomics(Range range, Atomics atomics);
  Status advise_location(Range range, Location location);

  /// One pass of the collector over unmapped ranges.
  Status collect();

  /// Both in address order; vmas() runs the collector first.
  Result<std::vector<VmaInfo>> vmas();
  std::vector<RangeInfo> ranges();
  Translation translate(std::uint64_t at, unsigned tile = 0);

  /// An engine on a tile of its own choice. EINVAL: no such tile.
  Result<Engine> create_engine(unsigned tile = 0);
  /// Same counters as the device's, of this VM.
  Result<std::uint64_t> counter(const char* name) const;

  struct SOFTXE_INTERNAL Impl;

 private:
  friend class Device;
  friend class Engine;
  explicit Vm(std::shared_ptr<Impl> impl) : impl_(std::move(impl)) {}
  std::shared_ptr<Impl> impl_;
};

/// Machine code of the execution units (docs/spec/eu-isa.md) in memory, and what to run it over.
///
/// A thread starts with the work-item ids of its lanes within the group in r1 (16 bits each), the
/// group's id in r0.1, r0.6 and r0.7, and the first 32 bytes of the arguments in r2.
struct Kernel {
  std::uint64_t code = 0;  ///< address of the first instruction, 8-aligned
  std::array<std::uint32_t, 3> groups{1, 1, 1};
  std::uint32_t group_items = 16;  ///< work-items of a group, in x: at most 64 threads
  std::uint32_t lanes = 16;        ///< work-items of a thread: 16 or 32
  std::uint32_t local_bytes = 0;   ///< shared local memory of a group, at most 384 KiB
  /// Address of the arguments, of at least 32 bytes; 0: none, r2 is zero. Messages with 32-bit
  /// addresses through bti[255] count from here.
  std::uint64_t arguments = 0;
};

/// Where a text is wrong, both from 1.
struct TextPlace {
  std::size_t line = 0;
  std::size_t column = 0;
};
/// Assembly (docs/KERNELS.md) to machine code. EINVAL with a reason; then `wrong`, unless null, has
/// the place.
SOFTXE_API Result<std::vector<std::byte>> assemble(const char* text, TextPlace* wrong = nullptr);

/// Every access translates, faults and retries. A refused fault gives its errno and reason; part of
/// the access may have been done then.
class SOFTXE_API Engine {
 public:
  Status read(std::uint64_t at, void* to, std::size_t bytes);
  Status write(std::uint64_t at, const void* from, std::size_t bytes);
  Status fill(Range range, std::uint8_t value);
  Status copy(std::uint64_t to, Range from);

  // Of one naturally aligned word; return what was there before.
  Result<std::uint32_t> fetch_add32(std::uint64_t at, std::uint32_t addend);
  Result<std::uint64_t> fetch_add64(std::uint64_t at, std::uint64_t addend);
  struct Exchange {
    std::uint64_t expected;
    std::uint64_t desired;
  };
  Result<std::uint64_t> compare_exchange64(std::uint64_t at, Exchange exchange);

  /// Executes commands (docs/spec/gpu-commands.md) from `at` on until the batch ends, at most
  /// `commands_max`. EBADRQC: a bad command. ENOSYS: it needs shaders. ETIME: commands used up.
  /// EAGAIN: waits for memory to change (a semaphore); call continue_batch().
  Status run_batch(std::uint64_t at, std::uint32_t commands_max = 1u << 20);
  Status continue_batch(std::uint32_t commands_max = 1u << 20);

  /// Runs a kernel until all of its threads have ended, at most `instructions_max` instructions, on
  /// this thread alone. What was done stays done after an error. EINVAL: no such kernel. EBADRQC: an
  /// illegal instruction. ENOSYS: one that softxe does not have. EDEADLK: all threads wait for each
  /// other. ETIME: instructions used up; call continue_kernel(). Another kernel ends it, too.
  Status run_kernel(const Kernel& kernel, std::uint64_t instructions_max = 1ull << 32);
  Status continue_kernel(std::uint64_t instructions_max = 1ull << 32);

  struct SOFTXE_INTERNAL Impl;

 private:
  friend class Vm;
  explicit Engine(std::shared_ptr<Impl> impl) : impl_(std::move(impl)) {}
  std::shared_ptr<Impl> impl_;
};

}  // namespace softxe::api
