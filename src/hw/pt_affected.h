// What a page-table change revoked: a receipt that can only be paid by a TLB invalidation.
//
// commit(), zap() and unbind() return one. It names how many pages lost their translation and carries
// the tables that became garbage. As long as a TLB may hold an old translation or a walker may stand in
// such a table the receipt is owed: the only thing to do with it is InvalidationBatch::add().
// Read next: invalidation.h.
#pragma once

#include <cstdint>
#include <optional>
#include <utility>

#include "hw/pt_pool.h"

namespace softxe {

/// Move-only. Invariant: destroyed only when nothing is owed (aborts otherwise).
class [[nodiscard]] PagesAffected {
 public:
  PagesAffected() = default;
  PagesAffected(PagesAffected&& o) noexcept
      : pages_(std::exchange(o.pages_, 0)),
        holes_changed_(std::exchange(o.holes_changed_, false)),
        pool_(std::exchange(o.pool_, nullptr)),
        garbage_(std::exchange(o.garbage_, PtTableList{})),
        hull_(std::exchange(o.hull_, std::nullopt)) {}
  PagesAffected& operator=(PagesAffected&&) = delete;
  ~PagesAffected() { SX_ASSERT(!owed()); }

  /// 4 KiB pages whose present translation is gone or replaced.
  std::uint64_t pages() const { return pages_; }
  bool revoked_any() const { return pages_ != 0; }
  /// A scratch table's holes changed meaning (scratch <-> faulting). Holes are never cached by our TLB;
  /// hardware would want an invalidation here (spec/svm.md 6.6), so it counts as one.
  bool holes_changed() const { return holes_changed_; }
  /// The smallest interval that holds every revoked page; empty when none was revoked.
  std::optional<GpuRange> hull() const { return hull_; }
  /// True when the receipt must be added to an InvalidationBatch; otherwise it may be dropped.
  bool owed() const { return pages_ != 0 || holes_changed_ || garbage_.head != nullptr; }

 private:
  friend class PageTable;
  friend class PtWriter;
  friend class InvalidationBatch;

  std::uint64_t pages_ = 0;
  bool holes_changed_ = false;
  TablePool* pool_ = nullptr;
  PtTableList garbage_;  ///< unlinked subtrees
  std::optional<GpuRange> hull_;
};

}  // namespace softxe
