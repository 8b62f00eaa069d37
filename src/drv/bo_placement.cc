#include "drv/bo_placement.h"

#include "base/step.h"

namespace softxe {

namespace {

// Longest wait for the pins of others.
constexpr std::uint64_t kPinWaitNs = 100'000'000;

template <typename State, typename Place>
bool is(const Place& place) {
  return std::holds_alternative<State>(place);
}

}  // namespace

BoPlacement::~BoPlacement() = default;

void BoPlacement::end() {
  std::optional<unsigned> tile;
  {
    Guard hold(lock_);
    SX_ASSERT(pins_ == 0);
    wait_settled();
    if (is<InVram>(place_)) tile = begin_leaving();
  }
  if (!tile) return;
  // An evictor that has claimed the block may still hold a pointer to it: wait for its last word.
  arrive(vram_.give_back(*tile));
  Guard hold(lock_);
  wait_settled();
}

bool BoPlacement::settled() const { return claim_ == Claim::kNone && (is<InSystem>(place_) || is<InVram>(place_)); }

// An evictor that has claimed the block of the old place writes to it under that tile's lock until it is unclaimed:
// only then may another tile fill it.
void BoPlacement::wait_settled() {
  if (settled()) return;
  SX_MARK("drv.bo.wait_settled");
  changed_.wait(lock_, [this] {
    lock_.assert_held();
    return settled();
  });
}

std::optional<unsigned> BoPlacement::wanted_tile(const BoUse& use) const {
  if (use.place == BoPlace::kTileVram) {
    if (use.tile < memory_.tile_count && identity_.allows_tile(use.tile)) return use.tile;
    return std::nullopt;
  }
  for (unsigned tile = 0; tile < memory_.tile_count; ++tile) {
    if (identity_.allows_tile(tile)) return tile;
  }
  return std::nullopt;
}

// An object that is pinned in VRAM is in a bind or a fault of somebody else, and free in a moment: the kernel waits
// for its lock. Who is evicted from VRAM stays where it is, also where its placements do not have system memory: asked
// to go there, it is there already (spec/vm.md 2.9, 3.5).
Status BoPlacement::bring_home() {
  const bool may_live_there = identity_.allows_system();
  unsigned from = 0;
  {
    Guard hold(lock_);
    wait_settled();
    if (is<InVram>(place_) && may_live_there) {
      SX_MARK("drv.bo.wait_for_pins");
      changed_.wait_for(lock_, kPinWaitNs, [&] {
        lock_.assert_held();
        return is<InSystem>(place_) || (is<InVram>(place_) && pins_ == 0);
      });
    }
    const auto* home = std::get_if<InSystem>(&place_);
    if (home != nullptr && (home->backing == Backing::kOnce || may_live_there)) {
      ++pins_;
      place_ = InSystem{Backing::kOnce};
      return {};
    }
    if (!may_live_there) return fail(EINVAL, "buffer object may not live in system memory");
    if (!is<InVram>(place_) || pins_ != 0) return fail(EBUSY, "buffer object is pinned in VRAM");
    from = begin_leaving();
    // Counted before it arrives: nobody can send it back in between.
    ++pins_;
  }
  leave(from);
  return {};
}

unsigned BoPlacement::begin_leaving() {
  const unsigned tile = std::get<InVram>(place_).tile;
  place_ = Leaving{tile};
  claim_ = Claim::kEvictor;
  return tile;
}

// An evictor who chose this object at the same time has a claim on the block until it says so.
void BoPlacement::arrive(VramManager::ReleaseResult released) {
  Guard hold(lock_);
  if (released == VramManager::ReleaseResult::kDone) claim_ = Claim::kNone;
  place_ = InSystem{Backing::kOnce};
  changed_.notify_all();
}

void BoPlacement::leave(unsigned from) {
  owner_.zap();
  arrive(vram_.give_back(from));
}

Result<BoPlacement::Next> BoPlacement::look(const BoUse& use, std::optional<unsigned> wanted) {
  const bool required = use.place == BoPlace::kTileVram;
  Guard hold(lock_);
  wait_settled();
  if (const auto* vram = std::get_if<InVram>(&place_)) {
    if (!required || vram->tile == wanted) {
      if (pins_++ == 0) vram_.pin(vram->tile);
      return Nothing{};
    }
    if (pins_ != 0) return fail(EBUSY, "buffer object is pinned in another VRAM");
    return Leave{begin_leaving()};
  }
  // Pinned in system memory, by a prefetch of the same array for one, it stays there.
  if (!wanted || (pins_ != 0 && !required && identity_.allows_system())) {
    ++pins_;
    place_ = InSystem{Backing::kOnce};
    return Nothing{};
  }
  const Backing before = std::get<InSystem>(place_).backing;
  place_ = Entering{before};
  return Enter{before};
}

Status BoPlacement::enter(const BoUse& use, unsigned tile, Backing before) {
  const Status entered = vram_.take(tile, use);
  const bool required = use.place == BoPlace::kTileVram;
  const bool enough = entered || (!required && identity_.allows_system());
  Guard hold(lock_);
  if (entered) {
    place_ = InVram{tile};
  } else {
    place_ = InSystem{enough ? Backing::kOnce : before};
  }
  changed_.notify_all();
  if (!enough) return entered;
  // Pins it had in system memory hold it here as well.
  ++pins_;
  if (entered) vram_.pin(tile);
  return {};
}

// First VRAM, then system memory if allowed (spec/vm.md 2.9).
Status BoPlacement::place(const BoUse& use, std::optional<unsigned> wanted) {
  for (;;) {
    SX_TRY(const Next next, look(use, wanted));
    if (const auto* way = std::get_if<Leave>(&next)) {
      leave(way->from);
      continue;
    }
    if (const auto* way = std::get_if<Enter>(&next)) return enter(use, *wanted, way->before);
    return {};
  }
}

void BoPlacement::unpin() {
  Guard hold(lock_);
  SX_ASSERT(pins_ > 0);
  if (--pins_ != 0) return;
  if (const auto* vram = std::get_if<InVram>(&place_)) vram_.unpin(vram->tile);
  changed_.notify_all();
}

Status BoPlacement::evict_block(VramBlock&) {
  unsigned tile;
  {
    Guard hold(lock_);
    if (!is<InVram>(place_) || pins_ != 0) return fail(EBUSY, "buffer object is in use");
    tile = begin_leaving();
  }
  owner_.zap();
  if (memory_.counters != nullptr) {
    memory_.counters->count({.size = identity_.size_bytes, .kind = EventKind::kEvictBo});
  }
  const auto released = vram_.give_back(tile);
  owner_.evicted();
  arrive(released);
  return {};
}

void BoPlacement::block_unclaimed(VramBlock&) {
  Guard hold(lock_);
  claim_ = Claim::kNone;
  changed_.notify_all();
}

bool BoPlacement::in_vram() const {
  Guard hold(lock_);
  return is<InVram>(place_);
}

void BoPlacement::append_runs(std::uint64_t offset, std::uint64_t bytes, const BoViewer& viewer,
                              std::vector<PteRun>& runs) const {
  std::optional<unsigned> tile;
  {
    Guard hold(lock_);
    if (const auto* vram = std::get_if<InVram>(&place_)) tile = vram->tile;
  }
  if (tile == viewer.tile && viewer.device == &memory_) return vram_.append_runs(*tile, offset, bytes, runs);
  // System memory, or VRAM of a peer: reached by pointer, without the DM bit (spec/svm.md 8.3).
  runs.push_back(
      {.kind = PteKind::kEngine, .address = reinterpret_cast<std::uint64_t>(bytes_.data() + offset), .bytes = bytes});
}

}  // namespace softxe
