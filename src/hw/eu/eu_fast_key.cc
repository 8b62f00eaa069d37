#include "hw/eu/eu_fast_key.h"

namespace softxe {
namespace {

std::optional<EuFastKey> none() { return std::nullopt; }

EuLane bits_lane(const EuSources& sources) {
  return std::max(sources.widest(), eu_type_bytes(sources.inst.dst.type)) == 8 ? EuLane::kU64 : EuLane::kU32;
}

/// The type of lanes that hold every value of every source.
std::optional<EuLane> value_lane(const EuSources& sources) {
  if (sources.all_of(EuType::kF) || sources.all_of(EuType::kHF)) return EuLane::kF32;
  if (sources.all_of(EuType::kDF)) return EuLane::kF64;
  if (!sources.all_int()) return std::nullopt;
  const bool no_signed = sources.all([](const EuOperand& s) { return eu_class(s.type) == EuClass::kUnsigned; });
  const auto fits = [&](unsigned bytes) {
    return sources.all([bytes](const EuOperand& s) {
      const unsigned own = eu_type_bytes(s.type);
      return own < bytes || (own == bytes && eu_class(s.type) == EuClass::kSigned);
    });
  };
  if (sources.widest() <= 4) return fits(4) ? EuLane::kI32 : no_signed ? EuLane::kU32 : EuLane::kI64;
  if (fits(8)) return EuLane::kI64;
  if (no_signed) return EuLane::kU64;
  return std::nullopt;
}

std::optional<EuFastKey> int_key(EuFastOp op, const EuSources& sources) {
  if (!sources.all_int() || !eu_is_int(sources.inst.dst.type) || !sources.no_abs()) return none();
  return EuFastKey{op, bits_lane(sources)};
}

std::optional<EuFastKey> arithmetic_key(EuFastOp op, const EuSources& sources) {
  const EuType dst = sources.inst.dst.type;
  if (dst == EuType::kF && sources.all_of(EuType::kF)) return EuFastKey{op, EuLane::kF32};
  // Sums and products of hf have no second rounding in f; a fused sum of three may have.
  if (dst == EuType::kHF && sources.all_of(EuType::kHF) && op != EuFastOp::kMad) return EuFastKey{op, EuLane::kF32};
  if (dst == EuType::kDF && sources.all_of(EuType::kDF)) return EuFastKey{op, EuLane::kF64};
  return int_key(op, sources);
}

std::optional<EuFastKey> shift_key(EuFastOp op, const EuSources& sources) {
  const EuInst& inst = sources.inst;
  const unsigned value_bytes = std::max(eu_type_bytes(inst.dst.type), eu_type_bytes(inst.src[0].type));
  if (!sources.plain() || (value_bytes < 8 && eu_type_bytes(inst.src[1].type) == 8)) return none();
  if (op == EuFastOp::kAsr) {
    if (eu_class(inst.src[0].type) == EuClass::kUnsigned) return int_key(EuFastOp::kShr, sources);
    std::optional<EuFastKey> key = int_key(op, sources);
    if (key) key->lane = key->lane == EuLane::kU64 ? EuLane::kI64 : EuLane::kI32;
    return key;
  }
  const bool rotates = op == EuFastOp::kRol || op == EuFastOp::kRor;
  if (rotates && eu_type_bytes(inst.src[0].type) != eu_lane_bytes(bits_lane(sources))) return none();
  return int_key(op, sources);
}

/// What works with the wide part of the accumulator. Its sources do not lie there themselves.
std::optional<EuFastKey> product_key(EuFastOp op, const EuSources& sources) {
  const EuInst& inst = sources.inst;
  const bool fits = sources.all([](const EuOperand& s) { return eu_is_int(s.type) && eu_type_bytes(s.type) <= 4; });
  const bool outside = sources.all([](const EuOperand& s) { return !eu_in_acc(s); });
  if (!fits || !outside || !sources.plain() || inst.cond != EuCond::kNone) return none();
  if (!eu_is_int(inst.dst.type) || eu_type_bytes(inst.dst.type) != 4) return none();
  if (op != EuFastOp::kWideMul && eu_in_acc(inst.dst)) return none();
  return EuFastKey{op, EuLane::kU32};
}

bool packed(const EuOperand& operand, unsigned exec_size) {
  if (exec_size == 1) return true;
  const EuRegion& r = operand.region;
  return r.horizontal == 1 ? r.vertical == r.width || r.width >= exec_size : r.width == 1 && r.vertical == 1;
}

/// Bits that only move.
std::optional<EuFastKey> raw_move_key(const EuSources& sources) {
  const EuInst& inst = sources.inst;
  const EuOperand& source = inst.src[0];
  const unsigned bytes = eu_type_bytes(source.type);
  if (bytes > 2) return EuFastKey{EuFastOp::kMov, bits_lane(sources)};
  if (eu_is_float(source.type) && eu_modified(source)) return none();
  const bool small = !eu_modified(source) && inst.cond == EuCond::kNone && source.file != EuFile::kImm &&
                     packed(source, inst.exec_size) && inst.dst.region.horizontal == 1 && inst.exec_size > 1;
  if (!small) return EuFastKey{EuFastOp::kMov, EuLane::kU32};
  return EuFastKey{EuFastOp::kMov, bytes == 1 ? EuLane::kU8 : EuLane::kU16};
}

std::optional<EuFastKey> move_key(const EuSources& sources) {
  const EuType from = sources.inst.src[0].type;
  const EuType to = sources.inst.dst.type;
  if (sources.inst.saturate) {
    if (from == EuType::kF && to == EuType::kF) return EuFastKey{EuFastOp::kMov, EuLane::kF32};
    return none();
  }
  if (from == to) return eu_is_int(from) && !sources.no_abs() ? none() : raw_move_key(sources);
  if (eu_is_int(from) && eu_is_int(to)) return int_key(EuFastOp::kMov, sources);
  if (to == EuType::kF && eu_is_int(from) && eu_type_bytes(from) <= 4 && sources.plain()) {
    return EuFastKey{from == EuType::kUD ? EuFastOp::kFloatOfUnsigned : EuFastOp::kFloatOfSigned, EuLane::kU32};
  }
  const bool halves = (from == EuType::kHF && to == EuType::kF) || (from == EuType::kF && to == EuType::kHF);
  if (halves) return EuFastKey{EuFastOp::kMov, EuLane::kF32};
  if (to == EuType::kDF && eu_is_int(from) && eu_type_bytes(from) <= 4)
    return sources.plain() ? std::optional(EuFastKey{EuFastOp::kMov, EuLane::kF64}) : none();
  const bool doubles = (from == EuType::kDF && to == EuType::kF) || (from == EuType::kF && to == EuType::kDF);
  if (doubles) return EuFastKey{EuFastOp::kMov, EuLane::kF64};
  if (from == EuType::kDF && to == EuType::kD) return EuFastKey{EuFastOp::kSignedOfDouble, EuLane::kU64};
  if (from == EuType::kDF && to == EuType::kUD) return EuFastKey{EuFastOp::kUnsignedOfDouble, EuLane::kU64};
  if (from == EuType::kF && to == EuType::kD) return EuFastKey{EuFastOp::kSignedOfFloat, EuLane::kU32};
  if (from == EuType::kF && to == EuType::kUD) return EuFastKey{EuFastOp::kUnsignedOfFloat, EuLane::kU32};
  return none();
}

std::optional<EuFastKey> compare_key(EuFastOp op, const EuSources& sources) {
  const std::optional<EuLane> lane = value_lane(sources);
  if (!lane || sources.inst.cond > EuCond::kLe) return none();
  if (sources.all_int() && !sources.plain()) return none();
  const EuType dst = sources.inst.dst.type;
  // A chosen hf is moved bit by bit.
  if (op == EuFastOp::kPick && sources.all_of(EuType::kHF)) return none();
  if (op == EuFastOp::kPick && !(sources.all_int() && eu_is_int(dst)) && !sources.all_of(dst)) return none();
  return EuFastKey{op, *lane, sources.inst.cond};
}

std::optional<EuFastKey> choose_key(const EuSources& sources) {
  const EuType dst = sources.inst.dst.type;
  if (sources.all_int() && eu_is_int(dst)) return int_key(EuFastOp::kChoose, sources);
  if (!sources.all_of(dst)) return none();
  if (eu_type_bytes(dst) < 4 && !sources.plain()) return none();
  return EuFastKey{EuFastOp::kChoose, bits_lane(sources)};
}

std::optional<EuFastKey> whole_key(EuFastOp op, const EuSources& sources) {
  if (!sources.all_of(EuType::kF) || sources.inst.dst.type != EuType::kF) return none();
  return EuFastKey{op, EuLane::kF32};
}

/// Of 32 bits each.
std::optional<EuFastKey> count_key(EuFastOp op, const EuSources& sources) {
  const auto is_dword = [](const EuOperand& s) { return s.type == EuType::kD || s.type == EuType::kUD; };
  const EuInst& inst = sources.inst;
  const bool addend = op == EuFastOp::kDp4a && eu_is_int(inst.src[0].type) && eu_type_bytes(inst.src[0].type) <= 4;
  const bool fits = addend ? is_dword(inst.src[1]) && is_dword(inst.src[2]) : sources.all(is_dword);
  if (!fits || !sources.plain() || !eu_is_int(inst.dst.type) || eu_type_bytes(inst.dst.type) > 4) return none();
  return EuFastKey{op, EuLane::kU32};
}

std::optional<EuFastKey> math_key(const EuSources& sources) {
  const EuInst& inst = sources.inst;
  const bool f = sources.all_of(EuType::kF) && inst.dst.type == EuType::kF;
  const bool df = sources.all_of(EuType::kDF) && inst.dst.type == EuType::kDF;
  if (!f && !df) return none();
  const EuLane lane = f ? EuLane::kF32 : EuLane::kF64;
  switch (static_cast<EuMath>(inst.function)) {
    case EuMath::kInv: return EuFastKey{EuFastOp::kInv, lane};
    case EuMath::kSqt: return EuFastKey{EuFastOp::kSqt, lane};
    case EuMath::kRsqt: return EuFastKey{EuFastOp::kRsqt, lane};
    case EuMath::kExp: return EuFastKey{EuFastOp::kExp, lane};
    case EuMath::kLog: return EuFastKey{EuFastOp::kLog, lane};
    case EuMath::kSin: return EuFastKey{EuFastOp::kSin, lane};
    case EuMath::kCos: return EuFastKey{EuFastOp::kCos, lane};
    case EuMath::kInvm: return EuFastKey{EuFastOp::kInvm, lane};
    case EuMath::kRsqtm: return inst.dst.mme == 8 ? none() : std::optional(EuFastKey{EuFastOp::kRsqtm, lane});
  }
  return none();
}

}  // namespace

std::optional<EuFastKey> eu_fast_key(const EuSources& sources) {
  const EuInst& inst = sources.inst;
  switch (inst.op) {
    case EuOp::kMov: return move_key(sources);
    case EuOp::kAdd: return arithmetic_key(EuFastOp::kAdd, sources);
    case EuOp::kMacl: return product_key(EuFastOp::kMacl, sources);
    case EuOp::kMach: return product_key(EuFastOp::kMach, sources);
    case EuOp::kAddc: return product_key(EuFastOp::kAddc, sources);
    case EuOp::kSubb: return product_key(EuFastOp::kSubb, sources);
    case EuOp::kAdd3: return int_key(EuFastOp::kAdd3, sources);
    case EuOp::kMul:
      if (eu_in_acc(inst.dst) && eu_is_int(inst.dst.type) && eu_type_bytes(inst.dst.type) >= 4)
        return product_key(EuFastOp::kWideMul, sources);
      return arithmetic_key(EuFastOp::kMul, sources);
    case EuOp::kMad: return arithmetic_key(EuFastOp::kMad, sources);
    case EuOp::kAnd: return int_key(EuFastOp::kAnd, sources);
    case EuOp::kOr: return int_key(EuFastOp::kOr, sources);
    case EuOp::kXor: return int_key(EuFastOp::kXor, sources);
    case EuOp::kNot: return int_key(EuFastOp::kNot, sources);
    case EuOp::kBfn: return int_key(EuFastOp::kBfn, sources);
    case EuOp::kShl: return shift_key(EuFastOp::kShl, sources);
    case EuOp::kShr: return shift_key(EuFastOp::kShr, sources);
    case EuOp::kAsr: return shift_key(EuFastOp::kAsr, sources);
    case EuOp::kRol: return shift_key(EuFastOp::kRol, sources);
    case EuOp::kRor: return shift_key(EuFastOp::kRor, sources);
    case EuOp::kMath: return math_key(sources);
    case EuOp::kRndu: return whole_key(EuFastOp::kRndu, sources);
    case EuOp::kRndd: return whole_key(EuFastOp::kRndd, sources);
    case EuOp::kRnde: return whole_key(EuFastOp::kRnde, sources);
    case EuOp::kRndz: return whole_key(EuFastOp::kRndz, sources);
    case EuOp::kLzd: return count_key(EuFastOp::kLzd, sources);
    case EuOp::kFbl: return count_key(EuFastOp::kFbl, sources);
    case EuOp::kCbit: return count_key(EuFastOp::kCbit, sources);
    case EuOp::kBfrev: return count_key(EuFastOp::kBfrev, sources);
    case EuOp::kDp4a: return count_key(EuFastOp::kDp4a, sources);
    case EuOp::kCmp: return compare_key(EuFastOp::kCompare, sources);
    case EuOp::kSel: return inst.cond == EuCond::kNone ? choose_key(sources) : compare_key(EuFastOp::kPick, sources);
    default: return none();
  }
}

}  // namespace softxe
