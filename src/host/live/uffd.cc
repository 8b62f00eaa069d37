#include "host/live/uffd.h"

#include <fcntl.h>
#include <linux/ioctl.h>
#include <linux/types.h>
#include <pthread.h>
#include <sys/mman.h>

#include <atomic>

#include "base/clock.h"
#include "base/raw_syscall.h"
#include "host/live/proc_maps.h"

namespace softxe::live {
namespace {

struct Range {
  std::uint64_t start;
  std::uint64_t len;
};
struct ApiArg {
  std::uint64_t api;
  std::uint64_t features;
  std::uint64_t ioctls;
};
struct RegisterArg {
  Range range;
  std::uint64_t mode;
  std::uint64_t ioctls;
};
struct TransferArg {  // COPY and MOVE have the same shape
  std::uint64_t dst;
  std::uint64_t src;
  std::uint64_t len;
  std::uint64_t mode;
  std::int64_t done;
};
struct ZeroArg {
  Range range;
  std::uint64_t mode;
  std::int64_t done;
};

constexpr unsigned kType = 0xAA;
constexpr unsigned long kIoApi = _IOWR(kType, 0x3F, ApiArg);
constexpr unsigned long kIoRegister = _IOWR(kType, 0x00, RegisterArg);
constexpr unsigned long kIoUnregister = _IOR(kType, 0x01, Range);
constexpr unsigned long kIoWake = _IOR(kType, 0x02, Range);
constexpr unsigned long kIoCopy = _IOWR(kType, 0x03, TransferArg);
constexpr unsigned long kIoZero = _IOWR(kType, 0x04, ZeroArg);
constexpr unsigned long kIoMove = _IOWR(kType, 0x05, TransferArg);
constexpr unsigned long kIoDeviceNew = _IO(kType, 0x00);  // on /dev/userfaultfd

constexpr std::uint64_t kApiVersion = 0xAA;
constexpr std::uint64_t kModeMissing = 1;
constexpr int kUserModeOnly = 1;

long ioctl_raw(int fd, unsigned long request, void* arg) { return raw_syscall(SYS_ioctl, fd, request, arg); }

UffdOutcome outcome(long result, std::int64_t done) {
  UffdOutcome out;
  out.err = errno_of(result);
  out.done_bytes = done > 0 ? static_cast<std::uint64_t>(done) : 0;
  return out;
}

Range to_range(HostRange r) { return Range{r.start().value(), r.size()}; }

/// A new descriptor: the system call first, then the device node.
Result<int> new_descriptor(UffdAccess access) {
  const int flags = O_CLOEXEC | O_NONBLOCK | (access == UffdAccess::kUserOnly ? kUserModeOnly : 0);
  long fd = raw_syscall(SYS_userfaultfd, flags);
  if (fd >= 0) return static_cast<int>(fd);
  const int refused = errno_of(fd);
  if (access == UffdAccess::kUserOnly) return fail(refused, "userfaultfd(USER_MODE_ONLY) refused");
  long device = raw_syscall(SYS_openat, AT_FDCWD, "/dev/userfaultfd", O_RDWR | O_CLOEXEC);
  if (device < 0) return fail(refused, "userfaultfd refused and /dev/userfaultfd not accessible");
  fd = raw_syscall(SYS_ioctl, device, kIoDeviceNew, O_CLOEXEC | O_NONBLOCK);
  raw_syscall(SYS_close, device);
  if (fd < 0) return fail(errno_of(fd), "/dev/userfaultfd gives no descriptor");
  return static_cast<int>(fd);
}

}  // namespace

Uffd& Uffd::operator=(Uffd&& other) noexcept {
  if (this != &other) {
    close();
    fd_ = other.fd_;
    other.fd_ = -1;
  }
  return *this;
}

void Uffd::close() {
  if (fd_ >= 0) raw_syscall(SYS_close, fd_);
  fd_ = -1;
}

Result<Uffd> Uffd::open(UffdAccess access, UffdFeature wanted) {
  SX_TRY(int fd, new_descriptor(access));
  Uffd u = adopt(fd);
  ApiArg arg{kApiVersion, static_cast<std::uint64_t>(wanted), 0};
  const long result = ioctl_raw(fd, kIoApi, &arg);
  if (result < 0) return fail(errno_of(result), "userfaultfd lacks a wanted feature");
  return u;
}

int Uffd::register_missing(HostRange range) const {
  RegisterArg arg{to_range(range), kModeMissing, 0};
  return errno_of(ioctl_raw(fd_, kIoRegister, &arg));
}

int Uffd::unregister(HostRange range) const {
  Range arg = to_range(range);
  return errno_of(ioctl_raw(fd_, kIoUnregister, &arg));
}

int Uffd::wake(HostRange range) const {
  Range arg = to_range(range);
  return errno_of(ioctl_raw(fd_, kIoWake, &arg));
}

UffdOutcome Uffd::move(UffdTransfer transfer) const {
  TransferArg arg{transfer.to, transfer.from, transfer.bytes, 0, 0};
  const long result = ioctl_raw(fd_, kIoMove, &arg);
  return outcome(result, arg.done);
}

UffdOutcome Uffd::copy(UffdTransfer transfer) const {
  TransferArg arg{transfer.to, transfer.from, transfer.bytes, 0, 0};
  const long result = ioctl_raw(fd_, kIoCopy, &arg);
  return outcome(result, arg.done);
}

UffdOutcome Uffd::zero(HostRange range) const {
  ZeroArg arg{to_range(range), 0, 0};
  const long result = ioctl_raw(fd_, kIoZero, &arg);
  return outcome(result, arg.done);
}

int Uffd::ask(HostVa page, HostVa unreadable) const {
  TransferArg arg{page.value(), unreadable.value(), kPageSize, 0, 0};
  return errno_of(ioctl_raw(fd_, kIoCopy, &arg));
}

bool Uffd::event_in_flight() const {
  TransferArg arg{0, 0, 0, 0, 0};  // length 0 is EINVAL, but only after the event test
  return errno_of(ioctl_raw(fd_, kIoCopy, &arg)) == EAGAIN;
}

int Uffd::read(UffdMessage* messages, int capacity) const {
  const long n = raw_syscall(SYS_read, fd_, messages, static_cast<std::size_t>(capacity) * sizeof(UffdMessage));
  return n > 0 ? static_cast<int>(static_cast<std::size_t>(n) / sizeof(UffdMessage)) : 0;
}

const char* rung_name(Rung rung) {
  switch (rung) {
    case Rung::kNone: return "none";
    case Rung::kUserOnly: return "user-only";
    case Rung::kFull: return "full";
  }
  return "?";
}

namespace {

/// The writer/mover loop of spec/live-memory.md 7.3 on scratch memory, for at most 50 ms: an EEXIST
/// whose source page is gone shows the defect. One page, one writer.
struct DefectLoop {
  std::atomic<std::uint32_t> round{0};
  std::atomic<bool> stop{false};
  std::atomic<std::uint64_t*> page{nullptr};

