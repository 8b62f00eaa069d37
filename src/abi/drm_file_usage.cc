// What fdinfo shows of an open file: memory by region, busy time by engine class (spec/uapi.md 19).
#include <array>
#include <map>

#include "abi/drm_device.h"
#include "abi/query.h"
#include "abi/vfs.h"

namespace softxe {

bool DrmFile::has_work_on(const GemBo& bo) const {
  for (const auto& [id, vm] : vms_.all()) {
    if (!vm->context->vm.maps(bo)) continue;
    if (!vm->exec->jobs.pending().empty() || device_.exec().scheduler().busy(*vm->exec)) return true;
  }
  return false;
}

// System memory that holds an object's pages is the kernel's "gtt"; "system" is what was swapped out of VRAM.
void DrmFile::add_regions(FdinfoFacts& facts) const {
  static constexpr const char* kNames[] = {"system", "gtt", "vram0", "vram1"};
  enum { kEvicted, kGtt, kFirstVram };
  std::array<FdinfoRegion, 4> regions;
  for (std::size_t i = 0; i < regions.size(); ++i) regions[i].name = kNames[i];
  regions[kEvicted].purgeable_bytes = 0;
  for (const auto& bo : objects()) {
    const std::uint64_t bytes = bo->size_bytes();
    std::size_t region = (bo->placement() & 1) != 0 ? kGtt : kEvicted;
    if (bo->in_vram()) region = kFirstVram + ((bo->placement() & 2) != 0 ? 0 : 1);
    FdinfoRegion& r = regions[region];
    r.total_bytes += bytes;
    if (bo.use_count() > 2) r.shared_bytes += bytes;
    r.resident_bytes += bytes;
    if (has_work_on(*bo)) {
      r.active_bytes += bytes;
    } else if (region == kEvicted) {
      *r.purgeable_bytes += bytes;
    }
  }
  const std::size_t shown = kFirstVram + device_.device().vram_tiles();
  facts.regions.insert(facts.regions.end(), regions.begin(), regions.begin() + shown);
}

// A queue's time is that of its first position, times its width; what a destroyed queue used stays.
void DrmFile::add_engines(FdinfoFacts& facts) const {
  std::map<EngineClass, std::uint64_t> busy_ns;
  {
    Guard hold(retired_lock_);
    busy_ns = retired_ns_;
  }
  for (const auto& [id, queue] : queues_.all()) {
    if (!queue->is_bind_queue()) busy_ns[queue->engine_class()] += queue->run_time_ns() * queue->width();
  }
  std::map<EngineClass, std::uint32_t> count;
  const DeviceProfile& profile = device_.device().profile();
  for (const EngineFact& engine : profile.engines) ++count[engine.cls];
  const std::uint64_t now = device_.exec().clock().now_ns();
  const std::uint32_t hz = profile.gts.front().reference_clock_hz;
  for (const auto& [cls, capacity] : count) {
    facts.engines.push_back(
        {.cls = cls, .cycles = cycles_at(busy_ns[cls], hz), .total_cycles = cycles_at(now, hz), .capacity = capacity});
  }
}

void DrmFile::retire(const ExecQueue& queue) {
  if (queue.is_bind_queue()) return;
  Guard hold(retired_lock_);
  retired_ns_[queue.engine_class()] += queue.run_time_ns() * queue.width();
}

FdinfoFacts DrmFile::usage() const {
  FdinfoFacts facts;
  facts.device = device_index_;
  facts.client_id = client_id_;
  add_regions(facts);
  add_engines(facts);
  return facts;
}

}  // namespace softxe
