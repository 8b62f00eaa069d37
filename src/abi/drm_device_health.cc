// A card that does not serve any more: wedged, or its driver unbound (spec/uapi.md 1).
#include "abi/drm_device.h"
#include "base/log.h"

namespace softxe {

DeviceHealth DrmDevice::health(Binding opened_in) const {
  if (!bound_.load() || binding_.load() != opened_in) return DeviceHealth::kUnplugged;
  return wedged_.load() ? DeviceHealth::kWedged : DeviceHealth::kUsable;
}

// Before the queues end: who sees a fence of theirs sees a wedged device.
void DrmDevice::declare_wedged() {
  if (wedged_.exchange(true)) return;
  SX_INFO("device {} is wedged: bind its driver again", device_->config().index);
  exec_->reset_all();
}

Status DrmDevice::reset_gt(std::uint16_t gt) {
  if (reset_faults_.should_fail()) {
    if (wedged_mode_.load() != 0) declare_wedged();
    return fail(ECANCELED, "the reset was made to fail");
  }
  exec_->reset_gt(gt);
  return {};
}

Status DrmDevice::unbind() {
  if (!bound_.exchange(false)) return fail(ENODEV, "the driver is not bound to the device");
  exec_->reset_all();
  return {};
}

// What the driver knows of the card begins anew.
Status DrmDevice::bind() {
  if (bound_.load()) return fail(EBUSY, "the driver is bound to the device already");
  wedged_.store(false);
  wedged_mode_.store(1);
  for (const std::string_view name : {"probability", "space"})
    static_cast<void>(reset_faults_.write(*find_fault_attribute(name), "0"));
  power_.set({});
  binding_.fetch_add(1);
  bound_.store(true);
  return {};
}

}  // namespace softxe
