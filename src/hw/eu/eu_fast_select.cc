// Which instructions have a fast handler, and as what lanes it sees their operands.
//
// Integer sums, products and bit operations keep only low bits, so that lanes as wide as the widest operand are
// exact. Comparisons need lanes that hold every value of both sources.
#include <cpuid.h>

#include <algorithm>
#include <cstring>
#include <optional>

#include "hw/eu/eu_accumulator.h"
#include "hw/eu/eu_channels.h"
#include "hw/eu/eu_fast.h"
#include "hw/eu/eu_number.h"
#include "hw/eu/eu_opcodes.h"
#include "hw/eu/eu_operand.h"

namespace softxe {
namespace {

constexpr std::uint8_t kIrregular = 0xFF;

bool is_int(EuType type) { return !eu_is_float(type); }
bool modified(const EuOperand& operand) { return operand.neg || operand.abs; }

/// The sources of an instruction, all of them and at once.
struct Sources {
  const EuInst& inst;
  unsigned count;

  explicit Sources(const EuInst& of) : inst(of), count(eu_source_count(of)) {}
  template <typename Predicate>
  bool all(Predicate predicate) const {
    return std::all_of(inst.src.begin(), inst.src.begin() + count, predicate);
  }
  bool all_of(EuType type) const {
    return all([type](const EuOperand& s) { return s.type == type; });
  }
  bool all_int() const {
    return all([](const EuOperand& s) { return is_int(s.type); });
  }
  bool plain() const {
    return all([](const EuOperand& s) { return !modified(s); });
  }
  bool no_abs() const {
    return all([](const EuOperand& s) { return !s.abs; });
  }
  unsigned widest() const {
    unsigned bytes = 0;
    for (unsigned i = 0; i < count; ++i) bytes = std::max(bytes, eu_type_bytes(inst.src[i].type));
    return bytes;
  }
};

std::optional<EuFastKey> none() { return std::nullopt; }

EuLane bits_lane(const Sources& sources) {
  return std::max(sources.widest(), eu_type_bytes(sources.inst.dst.type)) == 8 ? EuLane::kU64 : EuLane::kU32;
}

/// The type of lanes that hold every value of every source.
std::optional<EuLane> value_lane(const Sources& sources) {
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

std::optional<EuFastKey> int_key(EuFastOp op, const Sources& sources) {
  if (!sources.all_int() || !is_int(sources.inst.dst.type) || !sources.no_abs()) return none();
  return EuFastKey{op, bits_lane(sources)};
}

std::optional<EuFastKey> arithmetic_key(EuFastOp op, const Sources& sources) {
  const EuType dst = sources.inst.dst.type;
  if (dst == EuType::kF && sources.all_of(EuType::kF)) return EuFastKey{op, EuLane::kF32};
  // Sums and products of hf have no second rounding in f; a fused sum of three may have.
  if (dst == EuType::kHF && sources.all_of(EuType::kHF) && op != EuFastOp::kMad) return EuFastKey{op, EuLane::kF32};
  if (dst == EuType::kDF && sources.all_of(EuType::kDF)) return EuFastKey{op, EuLane::kF64};
  return int_key(op, sources);
}

std::optional<EuFastKey> shift_key(EuFastOp op, const Sources& sources) {
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

bool in_acc(const EuOperand& operand) {
  return operand.file == EuFile::kArf && !operand.indirect && operand.arf() == EuArf::kAcc;
}

/// What works with the wide part of the accumulator. Its sources do not lie there themselves.
std::optional<EuFastKey> product_key(EuFastOp op, const Sources& sources) {
  const EuInst& inst = sources.inst;
  const bool fits = sources.all([](const EuOperand& s) { return is_int(s.type) && eu_type_bytes(s.type) <= 4; });
  const bool outside = sources.all([](const EuOperand& s) { return !in_acc(s); });
  if (!fits || !outside || !sources.plain() || inst.cond != EuCond::kNone) return none();
  if (!is_int(inst.dst.type) || eu_type_bytes(inst.dst.type) != 4) return none();
  if (op != EuFastOp::kWideMul && in_acc(inst.dst)) return none();
  return EuFastKey{op, EuLane::kU32};
}

bool packed(const EuOperand& operand, unsigned exec_size) {
  if (exec_size == 1) return true;
  const EuRegion& r = operand.region;
  return r.horizontal == 1 ? r.vertical == r.width || r.width >= exec_size : r.width == 1 && r.vertical == 1;
}

/// Bits that only move.
std::optional<EuFastKey> raw_move_key(const Sources& sources) {
  const EuInst& inst = sources.inst;
  const EuOperand& source = inst.src[0];
  const unsigned bytes = eu_type_bytes(source.type);
  if (bytes > 2) return EuFastKey{EuFastOp::kMov, bits_lane(sources)};
  if (eu_is_float(source.type) && modified(source)) return none();
  const bool small = !modified(source) && inst.cond == EuCond::kNone && source.file != EuFile::kImm &&
                     packed(source, inst.exec_size) && inst.dst.region.horizontal == 1 && inst.exec_size > 1;
  if (!small) return EuFastKey{EuFastOp::kMov, EuLane::kU32};
  return EuFastKey{EuFastOp::kMov, bytes == 1 ? EuLane::kU8 : EuLane::kU16};
}

std::optional<EuFastKey> move_key(const Sources& sources) {
  const EuType from = sources.inst.src[0].type;
  const EuType to = sources.inst.dst.type;
  if (sources.inst.saturate) {
    if (from == EuType::kF && to == EuType::kF) return EuFastKey{EuFastOp::kMov, EuLane::kF32};
    return none();
  }
  if (from == to) return is_int(from) && !sources.no_abs() ? none() : raw_move_key(sources);
  if (is_int(from) && is_int(to)) return int_key(EuFastOp::kMov, sources);
  if (to == EuType::kF && is_int(from) && eu_type_bytes(from) <= 4 && sources.plain()) {
    return EuFastKey{from == EuType::kUD ? EuFastOp::kFloatOfUnsigned : EuFastOp::kFloatOfSigned, EuLane::kU32};
  }
  const bool halves = (from == EuType::kHF && to == EuType::kF) || (from == EuType::kF && to == EuType::kHF);
  if (halves) return EuFastKey{EuFastOp::kMov, EuLane::kF32};
  if (to == EuType::kDF && is_int(from) && eu_type_bytes(from) <= 4)
    return sources.plain() ? std::optional(EuFastKey{EuFastOp::kMov, EuLane::kF64}) : none();
  const bool doubles = (from == EuType::kDF && to == EuType::kF) || (from == EuType::kF && to == EuType::kDF);
  if (doubles) return EuFastKey{EuFastOp::kMov, EuLane::kF64};
  if (from == EuType::kDF && to == EuType::kD) return EuFastKey{EuFastOp::kSignedOfDouble, EuLane::kU64};
  if (from == EuType::kDF && to == EuType::kUD) return EuFastKey{EuFastOp::kUnsignedOfDouble, EuLane::kU64};
  if (from == EuType::kF && to == EuType::kD) return EuFastKey{EuFastOp::kSignedOfFloat, EuLane::kU32};
  if (from == EuType::kF && to == EuType::kUD) return EuFastKey{EuFastOp::kUnsignedOfFloat, EuLane::kU32};
  return none();
}

std::optional<EuFastKey> compare_key(EuFastOp op, const Sources& sources) {
  const std::optional<EuLane> lane = value_lane(sources);
  if (!lane || sources.inst.cond > EuCond::kLe) return none();
  if (sources.all_int() && !sources.plain()) return none();
  const EuType dst = sources.inst.dst.type;
  // A chosen hf is moved bit by bit.
  if (op == EuFastOp::kPick && sources.all_of(EuType::kHF)) return none();
  if (op == EuFastOp::kPick && !(sources.all_int() && is_int(dst)) && !sources.all_of(dst)) return none();
  return EuFastKey{op, *lane, sources.inst.cond};
}

std::optional<EuFastKey> choose_key(const Sources& sources) {
  const EuType dst = sources.inst.dst.type;
  if (sources.all_int() && is_int(dst)) return int_key(EuFastOp::kChoose, sources);
  if (!sources.all_of(dst)) return none();
  if (eu_type_bytes(dst) < 4 && !sources.plain()) return none();
  return EuFastKey{EuFastOp::kChoose, bits_lane(sources)};
}

std::optional<EuFastKey> whole_key(EuFastOp op, const Sources& sources) {
  if (!sources.all_of(EuType::kF) || sources.inst.dst.type != EuType::kF) return none();
  return EuFastKey{op, EuLane::kF32};
}

/// Of 32 bits each.
std::optional<EuFastKey> count_key(EuFastOp op, const Sources& sources) {
  const auto is_dword = [](const EuOperand& s) { return s.type == EuType::kD || s.type == EuType::kUD; };
  const EuInst& inst = sources.inst;
  const bool addend = op == EuFastOp::kDp4a && is_int(inst.src[0].type) && eu_type_bytes(inst.src[0].type) <= 4;
  const bool fits = addend ? is_dword(inst.src[1]) && is_dword(inst.src[2]) : sources.all(is_dword);
  if (!fits || !sources.plain() || !is_int(inst.dst.type) || eu_type_bytes(inst.dst.type) > 4) return none();
  return EuFastKey{op, EuLane::kU32};
}

std::optional<EuFastKey> math_key(const Sources& sources) {
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

std::optional<EuFastKey> key_of(const Sources& sources) {
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
      if (in_acc(inst.dst) && is_int(inst.dst.type) && eu_type_bytes(inst.dst.type) >= 4)
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

/// Registers whose contents are where the operand says, at any time.
bool reachable(const EuOperand& operand) {
  if (operand.indirect || operand.file == EuFile::kGrf) return true;
  if (operand.file != EuFile::kArf) return false;
  switch (operand.arf()) {
    case EuArf::kAcc:
    case EuArf::kFlag:
    case EuArf::kAddress:
    case EuArf::kSr:
    case EuArf::kCr:
    case EuArf::kMsg: return true;
    default: return false;
  }
}

std::uint8_t pitch_of(const EuOperand& operand, unsigned exec_size) {
  const unsigned bytes = eu_type_bytes(operand.type);
  const EuRegion& r = operand.region;
  unsigned pitch = kIrregular;
  if (exec_size == 1) {
    pitch = bytes;
  } else if (r.width == 1) {
    pitch = r.vertical * bytes;
  } else if (r.vertical == r.width * r.horizontal || r.width >= exec_size) {
    pitch = r.horizontal * bytes;
  }
  return static_cast<std::uint8_t>(std::min(pitch, unsigned{kIrregular}));
}

struct Range {
  std::uint32_t start;
  std::uint32_t bytes;
  bool overlaps(const Range& other) const { return start < other.start + other.bytes && other.start < start + bytes; }
};

/// Eight small numbers, over and over.
void fill_vector(EuRecord& record, EuType type, unsigned lane_bytes) {
  for (unsigned i = 0; i < record.constant.size() / lane_bytes; ++i) {
    const std::uint64_t raw = eu_vector_immediate(static_cast<std::uint32_t>(record.inst.imm), type, i);
    const auto bits = static_cast<std::uint64_t>(eu_int_value(raw, eu_element_type(type)));
    std::memcpy(&record.constant[i * lane_bytes], &bits, lane_bytes);
  }
}

void fill_constant(EuRecord& record, unsigned source, EuLane lane) {
  const EuType type = record.inst.src[source].type;
  if (eu_element_type(type) != type) return fill_vector(record, type, eu_lane_bytes(lane));
  const std::uint64_t bits =
      lane == EuLane::kF64 && type != EuType::kDF   ? eu_raw(static_cast<double>(eu_int_value(record.inst.imm, type)))
      : lane == EuLane::kF32 && type == EuType::kHF ? eu_raw(eu_widen(record.inst.imm, kEuFormatHf))
      : is_int(type)                                ? static_cast<std::uint64_t>(eu_int_value(record.inst.imm, type))
                                                    : eu_low_bits(record.inst.imm, eu_type_bytes(type));
  const unsigned bytes = eu_lane_bytes(lane);
  for (unsigned at = 0; at < record.constant.size(); at += bytes) std::memcpy(&record.constant[at], &bits, bytes);
}

bool is_logic(EuOp op) { return eu_op_info(op).logic; }

/// Elements as large as the lanes that are something else all the same.
bool converts(EuType type, EuLane lane) { return lane == EuLane::kF64 && type != EuType::kDF; }

/// False: this source is beyond the fast handlers.
bool set_source(EuRecord& record, unsigned source, EuLane lane, const EuFastLevel& level) {
  const EuOperand& operand = record.inst.src[source];
  EuFastSource& fast = record.fast.src[source];
  if (operand.file == EuFile::kImm) {
    if (modified(operand) || operand.type == EuType::kVF) return false;
    // A denormal f is another df when denormals are flushed.
    if (lane == EuLane::kF64 && operand.type == EuType::kF) return false;
    fast.kind = EuFastSource::Kind::kConstant;
    fill_constant(record, source, lane);
    return true;
  }
  if (!reachable(operand)) return false;
  if (!operand.indirect) {
    fast.at = eu_file_offset(operand) + eu_first_byte(operand);
    fast.pitch = pitch_of(operand, record.inst.exec_size);
  }
  fast.modified = modified(operand) && !is_logic(record.inst.op);
  fast.prepare = level.prepare(record.inst, source, lane);
  fast.kind = EuFastSource::Kind::kPrepared;
  const unsigned bytes = eu_type_bytes(operand.type);
  if (bytes == eu_lane_bytes(lane) && !fast.modified && !operand.indirect && !converts(operand.type, lane)) {
    if (fast.pitch == bytes) fast.kind = EuFastSource::Kind::kPacked;
    if (fast.pitch == 0) fast.kind = EuFastSource::Kind::kSplat;
  }
  return fast.kind != EuFastSource::Kind::kPrepared || fast.prepare != nullptr;
}

void note_acc(EuThread& thread, const EuRecord& record, const std::byte* lanes, std::uint32_t enabled) {
  const EuOperand& dst = record.inst.dst;
  const unsigned bytes = eu_type_bytes(dst.type);
  const bool is_signed = eu_class(dst.type) == EuClass::kSigned;
  const std::uint32_t first = eu_first_byte(dst) / 4;
  const unsigned step = dst.region.horizontal * bytes / 4;
  (void)lanes;  // the register has them by now
  for (std::uint32_t left = enabled; left != 0; left &= left - 1) {
    const auto k = static_cast<unsigned>(std::countr_zero(left));
    const std::uint32_t dword = first + k * step;
    std::int64_t value = 0;
    std::memcpy(&value, &thread.acc[dword * 4], bytes);
    if (is_signed && bytes == 4) value = static_cast<std::int32_t>(value);
    thread.acc_wide[dword] = value;
  }
}

bool set_destination(EuRecord& record, EuLane lane, const EuFastLevel& level) {
  const EuOperand& dst = record.inst.dst;
  EuFast& fast = record.fast;
  if (dst.null()) return true;
  if (!reachable(dst) || dst.region.horizontal == 0) return false;
  // Result and condition in one register: the generic way knows which is last.
  const bool in_flags = !dst.indirect && dst.file == EuFile::kArf && dst.arf() == EuArf::kFlag;
  if (in_flags && (record.inst.cond != EuCond::kNone || record.inst.op == EuOp::kMath)) return false;
  const unsigned bytes = eu_type_bytes(dst.type);
  if (bytes > eu_lane_bytes(lane)) return false;
  if (!dst.indirect) fast.dst_at = eu_file_offset(dst) + eu_first_byte(dst);
  fast.dst_pitch = static_cast<std::uint8_t>(dst.region.horizontal * bytes);
  if (in_acc(dst) && is_int(dst.type) && bytes >= 4) {
    if (fast.dst_at % 4 != 0) return false;
    if (record.inst.op != EuOp::kMul) fast.acc = note_acc;  // a product keeps more
  }
  fast.in_place = bytes == eu_lane_bytes(lane) && !dst.indirect && !record.inst.saturate &&
                  (dst.region.horizontal == 1 || record.inst.exec_size == 1);
  if (!fast.in_place) fast.store = level.store(record.inst, lane);
  return fast.in_place || fast.store != nullptr;
}

/// A source that the results overwrite before it was read whole is copied first.
bool keep_overlapping_sources(EuRecord& record, EuLane lane, unsigned count) {
  if (!record.fast.in_place) return true;
  const std::uint32_t bytes = record.inst.exec_size * eu_lane_bytes(lane);
  const Range to{record.fast.dst_at, bytes};
  for (unsigned i = 0; i < count; ++i) {
    EuFastSource& source = record.fast.src[i];
    if (source.kind != EuFastSource::Kind::kPacked || source.at == to.start) continue;
    if (!to.overlaps({source.at, bytes})) continue;
    if (source.prepare == nullptr) return false;
    source.kind = EuFastSource::Kind::kPrepared;
  }
  return true;
}

bool set_flags(EuRecord& record, EuLane lane, const EuFastLevel& level) {
  const EuInst& inst = record.inst;
  if (inst.cond == EuCond::kNone || inst.op == EuOp::kCmp || inst.op == EuOp::kSel) return true;
  if (eu_type_bytes(inst.dst.type) != eu_lane_bytes(lane)) return false;
  const bool wide = eu_lane_bytes(lane) == 8;
  EuLane as = wide ? EuLane::kU64 : EuLane::kU32;
  if (eu_class(inst.dst.type) == EuClass::kSigned) as = wide ? EuLane::kI64 : EuLane::kI32;
  if (eu_is_float(inst.dst.type)) as = wide ? EuLane::kF64 : EuLane::kF32;
  record.fast.flags = level.flags(inst.cond, as);
  return record.fast.flags != nullptr;
}

bool is_direct(const EuRecord& record, unsigned sources, EuLane lane, const EuFastLevel& level) {
  const EuFast& fast = record.fast;
  if (!fast.in_place || fast.flags != nullptr || fast.acc != nullptr) return false;
  if (record.inst.exec_size * eu_lane_bytes(lane) % level.vector_bytes != 0) return false;
  return std::all_of(fast.src.begin(), fast.src.begin() + sources,
                     [](const EuFastSource& s) { return s.kind != EuFastSource::Kind::kPrepared; });
}

EuMinds minds_of(const EuFastKey& key, const Sources& sources) {
  const bool halves = key.lane == EuLane::kF32 && (sources.inst.dst.type == EuType::kHF || !sources.all_of(EuType::kF));
  const bool to_int = key.op == EuFastOp::kSignedOfFloat || key.op == EuFastOp::kUnsignedOfFloat ||
                      key.op == EuFastOp::kSignedOfDouble || key.op == EuFastOp::kUnsignedOfDouble;
  return (halves ? EuMinds::kHalves : EuMinds::kNothing) | (to_int ? EuMinds::kToInt : EuMinds::kNothing);
}

const EuFastLevel* level_of(EuLevel level) {
  switch (level) {
    case EuLevel::kGeneric: return nullptr;
    case EuLevel::kPlain: return &kEuFastPlain;
    case EuLevel::kAvx2: return &kEuFastAvx2;
    case EuLevel::kAvx512: return &kEuFastAvx512;
  }
  return nullptr;
}

}  // namespace

namespace {

/// Not among the names that every compiler's __builtin_cpu_supports() knows.
bool has_f16c() {
  unsigned a = 0;
  unsigned b = 0;
  unsigned c = 0;
  unsigned d = 0;
  return __get_cpuid(1, &a, &b, &c, &d) != 0 && (c >> 29 & 1) != 0;
}

}  // namespace

EuLevel eu_host_level() {
  static const EuLevel best = [] {
    __builtin_cpu_init();
    const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && has_f16c() &&
                      __builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2");
    if (!avx2) return EuLevel::kPlain;
    const bool avx512 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                        __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
    return avx512 ? EuLevel::kAvx512 : EuLevel::kAvx2;
  }();
  return best;
}

namespace {

void set_channels(EuRecord& record) {
  const EuInst& inst = record.inst;
  record.fast.all = eu_all_channels(inst.exec_size);
  record.fast.predicated = inst.pred != EuPred::kNone;
  record.fast.masked = !inst.no_mask;
  record.fast.channels = inst.exec_size;
  record.fast.first_channel = inst.channel_offset;
}

/// Matrices of the types that kernels use; sums are f, d or ud.
bool select_dpas(EuRecord& record, const EuFastLevel& level) {
  const EuInst& inst = record.inst;
  const auto& [c, b, a] = inst.src;
  const auto is_byte = [](EuType type) { return type == EuType::kB || type == EuType::kUB; };
  const auto is_small = [](EuType type) { return type == EuType::kHF || type == EuType::kBF || type == EuType::kTF32; };
  const bool bytes = is_byte(a.type) && is_byte(b.type) && eu_type_bytes(inst.dst.type) == 4;
  const bool floats = a.type == b.type && is_small(a.type) && inst.dst.type == EuType::kF;
  const bool sums = c.null() || (eu_type_bytes(c.type) == 4 && eu_is_float(c.type) == floats);
  if (inst.saturate || (!bytes && !floats) || !sums || inst.dst.null()) return false;
  record.fast = {};
  for (unsigned i = 0; i < 3; ++i) {
    if (!inst.src[i].null()) record.fast.src[i].at = eu_file_offset(inst.src[i]) + eu_first_byte(inst.src[i]);
  }
  record.fast.dst_at = eu_file_offset(inst.dst) + eu_first_byte(inst.dst);
  set_channels(record);
  record.run = floats ? level.dpas_of_floats : level.dpas_of_bytes;
  return true;
}

}  // namespace

bool eu_fast_select(EuRecord& record, EuLevel level) {
  const EuFastLevel* const table = level_of(level);
  const EuInst& inst = record.inst;
  if (table == nullptr) return false;
  if (inst.op == EuOp::kDpas) return select_dpas(record, *table);
  if (inst.saturate && (inst.cond != EuCond::kNone || !eu_is_float(inst.dst.type))) return false;
  const Sources sources(inst);
  const std::optional<EuFastKey> key = key_of(sources);
  if (!key) return false;
  record.fast = {};
  for (unsigned i = 0; i < sources.count; ++i) {
    if (!set_source(record, i, key->lane, *table)) return false;
  }
  if (!set_destination(record, key->lane, *table) || !set_flags(record, key->lane, *table)) return false;
  if (!keep_overlapping_sources(record, key->lane, sources.count)) return false;
  set_channels(record);
  for (unsigned i = 0; i < table->row_count; ++i) {
    const EuFastRow& row = table->rows[i];
    if (row.key != *key) continue;
    record.run = inst.exec_size == 1 ? row.one : row.many;
    if (row.direct != nullptr && is_direct(record, sources.count, key->lane, *table)) record.run = row.direct;
    record.minds = record.minds | minds_of(*key, sources);
    return true;
  }
  return false;
}

}  // namespace softxe
