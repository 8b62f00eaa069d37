// What fuzzing does with bytes: takes them for code and for assembly text. Shared by libFuzzer and a seeded test.
#pragma once

#include <cstddef>
#include <span>
#include <string_view>

#include "hw/eu/eu_asm.h"
#include "hw/eu/eu_decode.h"
#include "hw/eu/eu_encode.h"
#include "hw/eu/eu_text.h"

namespace softxe {

/// What decodes is written as text and as code, and both must say the same instruction again.
inline void eu_code_both_ways(std::span<const std::byte> bytes) {
  const auto inst = eu_decode(bytes);
  if (!inst) {
    SX_ASSERT(inst.error().err != 0 && *inst.error().why != '\0');
    return;
  }
  const auto code = eu_encode(*inst);
  SX_ASSERT(code && eu_decode(code->bytes()) == inst);
  const auto read = eu_parse_instruction(eu_text(*inst, EuTextStyle::kComplete).view());
  SX_ASSERT(read && *read == *inst);
}

/// Any text gives code or a place that is in it.
inline void eu_assemble_anything(std::string_view text) {
  const auto code = eu_assemble(text);
  if (code) return;
  SX_ASSERT(code.error().line >= 1 && code.error().column >= 1 && code.error().column <= text.size() + 1);
  SX_ASSERT(*code.error().why != '\0');
}

}  // namespace softxe
