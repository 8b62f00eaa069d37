// libFuzzer entry: the input as code, instruction by instruction, and as a source of the assembler.
#include "hw/eu/eu_code_fuzz.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto bytes = std::as_bytes(std::span(data, size));
  for (std::size_t at = 0; at < size; at += 8) softxe::eu_code_both_ways(bytes.subspan(at));
  softxe::eu_assemble_anything({reinterpret_cast<const char*>(data), size});
  return 0;
}
