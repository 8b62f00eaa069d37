// EuBases: addresses that all threads of a walker share, as its context had them: where those of messages begin, and
// where exceptions go.
#pragma once

#include <optional>

#include "base/address.h"

namespace softxe {

/// From STATE_BASE_ADDRESS and the binding table pool; canonical bits stripped. One value for a whole walker.
struct EuBases {
  GpuVa general_state{};                  ///< bti[255]: stateless messages with 32-bit offsets
  GpuVa surface_state{};                  ///< ss[..], and what binding table entries count from
  GpuVa bindless_surface_state{};         ///< bss[..]
  GpuVa dynamic_state{};                  ///< sampler states
  GpuVa bindless_sampler{};               ///< the same, by pointers with bit 0 set
  std::uint32_t samplers = 0;             ///< sampler pointer, bits 31:5: r0.3, and of messages without header
  GpuVa binding_table{};                  ///< the kernel's own: pool base + pointer of its descriptor
  std::optional<GpuVa> system_routine{};  ///< its first instruction, if the context has named one
  unsigned va_bits = 48;                  ///< 48 or 57; messages ignore address bits above
};

}  // namespace softxe
