// Page tables of one VM on one tile: prepare / commit / zap / unbind, and the lock-free walk.
//
// Written under the rule plan, prepare, commit, invalidate:
//   prepare_*()  allocates everything, may fail, changes nothing anybody can see
//   commit()     cannot fail; what it returns forces the TLB invalidation (pt_affected.h)
//   zap()        revokes, keeps tables, allocates nothing from the host: for CPU-side event callbacks
//   unbind()     revokes and unlinks tables that become empty
// Walkers run at any time without a lock, inside an engine section (invalidation.h).
// Rules of entry sizes and bits: spec/svm.md 6. Read next: pte.h, mmu.h.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <tl/expected.hpp>

#include "base/address.h"
#include "base/lock.h"
#include "base/result.h"
#include "hw/pt_affected.h"
#include "hw/pt_pool.h"
#include "hw/pte.h"

namespace softxe {

/// Device facts a page table depends on (from the device profile).
struct PageTableConfig {
  enum class Scratch : std::uint8_t { kNo, kYes };
  enum class Need64K : std::uint8_t { kNo, kYes };
  enum class Compact64K : std::uint8_t { kNo, kYes };
  enum class AtomicBit : std::uint8_t { kNo, kYes };

  unsigned va_bits = 48;                      ///< 48 (bmg, lnl) or 57 (pvc); five levels in any case
  Need64K need_64k = Need64K::kNo;            ///< VRAM only in 64K units
  Compact64K compact_64k = Compact64K::kYes;  ///< graphics >= 12.50
  AtomicBit atomic_bit = AtomicBit::kYes;     ///< entries have AE, and it is checked
  /// kYes: holes read zero and drop writes, unless made non-present. On hardware that is a separate
  /// set of null tables; here a zero entry of such a table means scratch and kSoftFault means fault.
  Scratch scratch = Scratch::kNo;
};

/// A run of memory that is contiguous on the far side. Runs follow each other in GPU address order.
struct PteRun {
  PteKind kind = PteKind::kSystem;  ///< not kScratch
  std::uint64_t address = 0;        ///< host pointer or DevPa, 4K aligned; ignored for kNull
  std::uint64_t bytes = 0;          ///< multiple of 4K
  bool writable = false;
  bool atomic_enable = false;  ///< dropped on devices without the bit
  std::uint8_t pat_index = 0;

  PteFlags flags() const { return {kind, writable, atomic_enable, pat_index}; }
};

/// Largest entry commit() may choose.
enum class MaxEntry : std::uint8_t { k4KiB, k64KiB, k2MiB, k1GiB };

struct Translation {
  PteFlags flags;
  std::uint64_t address = 0;      ///< host pointer or DevPa of the FIRST byte of the entry; 0 for kNull
  GpuVa entry_va{};               ///< first GPU address the entry covers
  std::uint64_t entry_bytes = 0;  ///< 4K, 64K, 2M or 1G (scratch: span of the hole's entry)
  std::uint8_t level = 0;         ///< of the leaf; a compact 64K table's entries are level 0
};

struct NotPresent {
  std::uint8_t level = 0;  ///< level of the entry that was not present (spec/svm.md 4.1)
};

using WalkResult = tl::expected<Translation, NotPresent>;

/// A prepared change: everything allocated, nothing visible. Dropping it gives all back.
class [[nodiscard]] PtUpdate {
 public:
  PtUpdate(PtUpdate&& o) noexcept;
  PtUpdate& operator=(PtUpdate&&) = delete;
  ~PtUpdate();

  GpuRange range() const { return range_; }

 private:
  friend class PageTable;
  friend class PtWriter;
  friend class PtRunCursor;
  enum class Op : std::uint8_t { kMap, kUnbind, kMakeNonPresent };
  static constexpr std::uint32_t kInlineRuns = 4;
  static constexpr std::uint32_t kRunsPerPage = kPageSize / sizeof(PteRun);

