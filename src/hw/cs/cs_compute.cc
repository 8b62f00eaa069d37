// Compute: state of kernels, and walkers, which are carried out in bounded steps (spec/compute-dispatch.md 3 to 5, 10).
#include "base/event_ring.h"
#include "hw/cs/cs_executor.h"
#include "hw/eu/eu_walker.h"

namespace softxe {

Result<CsFlow> CsExecutor::state_base_address() {
  // Drivers of older parts send a shorter form.
  SX_TRY(const auto d, body_so_far<22>());
  ctx_.compute.set_base_addresses(d, va_mask());
  return CsFlow::kNext;
}

Result<CsFlow> CsExecutor::binding_table_pool() {
  SX_TRY(const auto d, body<4>());
  ctx_.compute.set_binding_table_pool(d, va_mask());
  return CsFlow::kNext;
}

Result<CsFlow> CsExecutor::compute_mode() {
  SX_TRY(const auto d, body_so_far<3>());
  ctx_.compute.set_compute_mode(d);
  return CsFlow::kNext;
}

Result<CsFlow> CsExecutor::system_routine() {
  SX_TRY(const auto d, body_so_far<3>());
  ctx_.compute.set_system_routine(d);
  return CsFlow::kNext;
}

Result<CsFlow> CsExecutor::front_end() {
  SX_TRY(const auto d, body<6>());
  ctx_.compute.set_front_end(d);
  return CsFlow::kNext;
}

Result<CsFlow> CsExecutor::compute_walker() {
  if (engine_.units == nullptr) return fail(kCsShader, "the engine has no execution units");
  SX_TRY(const auto d, body<kEuWalkerDwords>());
  if (cs_bit(header_, 8) && !ctx_.predicate.result) return CsFlow::kNext;
  SX_TRY(const EuWalker walker, eu_decode_walker(d, ctx_.compute, engine_.va_bits));
  SX_TRY_VOID(ctx_.dispatch.begin(walker));
  ctx_.walker = {
      .command_header = header_,
      .command_dwords = dwords_,
      .context_ticks = context_ticks(),
      .ring_ticks = ring_ticks(),
      .began = emit({.address = walker.kernel.value(),
                     .word = event_word(walker.groups[0] * walker.groups[1] * walker.groups[2], walker.threads),
                     .kind = EventKind::kKernelBegin})};
  ctx_.kernel_work.kernels += 1;
  ctx_.kernel_stop = {};
  return continue_walker();
}

Result<CsFlow> CsExecutor::continue_walker() {
  static const std::atomic<bool> never{false};
  ctx_.wrote_memory = true;
  const EventScope runs(ctx_.walker.began);
  if (!ctx_.dispatch.finished()) {
    const EuRun run = engine_.units->run(ctx_.dispatch, {.stop = limits_.stop != nullptr ? *limits_.stop : never,
                                                         .clock = *engine_.clock,
                                                         .deadline_ns = limits_.deadline_ns,
                                                         .instructions_max = limits_.instructions_max});
    ctx_.kernel_work.work += ctx_.dispatch.take_new_work();
    if (run.stop.kind == EuStopKind::kBudget) return CsFlow::kAgain;
    // Every thread that is left waits for another one: only a time-out or the end of the queue helps.
    if (run.stop.kind == EuStopKind::kBarrier) return CsFlow::kYield;
    if (run.stop.kind != EuStopKind::kEnded) return walker_failed(run);
  }
  SX_TRY_VOID(write_post_sync(ctx_.dispatch.walker().post_sync));
  emit({.address = ctx_.dispatch.walker().kernel.value(), .word = ctx_.walker.began, .kind = EventKind::kKernelEnd});
  ctx_.dispatch.release(engine_.units->pool());
  return CsFlow::kNext;
}

tl::unexpected<Error> CsExecutor::walker_failed(const EuRun& run) {
  ctx_.kernel_stop = {.kernel = ctx_.dispatch.walker().kernel, .run = run};
  emit({.address = ctx_.kernel_stop.kernel.value(),
        .word = ctx_.walker.began,
        .err = EFAULT,
        .kind = EventKind::kKernelEnd});
  ctx_.dispatch.drop();
  switch (run.stop.kind) {
    case EuStopKind::kIllegal: return fail(kCsBadKernel, run.stop.reason);
    case EuStopKind::kUnsupported: return fail(kCsShader, run.stop.reason);
    default: return fail(EFAULT, run.stop.reason);
  }
}

/// Clients wait until the context's end time (at 16) differs from 1, so it is written last and is never 1.
Status CsExecutor::write_post_sync(const EuPostSync& post_sync) {
  const auto time = [](std::uint64_t ticks) { return ticks == 1 ? std::uint64_t{2} : ticks; };
  const GpuVa to = post_sync.address;
  switch (post_sync.kind) {
    case EuPostSync::Kind::kNone: return {};
    case EuPostSync::Kind::kImmediate: return store64(to, post_sync.immediate);
    case EuPostSync::Kind::kTimestamps: break;
  }
  SX_TRY_VOID(store64(to, time(ctx_.walker.context_ticks)));
  SX_TRY_VOID(store64(strip(to.value() + 8), time(ctx_.walker.ring_ticks)));
  SX_TRY_VOID(store64(strip(to.value() + 24), time(ring_ticks())));
  return store64(strip(to.value() + 16), time(context_ticks()));
}

}  // namespace softxe
