#include "hw/eu/eu_predecode.h"

#include "hw/eu/eu_flow.h"
#include "hw/eu/eu_generic.h"
#include "hw/eu/eu_quick.h"

namespace softxe {
namespace {

void run_generic(EuThread& thread, const EuRecord& record) { eu_generic(thread, record.inst); }
void do_nothing(EuThread&, const EuRecord&) {}

constexpr std::uint8_t kSyncBar = 14;
constexpr std::uint8_t kSyncHost = 15;

/// Nothing is under way when an instruction begins, so most sorts of sync have nothing to wait for.
bool waits_for_nothing(const EuInst& inst) {
  if (inst.op == EuOp::kNop) return true;
  return inst.op == EuOp::kSync && inst.function != kSyncBar && inst.function != kSyncHost;
}

EuRecordKind kind_of(EuOp op) {
  if (eu_is_flow(op)) return EuRecordKind::kFlow;
  if (op == EuOp::kSend || op == EuOp::kSendc) return EuRecordKind::kSend;
  return op == EuOp::kSync ? EuRecordKind::kSync : EuRecordKind::kAlu;
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
  record.kind = waits_for_nothing(inst) ? EuRecordKind::kAlu : kind_of(inst.op);
  if (touches_df(inst)) record.minds = EuMinds::kDf;
  record.sets_cr = inst.dst.file == EuFile::kArf && !inst.dst.indirect && inst.dst.arf() == EuArf::kCr;
  record.bytes = inst.bytes;
  record.inst = inst;
  if (waits_for_nothing(inst)) {
    record.run = do_nothing;
  } else if (record.kind == EuRecordKind::kAlu && !eu_fast_select(record, level)) {
    record.run = run_generic;
  } else if (record.kind == EuRecordKind::kSend) {
    eu_quick_select(record, level);
  }
  record.simple = record.kind == EuRecordKind::kAlu && record.minds == EuMinds::kNothing && !record.sets_cr;
}

}  // namespace softxe
