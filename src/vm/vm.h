// Vm: one GPU address space: the VMA tree, its page tables, its life cycle (spec/vm.md 1-7).
//
// Vm knows nothing of processes: a CPU-address-mirror VMA is only a kind of backing here, and what SVM
// ranges stand in it is asked through MirrorRanges, which svm/ implements.
//
// Every change of the tree is a VmTransaction: plan (pure, va_ops.h) -> prepare (allocates, may fail) ->
// apply -> page tables -> commit; destroying an uncommitted transaction puts back every VMA object with
// its full extent (spec/vm.md 3.5).
//
//   vm.h              the class, life cycle, look-up, fault records
//   vm_transaction.h  changes of the tree with unwind
//   vm_pt.cc          PTEs of BO, null and userptr VMAs
//   vm_check.cc       the invariants, for tests and debug builds
//   vm_mirror.cc      extend, carve and reset of mirror VMAs (section 7)
//   vm_madvise.h      attributes
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/counters.h"
#include "base/lock.h"
#include "hw/invalidation.h"
#include "hw/page_table.h"
#include "vm/bo.h"
#include "vm/va_space.h"
#include "vm/vma.h"

namespace softxe {

/// When the collector puts the attributes of a collected range back (svm.md 10.4).
enum class ResetMode : std::uint8_t {
  kFlag,    ///< only VMAs bound with MADVISE_AUTORESET (Linux 7.2)
  kAlways,  ///< every collected range (the attribute-reset patch)
  kExact,   ///< the unmapped interval itself, whether or not the GPU touched it
};

struct VmModes {
  bool scratch = false;
  bool lr = false;
  bool fault = false;
  bool no_overcommit = false;
};

struct VmConfig {
  VmModes modes;
  unsigned va_bits = 48;
  unsigned tile_count = 1;
  std::uint32_t asid = 1;
  ResetMode reset = ResetMode::kFlag;
  const void* device = nullptr;  ///< identity, for BoViewer
  PageTableConfig page_table;    ///< device facts; va_bits and scratch are taken from this struct
  /// Device facts that decide need_vram and the atomic-enable bit (spec/svm.md 4.9).
  bool discrete = true;
  bool smem_atomics = true;
};

enum class VmLife : std::uint8_t { kOpen, kClosed };

/// SVM ranges standing in mirror VMAs, as vm/ needs to see them. Vm lock (w) held by the caller.
class MirrorRanges {
 public:
  virtual ~MirrorRanges() = default;
  /// Any range object that intersects, dead ones included (spec/vm.md 3.4).
  virtual bool any_in(GpuRange range) = 0;
  /// Removes every range that intersects `range` without lying inside it; VRAM goes home first (7.6).
  virtual void drop_straddling(GpuRange range) = 0;
};

/// One unserved GPU fault, as VM_GET_PROPERTY reports it (spec/vm.md 6.2).
struct FaultRecord {
  std::uint64_t page_address;  ///< canonical (sign-extended)
  std::uint8_t access;         ///< 0 read, 1 write, 2 atomic
  std::uint8_t type;           ///< 0 not present, 1 write, 2 atomic
  std::uint8_t level;
};

enum class ResetOutcome : std::uint8_t { kUnchanged, kVmasChanged };

class Vm {
 public:
  Vm(const VmConfig& config, TablePool& tables, InvalidationDomain& invalidations, CounterSet& counters);
  ~Vm();
  Vm(const Vm&) = delete;
  Vm& operator=(const Vm&) = delete;

  /// Outer lock of everything below (rank kVm).
  SharedMutex<LockRank::kVm> lock{"Vm::lock"};

  const VmConfig& config() const { return config_; }
  std::uint64_t size_bytes() const { return 1ull << config_.va_bits; }
  CounterSet& counters() { return counters_; }
  InvalidationDomain& invalidations() { return invalidations_; }
  TileMask all_tiles() const { return static_cast<TileMask>((1u << config_.tile_count) - 1); }
  PageTable& table(unsigned tile) { return *tables_[tile]; }

