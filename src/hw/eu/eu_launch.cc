#include "hw/eu/eu_launch.h"

#include <atomic>
#include <memory>
#include <utility>

namespace softxe {

Result<EuWalker> eu_walker_of(const EuLaunch& launch, unsigned va_bits) {
  if (launch.lanes != 16 && launch.lanes != 32) return fail(EINVAL, "a thread has 16 or 32 lanes");
  if (launch.group_items == 0 || launch.group_items > kEuGroupThreadsMax * launch.lanes) {
    return fail(EINVAL, "a group has 1 to 64 threads");
  }
  if (launch.slm_bytes > kEuSlmBytesMax) return fail(EINVAL, "a group has at most 384 KiB of shared local memory");
  if (!launch.code.is_aligned(8)) return fail(EINVAL, "an instruction's address is no multiple of 8");
  EuWalker walker;
  walker.kernel = launch.code;
  walker.instruction_base = launch.code;
  walker.bases = {.general_state = launch.argument_base, .va_bits = va_bits};
  walker.simd = launch.lanes;
  walker.threads = (launch.group_items + launch.lanes - 1) / launch.lanes;
  const std::uint32_t last = launch.group_items - (walker.threads - 1) * launch.lanes;
  walker.last_mask = static_cast<std::uint32_t>((std::uint64_t{1} << last) - 1);
  walker.slm_bytes = launch.slm_bytes;
  walker.has_inline_data = true;
  walker.inline_data = launch.arguments;
  walker.local_ids = {.emitted = 1, .size = {launch.group_items, 1, 1}};
  walker.groups = launch.groups;
  return walker;
}

EuLauncher::EuLauncher(EngineMemory& memory, const Clock& clock)
    : clock_(clock), units_({.ids = ids_, .make_worker = [this, &memory](std::uint32_t) {
                               auto worker = std::make_unique<EngineEuWorker>(memory);
                               worker_ = worker.get();
                               return worker;
                             }}) {}

Status EuLauncher::begin(const EuLaunch& launch, unsigned va_bits) {
  SX_TRY(const EuWalker walker, eu_walker_of(launch, va_bits));
  dispatch_.drop();
  SX_TRY_VOID(dispatch_.begin(walker));
  done_.kernels += 1;
  return {};
}

Status EuLauncher::run(std::uint64_t instructions_max) {
  SX_ASSERT(dispatch_.active());
  static const std::atomic<bool> never{false};
  EuRun run{.stop = {.kind = EuStopKind::kEnded}};
  if (!dispatch_.finished()) {
    run = units_.run(dispatch_,
                     {.stop = never, .clock = clock_, .deadline_ns = ~0ull, .instructions_max = instructions_max});
    done_.work += dispatch_.take_new_work();
    done_.faults += worker_->take_faults();
  }
  if (run.stop.kind == EuStopKind::kBudget) return fail(ETIME, "the kernel has not ended yet");
  if (run.stop.kind == EuStopKind::kEnded) {
    dispatch_.release(units_.pool());
    return {};
  }
  dispatch_.drop();
  switch (run.stop.kind) {
    case EuStopKind::kBarrier: return fail(EDEADLK, "all threads that are left wait for each other");
    case EuStopKind::kIllegal: return fail(EBADRQC, run.stop.reason);
    case EuStopKind::kUnsupported: return fail(ENOSYS, run.stop.reason);
    default: return fail(EFAULT, run.stop.reason);
  }
}

EuCounts EuLauncher::take_counts() { return std::exchange(done_, {}); }

}  // namespace softxe
