#include "abi/drm_device.h"
#include "drv/exec/hw_backend.h"

namespace softxe {

namespace {

HwOptions hardware_options(unsigned index, const ProcessOptions& options) {
  HwOptions hardware;
  hardware.eu_threads = options.policy == ExecPolicy::kManual ? 1 : options.eu_threads;
  hardware.starter = options.start_thread;
  if (options.kernel_failed) {
    hardware.kernel_failed = [index, tell = options.kernel_failed](const KernelFailure& failure) {
      tell(index, failure);
    };
  }
  return hardware;
}

}  // namespace

DrmDevice::DrmDevice(std::unique_ptr<Device> device, unsigned index, const ProcessOptions& options)
    : device_(std::move(device)), power_(device_->host().clock()), limits_{.profile = &device_->profile()} {
  backends_ = std::make_unique<HwBackendFactory>(*device_, hardware_options(index, options));
  exec_ = std::make_unique<DeviceExec>(DeviceExec::Config{.profile = device_->profile(),
                                                          .clock = device_->host().clock(),
                                                          .counters = device_->counters(),
                                                          .backends = *backends_,
                                                          .policy = options.policy,
                                                          .starter = options.start_thread,
                                                          .hung = [this] {
                                                            if (wedged_mode_.load() == 2) declare_wedged();
                                                          }});
}

DrmDevice::~DrmDevice() { exec_->shut_down(); }

void DrmDevice::remember(const std::shared_ptr<GemBo>& bo) {
  bo->set_mmap_offset(device_->take_mmap_offset(bo->size_bytes()));
  Guard hold(lock_);
  std::erase_if(offsets_, [](const auto& entry) { return entry.second.expired(); });
  offsets_[bo->mmap_offset()] = bo;
}

std::shared_ptr<GemBo> DrmDevice::bo_at_offset(std::uint64_t offset) {
  Guard hold(lock_);
  auto it = offsets_.find(offset);
  return it == offsets_.end() ? nullptr : it->second.lock();
}

std::shared_ptr<GemBo> DrmDevice::find_bo(const std::function<bool(const GemBo&)>& is_it) {
  Guard hold(lock_);
  for (const auto& [offset, weak] : offsets_)
    if (auto bo = weak.lock(); bo != nullptr && is_it(*bo)) return bo;
  return nullptr;
}

Result<std::shared_ptr<GemBo>> DrmDevice::inherited(const std::shared_ptr<GemBo>& parents, const void* private_to) {
  {
    Guard hold(lock_);
    const auto known = inherited_.find(parents.get());
    if (known != inherited_.end())
      if (auto bo = known->second.lock(); bo != nullptr) return bo;
  }
  SX_TRY(auto bo, GemBo::inherit(device_->bo_memory(), *parents, private_to));
  bo->set_mmap_offset(parents->mmap_offset());
  Guard hold(lock_);
  inherited_[parents.get()] = bo;
  offsets_[bo->mmap_offset()] = bo;
  return bo;
}

std::uint32_t DrmDevice::flink(const std::shared_ptr<GemBo>& bo) {
  Guard hold(lock_);
  std::uint32_t name = 1;
  for (const auto& [taken, weak] : names_) {
    if (weak.lock() == bo) return taken;
    if (taken == name && !weak.expired()) ++name;
  }
  names_[name] = bo;
  return name;
}

std::shared_ptr<GemBo> DrmDevice::by_name(std::uint32_t name) {
  Guard hold(lock_);
  auto it = names_.find(name);
  return it == names_.end() ? nullptr : it->second.lock();
}

DrmDevice::Names DrmDevice::names() {
  Names live;
  Guard hold(lock_);
  for (const auto& [name, weak] : names_) {
    if (auto bo = weak.lock()) live[name] = std::move(bo);
  }
  return live;
}

// A name is worth what the handles to its object are: where none was inherited, nobody can open it.
void DrmDevice::inherit_names(const Names& parents) {
  Guard hold(lock_);
  for (const auto& [name, bo] : parents) {
    const auto mine = inherited_.find(bo.get());
    if (mine != inherited_.end()) names_[name] = mine->second;
  }
}

void DrmProcess::settle() {
  for (const auto& device : devices_) {
    WaitContext wait = device->wait_context();
    wait.signalled = options_.signalled;
    if (device->exec().settle(wait) == Scheduler::Settled::kNo) return;
  }
}

Result<std::unique_ptr<DrmProcess>> DrmProcess::create(HostMm& host, const ProcessOptions& options) {
  SX_ASSERT(options.profile != nullptr && options.fds != nullptr);
  std::unique_ptr<DrmProcess> process(new DrmProcess(options));
  for (unsigned index = 0; index < options.device_count; ++index) {
    DeviceOptions device;
    device.config = default_config(*options.profile, index);
    if (options.vram_bytes != 0) {
      device.config.vram_bytes = options.vram_bytes;
      device.config.visible_bytes = options.vram_bytes;
    }
    if (options.visible_bytes != 0) device.config.visible_bytes = options.visible_bytes;
    device.reset = options.reset;
    device.start_thread = options.start_thread;
    device.collector = options.policy == ExecPolicy::kManual ? GcWorker::Mode::kManual : options.collector;
    if (options.counters != nullptr) device.counters = &options.counters[index];
    if (options.vram_peak_bytes) device.vram_peak_bytes = options.vram_peak_bytes(index);
    if (options.vm_counters) {
      device.vm_counters = [make = options.vm_counters, index](std::uint32_t asid) { return make(index, asid); };
    }
    SX_TRY(auto made, Device::create(host, process->migrate_lock_, device));
    process->devices_.push_back(std::make_unique<DrmDevice>(std::move(made), index, options));
  }
  return process;
}

}  // namespace softxe
