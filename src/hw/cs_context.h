// CsContext: what a hardware context keeps while other contexts run: registers, position, run time.
//
// Owned by an exec queue (one per batch position); everything is zero when new. Read next: cs_streamer.h.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <span>

#include "base/address.h"
#include "base/clock.h"

namespace softxe {

/// How long a context has run. One thread switches; any thread reads. The whole state is one word, so a
/// reader never sees half a switch: stopped, it is the total; running (top bit), the moment at which the
/// context would have started had it run without a pause.
class RunClock {
 public:
  bool running() const { return (word_.load(std::memory_order_relaxed) & kRunning) != 0; }
  void start(const Clock& clock) {
    if (running()) return;
    const std::uint64_t total = word_.load(std::memory_order_relaxed);
    word_.store(((clock.now_ns() - total) & ~kRunning) | kRunning, std::memory_order_release);
  }
  void stop(const Clock& clock) {
    if (running()) word_.store(total_ns(clock), std::memory_order_release);
  }
  /// For an owner that keeps the account itself. Stopped afterwards.
  void set_total_ns(std::uint64_t total_ns) {
    word_.store(total_ns & ~kRunning, std::memory_order_release);
  }
  std::uint64_t total_ns(const Clock& clock) const {
    // The word first: a `now` older than the start would give a negative time.
    const std::uint64_t word = word_.load(std::memory_order_acquire);
    if ((word & kRunning) == 0) return word;
    return (clock.now_ns() - word) & ~kRunning;
  }

 private:
  static constexpr std::uint64_t kRunning = std::uint64_t{1} << 63;
  std::atomic<std::uint64_t> word_{0};
};

/// The ALU of MI_MATH between two words.
struct AluState {
  std::uint64_t src_a = 0;
  std::uint64_t src_b = 0;
  std::uint64_t accu = 0;
  std::uint64_t zero_flag = 0;   ///< all ones or 0
  std::uint64_t carry_flag = 0;  ///< all ones or 0
};

/// A copy or fill that takes several steps. The command's dwords are kept, as in hardware: a patch of
/// the batch in the middle of a copy changes nothing.
struct BlitInFlight {
  static constexpr std::size_t kDwordsMax = 22;
  std::array<std::uint32_t, kDwordsMax> dwords{};
  std::uint32_t count = 0;  ///< 0: none
  std::uint64_t done_bytes = 0;
};

/// Used by one thread at a time, except run_clock. Invariant: `depth() == 0` means no batch is active, and
/// then nothing is in flight.
class CsContext {
 public:
  static constexpr std::size_t kRegisters = 16;
  static constexpr std::size_t kLevelsMax = 3;

  std::array<std::uint64_t, kRegisters> gpr{};
  AluState alu;
  RunClock run_clock;
  BlitInFlight in_flight;
  /// Jobs taken from the ring so far; the owner counts, the interpreter only shows it in dumps.
  std::uint64_t ring_position = 0;

  /// Begins at the first level. Registers survive from batch to batch.
  void start_batch(GpuVa start) {
    abandon();
    jump_into_level(start);
  }
  /// Forgets the batch: after its death, or before the next one.
  void abandon() {
    depth_ = 0;
    in_flight.count = 0;
    in_flight.done_bytes = 0;
  }

  std::size_t depth() const { return depth_; }
  /// Address of the command to run next. A batch is active.
  GpuVa position() const {
    SX_ASSERT(depth_ != 0);
    return levels_[depth_ - 1];
  }
  void set_position(GpuVa position) {
    SX_ASSERT(depth_ != 0);
    levels_[depth_ - 1] = position;
  }
  enum class Call : std::uint8_t { kDone, kTooDeep };
  /// Enters a further level; end_level() comes back to the position left here.
  Call call(GpuVa target) {
    if (depth_ == kLevelsMax) return Call::kTooDeep;
    jump_into_level(target);
    return Call::kDone;
  }
  enum class End : std::uint8_t { kReturned, kBatchDone };
  End end_level() {
    SX_ASSERT(depth_ != 0);
    --depth_;
    return depth_ == 0 ? End::kBatchDone : End::kReturned;
  }

 private:
  void jump_into_level(GpuVa target) { levels_[depth_++] = target; }

  std::array<GpuVa, kLevelsMax> levels_{};
  std::size_t depth_ = 0;
};

}  // namespace softxe
