#include "host/sim/sim_frames.h"

#include <sys/mman.h>
#include <cstring>

#include "base/spare_mappings.h"

namespace softxe {

SimFrames::SimFrames(std::uint64_t capacity_bytes) : capacity_frames_(capacity_bytes / kPageSize) {
  SX_ASSERT(capacity_frames_ > 1);
  const std::uint64_t bytes = capacity_frames_ * kPageSize;
  void* arena = SpareMappings::take(SpareMappings::Source::kFrames, bytes).start;
  if (arena == nullptr) {
    arena = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  }
  SX_ASSERT(arena != MAP_FAILED);
  arena_ = static_cast<std::byte*>(arena);
  meta_.push_back(Meta{.refs = 1, .pins = 0, .generation = 1});
}

SimFrames::~SimFrames() {
  const std::uint64_t bytes = capacity_frames_ * kPageSize;
  if (SpareMappings::kept()) std::memset(arena_, 0, meta_.size() * kPageSize);
  SpareMappings::give_or_unmap(SpareMappings::Source::kFrames, {arena_, bytes});
}

Result<FrameId> SimFrames::alloc() {
  FrameId frame{};
  bool fresh_left = meta_.size() < capacity_frames_;
  if (fresh_left && free_.size() <= kQuarantineFrames) {
    frame = FrameId(static_cast<std::uint32_t>(meta_.size()));
    meta_.emplace_back();
  } else if (!free_.empty()) {
    frame = free_.front();
    free_.pop_front();
    std::memset(data(frame), 0, kPageSize);
  } else {
    return fail(ENOMEM, "the simulated machine is out of RAM");
  }
  at(frame).refs = 1;
  ++in_use_;
  return frame;
}

void SimFrames::ref(FrameId frame) {
  if (frame == kZeroPage) return;
  SX_ASSERT(at(frame).refs > 0 || at(frame).pins > 0);
  ++at(frame).refs;
}

void SimFrames::unref(FrameId frame) {
  if (frame == kZeroPage) return;
  SX_ASSERT(at(frame).refs > 0);
  --at(frame).refs;
  free_when_unused(frame);
}

void SimFrames::pin(FrameId frame) {
  SX_ASSERT(frame != kZeroPage && at(frame).refs > 0);
  ++at(frame).pins;
}

void SimFrames::unpin(FrameId frame) {
  SX_ASSERT(at(frame).pins > 0);
  --at(frame).pins;
  free_when_unused(frame);
}

void SimFrames::free_when_unused(FrameId frame) {
  Meta& meta = at(frame);
  if (meta.refs != 0 || meta.pins != 0) return;
  std::memset(data(frame), static_cast<int>(kPoison), kPageSize);
  ++meta.generation;
  --in_use_;
  free_.push_back(frame);
}

bool holds_one_byte(const std::byte* page, std::byte value) {
  return page[0] == value && std::memcmp(page, page + 1, kPageSize - 1) == 0;
}

std::optional<FrameId> SimFrames::stored_after_free() const {
  for (FrameId frame : free_) {
    if (!holds_one_byte(data(frame), kPoison)) return frame;
  }
  return std::nullopt;
}

std::optional<FrameId> SimFrames::frame_of(const std::byte* address) const {
  if (address < arena_ || address >= arena_ + meta_.size() * kPageSize) return std::nullopt;
  return FrameId(static_cast<std::uint32_t>(static_cast<std::uint64_t>(address - arena_) / kPageSize));
}

}  // namespace softxe
