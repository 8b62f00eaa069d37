#include "hw/eu/eu_exec.h"

#include <optional>

#include "hw/eu/eu_float_mode.h"
#include "hw/eu/eu_flow.h"
#include "hw/eu/eu_generic.h"
#include "hw/eu/eu_group.h"
#include "hw/eu/eu_operand.h"
#include "hw/eu/eu_program.h"
#include "hw/eu/eu_send.h"

namespace softxe {
namespace {

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
    remember_waiting();
    const EuRecord* record = find(thread_.ip, stop);
    while (record != nullptr) {
      if (left == 0) {
        thread_.ip = record->ip;
        break;
      }
      if (record->simple) {
        --left;
        record->run(thread_, *record);
        record = behind(*record, stop);
        continue;
      }
      if (record->wake_point) eu_wake(thread_, record->ip);
      if (record->kind == EuRecordKind::kAlu) {
        alu(*record);
        record = record->sets_cr && left_system_routine() ? find(thread_.ip, stop) : behind(*record, stop);
      } else {
        record = other(*record, stop);
        if (stop.kind != EuStopKind::kBudget && stop.kind != EuStopKind::kEnded) break;
      }
      --left;
    }
    thread_.instructions += instructions_max - left;
    thread_.touched |= env_.program.touched();
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
    if (drops_ != env_.program.drops()) remember_waiting();
    return found != nullptr ? found : nothing_at(ip, stop);
  }

  const EuRecord* behind(const EuRecord& record, EuStop& stop) {
    if (record.next != nullptr) return record.next;
    const std::uint64_t ip = record.ip + record.bytes;
    const EuRecord* next = env_.program.behind(record, reader_);
    if (drops_ != env_.program.drops()) remember_waiting();
    return next != nullptr ? next : nothing_at(ip, stop);
  }

  /// An illegal instruction, if the thread wants to hear of it and is not in the routine already, is the system
  /// routine's. Otherwise the program's reason stands.
  const EuRecord* nothing_at(std::uint64_t ip, EuStop& stop) {
    thread_.ip = ip;
    stop = env_.program.stop();
    const std::optional<GpuVa>& routine = env_.group.bases().system_routine;
    constexpr auto kEnabled = static_cast<std::uint32_t>(EuException::kIllegalOpcode);
    if (stop.kind != EuStopKind::kIllegal || (thread_.cr[1] & kEnabled) == 0) return nullptr;
    if (!routine || thread_.in_system_routine) return nullptr;
    stop = {};
    thread_.in_system_routine = true;
    thread_.cr[0] |= kEuMasterException;
    thread_.cr[1] |= kEnabled << kEuExceptionStatusShift;
    thread_.cr[2] = static_cast<std::uint32_t>(ip - env_.program.instruction_base().value());
    return find(routine->value(), stop);
  }

  /// After a change of the control register: whether it was the routine's return. Then `ip` is where to.
  bool left_system_routine() {
    if (!thread_.in_system_routine || (thread_.cr[0] & kEuMasterException) != 0) return false;
    thread_.in_system_routine = false;
    thread_.ip = env_.program.instruction_base().value() + thread_.cr[2];
    return true;
  }

  /// The program may never have seen the branches that these channels took.
  void remember_waiting() {
    drops_ = env_.program.drops();
    if (thread_.waiting.begin() == thread_.waiting.end()) return;
    env_.memory.rest();  // as before decoding
    for (const EuWaiting::Place& place : thread_.waiting) env_.program.expect_waiting(place.address);
  }

  /// Null: stopped.
  const EuRecord* other(const EuRecord& record, EuStop& stop) {
    thread_.ip = record.ip;
    switch (record.kind) {
      case EuRecordKind::kFlow:
        eu_flow(thread_, record.inst, env_.program.instruction_base());
        return target(record, stop);
      case EuRecordKind::kSend: return send(record, stop);
      case EuRecordKind::kSync: return sync(record, stop);
      case EuRecordKind::kAlu: break;
    }
    return behind(record, stop);
  }

  /// Where the thread has gone from `record`.
  const EuRecord* target(const EuRecord& record, EuStop& stop) {
    const EuRecord* next = record.next;
    return next != nullptr && next->ip == thread_.ip ? next : find(thread_.ip, stop);
  }

  const EuRecord* send(const EuRecord& record, EuStop& stop) {
    const EuSendResult result = eu_send(thread_, record, env_);
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
  std::uint64_t drops_ = 0;            ///< of the program, when the channels that wait were last told to it
  EuMinds minds_ = EuMinds::kNothing;  ///< what the control register asks for
};

}  // namespace

EuStop eu_run_thread(EuThread& thread, EuEnv& env, std::uint64_t instructions_max) {
  return Run(thread, env).until_stop(instructions_max);
}

}  // namespace softxe
