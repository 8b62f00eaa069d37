#include "preload/device_files.h"

#include <sys/prctl.h>
#include <unistd.h>

#include "base/log.h"

namespace softxe::preload {

const CounterSet& PreloadDeviceFiles::gt_counters(std::uint16_t) const {
  // The engine counts per device: every GT shows the device's numbers.
  const CounterSet& now = device_.device().counters();
  for (std::size_t i = 0; i < kCounterCount; ++i)
    shown_.value[i].store(now.get(static_cast<Counter>(i)) - baseline_.value[i].load());
  return shown_set_;
}

void PreloadDeviceFiles::reset_gt_counters(std::uint16_t) {
  const CounterSet& now = device_.device().counters();
  for (std::size_t i = 0; i < kCounterCount; ++i) baseline_.value[i].store(now.get(static_cast<Counter>(i)));
}

GtIdle PreloadDeviceFiles::gt_idle(std::uint16_t gt) const {
  return {.idle = awake_.load() == 0 && device_.exec().gt_idle(gt),
          .residency_ms = device_.exec().clock().now_ns() / 1'000'000};
}

Status PreloadDeviceFiles::reset_gt(std::uint16_t gt, ResetWait) {
  // Who asked for it does not wait for its result, as in Linux.
  if (const Status done = device_.reset_gt(gt); !done) SX_INFO("gt{}: reset failed: {}", gt, done.error().why);
  return {};
}

EngineSettings PreloadDeviceFiles::engine_settings(std::uint16_t gt, EngineClass cls) const {
  Guard hold(lock_);
  return engines_.at(gt).at(static_cast<std::size_t>(cls));
}

void PreloadDeviceFiles::set_engine_settings(std::uint16_t gt, EngineClass cls, const EngineSettings& settings) {
  Guard hold(lock_);
  engines_.at(gt).at(static_cast<std::size_t>(cls)) = settings;
}

FrequencyLimits PreloadDeviceFiles::frequency_limits(std::uint16_t gt) const {
  Guard hold(lock_);
  return frequencies_.at(gt);
}

void PreloadDeviceFiles::set_frequency_limits(std::uint16_t gt, FrequencyLimits limits) {
  Guard hold(lock_);
  frequencies_.at(gt) = limits;
}

std::uint32_t PreloadDeviceFiles::atomic_timeslice_ms() const {
  return static_cast<std::uint32_t>(device_.device().atomic_timeslice_ns().load() / 1'000'000);
}

void PreloadDeviceFiles::set_atomic_timeslice_ms(std::uint32_t ms) {
  device_.device().atomic_timeslice_ns().store(std::uint64_t{ms} * 1'000'000);
}

RegionUse PreloadDeviceFiles::region_use(std::uint32_t region) const {
  if (region == 0 || region > device_.device().vram_tiles()) return {};
  const VramUsage usage = device_.device().vram(region - 1).usage();
  return {.used_bytes = usage.used_bytes, .visible_used_bytes = usage.used_visible_bytes};
}

Status PreloadDeviceFiles::bind() {
  SX_TRY_VOID(device_.bind());
  set_atomic_timeslice_ms(static_cast<std::uint32_t>(kAtomicTimesliceDefaultNs / 1'000'000));
  Guard hold(lock_);
  engines_ = {};
  frequencies_ = {};
  return {};
}

DeviceSettings PreloadDeviceFiles::settings() const {
  DeviceSettings now{.wedged_mode = wedged_mode(), .atomic_timeslice_ms = atomic_timeslice_ms()};
  now.power = power().settings();
  Guard hold(lock_);
  now.engines = engines_;
  now.frequencies = frequencies_;
  return now;
}

void PreloadDeviceFiles::inherit(const DeviceSettings& parents) {
  set_wedged_mode(parents.wedged_mode);
  set_atomic_timeslice_ms(parents.atomic_timeslice_ms);
  power().set(parents.power);
  Guard hold(lock_);
  engines_ = parents.engines;
  frequencies_ = parents.frequencies;
}

std::vector<DrmClient> PreloadDeviceFiles::clients() const {
  DrmClient self;
  char name[16] = {};
  prctl(PR_GET_NAME, name);
  self.command = name;
  self.pid = getpid();
  self.minor = device_.device().config().index;
  self.uid = getuid();
  return {self};
}

}  // namespace softxe::preload
