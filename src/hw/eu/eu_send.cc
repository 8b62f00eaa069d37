#include "hw/eu/eu_send.h"

#include <atomic>
#include <cstring>
#include <variant>

#include "hw/eu/eu_lsc.h"
#include "hw/eu/eu_message.h"
#include "hw/eu/eu_sampler.h"

namespace softxe {

namespace {

std::uint32_t address_register(const EuThread& thread, unsigned ud) {
  return thread.a0[2 * ud] | std::uint32_t{thread.a0[2 * ud + 1]} << 16;
}

EuDescriptors descriptors_of(const EuThread& thread, const EuSend& send) {
  EuDescriptors words;
  words.sfid = send.sfid;
  words.desc = send.desc_in_a0 ? address_register(thread, 0) : send.desc;
  words.ext_desc_in_register = send.ext_desc_in_a0;
  words.ext_desc = send.ext_desc_in_a0 ? address_register(thread, send.ext_desc_a0 & 7) : send.ext_desc;
  if (send.ext_desc_in_a0) {
    // Where the register's number stands is no part of the offset.
    words.ext_offset = send.ext_desc & (send.sfid == EuSfid::kUgm ? ~0x7'0000u : ~0x7'8000u);
  }
  return words;
}

/// Channels of the instruction that are active and predicated.
std::uint32_t channels_of(const EuThread& thread, const EuInst& inst) {
  const std::uint32_t all = inst.exec_size >= 32 ? ~0u : (1u << inst.exec_size) - 1;
  const std::uint32_t active = inst.no_mask ? all : thread.mask >> inst.channel_offset & all;
  if (inst.pred == EuPred::kNone) return active;
  // Bit n of the flag is channel n of the thread; the upper subregister begins at bit 16.
  const unsigned shift = 16u * inst.flag_sub + inst.channel_offset;
  std::uint32_t flag = shift < 32 ? thread.flag[inst.flag & 3] >> shift & all : 0;
  if (inst.pred == EuPred::kAny) flag = flag != 0 ? all : 0;
  if (inst.pred == EuPred::kAll) flag = flag == all ? all : 0;
  return active & (inst.pred_inverted ? ~flag : flag);
}

struct Carry {
  const EuSendCall& call;

  EuSendResult operator()(const EuLanesMessage& m) const { return eu_send_lanes(call, m); }
  EuSendResult operator()(const EuAtomicMessage& m) const { return eu_send_atomic(call, m); }
  EuSendResult operator()(const EuBlock2dMessage& m) const { return eu_send_block2d(call, m); }
  EuSendResult operator()(const EuTypedMessage& m) const { return eu_send_typed(call, m); }
  EuSendResult operator()(const EuSamplerMessage& m) const { return eu_send_sampler(call, m); }
  EuSendResult operator()(const EuTypedBlock2dMessage& m) const { return eu_send_typed_block2d(call, m); }
  /// What a load of the destination waits for has happened when the instruction is over: any content will do. Local
  /// memory is one worker's.
  EuSendResult operator()(const EuFenceMessage&) const {
    if (call.inst.send.sfid != EuSfid::kSlm) std::atomic_thread_fence(std::memory_order_seq_cst);
    return {};
  }
  EuSendResult operator()(const EuBarrierMessage&) const {
    if (call.channels == 0) return {};
    const std::byte* payload = eu_message_registers(call.thread, call.inst.src[0], kEuGrfBytes);
    if (payload == nullptr) return {EuSendKind::kIllegal, "barrier message with a register that does not exist"};
    std::uint32_t dword = 0;
    std::memcpy(&dword, payload + 8, sizeof dword);
    const Status done = call.env.group.signal_barrier(call.thread, EuBarrierSignal::of(dword));
    return done ? EuSendResult{} : EuSendResult{EuSendKind::kIllegal, done.error().why};
  }
  EuSendResult operator()(const EuEndMessage&) const {
    if (call.inst.send.end_of_thread) return {};
    return {EuSendKind::kIllegal, "end of thread message without the end of thread bit"};
  }
  EuSendResult operator()(const EuUnsupportedMessage& m) const { return {EuSendKind::kUnsupported, m.reason}; }
  EuSendResult operator()(const EuIllegalMessage& m) const { return {EuSendKind::kIllegal, m.reason}; }
};

}  // namespace

namespace {

EuSendResult carry_out(EuThread& thread, const EuInst& inst, EuEnv& env, const EuMessage& message) {
  const EuSendCall call{.thread = thread, .inst = inst, .env = env, .channels = channels_of(thread, inst)};
  EuSendResult result = std::visit(Carry{call}, message);
  if (result.kind == EuSendKind::kDone && inst.send.end_of_thread) result.kind = EuSendKind::kEnded;
  return result;
}

}  // namespace

EuSendResult eu_send(EuThread& thread, const EuInst& inst, EuEnv& env) {
  return carry_out(thread, inst, env, eu_decode_message(descriptors_of(thread, inst.send)));
}

EuSendResult eu_send(EuThread& thread, const EuRecord& record, EuEnv& env) {
  if (record.quick.send != nullptr && record.quick.send(thread, record, env)) return {};
  if (record.message) return carry_out(thread, record.inst, env, *record.message);
  return eu_send(thread, record.inst, env);
}

}  // namespace softxe
