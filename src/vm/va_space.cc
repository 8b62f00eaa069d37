#include "vm/va_space.h"

namespace softxe {

VaSpace::~VaSpace() {
  SX_ASSERT(empty());
  if (reserved_) index_.erase(*reserved_);
}

Status VaSpace::set_reserved_window(const GpuRange& window) {
  SX_ASSERT(index_.size() == 0);
  if (!managed_.contains(window)) return fail(EINVAL, "reserved window is outside the VA space");
  SX_TRY_VOID(index_.promise(1));
  index_.insert(reserved_.emplace(window, nullptr, 0));
  return {};
}

VaNode* VaSpace::find_first(const GpuRange& range) const {
  const Iterator it = index_.first_ending_after(range.start());
  return it != index_.end() && it->start() < range.end() ? it.get() : nullptr;
}

VaNode* VaSpace::find_exact(const GpuRange& range) const {
  VaNode* node = find_first(range);
  return node != nullptr && node->range() == range ? node : nullptr;
}

VaNode* VaSpace::next(const VaNode& node) const { return index_.first_ending_after(node.end()).get(); }

Status VaSpace::insert(VaNode& node) {
  SX_TRY_VOID(check(node.range()));
  if (find_first(node.range()) != nullptr) return fail(EEXIST, "range is already mapped");
  SX_TRY(VaReservation reservation, reserve(1));
  insert(node, reservation);
  return {};
}

void VaSpace::insert(VaNode& node, VaReservation& reservation) {
  SX_ASSERT(managed_.contains(node.range()));
  reservation.use(1);
  index_.insert(node);
}

void VaSpace::remove(VaNode& node) {
  SX_ASSERT(!is_reserved(node));
  index_.erase(node);
}

void VaSpace::validate() const {
  index_.validate();
  bool seen_reserved = false;
  for (const VaNode& node : *this) {
    SX_ASSERT(managed_.contains(node.range()));
    seen_reserved = seen_reserved || is_reserved(node);
  }
  SX_ASSERT(seen_reserved == reserved_.has_value());
}

}  // namespace softxe
