// GcWorker: runs collector passes off the thread that unmapped (spec/svm.md 3.1, 3.2).
//
// kick() comes from event callbacks: under the mm lock, maybe inside the client's allocator. It is one
// atomic exchange and at most one futex wake.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>

namespace softxe {

/// Starts a thread that runs `body` once; the preload library puts its stack into engine memory and
/// blocks all signals. Returns a function that joins.
using ThreadStarter = std::function<std::function<void()>(std::function<void()> body)>;
ThreadStarter default_thread_starter();

class GcWorker {
 public:
  enum class Mode : std::uint8_t { kThread, kManual };

  /// `pass` runs one pass over every VM that has garbage; called on the worker thread.
  GcWorker(Mode mode, const ThreadStarter& start, std::function<void()> pass);
  /// Waits for a running pass.
  ~GcWorker();
  GcWorker(const GcWorker&) = delete;
  GcWorker& operator=(const GcWorker&) = delete;

  void kick();

 private:
  void run();

  std::function<void()> pass_;
  std::atomic<std::uint32_t> pending_{0};
  std::atomic<std::uint64_t> cause_{0};  ///< of the newest kick, as an event
  std::atomic<bool> stop_{false};
  std::function<void()> join_;
};

}  // namespace softxe
