#include "vm/va_ops.h"

#include <algorithm>
#include <memory>
#include <new>
#include <utility>

#include "base/step.h"

namespace softxe {
namespace {

constexpr unsigned kRemapsMax = 2;

/// Both map one address to the same place of the same backing. Offsets wrap like addresses.
Keep keeps(const VaNode& old, const MapRequest& request) {
  const bool same = old.backing() != nullptr && old.backing() == request.backing &&
                    old.offset_bytes() - old.start().value() == request.offset_bytes - request.range.start().value();
  return same ? Keep::kYes : Keep::kNo;
}

RemapOp cut(VaNode& node, const GpuRange& range, Keep keep) {
  const GpuRange hole = GpuRange::between(std::max(node.start(), range.start()), std::min(node.end(), range.end()));
  return {&node, node.range(), hole, node.offset_bytes(), keep};
}

}  // namespace

VaOps::VaOps(VaOps&& other) noexcept { take(other); }

VaOps& VaOps::operator=(VaOps&& other) noexcept {
  if (this == &other) return *this;
  release();
  take(other);
  return *this;
}

void VaOps::take(VaOps& other) {
  size_ = std::exchange(other.size_, 0);
  capacity_ = std::exchange(other.capacity_, kInline);
  inserts_ = std::exchange(other.inserts_, 0);
  place_ = other.place_;
  gone_ = other.gone_;
  reach_ = other.reach_;
  if (other.data_ == other.inline_ops()) {
    data_ = inline_ops();
    std::uninitialized_copy_n(other.data_, size_, data_);
  } else {
    data_ = std::exchange(other.data_, other.inline_ops());
  }
}

Status VaOps::grow() {
  SX_TRY_VOID(SX_STEP("vm.va_ops.grow"));
  void* memory = ::operator new(2 * capacity_ * sizeof(VaOp), std::nothrow);
  if (memory == nullptr) return fail(ENOMEM, "no memory for the operations of a VA request");
  auto* data = static_cast<VaOp*>(memory);
  std::uninitialized_copy_n(data_, size_, data);
  release();
  data_ = data;
  capacity_ *= 2;
  return {};
}

namespace {

Status collect_map(const VaSpace& space, const MapRequest& request, VaOps& ops) {
  SX_TRY_VOID(space.check(request.range));
  ops.set_reach(VaOps::Reach::kNeighbours);
  unsigned remaps = 0;
  for (VaNode& node : space.overlapping(request.range, ops.place_to_set())) {
    const Keep keep = keeps(node, request);
    if (request.range.contains(node.range())) {
      SX_TRY_VOID(ops.add(UnmapOp{&node, keep}));
    } else {
      SX_TRY_VOID(ops.add(cut(node, request.range, keep)));
      ++remaps;
    }
  }
  SX_ASSERT(remaps <= kRemapsMax);
  return ops.add(MapOp{request.range, request.backing, request.offset_bytes, nullptr});
}

Status collect_unmap(const VaSpace& space, const GpuRange& range, VaOps& ops) {
  SX_TRY_VOID(space.check(range));
  ops.set_reach(VaOps::Reach::kNeighbours);
  unsigned remaps = 0;
  for (VaNode& node : space.overlapping(range, ops.place_to_set())) {
    if (range.contains(node.range())) {
      SX_TRY_VOID(ops.add(UnmapOp{&node, Keep::kNo}));
    } else {
      SX_TRY_VOID(ops.add(cut(node, range, Keep::kNo)));
      ++remaps;
    }
  }
  SX_ASSERT(remaps <= kRemapsMax);
  return {};
}

Status collect_split(const VaSpace& space, const GpuRange& range, SplitOffset offset, VaOps& ops) {
  SX_TRY_VOID(space.check(range));
  unsigned remaps = 0;
  for (VaNode& node : space.overlapping(range, ops.place_to_set())) {
    if (node.backing() != nullptr || range.contains(node.range())) continue;
    const RemapOp remap = cut(node, range, Keep::kNo);
    const std::uint64_t carried = node.offset_bytes() + (remap.hole.start() - node.start());
    SX_TRY_VOID(ops.add(remap));
    SX_TRY_VOID(ops.add(MapOp{remap.hole, nullptr, offset == SplitOffset::kCarried ? carried : 0, &node}));
    ++remaps;
  }
  SX_ASSERT(remaps <= kRemapsMax);
  return {};
}

Status collect_prefetch(const VaSpace& space, const GpuRange& range, VaOps& ops) {
  for (VaNode& node : space.overlapping(range)) SX_TRY_VOID(ops.add(PrefetchOp{&node}));
  return {};
}

Status collect_backing(const VaBacking& backing, VaOps& ops) {
  for (VaNode* node = backing.oldest(); node != nullptr; node = node->next_of_backing()) {
    SX_TRY_VOID(ops.add(UnmapOp{node, Keep::kNo}));
  }
  return {};
}

/// Collects into the result in place: the list is large, and a planner that returns from several
/// places would copy it.
template <typename Collect>
inline Result<VaOps> collected(Collect collect) {
  Result<VaOps> ops;
  if (Status status = collect(*ops); !status) ops = fail(status.error());
  return ops;
}

}  // namespace

Result<VaOps> plan_map(const VaSpace& space, const MapRequest& request) {
  return collected([&](VaOps& ops) { return collect_map(space, request, ops); });
}

Result<VaOps> plan_unmap(const VaSpace& space, const GpuRange& range) {
  return collected([&](VaOps& ops) { return collect_unmap(space, range, ops); });
}

Result<VaOps> plan_madvise_split(const VaSpace& space, const GpuRange& range, SplitOffset offset) {
  return collected([&](VaOps& ops) { return collect_split(space, range, offset, ops); });
}

Result<VaOps> plan_prefetch(const VaSpace& space, const GpuRange& range) {
  return collected([&](VaOps& ops) { return collect_prefetch(space, range, ops); });
}

Result<VaOps> plan_unmap_backing(const VaBacking& backing) {
  return collected([&](VaOps& ops) { return collect_backing(backing, ops); });
}

}  // namespace softxe
