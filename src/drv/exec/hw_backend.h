// HwBackendFactory: the real hardware of one device: MMU, TLB and command streamer per engine, execution units of those
// that have some.
//
// Seam: engine_backend.h. Below: hw_units.h, hw/mmu_memory.h, hw/cs/cs_streamer.h.
#pragma once

#include <memory>

#include "drv/device.h"
#include "drv/exec/context_vm.h"
#include "drv/exec/engine_backend.h"
#include "drv/exec/hw_units.h"

namespace softxe {

/// Makes engines that work in the VMs of `device`, which outlives them.
class HwBackendFactory final : public BackendFactory {
 public:
  explicit HwBackendFactory(Device& device, HwOptions options = {}) : device_(device), options_(std::move(options)) {}
  std::unique_ptr<EngineBackend> make_engine(const EngineId& id) override;
  std::unique_ptr<HwContext> make_context(const EngineId& first_engine) override;

 private:
  Device& device_;
  const HwOptions options_;
  EuThreadIds thread_ids_;
};

}  // namespace softxe
