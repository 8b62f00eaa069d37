// EuInst to bytes: the way back of eu_decode.h, over the same tables.
#pragma once

#include <array>
#include <cstddef>
#include <span>

#include "base/result.h"
#include "hw/eu/eu_inst.h"

namespace softxe {

/// The bytes of one instruction, 8 or 16 of them.
class EuCode {
 public:
  std::span<const std::byte> bytes() const { return {bytes_.data(), size_}; }

 private:
  friend Result<EuCode> eu_encode(const EuInst& inst);
  std::array<std::byte, 16> bytes_{};
  std::uint8_t size_ = 16;
};

/// `inst.bytes` says which form is wanted. Decoding the result gives `inst` again. EINVAL: the instruction says
/// something that no word can say, or has no compacted form; the reason names what.
Result<EuCode> eu_encode(const EuInst& inst);

}  // namespace softxe
