#include "hw/eu/eu_units.h"

#include <algorithm>

namespace softxe {

namespace {

/// Between two looks at the clock: 3 to 25 us of ordinary instructions.
constexpr std::uint64_t kInstructionsPerLook = 256;
/// Of a group among more groups than workers.
constexpr std::uint64_t kInstructionsPerTurn = 4096;
/// A walker that ends sooner is not worth the wake-up of another thread.
constexpr std::uint64_t kAloneNs = 30'000;
constexpr std::uint64_t kHelperIdleNs = 20'000'000;

bool is_failure(const EuStop& stop) {
  return stop.kind == EuStopKind::kFault || stop.kind == EuStopKind::kIllegal || stop.kind == EuStopKind::kUnsupported;
}

}  // namespace

EuUnits::EuUnits(Config config)
    : config_(std::move(config)), first_(config_.make_worker(0)), pool_(config_.workers_max) {
  SX_ASSERT(config_.workers_max >= 1 && config_.workers_max <= kEuWorkersMax);
}

EuUnits::~EuUnits() {
  {
    Guard hold(lock_);
    stopping_ = true;
  }
  helpers_wake_.notify_all();
  for (const auto& helper : helpers_) {
    if (helper->join) helper->join();
  }
}

EuRun EuUnits::run(EuDispatch& dispatch, const EuSlice& slice) {
  dispatch.reserve(config_.workers_max, config_.ids, pool_);
  halted_.store(false, std::memory_order_relaxed);
  Share share{.slice = slice, .instructions = slice.instructions_max, .calls_helpers = config_.workers_max > 1};
  if (share.calls_helpers) share.call_at_ns = dispatch.slices() > 1 ? 0 : slice.clock.now_ns() + kAloneNs;
  {
    Guard hold(lock_);
    dispatch_ = &dispatch;
    slice_ = &slice;
    failure_ = {};
  }
  work(*first_, dispatch, share);
  Guard hold(lock_);
  dispatch_ = nullptr;
  for (const auto& helper : helpers_) helper->wanted = false;
  engine_wakes_.wait(lock_, [this] {
    lock_.assert_held();
    return helping_ == 0;
  });
  if (is_failure(failure_.stop)) return failure_;
  if (dispatch.finished()) return {.stop = {.kind = EuStopKind::kEnded}};
  return {.stop = {.kind = dispatch.could_run() != 0 ? EuStopKind::kBudget : EuStopKind::kBarrier}};
}

/// Groups, one after the other, until none is left for this worker or its share of the slice is used up.
void EuUnits::work(EuWorker& worker, EuDispatch& dispatch, Share& share) {
  worker.enter(dispatch.walker());
  EuResident* resident = nullptr;
  EuStop stop;
  for (;;) {
    const bool ends = over(dispatch, share);
    {
      Guard hold(lock_);
      if (resident != nullptr) put(dispatch, *resident, stop);
      resident = ends || halted_.load(std::memory_order_relaxed) ? nullptr : dispatch.take();
    }
    if (resident == nullptr) break;
    stop = run_group(worker, dispatch, *resident, share);
    worker.rest();
  }
  worker.leave();
}

bool EuUnits::over(EuDispatch& dispatch, Share& share) {
  if (halted_.load(std::memory_order_relaxed) || share.slice.stop.load(std::memory_order_relaxed)) return true;
  if (share.instructions == 0) return true;
  const std::uint64_t now = share.slice.clock.now_ns();
  if (share.calls_helpers && now >= share.call_at_ns) {
    share.calls_helpers = false;
    call_helpers(dispatch);
  }
  return now >= share.slice.deadline_ns;
}

EuStop EuUnits::run_group(EuWorker& worker, EuDispatch& dispatch, EuResident& resident, Share& share) {
  if (resident.fresh) resident.start(dispatch.walker());
  EuGroup& group = resident.group;
  std::uint64_t turn = dispatch.takes_turns() ? kInstructionsPerTurn : ~std::uint64_t{0};
  std::uint64_t unlooked = 0;
  for (;;) {
    const std::uint64_t before = group.instructions();
    const EuStop stop = group.run_next(worker, std::min({kInstructionsPerLook, share.instructions, turn}));
    // A thread that is stopped before its first instruction uses up its turn all the same.
    const std::uint64_t done = std::max<std::uint64_t>(group.instructions() - before, 1);
    share.instructions -= std::min(share.instructions, done);
    turn -= std::min(turn, done);
    unlooked += done;
    if (stop.kind != EuStopKind::kBudget || turn == 0) return stop;
    const bool look =
        unlooked >= kInstructionsPerLook || share.instructions == 0 || share.slice.stop.load(std::memory_order_relaxed);
    if (!look) continue;
    unlooked = 0;
    worker.rest();
    if (over(dispatch, share)) return stop;
  }
}

void EuUnits::put(EuDispatch& dispatch, EuResident& resident, const EuStop& stop) {
  if (stop.kind == EuStopKind::kEnded) return dispatch.retire(resident);
  dispatch.put_back(resident, stop.kind == EuStopKind::kBarrier ? EuDispatch::Back::kStuck : EuDispatch::Back::kReady);
  if (!is_failure(stop)) return;
  if (!is_failure(failure_.stop))
    failure_ = {.stop = stop, .group = resident.id, .thread = resident.group.failed().number};
  halted_.store(true, std::memory_order_relaxed);
}

// ---- helpers -------------------------------------------------------------------------------------

/// On the engine's thread, within its slice.
void EuUnits::call_helpers(EuDispatch& dispatch) {
  std::uint64_t wanted = 0;
  {
    Guard hold(lock_);
    wanted = std::min<std::uint64_t>(dispatch.could_run(), config_.workers_max - 1);
  }
  while (helpers_.size() < wanted) {
    helpers_.push_back(std::make_unique<Helper>());
    helpers_.back()->worker = config_.make_worker(static_cast<std::uint32_t>(helpers_.size()));
  }
  std::vector<Helper*> dead;
  {
    Guard hold(lock_);
    for (std::uint64_t i = 0; i < wanted; ++i) {
      Helper& helper = *helpers_[i];
      helper.wanted = true;
      if (!helper.alive) dead.push_back(&helper);
      helper.alive = true;
    }
  }
  helpers_wake_.notify_all();
  for (Helper* helper : dead) {
    if (helper->join) helper->join();
    helper->join = config_.starter([this, helper] { help(*helper); });
  }
}

/// A helper's thread.
void EuUnits::help(Helper& helper) {
  for (;;) {
    EuDispatch* dispatch = nullptr;
    const EuSlice* slice = nullptr;
    {
      Guard hold(lock_);
      const bool woken = helpers_wake_.wait_for(lock_, kHelperIdleNs, [&] {
        lock_.assert_held();
        return stopping_ || (helper.wanted && dispatch_ != nullptr);
      });
      if (stopping_ || !woken) {
        helper.alive = false;
        return;
      }
      helper.wanted = false;
      dispatch = dispatch_;
      slice = slice_;
      ++helping_;
    }
    Share share{.slice = *slice, .instructions = slice->instructions_max};
    const EventScope helps(slice->cause);
    work(*helper.worker, *dispatch, share);
    Guard hold(lock_);
    if (--helping_ == 0) engine_wakes_.notify_one();
  }
}

}  // namespace softxe
