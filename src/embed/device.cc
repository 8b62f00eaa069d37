// Device, Buffer and the counters.
#include <algorithm>

#include "drv/check_config.h"
#include "embed/impl.h"

namespace softxe::api {
namespace {

ResetMode reset_mode(AttributeReset reset) {
  switch (reset) {
    case AttributeReset::kFlag: break;
    case AttributeReset::kAlways: return ResetMode::kAlways;
    case AttributeReset::kExact: return ResetMode::kExact;
  }
  return ResetMode::kFlag;
}

// The collector's thread is the engine's, whatever system calls its allocations make.
ThreadStarter marked_starter() {
  return [start = default_thread_starter()](std::function<void()> body) {
    return start([body = std::move(body)] {
      const EngineCall call;
      body();
    });
  };
}

constexpr std::uint32_t kSystemRegion = 1u;

}  // namespace

Result<std::uint64_t> read_counter(const CounterSet& counters, std::string_view name) {
  for (std::size_t i = 0; i < kCounterCount; ++i) {
    if (name == kCounterNames[i]) return counters.get(static_cast<Counter>(i));
  }
  return Error{ENOENT, "no counter of that name"};
}

// Pages leave VRAM before the device goes. Where one cannot, the device stays until the memory is
// gone.
Device::Impl::~Impl() {
  if (!device) return;
  const EngineCall call;
  const RequestScope asked(Request::kClose);
  bool empty = true;
  for (unsigned tile = 0; tile < device->vram_tiles(); ++tile) {
    if (!device->vram(tile).evict_all({})) empty = false;
  }
  if (empty) {
    device.reset();
    return;
  }
  std::lock_guard hold(process->graveyard_mutex);
  process->graveyard.push_back(std::move(device));
}

Result<Device> Device::create(const Process& process, const DeviceOptions& options) {
  const EngineCall call;
  auto profile = find_profile(options.profile);
  if (!profile) return to_api(profile.error());
  softxe::DeviceOptions inner;
  // Events say by a byte whose they are.
  inner.config = default_config(**profile, std::min(process.impl_->devices_made, 255u));
  if (options.vram_bytes != 0) {
    inner.config.vram_bytes = inner.config.visible_bytes = options.vram_bytes;
  }
  if (const auto allowed = check_config(inner.config); !allowed) return to_api(allowed.error());
  inner.reset = reset_mode(options.reset);
  inner.collector = options.collector == Collector::kThread ? GcWorker::Mode::kThread : GcWorker::Mode::kManual;
  inner.start_thread = marked_starter();
  auto impl = std::make_shared<Impl>();
  impl->process = process.impl_;
  auto made = softxe::Device::create(impl->process->host(), impl->process->migrate_lock, inner);
  if (!made) return to_api(made.error());
  impl->device = std::move(*made);
  ++process.impl_->devices_made;
  return Device(std::move(impl));
}

Result<Vm> Device::create_vm(const VmOptions& options) {
  const EngineCall call;
  const bool fault = options.mode == VmOptions::Mode::kFault;
  auto context = impl_->device->create_vm({.scratch = options.scratch == VmOptions::Scratch::kOn,
                                           .long_running = fault || options.mode == VmOptions::Mode::kLongRunning,
                                           .fault_mode = fault});
  if (!context) return to_api(context.error());
  auto impl = std::make_shared<Vm::Impl>();
  impl->device = impl_;
  impl->context = std::move(*context);
  return Vm(std::move(impl));
}

Result<Buffer> Device::create_buffer(std::uint64_t bytes, Placement placement) {
  const EngineCall call;
  const std::uint32_t all = impl_->device->profile().region_mask();
  GemCreateRequest request;
  request.size_bytes = align_up(bytes, kPageSize);
  if (bytes == 0 || request.size_bytes == 0) return Error{EINVAL, "a buffer has a size"};
  request.placement = placement == Placement::kSystem ? kSystemRegion
                      : placement == Placement::kVram ? all & ~kSystemRegion
                                                      : all;
  if (request.placement == 0) return Error{EINVAL, "the device has no VRAM"};
  auto bo = GemBo::create(impl_->device->bo_memory(), request, nullptr);
  if (!bo) return to_api(bo.error());
  auto impl = std::make_shared<Buffer::Impl>();
  impl->device = impl_;
  impl->bo = std::move(*bo);
  return Buffer(std::move(impl));
}

unsigned Device::tiles() const { return impl_->device->profile().tiles; }

void Device::set_atomic_residency_ns(std::uint64_t ns) { impl_->device->atomic_timeslice_ns() = ns; }

Status Device::evict_all() {
  const EngineCall call;
  const RequestScope asked(Request::kEvict);
  for (unsigned tile = 0; tile < impl_->device->vram_tiles(); ++tile) {
    if (softxe::Status done = impl_->device->vram(tile).evict_all({}); !done) {
      return to_api(done.error());
    }
  }
  return {};
}

Result<std::uint64_t> Device::counter(const char* name) const { return read_counter(impl_->device->counters(), name); }

const char* Device::counter_name(std::size_t index) { return index < kCounterCount ? kCounterNames[index] : nullptr; }

std::uint64_t Buffer::bytes() const { return impl_->bo->size_bytes(); }
void* Buffer::data() const { return impl_->bo->engine_mapping(); }
bool Buffer::in_vram() const { return impl_->bo->in_vram(); }

}  // namespace softxe::api
