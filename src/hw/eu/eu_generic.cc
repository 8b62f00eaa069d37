#include "hw/eu/eu_generic.h"

#include <cmath>

#include "hw/eu/eu_accumulator.h"
#include "hw/eu/eu_channels.h"
#include "hw/eu/eu_dpas.h"
#include "hw/eu/eu_float_ops.h"
#include "hw/eu/eu_fused.h"
#include "hw/eu/eu_int_ops.h"
#include "hw/eu/eu_math.h"
#include "hw/eu/eu_number.h"
#include "hw/eu/eu_operand.h"

namespace softxe {
namespace {

/// One instruction on its way: sources are read, nothing is written yet.
struct Work {
  EuThread& thread;
  const EuInst& inst;
  EuFloatMode mode;
  std::array<EuLanes, 3> src;
  std::uint32_t enabled = 0;
  EuLanes result{};
  EuExactLanes exact{};  ///< of integer operations: what an accumulator keeps
  std::uint32_t overflow = 0;

  EuType type(unsigned source) const { return eu_element_type(inst.src[source].type); }
  EuConvert convert() const {
    const bool saturates = inst.saturate && inst.op != EuOp::kMadm;
    return {.to = inst.dst.type, .saturate = saturates ? EuSaturate::kYes : EuSaturate::kNo, .mode = mode};
  }
};

enum class Domain : std::uint8_t { kInt, kFloat, kDouble };

unsigned source_count(const EuInst& inst) {
  unsigned count = 0;
  for (const EuOperand& source : inst.src) count += source.file != EuFile::kNone ? 1 : 0;
  return count;
}

Domain domain_of(const EuInst& inst) {
  Domain domain = Domain::kInt;
  for (const EuOperand& source : inst.src) {
    if (source.file == EuFile::kNone || !eu_is_float(source.type)) continue;
    if (source.type == EuType::kDF) return Domain::kDouble;
    domain = Domain::kFloat;
  }
  return domain;
}

bool is_logic(EuOp op) {
  return op == EuOp::kAnd || op == EuOp::kOr || op == EuOp::kXor || op == EuOp::kNot || op == EuOp::kBfn;
}

/// Source modifiers that the operation ignores (spec/eu-isa.md 2.8).
bool ignores_modifiers(EuOp op) {
  switch (op) {
    case EuOp::kAddc:
    case EuOp::kSubb:
    case EuOp::kLzd:
    case EuOp::kCbit:
    case EuOp::kFbl:
    case EuOp::kBfrev:
    case EuOp::kRol:
    case EuOp::kRor: return true;
    default: return false;
  }
}

EuWide int_source(const Work& work, unsigned source, unsigned k) {
  const EuOperand& operand = work.inst.src[source];
  if (operand.file == EuFile::kNone) return 0;
  EuWide value = eu_int_value(work.src[source][k], work.type(source));
  if (ignores_modifiers(work.inst.op)) return value;
  if (is_logic(work.inst.op)) return operand.neg ? ~value : value;
  if (operand.abs && value < 0) value = -value;
  return operand.neg ? -value : value;
}

template <typename T>
T with_modifiers(const EuOperand& operand, T value) {
  if (operand.abs) value = std::fabs(value);
  return operand.neg ? -value : value;
}

EuDenormals denormals_of(const EuFloatMode& mode, EuType type) {
  if (type == EuType::kHF) return mode.hf;
  if (type == EuType::kF) return EuDenormals::kKeep;  // the host flushes them
  // The others are calculated with as f, whose mode holds, too. bf8 has no denormals there.
  return type != EuType::kBF8 && mode.f == EuDenormals::kFlush ? EuDenormals::kFlush : mode.bf;
}

float small_float(std::uint64_t raw, EuType type, const EuFloatMode& mode) {
  const float value = eu_float_value(raw, type);
  if (denormals_of(mode, type) == EuDenormals::kKeep) return value;
  const float smallest = type == EuType::kHF || type == EuType::kBF8 ? 0x1p-14F : 0x1p-126F;
  return std::fabs(value) < smallest ? std::copysign(0.0F, value) : value;
}

/// A source of a float type as T.
template <typename T>
T float_source(const Work& work, unsigned source, unsigned k) {
  const EuOperand& operand = work.inst.src[source];
  if (operand.file == EuFile::kNone) return 0;
  const EuType type = work.type(source);
  const std::uint64_t raw = work.src[source][k];
  if (type == EuType::kDF) return with_modifiers(operand, static_cast<T>(eu_df(raw)));
  return with_modifiers(operand, static_cast<T>(small_float(raw, type, work.mode)));
}

template <typename T>
EuFloatArgs<T> float_args(const Work& work, unsigned k) {
  return {float_source<T>(work, 0, k), float_source<T>(work, 1, k), float_source<T>(work, 2, k)};
}

bool all_half(const EuInst& inst) {
  for (const EuOperand& source : inst.src) {
    if (source.file != EuFile::kNone && source.type != EuType::kHF) return false;
  }
  return inst.dst.type == EuType::kHF;
}

/// Moves within a type: NaN payloads and denormals survive (spec/eu-isa.md 4); float signs are bits.
bool is_raw(const EuInst& inst, unsigned source) {
  const EuOperand& operand = inst.src[source];
  if (eu_element_type(operand.type) != inst.dst.type || inst.saturate) return false;
  return eu_is_float(inst.dst.type) || (!operand.neg && !operand.abs);
}

std::uint64_t with_sign(const EuOperand& operand, std::uint64_t raw) {
  const std::uint64_t sign = std::uint64_t{1} << (eu_type_bytes(operand.type) * 8 - 1);
  if (operand.abs) raw &= ~sign;
  return operand.neg ? raw ^ sign : raw;
}

/// The source as the destination's type: moves and selections.
std::uint64_t moved(const Work& work, unsigned source, unsigned k) {
  const EuConvert convert = work.convert();
  if (is_raw(work.inst, source)) return with_sign(work.inst.src[source], work.src[source][k]);
  const EuType type = work.type(source);
  if (!eu_is_float(type)) return convert.from(int_source(work, source, k));
  if (type == EuType::kDF) return convert.from(float_source<double>(work, source, k));
  return convert.from(float_source<float>(work, source, k));
}

void do_move(Work& work) {
  for (unsigned k = 0; k < work.inst.exec_size; ++k) {
    work.result[k] = moved(work, 0, k);
    if (!eu_is_float(work.type(0))) {
      const EuWide exact = int_source(work, 0, k);
      const bool fits = eu_is_float(work.inst.dst.type) || eu_int_value(work.result[k], work.inst.dst.type) == exact;
      work.overflow |= std::uint32_t{!fits} << k;
    }
  }
}

void do_int(Work& work) {
  const EuIntOp apply = eu_int_op(work.inst.op);
  const EuConvert convert = work.convert();
  for (unsigned k = 0; k < work.inst.exec_size; ++k) {
    const EuIntArgs args{int_source(work, 0, k), int_source(work, 1, k), int_source(work, 2, k)};
    const EuWide exact = apply(args, work.inst);
    work.exact.value[k] = static_cast<std::int64_t>(exact);
    work.result[k] = is_logic(work.inst.op) ? eu_low_bits(static_cast<std::uint64_t>(exact), 8) : convert.from(exact);
    work.result[k] = eu_low_bits(work.result[k], eu_type_bytes(work.inst.dst.type));
    if (!eu_is_float(work.inst.dst.type)) {
      work.overflow |= std::uint32_t{eu_int_value(work.result[k], work.inst.dst.type) != exact} << k;
    }
  }
  work.exact.valid = work.inst.op == EuOp::kMul && !work.inst.saturate;
}

template <typename T>
void do_float(Work& work) {
  const EuFloatOp<T> apply = eu_float_op<T>(work.inst.op);
  const EuConvert convert = work.convert();
  const bool half_mad = work.inst.op == EuOp::kMad && all_half(work.inst);
  for (unsigned k = 0; k < work.inst.exec_size; ++k) {
    const EuFloatArgs<T> args = float_args<T>(work, k);
    if constexpr (std::is_same_v<T, float>) {
      if (half_mad) {
        const std::uint64_t half = eu_half_mad(args, work.mode);
        work.result[k] = work.inst.saturate ? convert.from(eu_widen(half, kEuFormatHf)) : half;
        continue;
      }
    }
    work.result[k] = convert.from(eu_one_nan(apply(args)));
  }
}

void do_math(Work& work) {
  const auto function = static_cast<EuMath>(work.inst.function);
  const EuConvert convert = work.convert();
  const bool is_double = domain_of(work.inst) == Domain::kDouble;
  const bool reciprocal = function == EuMath::kRsqtm && work.inst.dst.mme == 8;
  for (unsigned k = 0; k < work.inst.exec_size; ++k) {
    if ((work.enabled >> k & 1) == 0) continue;  // libm is slow
    if (is_double) {
      double value = eu_math(function, float_source<double>(work, 0, k), float_source<double>(work, 1, k));
      if (reciprocal) value = 1.0 / value;
      work.result[k] = convert.from(eu_one_nan(value));
      continue;
    }
    const EuMath used = reciprocal ? EuMath::kRsqt : function;
    const float value = eu_math(used, float_source<float>(work, 0, k), float_source<float>(work, 1, k));
    work.result[k] = convert.from(eu_one_nan(value));
  }
  // The result is final: the macro's madm are skipped by this flag (spec/eu-isa.md 5.1).
  if (eu_math_has_macro(work.inst.function)) eu_set_flags(work.thread, work.inst, ~0u, work.enabled);
}

void do_srnd(Work& work) {
  const EuType to = work.inst.dst.type;
  for (unsigned k = 0; k < work.inst.exec_size; ++k) {
    const auto value = static_cast<double>(float_source<float>(work, 0, k));
    const std::uint64_t random = eu_low_bits(work.src[1][k], 4);
    // Bits that a double has and the source has not: the random bits belong above them.
    const unsigned spare = work.type(0) == EuType::kHF ? 42 : 29;
    const EuRounder rounder{.rounding = EuRounding::kZero,
                            .denormals = denormals_of(work.mode, to),
                            .stochastic = true,
                            .random = random << spare};
    work.result[k] = eu_round(value, to == EuType::kHF ? kEuFormatHf : kEuFormatBf8, rounder);
  }
}

template <typename T>
std::uint32_t compare_lanes(const Work& work, unsigned first) {
  std::uint32_t bits = 0;
  for (unsigned k = 0; k < work.inst.exec_size; ++k) {
    const T a = float_source<T>(work, first, k);
    const T b = work.inst.op == EuOp::kCsel ? T{0} : float_source<T>(work, 1, k);
    bool holds = eu_compare(work.inst.cond, a, b);
    if (work.inst.op == EuOp::kCmpn && (a != a || b != b)) holds = true;
    // Minimum and maximum: the operand that is no NaN wins.
    if (work.inst.op == EuOp::kSel && (a != a || b != b)) holds = b != b;
    bits |= std::uint32_t{holds} << k;
  }
  return bits;
}

std::uint32_t compared(const Work& work) {
  const unsigned first = work.inst.op == EuOp::kCsel ? 2 : 0;
  Domain domain = domain_of(work.inst);
  if (work.inst.op == EuOp::kCsel && !eu_is_float(work.type(2))) domain = Domain::kInt;
  if (domain == Domain::kDouble) return compare_lanes<double>(work, first);
  if (domain == Domain::kFloat) return compare_lanes<float>(work, first);
  std::uint32_t bits = 0;
  for (unsigned k = 0; k < work.inst.exec_size; ++k) {
    const EuWide a = int_source(work, first, k);
    const EuWide b = work.inst.op == EuOp::kCsel ? 0 : int_source(work, 1, k);
    bits |= std::uint32_t{eu_compare(work.inst.cond, a, b)} << k;
  }
  return bits;
}

void do_compare(Work& work) {
  const std::uint32_t bits = compared(work);
  const std::uint64_t ones = eu_low_bits(~std::uint64_t{0}, eu_type_bytes(work.inst.dst.type));
  for (unsigned k = 0; k < work.inst.exec_size; ++k) work.result[k] = (bits >> k & 1) != 0 ? ones : 0;
  eu_set_flags(work.thread, work.inst, bits, work.enabled);
}

/// sel with a predicate chooses by it and works on every active channel.
void do_select(Work& work) {
  std::uint32_t first = 0;
  if (work.inst.op == EuOp::kSel && work.inst.cond == EuCond::kNone) {
    first = eu_predicated(work.thread, work.inst);
    work.enabled = eu_active(work.thread, work.inst);
  } else {
    first = compared(work);
  }
  for (unsigned k = 0; k < work.inst.exec_size; ++k) work.result[k] = moved(work, (first >> k & 1) != 0 ? 0 : 1, k);
}

/// Flags from a result of any operation but comparisons and selections: against zero.
void set_condition(Work& work) {
  const EuType type = work.inst.dst.type;
  std::uint32_t bits = 0;
  for (unsigned k = 0; k < work.inst.exec_size; ++k) {
    bool holds = false;
    if (work.inst.cond == EuCond::kOv && !eu_is_float(type)) {
      holds = (work.overflow >> k & 1) != 0;
    } else if (!eu_is_float(type)) {
      holds = eu_compare(work.inst.cond, eu_int_value(work.result[k], type), EuWide{0});
    } else {
      const double value = type == EuType::kDF ? eu_df(work.result[k])
                                               : static_cast<double>(small_float(work.result[k], type, work.mode));
      holds = work.inst.cond == EuCond::kOv ? std::isinf(value) : eu_compare(work.inst.cond, value, 0.0);
    }
    bits |= std::uint32_t{holds} << k;
  }
  eu_set_flags(work.thread, work.inst, bits, work.enabled);
}

bool ignores_condition(EuOp op) {
  switch (op) {
    case EuOp::kCmp:
    case EuOp::kCmpn:
    case EuOp::kSel:
    case EuOp::kCsel:
    case EuOp::kMach:
    case EuOp::kMacl:
    case EuOp::kMadm:
    case EuOp::kBfrev:
    case EuOp::kCbit:
    case EuOp::kMath: return true;
    default: return false;
  }
}

void do_accumulate(Work& work) {
  const auto low = [&](unsigned source, unsigned k) { return int_source(work, source, k); };
  const bool is_float = domain_of(work.inst) != Domain::kInt;
  for (unsigned k = 0; k < work.inst.exec_size; ++k) {
    if (work.inst.op == EuOp::kMac && is_float) {
      const float acc = eu_acc_float(work.thread, k);
      const float value = eu_fused(float_source<float>(work, 0, k), float_source<float>(work, 1, k), acc);
      work.result[k] = work.convert().from(eu_one_nan(value));
      continue;
    }
    const bool on = (work.enabled >> k & 1) != 0;
    const EuAccStep step = eu_accumulate(work.thread, work.inst, {.s0 = low(0, k), .s1 = low(1, k)}, k);
    work.result[k] = step.is_value ? work.convert().from(EuWide{step.result}) : static_cast<std::uint64_t>(step.result);
    work.result[k] = eu_low_bits(work.result[k], eu_type_bytes(work.inst.dst.type));
    work.exact.value[k] = step.result;
    if (on && step.writes_acc) eu_set_acc(work.thread, k, step.acc);
  }
}

void apply(Work& work) {
  switch (work.inst.op) {
    case EuOp::kMov:
    case EuOp::kMovi: return do_move(work);
    case EuOp::kCmp:
    case EuOp::kCmpn: return do_compare(work);
    case EuOp::kSel:
    case EuOp::kCsel: return do_select(work);
    case EuOp::kMath: return do_math(work);
    case EuOp::kSrnd: return do_srnd(work);
    case EuOp::kMac:
    case EuOp::kMach:
    case EuOp::kMacl:
    case EuOp::kAddc:
    case EuOp::kSubb: return do_accumulate(work);
    default: break;
  }
  switch (domain_of(work.inst)) {
    case Domain::kInt: return do_int(work);
    case Domain::kFloat: return do_float<float>(work);
    case Domain::kDouble: return do_float<double>(work);
  }
}

bool works_on_df(const EuInst& inst) { return domain_of(inst) == Domain::kDouble || inst.dst.type == EuType::kDF; }

}  // namespace

void eu_generic(EuThread& thread, const EuInst& inst) {
  if (inst.op == EuOp::kDpas) return eu_dpas(thread, inst);
  thread.ce[0] = thread.mask;
  const EuFloatMode mode = EuFloatMode::of(thread.cr[0]);
  const HostFloatScope scope(host_float_control(mode.rounding, works_on_df(inst) ? mode.df : mode.f));
  Work work{.thread = thread, .inst = inst, .mode = mode, .src = {}, .enabled = eu_enabled(thread, inst)};
  for (unsigned source = 0; source < source_count(inst); ++source) work.src[source] = eu_read(thread, inst, source);
  apply(work);
  if (inst.cond != EuCond::kNone && !ignores_condition(inst.op)) set_condition(work);
  eu_write(thread, inst.dst, work.result, work.enabled, inst.exec_size);
  eu_note_acc_write(thread, inst, {work.result, work.exact, work.enabled});
}

}  // namespace softxe
