// KernelFailure: a kernel that could not go on, in words.
#pragma once

#include <array>
#include <cstdint>

namespace softxe {

/// Plain and of fixed size, so that it can live in memory shared with the runner. Texts end with a zero.
struct KernelFailure {
  std::uint64_t kernel = 0;       ///< GPU address of the kernel's first instruction
  std::uint64_t instruction = 0;  ///< and of the one that failed
  std::array<std::uint32_t, 3> group{};
  std::uint32_t thread = 0;        ///< in the group
  std::array<char, 240> text{};    ///< the instruction; empty when it could not be read
  std::array<char, 120> reason{};  ///< what is wrong or missing
};

}  // namespace softxe
