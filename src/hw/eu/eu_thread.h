// EuThread: everything one thread of an execution unit owns between two instructions.
//
// One flat block, so that an operand is an offset into it, ARF registers too (spec/eu-isa.md 3.1). Plain data: a
// thread is stopped between any two instructions and goes on under another worker. No pointer into it lives
// longer than one instruction. Read next: eu_exec.h.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "hw/eu/eu_touched.h"

namespace softxe {

inline constexpr unsigned kEuGrfBytes = 64;
inline constexpr unsigned kEuChannelsMax = 32;

/// Bits of cr0.1 that enable an exception; 16 bits higher each has its status.
enum class EuException : std::uint32_t { kMaskStack = 1u << 11, kIllegalOpcode = 1u << 12, kSoftware = 1u << 13 };
inline constexpr unsigned kEuExceptionStatusShift = 16;
/// Bit of cr0.0: set while the system routine runs; it returns by clearing it.
inline constexpr std::uint32_t kEuMasterException = 1u << 31;

/// Where inactive channels wait. Channels mostly wait in few places, whatever their number.
class EuWaiting {
 public:
  struct Place {
    std::uint64_t address;
    std::uint32_t channels;
  };
  void clear() { count_ = 0; }
  /// `channels` wait nowhere yet.
  void add(std::uint32_t channels, std::uint64_t address) {
    if (channels == 0) return;
    for (unsigned i = 0; i < count_; ++i) {
      if (places_[i].address != address) continue;
      places_[i].channels |= channels;
      return;
    }
    places_[count_++] = {address, channels};
  }
  /// Those of `channels` that wait at `address`; they do not any more.
  std::uint32_t take(std::uint32_t channels, std::uint64_t address) {
    for (unsigned i = 0; i < count_; ++i) {
      if (places_[i].address != address) continue;
      const std::uint32_t taken = places_[i].channels & channels;
      places_[i].channels &= ~taken;
      if (places_[i].channels == 0) places_[i] = places_[--count_];
      return taken;
    }
    return 0;
  }
  const Place* begin() const { return places_.data(); }
  const Place* end() const { return places_.data() + count_; }

 private:
  std::array<Place, kEuChannelsMax> places_;  ///< none without channels
  std::uint32_t count_ = 0;
};

/// Why a thread is not running (any more).
enum class EuThreadState : std::uint8_t { kReady, kAtBarrier, kEnded };

struct alignas(64) EuThread {
  std::array<std::byte, 256 * kEuGrfBytes> grf;  ///< r0.., flat; small register mode uses the lower half
  std::array<std::byte, 16 * kEuGrfBytes> acc;   ///< acc0.., flat
  std::array<std::uint32_t, 4> flag;             ///< f0..f3
  std::array<std::uint16_t, 16> a0;
  std::array<std::uint32_t, 4> ce;   ///< ce.0 is set from `mask` when it is read
  std::array<std::uint32_t, 4> msg;  ///< msg0.0: upper part of the hardware thread id
  std::array<std::uint32_t, 4> sr;   ///< sr0.0: place of the thread; sr0.2: dispatch mask
  /// cr0.0: rounding and denormal modes; cr0.1: exceptions; cr0.2: where the system routine returns to, from the
  /// instruction base.
  std::array<std::uint32_t, 4> cr;
  std::array<std::uint32_t, 4> tm;
  std::array<std::uint32_t, 4> other;  ///< n0, tdr, fc, dbg: storage only
  /// 64-bit integer accumulators behind the dwords of acc0..acc15 (spec/eu-isa.md 6.3).
  std::array<std::int64_t, 16 * kEuGrfBytes / 4> acc_wide;

  std::uint64_t ip = 0;         ///< GPU address of the next instruction
  std::uint32_t mask = 0;       ///< active channels
  std::uint32_t call_mask = 0;  ///< channels that take part in the current function
  EuWaiting waiting;            ///< inactive channels

  EuThreadState state = EuThreadState::kReady;
  std::uint8_t simd = 16;  ///< 16 or 32
  bool large_grf = false;
  EuTouched touched = EuTouched::everything();  ///< since its registers were cleared
  bool in_system_routine = false;               ///< its exceptions end the job
  std::uint16_t hw_id = 0;                      ///< 0..511, unique while the thread lives
  std::uint16_t number = 0;                     ///< in its group
  std::uint32_t barriers_waited = 0;            ///< bit n: waits for barrier n (state kAtBarrier)
  /// Channels (or steps) of the message at `ip` that are done: a fault in its middle repeats nothing.
  std::uint32_t message_done = 0;
  std::uint64_t traced = 0;        ///< number of its kernel when it is traced (eu_trace.h); else 0
  std::uint64_t instructions = 0;  ///< carried out so far
  std::uint64_t sends = 0;         ///< of these, messages
  std::uint64_t images = 0;        ///< of these, to images that were carried out
  std::uint64_t texels = 0;        ///< that they read or wrote

  unsigned grf_count() const { return large_grf ? 256 : 128; }
};
static_assert(std::is_standard_layout_v<EuThread>);

}  // namespace softxe
