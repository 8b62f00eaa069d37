#include "drv/exec/sync_file.h"

#include <array>
#include <atomic>
#include <cstring>

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/eventfd.h>

#include "base/raised_limit.h"
#include "base/raw_syscall.h"

namespace softxe {

namespace {

/// Of two fences of one timeline the later one stands for both.
void add_part(std::vector<SyncFilePart>& parts, const SyncFilePart& part) {
  for (SyncFilePart& there : parts) {
    if (there.fence == part.fence) return;
    if (part.context == 0 || there.context != part.context) continue;
    if (static_cast<std::int32_t>(part.seqno - there.seqno) > 0) there = part;
    return;
  }
  parts.push_back(part);
}

}  // namespace

Result<std::shared_ptr<EventFd>> EventFd::make() {
  const RaisedLimit raised(LimitKind::kDescriptors);
  SX_TRY(const OwnedFd low,
         OwnedFd::take(raw_syscall(SYS_eventfd2, 0, EFD_CLOEXEC | EFD_NONBLOCK), "no free descriptor"));
  SX_TRY(OwnedFd high, OwnedFd::duplicate_high(low.get()));
  return std::make_shared<EventFd>(std::move(high));
}

Result<std::shared_ptr<EventFd>> EventFd::from_client(int fd) {
  SX_TRY(OwnedFd own, OwnedFd::duplicate_high(fd));
  std::array<char, 64> path{};
  std::array<char, 64> name{};
  *fmt::format_to(path.data(), "/proc/thread-self/fd/{}", own.get()) = '\0';
  const long length =
      raw_syscall(SYS_readlinkat, AT_FDCWD, path.data(), name.data(), static_cast<long>(name.size() - 1));
  if (errno_of(length) != 0 || std::strcmp(name.data(), "anon_inode:[eventfd]") != 0)
    return fail(EINVAL, "descriptor is not an eventfd");
  return std::make_shared<EventFd>(std::move(own));
}

void EventFd::add_one() {
  // The client's eventfd may be a blocking one: EFD_NONBLOCK is a flag of the open file, which is the
  // client's. A counter at its maximum would block the signaller, so look before writing.
  const std::uint64_t one = 1;
  pollfd entry{fd_.get(), POLLOUT, 0};
  const timespec at_once{};
  if (raw_syscall(SYS_ppoll, &entry, 1, &at_once, nullptr, 0) == 1) raw_syscall(SYS_write, fd_.get(), &one, sizeof one);
}

std::uint64_t new_fence_context() {
  static std::atomic<std::uint64_t> last{0};
  return last.fetch_add(1) + 1;
}

Result<std::shared_ptr<SyncFile>> SyncFile::make(std::vector<SyncFilePart> parts, FencePtr fence) {
  SX_TRY(std::shared_ptr<EventFd> event, EventFd::make());
  fence->on_signal([event] { event->add_one(); });
  return std::make_shared<SyncFile>(std::move(parts), std::move(fence), std::move(event));
}

Result<std::shared_ptr<SyncFile>> SyncFile::make(SyncFilePart part) {
  FencePtr fence = part.fence;
  return make(std::vector<SyncFilePart>{std::move(part)}, std::move(fence));
}

Result<std::shared_ptr<SyncFile>> SyncFile::merge(const SyncFile& a, const SyncFile& b) {
  std::vector<SyncFilePart> parts(a.parts_);
  for (const SyncFilePart& part : b.parts_) add_part(parts, part);
  std::vector<FencePtr> fences;
  for (const SyncFilePart& part : parts) fences.push_back(part.fence);
  return make(std::move(parts), all_of(fences));
}

int SyncFile::status_of(const Fence& fence) {
  if (!fence.signalled()) return 0;
  return fence.error() == 0 ? 1 : -fence.error();
}

}  // namespace softxe
