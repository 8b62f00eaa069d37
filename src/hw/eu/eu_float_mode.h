// How floats are rounded and whether denormals live: cr0.0 (spec/eu-isa.md 3.5), and the host's MXCSR in its image.
//
// A worker holds a HostFloatScope while it carries out a thread. Rounding modes have the same meaning on both sides;
// the host knows one denormal mode for f and df, the execution unit one each.
#pragma once

#include <xmmintrin.h>

#include <cstdint>

namespace softxe {

/// Numbered as in cr0.0 bits 5:4.
enum class EuRounding : std::uint8_t { kNearestEven = 0, kUp = 1, kDown = 2, kZero = 3 };
enum class EuDenormals : std::uint8_t { kFlush, kKeep };

struct EuFloatMode {
  EuRounding rounding = EuRounding::kNearestEven;
  EuRounding to_int = EuRounding::kZero;  ///< of floats that become integers
  EuDenormals df = EuDenormals::kKeep;
  EuDenormals f = EuDenormals::kKeep;
  EuDenormals hf = EuDenormals::kKeep;
  EuDenormals bf = EuDenormals::kKeep;  ///< bf, bf8 and tf32

  static constexpr EuFloatMode of(std::uint32_t cr0) {
    const auto keep = [cr0](unsigned bit) { return (cr0 >> bit & 1) != 0 ? EuDenormals::kKeep : EuDenormals::kFlush; };
    const auto rounding = static_cast<EuRounding>(cr0 >> 4 & 3);
    return {.rounding = rounding,
            .to_int = (cr0 >> 12 & 1) != 0 ? rounding : EuRounding::kZero,
            .df = keep(6),
            .f = keep(7),
            .hf = keep(10),
            .bf = keep(30)};
  }
};

/// MXCSR without exceptions for operations on f, or on df when `denormals` is that of df.
constexpr std::uint32_t host_float_control(EuRounding rounding, EuDenormals denormals) {
  constexpr std::uint32_t kAllMasked = 0x1F80;
  constexpr std::uint32_t kFlush = 0x8040;  // FTZ and DAZ
  constexpr std::uint32_t kOf[4] = {0u << 13, 2u << 13, 1u << 13, 3u << 13};
  return kAllMasked | kOf[static_cast<unsigned>(rounding)] | (denormals == EuDenormals::kFlush ? kFlush : 0);
}

/// Sets MXCSR for its lifetime. Exception flags that arise meanwhile are forgotten.
class HostFloatScope {
 public:
  explicit HostFloatScope(std::uint32_t control) : before_(_mm_getcsr()) { set(control); }
  HostFloatScope(const HostFloatScope&) = delete;
  HostFloatScope& operator=(const HostFloatScope&) = delete;
  ~HostFloatScope() { set(before_); }

  static void set(std::uint32_t control) {
    // The compiler must not move arithmetic across the change: it does not model MXCSR.
    asm volatile("" ::: "memory");
    _mm_setcsr(control);
    asm volatile("" ::: "memory");
  }

 private:
  std::uint32_t before_;
};

}  // namespace softxe
