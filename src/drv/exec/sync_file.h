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
#include "drv/owned_fd.h"

namespace softxe {

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
