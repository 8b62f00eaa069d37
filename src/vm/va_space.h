// The mappings of one VM: a set of disjoint intervals in address order (spec/vm.md 1.1).
//
// What a request does to it is worked out in va_ops.h and carried out by va_apply.h or by the VM.
// The index inside is va_index.h.
#pragma once

#include <cstddef>
#include <optional>
#include <utility>

#include "base/result.h"
#include "vm/va_index.h"
#include "vm/va_node.h"

namespace softxe {

class VaSpace;

/// The right to insert a number of nodes without a failure: all memory for it exists. Given back by
/// the destructor. Must not outlive its space.
class [[nodiscard]] VaReservation {
 public:
  VaReservation(VaReservation&& other) noexcept
      : index_(other.index_), left_(std::exchange(other.left_, 0)) {}
  VaReservation& operator=(VaReservation&&) = delete;
  ~VaReservation() {
    if (left_ > 0) index_->forgive(left_);
  }
  std::size_t left() const { return left_; }

 private:
  friend class VaSpace;
  VaReservation(VaIndex& index, std::size_t inserts) : index_(&index), left_(inserts) {}
  void use_one() {
    SX_ASSERT(left_ > 0);
    --left_;
  }
  VaIndex* index_;
  std::size_t left_;
};

/// The VA space of one VM.
///
/// Owns the index and the node of the reserved window, not the mappings; must be empty when it is
/// destroyed. Invariants: mappings are disjoint, never merged by the space, inside the managed
/// range, outside the reserved window. Queries may run in parallel under the VM's lock for reading;
/// the rest needs it for writing. The reserved window shows up in look-ups and walks like a mapping
/// (Linux puts it into the same tree) but is not counted by size(); Xe's spaces have none.
class VaSpace {
 public:
  using Iterator = VaIndex::Iterator;

  /// A walk over [first, last); `for (VaNode& node : space.overlapping(range))`. The space must not
  /// change meanwhile.
  class Walk {
   public:
    struct Sentinel {
      std::uint64_t end;
    };
    struct Cursor {
      Iterator at;
      VaNode& operator*() const { return *at; }
      VaNode* operator->() const { return at.get(); }
      Cursor& operator++() {
        ++at;
        return *this;
      }
      friend bool operator!=(const Cursor& c, const Sentinel& s) {
        return c.at != Iterator() && c.at->start().value() < s.end;
      }
    };
    Walk(Iterator first, std::uint64_t end) : first_(first), end_(end) {}
    Cursor begin() const { return {first_}; }
    Sentinel end() const { return {end_}; }

   private:
    Iterator first_;
    std::uint64_t end_;
  };

  explicit VaSpace(const GpuRange& managed) : managed_(managed) {}
  VaSpace(const VaSpace&) = delete;
  VaSpace& operator=(const VaSpace&) = delete;
  ~VaSpace();

  /// Sets the kernel-reserved window aside; for an empty space, once. EINVAL, ENOMEM.
  Status set_reserved_window(const GpuRange& window);

  const GpuRange& managed() const { return managed_; }
  bool is_reserved(const VaNode& node) const { return reserved_ && &node == &*reserved_; }
  /// EINVAL unless the range lies inside the managed range and outside the reserved window.
  Status check(const GpuRange& range) const;

  bool empty() const { return size() == 0; }
  std::size_t size() const { return index_.size() - (reserved_ ? 1 : 0); }
  /// The lowest mapping that intersects `range`, or null.
  VaNode* find_first(const GpuRange& range) const;
  /// The find_first mapping if it is exactly `range`, or null.
  VaNode* find_exact(const GpuRange& range) const;
  /// The mapping that holds `va`, or null.
  VaNode* find_covering(GpuVa va) const {
    const Iterator it = index_.first_ending_after(va, nullptr);
    return it != index_.end() && it->start() <= va ? it.get() : nullptr;
  }
  /// Neighbours in address order, or null; they need not touch.
  VaNode* next(const VaNode& node) const;
  VaNode* prev(const VaNode& node) const { return index_.before(node.start()); }

  Iterator begin() const { return index_.begin(); }
  Iterator end() const { return index_.end(); }
  Walk overlapping(const GpuRange& range) const {
    return {start_of(range, nullptr), end_of(range)};
  }
  /// The same, and remembers the place for the changes that follow (`adopt`).
  Walk overlapping(const GpuRange& range, VaIndex::Finger* finger) const {
    return {start_of(range, finger), end_of(range)};
  }
  void adopt(const VaIndex::Finger& finger) { index_.adopt(finger); }

  /// Memory for `inserts` insertions. ENOMEM changes nothing.
  Result<VaReservation> reserve(std::size_t inserts);

  /// EINVAL: outside the space or in the reserved window. EEXIST: overlaps a mapping. ENOMEM.
  Status insert(VaNode& node);
  /// Cannot fail: the caller has checked the range (spec/vm.md: the plan has) and reserved.
  void insert(VaNode& node, VaReservation& reservation);
  /// Takes one mapping out. Cannot fail and needs no memory.
  void remove(VaNode& node);
  /// A split: `prev` and/or `next`, which lie inside `old`, take its place. Takes one insertion
  /// from the reservation.
  void replace(VaNode& old, VaNode* prev, VaNode* next, VaReservation& reservation);

  /// Aborts when an invariant does not hold. Linear; for tests and checkers.
  void validate() const;
  /// What the index takes, without the nodes.
  std::size_t index_bytes() const { return index_.memory_bytes(); }

 private:
  Iterator start_of(const GpuRange& range, VaIndex::Finger* finger) const {
    return index_.first_ending_after(range.start(), finger);
  }
  static std::uint64_t end_of(const GpuRange& range) { return range.end().value(); }

  const GpuRange managed_;
  std::optional<VaNode> reserved_;
  VaIndex index_;
};

}  // namespace softxe
