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
  VaReservation(VaReservation&& other) noexcept : index_(other.index_), left_(std::exchange(other.left_, 0)) {}
  VaReservation& operator=(VaReservation&&) = delete;
  ~VaReservation() {
    if (left_ > 0) index_->forgive(left_);
  }
  std::size_t left() const { return left_; }

 private:
  friend class VaSpace;
  VaReservation(VaIndex& index, std::size_t inserts) : index_(&index), left_(inserts) {}
  void use(std::size_t inserts) {
    SX_ASSERT(left_ >= inserts);
    left_ -= inserts;
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
    struct Sentinel {};
    struct Cursor {
      Iterator at;
      std::uint64_t end;
      VaNode& operator*() const { return *at; }
      VaNode* operator->() const { return at.get(); }
      Cursor& operator++() {
        at.advance(end);
        return *this;
      }
      friend bool operator!=(const Cursor& c, const Sentinel&) { return c.at.is_below(c.end); }
    };
    Walk(Iterator first, std::uint64_t end) : first_(first), end_(end) {}
    Cursor begin() const { return {first_, end_}; }
    Sentinel end() const { return {}; }

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
  Status check(const GpuRange& range) const {
    if (!managed_.contains(range)) return fail(EINVAL, "range is outside the VA space");
    if (reserved_ && reserved_->range().intersects(range)) {
      return fail(EINVAL, "range touches the reserved window");
    }
    return {};
  }

  bool empty() const { return size() == 0; }
  std::size_t size() const { return index_.size() - (reserved_ ? 1 : 0); }
  /// The lowest mapping that intersects `range`, or null.
  VaNode* find_first(const GpuRange& range) const;
  /// The find_first mapping if it is exactly `range`, or null.
  VaNode* find_exact(const GpuRange& range) const;
  /// The mapping that holds `va`, or null.
  VaNode* find_covering(GpuVa va) const {
    const Iterator it = index_.first_ending_after(va);
    return it != index_.end() && it->start() <= va ? it.get() : nullptr;
  }
  /// Neighbours in address order, or null; they need not touch.
  VaNode* next(const VaNode& node) const;
  VaNode* prev(const VaNode& node) const { return index_.before(node.start()); }

  Iterator begin() const { return index_.begin(); }
  Iterator end() const { return index_.end(); }
  Walk overlapping(const GpuRange& range) const { return {index_.first_ending_after(range.start()), end_of(range)}; }
  /// The same, and remembers the place for the splice that follows.
  Walk overlapping(const GpuRange& range, VaIndex::Hint& hint) const {
    return {index_.first_to_change(range.start(), hint), end_of(range)};
  }

  /// Memory for `inserts` insertions. ENOMEM changes nothing.
  Result<VaReservation> reserve(std::size_t inserts) {
    SX_TRY_VOID(index_.promise(inserts));
    return VaReservation(index_, inserts);
  }

  /// EINVAL: outside the space or in the reserved window. EEXIST: overlaps a mapping. ENOMEM.
  Status insert(VaNode& node);
  /// Cannot fail: the caller has checked the range (spec/vm.md: the plan has) and reserved.
  void insert(VaNode& node, VaReservation& reservation);
  /// Takes one mapping out. Cannot fail and needs no memory.
  void remove(VaNode& node);
  /// Takes neighbours out and puts others in their place. Cannot fail; takes one insertion per
  /// fresh node from the reservation. `hint` is where the walk over the interval began.
  void splice(const VaIndex::Hint& hint, const VaIndex::Run& gone, const VaIndex::Fresh& fresh,
              VaReservation& reservation) {
    // Neighbours from first to last: the window is one of them when it lies between.
    SX_ASSERT(!reserved_ || gone.count == 0 ||
              !GpuRange::between(gone.first->start(), gone.last->end()).intersects(reserved_->range()));
    reservation.use(fresh.count());
    index_.splice(hint, gone, fresh);
  }

  /// Aborts when an invariant does not hold. Linear; for tests and checkers.
  void validate() const;
  /// What the index takes, without the nodes.
  std::size_t index_bytes() const { return index_.memory_bytes(); }

 private:
  static std::uint64_t end_of(const GpuRange& range) { return range.end().value(); }

  const GpuRange managed_;
  std::optional<VaNode> reserved_;
  VaIndex index_;
};

}  // namespace softxe
