#include "hw/eu/eu_predecode.h"

#include "hw/eu/eu_flow.h"
#include "hw/eu/eu_generic.h"

namespace softxe {
namespace {

void run_generic(EuThread& thread, const EuRecord& record) { eu_generic(thread, record.inst); }

EuRecordKind kind_of(EuOp op) {
  if (eu_is_flow(op)) return EuRecordKind::kFlow;
  if (op == EuOp::kSend || op == EuOp::kSendc) return EuRecordKind::kSend;
  if (op == EuOp::kSync) return EuRecordKind::kSync;
  return op == EuOp::kNop ? EuRecordKind::kNop : EuRecordKind::kAlu;
}

bool touches_df(const EuInst& inst) {
  bool df = inst.dst.type == EuType::kDF;
  for (const EuOperand& source : inst.src) df |= source.type == EuType::kDF;
  return df;
}

}  // namespace

void eu_predecode(const EuInst& inst, std::uint64_t ip, EuLevel level, EuRecord& record) {
  record = {};
  record.ip = ip;
  record.kind = kind_of(inst.op);
  if (touches_df(inst)) record.minds = EuMinds::kDf;
  record.sets_cr = inst.dst.file == EuFile::kArf && !inst.dst.indirect && inst.dst.arf() == EuArf::kCr;
  record.bytes = inst.bytes;
  record.inst = inst;
  if (record.kind == EuRecordKind::kAlu && !eu_fast_select(record, level)) record.run = run_generic;
}

}  // namespace softxe
