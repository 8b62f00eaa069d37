// ScenarioWorld on the engine over a simulated process: what `softxe scenario` uses without --live.
// Device, VMs and engines are the real ones (drv/); only the process's memory is simulated.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "cli/scenario_world.h"
#include "drv/device.h"
#include "drv/gem_bo.h"
#include "drv/vm_ops.h"
#include "host/sim/sim_host_mm.h"
#include "hw/mmu_memory.h"

namespace softxe::scenario {

/// The `device` line's order= must be known when the process is made, so the machine starts with the
/// first device. One thread; the collector runs where a fault, an ioctl or a `gc` line runs it.
class SimWorld final : public ScenarioWorld {
 public:
  SimWorld() = default;
  ~SimWorld() override;

  std::string backend() const override { return "sim"; }

  Status device(const DeviceSpec& spec) override;
  Status vm_create(const VmSpec& spec) override;
  Status vm_destroy(const std::string& vm) override;
  Status bo_create(const BoSpec& spec) override;
  Status bind(const BindSpec& spec) override;
  Status madvise(const std::string& vm, Span span, const Attrs& attrs) override;
  Status prefetch(const std::string& vm, Span span, const std::optional<Place>& where) override;

  Status cpu_mmap(const std::string& process, const CpuMmap& call) override;
  Status cpu_munmap(const std::string& process, Span span) override;
  Status cpu_mremap(const std::string& process, const CpuMremap& call) override;
  Status cpu_mprotect(const std::string& process, Span span, Protection prot) override;
  Status cpu_madvise(const std::string& process, const CpuMadvise& call) override;
  Status cpu_mlock(const std::string& process, Span span) override;
  Status cpu_munlock(const std::string& process, Span span) override;
  Status cpu_fork(const std::string& process, const std::string& child) override;
  Status cpu_exit(const std::string& process) override;
  Result<std::uint64_t> cpu_read(const std::string& process, const Access& access) override;
  Status cpu_write(const std::string& process, const Access& access) override;
  Status cpu_fill(const std::string& process, Span span, std::uint8_t value) override;
  Status cpu_pin(std::uint64_t address) override;
  Status cpu_unpin(std::uint64_t address) override;

  Result<std::uint64_t> gpu_read(const GpuTarget& gpu, const Access& access) override;
  Status gpu_write(const GpuTarget& gpu, const Access& access) override;
  Result<std::uint64_t> gpu_atomic(const GpuTarget& gpu, const Access& access) override;
  Status gpu_copy(const GpuTarget& gpu, std::uint64_t to, Span from) override;
  Status gpu_fill(const GpuTarget& gpu, Span span, std::uint8_t value) override;

  Status evict(const std::optional<Span>& span) override;
  Status gc(const std::string& vm) override;
  Status sleep_ns(std::uint64_t ns) override;

  Result<std::vector<VmaInfo>> vmas(const std::string& vm) override;
  Result<std::vector<RangeInfo>> ranges(const std::string& vm) override;
  Result<PteInfo> pte(const GpuTarget& gpu, std::uint64_t address) override;
  Result<std::string> page(const std::string& process, std::uint64_t address) override;
  Result<std::uint64_t> counter(const std::string& name) override;
  Result<std::string> vm_state(const std::string& vm) override;
  Result<std::uint64_t> vm_size(const std::string& vm) override;
  Status check_invariants() override;

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
  struct Card {
    std::string name;
    std::unique_ptr<Device> device;
    std::unique_ptr<Faults> faults;
  };
  struct OpenVm {
    Card* card;
    std::shared_ptr<VmContext> context;
    std::map<unsigned, std::unique_ptr<EngineMemory>> engines;  ///< by tile
  };
  struct Engine {
    EngineMemory* memory;
    Faults* faults;
  };

  Result<Card*> find_card(const std::string& name);
  Result<OpenVm*> find_vm(const std::string& name);
  Result<Engine> find_engine(const GpuTarget& gpu);
  Result<Pid> find_pid(const std::string& process);
  Result<GpuRange> checked_range(const OpenVm& vm, Span span) const;
  Status run_bind(OpenVm& vm, const BindOp& op, std::shared_ptr<GemBo> bo);
  Result<PreferredLocation> preferred(OpenVm& vm, const Attrs& attrs);
  Result<Place> place_of(const OpenVm& vm, const PreferredLocation& location);
  Status advise(OpenVm& vm, GpuRange range, const Attrs& attrs);
  Status failed_access(const Engine& engine, const Status& access);

  ManualClock clock_;
  MigrateLock migrate_lock_{"migrate"};
  std::unique_ptr<SimHostMm> mm_;
  std::vector<std::unique_ptr<Card>> cards_;
  std::map<std::string, OpenVm> vms_;
  std::map<std::string, std::shared_ptr<GemBo>> bos_;
  std::map<std::string, Pid> processes_{{"", Pid::kMain}};
};

}  // namespace softxe::scenario
