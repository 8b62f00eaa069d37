// DeviceWindows: where the VRAM of each device stands in this process.
//
// A window is an anonymous mapping of the runtime that pages of the client are moved into. A frame without a
// page is nothing to anybody: the userfaultfd V answers an access to it with SIGBUS at once (EFAULT for a
// system call), without a message that some thread would have to serve. So a wild pointer of the client is
// the client's error, and populating (mlockall, MADV_POPULATE) ends at the first page. One access is ours to
// serve: an engine that meets a frame whose page the kernel has dropped (freed lazily by the client); the
// process's signal handler comes here for it, on the engine's own thread.
// Read next: frame_pages.h, base/guarded.h.
#pragma once

#include <array>
#include <atomic>

#include "base/engine_memory.h"
#include "base/guarded.h"
#include "host/live/arena.h"
#include "host/live/frame_pages.h"
#include "host/live/granules.h"
#include "host/live/uffd.h"

namespace softxe::live {

/// Windows come and go under the mm lock of the owner, LiveHostMm; looking needs no lock. Lives in the arena.
class DeviceWindows final : public FrameSource {
 public:
  /// `refilled` counts frames whose page the kernel had dropped.
  explicit DeviceWindows(std::atomic<std::uint64_t>& refilled) : refilled_(refilled) {}
  DeviceWindows(const DeviceWindows&) = delete;
  DeviceWindows& operator=(const DeviceWindows&) = delete;

  /// Opens V, and takes part in the process's memory signals until close(). EMFILE and the like;
  /// ENOMEM: too many LiveHostMm at a time.
  Status open(UffdAccess access);
  void close();
  /// In a fork child: nothing of this was inherited.
  void forget();

  const Uffd& uffd() const { return vram_; }

  /// A window of `bytes`, 2 MiB aligned. On a machine that cannot move pages (no open()) nothing ever comes
  /// there, and nobody may touch it. ENOMEM.
  Result<std::byte*> make(std::uint64_t bytes, Arena& arena, GranuleMap& granules);
  /// Gives the address space of an empty window back. EBUSY: pages are in it still.
  Status drop(std::byte* window);

  /// Null: `frame` is in no window.
  FramePages* pages_of(HostVa frame);
  /// A frame that the kernel has left without its page holds zeroes again. False: no memory.
  bool refill(HostVa page);
  void unlock_memory();

  // FrameSource: for signal handlers.
  Answer ask(HostVa address) override;
  void refuse(HostVa address) override;

 private:
  struct Slot {
    EngineMapping memory;
    FramePages pages;
  };
  static constexpr std::size_t kWindowsMax = 128;

  Slot* free_slot(std::uint64_t pages);

  std::atomic<std::uint64_t>& refilled_;
  Uffd vram_;
  std::array<Slot, kWindowsMax> slots_;
  std::atomic<std::uint32_t> slots_used_{0};
};

}  // namespace softxe::live
