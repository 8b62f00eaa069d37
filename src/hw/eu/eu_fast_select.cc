// From what a fast handler would do (eu_fast_key.h) to the handler and where it finds its operands.
#include <cpuid.h>

#include <algorithm>
#include <cstring>
#include <optional>

#include "hw/eu/eu_accumulator.h"
#include "hw/eu/eu_channels.h"
#include "hw/eu/eu_fast.h"
#include "hw/eu/eu_fast_key.h"
#include "hw/eu/eu_number.h"
#include "hw/eu/eu_opcodes.h"
#include "hw/eu/eu_operand.h"

namespace softxe {
namespace {

constexpr std::uint8_t kIrregular = 0xFF;

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
      : eu_is_int(type)                             ? static_cast<std::uint64_t>(eu_int_value(record.inst.imm, type))
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
    if (eu_two_immediates(record.inst)) return false;  // a record has room for one constant
    if (eu_modified(operand) || operand.type == EuType::kVF) return false;
    // A denormal f is another df when denormals are flushed.
    if (lane == EuLane::kF64 && operand.type == EuType::kF) return false;
    if (lane == EuLane::kF64 && eu_element_type(operand.type) != operand.type) return false;
    fast.kind = EuFastSource::Kind::kConstant;
    fill_constant(record, source, lane);
    return true;
  }
  if (!reachable(operand)) return false;
  if (!operand.indirect) {
    fast.at = eu_file_offset(operand) + eu_first_byte(operand);
    fast.pitch = pitch_of(operand, record.inst.exec_size);
  }
  fast.modified = eu_modified(operand) && !is_logic(record.inst.op);
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
  if (eu_in_acc(dst) && eu_is_int(dst.type) && bytes >= 4) {
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
  const bool wide = eu_lane_bytes(lane) == 8;
  EuLane as = wide ? EuLane::kU64 : EuLane::kU32;
  if (eu_class(inst.dst.type) == EuClass::kSigned) as = wide ? EuLane::kI64 : EuLane::kI32;
  if (eu_is_float(inst.dst.type)) as = wide ? EuLane::kF64 : EuLane::kF32;
  record.fast.flags = level.flags(inst.cond, as, eu_type_bytes(inst.dst.type));
  return record.fast.flags != nullptr;
}

bool is_direct(const EuRecord& record, unsigned sources, EuLane lane, const EuFastLevel& level) {
  const EuFast& fast = record.fast;
  if (!fast.in_place || fast.flags != nullptr || fast.acc != nullptr) return false;
  if (record.inst.exec_size * eu_lane_bytes(lane) % level.vector_bytes != 0) return false;
  return std::all_of(fast.src.begin(), fast.src.begin() + sources,
                     [](const EuFastSource& s) { return s.kind != EuFastSource::Kind::kPrepared; });
}

EuMinds minds_of(const EuFastKey& key, const EuSources& sources) {
  const bool halves = key.lane == EuLane::kF32 && (sources.inst.dst.type == EuType::kHF || !sources.all_of(EuType::kF));
  const bool to_int = key.op == EuFastOp::kSignedOfFloat || key.op == EuFastOp::kUnsignedOfFloat ||
                      key.op == EuFastOp::kSignedOfDouble || key.op == EuFastOp::kUnsignedOfDouble;
  return (halves ? EuMinds::kHalves : EuMinds::kNothing) | (to_int ? EuMinds::kToInt : EuMinds::kNothing);
}

}  // namespace

const EuFastLevel* eu_fast_level(EuLevel level) {
  switch (level) {
    case EuLevel::kGeneric: return nullptr;
    case EuLevel::kPlain: return &kEuFastPlain;
    case EuLevel::kAvx2: return &kEuFastAvx2;
    case EuLevel::kAvx512: return &kEuFastAvx512;
  }
  return nullptr;
}

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

void eu_set_channels(EuRecord& record) {
  const EuInst& inst = record.inst;
  record.fast.all = eu_all_channels(inst.exec_size);
  record.fast.predicated = inst.pred != EuPred::kNone;
  record.fast.masked = !inst.no_mask;
  record.fast.channels = inst.exec_size;
  record.fast.first_channel = inst.channel_offset;
}

namespace {

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
  eu_set_channels(record);
  record.run = floats ? level.dpas_of_floats : level.dpas_of_bytes;
  return true;
}

}  // namespace

bool eu_fast_select(EuRecord& record, EuLevel level) {
  const EuFastLevel* const table = eu_fast_level(level);
  const EuInst& inst = record.inst;
  if (table == nullptr) return false;
  if (inst.op == EuOp::kDpas) return select_dpas(record, *table);
  if (inst.saturate && (inst.cond != EuCond::kNone || !eu_is_float(inst.dst.type))) return false;
  const EuSources sources(inst);
  const std::optional<EuFastKey> key = eu_fast_key(sources);
  if (!key) return false;
  record.fast = {};
  for (unsigned i = 0; i < sources.count; ++i) {
    if (!set_source(record, i, key->lane, *table)) return false;
  }
  if (!set_destination(record, key->lane, *table) || !set_flags(record, key->lane, *table)) return false;
  if (!keep_overlapping_sources(record, key->lane, sources.count)) return false;
  eu_set_channels(record);
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
