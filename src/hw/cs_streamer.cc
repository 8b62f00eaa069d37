#include "hw/cs_streamer.h"

#include <algorithm>
#include <array>

#include "hw/cs_exec.h"

namespace softxe {
namespace {

using cs::CsCommand;
using cs::CsOutcome;

/// Null, or why this engine does not run the command at all.
const char* refusal(const CmdHeader& cmd, const EngineInfo& engine) {
  if (cmd.kind == CmdKind::kUnknown) return "undecodable header";
  if (cmd.client == CmdClient::kBlitter && !engine.runs_blits())
    return "blitter command on an engine without blitter";
  const bool render_only = cmd.kind == CmdKind::kRenderState || cmd.kind == CmdKind::kRenderWork;
  if (render_only && !engine.runs_render_pipe())
    return "render or compute command on an engine without that pipe";
  if (cmd.dwords < cmd_dwords_min(cmd.kind)) return "command shorter than its shortest form";
  return nullptr;
}

/// Skipped by length: nothing behind the header is needed, so nothing behind it is fetched.
bool header_only(CmdKind kind) {
  return kind == CmdKind::kIgnored || kind == CmdKind::kSemaphoreSignal ||
         kind == CmdKind::kRenderState || kind == CmdKind::kRenderWork;
}

CsOutcome execute(const CsCommand& cmd) {
  switch (cmd.kind) {
    case CmdKind::kNoop:
    case CmdKind::kIgnored:
    case CmdKind::kSemaphoreSignal:  // every waiter polls
    case CmdKind::kRenderState:
    case CmdKind::kArbOnOff:         // a batch stays preemptible in any case
      return {};
    case CmdKind::kMemFence:
      std::atomic_thread_fence(std::memory_order_seq_cst);
      return {};
    case CmdKind::kUserInterrupt: ++cmd.stats.user_interrupts; return {};
    case CmdKind::kArbCheck: return {StepKind::kArbitration, ""};
    case CmdKind::kBatchEnd: return cs::batch_end(cmd);
    case CmdKind::kMath: return cs::math(cmd);
    case CmdKind::kSemaphoreWait: return cs::semaphore_wait(cmd);
    case CmdKind::kStoreDataImm: return cs::store_data_imm(cmd);
    case CmdKind::kLoadRegisterImm: return cs::load_register_imm(cmd);
    case CmdKind::kStoreRegisterMem: return cs::store_register_mem(cmd);
    case CmdKind::kFlushDw: return cs::flush_dw(cmd);
    case CmdKind::kReportPerfCount: return cs::bad("no observation unit");
    case CmdKind::kLoadRegisterMem: return cs::load_register_mem(cmd);
    case CmdKind::kLoadRegisterReg: return cs::load_register_reg(cmd);
    case CmdKind::kCopyMemMem: return cs::copy_mem_mem(cmd);
    case CmdKind::kAtomic: return cs::atomic(cmd);
    case CmdKind::kBatchStart: return cs::batch_start(cmd);
    case CmdKind::kCondBatchEnd: return cs::cond_batch_end(cmd);
    case CmdKind::kPrtBatchStart: return cs::bad("persistent batches are not supported");
    case CmdKind::kMemCopy:
    case CmdKind::kMemSet:
    case CmdKind::kFastCopy:
    case CmdKind::kBlockCopy:
    case CmdKind::kCtrlSurfCopy:
    case CmdKind::kFastColor:
    case CmdKind::kOldBlit: return cs::blit(cmd);
    case CmdKind::kPipeControl: return cs::pipe_control(cmd);
    case CmdKind::kRenderWork: return {StepKind::kUnsupportedShader, "needs execution units"};
    case CmdKind::kUnknown: break;
  }
  return cs::bad("undecodable header");
}

/// Fetches what a command consists of, one dword after the other; `words[0]` is there already.
AccessStatus fetch_rest(GpuMemory& memory, const EngineInfo& engine, GpuVa at,
                        std::span<std::uint32_t> words) {
  for (std::size_t i = 1; i < words.size(); ++i) {
    const AccessStatus fetched = memory.fetch(engine.strip((at + 4 * i).value()), words[i]);
    if (fetched != AccessStatus::kOk) return fetched;
  }
  return AccessStatus::kOk;
}

bool went_on(StepKind kind) {
  return kind == StepKind::kContinue || kind == StepKind::kArbitration ||
         kind == StepKind::kBatchDone;
}

/// Runs a complete command and puts the position where it belongs.
StepResult finish(const CsCommand& cmd, GpuVa next) {
  cmd.context.set_position(next);
  const CsOutcome outcome = execute(cmd);
  if (!went_on(outcome.kind) || cmd.context.in_flight.count != 0)
    cmd.context.set_position(cmd.at);
  if (cmd.context.in_flight.count == 0 && went_on(outcome.kind)) ++cmd.stats.commands;
  return {outcome.kind, {cmd.dw[0], cmd.at, outcome.reason}};
}

}  // namespace

StepResult step(CsContext& context, GpuMemory& memory, const EngineInfo& engine, CsStats& stats) {
  SX_ASSERT(context.depth() != 0);
  const GpuVa at = context.position();
  if (context.in_flight.count != 0) {
    const std::span<const std::uint32_t> dw =
        std::span(context.in_flight.dwords).first(context.in_flight.count);
    const CmdHeader parsed = parse_header(dw[0]);
    const GpuVa next = engine.strip((at + 4 * std::uint64_t{parsed.dwords}).value());
    return finish({context, memory, engine, stats, parsed.kind, at, dw}, next);
  }
  std::array<std::uint32_t, kCmdDwordsMax> words;  // not cleared: most commands are a few dwords
  AccessStatus fetched = memory.fetch(at, words[0]);
  if (fetched != AccessStatus::kOk) {
    const CsOutcome outcome = cs::ended(fetched);
    return {outcome.kind, {0, at, outcome.reason}};
  }
  const CmdHeader parsed = parse_header(words[0]);
  if (const char* why = refusal(parsed, engine))
    return {StepKind::kBadCommand, {words[0], at, why}};
  const std::size_t needed = header_only(parsed.kind) ? 1 : parsed.dwords;
  SX_ASSERT(needed <= words.size());
  fetched = fetch_rest(memory, engine, at, std::span(words).first(needed));
  if (fetched != AccessStatus::kOk) {
    const CsOutcome outcome = cs::ended(fetched);
    return {outcome.kind, {words[0], at, outcome.reason}};
  }
  const GpuVa next = engine.strip((at + 4 * std::uint64_t{parsed.dwords}).value());
  const std::span<const std::uint32_t> dw = std::span(words).first(needed);
  return finish({context, memory, engine, stats, parsed.kind, at, dw}, next);
}

namespace {

/// The slice's end for a step's, when the step ends the slice.
RunEnd end_of(StepKind kind) {
  switch (kind) {
    case StepKind::kContinue:
    case StepKind::kArbitration: break;
    case StepKind::kYield: return RunEnd::kYield;
    case StepKind::kBatchDone: return RunEnd::kBatchDone;
    case StepKind::kPageFault: return RunEnd::kPageFault;
    case StepKind::kKilled: return RunEnd::kKilled;
    case StepKind::kBadCommand: return RunEnd::kBadCommand;
    case StepKind::kUnsupportedShader: return RunEnd::kUnsupportedShader;
  }
  return RunEnd::kBudget;
}

/// Keeps the context's run clock going for a scope, unless the scheduler does so already.
class RunScope {
 public:
  RunScope(RunClock& run_clock, const Clock& clock)
      : run_clock_(run_clock), clock_(clock), mine_(!run_clock.running()) {
    if (mine_) run_clock_.start(clock_);
  }
  ~RunScope() {
    if (mine_) run_clock_.stop(clock_);
  }
  RunScope(const RunScope&) = delete;
  RunScope& operator=(const RunScope&) = delete;

