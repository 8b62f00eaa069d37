#include "drv/vram_pagemap.h"

#include "base/step.h"

namespace softxe {

namespace {
// A few instructions of another thread; longer than this, it is a block that nobody will give back.
constexpr std::uint64_t kRecycleWaitNs = 10'000'000'000;
}  // namespace

// HostMm gives the last page's block back to the manager, and then its record to us: between the two the VRAM is empty
// already, and its device may go.
VramPagemap::~VramPagemap() {
  Guard hold(lock_);
  SX_MARK("drv.vram.wait_for_records");
  const bool all_back = recycled_.wait_for(lock_, kRecycleWaitNs, [this] {
    lock_.assert_held();
    return spare_.size() == records_.size();
  });
  SX_ASSERT(all_back);
  spare_.clear();
}

VramPagemap::Record& VramPagemap::record_of(VramBlock& block) {
  return *boost::intrusive::get_parent_from_member(&block, &Record::block);
}

VramPagemap::Record* VramPagemap::take_record() {
  Guard hold(lock_);
  if (!spare_.empty()) {
    Record& record = spare_.front();
    spare_.pop_front();
    return &record;
  }
  records_.push_back(std::make_unique<Record>(static_cast<VramClient&>(*this)));
  return records_.back().get();
}

void VramPagemap::recycle(Record& record) {
  Guard hold(lock_);
  spare_.push_front(record);
  recycled_.notify_all();  // under the lock: whoever waits for the last one destroys this object
}

Result<DevmemAllocation*> VramPagemap::allocate(std::uint64_t bytes, VramEffort effort) {
  SX_TRY_VOID(SX_STEP("drv.vram.svm_alloc"));
  Record* record = take_record();
  AllocPolicy policy;
  policy.shape = AllocPolicy::Shape::kContiguous;
  policy.evict = effort == VramEffort::kMayEvict ? AllocPolicy::Evict::kYes : AllocPolicy::Evict::kNo;
  if (Status room = config_.vram.allocate(record->block, bytes, policy); !room) {
    recycle(*record);
    return fail(room.error());
  }
  DevmemAllocation& allocation = record->allocation;
  allocation = DevmemAllocation{};
  allocation.heap = this;
  allocation.block = DevRange::of(record->block.start(), bytes);
  allocation.frame = config_.window + record->block.start().value();
  allocation.heap_private = record;
  return &allocation;
}

void VramPagemap::release(DevmemAllocation& allocation) {
  auto& record = *static_cast<Record*>(allocation.heap_private);
  SX_ASSERT(allocation.present_count() == 0);
  const VramManager::ReleaseResult released = config_.vram.release(record.block);
  SX_MARK("drv.vram.released");
  if (released == VramManager::ReleaseResult::kDone) recycle(record);
}

void VramPagemap::block_unclaimed(VramBlock& block) { recycle(record_of(block)); }

Status VramPagemap::evict_block(VramBlock& block) { return config_.host.evict(record_of(block).allocation); }

Status VramPagemap::evict_all() {
  return config_.vram.evict_all(
      [this](const VramBlock& block) { return &block.client() == static_cast<const VramClient*>(this); });
}

std::size_t VramPagemap::live_allocations() const {
  Guard hold(lock_);
  return records_.size() - spare_.size();
}

void VramPagemap::moved_to_system(const DevmemAllocation& allocation, const MovedHome& moved) {
  config_.counters.count({.address = moved.at.value(),
                          .size = moved.pages * kPageSize,
                          .word = event_word(moved.took_ns / 1000, allocation.block.size() / 1024),
                          .kind = EventKind::kHome,
                          .cause = event_cause(moved.cause),
                          .from = vram_of_tile(config_.tile),
                          .to = EventPlace::kSystem});
}

}  // namespace softxe
