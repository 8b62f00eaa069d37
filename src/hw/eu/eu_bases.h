// EuBases: where the addresses of a kernel's messages begin, as the walker's context had them.
#pragma once

#include "base/address.h"

namespace softxe {

/// From STATE_BASE_ADDRESS and the binding table pool; canonical bits stripped. One value for a whole walker.
struct EuBases {
  GpuVa general_state{};           ///< bti[255]: stateless messages with 32-bit offsets
  GpuVa surface_state{};           ///< ss[..], and what binding table entries count from
  GpuVa bindless_surface_state{};  ///< bss[..]
  GpuVa binding_table{};           ///< the kernel's own: pool base + pointer of its descriptor
  unsigned va_bits = 48;           ///< 48 or 57; messages ignore address bits above
};

}  // namespace softxe
