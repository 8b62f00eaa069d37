// Fast handlers: whole rows of channels at a time.
//
// One source (eu_fast_*.inc) is compiled for three levels of the host's instruction set; which one is used never
// changes a bit of a result. A handler sees its sources as lanes of one type: what lies differently in registers is
// brought into that form first, and results are brought back behind it, so that no handler knows of regions.
//
//   eu_fast_key.cc      which instructions have a fast handler, and what their lanes are
//   eu_fast_select.cc   where it finds its operands
//   eu_fast_vector.inc  vectors, masks
//   eu_fast_math.inc    functions of the math unit
//   eu_fast_moves.inc   sources into lanes, lanes into destinations
//   eu_fast_wide.inc    what works with the wide accumulators
//   eu_fast_dpas.inc    products of matrices
//   eu_fast_lanes.inc   loads and stores (eu_quick.h)
//   eu_fast_ops.inc     operations and their table
#pragma once

#include <cstdint>

#include "hw/eu/eu_record.h"

namespace softxe {

enum class EuLevel : std::uint8_t { kGeneric, kPlain, kAvx2, kAvx512 };

/// The best one of this host's processor.
EuLevel eu_host_level();

enum class EuLane : std::uint8_t { kU8, kU16, kU32, kI32, kF32, kU64, kI64, kF64 };

constexpr unsigned eu_lane_bytes(EuLane lane) {
  switch (lane) {
    case EuLane::kU8: return 1;
    case EuLane::kU16: return 2;
    case EuLane::kU32:
    case EuLane::kI32:
    case EuLane::kF32: return 4;
    default: return 8;
  }
}

enum class EuFastOp : std::uint8_t {
  kMov,
  kAdd,
  kAdd3,
  kMul,
  kMad,
  kAnd,
  kOr,
  kXor,
  kNot,
  kBfn,
  kShl,
  kShr,
  kAsr,
  kRol,
  kRor,
  kChoose,  ///< sel by its predicate
  kPick,    ///< sel by a comparison
  kCompare,
  kWideMul,  ///< into an accumulator
  kMacl,
  kMach,
  kAddc,
  kSubb,
  kInv,
  kSqt,
  kRndu,
  kRndd,
  kRnde,
  kRndz,
  kLzd,
  kFbl,
  kCbit,
  kBfrev,
  kDp4a,
  kRsqt,
  kExp,
  kLog,
  kSin,
  kCos,
  kInvm,
  kRsqtm,
  kSignedOfDouble,
  kUnsignedOfDouble,
  kFloatOfSigned,
  kFloatOfUnsigned,
  kSignedOfFloat,
  kUnsignedOfFloat,
};

struct EuFastKey {
  EuFastOp op = EuFastOp::kMov;
  EuLane lane = EuLane::kU32;
  EuCond cond = EuCond::kNone;  ///< of kPick and kCompare
  friend bool operator==(const EuFastKey&, const EuFastKey&) = default;
};

/// One row of a level's table: a handler for several channels and one for a single one. `direct`, when there is one, is
/// for whole vectors that need no preparation and nothing afterwards.
struct EuFastRow {
  EuFastKey key;
  EuHandler many;
  EuHandler one;
  EuHandler direct;
};

/// Of messages: every channel's elements in rows, or the block of a single channel.
enum class EuQuickForm : std::uint8_t { kRows, kBlock };

/// Everything of one level that predecoding asks for. Null: there is none.
struct EuFastLevel {
  unsigned vector_bytes;
  const EuFastRow* rows;
  unsigned row_count;
  EuFastSource::Prepare (*prepare)(const EuInst& inst, unsigned source, EuLane lane);
  EuFast::Finish (*store)(const EuInst& inst, EuLane lane);
  /// `bytes`: of the destination's type.
  EuFast::Finish (*flags)(EuCond cond, EuLane lane, unsigned bytes);
  EuHandler dpas_of_floats;
  EuHandler dpas_of_bytes;
  EuQuickSend (*lanes)(const EuLanesMessage& message, EuQuickForm form);
  EuQuickSend local_atomic;
};
extern const EuFastLevel kEuFastPlain;
extern const EuFastLevel kEuFastAvx2;
extern const EuFastLevel kEuFastAvx512;

/// Null: there is none.
const EuFastLevel* eu_fast_level(EuLevel level);

/// Which channels the record's instruction is for, as handlers want to know it.
void eu_set_channels(EuRecord& record);

/// Gives `record`, which has everything else, a fast handler where there is one. False: none.
bool eu_fast_select(EuRecord& record, EuLevel level);

}  // namespace softxe