  /// Set once, before the first bind of a fault-mode VM. Not owned.
  void set_mirror_ranges(MirrorRanges* ranges) { ranges_ = ranges; }
  MirrorRanges* mirror_ranges() { return ranges_; }

  // --- life --------------------------------------------------------------------------------------

  bool closed() const { return life_.load(std::memory_order_acquire) == VmLife::kClosed; }
  bool banned() const { return banned_.load(std::memory_order_acquire); }
  /// ENOENT when closed or banned (spec/vm.md 2.6).
  Status check_usable() const;
  /// Irreversible; the id stays valid (spec/vm.md 2.6). Any thread.
  void kill(const char* why);
  /// Empties the VM: from here on it is closed, has no PTE and no VMA (spec/vm.md 2.5).
  void close() SX_EXCLUDES(lock);

  // --- looking; Vm lock (r) ------------------------------------------------------------------------

  /// The VMA that covers `va`; none when there is none or the VM is banned (quirk Q4 is fixed).
  Vma* find(GpuVa va) SX_REQUIRES_SHARED(lock);
  /// The VMA that covers `va`, or the next one above; none at the end.
  Vma* find_at_or_above(GpuVa va) SX_REQUIRES_SHARED(lock);
  VaSpace& space() SX_REQUIRES_SHARED(lock) { return space_; }
  /// VMAs that intersect, in address order.
  std::vector<Vma*> vmas_in(GpuRange range) SX_REQUIRES_SHARED(lock);
  std::size_t vma_count() const { return space_.size(); }

  /// The range a mirror MAP by VM_BIND really maps: widened over equal default neighbours (7.5).
  GpuRange extended_mirror_range(GpuRange range, VmaFlags flags, PatIndex default_pat) SX_REQUIRES_SHARED(lock) {
    return extend_mirror(range, flags, default_pat);
  }

  // --- mirror VMAs; Vm lock (w) ------------------------------------------------------------------------

  /// Puts the attributes of a collected SVM range back to the defaults of its bind, replacing and
  /// merging mirror VMAs (spec/vm.md 7.3 with the fixes of section 11). Never touches other kinds.
  /// EINVAL: no VMA there any more. Any other error: the VM was killed.
  Result<ResetOutcome> reset_attributes(GpuRange collected) SX_REQUIRES(lock);

  // --- PTEs of BO, null and userptr VMAs; Vm lock (w) -------------------------------------------------

  /// Everything a bind of the whole VMA on one tile needs; nothing visible. BOs must be resident. ENOMEM.
  Result<PtUpdate> prepare_vma_ptes(const Vma& vma, unsigned tile) SX_REQUIRES(lock);
  /// Writes PTEs of the whole VMA on `tiles`. BOs must be resident. ENOMEM.
  Status bind_ptes(Vma& vma, TileMask tiles) SX_REQUIRES(lock);
  /// Clears the PTEs of `range` on all tiles and waits until no TLB serves them.
  void clear_ptes(GpuRange range) SX_REQUIRES(lock);
  /// Zaps the PTEs of VMAs that are no mirrors and waits; the next fault or rebind restores them. How many had any.
  std::size_t zap_vmas(std::span<Vma* const> vmas) SX_REQUIRES(lock) SX_EXCLUDES(bo_lock_);
  /// A BO moved or was purged: zap every VMA of it and wait.
  /// Takes no Vm lock: an eviction may run inside this VM's own fault (spec/vm.md 9).
  void zap_bo(const Bo& bo) SX_EXCLUDES(bo_lock_);

  /// Is any of the BO mapped here?
  bool maps(const Bo& bo) SX_EXCLUDES(bo_lock_);
  /// Every object with a mapping here: none of them may be evicted for this VM where VM-local eviction is
  /// forbidden, private or not (spec/vm.md 2.9).
  std::vector<const Bo*> mapped_objects() const SX_EXCLUDES(bo_lock_);
  /// Zaps in a VM that does not fault, and up to which of them all PTEs are back. EXEC must revalidate while
  /// they differ; who restores reads the count first, so that a zap meanwhile is not taken for restored.
  std::uint64_t stale_zaps() const { return stale_zaps_.load(); }
  bool has_stale_ptes() const { return restored_zaps_.load() != stale_zaps_.load(); }
  void ptes_restored(std::uint64_t up_to_zap) SX_REQUIRES(lock) { restored_zaps_.store(up_to_zap); }

