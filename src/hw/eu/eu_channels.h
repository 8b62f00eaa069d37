// Which channels an instruction works on, and the flags it reads and writes (spec/eu-isa.md 3.4).
#pragma once

#include <cstdint>

#include "hw/eu/eu_inst.h"
#include "hw/eu/eu_thread.h"

namespace softxe {

/// One bit for every channel of an instruction of that size.
constexpr std::uint32_t eu_all_channels(unsigned exec_size) { return exec_size >= 32 ? ~0u : (1u << exec_size) - 1; }

/// Where the flag of the instruction's channel 0 stands in f0..f3.
constexpr unsigned eu_flag_shift(const EuInst& inst) { return inst.flag_sub * 16u + inst.channel_offset; }

/// Channels whose predicate holds, whatever the mask; all without a predicate.
inline std::uint32_t eu_predicated(const EuThread& thread, const EuInst& inst) {
  const std::uint32_t all = eu_all_channels(inst.exec_size);
  if (inst.pred == EuPred::kNone) return all;
  std::uint32_t bits = thread.flag[inst.flag] >> eu_flag_shift(inst) & all;
  if (inst.pred == EuPred::kAny) bits = bits != 0 ? all : 0;
  if (inst.pred == EuPred::kAll) bits = bits == all ? all : 0;
  return inst.pred_inverted ? ~bits & all : bits;
}

/// Channels that are active, or all with NoMask.
inline std::uint32_t eu_active(const EuThread& thread, const EuInst& inst) {
  const std::uint32_t all = eu_all_channels(inst.exec_size);
  return inst.no_mask ? all : thread.mask >> inst.channel_offset & all;
}

inline std::uint32_t eu_enabled(const EuThread& thread, const EuInst& inst) {
  return eu_active(thread, inst) & eu_predicated(thread, inst);
}

/// Flags of the `enabled` channels become those of `bits`.
inline void eu_set_flags(EuThread& thread, const EuInst& inst, std::uint32_t bits, std::uint32_t enabled) {
  std::uint32_t& flag = thread.flag[inst.flag];
  const unsigned shift = eu_flag_shift(inst);
  flag = (flag & ~(enabled << shift)) | (bits & enabled) << shift;
}

}  // namespace softxe
