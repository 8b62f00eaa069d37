// The half of a ScenarioWorld that is the engine: devices, VMs, binds, GPU accesses, what can be seen of
// them. What the process's memory is made of is left to SimWorld and LiveWorld.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "base/event_tap.h"
#include "cli/scenario_queues.h"
#include "cli/scenario_world.h"
#include "drv/device.h"
#include "drv/gem_bo.h"
#include "drv/vm_ops.h"
#include "hw/eu/eu_launch.h"
#include "hw/mmu_memory.h"

namespace softxe::scenario {

/// Owns devices, VMs, buffer objects and one engine for each VM and tile. Collector passes run where a
/// fault, an ioctl or a `gc` line runs them. Statements may come from several threads where the world
/// says so; devices and VMs are made by one.
class EngineWorld : public ScenarioWorld {
 public:
  Status device(const DeviceSpec& spec) override;
  Status vm_create(const VmSpec& spec) override;
  Status vm_destroy(const std::string& vm) override;
  Status bo_create(const BoSpec& spec) override;
  Status bind(const BindSpec& spec) override;
  Status madvise(const std::string& vm, Span span, const Attrs& attrs) override;
  Status prefetch(const std::string& vm, Span span, const std::optional<Place>& where) override;

  Result<std::uint64_t> gpu_read(const GpuTarget& gpu, const Access& access) override;
  Status gpu_write(const GpuTarget& gpu, const Access& access) override;
  Result<std::uint64_t> gpu_atomic(const GpuTarget& gpu, const Access& access) override;
  Status gpu_copy(const GpuTarget& gpu, std::uint64_t to, Span from) override;
  Status gpu_fill(const GpuTarget& gpu, Span span, std::uint8_t value) override;
  Status gpu_kernel(const KernelSpec& kernel) override;

  Status queue_create(const QueueSpec& spec) override;
  Status queue_destroy(const std::string& queue) override;
  Status queue_priority(const std::string& queue, QueueRank rank) override;
  Status exec(const ExecSpec& spec) override;
  Status run(const std::optional<std::uint64_t>& slices) override;
  Status wait(const std::string& job) override;
  Result<std::string> job_state(const std::string& job) override;
  Result<std::string> queue_state(const std::string& queue) override;

  Status evict(const std::optional<Span>& span) override;
  Status gc(const std::string& vm) override;

  std::string plain_device(const std::string& vm) override;
  Result<std::vector<VmaInfo>> vmas(const std::string& vm) override;
  Result<std::vector<RangeInfo>> ranges(const std::string& vm) override;
  Result<PteInfo> pte(const GpuTarget& gpu, std::uint64_t address) override;
  Result<std::uint64_t> counter(const std::string& name) override;
  Result<std::string> vm_state(const std::string& vm) override;
  Result<std::uint64_t> vm_size(const std::string& vm) override;
  void set_checks(Checks checks) override { checks_ = checks; }
  Status check_invariants() override;
  Status check_at_rest() override;
  std::vector<Event> take_events() override;

 protected:
  struct Card {
    std::string name;
    std::unique_ptr<Device> device;
    std::unique_ptr<Queues> queues{};  ///< made with the first one
  };

  // --- for the backend ------------------------------------------------------------------------------
  /// A `device` option that is about the machine. EINVAL when the backend does not know it.
  virtual Status host_option(const std::string& key, const std::string& value) = 0;
  /// The machine; made with the first device.
  virtual Result<HostMm*> host() = 0;
  virtual const Clock& clock() const = 0;
  /// VRAM pressure on the allocations that have a page in `span`.
  virtual Status evict_pages(Span span) = 0;
  virtual void check_host() {}
  /// What starts collectors; empty: they run only where a fault, an ioctl or a `gc` line runs them.
  virtual ThreadStarter collectors() { return {}; }
  /// What starts engines of queues and late work; empty: they run in `run` and `wait` lines.
  virtual ThreadStarter engines() { return {}; }
  /// Waits until no thread of the machine counts any more.
  virtual void settle() {}

