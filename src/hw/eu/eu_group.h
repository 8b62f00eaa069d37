// EuGroup: the threads of one work group, its shared local memory and its barriers.
//
// A group belongs to one worker at a time, so nothing here is locked: SLM and barriers are plain data. Threads run in
// turn, each to its next barrier, end or share of instructions. Messages call slm(), signal_barrier() and
// wait_barrier(). Read next: eu_exec.h (one thread), eu_dispatch.h (groups of a walker).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "base/result.h"
#include "hw/eu/eu_bases.h"
#include "hw/eu/eu_exec.h"
#include "hw/eu/eu_stop.h"
#include "hw/eu/eu_thread.h"

namespace softxe {

inline constexpr std::uint32_t kEuGroupThreadsMax = 64;
inline constexpr std::uint32_t kEuBarriers = 32;            ///< 0: the group's own; 1 to 31: named
inline constexpr std::uint32_t kEuSlmBytesMax = 384 << 10;  ///< the largest size a descriptor can ask for

/// Dword 2 of a barrier message (spec/eu-isa.md 9.2).
struct EuBarrierSignal {
  enum class Role : std::uint8_t { kBoth = 0, kProducer = 1, kConsumer = 2, kReserved = 3 };

  std::uint8_t id = 0;
  Role role = Role::kBoth;
  bool active_only = false;  ///< threads that have ended are not waited for
  std::uint8_t producers = 0;
  std::uint8_t consumers = 0;

  static constexpr EuBarrierSignal of(std::uint32_t dword) {
    return {.id = static_cast<std::uint8_t>(dword),
            .role = static_cast<Role>(dword >> 14 & 3),
            .active_only = (dword >> 8 & 1) != 0,
            .producers = static_cast<std::uint8_t>(dword >> 16),
            .consumers = static_cast<std::uint8_t>(dword >> 24)};
  }
};

/// Runs one thread: eu_run_thread() with a worker's memory and program, or a fake in tests.
class EuThreadRunner {
 public:
  virtual ~EuThreadRunner() = default;
  /// As eu_run_thread().
  virtual EuStop run(EuThread& thread, EuGroup& group, std::uint64_t instructions_max) = 0;
};

/// One at a time for each set of threads; used again for the next group of a walker.
class EuGroup {
 public:
  struct Shape {
    std::uint32_t threads = 1;  ///< 1 to kEuGroupThreadsMax
    std::uint32_t slm_bytes = 0;
  };
  /// Allocates room for groups up to this shape; nothing after it does. Has ended until restart().
  explicit EuGroup(const Shape& capacity);
  bool fits(const Shape& shape) const;

  /// A new group in the place of an old one: SLM zero, barriers unused, threads numbered and ready. The caller fills
  /// in their registers (eu_start_thread()). `shape` fits; `bases` are those of the walker.
  void restart(const Shape& shape, const EuBases& bases);
  /// The same for the shape the group was made with.
  void restart(const EuBases& bases) { restart(capacity_, bases); }

  std::span<EuThread> threads() { return {threads_.get(), shape_.threads}; }
  std::span<const EuThread> threads() const { return {threads_.get(), shape_.threads}; }
  bool ended() const { return live_ == 0; }
  const Shape& shape() const { return shape_; }
  const EuBases& bases() const { return bases_; }

  /// The group's shared local memory; empty when the kernel asked for none. Valid as long as the group.
  std::span<std::byte> slm() { return {slm_.get(), shape_.slm_bytes}; }

  /// A barrier message of `thread`, one of threads(). Takes effect at once: may release other threads.
  /// EINVAL with a reason: a barrier that does not exist, a reserved role, or counts of zero.
  Status signal_barrier(EuThread& thread, const EuBarrierSignal& signal);

  enum class Wait : std::uint8_t { kPass, kBlock };
  /// sync.bar. kBlock: `thread` is kAtBarrier now; its `ip` stays at the sync.bar, which is carried out again (and
  /// passes) when the barrier is complete. A thread that has not signalled `id` as a consumer passes.
  /// EINVAL: no such barrier.
  Result<Wait> wait_barrier(EuThread& thread, std::uint32_t id);

  /// Runs the next ready thread for `instructions_max` instructions at most and moves on to the one after it.
  /// kBarrier: no thread is ready, all wait for each other. kEnded: the group has ended. Else as eu_run_thread();
  /// the thread that failed is failed().
  EuStop run_next(EuThreadRunner& runner, std::uint64_t instructions_max);
  const EuThread& failed() const { return threads_[next_]; }
  /// Carried out by all threads since restart().
  std::uint64_t instructions() const { return instructions_; }

 private:
  /// One barrier under way. Bits of threads are by EuThread::number.
  struct Barrier {
    std::uint64_t producers = 0;  ///< arrived
    std::uint64_t consumers = 0;  ///< arrived; not yet released
    std::uint8_t producers_wanted = 0;
    std::uint8_t consumers_wanted = 0;
    bool active_only = false;
    bool used() const { return (producers | consumers) != 0; }
  };

  bool complete(const Barrier& barrier) const;
  bool arrived(std::uint64_t threads, std::uint32_t wanted, bool active_only) const;
  void release(std::uint32_t id);
  void thread_ended(const EuThread& thread);

  const Shape capacity_;
  Shape shape_;
  std::unique_ptr<EuThread[]> threads_;
  std::unique_ptr<std::byte[]> slm_;
  std::array<Barrier, kEuBarriers> barriers_{};
  EuBases bases_;
  std::uint64_t live_ = 0;  ///< threads that have not ended, as bits
  std::uint64_t instructions_ = 0;
  std::uint32_t next_ = 0;  ///< whose turn it is
};

}  // namespace softxe
