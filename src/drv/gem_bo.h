// GemBo: a buffer object. Four jobs, one object each:
//
//   BoIdentity    what it was created as; never changes               bo_memory.h
//   BoBytes       memfd, the engines' mapping, how bytes are purged   bo_bytes.h
//   BoAdvice      its users, and whether they need the bytes          bo_advice.h
//   BoPlacement   system memory or VRAM, pins, eviction               bo_placement.h
//
// What they need of each other goes through here: an evicted object whose bytes nobody needs is purged.
#pragma once

#include <atomic>
#include <bit>
#include <memory>
#include <vector>

#include "drv/bo_advice.h"
#include "drv/bo_bytes.h"
#include "drv/bo_memory.h"
#include "drv/bo_placement.h"
#include "drv/exec/implicit_fences.h"

namespace softxe {

/// Owns bytes and VRAM. Thread-safe; locks are those of its parts.
class GemBo final : public Bo, private BoPlacement::Owner {
 public:
  /// ENOSPC: larger than every allowed region. ENOMEM, ENFILE: the host has no more. Contents are zero.
  static Result<std::shared_ptr<GemBo>> create(BoMemory& memory, const GemCreateRequest& request,
                                               const void* private_to);
  /// In a fork child: the same bytes as an object of the parent, of which only the descriptor and the advice
  /// are used, no lock. EMFILE, ENOMEM.
  static Result<std::shared_ptr<GemBo>> inherit(BoMemory& memory, const GemBo& parents, const void* private_to);
  ~GemBo() override { placement_.end(); }

  // Bo
  std::uint64_t size_bytes() const override { return identity_.size_bytes; }
  Status make_resident(const BoUse& use) override;
  void unpin() override { placement_.unpin(); }
  void append_runs(std::uint64_t offset, std::uint64_t bytes, const BoViewer& viewer,
                   std::vector<PteRun>& runs) const override {
    placement_.append_runs(offset, bytes, viewer, runs);
  }
  AtomicAccess atomic_access() const override { return atomic_.load(); }
  void set_atomic_access(AtomicAccess access) override { atomic_.store(access); }
  bool has_one_placement() const override { return std::has_single_bit(identity_.placement); }
  Status check_atomic(AtomicAccess access) const override;
  bool needs_coherent_pat() const override { return caching() == CpuCaching::kWriteBack; }
  PurgeableState purgeable() const override { return advice_.state(); }
  void vma_added(PurgeableState state) override { advice_.user_added(state); }
  void vma_removed(PurgeableState state) override { advice_.user_removed(state); }
  void vma_advised(PurgeableState from, PurgeableState to) override { advice_.user_changed(from, to); }

  // What the driver and the ABI need besides.
  const BoMemory& memory() const { return memory_; }
  int memfd() const { return bytes_.memfd(); }
  std::byte* engine_mapping() const { return bytes_.data(); }
  CpuCaching caching() const { return identity_.caching; }
  bool no_compression() const { return identity_.no_compression; }
  std::uint32_t placement() const { return identity_.placement; }
  const void* private_to() const { return identity_.private_to; }
  /// Fake offset for mmap on the device node; set once at creation by the device.
  std::uint64_t mmap_offset() const { return mmap_offset_; }
  void set_mmap_offset(std::uint64_t offset) { mmap_offset_ = offset; }
  /// A dma-buf of it exists: counts as one more WILLNEED user (spec/vm.md 4.4).
  void exported() { vma_advised(PurgeableState::kDontNeed, PurgeableState::kWillNeed); }
  void unexported() { vma_advised(PurgeableState::kWillNeed, PurgeableState::kDontNeed); }
  bool in_vram() const { return placement_.in_vram(); }
  const VramClient& vram_client() const { return placement_.vram_client(); }
  /// Of its dma-bufs; thread-safe. A fork child begins with none.
  ImplicitFences& implicit_fences() { return implicit_fences_; }

 private:
  GemBo(BoMemory& memory, const BoIdentity& identity, BoBytes::Origin origin, PurgeableState advice);

  // BoPlacement::Owner
  void zap() override { memory_.zap_everywhere(*this); }
  void evicted() override;

  BoMemory& memory_;
  const BoIdentity identity_;
  std::uint64_t mmap_offset_ = 0;
  std::atomic<AtomicAccess> atomic_{AtomicAccess::kUndefined};
  ImplicitFences implicit_fences_;
  BoBytes bytes_;
  BoAdvice advice_;
  BoPlacement placement_;
};

}  // namespace softxe
