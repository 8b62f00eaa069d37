// VmTransaction: changes of a VM's tree that can be taken back.
//
// A VM_BIND is several operations that succeed or fail together; each is planned against the tree as
// the ones before left it (spec/vm.md 3.2). The transaction keeps every removed VMA object and every
// inserted one, so that its destructor restores the tree exactly: same objects, full extents, skipped
// sides included (the unwind bug of case B8 cannot happen).
//
//   VmTransaction change(vm);
//   SX_TRY_VOID(change.map(range, {...}, SvmRanges::kMustBeAbsent));
//   SX_TRY_VOID(change.prepare_ptes());     // all memory for PTEs; may fail, nothing visible yet
//   change.commit();                        // cannot fail; waits for the TLBs
#pragma once

#include <memory>
#include <vector>

#include "hw/page_table.h"
#include "vm/va_ops.h"
#include "vm/vm.h"

namespace softxe {

/// What a tree change does about SVM ranges standing in the mirror VMAs it removes.
enum class SvmRanges : std::uint8_t {
  kMustBeAbsent,    ///< -EBUSY when there is one (UNMAP, MAP of anything but a mirror)
  kMayStay,         ///< the interval stays mirrored, so they stay valid (merging; mirror over mirror)
  kDropStraddling,  ///< madvise: those across a new border go, the others stay
};

enum class BindTiming : std::uint8_t {
  kDeferred,  ///< at the first fault
  kNow,
  kAtExec,  ///< in VMs that do not fault: the next EXEC makes the entries, as after an eviction
};

/// What MAP makes.
struct VmaTemplate {
  VmaKind kind = VmaKind::kMirror;
  VmaFlags flags{};
  MemAttr attr{};
  std::shared_ptr<Bo> bo{};        ///< kBo
  std::uint64_t offset_bytes = 0;  ///< into the BO; the CPU address of a userptr
  BindTiming timing = BindTiming::kDeferred;
  std::shared_ptr<void> backing_guard{};  ///< kept by every piece of the VMA
};

/// Not thread-safe; the Vm lock is held for writing during its whole life (clang's analysis cannot
/// follow a lock through a reference member, hence the assertions in its members).
class VmTransaction {
 public:
  explicit VmTransaction(Vm& vm) : vm_(vm) {}
  VmTransaction(const VmTransaction&) = delete;
  VmTransaction& operator=(const VmTransaction&) = delete;
  /// Unwinds what was not committed.
  ~VmTransaction();

  /// EINVAL: outside the VM. EBUSY: SVM ranges in the way, or a VMA's user fence is unsignalled. ENOMEM.
  /// On failure the operations before stay applied until the destructor or another call unwinds.
  Status map(GpuRange range, const VmaTemplate& what, SvmRanges ranges);
  Status unmap(GpuRange range, SvmRanges ranges);
  Status unmap_bo(const Bo& bo);
  /// Cuts VMAs without a BO at the borders of `range`; attributes and flags stay (spec/vm.md 1.7, 5.2).
  Status split(GpuRange range);

  /// PREFETCH of a BO's VMA: moved now, bound on all tiles at commit whether or not it was. EINVAL: the BO
  /// may not live there. EACCES, EBUSY, ENOSPC: as Bo::make_resident().
  Status prefetch(Vma& vma, const BoUse& use);
  /// The user fence of the whole bind; the VMAs it makes or prefetches carry it from the commit on
  /// (spec/vm.md 3.8). Mirrors do not: they have no PTEs to wait for (case B9).
  void set_user_fence(std::shared_ptr<UserFence> fence) { user_fence_ = std::move(fence); }

  /// VMAs inserted so far and still in the tree.
  const std::vector<Vma*>& inserted() const { return inserted_; }
  /// VMAs taken out; destroyed at commit.
  const std::vector<std::unique_ptr<Vma>>& removed() const { return removed_; }
  /// What operations took away of VMAs, in their order: pieces that stay are no part of it.
  struct Gone {
    const Vma* vma;  ///< one of removed()
    GpuRange range;
  };
  const std::vector<Gone>& gone() const { return gone_; }
  /// True when nothing was touched (an UNMAP of a hole).
  bool empty() const { return journal_.empty(); }

  /// Makes BOs resident and allocates page tables for every VMA that is bound now. ENOMEM, ENOSPC.
  Status prepare_ptes(VmLocalEviction eviction);
  /// Publishes the PTEs, clears the removed ones, waits for the TLBs, destroys the removed VMAs.
  void commit();

 private:
  struct Entry {
    enum class Kind : std::uint8_t { kInserted, kRemoved } kind;
    Vma* vma;
  };
  struct PreparedPtes {
    Vma* vma;  ///< null: holes of a scratch VM that become faulting
    unsigned tile;
    PtUpdate update;
  };

  Status apply(const VaOps& ops, const VmaTemplate* what, SvmRanges ranges);
  Result<VaReservation> reserve(const VaOps& ops, SvmRanges ranges);
  void cut(const RemapOp& remap, VaReservation& inserts);
  std::unique_ptr<Vma> moved_piece(const MapOp& map);
  std::unique_ptr<Vma> mapped(const MapOp& map, const VmaTemplate* what);
  Status check_removal(const Vma& old, GpuRange hole, SvmRanges ranges, bool whole);
  void take_out(Vma& old);
  void put_in(std::unique_ptr<Vma> vma, VaReservation& reservation);
  void unwind();
  TileMask tiles_to_bind(const Vma& vma) const;
  Status prepare_vma(Vma& vma, TileMask tiles);
  std::vector<GpuRange> stale_intervals() const;
  std::vector<GpuRange> newly_faulting() const;
  void leave_to_exec(Vma& vma);

  Vm& vm_;
  std::vector<Entry> journal_;
  std::vector<std::unique_ptr<Vma>> removed_;
  std::vector<Gone> gone_;
  std::vector<Vma*> inserted_;
  std::vector<Vma*> bind_now_;
  std::vector<Vma*> prefetched_;  ///< bound on all tiles
  std::vector<Vma*> bind_at_exec_;
  std::shared_ptr<UserFence> user_fence_;
  std::vector<GpuRange> deferred_maps_;  ///< requests of a scratch VM without PTEs of their own
  std::vector<VaReservation> for_unwind_;
  std::vector<std::shared_ptr<Bo>> pinned_;  ///< resident until the PTEs are published
  std::vector<PreparedPtes> prepared_;
  bool committed_ = false;
};

}  // namespace softxe
