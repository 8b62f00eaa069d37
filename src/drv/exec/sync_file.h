// SyncFile: a fence as a file descriptor (spec/uapi.md 18).
//
// The descriptor is an eventfd, so that poll() and epoll work without any hook: it becomes readable when
// the fence signals and stays so. The descriptor here is the engine's own, placed high; abi/ gives the
// client a duplicate of it and remembers which SyncFile the client's number means.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <utility>
#include <vector>

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

/// What SYNC_IOC_FILE_INFO calls a timeline; ends with a zero.
using FenceName = std::array<char, 32>;

/// A number for a new timeline; never 0.
std::uint64_t new_fence_context();

/// One fence of a sync_file, and its place among others.
struct SyncFilePart {
  FencePtr fence{};
  std::uint64_t context = 0;  ///< its timeline: of two on one timeline the later one is enough. 0: on none
  std::uint32_t seqno = 0;    ///< its point there; wraps round
  const char* driver = "xe";
  FenceName timeline{};
};

/// Immutable after make().
class SyncFile {
 public:
  static Result<std::shared_ptr<SyncFile>> make(FencePtr fence) {
    return make(SyncFilePart{.fence = std::move(fence)});
  }
  static Result<std::shared_ptr<SyncFile>> make(SyncFilePart part);
  /// Signalled when both are (SYNC_IOC_MERGE).
  static Result<std::shared_ptr<SyncFile>> merge(const SyncFile& a, const SyncFile& b);

  /// Of one fence and the descriptor that is readable when it has signalled.
  SyncFile(const FencePtr& fence, std::shared_ptr<EventFd> event)
      : SyncFile({SyncFilePart{.fence = fence}}, fence, std::move(event)) {}
  SyncFile(std::vector<SyncFilePart> parts, FencePtr fence, std::shared_ptr<EventFd> event)
      : parts_(std::move(parts)), fence_(std::move(fence)), event_(std::move(event)) {}

  /// At least one.
  std::span<const SyncFilePart> parts() const { return parts_; }
  const FencePtr& fence() const { return fence_; }
  /// As FILE_INFO: 0 active, 1 signalled, a negative errno when it failed.
  int status() const { return status_of(*fence_); }
  static int status_of(const Fence& fence);
  /// The engine's descriptor: duplicate it for the client, never close it.
  int internal_fd() const { return event_->fd(); }

 private:
  static Result<std::shared_ptr<SyncFile>> make(std::vector<SyncFilePart> parts, FencePtr fence);

  std::vector<SyncFilePart> parts_;
  FencePtr fence_;  ///< of all parts
  std::shared_ptr<EventFd> event_;
};

}  // namespace softxe
