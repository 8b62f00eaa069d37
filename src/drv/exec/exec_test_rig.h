// For tests of this folder: a VM that is only a mode and two flags, and an engine that runs scripts.
//
// A "batch" is an address; what it does is looked up in FakeHardware::programs. Time is a ManualClock that
// every slice moves.
#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "base/clock.h"
#include "base/counters.h"
#include "drv/exec/device_exec.h"

namespace softxe::exec_test {

class FakeVm final : public ExecVm {
 public:
  explicit FakeVm(VmMode mode) : ExecVm(mode) {}
  bool closed() const override { return is_closed.load(); }
  bool banned() const override { return is_banned.load(); }
  std::atomic<bool> is_closed{false};
  std::atomic<bool> is_banned{false};
};

inline std::shared_ptr<FakeVm> make_vm(VmMode mode) { return std::make_shared<FakeVm>(mode); }

/// What one slice of a program says. Called on the engine's thread.
struct SliceView {
  EngineId engine;
  std::uint64_t run_time_ns = 0;
  const std::atomic<bool>& stop;
  std::uint64_t& progress;  ///< what the context has carried out so far
};
using Program = std::function<SliceEnd(const SliceView&)>;

class FakeContext final : public HwContext {
 public:
  void start_batch(GpuVa at) override { batch = at; }
  std::uint64_t progress() const override { return steps; }
  GpuVa batch;
  std::uint64_t steps = 0;
};

/// One event per batch slice and per ring store, in order. Thread-safe.
class FakeHardware final : public BackendFactory {
 public:
  std::unique_ptr<EngineBackend> make_engine(const EngineId& id) override;
  std::unique_ptr<HwContext> make_context(const EngineId&) override { return std::make_unique<FakeContext>(); }

  /// Set before use; a batch with no program ends at once.
  std::map<std::uint64_t, Program> programs;
  /// ManualClock tests: every slice takes this long.
  ManualClock* clock = nullptr;
  std::uint64_t slice_ns = 0;
  std::uint64_t bad_store = ~0ull;  ///< store64 there faults

  std::vector<std::string> log() {
    Guard hold(lock_);
    return log_;
  }
  void note(std::string line) {
    Guard hold(lock_);
    log_.push_back(std::move(line));
  }

 private:
  LeafMutex lock_{"FakeHardware"};
  std::vector<std::string> log_;
};

class FakeEngine final : public EngineBackend {
 public:
  FakeEngine(FakeHardware& hw, const EngineId& id) : hw_(hw), id_(id) {}
  SliceEnd run(HwContext& context, const ExecVmPtr&, const SliceLimits& limits,
               const std::atomic<bool>& stop) override {
    auto& fake = static_cast<FakeContext&>(context);
    const std::uint64_t batch = fake.batch.value();
    if (hw_.clock != nullptr) hw_.clock->advance_ns(hw_.slice_ns);
    auto program = hw_.programs.find(batch);
    const SliceEnd end =
        program == hw_.programs.end() ? SliceEnd::kDone : program->second({id_, limits.run_time_ns, stop, fake.steps});
    if (end == SliceEnd::kDone) hw_.note(fmt::format("batch {:#x}", batch));
    return end;
  }
  SliceEnd store64(const ExecVmPtr&, GpuVa at, std::uint64_t value) override {
    if (at.value() == hw_.bad_store) return SliceEnd::kFault;
    hw_.note(fmt::format("store {:#x}={}", at.value(), value));
    return SliceEnd::kDone;
  }

 private:
  FakeHardware& hw_;
  const EngineId id_;
};

inline std::unique_ptr<EngineBackend> FakeHardware::make_engine(const EngineId& id) {
  return std::make_unique<FakeEngine>(*this, id);
}

/// A device with fake hardware. Manual policy unless said otherwise.
struct Rig {
  explicit Rig(ExecPolicy policy = ExecPolicy::kManual, const DeviceProfile& profile = kProfileBmg)
      : exec({.profile = profile,
              .clock = policy == ExecPolicy::kManual ? static_cast<const Clock&>(manual) : steady,
              .counters = counters,
              .backends = hw,
              .policy = policy}) {
    if (policy == ExecPolicy::kManual) {
      hw.clock = &manual;
      hw.slice_ns = 1'000'000;
    }
  }

  ExecQueuePtr queue(const ExecVmPtr& vm, EngineClass cls = EngineClass::kCopy, unsigned mask = 1,
                     std::uint16_t width = 1, QueuePriority priority = QueuePriority::kNormal) {
    const bool media = cls == EngineClass::kVideoDecode || cls == EngineClass::kVideoEnhance;
    ExecQueueCreateRequest request;
    request.width = width;
    request.gt = media ? 1 : 0;
    request.placement = EnginePlacement{cls, mask};
    ExecQueueProperties properties;
    properties.priority = priority;
    return *exec.create_queue(request, properties, vm);
  }
  JobSyncs syncs(const std::vector<SyncEntry>& entries = {}) {
    JobSyncs out(syncobjs);
    for (const SyncEntry& entry : entries) EXPECT_TRUE(out.add(entry));
    return out;
  }
  Status submit(const ExecQueuePtr& queue, std::uint64_t batch, const std::vector<SyncEntry>& entries = {}) {
    return exec.submit(queue, std::vector<GpuVa>(queue->width(), GpuVa(batch)), syncs(entries));
  }
  /// EXEC with an out-syncobj; the fence it got.
  FencePtr run(const ExecQueuePtr& queue, std::uint64_t batch, std::vector<SyncEntry> entries = {}) {
    const SyncobjHandle out = *syncobjs.create(Syncobj::Initially::kEmpty);
    entries.push_back(SyncPlain{out, SyncDirection::kSignal});
    EXPECT_TRUE(submit(queue, batch, entries));
    return syncobjs.find(out)->head();
  }
  SyncEntry wait_for(const FencePtr& fence) {
    const SyncobjHandle handle = *syncobjs.create(Syncobj::Initially::kEmpty);
    syncobjs.find(handle)->replace(fence);
    return SyncPlain{handle, SyncDirection::kWait};
  }
  void drain(unsigned slices_max = 1000) {
    while (slices_max-- > 0 && exec.run_once()) {
    }
  }

  ManualClock manual;
  SteadyClock steady;
  CounterWords words;
  CounterSet counters{words};
  FakeHardware hw;
  SyncobjTable syncobjs;
  DeviceExec exec;
};

/// Waits for ever until the word equals `value`.
inline WaitUserFenceRequest wait_request(std::uint64_t value) {
  WaitUserFenceRequest request;
  request.value = value;
  request.mask = ~0ull;
  request.timeout_ns = -1;
  return request;
}

inline Program forever() {
  return [](const SliceView&) { return SliceEnd::kBudget; };
}

}  // namespace softxe::exec_test
