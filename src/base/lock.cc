#include "base/lock.h"

#include <unistd.h>
#include <cstdio>
#include <cstdlib>

#include "base/result.h"

namespace softxe {

// In an exploration the words say the same; asking and waking goes by the lock.

void PhaseFairLock::lock_shared(const char* name) {
  Turns* who = turns();
  if (who != nullptr) who->before_lock(this, name, Turns::Access::kShared);
  const std::uint32_t writer = readers_in_.fetch_add(kReader) & kWriterBits;
  // Any other phase will do: the next writer waits for this reader.
  for (std::uint32_t now; writer != 0 && ((now = readers_in_.load()) & kWriterBits) == writer;) {
    wait_while(readers_in_, now);
  }
  if (who != nullptr) who->took(this, name, Turns::Access::kShared);
}

void PhaseFairLock::unlock_shared() {
  readers_out_.fetch_add(kReader);
  // Either this sees the writer, or the writer sees this reader gone: all of it is sequentially consistent.
  if ((readers_in_.load() & kWriter) != 0) notify_all(readers_out_);
  if (Turns* who = turns()) who->gave(this);
}

void PhaseFairLock::lock(const char* name) {
  Turns* who = turns();
  if (who != nullptr) who->before_lock(this, name, Turns::Access::kExclusive);
  const std::uint32_t ticket = tickets_.fetch_add(1);
  for (std::uint32_t now; (now = served_.load()) != ticket;) wait_while(served_, now);
  const std::uint32_t readers = readers_in_.fetch_add(kWriter | (ticket & kPhase)) & ~kWriterBits;
  for (std::uint32_t now; (now = readers_out_.load()) != readers;) wait_while(readers_out_, now);
  if (who != nullptr) who->took(this, name, Turns::Access::kExclusive);
}

void PhaseFairLock::unlock() {
  readers_in_.fetch_and(~kWriterBits);
  notify_all(readers_in_);
  served_.fetch_add(1);
  notify_all(served_);
  if (Turns* who = turns()) who->gave(this);
}

bool CondVar::sleep_in_turn(Turns& who, std::mutex& mutex, const std::uint64_t* timeout_ns) {
  mutex.unlock();
  who.gave(&mutex);
  bool woken = true;
  if (timeout_ns == nullptr) {
    who.sleep(this, "a condition");
  } else {
    woken = who.sleep_for(this, "a condition", *timeout_ns);
  }
  detail::lock_in_turn(who, mutex, "behind a condition");
  return woken;
}

namespace detail {
std::atomic<Turns*> turns{nullptr};
}  // namespace detail

Turns* set_turns(Turns* turns) { return detail::turns.exchange(turns); }

}  // namespace softxe

namespace softxe::detail {
namespace {

// Plain thread-local storage (initial-exec in the preload library): no allocation, no destructor.
constinit thread_local HeldLocks held{};

[[noreturn]] void complain(const char* what, const char* lock, const char* holding) {
  char text[256];
  int n = snprintf(text, sizeof text, "softxe: %s %s%s\n", what, lock, holding);
  if (n > 0) {
    auto ignored = write(STDERR_FILENO, text, static_cast<size_t>(n));
    static_cast<void>(ignored);
  }
  abort();
}

[[noreturn]] void broken_order(const char* wanted, const char* holding) {
  char text[128];
  static_cast<void>(snprintf(text, sizeof text, " while holding %s", holding));
  complain("lock order broken: taking", wanted, text);
}

}  // namespace

void lock_rank_push(LockRank rank, const char* name) {
  HeldLocks& mine = held;
  for (int i = 0; i < mine.count; ++i) {
    if (mine.locks[i].rank >= rank) broken_order(name, mine.locks[i].name);
  }
  SX_ASSERT(mine.count < HeldLocks::kMax);
  mine.locks[mine.count++] = {rank, name};
}

void lock_rank_pop(LockRank rank) {
  HeldLocks& mine = held;
  for (int i = mine.count - 1; i >= 0; --i) {
    if (mine.locks[i].rank != rank) continue;
    for (int j = i; j + 1 < mine.count; ++j) mine.locks[j] = mine.locks[j + 1];
    --mine.count;
    return;
  }
  const bool unlocked_what_is_held = false;
  SX_ASSERT(unlocked_what_is_held);
}

bool lock_rank_held(LockRank rank) {
  for (int i = 0; i < held.count; ++i) {
    if (held.locks[i].rank == rank) return true;
  }
  return false;
}

void assert_rank_held(LockRank rank, const char* name) {
  if (!lock_rank_held(rank)) complain("a lock is not held by who needs it", name, "");
}

int lock_rank_depth() { return held.count; }

void lock_rank_reset() { held.count = 0; }

HeldLocks& held_locks() { return held; }

void lock_in_turn(Turns& who, std::mutex& mutex, const char* name) {
  who.before_lock(&mutex, name, Turns::Access::kExclusive);
  while (!mutex.try_lock()) who.sleep(&mutex, name);
  who.took(&mutex, name, Turns::Access::kExclusive);
}

}  // namespace softxe::detail
