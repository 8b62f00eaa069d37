// Memory of page tables: 4 KiB tables from one reserved arena, with a side record per table.
//
// The arena is memory of the runtime (base/engine_memory.h), never migratable and never given to malloc, so
// that a walk cannot fault and a zap needs nothing from the host. Read next: page_table.h.
#pragma once

#include <atomic>
#include <cstdint>

#include "base/address.h"
#include "base/engine_memory.h"
#include "base/lock.h"
#include "base/result.h"
#include "hw/pte.h"

namespace softxe {

/// One table as the walker sees it: 512 entries (a compact table uses the first 32).
struct PtTable {
  std::atomic<PteWord> entry[kPtEntries];
};
static_assert(sizeof(PtTable) == kPageSize);
static_assert(std::atomic<PteWord>::is_always_lock_free);

enum class PtForm : std::uint8_t { kOrdinary, kCompact64K };

/// Side record of a table. Guarded by the lock of the PageTable that owns the table (by the pool's
/// while it is free). Walkers never read it.
struct PtTableInfo {
  PtTable* next = nullptr;          ///< list link while free, reserved or waiting to be freed
  std::uint64_t present_pages = 0;  ///< 4K pages reachable below; 0 while hidden by a zap
  std::uint16_t used_entries = 0;   ///< entries that are not zero
  std::uint8_t level = 0;
  PtForm form = PtForm::kOrdinary;
  bool all_zero = true;  ///< while free: nothing was ever written, take() need not clear it
};

/// A singly linked list of tables, e.g. a reserve or a garbage list. Plain data: the holder frees it.
struct PtTableList {
  PtTable* head = nullptr;
  std::uint64_t count = 0;
};

/// Thread-safe. Several page tables (tiles, VMs, devices) may share one pool.
class TablePool {
 public:
  static constexpr std::uint64_t kDefaultTables = 1u << 22;  // 16 GiB of address space

  /// Reserves address space only, less than asked for where RLIMIT_AS leaves little; see ready().
  explicit TablePool(std::uint64_t max_tables = kDefaultTables);
  ~TablePool();
  TablePool(const TablePool&) = delete;
  TablePool& operator=(const TablePool&) = delete;

  /// ENOMEM when the constructor's reservation was refused.
  Status ready() const;

  /// Zeroed tables, all or nothing. ENOMEM when the arena is exhausted, or the kernel has no memory for it.
  Result<PtTableList> take(std::uint64_t count) SX_EXCLUDES(lock_);
  /// `content` says what became of tables since take(): most reserves come back unused.
  enum class Content : std::uint8_t { kStillZero, kWritten };
  void give_back(PtTableList list, Content content) SX_EXCLUDES(lock_);
  /// Frees each table of the list with everything that hangs below it. No walker may be inside any more.
  void free_subtrees(PtTableList list) SX_EXCLUDES(lock_);

  PtTableInfo& info(const PtTable& table) { return info_[&table - tables_]; }
  const PtTableInfo& info(const PtTable& table) const { return info_[&table - tables_]; }

  /// Tables handed out and not given back.
  std::uint64_t in_use() const { return in_use_.load(std::memory_order_relaxed); }

 private:
  void push_free(PtTable& table, Content content) SX_REQUIRES(lock_);

  static std::uint64_t affordable(std::uint64_t tables);
  Status grow(std::uint64_t tables) SX_REQUIRES(lock_);

  const std::uint64_t max_tables_;
  PtTable* tables_ = nullptr;    // reservation; set by the constructor only
  PtTableInfo* info_ = nullptr;  // one per table, same life

  mutable LeafMutex lock_{"TablePool"};
  PtTable* free_ SX_GUARDED_BY(lock_) = nullptr;
  std::uint64_t free_count_ SX_GUARDED_BY(lock_) = 0;
  std::uint64_t bump_ SX_GUARDED_BY(lock_) = 0;  ///< tables never handed out begin here
  EngineMapping table_memory_ SX_GUARDED_BY(lock_);
  EngineMapping info_memory_ SX_GUARDED_BY(lock_);
  std::atomic<std::uint64_t> in_use_{0};
};

}  // namespace softxe
