// VRAM of one tile: who owns which block, in which order blocks are evicted, how much is left.
//
// One buddy allocator and one LRU for SVM allocations and BOs alike (decision 0008, spec/svm.md
// 5.4, 5.8, spec/vm.md 2.9). Owners embed a VramBlock and implement VramClient. Read next:
// hw/vram_buddy.h for addresses, hw/vram_map.h for the bytes behind them.
#pragma once

#include <atomic>
#include <boost/intrusive/list.hpp>
#include <cstdint>
#include <functional>

#include "base/address.h"
#include "base/lock.h"
#include "base/result.h"
#include "hw/vram_buddy.h"

namespace softxe {

class VramBlock;

/// An owner of blocks (the SVM devmem heap, the BO manager).
class VramClient {
 public:
  virtual ~VramClient() = default;
  /// Move the data away and VramManager::release() the block. Called without the manager's lock; the block
  /// is claimed meanwhile, so release() answers kClaimed and block_unclaimed() follows. EBUSY and friends:
  /// not now, the next victim is tried.
  virtual Status evict_block(VramBlock& block) = 0;
  /// release() answered kClaimed earlier, the block was not filled again since, and the claim is gone: the
  /// block object may be destroyed. Without the manager's lock.
  virtual void block_unclaimed(VramBlock& block) = 0;
};

/// An amount of VRAM, one extent or many. Embedded in its owner. Not movable.
class VramBlock : public boost::intrusive::list_base_hook<boost::intrusive::link_mode<boost::intrusive::safe_link>> {
 public:
  explicit VramBlock(VramClient& client) : client_(client) {}
  VramBlock(const VramBlock&) = delete;
  VramBlock& operator=(const VramBlock&) = delete;
  /// Aborts when the block still owns VRAM or is claimed.
  ~VramBlock();

  VramClient& client() const { return client_; }
  /// Rounded up to VRAM pages (and to a power of two when contiguous). Stable while owned.
  std::uint64_t bytes() const { return bytes_; }
  /// First extent; the only one of a contiguous block. Only while the block owns VRAM.
  DevPa start() const { return start_; }
  /// For eviction predicates: identity of the VM that a VM-local block belongs to (null: none).
  const void* vm_tag() const { return vm_tag_; }

 private:
  friend class VramManager;
  enum class State : std::uint8_t { kNone, kEvictable, kPinned };
  VramClient& client_;
  // Guarded by the manager's lock; start_ and bytes_ change only while the owner has no VRAM.
  State state_ = State::kNone;
  DevPa start_{};
  std::uint64_t bytes_ = 0;
  const void* vm_tag_ = nullptr;
  std::uint32_t claims_ = 0;
  std::uint64_t tried_stamp_ = 0;  ///< allocation that tried this victim last
};

/// May this block be evicted for the current allocation? Called with the manager's lock held: look at
/// the block and at atomics only.
using EvictPredicate = std::function<bool(const VramBlock&)>;

struct AllocPolicy {
  enum class Shape : std::uint8_t { kContiguous, kScattered };
  enum class Evict : std::uint8_t { kNo, kYes };
  Shape shape = Shape::kContiguous;
  VramPlacement placement = VramPlacement::kAny;
  Evict evict = Evict::kYes;
  const void* vm_tag = nullptr;
  /// Empty: every evictable block may be a victim.
  EvictPredicate may_evict;
};

struct VramUsage {
  std::uint64_t total_bytes = 0;
  std::uint64_t visible_bytes = 0;
  std::uint64_t used_bytes = 0;
  std::uint64_t used_visible_bytes = 0;
  std::uint64_t evictions = 0;  ///< blocks evicted for others since the start
};

/// Thread-safe; lock of rank kVramManager. allocate() calls clients and must be called with no lock of
/// rank >= kHostMm held when eviction is allowed.
class VramManager {
 public:
  /// `quota_bytes` 0: no quota besides the size.
  explicit VramManager(const VramBuddy::Config& config, std::uint64_t quota_bytes = 0);
  ~VramManager();
  VramManager(const VramManager&) = delete;
  VramManager& operator=(const VramManager&) = delete;
  Status ready() const { return buddy_.ready(); }

  /// Fills `block` (which owns nothing; an evictor may still hold its claim).
  /// Contiguous sizes are rounded up to a power of two, scattered ones to VRAM pages. E2BIG: larger than the region.
  /// ENOSPC: no space and no victim left. EINVAL: zero bytes. Step "vm.vram.alloc".
  Status allocate(VramBlock& block, std::uint64_t bytes, const AllocPolicy& policy) SX_EXCLUDES(lock_);

  enum class ReleaseResult : std::uint8_t {
    kDone,     ///< the block object may be destroyed
    kClaimed,  ///< the space is free; keep the object until VramClient::block_unclaimed()
  };
  /// Never blocks. A block that owns nothing is left alone.
  [[nodiscard]] ReleaseResult release(VramBlock& block) SX_EXCLUDES(lock_);

  /// Moves to the young end of the LRU.
  void touch(VramBlock& block) SX_EXCLUDES(lock_);
  void pin(VramBlock& block) SX_EXCLUDES(lock_);
  void unpin(VramBlock& block) SX_EXCLUDES(lock_);

  /// Evicts everything the predicate allows, oldest first (suspend, device removal, debug). The first
  /// error is returned after all were tried.
  Status evict_all(const EvictPredicate& may_evict) SX_EXCLUDES(lock_);

  /// Extents of a block in order. The owner keeps it alive; no callback may call the manager.
  void for_each_extent(const VramBlock& block, const std::function<void(DevRange)>& visit) const SX_EXCLUDES(lock_);

  VramUsage usage() const SX_EXCLUDES(lock_);
  /// From now on the most that was in use at a time is there, too. Outlives this object.
  void note_peak_in(std::atomic<std::uint64_t>& peak_bytes) SX_EXCLUDES(lock_);
  std::uint64_t page_bytes() const { return buddy_.page_bytes(); }
  void check_invariants() const SX_EXCLUDES(lock_);

 private:
  using Lru = boost::intrusive::list<VramBlock>;

  Status try_allocate(VramBlock& block, std::uint64_t bytes, const AllocPolicy& policy) SX_REQUIRES(lock_);
  Status take_scattered(VramBlock& block, std::uint64_t bytes, VramPlacement placement) SX_REQUIRES(lock_);
  void release_extents(VramBlock& block) SX_REQUIRES(lock_);
  VramBlock* claim_victim(std::uint64_t stamp, const EvictPredicate& may_evict) SX_REQUIRES(lock_);
  Status evict_claimed(VramBlock& victim) SX_EXCLUDES(lock_);

  mutable Mutex<LockRank::kVramManager> lock_{"VramManager"};
  VramBuddy buddy_;  // guarded by lock_ (ready() and page_bytes() are constant)
  const std::uint64_t quota_bytes_;
  Lru lru_ SX_GUARDED_BY(lock_);  ///< evictable blocks, oldest first
  std::uint64_t used_bytes_ SX_GUARDED_BY(lock_) = 0;
  std::atomic<std::uint64_t>* peak_bytes_ SX_GUARDED_BY(lock_) = nullptr;
  std::uint64_t stamp_ SX_GUARDED_BY(lock_) = 0;
  std::uint64_t evictions_ SX_GUARDED_BY(lock_) = 0;
};

}  // namespace softxe
