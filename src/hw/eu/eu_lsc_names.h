// The words of load, store and atomic messages and the fields of their descriptors (spec/eu-isa.md 9.1).
#pragma once

#include <cstdint>
#include <string_view>

#include "hw/eu/eu_names.h"

namespace softxe::eu_lsc {

/// What an operation takes besides its addresses, and gives.
enum class Kind : std::uint8_t { kLoad, kStore, kAtomic, kBlockLoad, kBlockStore, kFence };
/// How a vector's length is written.
enum class Vector : std::uint8_t { kLength, kComponents };

struct Op {
  std::uint8_t value;
  std::string_view name;
  Kind kind;
  Vector vector = Vector::kLength;
  std::uint8_t operands = 0;  ///< of atomics: rows in the second payload
};
// clang-format off
inline constexpr Op kOps[] = {
    {0x00, "load", Kind::kLoad},
    {0x02, "load_quad", Kind::kLoad, Vector::kComponents},
    {0x03, "load_block2d", Kind::kBlockLoad},
    {0x04, "store", Kind::kStore},
    {0x06, "store_quad", Kind::kStore, Vector::kComponents},
    {0x07, "store_block2d", Kind::kBlockStore},
    {0x08, "atomic_inc", Kind::kAtomic},
    {0x09, "atomic_dec", Kind::kAtomic},
    {0x0A, "atomic_load", Kind::kAtomic},
    {0x0B, "atomic_store", Kind::kAtomic, Vector::kLength, 1},
    {0x0C, "atomic_add", Kind::kAtomic, Vector::kLength, 1},
    {0x0D, "atomic_sub", Kind::kAtomic, Vector::kLength, 1},
    {0x0E, "atomic_smin", Kind::kAtomic, Vector::kLength, 1},
    {0x0F, "atomic_smax", Kind::kAtomic, Vector::kLength, 1},
    {0x10, "atomic_umin", Kind::kAtomic, Vector::kLength, 1},
    {0x11, "atomic_umax", Kind::kAtomic, Vector::kLength, 1},
    {0x12, "atomic_icas", Kind::kAtomic, Vector::kLength, 2},
    {0x13, "atomic_fadd", Kind::kAtomic, Vector::kLength, 1},
    {0x14, "atomic_fsub", Kind::kAtomic, Vector::kLength, 1},
    {0x15, "atomic_fmin", Kind::kAtomic, Vector::kLength, 1},
    {0x16, "atomic_fmax", Kind::kAtomic, Vector::kLength, 1},
    {0x17, "atomic_fcas", Kind::kAtomic, Vector::kLength, 2},
    {0x18, "atomic_and", Kind::kAtomic, Vector::kLength, 1},
    {0x19, "atomic_or", Kind::kAtomic, Vector::kLength, 1},
    {0x1A, "atomic_xor", Kind::kAtomic, Vector::kLength, 1},
    {0x1F, "fence", Kind::kFence},
};
// clang-format on

struct Data {
  std::uint8_t value;
  std::string_view name;
  std::uint8_t register_bytes;  ///< of one element in a payload
};
inline constexpr Data kData[] = {
    {0, "d8", 1}, {1, "d16", 2}, {2, "d32", 4}, {3, "d64", 8}, {4, "d8u32", 4}, {5, "d16u32", 4}, {6, "d16u32h", 4},
};
struct Address {
  std::uint8_t value;
  std::string_view name;
  std::uint8_t bytes;
};
inline constexpr Address kAddress[] = {{1, "a16", 2}, {2, "a32", 4}, {3, "a64", 8}};

/// Elements of a vector, by the number in the descriptor.
inline constexpr std::uint8_t kVectorLength[] = {1, 2, 3, 4, 8, 16, 32, 64};

enum class Surface : std::uint8_t { kFlat = 0, kBss = 1, kSs = 2, kBti = 3 };
inline constexpr EuName<Surface> kSurface[] = {
    {Surface::kFlat, "flat"}, {Surface::kBss, "bss"}, {Surface::kSs, "ss"}, {Surface::kBti, "bti"}};

inline constexpr EuName<std::uint8_t> kScope[] = {{0, "group"}, {1, "local"},  {2, "tile"},  {3, "gpu"},
                                                  {4, "gpus"},  {5, "system"}, {6, "sysacq"}};
inline constexpr EuName<std::uint8_t> kFlush[] = {{0, "none"},    {1, "evict"}, {2, "invalidate"},
                                                  {3, "discard"}, {4, "clean"}, {5, "flushl3"}};

// Where the fields of a descriptor begin.
inline constexpr unsigned kOpBits = 6;
inline constexpr unsigned kVnniShift = 7;
inline constexpr unsigned kAddressShift = 7;
inline constexpr unsigned kDataShift = 9;
inline constexpr unsigned kVectorShift = 12;
inline constexpr unsigned kTransposeShift = 15;
inline constexpr unsigned kDstLengthShift = 20;
inline constexpr unsigned kSrc0LengthShift = 25;
inline constexpr unsigned kSurfaceShift = 29;

/// The ones that address memory this way.
constexpr bool has_lsc(EuSfid sfid) {
  return sfid == EuSfid::kUgm || sfid == EuSfid::kSlm || sfid == EuSfid::kTgm || sfid == EuSfid::kUgml;
}

/// Payloads have room for 16 channels at least: a 64-bit atomic of one channel has operands of two registers.
constexpr unsigned payload_channels(unsigned exec_size) {
  constexpr unsigned kChannelsMin = 16;
  return exec_size < kChannelsMin ? kChannelsMin : exec_size;
}

/// Registers that `elements` of `bytes` each take.
constexpr unsigned rows(unsigned elements, unsigned bytes) {
  constexpr unsigned kGrfBytes = 64;
  return (elements * bytes + kGrfBytes - 1) / kGrfBytes;
}

}  // namespace softxe::eu_lsc
