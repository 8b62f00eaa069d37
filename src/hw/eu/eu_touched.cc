#include "hw/eu/eu_touched.h"

#include <variant>

#include "hw/eu/eu_flow.h"
#include "hw/eu/eu_inst.h"
#include "hw/eu/eu_lsc.h"
#include "hw/eu/eu_thread.h"

namespace softxe {
namespace {

/// Operations that change no accumulator unless it is their destination.
bool leaves_accumulators(EuOp op) {
  switch (op) {
    case EuOp::kMov:
    case EuOp::kAdd:
    case EuOp::kAdd3:
    case EuOp::kMad:
    case EuOp::kAnd:
    case EuOp::kOr:
    case EuOp::kXor:
    case EuOp::kNot:
    case EuOp::kBfn:
    case EuOp::kShl:
    case EuOp::kShr:
    case EuOp::kAsr:
    case EuOp::kRol:
    case EuOp::kRor:
    case EuOp::kCmp:
    case EuOp::kSel:
    case EuOp::kSync:
    case EuOp::kNop:
    case EuOp::kSend:
    case EuOp::kSendc: return true;
    default: return eu_is_flow(op);
  }
}

/// Of a message with constant descriptors that loads lanes: all its rows. Of others: as much as any can.
unsigned bytes_loaded(const EuInst& inst) {
  const EuSend& send = inst.send;
  if (send.desc_in_a0 || send.ext_desc_in_a0) return kEuDataBytesMax;
  const EuMessage message = eu_decode_message({.sfid = send.sfid, .desc = send.desc, .ext_desc = send.ext_desc});
  const auto* lanes = std::get_if<EuLanesMessage>(&message);
  if (lanes == nullptr) return kEuDataBytesMax;
  const unsigned each = lanes->element.register_bytes;
  if (lanes->layout == EuLanesMessage::Layout::kTransposed)
    return inst.exec_size * eu_round_to_grf(lanes->vector * each);
  return lanes->vector * eu_row_bytes(inst.exec_size, each);
}

unsigned bytes_written(const EuInst& inst) {
  if (inst.op == EuOp::kSend || inst.op == EuOp::kSendc) return bytes_loaded(inst);
  if (eu_is_flow(inst.op)) return 8;  // where a call returns to
  if (inst.op == EuOp::kDpas) return inst.dpas.repeat * 16u * eu_type_bytes(inst.dst.type);
  return ((inst.exec_size - 1u) * inst.dst.region.horizontal + 1) * eu_type_bytes(inst.dst.type);
}

}  // namespace

EuTouched eu_touched_by(const EuInst& inst) {
  EuTouched touched;
  touched.acc = !leaves_accumulators(inst.op) || (inst.dst.file == EuFile::kArf && inst.dst.arf() == EuArf::kAcc);
  if (inst.dst.indirect) return EuTouched::everything();
  if (inst.dst.file != EuFile::kGrf) return touched;
  const unsigned first = inst.dst.subreg;
  touched.add_registers(inst.dst.reg, (first + bytes_written(inst) + kEuGrfBytes - 1) / kEuGrfBytes);
  return touched;
}

}  // namespace softxe
