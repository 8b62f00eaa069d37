// Vma: one mapping of a VM, as user space asked for it: interval, backing, flags, attributes.
//
// A VMA's size is fixed; while it is in the tree it is only ever replaced, never resized
// (spec/vm.md 4.1). Guarded by the owning Vm's lock unless a member says otherwise.
#pragma once

#include <cstdint>
#include <memory>

#include "base/address.h"
#include "vm/bo.h"
#include "vm/mem_attr.h"
#include "vm/user_fence.h"
#include "vm/va_node.h"

namespace softxe {

enum class VmaKind : std::uint8_t {
  kBo,
  kNull,     ///< sparse: reads zero, drops writes
  kMirror,   ///< CPU-address mirror: GPU VA == CPU VA, owns no PTEs itself
  kUserptr,  ///< the offset field is the CPU address
};

/// Flags a split and an attribute reset keep (spec/vm.md 4.2 "create mask"). Mirror and sparse are the
/// kind; PTE properties are recomputed.
struct VmaFlags {
  bool read_only = false;
  bool dumpable = false;
  bool autoreset = false;

  friend bool operator==(const VmaFlags&, const VmaFlags&) = default;
};

/// Which tiles; bit t is tile t.
using TileMask = std::uint8_t;

class Vma final : public VaNode {
 public:
  Vma(const GpuRange& range, VaBacking* backing, std::uint64_t offset_bytes, VmaKind kind, VmaFlags flags,
      MemAttr attributes)
      : VaNode(range, backing, offset_bytes), attr(std::move(attributes)), kind_(kind), flags_(flags) {}
  ~Vma() {
    if (bo_) bo_->vma_removed(attr.purgeable);
  }

  /// kBo only, once: the Vma holds a reference and counts in the BO's purgeable state (4.4).
  void set_bo(std::shared_ptr<Bo> object) {
    SX_ASSERT(kind_ == VmaKind::kBo && !bo_);
    bo_ = std::move(object);
    bo_->vma_added(attr.purgeable);
  }
  const std::shared_ptr<Bo>& bo() const { return bo_; }

  /// The client's CPU address of a userptr's first byte.
  HostVa userptr_start() const { return HostVa(offset_bytes()); }
  VmaKind kind() const { return kind_; }
  VmaFlags flags() const { return flags_; }
  bool is_mirror() const { return kind_ == VmaKind::kMirror; }

  /// A new VMA for a piece of this one: same kind, flags, backing and a counted copy of the attributes.
  std::unique_ptr<Vma> piece(const GpuRange& range, std::uint64_t offset_bytes) const {
    auto copy = std::make_unique<Vma>(range, backing(), offset_bytes, kind_, flags_, attr);
    if (bo_) copy->set_bo(bo_);
    copy->backing_guard = backing_guard;
    return copy;
  }
  /// Neighbours may become one VMA only when this holds (quirk Q17 is fixed: flags and bind PAT count).
  bool mergeable_default(const Vma& o) const {
    return is_mirror() && o.is_mirror() && attr.is_default() && o.attr.is_default() && flags_ == o.flags_ &&
           attr.default_pat == o.attr.default_pat;
  }

  MemAttr attr;
  /// The user fence of the bind that made it; unsignalled, it makes unmapping -EBUSY (spec/vm.md 3.5).
  std::shared_ptr<UserFence> user_fence;
  /// Whatever must live as long as a piece of the mapping does (a userptr's notifier).
  std::shared_ptr<void> backing_guard;

 private:
  std::shared_ptr<Bo> bo_;

 public:
  // The small members together: a VMA has a memory budget (docs/BENCH.md).
  /// BO, null and userptr VMAs: tiles with PTEs, and of those the zapped ones (spec/vm.md 4.1).
  TileMask tile_present = 0;
  TileMask tile_invalidated = 0;

 private:
  VmaKind kind_;
  VmaFlags flags_;
};

}  // namespace softxe
