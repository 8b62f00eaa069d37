#include "hw/eu/eu_math.h"

#include <cmath>

namespace softxe {
namespace {

/// libm is only right when the host rounds to nearest; the result is then rounded to f by the thread's mode.
class NearestScope {
 public:
  NearestScope() : scope_(host_float_control(EuRounding::kNearestEven, EuDenormals::kKeep)) {}

 private:
  HostFloatScope scope_;
};

/// Arithmetic on `value` cannot move across this: the compiler knows nothing of MXCSR.
double pinned(double value) {
  asm volatile("" : "+x"(value));
  return value;
}

double in_double(EuMath function, double x) {
  switch (function) {
    case EuMath::kLog: return std::log2(x);
    case EuMath::kExp: return std::exp2(x);
    case EuMath::kRsqt: return 1.0 / std::sqrt(x);
    case EuMath::kSin: return std::sin(x);
    case EuMath::kCos: return std::cos(x);
    default: return NAN;
  }
}

double transcendental(EuMath function, double x) {
  x = pinned(x);
  {
    const NearestScope nearest;
    x = pinned(in_double(function, pinned(x)));
  }
  return pinned(x);
}

}  // namespace

float eu_math(EuMath function, float s0, float s1) {
  switch (function) {
    case EuMath::kInv: return 1.0F / s0;
    case EuMath::kSqt:
    case EuMath::kRsqtm: return std::sqrt(s0);
    case EuMath::kInvm: return s0 / s1;
    default: return static_cast<float>(transcendental(function, static_cast<double>(s0)));
  }
}

double eu_math(EuMath function, double s0, double s1) {
  if (function == EuMath::kInvm) return s0 / s1;
  if (function == EuMath::kRsqtm) return std::sqrt(s0);
  return NAN;
}

}  // namespace softxe
