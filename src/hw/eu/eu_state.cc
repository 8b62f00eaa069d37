#include "hw/eu/eu_state.h"

namespace softxe {
namespace {

std::uint64_t page_address(std::uint32_t low, std::uint32_t high) {
  return (std::uint64_t{high} << 32 | low) & ~std::uint64_t{0xfff};
}

struct BaseField {
  unsigned dword;  ///< of the low half; bit 0 is the modify bit
  GpuVa EuState::*base;
};

// Sizes and the reserved pair at dword 8 have no effect here: bounds need not be enforced.
constexpr BaseField kBaseFields[] = {
    {1, &EuState::general_state}, {4, &EuState::surface_state},           {6, &EuState::dynamic_state},
    {10, &EuState::instruction},  {16, &EuState::bindless_surface_state}, {19, &EuState::bindless_sampler},
};

}  // namespace

void EuState::set_base_addresses(std::span<const std::uint32_t, 22> command, std::uint64_t va_mask) {
  for (const BaseField& field : kBaseFields) {
    const std::uint32_t low = command[field.dword];
    if ((low & 1) == 0) continue;
    this->*field.base = GpuVa(page_address(low, command[field.dword + 1]) & va_mask);
  }
}

void EuState::set_binding_table_pool(std::span<const std::uint32_t, 4> command, std::uint64_t va_mask) {
  binding_table_pool = GpuVa(page_address(command[1], command[2]) & va_mask);
}

void EuState::set_compute_mode(std::span<const std::uint32_t, 3> command) {
  const std::uint32_t mask = command[1] >> 16;
  compute_mode = (compute_mode & ~mask) | (command[1] & mask);
}

void EuState::set_system_routine(std::span<const std::uint32_t, 3> command) {
  system_routine = (std::uint64_t{command[2]} << 32 | command[1]) & ~std::uint64_t{0xf};
}

void EuState::set_front_end(std::span<const std::uint32_t, 6> command) { scratch = command[1] & 0xFFFFFC00; }

}  // namespace softxe
