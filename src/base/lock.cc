#include "base/lock.h"

#include <unistd.h>
#include <cstdio>
#include <cstdlib>

#include "base/result.h"

namespace softxe {

void PhaseFairLock::lock_shared() {
  const std::uint32_t writer = readers_in_.fetch_add(kReader) & kWriterBits;
  if (writer == 0) return;
  // Any other phase will do: the next writer waits for this reader.
  for (std::uint32_t now; ((now = readers_in_.load()) & kWriterBits) == writer;) readers_in_.wait(now);
}

void PhaseFairLock::unlock_shared() {
  readers_out_.fetch_add(kReader);
  // Either this sees the writer, or the writer sees this reader gone: all of it is sequentially consistent.
  if ((readers_in_.load() & kWriter) != 0) readers_out_.notify_all();
}

void PhaseFairLock::lock() {
  const std::uint32_t ticket = tickets_.fetch_add(1);
  for (std::uint32_t now; (now = served_.load()) != ticket;) served_.wait(now);
  const std::uint32_t readers = readers_in_.fetch_add(kWriter | (ticket & kPhase)) & ~kWriterBits;
  for (std::uint32_t now; (now = readers_out_.load()) != readers;) readers_out_.wait(now);
}

void PhaseFairLock::unlock() {
  readers_in_.fetch_and(~kWriterBits);
  readers_in_.notify_all();
  served_.fetch_add(1);
  served_.notify_all();
}

}  // namespace softxe

namespace softxe::detail {
namespace {

constexpr int kDepthMax = 16;

struct Held {
  LockRank rank;
  const char* name;
};

// Plain thread-local storage (initial-exec in the preload library): no allocation, no destructor.
thread_local Held held_locks[kDepthMax];
thread_local int held_count = 0;

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
  char held[128];
  static_cast<void>(snprintf(held, sizeof held, " while holding %s", holding));
  complain("lock order broken: taking", wanted, held);
}

}  // namespace

void lock_rank_push(LockRank rank, const char* name) {
  for (int i = 0; i < held_count; ++i) {
    if (held_locks[i].rank >= rank) broken_order(name, held_locks[i].name);
  }
  SX_ASSERT(held_count < kDepthMax);
  held_locks[held_count++] = Held{rank, name};
}

void lock_rank_pop(LockRank rank) {
  for (int i = held_count - 1; i >= 0; --i) {
    if (held_locks[i].rank != rank) continue;
    for (int j = i; j + 1 < held_count; ++j) held_locks[j] = held_locks[j + 1];
    --held_count;
    return;
  }
  const bool unlocked_what_is_held = false;
  SX_ASSERT(unlocked_what_is_held);
}

bool lock_rank_held(LockRank rank) {
  for (int i = 0; i < held_count; ++i) {
    if (held_locks[i].rank == rank) return true;
  }
  return false;
}

void assert_rank_held(LockRank rank, const char* name) {
  if (!lock_rank_held(rank)) complain("a lock is not held by who needs it", name, "");
}

int lock_rank_depth() { return held_count; }

void lock_rank_reset() { held_count = 0; }

}  // namespace softxe::detail
