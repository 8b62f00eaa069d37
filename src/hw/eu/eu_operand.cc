#include "hw/eu/eu_operand.h"

#include "hw/eu/eu_number.h"

namespace softxe {
namespace {

struct ArfRow {
  EuArf arf;
  std::uint32_t offset;
  std::uint32_t bytes;
  std::uint32_t stride;  ///< from one register number to the next
};
#define SX_ARF(arf, member, stride) \
  { EuArf::arf, offsetof(EuThread, member), sizeof(EuThread::member), stride }
// clang-format off
constexpr ArfRow kArfs[] = {
    SX_ARF(kAddress, a0, 32), SX_ARF(kAcc, acc, 64), SX_ARF(kFlag, flag, 4), SX_ARF(kCe, ce, 16),
    SX_ARF(kMsg, msg, 16),    SX_ARF(kSr, sr, 16),   SX_ARF(kCr, cr, 16),    SX_ARF(kTm, tm, 16),
    SX_ARF(kN, other, 4),     SX_ARF(kTdr, other, 4), SX_ARF(kFc, other, 4), SX_ARF(kDbg, other, 4),
};
// clang-format on
#undef SX_ARF

const ArfRow* find_arf(EuArf arf) {
  for (const ArfRow& row : kArfs) {
    if (row.arf == arf) return &row;
  }
  return nullptr;
}

std::uint32_t indirect_offset(const EuThread& thread, std::int64_t address, unsigned bytes) {
  const std::uint32_t size = thread.grf_count() * kEuGrfBytes;
  return static_cast<std::uint32_t>(address) & (size - 1) & ~(bytes - 1);
}

std::uint32_t region_step(const EuRegion& region, unsigned channel) {
  return channel / region.width * region.vertical + channel % region.width * region.horizontal;
}

}  // namespace

EuPlace eu_file(const EuOperand& operand, const EuThread& thread) {
  if (operand.file == EuFile::kGrf) return {offsetof(EuThread, grf), thread.grf_count() * kEuGrfBytes};
  if (operand.file != EuFile::kArf) return {};
  const ArfRow* row = find_arf(operand.arf());
  return row == nullptr ? EuPlace{} : EuPlace{row->offset, row->bytes};
}

std::uint32_t eu_file_offset(const EuOperand& operand) {
  if (operand.file == EuFile::kGrf) return offsetof(EuThread, grf);
  const ArfRow* row = find_arf(operand.arf());
  return row == nullptr ? 0 : row->offset;
}

std::uint32_t eu_first_byte(const EuOperand& operand) {
  if (operand.file == EuFile::kGrf) return operand.reg * kEuGrfBytes + operand.subreg;
  const ArfRow* row = find_arf(operand.arf());
  return row == nullptr ? 0 : (operand.reg & 0xFu) * row->stride + operand.subreg;
}

EuOffsets eu_source_offsets(const EuThread& thread, const EuOperand& operand, unsigned channels) {
  const unsigned bytes = eu_type_bytes(operand.type);
  const EuRegion& region = operand.region;
  EuOffsets offsets;
  if (!operand.indirect) {
    const std::uint32_t first = eu_file(operand, thread).offset + eu_first_byte(operand);
    for (unsigned k = 0; k < channels; ++k) offsets.of[k] = first + region_step(region, k) * bytes;
    return offsets;
  }
  const bool many = region.vertical == EuRegion::kVxH;
  for (unsigned k = 0; k < channels; ++k) {
    const unsigned row = many ? k / region.width : 0;
    const unsigned step = many ? k % region.width * region.horizontal : region_step(region, k);
    const std::int64_t address = std::int64_t{thread.a0[(operand.a0 + row) % thread.a0.size()]} + operand.offset;
    offsets.of[k] = indirect_offset(thread, address + step * bytes, bytes);
  }
  return offsets;
}

EuOffsets eu_destination_offsets(const EuThread& thread, const EuOperand& operand, unsigned channels) {
  const unsigned bytes = eu_type_bytes(operand.type);
  const unsigned stride = operand.region.horizontal * bytes;
  EuOffsets offsets;
  if (!operand.indirect) {
    const std::uint32_t first = eu_file(operand, thread).offset + eu_first_byte(operand);
    for (unsigned k = 0; k < channels; ++k) offsets.of[k] = first + k * stride;
    return offsets;
  }
  const std::int64_t address = std::int64_t{thread.a0[operand.a0 % thread.a0.size()]} + operand.offset;
  for (unsigned k = 0; k < channels; ++k) offsets.of[k] = indirect_offset(thread, address + k * stride, bytes);
  return offsets;
}

EuLanes eu_read(const EuThread& thread, const EuInst& inst, unsigned source) {
  const EuOperand& operand = inst.src[source];
  EuLanes lanes{};
  if (operand.file == EuFile::kImm) {
    const bool vector = eu_element_type(operand.type) != operand.type;
    const std::uint64_t imm = eu_imm(inst, source);
    const std::uint64_t one = eu_low_bits(imm, eu_type_bytes(operand.type));
    for (unsigned k = 0; k < inst.exec_size; ++k) {
      lanes[k] = vector ? eu_vector_immediate(static_cast<std::uint32_t>(imm), operand.type, k) : one;
    }
    return lanes;
  }
  if (operand.null() || operand.file == EuFile::kNone) return lanes;
  const unsigned bytes = eu_type_bytes(operand.type);
  const EuOffsets offsets = eu_source_offsets(thread, operand, inst.exec_size);
  for (unsigned k = 0; k < inst.exec_size; ++k) {
    std::memcpy(&lanes[k], eu_bytes(thread, offsets.of[k]), bytes);
  }
  return lanes;
}

void eu_write(EuThread& thread, const EuOperand& operand, const EuLanes& values, std::uint32_t enabled,
              unsigned channels) {
  if (operand.null() || operand.file == EuFile::kNone) return;
  const unsigned bytes = eu_type_bytes(operand.type);
  const EuOffsets offsets = eu_destination_offsets(thread, operand, channels);
  for (unsigned k = 0; k < channels; ++k) {
    if ((enabled >> k & 1) != 0) std::memcpy(eu_bytes(thread, offsets.of[k]), &values[k], bytes);
  }
}

}  // namespace softxe