  PtUpdate(TablePool& pool, Op op, GpuRange range, MaxEntry max_entry)
      : pool_(&pool), op_(op), range_(range), max_entry_(max_entry) {}
  Status append(const PteRun& run);
  PteRun& run_at(std::uint32_t i);

  TablePool* pool_;
  Op op_;
  GpuRange range_;
  MaxEntry max_entry_;
  PtTableList reserve_;  ///< tables commit() links
  std::uint32_t run_count_ = 0;
  PteRun inline_runs_[kInlineRuns];
  PtTableList run_pages_;  ///< runs beyond the inline ones, in pool pages, first page first
  PtTable* last_run_page_ = nullptr;
};

/// Owns the tables. Lock: its own of rank kPageTable, taken by every method but walk(). Commits and
/// zaps of one GPU range are ordered by the caller (the VM's and the notifier's lock); of different
/// ranges they may run at the same time.
/// Invariant: every entry a walker can reach names live memory or a live table.
class PageTable {
 public:
  /// Aborts when the pool has not even one table; check `TablePool::ready()` first.
  PageTable(TablePool& pool, const PageTableConfig& config);
  /// Frees all tables. No walker may know this table any more.
  ~PageTable();
  PageTable(const PageTable&) = delete;
  PageTable& operator=(const PageTable&) = delete;

  const PageTableConfig& config() const { return config_; }

  /// EINVAL: range unaligned or outside the space, runs do not add up to it, a 4K VRAM page on a
  /// device that needs 64K. ENOMEM: no tables (step "hw.pt.alloc").
  Result<PtUpdate> prepare_map(GpuRange range, std::span<const PteRun> runs, MaxEntry max_entry = MaxEntry::k1GiB)
      SX_EXCLUDES(lock_);
  /// Clears `range` exactly, splitting large entries that stick out.
  Result<PtUpdate> prepare_unbind(GpuRange range) SX_EXCLUDES(lock_);
  /// Scratch tables: turns the holes of `range` into faulting ones (invalidate-on-bind,
  /// spec/vm.md 3.7); present entries are revoked too. Same as prepare_unbind without scratch.
  Result<PtUpdate> prepare_non_present(GpuRange range) SX_EXCLUDES(lock_);

  /// Publishes. Cannot fail.
  [[nodiscard]] PagesAffected commit(PtUpdate&& update) SX_EXCLUDES(lock_);

  /// Revokes every present translation of `range` at the highest level the range owns alone; keeps
  /// tables. A large entry that sticks out is split; when even the pool's arena is exhausted it is
  /// revoked as a whole.
  [[nodiscard]] PagesAffected zap(GpuRange range) SX_EXCLUDES(lock_);
  /// As zap, and unlinks what becomes empty. Scratch returns to the range.
  [[nodiscard]] PagesAffected unbind(GpuRange range) SX_EXCLUDES(lock_);

  /// Lock-free. Only inside an engine section, or where no invalidation can complete meanwhile.
  WalkResult walk(GpuVa va) const;

  /// Every present leaf of `range`, in address order, clamped to nothing: entries may stick out.
  void for_each_leaf(GpuRange range, const std::function<void(const Translation&)>& visit) const SX_EXCLUDES(lock_);
  /// Present 4K-page equivalents.
  std::uint64_t present_pages() const SX_EXCLUDES(lock_);
  /// Re-counts all side records; aborts when one is wrong. For checkers.
  void check_invariants() const SX_EXCLUDES(lock_);

 private:
  friend class PtWriter;
  Status check_range(GpuRange range) const;
  Status reserve(PtUpdate& update, std::uint64_t tables);
  std::uint64_t tables_for_map(PtUpdate& update) const;

  TablePool& pool_;
  const PageTableConfig config_;
  PtTable* const root_;
  mutable Mutex<LockRank::kPageTable> lock_{"PageTable"};
};

}  // namespace softxe
