// EuSamplerMessage: what the descriptor of a message to the sampler says (spec/eu-images.md 8).
#pragma once

#include <cstdint>

namespace softxe {

struct EuDescriptors;

struct EuSamplerMessage {
  enum class Form : std::uint8_t {
    kSampleFirst,  ///< sample_lz: level 0
    kSampleLevel,  ///< sample_l
    kSampleGrad,   ///< sample_d: level by derivatives
    kLoad,         ///< ld
    kLoadFirst,    ///< ld_lz: level 0
    kInfo,         ///< resinfo
  };
  Form form = Form::kLoadFirst;
  bool bindless = false;
  bool half = false;  ///< elements of the answer have 16 bits
  bool header = false;
  std::uint8_t simd = 16;     ///< lanes that rows have room for
  std::uint8_t sampler = 0;   ///< index from the sampler pointer
  std::uint32_t surface = 0;  ///< binding table index, or offset of a bindless state
  std::uint8_t src0_registers = 0;
  std::uint8_t response_registers = 0;
};

/// Null, or why the message is not carried out (`reason` has static storage).
const char* eu_decode_sampler(const EuDescriptors& words, EuSamplerMessage& message);

}  // namespace softxe
