// Device: one simulated card: VRAM, page tables, faults, VMs, collector. Engines hang below exec().
//
// A process has one HostMm and any number of devices over it. The ABI layer owns the devices and the
// open files; embedders use the same objects directly (docs/EMBEDDING.md).
//
//   device.h       construction, VM life, collector flush
//   vm_ops.h       VM_BIND, MADVISE, queries: one call per operation
//   gem_bo.h       buffer objects
//   vram_pagemap.h the SVM side of VRAM
#pragma once

#include <array>
#include <atomic>
#include <memory>
#include <span>
#include <vector>

#include "base/counters.h"
#include "drv/gc_worker.h"
#include "drv/gem_bo.h"
#include "drv/parent_mm.h"
#include "drv/profile.h"
#include "drv/vram_pagemap.h"
#include "host/host_mm.h"
#include "hw/invalidation.h"
#include "hw/pt_pool.h"
#include "svm/fault_service.h"
#include "svm/vm_context.h"

namespace softxe {

struct DeviceOptions {
  DeviceConfig config;
  ResetMode reset = ResetMode::kFlag;
  /// Collector passes on their own thread, or only where faults and ioctls run them (simulator).
  GcWorker::Mode collector = GcWorker::Mode::kThread;
  ThreadStarter start_thread = default_thread_starter();
  /// Where counts go; must outlive the device. One per GT, at most kGtsMax used.
  CounterWords* counters = nullptr;
  /// Likewise for one VM, named by its ASID; empty or null: privately.
  std::function<CounterWords*(std::uint32_t asid)> vm_counters{};
  /// Where the most VRAM that was in use at a time goes, by tile; empty: nowhere. Outlives the device.
  std::span<std::atomic<std::uint64_t>> vram_peak_bytes{};
};

inline constexpr unsigned kGtsMax = 4;
inline constexpr std::uint64_t kAtomicTimesliceDefaultNs = 5'000'000;

/// Whose memory the mirror VMAs of a VM show. A VM that a fork child inherited goes on mirroring the parent
/// (spec/svm.md 2.3), which this process cannot reach.
enum class MirrorOf : std::uint8_t { kThisProcess, kParentOfFork };

/// Thread-safe. Every VM is closed before it is destroyed.
class Device {
 public:
  /// One interconnect group: all devices of a process reach each other's VRAM (docs/DEVIATIONS.md, 8.1).
  static constexpr OwnerGroup kOwnerGroup{1};

  /// Reserves VRAM windows and page-table arenas. ENOMEM.
  static Result<std::unique_ptr<Device>> create(HostMm& host, MigrateLock& migrate_lock, const DeviceOptions& options);
  ~Device();
  Device(const Device&) = delete;
  Device& operator=(const Device&) = delete;

  const DeviceProfile& profile() const { return *options_.config.profile; }
  const DeviceConfig& config() const { return options_.config; }
  HostMm& host() { return host_; }
  InvalidationDomain& invalidations() { return invalidations_; }
  AsidTable& asids() { return asids_; }
  FaultService& faults() { return *faults_; }
  BoMemory& bo_memory() { return bo_memory_; }
  unsigned vram_tiles() const { return bo_memory_.tile_count; }
  VramManager& vram(unsigned tile) { return *tiles_[tile].vram; }
  VramMap& vram_map(unsigned tile) { return *tiles_[tile].map; }
  const std::shared_ptr<VramPagemap>& pagemap(unsigned tile) { return tiles_[tile].pagemap; }
  CounterSet& counters() { return *counters_; }
  /// Page tables of all its VMs.
  std::uint64_t page_tables() const { return tables_.in_use(); }
  /// Device-wide, changeable at any time (debugfs atomic_svm_timeslice_ms).
  std::atomic<std::uint64_t>& atomic_timeslice_ns() { return atomic_timeslice_ns_; }

  // --- VMs ---------------------------------------------------------------------------------------

  /// ENOSPC: no ASID. ENOMEM. The request has passed the decoder.
  Result<std::shared_ptr<VmContext>> create_vm(const VmCreateRequest& request,
                                               MirrorOf mirror = MirrorOf::kThisProcess);
  /// Empties the VM and forgets its ASID; the object lives while queues point to it (spec/vm.md 2.5).
  void close_vm(const std::shared_ptr<VmContext>& context);
  /// Runs `visit` for every live VM, without the device lock held.
  void for_each_vm(const std::function<void(VmContext&)>& visit);

  /// After this, every CPU unmap that happened before the call has been collected (the flush of
  /// VM_BIND and MADVISE). Takes the VM's lock.
  void flush_collector(VmContext& context);

  /// Fake mmap offsets: device-wide, page granular, from 4 GiB (spec/uapi.md 2).
  std::uint64_t take_mmap_offset(std::uint64_t bytes) {
    return next_mmap_offset_.fetch_add(align_up(bytes, kPageSize) + kPageSize);
  }
  /// Error injection of VM_BIND (spec/vm.md 3.9): which place fails next, 0..2.
  unsigned next_injection() { return (injections_.fetch_add(1) + 1) % 3; }

 private:
  struct Tile {
    explicit Tile(DeviceWindow made) : window(std::move(made)) {}
    DeviceWindow window;
    std::unique_ptr<VramManager> vram;
    std::unique_ptr<VramMap> map;
    std::shared_ptr<VramPagemap> pagemap;
  };
  Device(HostMm& host, MigrateLock& migrate_lock, const DeviceOptions& options);
  Status make_tiles();
  CounterOwner owner(std::uint32_t asid) const {
    return {.device = static_cast<std::uint8_t>(options_.config.index), .asid = asid};
  }
  PageTableConfig page_table_config() const;

  HostMm& host_;
  ParentMm parent_mm_{host_.clock()};
  MigrateLock& migrate_lock_;
  const DeviceOptions options_;
  CounterWords own_words_;
  std::unique_ptr<CounterSet> counters_;
  TablePool tables_;
  InvalidationDomain invalidations_;
  AsidTable asids_;
  std::vector<Tile> tiles_;
  BoMemory bo_memory_;
  std::atomic<std::uint64_t> atomic_timeslice_ns_{kAtomicTimesliceDefaultNs};
  std::unique_ptr<FaultService> faults_;
  std::atomic<std::uint64_t> next_mmap_offset_{4ull << 30};
  std::atomic<unsigned> injections_{0};

  // A leaf: evictions walk the list from inside a fault, under that VM's lock.
  LeafMutex vms_lock_{"Device::vms"};
  std::vector<std::weak_ptr<VmContext>> vms_ SX_GUARDED_BY(vms_lock_);
  std::unique_ptr<GcWorker> gc_;
};

}  // namespace softxe
