// libFuzzer entry: the first byte picks the engine, the rest is a batch of commands. Preset fuzz.
#include "hw/cs/cs_fuzz.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  softxe::run_fuzzed_batch({data, size});
  return 0;
}
