// The registers a batch can reach: sixteen general ones and the timestamps (spec/gpu-commands.md 8).
//
// All others read as 0 and drop writes.
#pragma once

#include <cstdint>

#include "hw/cs_context.h"
#include "hw/cs_engine.h"

namespace softxe {

/// How a command names a register.
enum class RegisterForm : std::uint8_t {
  kAbsolute,
  kEngineRelative,  ///< the "add CS base" bits
  kRemapped,        ///< an offset of the render engine means the same register of this engine
};

struct RegisterName {
  std::uint32_t offset = 0;  ///< as in the command; bits outside 22:2 are ignored
  RegisterForm form = RegisterForm::kAbsolute;
};

std::uint32_t read_register(const CsContext& context, const EngineInfo& engine, RegisterName name);
void write_register(CsContext& context, const EngineInfo& engine, RegisterName name,
                    std::uint32_t value);

}  // namespace softxe
