// ScenarioWorld on the engine over a simulated process: what `softxe scenario` uses without --live.
// Device, VMs and engines are the real ones (drv/); only the process's memory is simulated.
#pragma once

#include <map>
#include <memory>
#include <string>

#include "base/clock.h"
#include "cli/scenario_engine_world.h"
#include "host/sim/sim_host_mm.h"

namespace softxe::scenario {

/// The `device` line's order= must be known when the process is made, so the machine starts with the
/// first device. One thread.
class SimWorld : public EngineWorld {
 public:
  SimWorld() = default;
  ~SimWorld() override;

  std::string backend() const override { return "sim"; }

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

  Status sleep_ns(std::uint64_t ns) override;
  Result<std::string> page(const std::string& process, std::uint64_t address) override;

 protected:
  /// The machine; null before the first device.
  SimHostMm* machine() { return mm_.get(); }
  ManualClock& time() { return clock_; }
  /// The end of VMs, objects and all processes, in this order; the devices stay. Once.
  void end_all();

 private:
  Status host_option(const std::string& key, const std::string& value) override;
  Result<HostMm*> host() override;
  const Clock& clock() const override { return clock_; }
  Status evict_pages(Span span) override;
  void check_host() override;
  Result<Pid> find_pid(const std::string& process);

  ManualClock clock_;
  SimOptions options_;
  std::unique_ptr<SimHostMm> mm_;
  std::map<std::string, Pid> processes_{{"", Pid::kMain}};
};

}  // namespace softxe::scenario
