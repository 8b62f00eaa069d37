// Float operations of one channel (spec/eu-isa.md 5). The host rounds: MXCSR holds the thread's mode.
#pragma once

#include "hw/eu/eu_inst.h"
#include "hw/eu/eu_number.h"

namespace softxe {

template <typename T>
struct EuFloatArgs {
  T s0 = 0;
  T s1 = 0;
  T s2 = 0;
};

/// For T = float and double. NaN results have any bits: see eu_one_nan(). Null when there is no such operation.
template <typename T>
using EuFloatOp = T (*)(const EuFloatArgs<T>& args);
template <typename T>
EuFloatOp<T> eu_float_op(EuOp op);

/// s0 + s1 * s2 of values of hf, rounded once. f is not enough: the sum may span 80 bits.
std::uint64_t eu_half_mad(const EuFloatArgs<float>& args, const EuFloatMode& mode);

inline float eu_one_nan(float value) { return value == value ? value : eu_f(kEuNanF); }
inline double eu_one_nan(double value) { return value == value ? value : eu_df(kEuNanDf); }

/// Whether `a cond b` holds; with a NaN only kNe and kUn do.
template <typename T>
bool eu_compare(EuCond cond, T a, T b) {
  switch (cond) {
    case EuCond::kEq: return a == b;
    case EuCond::kNe: return a != b;
    case EuCond::kGt: return a > b;
    case EuCond::kGe: return a >= b;
    case EuCond::kLt: return a < b;
    case EuCond::kLe: return a <= b;
    case EuCond::kUn: return a != a || b != b;
    case EuCond::kNone:
    case EuCond::kOv: break;
  }
  return false;
}

}  // namespace softxe