  /// For destructors of backends: VMs go first, then the process, then the devices.
  void close_vms();
  void close_devices() { cards_.clear(); }
  const std::vector<std::unique_ptr<Card>>& cards() const { return cards_; }
  /// vramN, NAME/vramN for another device than the first.
  Result<std::string> vram_name(const DevmemHeap* heap) const;
  /// The first invariant that a VM breaks. Nobody but the caller is at work in the engine.
  std::string broken_vm();
  /// Pages of tables and bytes of VRAM in use on all devices: none once VMs, objects and process are gone.
  std::string still_in_use() const;
  /// Whether a VM has dead ranges or unmapped intervals that no collector has dealt with.
  bool garbage_left() const;
  /// Where attributes in `span`, that of a range which has died, should have been reset and were not.
  std::string not_reset(std::uint32_t asid, Span span);
  /// Of those that are open.
  std::vector<std::string> vm_names() const;
  /// Smallest interval of whole SVM ranges with VRAM pages around `span`, over all VMs.
  Span around_vram_ranges(Span span);

 private:
  /// Serves faults like the device and remembers why the last one failed.
  class Faults final : public FaultSink {
   public:
    explicit Faults(Device& device) : device_(device) {}
    FaultReply page_fault(const PageFault& fault) override;
    void livelock(const PageFault& fault, std::uint64_t rounds) override;
    Error last{EFAULT, "the access failed without a fault"};

   private:
    Device& device_;
  };
  /// One access at a time, whoever asks for it.
  struct Engine {
    Engine(Device& device, const Clock& clock, unsigned tile, std::shared_ptr<VmContext> vm);
    const std::shared_ptr<VmContext> vm;                 ///< may be closed while the engine is at work
    Mutex<LockRank::kDrmFile> mutex{"scenario engine"};  // held across faults; no engine lock is held when it is taken
    Faults faults;
    EngineMemory memory;
    EuLauncher kernels;
  };
  struct OpenVm {
    Card* card;
    std::shared_ptr<VmContext> context;
    std::map<unsigned, std::shared_ptr<Engine>> engines;  ///< by tile
  };

  Status check_counters();
  Status check_events();
  Status store_code(const KernelSpec& kernel);
  Result<Queues*> queues_with(const std::string& queue);
  Result<Queues*> queues_with_job(const std::string& job);
  bool run_slice();
  Result<Card*> find_card(const std::string& name);
  Result<OpenVm*> find_vm(const std::string& name);
  Result<std::shared_ptr<Engine>> find_engine(const GpuTarget& gpu);
  Result<GpuRange> checked_range(const OpenVm& vm, Span span) const;
  Status run_bind(OpenVm& vm, const BindOp& op, std::shared_ptr<GemBo> bo);
  Result<PreferredLocation> preferred(OpenVm& vm, const Attrs& attrs);
  Result<Place> place_of(const OpenVm& vm, const PreferredLocation& location);
  Status advise(OpenVm& vm, GpuRange range, const Attrs& attrs);
  /// A failed access ends with the errno of the fault service.
  template <typename Access>
  Status on_engine(const GpuTarget& gpu, Access access) {
    SX_TRY(const std::shared_ptr<Engine> engine, find_engine(gpu));
    Guard lock(engine->mutex);
    Status done = access(engine->memory);
    if (done) return {};
    return fail(engine->faults.last);
  }

  Checks checks_ = Checks::kOn;
  std::unique_ptr<EventTap> tap_;  ///< from the first device on; goes last
  MigrateLock migrate_lock_{"migrate"};
  std::vector<std::unique_ptr<Card>> cards_;
  std::map<std::string, OpenVm> vms_;
  std::map<std::string, std::shared_ptr<GemBo>> bos_;
  std::mutex engines_mutex_;  // tables of engines; nothing happens while it is held
  std::string broken_;        ///< text of the invariant that check_invariants() found broken
};

}  // namespace softxe::scenario
