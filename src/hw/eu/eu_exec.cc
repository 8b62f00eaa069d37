#include "hw/eu/eu_exec.h"

#include "hw/eu/eu_float_mode.h"
#include "hw/eu/eu_flow.h"
#include "hw/eu/eu_generic.h"
#include "hw/eu/eu_group.h"
#include "hw/eu/eu_operand.h"
#include "hw/eu/eu_program.h"
#include "hw/eu/eu_send.h"

namespace softxe {
namespace {

constexpr std::uint8_t kSyncBar = 14;
constexpr std::uint8_t kSyncHost = 15;

/// A thread while it runs. `thread.ip` is up to date only between records of other kinds than kAlu.
class Run {
 public:
  Run(EuThread& thread, EuEnv& env)
      : thread_(thread), env_(env), reader_{env.memory, thread, (std::uint64_t{1} << env.group.bases().va_bits) - 1} {}

  EuStop until_stop(std::uint64_t instructions_max) {
    const HostFloatScope scope(control());
    EuStop stop;
    std::uint64_t left = instructions_max;
    const EuRecord* record = find(thread_.ip, stop);
    while (record != nullptr) {
      if (left == 0) {
        thread_.ip = record->ip;
        break;
      }
      if (record->wake_point) eu_wake(thread_, record->ip);
      if (record->kind == EuRecordKind::kAlu) {
        alu(*record);
        record = behind(*record, stop);
      } else {
        record = other(*record, stop);
        if (stop.kind != EuStopKind::kBudget && stop.kind != EuStopKind::kEnded) break;
      }
      --left;
    }
    thread_.instructions += instructions_max - left;
    return stop;
  }

 private:
  std::uint32_t control() {
    const EuFloatMode mode = EuFloatMode::of(thread_.cr[0]);
    minds_ = eu_minds(mode);
    return host_float_control(mode.rounding, mode.f);
  }

  void alu(const EuRecord& record) {
    if (record.minds & minds_) {
      eu_generic(thread_, record.inst);
    } else {
      record.run(thread_, record);
    }
    if (record.sets_cr) HostFloatScope::set(control());
  }

  const EuRecord* find(std::uint64_t ip, EuStop& stop) {
    const EuRecord* found = env_.program.find(ip, reader_);
    if (found != nullptr) return found;
    thread_.ip = ip;
    stop = env_.program.stop();
    return nullptr;
  }

  const EuRecord* behind(const EuRecord& record, EuStop& stop) {
    const EuRecord* next = env_.program.behind(record, reader_);
    if (next != nullptr) return next;
    thread_.ip = record.ip + record.bytes;
    stop = env_.program.stop();
    return nullptr;
  }

  /// Null: stopped.
  const EuRecord* other(const EuRecord& record, EuStop& stop) {
    thread_.ip = record.ip;
    switch (record.kind) {
      case EuRecordKind::kFlow:
        eu_flow(thread_, record.inst, env_.program.instruction_base());
        return find(thread_.ip, stop);
      case EuRecordKind::kSend: return send(record, stop);
      case EuRecordKind::kSync: return sync(record, stop);
      case EuRecordKind::kNop:
      case EuRecordKind::kAlu: break;
    }
    return behind(record, stop);
  }

  const EuRecord* send(const EuRecord& record, EuStop& stop) {
    const EuSendResult result = eu_send(thread_, record.inst, env_);
    if (result.kind == EuSendKind::kDone || result.kind == EuSendKind::kEnded) ++thread_.sends;
    if (result.kind == EuSendKind::kDone) return behind(record, stop);
    stop = {.kind = stop_of(result.kind), .ip = GpuVa(record.ip), .reason = result.reason};
    if (result.kind == EuSendKind::kEnded) thread_.state = EuThreadState::kEnded;
    return nullptr;
  }

  static EuStopKind stop_of(EuSendKind kind) {
    switch (kind) {
      case EuSendKind::kDone: return EuStopKind::kBudget;
      case EuSendKind::kEnded: return EuStopKind::kEnded;
      case EuSendKind::kFault: return EuStopKind::kFault;
      case EuSendKind::kIllegal: return EuStopKind::kIllegal;
      case EuSendKind::kUnsupported: return EuStopKind::kUnsupported;
    }
    return EuStopKind::kUnsupported;
  }

  const EuRecord* sync(const EuRecord& record, EuStop& stop) {
    if (record.inst.function == kSyncHost) {
      stop = {.kind = EuStopKind::kUnsupported, .ip = GpuVa(record.ip), .reason = "sync.host"};
      return nullptr;
    }
    if (record.inst.function != kSyncBar) return behind(record, stop);
    const bool named = record.inst.src[0].file == EuFile::kImm;
    const auto id = static_cast<std::uint32_t>(named ? record.inst.imm : 0);
    const Result<EuGroup::Wait> wait = env_.group.wait_barrier(thread_, id);
    if (!wait) {
      stop = {.kind = EuStopKind::kIllegal, .ip = GpuVa(record.ip), .reason = wait.error().why};
      return nullptr;
    }
    if (*wait == EuGroup::Wait::kPass) return behind(record, stop);
    stop = {.kind = EuStopKind::kBarrier, .ip = GpuVa(record.ip), .reason = ""};
    return nullptr;
  }

  EuThread& thread_;
  EuEnv& env_;
  const EuProgram::Reader reader_;
  EuMinds minds_ = EuMinds::kNothing;  ///< what the control register asks for
};

}  // namespace

EuStop eu_run_thread(EuThread& thread, EuEnv& env, std::uint64_t instructions_max) {
  return Run(thread, env).until_stop(instructions_max);
}

}  // namespace softxe
