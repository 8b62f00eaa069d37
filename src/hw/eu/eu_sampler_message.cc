#include "hw/eu/eu_sampler_message.h"

#include <optional>

#include "hw/eu/eu_message.h"

namespace softxe {

namespace {

using Form = EuSamplerMessage::Form;

struct Row {
  std::uint8_t code;
  std::optional<Form> form;
  const char* reason;  ///< where there is no form
};
/// Codes from 0x20 on have texel offsets.
constexpr Row kRows[] = {
    {0x00, std::nullopt, "sampler message: sample"},
    {0x01, std::nullopt, "sampler message: sample_b"},
    {0x02, Form::kSampleLevel, ""},
    {0x03, std::nullopt, "sampler message: sample_c"},
    {0x04, Form::kSampleGrad, ""},
    {0x05, std::nullopt, "sampler message: sample_b_c"},
    {0x06, std::nullopt, "sampler message: sample_l_c"},
    {0x07, Form::kLoad, ""},
    {0x08, std::nullopt, "sampler message: gather4"},
    {0x09, std::nullopt, "sampler message: lod"},
    {0x0A, Form::kInfo, ""},
    {0x0B, std::nullopt, "sampler message: sampleinfo"},
    {0x0D, std::nullopt, "sampler message: gather4"},
    {0x0E, std::nullopt, "sampler message: gather4"},
    {0x0F, std::nullopt, "sampler message: gather4"},
    {0x10, std::nullopt, "sampler message: gather4"},
    {0x14, std::nullopt, "sampler message: sample_d_c"},
    {0x18, Form::kSampleFirst, ""},
    {0x19, std::nullopt, "sampler message: sample_c_lz"},
    {0x1A, Form::kLoadFirst, ""},
    {0x1C, std::nullopt, "sampler message: ld of a multisampled image"},
    {0x1D, std::nullopt, "sampler message: ld of a multisampled image"},
};

constexpr std::uint32_t bits(std::uint32_t word, unsigned high, unsigned low) {
  return word >> low & ((2u << (high - low)) - 1);
}

constexpr std::uint32_t kBindless = 0xFC;
constexpr std::uint32_t kTableEntries = 0xF0;

}  // namespace

const char* eu_decode_sampler(const EuDescriptors& words, EuSamplerMessage& message) {
  const std::uint32_t code = bits(words.desc, 16, 12) | bits(words.desc, 31, 31) << 5;
  const Row* row = nullptr;
  for (const Row& candidate : kRows) {
    if (candidate.code == code) row = &candidate;
  }
  if (row == nullptr) return "sampler message";
  if (!row->form) return row->reason;
  if (bits(words.desc, 29, 29) != 0) return "sampler message with half parameters";
  const std::uint32_t simd = bits(words.desc, 18, 17);
  if (simd != 1 && simd != 2) return "sampler message of this number of lanes";
  const std::uint32_t surface = bits(words.desc, 7, 0);
  if (surface >= kTableEntries && surface != kBindless) return "sampler message to a surface of no kind";
  message = {.form = *row->form,
             .bindless = surface == kBindless,
             .half = bits(words.desc, 30, 30) != 0,
             .header = bits(words.desc, 19, 19) != 0,
             .simd = static_cast<std::uint8_t>(simd * 16),
             .sampler = static_cast<std::uint8_t>(bits(words.desc, 11, 8)),
             .surface = surface == kBindless ? words.ext_desc & ~0x3Fu : surface,
             .src0_registers = static_cast<std::uint8_t>(bits(words.desc, 28, 25)),
             .response_registers = static_cast<std::uint8_t>(bits(words.desc, 24, 20))};
  return nullptr;
}

}  // namespace softxe
