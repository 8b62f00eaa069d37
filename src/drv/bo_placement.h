// BoPlacement: where a buffer object is: in system memory or in VRAM of a tile, or on its way.
//
//   InSystem --> Entering --> InVram      a use wants it there, and there is room
//   InSystem <-- Entering                 there is none
//   InVram --> Leaving --> InSystem       evicted, asked home, or wanted in another tile's VRAM
//
// No lock is held while VRAM is allocated or a victim is zapped: who finds it in motion waits. Pins hold it where it
// is, and go along when it moves on its owner's behalf. While it leaves, an evictor that has chosen its block may still
// look at it: the claim. Until that is gone, no other tile may fill the block.
#pragma once

#include <cstdint>
#include <optional>
#include <variant>
#include <vector>

#include "base/lock.h"
#include "drv/bo_vram.h"

namespace softxe {

/// Thread-safe. Owns the object's VRAM. One lock, of rank kBo.
class BoPlacement final : private VramClient {
 public:
  /// The object, as its placement sees it. Called without the lock.
  class Owner {
   public:
    virtual ~Owner() = default;
    /// No translation of any VM reaches the VRAM when this returns.
    virtual void zap() = 0;
    /// Its VRAM is gone for somebody else's sake.
    virtual void evicted() = 0;
  };

  BoPlacement(Owner& owner, BoMemory& memory, const BoIdentity& identity, const BoBytes& bytes)
      : owner_(owner), memory_(memory), identity_(identity), bytes_(bytes), vram_(memory, identity, bytes, *this) {}
  ~BoPlacement() override;
  BoPlacement(const BoPlacement&) = delete;
  BoPlacement& operator=(const BoPlacement&) = delete;

  /// First of the owner's end: gives the VRAM back and waits for the last evictor. Nobody may use it any more.
  void end() SX_EXCLUDES(lock_);

  /// Which tile's VRAM a use wants of this object.
  std::optional<unsigned> wanted_tile(const BoUse& use) const;
  /// Pins it where the use wants it: in VRAM of `wanted`, else wherever it may be. As Bo::make_resident(), but for
  /// advice; a use that requires VRAM has `wanted`.
  Status place(const BoUse& use, std::optional<unsigned> wanted) SX_EXCLUDES(lock_);
  /// Pins it in system memory. EINVAL, EBUSY.
  Status bring_home() SX_EXCLUDES(lock_);
  void unpin() SX_EXCLUDES(lock_);

  bool in_vram() const SX_EXCLUDES(lock_);
  /// As Bo::append_runs().
  void append_runs(std::uint64_t offset, std::uint64_t bytes, const BoViewer& viewer, std::vector<PteRun>& runs) const
      SX_EXCLUDES(lock_);
  /// Its name among the victims of a VramManager.
  const VramClient& vram_client() const { return *this; }

 private:
  enum class Backing : std::uint8_t { kNever, kOnce };
  struct InSystem {
    Backing backing;  ///< has it been placed, anywhere, before?
  };
  struct Entering {
    Backing backing;
  };
  struct InVram {
    unsigned tile;
  };
  struct Leaving {
    unsigned tile;
  };
  using Place = std::variant<InSystem, Entering, InVram, Leaving>;
  enum class Claim : std::uint8_t { kNone, kEvictor };

  /// What is to be done outside the lock.
  struct Nothing {};
  struct Enter {
    Backing before;
  };
  struct Leave {
    unsigned from;
  };
  using Next = std::variant<Nothing, Enter, Leave>;
  Result<Next> look(const BoUse& use, std::optional<unsigned> wanted) SX_EXCLUDES(lock_);
  Status enter(const BoUse& use, unsigned tile, Backing before) SX_EXCLUDES(lock_);
  void leave(unsigned from) SX_EXCLUDES(lock_);
  /// From VRAM, whose tile it says; arrive() is to follow.
  unsigned begin_leaving() SX_REQUIRES(lock_);
  void arrive(VramManager::ReleaseResult released) SX_EXCLUDES(lock_);
  bool settled() const SX_REQUIRES(lock_);
  /// Until it is in motion no more and nobody looks at the block of its last place.
  void wait_settled() SX_REQUIRES(lock_);

  Status evict_block(VramBlock& block) override;
  void block_unclaimed(VramBlock& block) override;

  Owner& owner_;
  BoMemory& memory_;
  const BoIdentity& identity_;
  const BoBytes& bytes_;
  BoVram vram_;

  mutable Mutex<LockRank::kBo> lock_{"BoPlacement"};
  CondVar changed_;
  Place place_ SX_GUARDED_BY(lock_) = InSystem{Backing::kNever};
  unsigned pins_ SX_GUARDED_BY(lock_) = 0;
  Claim claim_ SX_GUARDED_BY(lock_) = Claim::kNone;
};

}  // namespace softxe
