// EuRecord: an instruction as it is carried out: decoded, checked, its handler chosen.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>

#include "hw/eu/eu_float_mode.h"
#include "hw/eu/eu_inst.h"
#include "hw/eu/eu_message.h"
#include "hw/eu/eu_thread.h"

namespace softxe {

/// Modes that a fast handler does not obey; a set. When the control register asks for one, the generic way is taken.
enum class EuMinds : std::uint8_t {
  kNothing = 0,
  kDf = 1,      ///< calculates with df: its denormals are treated unlike those of f
  kHalves = 2,  ///< calculates with hf: their denormals are flushed
  kToInt = 4,   ///< cuts floats off to integers: they are rounded
};
constexpr EuMinds operator|(EuMinds a, EuMinds b) {
  return static_cast<EuMinds>(static_cast<unsigned>(a) | static_cast<unsigned>(b));
}
constexpr bool operator&(EuMinds a, EuMinds b) { return (static_cast<unsigned>(a) & static_cast<unsigned>(b)) != 0; }

/// What handlers must mind in `mode`.
constexpr EuMinds eu_minds(const EuFloatMode& mode) {
  return (mode.df != mode.f ? EuMinds::kDf : EuMinds::kNothing) |
         (mode.hf == EuDenormals::kFlush ? EuMinds::kHalves : EuMinds::kNothing) |
         (mode.to_int != EuRounding::kZero ? EuMinds::kToInt : EuMinds::kNothing);
}

struct EuRecord;
using EuHandler = void (*)(EuThread& thread, const EuRecord& record);

/// kAlu: what `run` does; kSync: only what may have to wait.
enum class EuRecordKind : std::uint8_t { kAlu, kFlow, kSend, kSync };

/// How a fast handler gets a source: as lanes of one type, one behind the other.
struct EuFastSource {
  enum class Kind : std::uint8_t {
    kPacked,    ///< they are in place
    kSplat,     ///< one element for all
    kConstant,  ///< an immediate: EuFast::constant
    kPrepared,  ///< `prepare` puts them into a buffer
  };
  using Prepare = void (*)(const EuThread& thread, const EuRecord& record, unsigned source, std::byte* lanes);

  Kind kind = Kind::kPacked;
  std::uint8_t pitch = 0;  ///< bytes from element to element; 0xFF: as the region says
  bool modified = false;   ///< `prepare` applies neg and abs
  std::uint32_t at = 0;    ///< offset in EuThread
  Prepare prepare = nullptr;
};

/// What a fast handler needs; of records that have one. Plain offsets, nothing is looked up again.
struct EuFast {
  /// Stores results that are not simply lanes of the destination, or does what is to be done after them.
  using Finish = void (*)(EuThread& thread, const EuRecord& record, const std::byte* lanes, std::uint32_t enabled);

  std::array<EuFastSource, 3> src{};
  std::uint32_t dst_at = 0;
  bool in_place = false;  ///< results are stored at `dst_at` as they are
  bool predicated = false;
  bool masked = false;         ///< only active channels; else all
  std::uint8_t dst_pitch = 0;  ///< bytes
  std::uint8_t channels = 1;
  std::uint8_t first_channel = 0;
  std::uint32_t all = 0;   ///< a bit per channel
  Finish store = nullptr;  ///< when not in place; null: nobody wants the result
  Finish flags = nullptr;  ///< conditional modifier
  Finish acc = nullptr;    ///< the wide part of an accumulator
};

struct EuEnv;
/// Carries a message out in one go. False: nothing has been done, it takes the general way (eu_send.h).
using EuQuickSend = bool (*)(EuThread& thread, const EuRecord& record, EuEnv& env);

/// What a quick way needs of a load, store or atomic of lanes. Registers are offsets in EuThread.
struct EuQuick {
  EuQuickSend send = nullptr;  ///< null: there is none
  std::int32_t offset = 0;     ///< bytes, added to every address
  std::uint32_t address_at = 0;
  std::uint32_t data_at = 0;
  std::uint32_t end = 0;        ///< of the registers that must exist
  std::uint16_t row_bytes = 0;  ///< in registers, from element to element of one channel
  std::uint8_t vector = 1;      ///< elements of one channel
  EuAtomicOp atomic = EuAtomicOp::kLoad;
};

struct alignas(64) EuRecord {
  EuHandler run = nullptr;  ///< of kAlu
  /// The instruction behind this one, when it has been reached and lies in the same page.
  const EuRecord* next = nullptr;
  std::uint64_t ip = 0;
  EuRecordKind kind = EuRecordKind::kAlu;
  bool wake_point = false;
  EuMinds minds = EuMinds::kNothing;
  bool sets_cr = false;  ///< writes the control register
  /// kAlu, and nothing has to be looked at before or behind it.
  bool simple = false;
  std::uint8_t bytes = 16;
  EuFast fast{};
  EuQuick quick{};                                   ///< of kSend
  std::optional<EuMessage> message;                  ///< of kSend, when its descriptors are constants
  alignas(64) std::array<std::byte, 64> constant{};  ///< the immediate, as often as it fits
  EuInst inst{};
};

}  // namespace softxe
