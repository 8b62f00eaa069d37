// GemBo: a buffer object: bytes in a memfd, accounted in VRAM or system memory.
//
// The memfd never changes, so CPU mappings, dma-bufs and forked children keep working whatever the
// placement. Being "in VRAM" means owning VRAM of a tile's manager: addresses, capacity and eviction
// order are real, the bytes stay where they are (decision 0008). The engine reaches them through
// its own mapping, never through a client's.
#pragma once

#include <array>
#include <atomic>
#include <bit>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "base/counters.h"
#include "base/lock.h"
#include "drv/exec/implicit_fences.h"
#include "drv/owned_fd.h"
#include "drv/requests.h"
#include "hw/vram_map.h"
#include "vm/bo.h"
#include "vm/vram_manager.h"

namespace softxe {

inline constexpr unsigned kTilesMax = 2;

/// The VRAM of a device as BOs see it.
struct BoMemory {
  struct Tile {
    VramManager* vram = nullptr;
    VramMap* map = nullptr;
  };
  std::array<Tile, kTilesMax> tiles{};
  unsigned tile_count = 0;  ///< tiles with VRAM; 0 on integrated devices
  bool smem_atomics = true;
  CounterSet* counters = nullptr;
  /// Zaps every mapping of a BO in every VM of the device; called without the BO's lock.
  std::function<void(const Bo&)> zap_everywhere;
};

class GemBo final : public Bo, private VramClient {
 public:
  /// ENOSPC: larger than every allowed region. ENOMEM, ENFILE: the host has no more. Contents are zero.
  static Result<std::shared_ptr<GemBo>> create(BoMemory& memory, const GemCreateRequest& request,
                                               const void* private_to);
  /// In a fork child: the same bytes as an object of the parent, of which only the descriptor and the advice
  /// are used. EMFILE, ENOMEM.
  static Result<std::shared_ptr<GemBo>> inherit(BoMemory& memory, const GemBo& parents, const void* private_to);
  ~GemBo() override;

  // Bo
  std::uint64_t size_bytes() const override { return size_bytes_; }
  Status make_resident(const BoUse& use) override;
  void unpin() override;
  void append_runs(std::uint64_t offset, std::uint64_t bytes, const BoViewer& viewer,
                   std::vector<PteRun>& runs) const override;
  AtomicAccess atomic_access() const override { return atomic_.load(); }
  void set_atomic_access(AtomicAccess access) override { atomic_.store(access); }
  bool has_one_placement() const override { return std::has_single_bit(placement_); }
  Status check_atomic(AtomicAccess access) const override;
  bool needs_coherent_pat() const override { return caching_ == CpuCaching::kWriteBack; }
  PurgeableState purgeable() const override;
  void vma_added(PurgeableState state) override;
  void vma_removed(PurgeableState state) override;
  void vma_advised(PurgeableState from, PurgeableState to) override;

  // What the driver and the ABI need besides.
  const BoMemory& memory() const { return memory_; }
  int memfd() const { return memfd_.get(); }
  std::byte* engine_mapping() const { return bytes_; }
  CpuCaching caching() const { return caching_; }
  bool no_compression() const { return no_compression_; }
  std::uint32_t placement() const { return placement_; }
  /// The VM it was created private to (identity only), or null.
  const void* private_to() const { return private_to_; }
  /// Fake offset for mmap on the device node; set once at creation by the device.
  std::uint64_t mmap_offset() const { return mmap_offset_; }
  void set_mmap_offset(std::uint64_t offset) { mmap_offset_ = offset; }
  /// A dma-buf of it exists: counts as one more WILLNEED user (spec/vm.md 4.4).
  void exported() { vma_advised(PurgeableState::kDontNeed, PurgeableState::kWillNeed); }
  void unexported() { vma_advised(PurgeableState::kWillNeed, PurgeableState::kDontNeed); }
  bool in_vram() const;
  /// Of its dma-bufs; thread-safe. A fork child begins with none.
  ImplicitFences& implicit_fences() { return implicit_fences_; }

 private:
  /// Placement is a small state machine, so that no lock is held while VRAM is allocated or a victim
  /// is zapped: who finds it in motion waits.
  enum class Place : std::uint8_t { kSystem, kEntering, kVram, kLeaving };

  GemBo(BoMemory& memory, const GemCreateRequest& request, const void* private_to);
  Status create_backing();
  Status map_backing();
  Status find_room(VramManager& vram, const BoUse& use);
  Status enter_vram(unsigned tile, const BoUse& use);
  /// Pins it in system memory. EINVAL, EBUSY.
  Status bring_home();
  void leave_vram(unsigned from) SX_EXCLUDES(place_lock_);
  std::optional<unsigned> wanted_tile(const BoUse& use) const;
  bool allows_system() const { return (placement_ & 1) != 0; }
  bool allows_tile(unsigned tile) const { return (placement_ & (2u << tile)) != 0; }
  /// Gives the VRAM back; the state is kLeaving. True when the block object may go away.
  bool give_back(unsigned tile);
  /// From VRAM; give_back() is to follow.
  void begin_leaving() SX_REQUIRES(place_lock_);
  bool settled() const SX_REQUIRES(place_lock_);
  /// Until it is in motion no more and nobody looks at the block of its last place.
  void wait_settled() SX_REQUIRES(place_lock_);
  /// The bytes go; CPU mappings get SIGBUS. The caller has zapped every mapping (spec/vm.md 5.7).
  void purge();
  /// Puts zeroes where the engines see the bytes. ENOMEM, nothing changed.
  Status map_zeroes();
  void settle_purgeable() SX_REQUIRES(state_lock_);

  Status evict_block(VramBlock& block) override;
  void block_unclaimed(VramBlock& block) override;

  BoMemory& memory_;
  const std::uint64_t size_bytes_;
  const std::uint32_t placement_;
  const CpuCaching caching_;
  const bool no_compression_;
  const void* const private_to_;
  std::uint64_t mmap_offset_ = 0;
  OwnedFd memfd_;
  std::byte* bytes_ = nullptr;
  bool inherited_ = false;  ///< by a fork child: the bytes are not its own to throw away
  std::atomic<AtomicAccess> atomic_{AtomicAccess::kUndefined};
  ImplicitFences implicit_fences_;

  mutable Mutex<LockRank::kBo> place_lock_{"GemBo::place"};
  mutable CondVar place_changed_;
  Place place_ SX_GUARDED_BY(place_lock_) = Place::kSystem;
  unsigned tile_ SX_GUARDED_BY(place_lock_) = 0;
  unsigned pins_ SX_GUARDED_BY(place_lock_) = 0;
  bool claimed_ SX_GUARDED_BY(place_lock_) = false;  ///< an evictor still looks at block_
  bool backed_ SX_GUARDED_BY(place_lock_) = false;   ///< has been placed once
  VramBlock block_;

  mutable LeafMutex state_lock_{"GemBo::purgeable"};
  PurgeableState purgeable_ SX_GUARDED_BY(state_lock_) = PurgeableState::kWillNeed;
  std::uint32_t vma_count_ SX_GUARDED_BY(state_lock_) = 0;
  std::uint32_t willneed_count_ SX_GUARDED_BY(state_lock_) = 0;
};

}  // namespace softxe
