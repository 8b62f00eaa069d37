// Instructions and threads made by hand, for tests of operations.
#pragma once

#include <cstring>
#include <initializer_list>
#include <memory>

#include "hw/eu/eu_inst.h"
#include "hw/eu/eu_thread.h"

namespace softxe::eu_test {

/// cr0.0 as IGC's prologue leaves it: nearest even, denormals live.
inline constexpr std::uint32_t kCr0 = 0x400004C0;

inline std::unique_ptr<EuThread> make_thread() {
  auto thread = std::make_unique<EuThread>();
  std::memset(static_cast<void*>(thread.get()), 0, sizeof(EuThread));
  thread->cr[0] = kCr0;
  thread->mask = ~0u;
  thread->call_mask = ~0u;
  thread->simd = 32;
  return thread;
}

inline EuOperand grf(unsigned reg, EuType type, EuRegion region = {1, 1, 0}) {
  EuOperand operand;
  operand.file = EuFile::kGrf;
  operand.type = type;
  operand.reg = static_cast<std::uint8_t>(reg);
  operand.region = region;
  return operand;
}
inline EuOperand scalar(unsigned reg, EuType type, unsigned subreg_bytes = 0) {
  EuOperand operand = grf(reg, type, {0, 1, 0});
  operand.subreg = static_cast<std::uint8_t>(subreg_bytes);
  return operand;
}
inline EuOperand arf(EuArf arf, unsigned number, EuType type, EuRegion region = {1, 1, 0}) {
  EuOperand operand = grf(static_cast<unsigned>(arf) << 4 | number, type, region);
  operand.file = EuFile::kArf;
  return operand;
}
inline EuOperand null(EuType type) { return arf(EuArf::kNull, 0, type); }
inline EuOperand imm(EuType type) {
  EuOperand operand;
  operand.file = EuFile::kImm;
  operand.type = type;
  return operand;
}
inline EuOperand negated(EuOperand operand) {
  operand.neg = true;
  return operand;
}
inline EuOperand absolute(EuOperand operand) {
  operand.abs = true;
  return operand;
}
/// A destination's stride in elements.
inline EuOperand to(unsigned reg, EuType type, std::uint8_t stride = 1) { return grf(reg, type, {0, 1, stride}); }

inline EuInst inst(EuOp op, unsigned exec_size, EuOperand dst, std::initializer_list<EuOperand> sources) {
  EuInst made;
  made.op = op;
  made.exec_size = static_cast<std::uint8_t>(exec_size);
  if (dst.file == EuFile::kArf) dst.region = {0, 1, 1};
  made.dst = dst;
  std::size_t i = 0;
  for (const EuOperand& source : sources) made.src[i++] = source;
  return made;
}

/// Element `index` of the type's size, counted from the start of `reg`.
inline std::uint64_t get(const EuThread& thread, unsigned reg, EuType type, unsigned index = 0) {
  std::uint64_t value = 0;
  std::memcpy(&value, &thread.grf[reg * kEuGrfBytes + index * eu_type_bytes(type)], eu_type_bytes(type));
  return value;
}
inline void put(EuThread& thread, unsigned reg, EuType type, std::uint64_t value, unsigned index = 0) {
  std::memcpy(&thread.grf[reg * kEuGrfBytes + index * eu_type_bytes(type)], &value, eu_type_bytes(type));
}

}  // namespace softxe::eu_test
