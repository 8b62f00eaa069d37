// Fingerprint: what was seen in a run as one number, to count how many different ones there are.
#pragma once

#include <cstdint>

namespace softxe::explore {

/// A value; FNV-1a over words. Equal words in equal order give equal numbers.
class Fingerprint {
 public:
  void add(std::uint64_t word) { value_ = (value_ ^ word) * 0x100000001b3u; }
  std::uint64_t value() const { return value_; }

 private:
  std::uint64_t value_ = 0xcbf29ce484222325u;
};

}  // namespace softxe::explore
