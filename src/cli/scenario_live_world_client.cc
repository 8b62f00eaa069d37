#include "cli/scenario_live_world_client.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <csignal>

#include "base/guarded.h"
#include "base/log.h"

namespace softxe::scenario::live_client {
namespace {

thread_local volatile sig_atomic_t last_signal = 0;

void on_signal(int number, siginfo_t*, void* context) {
  last_signal = number;
  if (guarded_fixup(static_cast<ucontext_t*>(context))) return;
  std::signal(number, SIG_DFL);  // the instruction runs again and ends the program
}

constexpr std::size_t kDeviceObjectsMax = 64;
std::array<std::atomic<std::uint64_t>, kDeviceObjectsMax> device_inodes{};

void remember_device(int fd) {
  struct stat info {};
  if (fstat(fd, &info) != 0) return;
  for (auto& slot : device_inodes) {
    std::uint64_t none = 0;
    if (slot.compare_exchange_strong(none, info.st_ino)) return;
  }
}

int open_object(Object object, std::uint64_t bytes) {
  // A file must stand on a disk: memory file systems are shared memory to the kernel.
  int fd = object == Object::kFile ? open("/var/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600)
                                   : memfd_create("softxe-scenario", MFD_CLOEXEC);
  if (fd >= 0 && ftruncate(fd, static_cast<off_t>(bytes)) != 0) {
    close(fd);
    fd = -1;
  }
  if (fd >= 0 && object == Object::kDevice) remember_device(fd);
  return fd;
}

Reply system_call(long number, const std::array<long, 6>& a, live::LiveHostMm* mm) {
  long got = 0;
  if (mm != nullptr) {
    got = mm->hook_syscall(number, a);
  } else {
    got = syscall(number, a[0], a[1], a[2], a[3], a[4], a[5]);
    if (got == -1) got = -errno;
  }
  if (got < 0 && got > -4096) return {static_cast<int>(-got), 0};
  return {0, static_cast<std::uint64_t>(got)};
}

Reply map(const Call& call, live::LiveHostMm* mm) {
  std::array<long, 6> args = call.args;
  int fd = -1;
  if (call.object != Object::kNone) {
    fd = open_object(call.object, call.bytes);
    if (fd < 0) return {errno, 0};
    args[4] = fd;
  }
  Reply reply = system_call(SYS_mmap, args, mm);
  if (fd >= 0) close(fd);
  return reply;
}

/// EFAULT or EIO, as the signal says.
Reply access_result(bool done, std::uint64_t value) {
  if (done) return {0, value};
  return {last_signal == SIGBUS ? EIO : EFAULT, 0};
}

// PAGEMAP_SCAN (Linux 6.7), which older headers lack.
struct ScanArgs {
  std::uint64_t size, flags, start, end, walk_end, vec, vec_len, max_pages;
  std::uint64_t category_inverted, category_mask, category_anyof_mask, return_mask;
};
struct ScanRegion {
  std::uint64_t start, end, categories;
};
constexpr std::uint64_t kScanPresent = 1u << 3;
constexpr std::uint64_t kScanZero = 1u << 5;

bool is_zero_page(int pagemap, std::uint64_t page) {
  ScanRegion region{};
  ScanArgs args{};
  args.size = sizeof args;
  args.start = page;
  args.end = page + kPageSize;
  args.vec = reinterpret_cast<std::uint64_t>(&region);
  args.vec_len = 1;
  args.category_mask = kScanPresent;
  args.return_mask = kScanPresent | kScanZero;
  const int got = ioctl(pagemap, _IOWR('f', 16, ScanArgs), &args);
  return got == 1 && (region.categories & kScanZero) != 0;
}

Reply page(std::uint64_t address) {
  const std::uint64_t at = align_down(address, kPageSize);
  const int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
  if (fd < 0) return {errno, 0};
  std::uint64_t word = 0;
  const auto offset = static_cast<off_t>((at >> kPageShift) * sizeof word);
  const bool read_it = pread(fd, &word, sizeof word, offset) == sizeof word;
  std::uint64_t value = 0;
  if ((word >> 63) & 1) value |= kPresent;
  if ((word >> 62) & 1) value |= kSwapped;
  if ((word >> 58) & 1) value |= kGuard;
  if ((value & kPresent) != 0 && is_zero_page(fd, at)) value |= kZero;
  close(fd);
  unsigned char resident = 0;
  if (mincore(reinterpret_cast<void*>(at), kPageSize, &resident) == 0) value |= kMapped;
  return {read_it ? 0 : EIO, value};
}

}  // namespace

bool is_device_object(std::uint64_t, std::uint64_t inode) {
  return std::any_of(device_inodes.begin(), device_inodes.end(),
                     [inode](const auto& known) { return inode != 0 && known.load() == inode; });
}

void install_fault_handler() {
  struct sigaction action {};
  action.sa_sigaction = on_signal;
  action.sa_flags = SA_SIGINFO | SA_NODEFER;
  sigaction(SIGSEGV, &action, nullptr);
  sigaction(SIGBUS, &action, nullptr);
}

Reply perform(const Call& call, live::LiveHostMm* mm) {
  void* at = reinterpret_cast<void*>(call.address);
  last_signal = 0;
  switch (call.op) {
    case Op::kSyscall: return system_call(call.number, call.args, mm);
    case Op::kMmap: return map(call, mm);
    case Op::kLoad: {
      std::uint64_t value = 0;
      const bool done = guarded_copy(&value, at, call.bytes);
      return access_result(done, value);
    }
    case Op::kStore: return access_result(guarded_copy(at, &call.value, call.bytes), 0);
    case Op::kFill: return access_result(guarded_fill(at, static_cast<std::uint8_t>(call.value), call.bytes), 0);
    case Op::kPage: return page(call.address);
    case Op::kExit: return {};
  }
  return {EINVAL, 0};
}

// --- children -------------------------------------------------------------------------------------------

void Children::serve(int socket) {
  for (;;) {
    Call call;
    if (recv(socket, &call, sizeof call, 0) != sizeof call) _exit(0);
    const Reply reply = perform(call, nullptr);
    if (send(socket, &reply, sizeof reply, MSG_NOSIGNAL) != sizeof reply) _exit(1);
    if (call.op == Op::kExit) _exit(0);
  }
}

Status Children::fork_child(const std::string& name, live::LiveHostMm& mm) {
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0) {
    return fail(errno, "no socket for the child");
  }
  mm.fork_before();
  const int pid = fork();
  if (pid == 0) {
    mm.fork_after_child();
    close(ends[0]);
    serve(ends[1]);
  }
  const int err = errno;
  mm.fork_after_parent();
  close(ends[1]);
  if (pid < 0) {
    close(ends[0]);
    return fail(err, "fork failed");
  }
  children_[name] = {pid, ends[0]};
  return {};
}

Result<std::uint64_t> Children::call(const std::string& name, const Call& call) {
  auto it = children_.find(name);
  if (it == children_.end()) return fail(ESRCH, "no process of that name");
  Reply reply;
  if (send(it->second.socket, &call, sizeof call, MSG_NOSIGNAL) != sizeof call ||
      recv(it->second.socket, &reply, sizeof reply, 0) != sizeof reply) {
    return fail(ESRCH, "the child is gone");
  }
  if (call.op == Op::kExit) {
    waitpid(it->second.pid, nullptr, 0);
    close(it->second.socket);
    children_.erase(it);
  }
  if (reply.err != 0) return fail(reply.err, "the child's call failed");
  return reply.value;
}

Children::~Children() {
  for (auto& [name, child] : children_) {
    kill(child.pid, SIGKILL);
    waitpid(child.pid, nullptr, 0);
    close(child.socket);
  }
}

}  // namespace softxe::scenario::live_client
