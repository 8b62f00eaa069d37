#include "host/live/client_uffd.h"

#include <fcntl.h>

#include <algorithm>
#include <charconv>
#include <span>
#include <string_view>

#include "base/raw_syscall.h"

namespace softxe::live {
namespace {

/// Lines of a file of /proc, through a small buffer on the stack. What is longer than a line of smaps is cut.
class Lines {
 public:
  explicit Lines(const char* path)
      : fd_(static_cast<int>(raw_syscall(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC, 0))) {}
  ~Lines() {
    if (fd_ >= 0) raw_syscall(SYS_close, fd_);
  }
  Lines(const Lines&) = delete;
  Lines& operator=(const Lines&) = delete;

  bool next(std::string_view& line) {
    std::size_t length = 0;
    for (int c = 0; (c = take()) >= 0;) {
      if (c == '\n') {
        line = {line_, length};
        return true;
      }
      if (length < sizeof line_) line_[length++] = static_cast<char>(c);
    }
    return false;
  }

 private:
  int take() {
    if (at_ == filled_) {
      const long n = fd_ < 0 ? 0 : raw_syscall(SYS_read, fd_, buffer_, sizeof buffer_);
      if (n <= 0) return -1;
      at_ = 0;
      filled_ = static_cast<std::size_t>(n);
    }
    return static_cast<unsigned char>(buffer_[at_++]);
  }

  int fd_;
  std::size_t at_ = 0;
  std::size_t filled_ = 0;
  char line_[256];
  char buffer_[4096];
};

/// "start-end perms ...": the first line of a mapping in smaps.
std::optional<HostRange> mapping_of(std::string_view line) {
  std::uint64_t start = 0;
  std::uint64_t end = 0;
  const char* stop = line.data() + line.size();
  const auto first = std::from_chars(line.data(), stop, start, 16);
  if (first.ec != std::errc() || first.ptr == stop || *first.ptr != '-') return std::nullopt;
  if (std::from_chars(first.ptr + 1, stop, end, 16).ec != std::errc() || end <= start) return std::nullopt;
  return HostRange::between(HostVa(start), HostVa(end));
}

/// What the flags of a mapping say of userfaultfd (proc(5), VmFlags).
struct Registered {
  bool missing = false;
  bool write_protect = false;
};
Registered registered(std::string_view flags) {
  const auto has = [flags](std::string_view flag) { return flags.find(flag) != std::string_view::npos; };
  return {.missing = has(" um") || has(" ui"), .write_protect = has(" uw")};
}

constinit std::atomic<bool> early{false};

constexpr std::uint64_t kUffdWriteProtected = 1ull << 57;

bool any_waits(HostRange range, Registered how, CollectRequest::Intent intent, const PageMap& pages) {
  std::uint64_t words[64];
  for (HostVa at = range.start(); at < range.end();) {
    const std::size_t count = std::min<std::size_t>(std::size(words), (range.end() - at) >> kPageShift);
    if (!pages.read(at, std::span(words, count))) return false;
    for (std::size_t i = 0; i < count; ++i) {
      if (how.missing && !PageMap::is_occupied(words[i])) return true;
      const bool writes = intent == CollectRequest::Intent::kWrite;
      if (how.write_protect && writes && (words[i] & kUffdWriteProtected) != 0) return true;
    }
    at += std::uint64_t{count} << kPageShift;
  }
  return false;
}

}  // namespace

void ClientUffd::note(HostRange range) {
  if (noted(range)) return;
  const std::size_t count = count_.load(std::memory_order_relaxed);
  if (count < kMax) {
    starts_[count].store(range.start().value(), std::memory_order_relaxed);
    ends_[count].store(range.end().value(), std::memory_order_relaxed);
  }
  count_.store(count + 1, std::memory_order_release);
}

void ClientUffd::note_early() { early.store(true); }

bool ClientUffd::noted(HostRange range) const {
  if (early.load(std::memory_order_relaxed)) return true;
  const std::size_t count = count_.load(std::memory_order_acquire);
  if (count > kMax) return true;
  for (std::size_t i = 0; i < count; ++i) {
    if (range.start().value() < ends_[i].load(std::memory_order_relaxed) &&
        starts_[i].load(std::memory_order_relaxed) < range.end().value())
      return true;
  }
  return false;
}

bool ClientUffd::would_wait(HostRange range, CollectRequest::Intent intent, const PageMap& pages) const {
  if (!noted(range)) return false;
  Lines lines("/proc/thread-self/smaps");
  std::optional<HostRange> mapping;
  for (std::string_view line; lines.next(line);) {
    if (line.starts_with("VmFlags:")) {
      if (!mapping || !mapping->intersects(range)) continue;
      const auto part =
          HostRange::between(std::max(mapping->start(), range.start()), std::min(mapping->end(), range.end()));
      if (any_waits(part, registered(line), intent, pages)) return true;
    } else if (const auto found = mapping_of(line)) {
      if (found->start() >= range.end()) return false;
      mapping = found;
    }
  }
  return false;
}

}  // namespace softxe::live
