// Carries out the operations of va_ops.h: first everything that may fail, then everything that may
// not.
//
// The VM's bind pipeline has stages in between (page tables, fences) and does this itself, with the
// same calls; replay, tests and benchmarks use this one.
#pragma once

#include <array>

#include "base/result.h"
#include "vm/va_ops.h"
#include "vm/va_space.h"

namespace softxe {

/// Where nodes come from and go to.
template <typename Pool>
concept VaNodePool = requires(Pool pool, const GpuRange& range, VaBacking* backing, std::uint64_t offset_bytes,
                              const VaNode* origin, VaNode& node) {
  /// A new node in no space and on no list, or null; `origin` is the mapping it was cut out of,
  /// whose attributes it inherits, or null.
  {pool.create(range, backing, offset_bytes, origin)};
  /// Takes a node that is in no space and on no list.
  {pool.retire(node)};
};

/// Applies all of `ops` and keeps the lists of the backings, in which the pieces of a split are
/// new. ENOMEM leaves everything as it was. Lives for one call, under the lock of who owns the space.
template <VaNodePool Pool>
class VaApply {
 public:
  VaApply(VaSpace& space, Pool& pool) : space_(space), pool_(pool) {}

  Status run(const VaOps& ops) {
    if (Status made = make_nodes(ops); !made) {
      while (count_ > 0) pool_.retire(*made_[--count_]);
      return made;
    }
    Result<VaReservation> reservation = space_.reserve(ops.inserts());
    if (!reservation) {
      while (count_ > 0) pool_.retire(*made_[--count_]);
      return fail(reservation.error());
    }
    VaReservation* inserts = &*reservation;
    if (ops.is_one_splice()) {
      VaIndex::Fresh fresh;
      for (std::size_t i = 0; i < count_; ++i) fresh.add(*made_[i]);
      space_.splice(ops.place(), ops.gone(), fresh, *reservation);
      inserts = nullptr;  // the space is changed already
    }
    used_ = 0;
    for (const VaOp& op : ops) carry_out(op, inserts);
    SX_ASSERT(used_ == count_);
    count_ = 0;
    return {};
  }

 private:
  // Two remaps of one piece each (or one of two), and a map for the request or one for each remap.
  static constexpr std::size_t kNodesMax = 4;

  Status make_nodes(const VaOps& ops) {
    for (const VaOp& op : ops) {
      if (const auto* map = std::get_if<MapOp>(&op)) {
        SX_TRY_VOID(make(map->range, map->backing, map->offset_bytes, map->split_of));
      } else if (const auto* remap = std::get_if<RemapOp>(&op)) {
        SX_TRY_VOID(make_piece(remap->prev(), *remap->node));
        SX_TRY_VOID(make_piece(remap->next(), *remap->node));
      }
    }
    return {};
  }
  Status make_piece(const std::optional<VaPiece>& piece, const VaNode& origin) {
    if (!piece) return {};
    return make(piece->range, origin.backing(), piece->offset_bytes, &origin);
  }
  Status make(const GpuRange& range, VaBacking* backing, std::uint64_t offset_bytes, const VaNode* origin) {
    SX_ASSERT(count_ < kNodesMax);
    VaNode* node = pool_.create(range, backing, offset_bytes, origin);
    if (node == nullptr) return fail(ENOMEM, "no memory for a mapping");
    made_[count_++] = node;
    return {};
  }
  void carry_out(const VaOp& op, VaReservation* inserts) {
    if (const auto* unmap = std::get_if<UnmapOp>(&op)) {
      if (inserts != nullptr) space_.remove(*unmap->node);
      drop(*unmap->node);
    } else if (const auto* remap = std::get_if<RemapOp>(&op)) {
      if (inserts != nullptr) space_.remove(*remap->node);
      if (remap->has_prev()) put_in(inserts);
      if (remap->has_next()) put_in(inserts);
      drop(*remap->node);
    } else if (std::holds_alternative<MapOp>(op)) {
      put_in(inserts);
    }
  }
  void put_in(VaReservation* inserts) {
    VaNode& node = *made_[used_++];
    if (inserts != nullptr) space_.insert(node, *inserts);
    if (node.backing() != nullptr) node.backing()->link(node);
  }
  void drop(VaNode& node) {
    if (node.backing() != nullptr) node.backing()->unlink(node);
    pool_.retire(node);
  }

  VaSpace& space_;
  Pool& pool_;
  std::array<VaNode*, kNodesMax> made_;
  std::size_t count_ = 0;
  std::size_t used_ = 0;
};

}  // namespace softxe
