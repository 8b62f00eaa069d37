// What stands behind the handles of include/softxe/softxe.h. Each object owns what it stands on, so
// that a program may drop its handles in any order: Engine -> Vm -> Device -> Process.
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/event_tap.h"
#include "drv/device.h"
#include "drv/vm_ops.h"
#include "embed/hooks.h"
#include "host/live/live_host_mm.h"
#include "host/sim/sim_host_mm.h"
#include "hw/cs/cs_streamer.h"
#include "hw/cs/engine_cs_memory.h"
#include "hw/eu/eu_launch.h"
#include "hw/mmu_memory.h"
#include "softxe/softxe.h"
#include "svm/madvise.h"

namespace softxe::api {

inline Error to_api(const softxe::Error& error) { return {error.err, error.why}; }
inline Status to_api(const softxe::Status& status) { return status ? Status{} : Status{to_api(status.error())}; }

/// By name; ENOENT.
Result<std::uint64_t> read_counter(const CounterSet& counters, std::string_view name);

struct Process::Impl {
  Impl() = default;
  ~Impl();
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;

  HostMm& host() { return sim ? static_cast<HostMm&>(*sim) : *live; }
  const Clock& clock() const { return sim ? static_cast<const Clock&>(manual_clock) : steady_clock; }

  ManualClock manual_clock;
  SteadyClock steady_clock;
  std::unique_ptr<EventTap> events;  ///< from the first reader on; goes when nothing is left that could emit
  std::uint32_t devices_made = 0;
  std::unique_ptr<SimHostMm> sim;  ///< exactly one of the two
  live::LiveHostMm::Owner live;
  bool hooked = false;
  MigrateLock migrate_lock{"migrate"};

  /// Devices whose pages could not all go home; they outlive the process's memory.
  std::mutex graveyard_mutex;
  std::vector<std::unique_ptr<softxe::Device>> graveyard;
};

/// Word of the task that a call of the program is (docs/TRACE.md 1).
enum class Request : std::uint64_t { kBind = 1, kAdvise, kCollect, kLook, kEvict, kClose };

/// While it lives, what happens is because the program called the library.
class RequestScope {
 public:
  explicit RequestScope(Request what)
      : scope_(emit({.word = static_cast<std::uint64_t>(what), .kind = EventKind::kTask})) {}

 private:
  const EventScope scope_;
};

struct Device::Impl {
  ~Impl();
  std::shared_ptr<Process::Impl> process;
  std::unique_ptr<softxe::Device> device;
};

struct Buffer::Impl {
  std::shared_ptr<Device::Impl> device;
  std::shared_ptr<GemBo> bo;
};

struct Vm::Impl {
  ~Impl();
  softxe::Vm& vm() { return context->vm; }
  Result<GpuRange> checked(Range range) const;
  Status check_fault_mode() const;
  Status bind(Range range, BindOp op, std::shared_ptr<GemBo> bo = nullptr);
  Status advise(Range range, const Advice& advice);

  std::shared_ptr<Device::Impl> device;
  std::shared_ptr<VmContext> context;
};

/// Serves faults as the device does, and remembers why the last one was refused.
class ReasonedFaults final : public FaultSink {
 public:
  explicit ReasonedFaults(softxe::Device& device) : device_(device) {}
  FaultReply page_fault(const PageFault& fault) override;
  void livelock(const PageFault& fault, std::uint64_t rounds) override;
  Status refused(const softxe::Error& error) const;

 private:
  softxe::Device& device_;
  softxe::Error last_{EFAULT, "the access failed without a fault"};
};

struct Engine::Impl {
  Impl(std::shared_ptr<Vm::Impl> of, unsigned tile);
  ~Impl();
  template <typename Access>
  Status access(Access run) {
    const EngineCall call;
    const EventScope accesses(emit({.kind = EventKind::kGpuAccess}));
    const softxe::Status done = run(memory);
    return done ? Status{} : faults.refused(done.error());
  }
  Status run_commands(std::uint32_t commands_max);
  Status run_threads(std::uint64_t instructions_max);

  std::shared_ptr<Vm::Impl> vm;
  ReasonedFaults faults;
  EngineMemory memory;
  EngineCsMemory streamer_memory;
  CsEngine streamer;
  CsContext commands;
  EuLauncher kernels;
};

}  // namespace softxe::api
