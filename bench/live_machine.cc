#include "bench/live_machine.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>

namespace softxe::bench {
namespace {

[[noreturn]] void give_up(const char* what, const Error& error) {
  fmt::print(stderr, "{}: {} ({})\n", what, error.why, error.err);
  std::exit(2);
}

std::uint64_t map_bytes(std::uint64_t bytes) {
  void* at = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  SX_ASSERT(at != MAP_FAILED);
  return reinterpret_cast<std::uint64_t>(at);
}

}  // namespace

Memory::Memory(std::uint64_t bytes, Pages pages) : bytes_(bytes), whole_bytes_(align_up(bytes, k2M) + 3 * k2M) {
  whole_ = map_bytes(whole_bytes_);
  at_ = align_up(whole_ + kPageSize, k2M);
  mprotect(reinterpret_cast<void*>(whole_), at_ - whole_, PROT_NONE);
  mprotect(reinterpret_cast<void*>(at_ + bytes_), whole_ + whole_bytes_ - at_ - bytes_, PROT_NONE);
  void* memory = reinterpret_cast<void*>(at_);
  ::madvise(memory, bytes_, pages == Pages::kHuge ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
  for (std::uint64_t i = 0; i < bytes_; i += kPageSize) {
    *reinterpret_cast<volatile std::uint64_t*>(at_ + i) = i;
  }
}

Memory::~Memory() {
  const auto drop = [](std::uint64_t from, std::uint64_t to) {
    if (from < to) munmap(reinterpret_cast<void*>(from), to - from);
  };
  drop(whole_, at_);
  if (owns_middle_) drop(at_, at_ + bytes_);
  drop(at_ + bytes_, whole_ + whole_bytes_);
}

bool Memory::is_huge() const {
  std::FILE* smaps = std::fopen("/proc/self/smaps", "r");
  SX_ASSERT(smaps != nullptr);
  char line[512];
  bool inside = false;
  bool huge = false;
  while (std::fgets(line, sizeof line, smaps) != nullptr) {
    unsigned long start = 0;
    unsigned long end = 0;
    unsigned long kib = 0;
    if (std::sscanf(line, "%lx-%lx ", &start, &end) == 2) inside = start <= at_ && at_ < end;
    if (inside && std::sscanf(line, "AnonHugePages: %lu", &kib) == 1) huge = kib * 1024 >= bytes_;
  }
  std::fclose(smaps);
  return huge;
}

LiveMachine::LiveMachine() {
  const Status done =
      made_.make({.vram_bytes = kVramBytes, .reset = ResetMode::kFlag, .collector = GcWorker::Mode::kManual});
  if (!done) give_up("live memory", done.error());
}

void LiveMachine::advise_device_atomics(HostRange range) {
  auto done = madvise(vm(), mirror_of(range), SetAtomic{AtomicAccess::kDevice});
  if (!done) give_up("advice", done.error());
}

BareMove::BareMove(std::uint64_t window_bytes) : window_bytes_(window_bytes) {
  auto home = live::Uffd::open(live::UffdAccess::kKernelAndUser, live::UffdFeature::kMove);
  auto window = live::Uffd::open(live::UffdAccess::kKernelAndUser, live::UffdFeature::kMove);
  if (!home) give_up("userfaultfd", home.error());
  if (!window) give_up("userfaultfd", window.error());
  uffd_ = std::move(*home);
  window_uffd_ = std::move(*window);
  window_ = align_up(map_bytes(window_bytes + k2M), k2M);
  window_uffd_.register_missing(HostRange::of(HostVa(window_), window_bytes));
}

BareMove::~BareMove() { munmap(reinterpret_cast<void*>(window_), window_bytes_); }

void BareMove::move(live::UffdTransfer transfer) {
  const bool out = transfer.to >= window_ && transfer.to < window_ + window_bytes_;
  const live::Uffd& uffd = out ? window_uffd_ : uffd_;
  while (transfer.bytes > 0) {
    const live::UffdOutcome outcome = uffd.move(transfer);
    if (outcome.err != 0 && outcome.err != EAGAIN) give_up("bare MOVE", {outcome.err, "refused"});
    transfer.to += outcome.done_bytes;
    transfer.from += outcome.done_bytes;
    transfer.bytes -= outcome.done_bytes;
  }
}

void BareMove::discard_window(std::uint64_t bytes) {
  ::madvise(reinterpret_cast<void*>(window_), bytes, MADV_DONTNEED);
}

void BareMove::start_handler(HostRange range, std::uint64_t serve_bytes) {
  home_ = range.start().value();
  serve_bytes_ = serve_bytes;
  stop_fd_ = eventfd(0, EFD_CLOEXEC);
  SX_ASSERT(pthread_create(&handler_, nullptr, handler_main, this) == 0);
}

void BareMove::stop_handler() {
  const std::uint64_t one = 1;
  SX_ASSERT(write(stop_fd_, &one, sizeof one) == sizeof one);
  pthread_join(handler_, nullptr);
  close(stop_fd_);
}

void* BareMove::handler_main(void* self) {
  auto& bare = *static_cast<BareMove*>(self);
  for (;;) {
    pollfd fds[2] = {{bare.uffd_.fd(), POLLIN, 0}, {bare.stop_fd_, POLLIN, 0}};
    poll(fds, 2, -1);
    if (fds[1].revents != 0) return nullptr;
    live::UffdMessage message;
    if (bare.uffd_.read(&message, 1) != 1) continue;
    const std::uint64_t offset = align_down(message.arg[1] - bare.home_, bare.serve_bytes_);
    bare.move({bare.home_ + offset, bare.window_ + offset, bare.serve_bytes_});
  }
}

}  // namespace softxe::bench
