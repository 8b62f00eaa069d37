// Ranked locks. THE lock table: acquire in increasing rank only; the same rank never twice.
//
//   rank  lock                     protects                                  while holding it, never
//   ----  -----------------------  ----------------------------------------  ------------------------------
//    10   DrmFile tables           handle tables of one open file            run an operation
//    15   Device                   list of VMs, ASIDs, queue scheduling      call into a VM
//    20   Vm (rw)                  VMA tree, attributes, set of SVM ranges   wait for a GPU job of this VM
//    25   Migrate (rw)             one migration to VRAM versus its retry    take a Vm lock
//    30   HostMm                   residency of the process's pages          take a Vm lock, allocate
//    40   SvmNotifier (rw)         range states, sequence, validity          allocate, call HostMm
//    45   GemBo                    placement state of one buffer object        zap, allocate VRAM
//    50   PageTable                table structure (allocation of tables)    allocate from the host
//    55   VramManager              blocks and their eviction order           run an eviction
//    60   Tlb                      entries of one TLB                        take anything but leaves
//    70   GcList                   ranges waiting for the collector          take anything but leaves
//    80   leaf locks (fences, queues, fault lists, pools)                    take anything but Log
//    90   Log / Trace              output buffers                            take anything
//
// Every lock is one of these types and is held through a guard, so that a run-time check (a
// thread-local stack of ranks, kept in release builds) aborts with both names on an inversion, and
// clang's analysis (preset clang-tsa) sees every acquisition. A lock's words live in engine memory.
// In an exploration (turns.h) a lock that is taken blocks its fiber, not the thread.
#pragma once

#include <array>
#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <mutex>

#include "base/thread_annotations.h"
#include "base/turns.h"

namespace softxe {

enum class LockRank : std::uint8_t {
  kDrmFile = 10,
  kDevice = 15,
  kVm = 20,
  kMigrate = 25,
  kHostMm = 30,
  kSvmNotifier = 40,
  kBo = 45,
  kPageTable = 50,
  kVramManager = 55,
  kTlb = 60,
  kGcList = 70,
  kLeaf = 80,
  kLog = 90,
};

namespace detail {
/// Aborts when `rank` is not above every rank this thread holds.
void lock_rank_push(LockRank rank, const char* name);
void lock_rank_pop(LockRank rank);
/// True when this thread holds a lock of that rank (for checkers).
bool lock_rank_held(LockRank rank);
/// Aborts when this thread holds none.
void assert_rank_held(LockRank rank, const char* name);
int lock_rank_depth();
/// The locks of one flow, in the order in which they were taken.
struct HeldLocks {
  static constexpr int kMax = 16;
  struct Held {
    LockRank rank;
    const char* name;
  };
  std::array<Held, kMax> locks;
  int count = 0;
};
/// Of this thread. An exploration changes it with the fiber.
HeldLocks& held_locks();

/// A mutex for a fiber of `who`.
void lock_in_turn(Turns& who, std::mutex& mutex, const char* name);
/// Forgets every lock of this thread: only in a fork child, which re-makes its locks.
void lock_rank_reset();
}  // namespace detail

/// A mutex with a rank. Not recursive.
template <LockRank kRank>
class SX_CAPABILITY("mutex") Mutex {
 public:
  explicit Mutex(const char* name) : name_(name) {}
  Mutex(const Mutex&) = delete;
  Mutex& operator=(const Mutex&) = delete;

  void lock() SX_ACQUIRE() {
    detail::lock_rank_push(kRank, name_);
    if (Turns* who = turns()) return detail::lock_in_turn(*who, mutex_, name_);
    mutex_.lock();
  }
  void unlock() SX_RELEASE() {
    mutex_.unlock();
    detail::lock_rank_pop(kRank);
    if (Turns* who = turns()) who->gave(&mutex_);
  }
  bool try_lock() SX_TRY_ACQUIRE(true) {
    if (Turns* who = turns()) who->before_lock(&mutex_, name_, Turns::Access::kExclusive);
    if (!mutex_.try_lock()) return false;
    if (Turns* who = turns()) who->took(&mutex_, name_, Turns::Access::kExclusive);
    detail::lock_rank_push(kRank, name_);
    return true;
  }
  /// For predicates and callbacks that run under a lock which the analysis cannot follow to them: aborts when this
  /// thread holds no lock of this rank.
  void assert_held() const SX_ASSERT_CAPABILITY(this) { detail::assert_rank_held(kRank, name_); }
  /// For condition variables of the same file; the rank stays pushed while waiting.
  std::mutex& native() { return mutex_; }

 private:
  std::mutex mutex_;
  const char* name_;
};

/// A fair reader/writer lock: phases of readers and of single writers take turns. A writer waits for the readers that
/// were in before it and for the writers before it, a reader for one writer at most, however many come.
///
///   readers_in_   readers that ever came, times kReader; bits: a writer is present, and in which phase
///   readers_out_  readers that ever left, times kReader
///   tickets_, served_   writers that ever came, and that ever left
///
/// Waits on futexes, with no call that a thread could be cancelled in.
class PhaseFairLock {
 public:
  /// `name` is for whoever explores.
  void lock(const char* name);
  void unlock();
  void lock_shared(const char* name);
  void unlock_shared();

