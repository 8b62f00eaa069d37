// A device over this process, and the bare kernel calls that its work is compared with.
#pragma once

#include <sys/mman.h>

#include <memory>

#include "drv/live_device_rig.h"

namespace softxe::bench {

inline constexpr std::uint64_t kVramBytes = 512ull << 20;

/// Memory of the client. Unmapped through the hooks when there is a mm, else directly.
class Memory {
 public:
  enum class Pages : std::uint8_t { kSmall, kHuge };
  /// Populated; 2 MiB aligned with a guard on both sides, so that no two become one mapping.
  Memory(std::uint64_t bytes, Pages pages);
  ~Memory();
  Memory(const Memory&) = delete;
  Memory& operator=(const Memory&) = delete;

  std::uint64_t at() const { return at_; }
  std::uint64_t bytes() const { return bytes_; }
  HostRange range() const { return HostRange::of(HostVa(at_), bytes_); }
  /// Kept mapped by somebody else, or unmapped already.
  void forget_middle() { owns_middle_ = false; }
  bool is_huge() const;

 private:
  std::uint64_t bytes_;
  std::uint64_t whole_;
  std::uint64_t whole_bytes_;
  std::uint64_t at_;
  bool owns_middle_ = true;
};

/// Exits with a message when this machine has no full rung.
class LiveMachine {
 public:
  LiveMachine();

  live::LiveHostMm& mm() { return made_.mm(); }
  EngineMemory& engine() { return made_.gpu(); }
  Device& device() { return made_.device(); }
  VmContext& vm() { return made_.vm(); }
  void advise_device_atomics(HostRange range);

 private:
  LiveDevice made_;
};

/// A userfaultfd of one's own over memory and a window, as little as MOVE needs. With a handler
/// thread it brings a touched block of `serve_bytes` back from the window, with the same ioctl.
class BareMove {
 public:
  explicit BareMove(std::uint64_t window_bytes);
  ~BareMove();
  BareMove(const BareMove&) = delete;
  BareMove& operator=(const BareMove&) = delete;

  void watch(HostRange range) { uffd_.register_missing(range); }
  void unwatch(HostRange range) { uffd_.unregister(range); }
  /// All bytes, repeating after EAGAIN.
  void move_out(HostRange range) { move({window_, range.start().value(), range.size()}); }
  void move_home(HostRange range) { move({range.start().value(), window_, range.size()}); }
  void discard_window(std::uint64_t bytes);

  void start_handler(HostRange range, std::uint64_t serve_bytes);
  void stop_handler();

 private:
  void move(live::UffdTransfer transfer);
  static void* handler_main(void* self);

  live::Uffd uffd_;
  live::Uffd window_uffd_;
  std::uint64_t window_;
  std::uint64_t window_bytes_;
  std::uint64_t home_ = 0;
  std::uint64_t serve_bytes_ = 0;
  int stop_fd_ = -1;
  pthread_t handler_{};
};

/// A load that the compiler neither drops nor moves.
inline std::uint64_t touch(std::uint64_t at) {
  return __atomic_load_n(reinterpret_cast<const std::uint64_t*>(at), __ATOMIC_ACQUIRE);
}

}  // namespace softxe::bench
