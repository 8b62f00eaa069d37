// FaultReader: the thread that serves CPU touches of pages in VRAM, and reads events.
//
// Rules (spec/live-memory.md 4): everything it touches is in the arena; no malloc, no stdio, no libc wrapper; it never
// waits for a lock (whoever unlocks wakes it) and never sleeps but in ppoll.
//
// A second thread stands by with a table of descriptors of its own (own_descriptors.h). When the client has closed the
// runtime's by system calls that no hook saw, it takes the reader's place, and nothing migrates any more.
#pragma once

#include <pthread.h>

#include <array>
#include <optional>

#include "base/lock.h"
#include "host/live/live_memory.h"

namespace softxe::live {

/// How /proc shows the thread.
inline constexpr const char kReaderName[] = "softxe-faults";

class FaultReader {
 public:
  using MmLock = Mutex<LockRank::kHostMm>;

  FaultReader(LiveResources& res, MmLock& lock, LiveMemory& memory) : res_(res), lock_(lock), memory_(memory) {}
  FaultReader(const FaultReader&) = delete;
  FaultReader& operator=(const FaultReader&) = delete;

  /// Makes the thread and waits until it may be relied on. EMFILE, ENOMEM, EAGAIN.
  Status start(Arena& arena);
  void stop();
  /// In a fork child: the thread was not inherited.
  void forget();
  void close();
  /// Whoever has released the mm lock calls this: the reader may have found it taken.
  void lock_is_free();
  /// In the place of the reader, which waits for the lock: once, without waiting. The caller's caller holds it.
  void serve_touches();

 private:
  struct Parked {
    std::uint64_t page;
    std::uint64_t until_ns;
  };
  enum class Served : std::uint8_t { kDone, kAgain };
  static constexpr std::size_t kParkedMax = 1024;

  using Main = void* (*)(void*);
  Result<pthread_t> start_thread(Arena& arena, Main body);
  static void* main(void* self);
  static void* stand_by(void* self);
  void loop();
  /// Until there is something to read, to be done, or due. In the place of the reader kicks do not arrive.
  void wait();
  void hand_over();
  void work();
  void kick();
  void serve_faults() SX_REQUIRES(lock_);
  Served serve_fault(std::uint64_t page) SX_REQUIRES(lock_);
  Served serve_resident(const Piece& piece, std::uint64_t page) SX_REQUIRES(lock_);
  void park(std::uint64_t page, std::uint64_t until_ns) SX_REQUIRES(lock_);
  void serve_parked() SX_REQUIRES(lock_);
  void wake_everybody() SX_REQUIRES(lock_);

  LiveResources& res_;
  MmLock& lock_;
  LiveMemory& memory_ SX_GUARDED_BY(lock_);
  int kick_fd_ = -1;
  pthread_t thread_{};
  std::optional<pthread_t> standby_;  ///< none where no second thread could be made
  bool runs_ = false;
  std::atomic<std::uint32_t> at_work_{0};  ///< a futex: 1 once the thread is past libc's start-up
  std::atomic<bool> stop_{false};
  std::atomic<std::uint32_t> standby_ready_{0};  ///< a futex: 1 once it has its descriptors, or cannot
  std::atomic<std::uint32_t> handed_over_{0};    ///< a futex: 1 once the descriptors are closed
  std::array<Parked, kParkedMax> parked_ SX_GUARDED_BY(lock_){};
  std::size_t parked_count_ SX_GUARDED_BY(lock_) = 0;
  std::atomic<std::uint64_t> next_parked_ns_{~0ull};
};

}  // namespace softxe::live
