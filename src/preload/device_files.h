// DeviceFiles over a device of this process: what sysfs and debugfs show and change.
#pragma once

#include <array>
#include <atomic>
#include <vector>

#include "abi/drm_device.h"
#include "abi/vfs.h"

namespace softxe::preload {

/// What was written to sysfs and debugfs. A fork child goes on with its parent's.
struct DeviceSettings {
  std::uint32_t wedged_mode = 1;
  std::uint32_t atomic_timeslice_ms = 0;
  std::array<std::array<EngineSettings, kEngineClasses>, kGtsMax> engines{};
  std::array<FrequencyLimits, kGtsMax> frequencies{};
  PowerSettings power{};
};

/// Thread-safe. Counters and resets are the device's; settings are kept here, and begin as a fork's parent had them.
class PreloadDeviceFiles final : public DeviceFiles {
 public:
  explicit PreloadDeviceFiles(DrmDevice& device) : device_(device) {}

  const CounterSet& gt_counters(std::uint16_t gt) const override;
  void reset_gt_counters(std::uint16_t gt) override;
  GtIdle gt_idle(std::uint16_t gt) const override;
  Status reset_gt(std::uint16_t gt, ResetWait wait) override;
  EngineSettings engine_settings(std::uint16_t gt, EngineClass cls) const override;
  void set_engine_settings(std::uint16_t gt, EngineClass cls, const EngineSettings&) override;
  FrequencyLimits frequency_limits(std::uint16_t gt) const override;
  void set_frequency_limits(std::uint16_t gt, FrequencyLimits limits) override;
  std::uint32_t wedged_mode() const override { return device_.wedged_mode().load(); }
  void set_wedged_mode(std::uint32_t mode) override { device_.wedged_mode().store(mode); }
  std::uint32_t atomic_timeslice_ms() const override;
  void set_atomic_timeslice_ms(std::uint32_t ms) override;
  RegionUse region_use(std::uint32_t region) const override;
  std::vector<DrmClient> clients() const override;
  RuntimePm& power() const override { return device_.power(); }
  FaultAttributes& reset_faults() const override { return device_.reset_faults(); }
  Status unbind() override { return device_.unbind(); }
  /// Settings are those of a driver that has just come.
  Status bind() override;

  /// While a file of DynamicKind::kForcewake is open.
  void wake() {
    awake_.fetch_add(1);
    device_.power().get();
  }
  void let_sleep() {
    device_.power().put();
    awake_.fetch_sub(1);
  }

  DeviceSettings settings() const;
  void inherit(const DeviceSettings& parents);

 private:
  DrmDevice& device_;
  /// Device counters since the last reset: the words of the report are never set back.
  mutable CounterWords shown_;
  CounterSet shown_set_{shown_};
  CounterWords baseline_;
  std::atomic<std::uint32_t> awake_{0};  ///< open forcewake files
  mutable LeafMutex lock_{"PreloadDeviceFiles"};
  std::array<std::array<EngineSettings, kEngineClasses>, kGtsMax> engines_ SX_GUARDED_BY(lock_){};
  std::array<FrequencyLimits, kGtsMax> frequencies_ SX_GUARDED_BY(lock_){};
};

}  // namespace softxe::preload
