// What the VA space stores: one mapping, and the list of mappings of one backing object.
//
// A mapping of the driver (vm/vma.h) derives from VaNode and adds flags, attributes and masks. Here
// is only what the container and the split planner look at. Next: va_space.h (the container),
// va_ops.h (what a request does to it).
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/address.h"

namespace softxe {

class VaBacking;

/// One mapping of GPU addresses to a backing object (or to none: userptr, null, mirror).
///
/// Owned by the caller, never moved. Range, backing and offset do not change while the node is in a
/// VaSpace: a split replaces it by new nodes (spec/vm.md 4.1). Guarded by the lock of its VM.
class VaNode {
 public:
  /// `offset_bytes` is where the mapping begins in its backing; without a backing it is carried
  /// along (a userptr keeps its CPU address there, spec/vm.md 1.3).
  VaNode(const GpuRange& range, VaBacking* backing, std::uint64_t offset_bytes)
      : range_(range), backing_(backing), offset_bytes_(offset_bytes) {}
  VaNode(const VaNode&) = delete;
  VaNode& operator=(const VaNode&) = delete;

  const GpuRange& range() const { return range_; }
  GpuVa start() const { return range_.start(); }
  GpuVa end() const { return range_.end(); }
  VaBacking* backing() const { return backing_; }
  std::uint64_t offset_bytes() const { return offset_bytes_; }

  /// For a node that is in no VaSpace: the unbind interval of a replaced mapping (spec/vm.md 3.4).
  void set_range_while_removed(const GpuRange& range) { range_ = range; }

  /// The mapping of the same backing that was linked next, or null.
  VaNode* next_of_backing() const { return newer_; }

 private:
  friend class VaBacking;

  GpuRange range_;
  VaBacking* backing_;
  std::uint64_t offset_bytes_;
  VaNode* older_ = nullptr;  // neighbours in the list of backing_
  VaNode* newer_ = nullptr;
};

/// The mappings of one backing object in one VM, in the order in which they were linked (spec/vm.md
/// 1.1 "link order"). One object per (VM, buffer object) pair; its address is the identity that
/// decides whether two mappings have the same backing.
///
/// Owns nothing: nodes unlink themselves through unlink(). Guarded by the lock of its VM.
class VaBacking {
 public:
  VaBacking() = default;
  VaBacking(const VaBacking&) = delete;
  VaBacking& operator=(const VaBacking&) = delete;
  ~VaBacking() { SX_ASSERT(oldest_ == nullptr); }

  VaNode* oldest() const { return oldest_; }
  std::size_t size() const { return size_; }
  bool is_linked(const VaNode& node) const { return node.older_ != nullptr || oldest_ == &node; }

  /// Appends: a node is as old as its link.
  void link(VaNode& node) {
    SX_ASSERT(node.backing_ == this && !is_linked(node));
    node.older_ = newest_;
    (newest_ != nullptr ? newest_->newer_ : oldest_) = &node;
    newest_ = &node;
    ++size_;
  }
  void unlink(VaNode& node) {
    SX_ASSERT(node.backing_ == this && is_linked(node));
    (node.older_ != nullptr ? node.older_->newer_ : oldest_) = node.newer_;
    (node.newer_ != nullptr ? node.newer_->older_ : newest_) = node.older_;
    node.older_ = node.newer_ = nullptr;
    --size_;
  }
  /// Aborts when the list is not sound. Linear; for tests.
  void validate() const {
    std::size_t count = 0;
    const VaNode* last = nullptr;
    for (const VaNode* node = oldest_; node != nullptr; node = node->newer_, ++count) {
      SX_ASSERT(node->backing_ == this && node->older_ == last);
      last = node;
    }
    SX_ASSERT(last == newest_ && count == size_);
  }

 private:
  VaNode* oldest_ = nullptr;
  VaNode* newest_ = nullptr;
  std::size_t size_ = 0;
};

}  // namespace softxe
