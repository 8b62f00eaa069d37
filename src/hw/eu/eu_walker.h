// EuWalker: one COMPUTE_WALKER, decoded with the state of its context (spec/compute-dispatch.md 5, 10.1).
//
// A plain value: what groups and threads of the walker start with. Nothing here is looked up again in the command,
// which may be overwritten while the walker runs. Read next: eu_start.h (a thread's registers), eu_dispatch.h.
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "base/address.h"
#include "base/result.h"
#include "hw/eu/eu_bases.h"
#include "hw/eu/eu_state.h"

namespace softxe {

inline constexpr std::uint32_t kEuWalkerDwords = 40;

using EuTriple = std::array<std::uint32_t, 3>;  ///< x, y, z

/// Ids of lanes in their group, made by the hardware.
struct EuLocalIds {
  std::uint32_t emitted = 0;  ///< bit n: dimension n gets a register; 0: the kernel loads its ids itself
  std::array<std::uint8_t, 3> order{0, 1, 2};  ///< dimensions, fastest first
  EuTriple size{1, 1, 1};
};

/// What is written when all groups have ended.
struct EuPostSync {
  enum class Kind : std::uint8_t { kNone = 0, kImmediate = 1, kTimestamps = 3 };
  Kind kind = Kind::kNone;
  GpuVa address{};
  std::uint64_t immediate = 0;
};

struct EuWalker {
  std::uint64_t number = 0;  ///< of the walkers that began in this process, from 1
  GpuVa kernel{};            ///< address of the first instruction
  GpuVa instruction_base{};  ///< what calls count from
  EuBases bases;
  std::uint32_t simd = 16;           ///< lanes of a thread: 16 or 32
  std::uint32_t threads = 1;         ///< of a group: 1 to kEuGroupThreadsMax
  std::uint32_t last_mask = 0xFFFF;  ///< lanes of the last thread of a group; the others have all
  std::uint32_t slm_bytes = 0;       ///< of a group
  std::uint32_t indirect_data = 0;   ///< offset from the general state base, bits 31:6
  std::uint32_t scratch = 0;         ///< bits 31:10 of r0.5
  std::uint32_t rounding = 0;        ///< as in cr0.0 bits 5:4
  std::uint32_t exceptions = 0;      ///< that threads begin with: bits of EuException
  bool large_grf = false;
  bool cooperative = false;  ///< all groups make progress together
  bool has_inline_data = false;
  std::array<std::uint32_t, 8> inline_data{};
  EuLocalIds local_ids;
  EuTriple groups{};
  EuTriple first{};  ///< id of the first group
  EuPostSync post_sync;

  std::uint64_t group_count() const { return std::uint64_t{groups[0]} * groups[1] * groups[2]; }
};

/// `command` is the whole command; `va_bits` of an address are translated: 48 or 57. Errors, each with its
/// reason: EBADRQC (the command breaks a rule), ENOSYS (softxe does not have what it asks for).
Result<EuWalker> eu_decode_walker(std::span<const std::uint32_t, kEuWalkerDwords> command, const EuState& state,
                                  unsigned va_bits);

}  // namespace softxe
