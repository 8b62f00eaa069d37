#include "hw/eu/eu_math.h"

#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "hw/eu/eu_number.h"
#include "hw/eu/eu_thread.h"

namespace softxe {
namespace {

// Vectors of one: the same source as the fast handlers'.
#define SX_EU_VECTOR_BYTES 16
#include "hw/eu/eu_fast_vector.inc"
// Behind the vectors.
#include "hw/eu/eu_fast_math.inc"

/// Arithmetic on `value` cannot move across this: the compiler knows nothing of MXCSR.
double pinned(double value) {
  asm volatile("" : "+x"(value));
  return value;
}

template <Transcendental function>
float rounded(float x) {
  const Vec<double, 8> value = {static_cast<double>(x)};
  return static_cast<float>(transcendental<function, 8>(value)[0]);
}

}  // namespace

double eu_sine_of_large(double x, std::int64_t quarter) {
  x = pinned(x);
  {
    // libm is only right when the host rounds to nearest.
    const HostFloatScope nearest(host_float_control(EuRounding::kNearestEven, EuDenormals::kKeep));
    x = pinned(quarter == 0 ? std::sin(pinned(x)) : std::cos(pinned(x)));
  }
  return pinned(x);
}

float eu_math(EuMath function, float s0, float s1) {
  switch (function) {
    case EuMath::kInv: return 1.0F / s0;
    case EuMath::kSqt:
    case EuMath::kRsqtm: return std::sqrt(s0);
    case EuMath::kInvm: return s0 / s1;
    case EuMath::kLog: return rounded<Transcendental::kLog>(s0);
    case EuMath::kExp: return rounded<Transcendental::kExp>(s0);
    case EuMath::kRsqt: return rounded<Transcendental::kRsqt>(s0);
    case EuMath::kSin: return rounded<Transcendental::kSin>(s0);
    case EuMath::kCos: return rounded<Transcendental::kCos>(s0);
  }
  return NAN;
}

double eu_math(EuMath function, double s0, double s1) {
  if (function == EuMath::kInvm) return s0 / s1;
  if (function == EuMath::kRsqtm) return std::sqrt(s0);
  return NAN;
}

}  // namespace softxe
