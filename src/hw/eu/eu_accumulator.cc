#include "hw/eu/eu_accumulator.h"

#include <cstring>

namespace softxe {
namespace {

std::int64_t wrapping(std::uint64_t a, std::uint64_t b) { return static_cast<std::int64_t>(a + b); }

/// The second half of a 32-bit product: the first one, with the low half of s1, is in the accumulator.
std::int64_t whole_product(std::int64_t acc, const EuIntArgs& args) {
  const auto upper = static_cast<std::uint64_t>(args.s0 * (args.s1 >> 16));
  return wrapping(static_cast<std::uint64_t>(acc), upper << 16);
}

}  // namespace

void eu_note_acc_write(EuThread& thread, const EuInst& inst, const EuAccWrite& write) {
  const EuOperand& dst = inst.dst;
  const unsigned bytes = eu_type_bytes(dst.type);
  if (dst.file != EuFile::kArf || dst.indirect || dst.arf() != EuArf::kAcc) return;
  if (eu_is_float(dst.type) || bytes < 4) return;
  const std::uint32_t first = eu_first_byte(dst);
  for (unsigned k = 0; k < inst.exec_size; ++k) {
    if ((write.enabled >> k & 1) == 0) continue;
    const std::uint32_t dword = (first + k * dst.region.horizontal * bytes) / 4;
    thread.acc_wide[dword] =
        write.exact.valid ? write.exact.value[k] : static_cast<std::int64_t>(eu_int_value(write.raw[k], dst.type));
  }
}

void eu_set_acc(EuThread& thread, unsigned k, std::int64_t value) {
  thread.acc_wide[k] = value;
  std::memcpy(&thread.acc[k * 4], &value, 4);
}

float eu_acc_float(const EuThread& thread, unsigned k) {
  float value = 0;
  std::memcpy(&value, &thread.acc[k * 4], 4);
  return value;
}

EuAccStep eu_accumulate(const EuThread& thread, const EuInst& inst, const EuIntArgs& args, unsigned k) {
  const std::int64_t acc = thread.acc_wide[k];
  const auto a = static_cast<std::uint32_t>(args.s0);
  const auto b = static_cast<std::uint32_t>(args.s1);
  switch (inst.op) {
    case EuOp::kMacl: {
      const std::int64_t product = whole_product(acc, args);
      return {.result = product, .writes_acc = true, .acc = product};
    }
    case EuOp::kMach: {
      const std::int64_t product = whole_product(acc, args);
      return {.result = product >> 32, .writes_acc = true, .acc = product};
    }
    case EuOp::kAddc: return {.result = a + b, .writes_acc = true, .acc = a + b < a ? 1 : 0};
    case EuOp::kSubb: return {.result = a - b, .writes_acc = true, .acc = a < b ? 1 : 0};
    default:
      return {.result = wrapping(static_cast<std::uint64_t>(acc), static_cast<std::uint64_t>(args.s0 * args.s1)),
              .is_value = true};
  }
}

}  // namespace softxe
