#include "vm/vram_manager.h"

#include <bit>
#include <utility>

#include "base/step.h"

namespace softxe {

VramBlock::~VramBlock() { SX_ASSERT(state_ == State::kNone && claims_ == 0); }

VramManager::VramManager(const VramBuddy::Config& config, std::uint64_t quota_bytes)
    : buddy_(config), quota_bytes_(quota_bytes == 0 ? config.bytes : quota_bytes) {}

VramManager::~VramManager() {
  Guard guard(lock_);
  SX_ASSERT(lru_.empty() && used_bytes_ == 0);
}

// --- allocation -----------------------------------------------------------------------------------

Status VramManager::take_scattered(VramBlock& block, std::uint64_t bytes, VramPlacement placement) {
  const std::uint64_t free_bytes =
      placement == VramPlacement::kVisibleOnly ? buddy_.free_visible_bytes() : buddy_.free_bytes();
  if (free_bytes < bytes) return fail(ENOSPC, "not enough free VRAM");
  std::uint32_t last = VramBuddy::kNoPage;
  for (std::uint64_t left = bytes; left > 0;) {
    const auto extent = buddy_.take_at_most(left, placement);
    SX_ASSERT(extent.has_value());  // counted above; pages are never larger than what is left
    buddy_.set_link(extent->start(), VramBuddy::kNoPage);
    if (last == VramBuddy::kNoPage)
      block.start_ = extent->start();
    else
      buddy_.set_link(buddy_.address_of(last), buddy_.page_of(extent->start()));
    last = buddy_.page_of(extent->start());
    left -= extent->size();
  }
  block.bytes_ = bytes;
  return {};
}

Status VramManager::try_allocate(VramBlock& block, std::uint64_t bytes, const AllocPolicy& policy) {
  if (used_bytes_ + bytes > quota_bytes_) return fail(ENOSPC, "VRAM quota is used up");
  if (policy.shape == AllocPolicy::Shape::kContiguous) {
    SX_TRY(const DevRange extent, buddy_.take(bytes, policy.placement));
    block.start_ = extent.start();
    block.bytes_ = extent.size();
  } else {
    SX_TRY_VOID(take_scattered(block, bytes, policy.placement));
  }
  used_bytes_ += block.bytes_;
  if (peak_bytes_ != nullptr && used_bytes_ > peak_bytes_->load(std::memory_order_relaxed)) {
    peak_bytes_->store(used_bytes_, std::memory_order_relaxed);
  }
  block.vm_tag_ = policy.vm_tag;
  block.state_ = VramBlock::State::kEvictable;
  lru_.push_back(block);
  return {};
}

VramBlock* VramManager::claim_victim(std::uint64_t stamp, const EvictPredicate& may_evict) {
  for (VramBlock& b : lru_) {
    // A claimed block is being evicted by someone else: its space comes without our help.
    if (b.tried_stamp_ == stamp || b.claims_ != 0) continue;
    if (may_evict && !may_evict(b)) continue;
    b.tried_stamp_ = stamp;
    ++b.claims_;
    return &b;
  }
  return nullptr;
}

Status VramManager::evict_claimed(VramBlock& victim) {
  SX_MARK("vm.vram.evict");
  VramClient& client = victim.client();
  Status status = client.evict_block(victim);
  SX_MARK("vm.vram.evicted");
  bool gone = false;
  {
    Guard guard(lock_);
    gone = victim.state_ == VramBlock::State::kNone;
    --victim.claims_;
    if (status) ++evictions_;
  }
  // Freed under our claim, by the eviction or by its owner, and not filled again: we are the last who
  // knows the object.
  if (gone) client.block_unclaimed(victim);
  return status;
}

Status VramManager::allocate(VramBlock& block, std::uint64_t bytes, const AllocPolicy& policy) {
  if (bytes == 0) return fail(EINVAL, "no VRAM asked for");
  SX_ASSERT(block.state_ == VramBlock::State::kNone);
  const std::uint64_t limit =
      policy.placement == VramPlacement::kVisibleOnly ? buddy_.visible_bytes() : buddy_.total_bytes();
  if (bytes > limit) return fail(E2BIG, "larger than the VRAM region");
  const std::uint64_t rounded = policy.shape == AllocPolicy::Shape::kContiguous
                                    ? std::max(std::bit_ceil(bytes), page_bytes())
                                    : align_up(bytes, page_bytes());
  SX_TRY_VOID(SX_STEP("vm.vram.alloc"));
  std::uint64_t stamp = 0;
  for (;;) {
    VramBlock* victim = nullptr;
    {
      Guard guard(lock_);
      Status status = try_allocate(block, rounded, policy);
      if (status || policy.evict == AllocPolicy::Evict::kNo) return status;
      if (stamp == 0) stamp = ++stamp_;
      // Each victim is tried once per allocation, so the walk ends.
      victim = claim_victim(stamp, policy.may_evict);
      if (victim == nullptr) return status;
    }
    (void)evict_claimed(*victim);  // failure: not this one, the next victim
  }
}

// --- release --------------------------------------------------------------------------------------

void VramManager::release_extents(VramBlock& block) {
  std::uint32_t page = buddy_.page_of(block.start_);
  while (page != VramBuddy::kNoPage) {
    const DevRange extent = buddy_.block_at(buddy_.address_of(page));
    page = buddy_.link(extent.start());
    buddy_.give_back(extent);
  }
  used_bytes_ -= block.bytes_;
  block.bytes_ = 0;
  block.vm_tag_ = nullptr;
}

VramManager::ReleaseResult VramManager::release(VramBlock& block) {
  Guard guard(lock_);
  if (block.state_ == VramBlock::State::kEvictable) lru_.erase(lru_.iterator_to(block));
  if (block.state_ != VramBlock::State::kNone) release_extents(block);
  block.state_ = VramBlock::State::kNone;
  return block.claims_ == 0 ? ReleaseResult::kDone : ReleaseResult::kClaimed;
}

void VramManager::touch(VramBlock& block) {
  Guard guard(lock_);
  if (block.state_ != VramBlock::State::kEvictable) return;
  lru_.splice(lru_.end(), lru_, lru_.iterator_to(block));
}

void VramManager::pin(VramBlock& block) {
  Guard guard(lock_);
  if (block.state_ != VramBlock::State::kEvictable) return;
  lru_.erase(lru_.iterator_to(block));
  block.state_ = VramBlock::State::kPinned;
}

void VramManager::unpin(VramBlock& block) {
  Guard guard(lock_);
  if (block.state_ != VramBlock::State::kPinned) return;
  lru_.push_back(block);
  block.state_ = VramBlock::State::kEvictable;
}

Status VramManager::evict_all(const EvictPredicate& may_evict) {
  Status first;
  std::uint64_t stamp = 0;
  for (;;) {
    VramBlock* victim = nullptr;
    {
      Guard guard(lock_);
      if (stamp == 0) stamp = ++stamp_;
      victim = claim_victim(stamp, may_evict);
    }
    if (victim == nullptr) return first;
    Status status = evict_claimed(*victim);
    if (!status && first) first = status;
  }
}

// --- looking --------------------------------------------------------------------------------------

void VramManager::for_each_extent(const VramBlock& block, const std::function<void(DevRange)>& visit) const {
  Guard guard(lock_);
  if (block.state_ == VramBlock::State::kNone) return;
  for (std::uint32_t page = buddy_.page_of(block.start_); page != VramBuddy::kNoPage;) {
    const DevRange extent = buddy_.block_at(buddy_.address_of(page));
    visit(extent);
    page = buddy_.link(extent.start());
  }
}

void VramManager::note_peak_in(std::atomic<std::uint64_t>& peak_bytes) {
  Guard hold(lock_);
  peak_bytes_ = &peak_bytes;
}

VramUsage VramManager::usage() const {
  Guard guard(lock_);
  VramUsage u;
  u.total_bytes = buddy_.total_bytes();
  u.visible_bytes = buddy_.visible_bytes();
  u.used_bytes = used_bytes_;
  u.used_visible_bytes = buddy_.visible_bytes() - buddy_.free_visible_bytes();
  u.evictions = evictions_;
  return u;
}

void VramManager::check_invariants() const {
  Guard guard(lock_);
  buddy_.check_invariants();
  SX_ASSERT(buddy_.free_bytes() + used_bytes_ == buddy_.total_bytes());
  for (const VramBlock& b : lru_) SX_ASSERT(b.state_ == VramBlock::State::kEvictable);
}

}  // namespace softxe
