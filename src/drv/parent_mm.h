// ParentMm: the memory of the parent of a fork, as a VM that the child inherited mirrors it: there, and out
// of reach. No page of it can be had (EFAULT, as of a process that is gone), and no event of it is heard.
#pragma once

#include "host/host_mm.h"

namespace softxe {

/// Stateless, no lock, lives for ever. Svm makes no range over it: the calls that need one are never made.
class ParentMm final : public HostMm {
 public:
  explicit ParentMm(const Clock& clock) : clock_(clock) {}

  Result<HostVa> next_mapped(HostRange) override { return out_of_reach(); }
  bool populated(HostRange, OwnerGroup) override { return false; }

  Status watch(IntervalNotifier&) override { return {}; }
  void unwatch(IntervalNotifier&) override {}
  std::uint64_t read_begin(IntervalNotifier& notifier) override { return notifier.sequence(); }

  Status collect(HostRange, CollectRequest, PageHomes&) override { return out_of_reach(); }
  bool stands_in(HostRange, const DevmemHeap&) override { return false; }
  Result<MigrateCounts> migrate_to_device(HostRange, DevmemAllocation&, std::uint64_t) override {
    return out_of_reach();
  }
  bool can_move(HostRange) override { return false; }
  Status migrate_to_system(HostRange, MoveCause, Residency) override { return {}; }
  Status evict(DevmemAllocation&) override { return out_of_reach(); }
  Result<std::byte*> make_window(std::uint64_t) override { return out_of_reach(); }
  void drop_window(std::byte*) override {}

  const Clock& clock() const override { return clock_; }

 private:
  Result<CpuVma> vma_within(HostVa, HostRange) override { return out_of_reach(); }
  static tl::unexpected<Error> out_of_reach() { return fail(EFAULT, "an inherited mirror is of the parent's memory"); }
  const Clock& clock_;
};

}  // namespace softxe
