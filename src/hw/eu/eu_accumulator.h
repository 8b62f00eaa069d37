// The accumulators as integers: 64 bits behind every dword (spec/eu-isa.md 6.3).
//
// A mul with an accumulator as destination keeps its whole product there; macl and mach go on with it, channel k
// with dword k of acc0, whatever half of the thread they belong to.
#pragma once

#include <array>
#include <cstdint>

#include "hw/eu/eu_int_ops.h"
#include "hw/eu/eu_operand.h"

namespace softxe {

/// Products before they became the destination's type. Other results reach the accumulator extended by their type.
struct EuExactLanes {
  std::array<std::int64_t, kEuChannelsMax> value{};
  bool valid = false;
};

struct EuAccWrite {
  const EuLanes& raw;
  const EuExactLanes& exact;
  std::uint32_t enabled;
};
/// Keeps the wide part up to date after `inst` wrote its destination, when that is an accumulator.
void eu_note_acc_write(EuThread& thread, const EuInst& inst, const EuAccWrite& write);

/// acc0's dword k as both of what it is: the low half is the register.
void eu_set_acc(EuThread& thread, unsigned k, std::int64_t value);
float eu_acc_float(const EuThread& thread, unsigned k);

struct EuAccStep {
  std::int64_t result = 0;
  bool is_value = false;  ///< convert and saturate `result`; else its low bits are stored
  bool writes_acc = false;
  std::int64_t acc = 0;
};
/// mac, mach, macl, addc or subb of channel k. Changes nothing.
EuAccStep eu_accumulate(const EuThread& thread, const EuInst& inst, const EuIntArgs& args, unsigned k);

}  // namespace softxe
