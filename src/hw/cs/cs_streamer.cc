#include "hw/cs/cs_streamer.h"

#include "hw/cs/cs_executor.h"

namespace softxe {

Result<std::uint32_t> CsExecutor::dword(std::uint32_t index) {
  std::uint32_t value = 0;
  SX_TRY_VOID(mem_.read32(strip(ctx_.pc.value() + std::uint64_t{index} * 4), value));
  return value;
}

Status CsExecutor::expect_dwords(std::uint32_t dwords) const {
  if (dwords_ != dwords) return bad_command("the length field does not fit the command");
  return {};
}

Result<CsFlow> CsExecutor::run() {
  CsFlow flow = CsFlow::kNext;
  if (ctx_.blit.kind != CsLongBlit::Kind::kNone) {
    header_ = ctx_.blit.command_header;
    dwords_ = ctx_.blit.command_dwords;
    SX_TRY(flow, continue_blit());
  } else if (ctx_.dispatch.active()) {
    header_ = ctx_.walker.command_header;
    dwords_ = ctx_.walker.command_dwords;
    SX_TRY(flow, continue_walker());
  } else {
    SX_TRY(header_, dword(0));
    const CsHeader h = parse_cs_header(header_);
    dwords_ = h.dwords;
    SX_TRY(flow, execute(h));
  }
  if (flow == CsFlow::kNext) ctx_.pc = strip(ctx_.pc.value() + std::uint64_t{dwords_} * 4);
  return flow;
}

Result<CsFlow> CsExecutor::execute(const CsHeader& h) {
  switch (h.client) {
    case CsClient::kMi: return execute_mi(h);
    case CsClient::kBlitter: return execute_blitter(h);
    case CsClient::kRender: return execute_render(h);
    case CsClient::kBarrier: return execute_compute(h);
    case CsClient::kReserved: break;
  }
  return bad_command("the header names no client");
}

Result<CsFlow> CsExecutor::execute_mi(const CsHeader& h) {
  switch (h.kind) {
    case CsKind::kIgnored: return CsFlow::kNext;
    case CsKind::kBatchBufferEnd: return end_level();
    case CsKind::kMath: return math();
    case CsKind::kPredicate: return predicate();
    case CsKind::kSemaphoreWait: return semaphore_wait();
    case CsKind::kStoreDataImm: return store_data_imm();
    case CsKind::kLoadRegisterImm: return load_register_imm();
    case CsKind::kStoreRegisterMem: return store_register_mem();
    case CsKind::kFlushDw: return flush_dw();
    case CsKind::kReportPerfCount: return report_perf_count();
    case CsKind::kLoadRegisterMem: return load_register_mem();
    case CsKind::kLoadRegisterReg: return load_register_reg();
    case CsKind::kCopyMemMem: return copy_mem_mem();
    case CsKind::kAtomic: return atomic();
    case CsKind::kBatchBufferStart: return batch_start();
    case CsKind::kCondBatchBufferEnd: return cond_batch_end();
    case CsKind::kPrtBatchBufferStart: return bad_command("persistent batches are not supported");
    default: return bad_command("unknown MI command");
  }
}

Result<CsFlow> CsExecutor::execute_blitter(const CsHeader& h) {
  if (engine_.engine_class != CsEngineClass::kCopy) {
    return bad_command("a blitter command on an engine that is not a copy engine");
  }
  switch (h.kind) {
    case CsKind::kMemCopy: return mem_copy();
    case CsKind::kMemSet: return mem_set();
    case CsKind::kFastCopy: return fast_copy();
    case CsKind::kBlockCopy: return block_copy();
    case CsKind::kFastColor: return fast_color();
    case CsKind::kCtrlSurfCopy: return bad_command("compression control surfaces are not supported");
    case CsKind::kOldBlit: return bad_command("a blit of older parts");
    default: return bad_command("unknown blitter command");
  }
}

Result<CsFlow> CsExecutor::execute_render(const CsHeader& h) {
  // Accepted on every engine (spec/gpu-commands.md 5).
  if (h.kind == CsKind::kPipeControl) return pipe_control();
  // Stores are ordered here without a page to fence them with; the compute runtime names one on every
  // engine it uses (spec/clients.md 7).
  if (h.kind == CsKind::kFenceAddress) return CsFlow::kNext;
  return execute_compute(h);
}

Result<CsFlow> CsExecutor::execute_compute(const CsHeader& h) {
  if (engine_.engine_class != CsEngineClass::kRender && engine_.engine_class != CsEngineClass::kCompute) {
    return bad_command("a render, media or compute command on an engine without that pipe");
  }
  switch (h.kind) {
    case CsKind::kStateBaseAddress: return state_base_address();
    case CsKind::kBindingTablePool: return binding_table_pool();
    case CsKind::kComputeMode: return compute_mode();
    case CsKind::kSystemRoutine: return system_routine();
    case CsKind::kFrontEnd: return front_end();
    case CsKind::kComputeWalker: return compute_walker();
    case CsKind::kShader: return fail(kCsShader, "the command starts shaders in another way than a compute walker");
    case CsKind::kUnknown: return bad_command("unknown render or compute command");
    default: return CsFlow::kNext;
  }
}

CsStep cs_step(CsContext& context, CsMemory& memory, const CsEngine& engine, const CsStepLimits& limits) {
  if (!context.running) return {.kind = CsStepKind::kBatchDone};
  CsExecutor executor(context, memory, engine, limits);
  const Result<CsFlow> flow = executor.run();
  if (!flow) {
    CsStepKind kind = CsStepKind::kPageFault;
    if (flow.error().err == kCsBadCommand) kind = CsStepKind::kBadCommand;
    if (flow.error().err == kCsShader) kind = CsStepKind::kUnsupportedShader;
    if (flow.error().err == kCsBadKernel) kind = CsStepKind::kIllegalKernel;
    return {.kind = kind, .header = executor.header(), .address = context.pc, .reason = flow.error().why};
  }
  switch (*flow) {
    case CsFlow::kNext:
    case CsFlow::kJumped:
    case CsFlow::kAgain: return {.kind = CsStepKind::kContinue};
    case CsFlow::kYield: return {.kind = CsStepKind::kYield};
    case CsFlow::kDone: context.running = false; return {.kind = CsStepKind::kBatchDone};
  }
  SX_UNREACHABLE("all flows are handled");
}

CsSlice cs_run_slice(CsContext& context, CsMemory& memory, const CsEngine& engine, const CsSliceLimits& limits,
                     const std::atomic<bool>& stop) {
  // Reading the clock costs as much as a cheap command.
  constexpr std::uint32_t kStepsPerLook = 16;
  context.run_time_before_ns = limits.run_time_ns;
  context.slice_start_ns = engine.clock->now_ns();
  context.jumped_back = context.wrote_memory = false;
  const CsStepLimits step_limits{
      .stop = &stop, .deadline_ns = limits.deadline_ns, .instructions_max = limits.instructions_max};
  CsSlice slice;
  for (; slice.steps < limits.commands_max; ++slice.steps) {
    if (stop.load(std::memory_order_relaxed)) return slice;
    const bool look =
        slice.steps % kStepsPerLook == 0 || context.blit.kind != CsLongBlit::Kind::kNone || context.dispatch.active();
    if (look && engine.clock->now_ns() >= limits.deadline_ns) break;
    slice.last = cs_step(context, memory, engine, step_limits);
    switch (slice.last.kind) {
      case CsStepKind::kContinue: continue;
      case CsStepKind::kBatchDone: slice.end = CsSliceEnd::kDone; break;
      case CsStepKind::kYield: slice.end = CsSliceEnd::kYield; break;
      case CsStepKind::kPageFault: slice.end = CsSliceEnd::kFault; break;
      case CsStepKind::kBadCommand: slice.end = CsSliceEnd::kBadCommand; break;
      case CsStepKind::kUnsupportedShader: slice.end = CsSliceEnd::kUnsupportedShader; break;
      case CsStepKind::kIllegalKernel: slice.end = CsSliceEnd::kIllegalKernel; break;
    }
    ++slice.steps;
    return slice;
  }
  slice.end = context.jumped_back && !context.wrote_memory ? CsSliceEnd::kPolling : CsSliceEnd::kBudget;
  return slice;
}

}  // namespace softxe
