// The engine over the simulated process, and the model, side by side: one operation done to both,
// then everything that can be seen compared.
//
//   world.cc    construction, the client's operations, GPU accesses
//   driver.cc   binds, advice, prefetch, eviction, collection
//   checker.cc  what is compared after each
#pragma once

#include <array>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/event_tap.h"
#include "base/step.h"
#include "drv/device.h"
#include "drv/vm_ops.h"
#include "host/sim/sim_host_mm.h"
#include "hw/mmu_memory.h"
#include "sim/kernel_access.h"
#include "sim/workload.h"
#include "svm/self_check.h"

namespace softxe::sim {

/// Makes the n-th step fail while it stands, and notes which ones did.
class FailingStep final : public StepHook {
 public:
  FailingStep(const Op& op, Happened& happened) : op_(op), happened_(happened) {
    if (op.fail_nth != 0) set_step_hook(this);
  }
  ~FailingStep() override {
    if (op_.fail_nth != 0) set_step_hook(nullptr);
  }
  Status on_step(StepSite& site, bool may_fail) override;
  bool fired() const { return !happened_.failed.empty(); }

 private:
  const Op& op_;
  Happened& happened_;
  unsigned seen_ = 0;
  std::map<std::string_view, std::uint64_t> by_name_;
};

/// Single-threaded; one at a time (it owns the step hook while an operation runs).
class World {
 public:
  /// `on_happened` hears of what the current operation does, the moment it does it.
  explicit World(const Config& config, std::function<void(const Happened&)> on_happened = {});
  ~World();
  World(const World&) = delete;
  World& operator=(const World&) = delete;

  /// Does it and compares; empty when all is as it must be.
  std::string run(const Op& op);
  /// Reads every word of every process through the CPU.
  std::string sweep();
  /// The model's view as scenario lines, so that a file fails where this run did.
  std::string expectations() const;

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
  struct Card {
    std::unique_ptr<Device> device;
    std::unique_ptr<Faults> faults;
    std::array<std::uint64_t, kCounterCount> counters{};
  };
  struct Object {
    std::shared_ptr<GemBo> bo;
    ModelBo model;
  };
  struct OpenVm {
    unsigned card = 0;
    std::shared_ptr<VmContext> context{};
    std::vector<std::unique_ptr<EngineMemory>> engines{};  ///< by tile
    std::vector<std::unique_ptr<KernelAccess>> kernels{};  ///< on them
    std::unique_ptr<Model> model{};
    bool banned() const { return context->vm.banned(); }
  };

  // doing (world.cc)
  std::string do_op(const Op& op);
  std::string cpu_call(const Op& op);
  std::string cpu_access(const Op& op);
  std::string fork_or_exit(const Op& op);
  std::string gpu_access(const Op& op);
  std::string gpu_outcome(const Op& op, OpenVm& vm, const Status& done, std::uint64_t got);
  Words* words_at(OpenVm& vm, std::uint64_t at);
  Model::Populated populated_before(const Op& op, OpenVm& vm);

  // doing (driver.cc)
  void open_vm(unsigned name, bool autoreset);
  void close_vm(OpenVm& vm);
  std::string driver_call(const Op& op);
  std::string request(const Op& op);
  std::string evict(const Op& op);
  std::string collect(const Op& op);
  int ask_model(const Op& op, Model& model);
  int ask_engine(const Op& op, OpenVm& vm);
  int bind(OpenVm& vm, const BindOp& op, std::shared_ptr<GemBo> bo);
  void settle(OpenVm& vm);

  // comparing (checker.cc)
  std::string compare();
  std::string compare_vm(OpenVm& vm);
  std::string compare_vmas(OpenVm& vm);
  std::string compare_ranges(OpenVm& vm);
  std::string compare_memory();
  std::string compare_table(OpenVm& vm, unsigned tile);
  std::string compare_pte(OpenVm& vm, std::uint64_t at, const Translation* pte, unsigned tile);
  std::string compare_vram(Card& card);
  std::string compare_counters(Card& card);
  std::string compare_events();
  std::vector<ModelVma> engine_vmas(OpenVm& vm);
  std::map<std::uint64_t, ModelRange> engine_ranges(OpenVm& vm);

  const Config config_;
  ManualClock clock_;
  EventTap tap_{clock_, EventStream::Threads::kUnnumbered};
  SimHostMm mm_;
  MigrateLock migrate_lock_{"migrate"};
  std::vector<Card> cards_;
  std::array<Object, kBos> objects_;
  ModelClient client_;
  std::vector<OpenVm> vms_;
  std::map<unsigned, std::pair<Pid, std::size_t>> processes_;  ///< by name: in the machine, in the model
  std::vector<SimHostMm::Peeked> pages_;                       ///< of process 0, by page of the space
  Happened happened_;
  std::uint64_t steps_ = 0;
  std::uint64_t bad_page_ = 0;  ///< where contents differ
};

}  // namespace softxe::sim
