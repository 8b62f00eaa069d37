// Fuzz target of the command streamer: any bytes are a batch; none may crash or run for ever.
#include <cstddef>
#include <cstdint>

#include "hw/cs_fuzz_body.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static_cast<void>(softxe::run_fuzz_batch({data, size}));
  return 0;
}
