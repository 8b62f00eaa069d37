// VmContext: a VM together with its CPU mirror, and the one table that finds it by ASID.
#pragma once

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <optional>

#include "base/lock.h"
#include "svm/svm.h"
#include "vm/vm.h"

namespace softxe {

/// Whoever runs jobs on a VM, for those who change its mappings.
class JobControl {
 public:
  virtual ~JobControl() = default;
  /// Waits until the jobs of a VM with fences are done. Called with the mm lock held (a notifier of a userptr), so it
  /// takes leaf locks only. Calls `meanwhile` now and then while it waits: a job may wait for a page in VRAM that only
  /// the mm lock's holder can bring home.
  virtual void drain(const std::function<void()>& meanwhile) = 0;
  /// An eviction is about to zap PTEs of a VM whose jobs cannot fault: waits for them (dma-fence) or takes
  /// them off the engines until the returned object goes (preempt-fence).
  virtual std::shared_ptr<void> stop() = 0;
  /// The eviction is done: puts the PTEs back when the VM has work, then lets `stopped` go. Must not wait.
  virtual void rebind_later(std::shared_ptr<void> stopped) = 0;
};

/// One GPU address space as the driver and the fault service see it. `svm` exists in fault mode only.
class VmContext {
 public:
  /// `shared_words`: where to count, in memory that outlives this object; null: privately.
  VmContext(const VmConfig& config, TablePool& tables, InvalidationDomain& invalidations, CounterSet& parent,
            CounterOwner owner, CounterWords* shared_words = nullptr)
      : counters(shared_words != nullptr ? *shared_words : words, &parent, owner),
        vm(config, tables, invalidations, counters) {}
  ~VmContext() {
    SX_ASSERT(vm.closed());
    svm.reset();
  }

  void add_svm(SvmConfig config) { svm = std::make_unique<Svm>(vm, std::move(config)); }

  // By way of `jobs`; nothing where there are none.
  void drain_jobs(const std::function<void()>& meanwhile) {
    if (jobs) jobs->drain(meanwhile);
  }
  std::shared_ptr<void> stop_jobs() { return jobs ? jobs->stop() : nullptr; }
  void rebind_later(std::shared_ptr<void> stopped) {
    if (jobs) jobs->rebind_later(std::move(stopped));
  }

  /// Evictions between their decision and the zap of this VM's PTEs. Raised before stop_jobs(): a submission
  /// that is announced in the VM's jobs and then finds 0 here, and no stale PTEs, is waited for.
  std::atomic<std::uint32_t> evictions{0};

  CounterWords words;
  CounterSet counters;
  Vm vm;
  std::unique_ptr<Svm> svm;
  /// Null: the VM has none. Set once, before it has mappings.
  std::unique_ptr<JobControl> jobs;
};

/// ASID -> VM. Faults are routed by it; entries are weak so that a late fault never revives a VM.
class AsidTable {
 public:
  static constexpr std::uint32_t kAsidMax = (1u << 20) - 1;

  /// Cyclic allocation from 1 (spec/svm.md 0.3). ENOSPC when every ASID is in use.
  Result<std::uint32_t> reserve() {
    Guard hold(lock_);
    for (std::uint32_t tries = 0; tries < kAsidMax; ++tries) {
      const std::uint32_t asid = next_;
      next_ = next_ == kAsidMax ? 1 : next_ + 1;
      if (vms_.try_emplace(asid).second) return asid;
    }
    return fail(ENOSPC, "no free ASID");
  }
  void set(std::uint32_t asid, const std::shared_ptr<VmContext>& vm) {
    Guard hold(lock_);
    vms_[asid] = vm;
  }
  void erase(std::uint32_t asid) {
    Guard hold(lock_);
    vms_.erase(asid);
  }
  std::shared_ptr<VmContext> find(std::uint32_t asid) {
    Guard hold(lock_);
    auto it = vms_.find(asid);
    return it == vms_.end() ? nullptr : it->second.lock();
  }

 private:
  Mutex<LockRank::kDevice> lock_{"AsidTable"};
  std::map<std::uint32_t, std::weak_ptr<VmContext>> vms_ SX_GUARDED_BY(lock_);
  std::uint32_t next_ SX_GUARDED_BY(lock_) = 1;
};

}  // namespace softxe