 private:
  RunClock& run_clock_;
  const Clock& clock_;
  const bool mine_;
};

RunEnd budget_end(const CsStats& stats) {
  return stats.effects == 0 && stats.jumps_back != 0 ? RunEnd::kPolling : RunEnd::kBudget;
}

}  // namespace

RunResult run_slice(CsContext& context, GpuMemory& memory, const EngineInfo& engine,
                    const SliceBudget& budget, const std::atomic<bool>& kill) {
  // Reading the clock costs as much as a command; chunks of blits and accesses that faulted are slow
  // enough to look after each.
  constexpr std::uint64_t kStepsPerLook = 16;
  constexpr std::uint64_t kBytesPerLook = 64 * 1024;
  RunScope scope(context.run_clock, *engine.clock);
  RunResult result;
  std::uint64_t bytes_looked = 0;
  for (std::uint64_t steps = 1;; ++steps) {
    if (kill.load(std::memory_order_acquire)) {
      result.end = RunEnd::kKilled;
      return result;
    }
    const StepResult last = step(context, memory, engine, result.stats);
    if (last.kind != StepKind::kContinue && last.kind != StepKind::kArbitration) {
      result.end = end_of(last.kind);
      result.culprit = last.culprit;
      return result;
    }
    const bool look = last.kind == StepKind::kArbitration || steps % kStepsPerLook == 0 ||
                      result.stats.bytes_moved - bytes_looked >= kBytesPerLook;
    if (look) bytes_looked = result.stats.bytes_moved;
    if (steps >= budget.commands || (look && engine.clock->now_ns() >= budget.deadline_ns)) {
      result.end = budget_end(result.stats);
      return result;
    }
  }
}

}  // namespace softxe