  static void* writer(void* self) {
    auto& loop = *static_cast<DefectLoop*>(self);
    std::uint32_t seen = 0;
    while (!loop.stop.load()) {
      const std::uint32_t now = loop.round.load();
      if (now == seen) continue;
      seen = now;
      __atomic_fetch_add(loop.page.load(), 1, __ATOMIC_RELAXED);
    }
    return nullptr;
  }

  static std::byte* map_page() {
    void* p = mmap(nullptr, kPageSize, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return p == MAP_FAILED ? nullptr : static_cast<std::byte*>(p);
  }

  /// The destination is registered, the source is not: nobody must serve its faults here.
  LadderReport::Defect run(const Uffd& uffd, std::byte* from, std::byte* to) {
    auto va = [](std::byte* p) { return reinterpret_cast<std::uint64_t>(p); };
    pthread_t thread;
    page.store(reinterpret_cast<std::uint64_t*>(from));
    if (pthread_create(&thread, nullptr, writer, this) != 0) {
      return LadderReport::Defect::kNotTested;
    }
    auto result = LadderReport::Defect::kAbsent;
    SteadyClock clock;
    const std::uint64_t end_ns = clock.now_ns() + 50'000'000;
    std::uint32_t spins = 0;
    while (clock.now_ns() < end_ns && result == LadderReport::Defect::kAbsent) {
      madvise(from, kPageSize, MADV_DONTNEED);
      madvise(to, kPageSize, MADV_DONTNEED);
      static_cast<void>(*reinterpret_cast<volatile std::uint64_t*>(from));
      round.fetch_add(1);
      for (std::uint32_t i = spins = (spins + 37) % 700; i != 0; --i) asm volatile("pause");
      // The destination was empty when the call began, so EEXIST can only mean that it moved.
      if (uffd.move({va(to), va(from), kPageSize}).err == EEXIST) {
        result = LadderReport::Defect::kPresent;
      }
    }
    stop.store(true);
    pthread_join(thread, nullptr);
    return result;
  }
};

LadderReport::Defect probe_defect(UffdAccess access) {
  auto uffd = Uffd::open(access, UffdFeature::kMove);
  std::byte* from = DefectLoop::map_page();
  std::byte* spacer = DefectLoop::map_page();  // keeps the two pages in VMAs of their own
  std::byte* to = DefectLoop::map_page();
  auto result = LadderReport::Defect::kNotTested;
  if (uffd && from != nullptr && to != nullptr) {
    const auto range = HostRange::of(HostVa(reinterpret_cast<std::uint64_t>(to)), kPageSize);
    DefectLoop loop;
    if (uffd->register_missing(range) == 0) result = loop.run(*uffd, from, to);
  }
  for (std::byte* p : {from, spacer, to}) {
    if (p != nullptr) munmap(p, kPageSize);
  }
  return result;
}

bool is_lack_of_descriptors(int err) { return err == EMFILE || err == ENFILE; }

}  // namespace

namespace {

/// Valgrind's documented request "running on Valgrind?": rotations that add up to nothing elsewhere.
bool under_valgrind() {
  const std::uint64_t request[6] = {0x1001, 0, 0, 0, 0, 0};
  std::uint64_t answer = 0;
  asm volatile("rolq $3, %%rdi\n\trolq $13, %%rdi\n\trolq $61, %%rdi\n\trolq $51, %%rdi\n\txchgq %%rbx, %%rbx"
               : "+d"(answer)
               : "a"(request)
               : "cc", "memory");
  return answer != 0;
}

}  // namespace

LadderReport probe(DefectProbe defect_probe) {
  constexpr auto kEvents = UffdFeature::kEventUnmap | UffdFeature::kEventRemap | UffdFeature::kEventRemove;
  LadderReport report;
  report.has_procmap_query = ProcMaps::query_supported();
  // Valgrind runs one thread at a time. One that waits in the kernel for its page would keep the reader, which is
  // to bring that page, from running: this cannot be tried.
  if (under_valgrind()) {
    report.refusal_errno = EDEADLK;
    return report;
  }
  auto full = Uffd::open(UffdAccess::kKernelAndUser, UffdFeature::kNone);
  const auto access = full ? UffdAccess::kKernelAndUser : UffdAccess::kUserOnly;
  if (!full) report.refusal_errno = full.error().err;
  report.lacked_descriptors = !full && is_lack_of_descriptors(full.error().err);
  auto can = [access, &report](UffdFeature f) {
    const auto opened = Uffd::open(access, f);
    report.lacked_descriptors |= !opened && is_lack_of_descriptors(opened.error().err);
    return opened.has_value();
  };
  report.has_move = can(UffdFeature::kMove);
  report.has_events = can(kEvents);
  report.has_fork_event = can(UffdFeature::kEventFork);
  if (!report.has_move) {
    if (report.refusal_errno == 0) report.refusal_errno = EOPNOTSUPP;
    return report;
  }
  report.rung = full ? Rung::kFull : Rung::kUserOnly;
  if (defect_probe == DefectProbe::kRun50Ms) report.move_defect = probe_defect(access);
  return report;
}

}  // namespace softxe::live
