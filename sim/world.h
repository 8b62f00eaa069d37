// The engine over the simulated process, and the model, side by side: one operation done to both, then
// everything that can be seen compared.
#pragma once

#include <array>
#include <map>
#include <memory>
#include <string>

#include "base/clock.h"
#include "base/step.h"
#include "drv/device.h"
#include "drv/vm_ops.h"
#include "host/sim/sim_host_mm.h"
#include "hw/mmu_memory.h"
#include "sim/workload.h"

namespace softxe::sim {

/// Single-threaded; one at a time (it owns the step hook while an interleaved operation runs).
class World {
 public:
  explicit World(const Config& config);
  ~World();
  World(const World&) = delete;
  World& operator=(const World&) = delete;

  /// Does it and compares; empty when all is as it must be.
  std::string run(const Op& op);
  /// Reads every word of every process through the CPU.
  std::string sweep();

 private:
  class Faults final : public FaultSink {
   public:
    explicit Faults(Device& device) : device_(device) {}
    FaultReply page_fault(const PageFault& fault) override;
    void livelock(const PageFault&, std::uint64_t) override { err = EIO; }
    int err = 0;
    unsigned served = 0;

   private:
    Device& device_;
  };
  class Interleaved;

  // doing (world.cc)
  std::string do_op(const Op& op);
  std::string cpu_call(const Op& op);
  std::string cpu_access(const Op& op);
  std::string fork_or_exit(const Op& op);
  std::string gpu_access(const Op& op);
  std::string gpu_outcome(const Op& op, const Status& done, std::uint64_t got, bool disturbed);
  std::string driver_call(const Op& op);
  Status bind(const BindOp& op);
  void advise(const Op& op);
  std::uint64_t& model_word(std::uint64_t at, std::size_t process = 0);

  // comparing (checker.cc)
  std::string compare();
  std::string compare_vmas();
  std::string compare_ranges();
  std::string compare_pages();
  std::string compare_page(std::uint64_t at);
  std::string compare_vram();
  std::string compare_counters();
  std::vector<ModelVma> engine_vmas();
  std::map<std::uint64_t, ModelRange> engine_ranges();

  const Config config_;
  ManualClock clock_;
  SimHostMm mm_;
  MigrateLock migrate_lock_{"migrate"};
  std::unique_ptr<Device> device_;
  std::shared_ptr<VmContext> vm_;
  std::unique_ptr<Faults> faults_;
  std::unique_ptr<EngineMemory> gpu_;
  std::unique_ptr<Model> model_;
  std::map<unsigned, std::pair<Pid, std::size_t>> processes_;  ///< by name: in the machine, in the model
  std::array<std::uint64_t, kCounterCount> counters_{};
  bool rebound_ = false;  ///< a mirror was bound over a mirror
};

}  // namespace softxe::sim
