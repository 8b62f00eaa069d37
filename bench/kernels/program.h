// A program of the kernel workload: inputs, OpenCL source, the same work in plain C++, and a comparison.
#pragma once

#include <cmath>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "device.h"

namespace kernels {

/// Constructors make the inputs.
class Program {
 public:
  virtual ~Program() = default;
  /// Without contraction, as everything here.
  virtual const char* source() const = 0;
  /// Buffers, kernels, arguments; the source is loaded.
  virtual void prepare(Device& device) = 0;
  /// Puts back what a repetition changes.
  virtual void reset(Device&) {}
  /// One repetition.
  virtual void enqueue(Device& device) = 0;
  /// The same on the processor; its results are what check() expects.
  virtual void plain() = 0;
  /// Throws Failed.
  virtual void check(Device& device) = 0;
};

/// How much of the work of the full size is done: 1 / 2^halvings.
struct Scale {
  unsigned halvings = 0;
  std::size_t of(std::size_t full) const { return full >> halvings; }
  /// Of one of `dimensions` that the work is the product of, number `which`.
  std::size_t side(std::size_t full, unsigned dimensions, unsigned which) const {
    return full >> ((halvings + dimensions - 1 - which) / dimensions);
  }
};

struct ProgramRow {
  const char* name;
  std::unique_ptr<Program> (*make)(const Scale& scale);
};
template <typename T>
std::unique_ptr<Program> make_program(const Scale& scale) {
  return std::make_unique<T>(scale);
}
/// Appends; in the order of the workload's description.
void add_stream_programs(std::vector<ProgramRow>& rows);
void add_product_programs(std::vector<ProgramRow>& rows);
void add_group_programs(std::vector<ProgramRow>& rows);
void add_item_programs(std::vector<ProgramRow>& rows);
void add_gather_programs(std::vector<ProgramRow>& rows);

/// xorshift32 (13, 17, 5).
class Random {
 public:
  std::uint32_t next() {
    x_ ^= x_ << 13;
    x_ ^= x_ >> 17;
    x_ ^= x_ << 5;
    return x_;
  }
  std::uint32_t below(std::uint32_t limit) { return static_cast<std::uint32_t>(std::uint64_t{next()} * limit >> 32); }
  /// In [low, high).
  float real(float low, float high) { return low + (high - low) * (static_cast<float>(next() >> 8) * 0x1p-24F); }
  std::vector<float> reals(std::size_t count, float low, float high) {
    std::vector<float> made(count);
    for (float& value : made) value = real(low, high);
    return made;
  }
  std::vector<std::uint32_t> words(std::size_t count) {
    std::vector<std::uint32_t> made(count);
    for (std::uint32_t& value : made) value = next();
    return made;
  }

 private:
  std::uint32_t x_ = 12345;
};

/// Element by element within `tolerance`, relative to the larger of 1 and the expected value; 0: the same.
template <typename T>
void compare(Buffer& buffer, const std::vector<T>& expected, double tolerance = 0) {
  std::vector<T> found(expected.size());
  buffer.read(found.data(), found.size() * sizeof(T));
  for (std::size_t i = 0; i < found.size(); ++i) {
    const auto want = static_cast<double>(expected[i]);
    const auto got = static_cast<double>(found[i]);
    if (std::fabs(got - want) <= tolerance * std::fmax(1, std::fabs(want))) continue;
    throw Failed{"element " + std::to_string(i) + " is " + std::to_string(got) + ", not " + std::to_string(want)};
  }
}

}  // namespace kernels
