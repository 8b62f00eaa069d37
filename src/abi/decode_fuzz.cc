// libFuzzer entry: the first byte picks profile and VM mode, the rest is the request and the client
// memory behind every pointer in it. Build with clang -fsanitize=fuzzer,address,undefined.
#include "abi/decode_fuzz.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  softxe::decode_everything({data, size});
  return 0;
}
