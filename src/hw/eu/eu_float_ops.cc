#include "hw/eu/eu_float_ops.h"

#include <cmath>

#include "hw/eu/eu_fused.h"

namespace softxe {
namespace {

template <typename T>
using Args = const EuFloatArgs<T>&;

template <typename T>
T add(Args<T> a) {
  return a.s0 + a.s1;
}
template <typename T>
T mul(Args<T> a) {
  return a.s0 * a.s1;
}
template <typename T>
T mad(Args<T> a) {
  return eu_fused(a.s1, a.s2, a.s0);
}
template <typename T>
T same(Args<T> a) {
  return a.s0;
}
template <typename T, EuRounding rounding>
T whole(Args<T> a) {
  return static_cast<T>(eu_round_to_whole(static_cast<double>(a.s0), rounding));
}
template <typename T>
T fraction(Args<T> a) {
  return a.s0 - static_cast<T>(eu_round_to_whole(static_cast<double>(a.s0), EuRounding::kDown));
}

}  // namespace

template <typename T>
EuFloatOp<T> eu_float_op(EuOp op) {
  switch (op) {
    case EuOp::kAdd: return add<T>;
    case EuOp::kMul: return mul<T>;
    case EuOp::kMad:
    case EuOp::kMadm: return mad<T>;
    case EuOp::kMov:
    case EuOp::kMovi: return same<T>;
    case EuOp::kRndu: return whole<T, EuRounding::kUp>;
    case EuOp::kRndd: return whole<T, EuRounding::kDown>;
    case EuOp::kRnde: return whole<T, EuRounding::kNearestEven>;
    case EuOp::kRndz: return whole<T, EuRounding::kZero>;
    case EuOp::kFrc: return fraction<T>;
    default: return nullptr;
  }
}
template EuFloatOp<float> eu_float_op<float>(EuOp op);
template EuFloatOp<double> eu_float_op<double>(EuOp op);

std::uint64_t eu_half_mad(const EuFloatArgs<float>& args, const EuFloatMode& mode) {
  const float plain = eu_fused(args.s1, args.s2, args.s0);
  const EuRounder rounder{.rounding = mode.rounding, .denormals = mode.hf};
  if (plain != plain || std::isinf(plain) || plain == 0) {
    // Zeros of f are exact: no sum of such numbers is too small for f. So are infinities and NaNs.
    return eu_round(static_cast<double>(eu_one_nan(plain)), kEuFormatHf, rounder);
  }
  // In units of 2^-48 every product and every addend is whole, and none exceeds 2^81.
  const auto fixed = [](double value, int unit) { return static_cast<EuWide>(value * eu_power_of_two(unit)); };
  const EuWide sum = fixed(static_cast<double>(args.s1), 24) * fixed(static_cast<double>(args.s2), 24) +
                     fixed(static_cast<double>(args.s0), 48);
  EuExact exact = EuExact::of(sum);
  exact.exponent = -48;
  return eu_round(exact, kEuFormatHf, rounder);
}

}  // namespace softxe
