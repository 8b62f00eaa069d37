#include "hw/eu/eu_quick.h"

#include <algorithm>

#include "hw/eu/eu_lsc.h"

namespace softxe {
namespace {

using Layout = EuLanesMessage::Layout;

bool is_direct(const EuOperand& operand) { return operand.file == EuFile::kGrf && !operand.indirect; }

/// Global addresses of 64 bits, local ones of 32, of blocks also those from General State Base: nothing has to be read
/// to know where they count from.
bool is_plain(const EuAddressing& address, EuQuickForm form) {
  if (address.space == EuSpace::kGlobal) return address.address_bytes == 8;
  if (address.space == EuSpace::kStateless && form != EuQuickForm::kBlock) return false;
  return (address.space == EuSpace::kSlm || address.space == EuSpace::kStateless) && address.address_bytes == 4;
}

/// The registers of addresses and data.
void set_registers(EuRecord& record, const EuOperand& data, std::uint32_t address_bytes, std::uint32_t data_bytes) {
  EuQuick& quick = record.quick;
  quick.address_at = record.inst.src[0].reg * kEuGrfBytes;
  quick.data_at = data.reg * kEuGrfBytes;
  quick.end = std::max(quick.address_at + address_bytes, quick.data_at + data_bytes);
}

void select_lanes(EuRecord& record, const EuLanesMessage& m, const EuFastLevel& level) {
  const EuInst& inst = record.inst;
  const EuOperand& data = m.action == EuLanesMessage::Action::kLoad ? inst.dst : inst.src[1];
  if (!is_direct(inst.src[0]) || !is_direct(data) || m.element.high_half) return;
  const unsigned element = m.element.register_bytes;
  const unsigned bytes = m.vector * element;
  const bool block = inst.exec_size == 1 && m.element.memory_bytes == element && element >= 4 &&
                     (m.layout == Layout::kTransposed || (m.layout == Layout::kRows && m.vector == 1));
  const EuQuickForm form = block ? EuQuickForm::kBlock : EuQuickForm::kRows;
  if (!is_plain(m.address, form)) return;
  if (!block && (m.layout != Layout::kRows || inst.exec_size < 8 || m.vector > 8)) return;
  record.quick.offset = m.address.offset;
  record.quick.vector = m.vector;
  if (block) {
    record.quick.row_bytes = static_cast<std::uint16_t>(bytes);
    const bool transposed = m.layout == Layout::kTransposed;
    set_registers(record, data, m.address.address_bytes,
                  transposed ? eu_round_to_grf(bytes) : eu_row_bytes(inst.exec_size, element));
  } else {
    const unsigned row = eu_row_bytes(inst.exec_size, element);
    if (m.vector * row > kEuDataBytesMax) return;
    record.quick.row_bytes = static_cast<std::uint16_t>(row);
    set_registers(record, data, inst.exec_size * m.address.address_bytes, m.vector * row);
  }
  record.quick.send = level.lanes(m, form);
}

/// Of local memory, one operand at most.
void select_atomic(EuRecord& record, const EuAtomicMessage& m, const EuFastLevel& level) {
  const EuInst& inst = record.inst;
  const unsigned operands = eu_atomic_operands(m.op);
  if (m.address.space != EuSpace::kSlm || m.address.address_bytes != 4 || inst.exec_size < 8) return;
  if (m.element.memory_bytes != 4 || m.element.register_bytes != 4 || operands > 1) return;
  if (!is_direct(inst.src[0]) || (operands == 1 && !is_direct(inst.src[1]))) return;
  if (!inst.dst.null() && !is_direct(inst.dst)) return;
  const unsigned row = eu_row_bytes(inst.exec_size, 4);
  record.quick.offset = m.address.offset;
  record.quick.atomic = m.op;
  set_registers(record, operands == 1 ? inst.src[1] : inst.src[0], inst.exec_size * 4u, row);
  if (!inst.dst.null()) record.quick.end = std::max(record.quick.end, inst.dst.reg * kEuGrfBytes + row);
  record.quick.send = level.local_atomic;
}

}  // namespace

void eu_quick_select(EuRecord& record, EuLevel level) {
  const EuSend& send = record.inst.send;
  if (send.desc_in_a0 || send.ext_desc_in_a0) return;
  record.message = eu_decode_message({.sfid = send.sfid, .desc = send.desc, .ext_desc = send.ext_desc});
  const EuFastLevel* const table = eu_fast_level(level);
  if (table == nullptr || send.end_of_thread) return;
  eu_set_channels(record);
  if (const auto* lanes = std::get_if<EuLanesMessage>(&*record.message)) select_lanes(record, *lanes, *table);
  if (const auto* atomic = std::get_if<EuAtomicMessage>(&*record.message)) select_atomic(record, *atomic, *table);
}

}  // namespace softxe
