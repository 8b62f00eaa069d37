// VramPagemap: the SVM side of one tile's VRAM: blocks that hold pages of the process.
//
// SVM allocations share one VramManager (and so one LRU and one capacity) with buffer objects
// (decision 0008). A record is recycled, never freed, while the pagemap lives: HostMm gives
// allocations back on the CPU-fault thread, which must not enter an allocator.
#pragma once

#include <boost/intrusive/slist.hpp>
#include <memory>
#include <vector>

#include "base/counters.h"
#include "base/lock.h"
#include "host/host_mm.h"
#include "svm/pagemap.h"
#include "vm/vram_manager.h"

namespace softxe {

struct VramPagemapConfig {
  HostMm& host;
  VramManager& vram;
  std::byte* window;  ///< frame of DevPa p is window + p
  OwnerGroup owner;
  unsigned tile;
  CounterSet& counters;  ///< of the tile's primary GT (spec/svm.md 9.1)
};

/// Thread-safe. Outlives every allocation: HostMm is gone, or has given all back, before it.
class VramPagemap final : public Pagemap, private VramClient {
 public:
  explicit VramPagemap(const VramPagemapConfig& config) : config_(config) {}
  ~VramPagemap() override;

  OwnerGroup owner() const override { return config_.owner; }
  std::uint64_t page_bytes() const override { return config_.vram.page_bytes(); }
  std::uint64_t size_bytes() const override { return config_.vram.usage().total_bytes; }
  unsigned tile() const override { return config_.tile; }
  Result<DevmemAllocation*> allocate(std::uint64_t bytes, VramEffort effort) override;
  void release(DevmemAllocation& allocation) override;
  void moved_to_system(const DevmemAllocation& allocation, const MovedHome& moved) override;

  /// Brings every SVM page of this tile home (debug, tests, device removal).
  Status evict_all();
  std::size_t live_allocations() const;

 private:
  struct Record : boost::intrusive::slist_base_hook<> {
    explicit Record(VramClient& client) : block(client) {}
    DevmemAllocation allocation;
    VramBlock block;
  };

  Status evict_block(VramBlock& block) override;
  void block_unclaimed(VramBlock& block) override;
  static Record& record_of(VramBlock& block);
  Record* take_record();
  void recycle(Record& record);

  VramPagemapConfig config_;
  mutable LeafMutex lock_{"VramPagemap"};
  CondVar recycled_;
  std::vector<std::unique_ptr<Record>> records_ SX_GUARDED_BY(lock_);
  boost::intrusive::slist<Record> spare_ SX_GUARDED_BY(lock_);
};

}  // namespace softxe
