// Turns: who goes on next, where that is searched for and not left to the kernel.
//
// An exploration (src/explore) runs all flows of a simulated process as fibers of one thread. Every place of the engine
// where another flow may come in between asks the Turns that is installed: steps, ranked locks, condition variables and
// waits for a word. Without one, each of these places costs a relaxed load. The code around the wait is the same in
// both cases; only who waits differs, a thread in the kernel or a fiber in here. Next: lock.h, step.h;
// src/explore/scheduler.h is the implementation.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>

namespace softxe {

/// Called on the thread of the exploration only. No call allocates memory of the engine or takes a ranked lock.
class Turns {
 public:
  virtual ~Turns() = default;

  enum class Access : std::uint8_t { kExclusive, kShared };
  /// The flow is about to take the lock: others may go first.
  virtual void before_lock(const void* lock, const char* name, Access access) = 0;
  virtual void took(const void* lock, const char* name, Access access) = 0;
  virtual void gave(const void* lock) = 0;

  /// The flow sleeps until wake(what). The caller looks again at what it waits for.
  virtual void sleep(const void* what, const char* name) = 0;
  /// The same with a limit; false: the limit came first. Simulated time passes only while everybody sleeps.
  virtual bool sleep_for(const void* what, const char* name, std::uint64_t timeout_ns) = 0;
  enum class Whom : std::uint8_t { kOne, kAll };
  virtual void wake(const void* what, Whom whom) = 0;

  /// For waits that nobody ends by a call: the flow goes on once `holds` does.
  virtual void until(const std::function<bool()>& holds, const char* name) = 0;
};

namespace detail {
extern std::atomic<Turns*> turns;
}  // namespace detail

/// Null outside of explorations.
inline Turns* turns() { return detail::turns.load(std::memory_order_relaxed); }
/// Installs one (or none) and returns the one before. Not to be called while another thread runs the engine.
Turns* set_turns(Turns* turns);

/// std::atomic's wait and notify, where flows may be fibers. Comes back when the word is not `old` any more.
template <typename T>
void wait_while(const std::atomic<T>& word, T old) {
  Turns* who = turns();
  if (who == nullptr) return word.wait(old);
  while (word.load() == old) who->sleep(&word, "a word");
}
template <typename T>
void notify_one(std::atomic<T>& word) {
  if (Turns* who = turns()) return who->wake(&word, Turns::Whom::kOne);
  word.notify_one();
}
template <typename T>
void notify_all(std::atomic<T>& word) {
  if (Turns* who = turns()) return who->wake(&word, Turns::Whom::kAll);
  word.notify_all();
}

}  // namespace softxe
