// SyncFile: a fence as a file descriptor (spec/uapi.md 18).
//
// The descriptor is an eventfd, so that poll() and epoll work without any hook: it becomes readable when
// the fence signals and stays so. The descriptor here is the engine's own, placed high; abi/ gives the
// client a duplicate of it and remembers which SyncFile the client's number means.
#pragma once

#include <memory>
#include <utility>

#include "base/result.h"
#include "drv/exec/fence.h"

namespace softxe {

/// Descriptors of the engine stay out of the low numbers that clients count (spec/clients.md 1.4).
inline constexpr int kInternalFdMin = 900;

/// Owns one descriptor.
class OwnedFd {
 public:
  OwnedFd() = default;
  explicit OwnedFd(int fd) : fd_(fd) {}
  OwnedFd(OwnedFd&& o) noexcept : fd_(std::exchange(o.fd_, -1)) {}
  OwnedFd& operator=(OwnedFd&& o) noexcept;
  ~OwnedFd();
  int get() const { return fd_; }

  /// A close-on-exec duplicate at or above kInternalFdMin (anywhere when the limit is lower).
  static Result<OwnedFd> duplicate_high(int fd);

 private:
  int fd_ = -1;
};

/// An eventfd somebody waits on. add_one() never blocks and ignores a full counter.
class EventFd {
 public:
  /// A new one, counter 0, placed high.
  static Result<std::shared_ptr<EventFd>> make();
  /// Takes a reference to the client's eventfd. EBADF; EINVAL when it is something else.
  static Result<std::shared_ptr<EventFd>> from_client(int fd);

  explicit EventFd(OwnedFd fd) : fd_(std::move(fd)) {}
  void add_one();
  int fd() const { return fd_.get(); }

 private:
  OwnedFd fd_;
};

/// Immutable after make().
class SyncFile {
 public:
  static Result<std::shared_ptr<SyncFile>> make(FencePtr fence);
  /// Signalled when both are (SYNC_IOC_MERGE).
  static Result<std::shared_ptr<SyncFile>> merge(const SyncFile& a, const SyncFile& b);

  SyncFile(FencePtr fence, std::shared_ptr<EventFd> event) : fence_(std::move(fence)), event_(std::move(event)) {}

  const FencePtr& fence() const { return fence_; }
  /// As FILE_INFO: 0 active, 1 signalled, a negative errno when it failed.
  int status() const;
  /// The engine's descriptor: duplicate it for the client, never close it.
  int internal_fd() const { return event_->fd(); }

 private:
  FencePtr fence_;
  std::shared_ptr<EventFd> event_;
};

}  // namespace softxe