 private:
  static constexpr std::uint32_t kPhase = 1;
  static constexpr std::uint32_t kWriter = 2;
  static constexpr std::uint32_t kWriterBits = kPhase | kWriter;
  static constexpr std::uint32_t kReader = 0x100;

  std::atomic<std::uint32_t> readers_in_{0};
  std::atomic<std::uint32_t> readers_out_{0};
  std::atomic<std::uint32_t> tickets_{0};
  std::atomic<std::uint32_t> served_{0};
};

/// A fair reader/writer lock with a rank. Not recursive, not upgradable.
template <LockRank kRank>
class SX_CAPABILITY("shared_mutex") SharedMutex {
 public:
  explicit SharedMutex(const char* name) : name_(name) {}
  SharedMutex(const SharedMutex&) = delete;
  SharedMutex& operator=(const SharedMutex&) = delete;

  void lock() SX_ACQUIRE() {
    detail::lock_rank_push(kRank, name_);
    mutex_.lock(name_);
  }
  void unlock() SX_RELEASE() {
    mutex_.unlock();
    detail::lock_rank_pop(kRank);
  }
  void lock_shared() SX_ACQUIRE_SHARED() {
    detail::lock_rank_push(kRank, name_);
    mutex_.lock_shared(name_);
  }
  void unlock_shared() SX_RELEASE_SHARED() {
    mutex_.unlock_shared();
    detail::lock_rank_pop(kRank);
  }
  /// As Mutex::assert_held(). Whether it is held for writing is not known at run time.
  void assert_held() const SX_ASSERT_CAPABILITY(this) { detail::assert_rank_held(kRank, name_); }
  void assert_held_shared() const SX_ASSERT_SHARED_CAPABILITY(this) { detail::assert_rank_held(kRank, name_); }

 private:
  PhaseFairLock mutex_;
  const char* name_;
};

/// Holds a lock exclusively for a scope.
template <typename M>
class SX_SCOPED_CAPABILITY Guard {
 public:
  explicit Guard(M& mutex) SX_ACQUIRE(mutex) : mutex_(mutex) { mutex_.lock(); }
  ~Guard() SX_RELEASE() { mutex_.unlock(); }
  Guard(const Guard&) = delete;
  Guard& operator=(const Guard&) = delete;

 private:
  M& mutex_;
};

/// Holds a SharedMutex for reading for a scope.
template <typename M>
class SX_SCOPED_CAPABILITY ReadGuard {
 public:
  explicit ReadGuard(M& mutex) SX_ACQUIRE_SHARED(mutex) : mutex_(mutex) { mutex_.lock_shared(); }
  ~ReadGuard() SX_RELEASE_GENERIC() { mutex_.unlock_shared(); }
  ReadGuard(const ReadGuard&) = delete;
  ReadGuard& operator=(const ReadGuard&) = delete;

 private:
  M& mutex_;
};

/// Waits on a condition while holding a Mutex through its native handle. Predicates run under it and begin with
/// `mutex.assert_held()`: the analysis looks at a lambda alone.
class CondVar {
 public:
  template <LockRank kRank, typename Pred>
  void wait(Mutex<kRank>& mutex, Pred pred) SX_REQUIRES(mutex) {
    if (Turns* who = turns()) {
      while (!pred()) sleep_in_turn(*who, mutex.native(), nullptr);
      return;
    }
    std::unique_lock<std::mutex> lock(mutex.native(), std::adopt_lock);
    cv_.wait(lock, pred);
    lock.release();
  }
  /// False on time-out. `timeout_ns` is relative.
  template <LockRank kRank, typename Pred>
  bool wait_for(Mutex<kRank>& mutex, std::uint64_t timeout_ns, Pred pred) SX_REQUIRES(mutex) {
    if (Turns* who = turns()) {
      while (!pred()) {
        if (!sleep_in_turn(*who, mutex.native(), &timeout_ns)) return pred();
      }
      return true;
    }
    std::unique_lock<std::mutex> lock(mutex.native(), std::adopt_lock);
    bool ok = cv_.wait_for(lock, std::chrono::nanoseconds(timeout_ns), pred);
    lock.release();
    return ok;
  }
  void notify_all() {
    if (Turns* who = turns()) return who->wake(this, Turns::Whom::kAll);
    cv_.notify_all();
  }
  void notify_one() {
    if (Turns* who = turns()) return who->wake(this, Turns::Whom::kOne);
    cv_.notify_one();
  }

 private:
  /// Gives the mutex up meanwhile. False: `timeout_ns` (null: none) is over.
  bool sleep_in_turn(Turns& who, std::mutex& mutex, const std::uint64_t* timeout_ns);

  std::condition_variable cv_;
};

using LeafMutex = Mutex<LockRank::kLeaf>;

}  // namespace softxe
