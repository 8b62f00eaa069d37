// Other doors of the kernel to the client's memory: its own userfaultfd, and mincore().
#include <algorithm>
#include <cstring>

#include "base/guarded.h"
#include "host/live/live_host_mm.h"
#include "host/live/raw_syscall.h"

namespace softxe::live {
namespace {

// The kernel's user ABI of userfaultfd, as far as a request may concern memory that is ours to know.
constexpr unsigned long kRegister = 0xc020aa00;  // start, length, mode, ioctls
constexpr unsigned long kMove = 0xc028aa05;      // to, from, length, mode, moved
constexpr std::size_t kWordsMax = 5;

struct Door {
  unsigned long request;
  std::size_t words;
  std::size_t start;  ///< index of the word with the start of the range that pages must be home in
  std::size_t length;
  /// What happens to the pages; none: they stay.
  std::optional<HostEvent> event;
};
constexpr Door kDoors[] = {
    // What is registered with us cannot be registered with another one.
    {kRegister, 4, 0, 1, std::nullopt},
    // The source; the destination is registered with the client's and so has nothing of ours.
    {kMove, 5, 1, 2, HostEvent::kClear},
};

}  // namespace

/// The other requests fill or release memory that is registered with the client's descriptor.
bool LiveHostMm::is_door(unsigned long request) {
  return std::any_of(std::begin(kDoors), std::end(kDoors), [&](const Door& d) { return d.request == request; });
}

long LiveHostMm::hook_userfaultfd(int fd, unsigned long request, void* argument) {
  const Door* door =
      std::find_if(std::begin(kDoors), std::end(kDoors), [&](const Door& d) { return d.request == request; });
  SX_ASSERT(door != std::end(kDoors));
  // A copy: the client's may be in VRAM itself, and is read by the kernel under our lock.
  std::uint64_t words[kWordsMax] = {};
  const std::size_t bytes = door->words * sizeof words[0];
  if (disabled() || !guarded_copy(words, argument, bytes)) return raw_syscall(SYS_ioctl, fd, request, argument);
  const auto range = HostRange::make(HostVa(words[door->start]), words[door->length]);
  if (range && request == kRegister) {
    Locked lock(*this);
    client_uffd_.note(*range);  // before it is so: a fault may come in between
  }
  if (!range || !tracked(*range)) return raw_syscall(SYS_ioctl, fd, request, argument);
  long result = 0;
  {
    Locked lock(*this);
    static_cast<void>(insist_home(*range));
    if (residency_.first_in(*range)) return -ENOMEM;
    if (door->event) notify(*range, *door->event);
    unregister_range(*range);
    note_real_borders(*range);
    result = raw_syscall(SYS_ioctl, fd, request, static_cast<void*>(words));
  }
  return guarded_copy(argument, words, bytes) ? result : -EFAULT;
}

std::size_t LiveHostMm::mark_resident(HostRange range, std::span<std::uint8_t> pages) {
  SX_ASSERT(pages.size() == range.pages());
  if (!tracked(range)) return 0;
  Locked lock(*this);
  std::size_t marked = 0;
  for (HostVa at = range.start(); at < range.end();) {
    const auto piece = residency_.first_in(HostRange::between(at, range.end()));
    if (!piece) break;
    const std::uint64_t first = (piece->range.start() - range.start()) >> kPageShift;
    std::memset(pages.data() + first, 1, piece->range.pages());
    marked += piece->range.pages();
    at = piece->range.end();
  }
  return marked;
}

}  // namespace softxe::live
