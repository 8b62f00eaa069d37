// Vm: binds, advice, and what can be seen of an address space.
#include "embed/impl.h"

namespace softxe::api {
namespace {

AtomicAccess to_engine(Atomics atomics) {
  switch (atomics) {
    case Atomics::kUndefined: break;
    case Atomics::kDevice: return AtomicAccess::kDevice;
    case Atomics::kGlobal: return AtomicAccess::kGlobal;
    case Atomics::kCpu: return AtomicAccess::kCpu;
  }
  return AtomicAccess::kUndefined;
}

Atomics to_api(AtomicAccess access) {
  switch (access) {
    case AtomicAccess::kUndefined: break;
    case AtomicAccess::kDevice: return Atomics::kDevice;
    case AtomicAccess::kGlobal: return Atomics::kGlobal;
    case AtomicAccess::kCpu: return Atomics::kCpu;
  }
  return Atomics::kUndefined;
}

VmaInfo::Kind to_api(VmaKind kind) {
  switch (kind) {
    case VmaKind::kBo: return VmaInfo::Kind::kBuffer;
    case VmaKind::kNull: return VmaInfo::Kind::kNull;
    case VmaKind::kUserptr: return VmaInfo::Kind::kUserptr;
    case VmaKind::kMirror: break;
  }
  return VmaInfo::Kind::kMirror;
}

Range to_api(const GpuRange& range) { return {range.start().value(), range.size()}; }

/// Only places on the VM's own device can be advised through this interface.
constexpr std::int32_t kOwnDevice = 1;

Location location_of(softxe::Device& device, const PreferredLocation& preferred) {
  if (preferred.devmem_fd == kPreferDefaultSystem) return {Location::Kind::kSystem, 0};
  for (unsigned tile = 0; tile < device.vram_tiles(); ++tile) {
    if (preferred.pagemap.get() == device.pagemap(tile).get()) return {Location::Kind::kVram, tile};
  }
  return {};
}

}  // namespace

Vm::Impl::~Impl() {
  const EngineCall call;
  const RequestScope asked(Request::kClose);
  if (context) device->device->close_vm(context);
}

Result<GpuRange> Vm::Impl::checked(Range range) const {
  if (!is_aligned(range.start, kPageSize) || !is_aligned(range.bytes, kPageSize)) {
    return Error{EINVAL, "the interval is not page aligned"};
  }
  auto made = GpuRange::make(GpuVa(range.start), range.bytes);
  if (!made) return api::to_api(made.error());
  if (made->end().value() > context->vm.size_bytes()) return Error{EINVAL, "the interval leaves the VM"};
  return *made;
}

Status Vm::Impl::bind(Range range, BindOp op, std::shared_ptr<GemBo> bo) {
  const EngineCall call;
  auto inside = checked(range);
  if (!inside) return inside.error();
  const RequestScope asked(Request::kBind);
  softxe::Device& dev = *device->device;
  dev.flush_collector(*context);
  op.range = {inside->start(), inside->size()};
  op.pat_index = dev.profile().picks.write_back;
  const ResolvedBind resolved{.op = std::move(op), .range = *inside, .bo = std::move(bo)};
  return api::to_api(vm_bind(dev, *context, std::span(&resolved, 1), BindRun::kExecute));
}

// The decoder of ioctls says no to these before they come here.
Status Vm::Impl::check_fault_mode() const {
  return context->svm ? Status{} : Status{Error{EINVAL, "the VM is not in fault mode"}};
}

Status Vm::Impl::advise(Range range, const Advice& advice) {
  const EngineCall call;
  if (Status usable = check_fault_mode(); !usable) return usable;
  auto inside = checked(range);
  if (!inside) return inside.error();
  const RequestScope asked(Request::kAdvise);
  device->device->flush_collector(*context);
  auto done = madvise(*context, *inside, advice);
  return done ? Status{} : Status{api::to_api(done.error())};
}

std::uint64_t Vm::bytes() const { return impl_->vm().size_bytes(); }
unsigned Vm::tiles() const { return impl_->vm().config().tile_count; }

// --- binds --------------------------------------------------------------------------------------------------------

Status Vm::bind_mirror(Range range, const MirrorOptions& options) {
  if (Status usable = impl_->check_fault_mode(); !usable) return usable;
  const auto reset = options.autoreset == AutoReset::kOn ? softxe::AutoReset::kOn : softxe::AutoReset::kOff;
  BindOp op;
  op.read_only = options.access == Access::kReadOnly;
  op.what = BindMap{.backing = BindMirror{reset}};
  return impl_->bind(range, std::move(op));
}

Status Vm::bind_buffer(Range range, const Buffer& buffer, std::uint64_t offset_bytes) {
  const std::uint64_t size = buffer.bytes();
  if (!is_aligned(offset_bytes, kPageSize) || offset_bytes > size || range.bytes > size - offset_bytes) {
    return Error{EINVAL, "the interval leaves the buffer"};
  }
  if (buffer.impl_->device != impl_->device) return Error{EXDEV, "the buffer is of another device"};
  BindOp op;
  op.what = BindMap{.backing = BindBo{.handle = GemHandle{1}, .offset = offset_bytes}};
  return impl_->bind(range, std::move(op), buffer.impl_->bo);
}

Status Vm::bind_null(Range range) {
  BindOp op;
  op.what = BindMap{.backing = BindNull{}};
  return impl_->bind(range, std::move(op));
}

Status Vm::unbind(Range range) {
  BindOp op;
  op.what = BindUnmap{};
  return impl_->bind(range, std::move(op));
}

Status Vm::prefetch(Range range, Location to) {
  BindPrefetch what;
  if (to.kind == Location::Kind::kVram) {
    if (to.tile >= impl_->device->device->vram_tiles()) return Error{EINVAL, "no VRAM of that tile"};
    what.region = to.tile + 1;
  }
  if (to.kind == Location::Kind::kSystem) what.region = 0;
  BindOp op;
  op.what = what;
  return impl_->bind(range, std::move(op));
}

// --- advice and the collector -------------------------------------------------------------------------------------

Status Vm::advise_atomics(Range range, Atomics atomics) { return impl_->advise(range, SetAtomic{to_engine(atomics)}); }

Status Vm::advise_location(Range range, Location location) {
  AdvisePreferredLocation wanted;
  softxe::Device* target = nullptr;
  if (location.kind == Location::Kind::kSystem) wanted.devmem_fd = kPreferDefaultSystem;
  if (location.kind == Location::Kind::kVram) {
    wanted.devmem_fd = kOwnDevice;
    wanted.region_instance = static_cast<std::uint16_t>(location.tile + 1);
    target = impl_->device->device.get();
  }
  auto resolved = resolve_preferred_location(*impl_->context, target, wanted);
  if (!resolved) return api::to_api(resolved.error());
  return impl_->advise(range, SetPreferred{std::move(*resolved)});
}

Status Vm::collect() {
  const EngineCall call;
  if (Status usable = impl_->check_fault_mode(); !usable) return usable;
  const RequestScope asked(Request::kCollect);
  Guard hold(impl_->vm().lock);
  impl_->context->svm->assert_vm_locked();
  auto outcome = impl_->context->svm->collect_garbage();
  return outcome ? Status{} : Status{api::to_api(outcome.error())};
}

// --- looking ------------------------------------------------------------------------------------------------------

Result<std::vector<VmaInfo>> Vm::vmas() {
  const EngineCall call;
  const RequestScope asked(Request::kLook);
  softxe::Device& device = *impl_->device->device;
  device.flush_collector(*impl_->context);
  softxe::Vm& vm = impl_->vm();
  std::vector<VmaInfo> result;
  ReadGuard hold(vm.lock);
  if (softxe::Status usable = vm.check_usable(); !usable) return api::to_api(usable.error());
  for (const Vma* vma : vm.vmas_in(vm.space().managed())) {
    VmaInfo info;
    info.range = to_api(vma->range());
    info.kind = to_api(vma->kind());
    info.access = vma->flags().read_only ? Access::kReadOnly : Access::kReadWrite;
    info.autoreset = vma->flags().autoreset ? AutoReset::kOn : AutoReset::kOff;
    info.atomics = to_api(vma->attr.atomic);
    info.preferred = location_of(device, vma->attr.preferred);
    info.default_attributes = vma->attr.is_default();
    result.push_back(info);
  }
  return result;
}

std::vector<RangeInfo> Vm::ranges() {
  const EngineCall call;
  std::vector<RangeInfo> result;
  if (!impl_->context->svm) return result;
  ReadGuard hold(impl_->vm().lock);
  impl_->context->svm->for_each_range([&result](const SvmRange& range, const SvmRangeState& state) {
    if (state.dead()) return;
    const HostRange extent = range.extent();
    result.push_back({{extent.start().value(), extent.size()}, state.heap() != nullptr, state.valid() != 0});
  });
  return result;
}

Translation Vm::translate(std::uint64_t at, unsigned tile) {
  const EngineCall call;
  softxe::Vm& vm = impl_->vm();
  if (tile >= vm.config().tile_count) return {};
  ReadGuard hold(vm.lock);
  auto walked = vm.table(tile).walk(GpuVa(at));
  if (!walked) return {};
  Translation result{Translation::Kind::kNone, walked->flags.writable, walked->entry_bytes};
  switch (walked->flags.kind) {
    case PteKind::kSystem:
    case PteKind::kEngine: result.kind = Translation::Kind::kSystem; break;
    case PteKind::kVram: result.kind = Translation::Kind::kVram; break;
    case PteKind::kNull:
    case PteKind::kScratch: result.kind = Translation::Kind::kScratch; break;
  }
  return result;
}

Result<Engine> Vm::create_engine(unsigned tile) {
  const EngineCall call;
  if (tile >= impl_->vm().config().tile_count) return Error{EINVAL, "the device has no such tile"};
  return Engine(std::make_shared<Engine::Impl>(impl_, tile));
}

Result<std::uint64_t> Vm::counter(const char* name) const { return read_counter(impl_->context->counters, name); }

}  // namespace softxe::api
