// userfaultfd: own ioctl numbers, an owning descriptor, and the feature ladder of this machine.
//
// The distribution's headers are older than UFFDIO_MOVE (Linux 6.8), so everything the project uses
// is declared here with its own names (values: the kernel's user ABI). What an ioctl reports is
// returned as (positive errno, bytes done); judging EEXIST, EAGAIN and ENOENT is live_move.h's work.
#pragma once

#include <cstdint>
#include <optional>

#include "base/address.h"
#include "base/result.h"

namespace softxe::live {

/// One message of a userfaultfd (32 bytes).
struct UffdMessage {
  enum Event : std::uint8_t {
    kPageFault = 0x12,
    kFork = 0x13,
    kRemap = 0x14,
    kRemove = 0x15,
    kUnmap = 0x16,
  };
  std::uint8_t event;
  std::uint8_t reserved[7];
  /// kPageFault: flags, address. kFork: descriptor. kRemap: from, to, length. Others: start, end.
  std::uint64_t arg[3];

  /// What was unmapped or discarded; nothing for other events.
  std::optional<HostRange> range_gone() const {
    if (event != kUnmap && event != kRemove) return std::nullopt;
    return HostRange::between(HostVa(arg[0]), HostVa(arg[1]));
  }
  /// The same, and what was moved away.
  std::optional<HostRange> range_left() const {
    return event == kRemap ? HostRange::of(HostVa(arg[0]), arg[2]) : range_gone();
  }
};
static_assert(sizeof(UffdMessage) == 32);

enum class UffdFeature : std::uint64_t {
  kNone = 0,
  kEventFork = 1u << 1,
  kEventRemap = 1u << 2,
  kEventRemove = 1u << 3,
  kEventUnmap = 1u << 6,
  kSigbus = 1u << 7,  ///< a missing page is SIGBUS for its toucher, EFAULT for a system call; no message
  kMove = 1u << 16,
};
constexpr UffdFeature operator|(UffdFeature a, UffdFeature b) {
  return static_cast<UffdFeature>(static_cast<std::uint64_t>(a) | static_cast<std::uint64_t>(b));
}
constexpr bool has(UffdFeature set, UffdFeature wanted) {
  return (static_cast<std::uint64_t>(set) & static_cast<std::uint64_t>(wanted)) == static_cast<std::uint64_t>(wanted);
}

/// How the descriptor was obtained; decides whether system calls may touch missing pages.
enum class UffdAccess : std::uint8_t { kKernelAndUser, kUserOnly };

/// What a fill or move ioctl did.
struct UffdOutcome {
  int err = 0;                   ///< positive errno; EAGAIN also for "a part was done"
  std::uint64_t done_bytes = 0;  ///< from the start of the request
};

/// Source and destination of a copy or move; both page aligned.
struct UffdTransfer {
  std::uint64_t to;
  std::uint64_t from;
  std::uint64_t bytes;
};

/// An owned userfaultfd. Thread-safe as the kernel's object is; immovable state, movable owner.
class Uffd {
 public:
  Uffd() = default;
  ~Uffd() { close(); }
  Uffd(const Uffd&) = delete;
  Uffd& operator=(const Uffd&) = delete;
  Uffd(Uffd&& other) noexcept : fd_(other.fd_) { other.fd_ = -1; }
  Uffd& operator=(Uffd&& other) noexcept;

  /// Opens a non-blocking descriptor and negotiates the API. `wanted` features that this kernel
  /// lacks or refuses are an error: the caller climbs down its own ladder.
  static Result<Uffd> open(UffdAccess access, UffdFeature wanted);
  /// Takes over a descriptor that arrived in a fork event.
  static Uffd adopt(int fd) {
    Uffd u;
    u.fd_ = fd;
    return u;
  }

  int fd() const { return fd_; }
  explicit operator bool() const { return fd_ >= 0; }
  void close();

  /// MISSING mode. EBUSY: another userfaultfd owns a part.
  int register_missing(HostRange range) const;
  int unregister(HostRange range) const;
  int wake(HostRange range) const;
  /// Mode 0 always: never ALLOW_SRC_HOLES (spec/live-memory.md 7.3).
  UffdOutcome move(UffdTransfer transfer) const;
  UffdOutcome copy(UffdTransfer transfer) const;
  UffdOutcome zero(HostRange range) const;
  /// ENOENT: the memory at `page` is registered with no userfaultfd. EAGAIN: as for any fill. Fills nothing: it is
  /// a copy from `unreadable`, a page that nobody can read, and the destination is looked at first.
  int ask(HostVa page, HostVa unreadable) const;
  /// True while an event waits to be read or its causer has not yet resumed (the 185 ns probe).
  bool event_in_flight() const;
  /// Reads up to `capacity` messages; 0 when there is none.
  int read(UffdMessage* messages, int capacity) const;

 private:
  int fd_ = -1;
};

/// What this process may do. Tried, never inferred.
enum class Rung : std::uint8_t {
  kNone,      ///< no migration; the GPU works on system memory
  kUserOnly,  ///< migration of named ranges only
  kFull,      ///< MOVE, and faults of the kernel are served too
};
const char* rung_name(Rung rung);

struct LadderReport {
  enum class Defect : std::uint8_t { kNotTested, kAbsent, kPresent };
  Rung rung = Rung::kNone;
  int refusal_errno = 0;  ///< why not kFull; 0 on kFull
  bool has_move = false;
  bool has_events = false;  ///< UNMAP, REMAP, REMOVE
  bool has_fork_event = false;
  bool has_procmap_query = false;
  bool lacked_descriptors = false;          ///< EMFILE or ENFILE on the way: the answer is not the machine's
  Defect move_defect = Defect::kNotTested;  ///< EEXIST of a page that did move (7.3)
};

enum class DefectProbe : std::uint8_t { kSkip, kRun50Ms };

/// Climbs the ladder. Leaves nothing open. With kRun50Ms also starts a thread for 50 ms (doctor only).
LadderReport probe(DefectProbe defect_probe);

}  // namespace softxe::live
