// EuTouched: registers that may hold something else than zero. A thread's start clears these and no others.
#pragma once

#include <array>
#include <cstdint>

namespace softxe {

struct EuInst;

/// A set of GRFs, and whether the accumulators belong to it.
struct EuTouched {
  std::array<std::uint64_t, 4> grf{};
  bool acc = false;

  static constexpr EuTouched everything() { return {.grf = {~0ull, ~0ull, ~0ull, ~0ull}, .acc = true}; }
  /// Registers beyond the last are ignored.
  constexpr void add_registers(unsigned first, unsigned count) {
    for (unsigned reg = first; reg < first + count && reg < 256; ++reg) grf[reg / 64] |= std::uint64_t{1} << reg % 64;
  }
  constexpr EuTouched& operator|=(const EuTouched& other) {
    for (unsigned i = 0; i < grf.size(); ++i) grf[i] |= other.grf[i];
    acc |= other.acc;
    return *this;
  }
};

/// What `inst`, which passed eu_check(), may write, whatever registers hold; perhaps more.
EuTouched eu_touched_by(const EuInst& inst);

}  // namespace softxe
