// ScenarioWorld on the engine over the memory of this very process: `softxe scenario --live`.
//
// The client's system calls go through LiveHostMm's hooks, its loads and stores are plain ones that a signal
// handler may break off; children are real processes. What only a simulation can do (notification order,
// pins, letting time pass without waiting) is refused with ENOTSUP: such scenarios say `only sim`.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "cli/scenario_engine_world.h"
#include "cli/scenario_live_world_client.h"
#include "host/live/live_host_mm.h"

namespace softxe::scenario {

/// Needs the full rung of live memory (host/live/uffd.h). Statements may come from several threads, but
/// `cpu mmap` and `cpu fork` from one at a time. Never maps over memory that it did not map itself.
class LiveWorld final : public EngineWorld {
 public:
  LiveWorld() { live_client::install_fault_handler(); }
  ~LiveWorld() override;

  std::string backend() const override { return "live"; }
  Parallel parallel() const override { return Parallel::kThreads; }

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

 private:
  Status host_option(const std::string& key, const std::string& value) override;
  Result<HostMm*> host() override;
  const Clock& clock() const override { return clock_; }
  Status evict_pages(Span span) override;
  void settle() override;

  Result<std::uint64_t> perform(const std::string& process, const live_client::Call& call);
  Status system_call(const std::string& process, long number, const std::array<long, 6>& args);
  /// From now on `span` is the scenario's. EEXIST: something else of this process stands there.
  Status claim(Span span);
  Result<std::string> vram_of(HostVa page);

  SteadyClock clock_;
  live::LiveOptions options_;
  live::LiveHostMm::Owner mm_;
  live_client::Children children_;
  std::vector<Span> ours_;  ///< disjoint; every address the scenario has mapped
};

}  // namespace softxe::scenario
