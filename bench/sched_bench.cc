// What the scheduler costs for one slice, over engines that do nothing: queues without a group, and members of a
// multi-queue group that take turns (docs/BENCH.md).
#include <cstdio>
#include <functional>
#include <memory>
#include <vector>

#include "base/clock.h"
#include "base/counters.h"
#include "bench/report.h"
#include "drv/exec/device_exec.h"

namespace softxe::bench {
namespace {

constexpr unsigned kQueues = 16;
constexpr unsigned kSlices = 20'000;
constexpr unsigned kRounds = 30;

class BenchVm final : public ExecVm {
 public:
  BenchVm() : ExecVm(VmMode::kFault) {}
  bool closed() const override { return false; }
  bool banned() const override { return false; }
};

class BenchContext final : public HwContext {
 public:
  void start_batch(GpuVa) override {}
  std::uint64_t progress() const override { return steps; }
  std::uint64_t steps = 0;
};

/// Every slice does a little and ends as it is told.
class BenchEngine final : public EngineBackend {
 public:
  explicit BenchEngine(const SliceEnd& end) : end_(end) {}
  SliceEnd run(HwContext& context, const ExecVmPtr&, const SliceLimits&, const std::atomic<bool>&) override {
    static_cast<BenchContext&>(context).steps += 1;
    return end_;
  }
  SliceEnd store64(const ExecVmPtr&, GpuVa, std::uint64_t) override { return SliceEnd::kDone; }

 private:
  const SliceEnd& end_;
};

class BenchHardware final : public BackendFactory {
 public:
  std::unique_ptr<EngineBackend> make_engine(const EngineId&) override { return std::make_unique<BenchEngine>(end); }
  std::unique_ptr<HwContext> make_context(const EngineId&) override { return std::make_unique<BenchContext>(); }
  SliceEnd end = SliceEnd::kBudget;
};

enum class Kind { kPlain, kGroup, kGroupWithHigh };

/// One copy engine, `kQueues` queues with an endless batch each.
struct Machine {
  explicit Machine(Kind kind)
      : exec({.profile = kProfileCri,
              .clock = clock,
              .counters = counters,
              .backends = hardware,
              .policy = ExecPolicy::kManual}) {
    const auto vm = std::make_shared<BenchVm>();
    const SyncobjTable none;
    for (unsigned i = 0; i < kQueues; ++i) {
      ExecQueueCreateRequest request;
      request.width = 1;
      request.placement = EnginePlacement{EngineClass::kCopy, 1};
      ExecQueueProperties properties;
      properties.group_primary = kind != Kind::kPlain && i == 0;
      if (kind == Kind::kGroupWithHigh && i % 4 == 3) properties.group_priority = QueuePriority::kHigh;
      const bool joins = kind != Kind::kPlain && i != 0;
      queues.push_back(*exec.create_queue(request, properties, vm, joins ? queues.front() : nullptr));
      static_cast<void>(exec.submit(queues.back(), {GpuVa(0x1000)}, JobSyncs(none)));
    }
  }
  ~Machine() { exec.shut_down(); }

  std::uint64_t slices(SliceEnd end) {
    hardware.end = end;
    const std::uint64_t began = now_ns();
    for (unsigned i = 0; i < kSlices; ++i) exec.run_once();
    return now_ns() - began;
  }

  ManualClock clock;
  CounterWords words;
  CounterSet counters{words};
  BenchHardware hardware;
  DeviceExec exec;
  std::vector<ExecQueuePtr> queues;
};

void run(Report& report) {
  if (!report.wanted("sched")) return;
  Machine plain(Kind::kPlain), group(Kind::kGroup), high(Kind::kGroupWithHigh);
  Best preempted, waits, member_goes_on, member_switch, high_switch;
  for (unsigned round = 0; round < kRounds; ++round) {
    preempted.add(plain.slices(SliceEnd::kBudget));
    member_goes_on.add(group.slices(SliceEnd::kBudget));
    waits.add(plain.slices(SliceEnd::kYield));
    member_switch.add(group.slices(SliceEnd::kYield));
    high_switch.add(high.slices(SliceEnd::kYield));
  }
  report.add({.path = "a slice; 16 queues without a group, preempted",
              .against = "",
              .ours = preempted.per(kSlices),
              .judge = Judge::kShown});
  report.add({.path = "a slice; 16 members of a group, one goes on",
              .against = "16 queues without a group",
              .ours = member_goes_on.per(kSlices),
              .bare = preempted.per(kSlices),
              .goal = 2});
  report.add({.path = "a switch inside a group of 16, at a semaphore",
              .against = "16 queues without a group that wait",
              .ours = member_switch.per(kSlices),
              .bare = waits.per(kSlices),
              .goal = 2});
  report.add({.path = "the same, four of them with high priority",
              .against = "16 queues without a group that wait",
              .ours = high_switch.per(kSlices),
              .bare = waits.per(kSlices),
              .goal = 3});
}

}  // namespace
}  // namespace softxe::bench

int main(int argc, char** argv) {
  softxe::bench::Report report(argc, argv);
  softxe::bench::run(report);
  return 0;
}