  // --- atomics policy (spec/svm.md 4.9) ---------------------------------------------------------------

  /// Must this access find its page in the faulting tile's VRAM? EACCES: forbidden altogether.
  Result<bool> need_vram(const Vma& vma, bool atomic_access) const;
  /// The AE bit of a PTE.
  bool atomic_enable(const Vma& vma, bool in_vram) const;

  // --- recorded faults; any thread ---------------------------------------------------------------------

  static constexpr std::size_t kFaultRecordsMax = 50;
  void record_fault(const FaultRecord& record);
  std::vector<FaultRecord> fault_records() const;

  /// Pages mapped by VMAs that own entries, by tile. Not counted when a VMA is too large to be gone through.
  struct OwnedPages {
    std::array<std::uint64_t, 8> pages{};
    bool counted = true;
  };
  /// Invariants 1, 10 and 22 of spec/vm.md 10.1: the first broken one as a text, empty when all hold.
  std::string broken_invariant(OwnedPages& owned) SX_REQUIRES_SHARED(lock);
  /// Aborts with that text.
  void validate() SX_REQUIRES_SHARED(lock);

 private:
  friend class VmTransaction;

  /// The (VM, BO) pair: identity of a BO backing inside this VM.
  struct VmBo final : VaBacking {
    std::shared_ptr<Bo> bo;
  };
  VmBo* vm_bo(const std::shared_ptr<Bo>& bo);
  VmBo* find_vm_bo(const Bo& bo);

  void link_backing(Vma& vma) SX_EXCLUDES(bo_lock_);
  void unlink_backing(Vma& vma) SX_EXCLUDES(bo_lock_);
  /// Commits PTEs of a VMA and marks it bound on `tile`, in one step for zap_bo().
  void publish(Vma& vma, unsigned tile, PtUpdate&& update, InvalidationBatch& batch) SX_EXCLUDES(bo_lock_);
  std::uint64_t zap_locked(Vma& vma, InvalidationBatch& batch) SX_REQUIRES(bo_lock_);
  /// Waits for the TLBs and counts what the batch revoked.
  void finish(InvalidationBatch& batch);

  std::string broken_ptes(const Vma& vma, OwnedPages& owned) SX_EXCLUDES(bo_lock_);

  // vm_mirror.cc
  GpuRange extend_mirror(GpuRange range, VmaFlags flags, PatIndex default_pat);
  Status carve_mirror(GpuRange range, VmaFlags flags, PatIndex default_pat);

  VmConfig config_;
  InvalidationDomain& invalidations_;
  CounterSet& counters_;
  VaSpace space_;
  std::vector<std::unique_ptr<PageTable>> tables_;
  /// Part of the kernel's reservation lock that an eviction needs: lists of the backings and the tile
  /// masks of VMAs in them. A BO is pinned from the moment its pages are read until its PTEs are
  /// published, so an eviction either comes before (and the reader sees the new place) or zaps after.
  mutable Mutex<LockRank::kSvmNotifier> bo_lock_{"Vm::bo_lock"};
  std::map<const Bo*, std::unique_ptr<VmBo>> vm_bos_ SX_GUARDED_BY(bo_lock_);
  MirrorRanges* ranges_ = nullptr;
  std::atomic<VmLife> life_{VmLife::kOpen};
  std::atomic<bool> banned_{false};
  std::atomic<std::uint64_t> stale_zaps_{0};
  std::atomic<std::uint64_t> restored_zaps_{0};

  mutable LeafMutex faults_lock_{"Vm::faults"};
  std::vector<FaultRecord> faults_ SX_GUARDED_BY(faults_lock_);
};

}  // namespace softxe
