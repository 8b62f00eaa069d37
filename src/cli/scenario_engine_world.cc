// Devices, VMs, the GPU and what can be seen of them.
#include "cli/scenario_engine_world.h"

#include <fmt/format.h>
#include <algorithm>
#include <cstring>

#include "base/counter_check.h"
#include "base/counters.h"
#include "cli/scenario_text.h"
#include "drv/check_config.h"
#include "svm/madvise.h"
#include "svm/self_check.h"

namespace softxe::scenario {
namespace {

/// Descriptors of devices as madvise sees them; numbers only, no file is open.
constexpr std::int32_t kFirstFd = 100;

Result<ResetMode> reset_named(const std::string& name) {
  if (name == "flag") return ResetMode::kFlag;
  if (name == "always") return ResetMode::kAlways;
  if (name == "exact") return ResetMode::kExact;
  return fail(EINVAL, "autoreset is flag, always or exact");
}

}  // namespace

FaultReply EngineWorld::Faults::page_fault(const PageFault& fault) {
  Status status = device_.faults().serve(fault);
  if (status) return FaultReply::kRetry;
  last = status.error();
  return FaultReply::kFail;
}

void EngineWorld::Faults::livelock(const PageFault& fault, std::uint64_t rounds) {
  device_.faults().livelock(fault, rounds);
  last = Error{EIO, FaultService::kLivelock};
}

void EngineWorld::close_vms() {
  for (auto& card : cards_) card->queues.reset();
  for (auto& [name, vm] : vms_) {
    vm.engines.clear();
    if (!vm.context->vm.closed()) vm.card->device->close_vm(vm.context);
  }
  vms_.clear();
  bos_.clear();
}

// --- finding --------------------------------------------------------------------------------------------

Result<EngineWorld::Card*> EngineWorld::find_card(const std::string& name) {
  for (auto& card : cards_) {
    if (name.empty() || card->name == name) return card.get();
  }
  return fail(ENODEV, "no device of that name");
}

Result<EngineWorld::OpenVm*> EngineWorld::find_vm(const std::string& name) {
  auto it = vms_.find(name);
  if (it == vms_.end()) return fail(ENOENT, "no VM of that name");
  return &it->second;
}

EngineWorld::Engine::Engine(Device& device, const Clock& clock, unsigned tile, std::shared_ptr<VmContext> of)
    : vm(std::move(of)),
      faults(device),
      memory(Mmu::Config{.domain = device.invalidations(),
                         .faults = faults,
                         .clock = clock,
                         .engine = {.engine_class = 1, .tile = static_cast<std::uint8_t>(tile)}}),
      kernels(memory, clock) {}

Result<std::shared_ptr<EngineWorld::Engine>> EngineWorld::find_engine(const GpuTarget& gpu) {
  SX_TRY(OpenVm * vm, find_vm(gpu.vm));
  Card& card = *vm->card;
  {
    std::lock_guard lock(engines_mutex_);
    if (const auto found = vm->engines.find(gpu.tile); found != vm->engines.end()) return found->second;
  }
  const auto engine = std::make_shared<Engine>(*card.device, clock(), gpu.tile, vm->context);
  const bool vram = gpu.tile < card.device->vram_tiles();
  engine->memory.mmu().bind_vm({.asid = vm->context->vm.config().asid,
                                .table = &vm->context->vm.table(gpu.tile),
                                .vram = vram ? &card.device->vram_map(gpu.tile) : nullptr});
  // Somebody else may have made one meanwhile.
  std::lock_guard lock(engines_mutex_);
  return vm->engines.try_emplace(gpu.tile, engine).first->second;
}

Result<GpuRange> EngineWorld::checked_range(const OpenVm& vm, Span span) const {
  if (!is_aligned(span.start, kPageSize) || !is_aligned(span.size, kPageSize)) {
    return fail(EINVAL, "interval is not page aligned");
  }
  SX_TRY(GpuRange range, GpuRange::make(GpuVa(span.start), span.size));
  if (range.end().value() > vm.context->vm.size_bytes()) return fail(EINVAL, "interval leaves the VM");
  return range;
}

// --- devices, VMs, binds ----------------------------------------------------------------------------------

Status EngineWorld::device(const DeviceSpec& spec) {
  set_self_check(checks_ == Checks::kOn ? SelfCheck::kOn : SelfCheck::kOff);
  SX_TRY(const DeviceProfile* profile, find_profile(spec.profile));
  DeviceOptions options;
  options.config = default_config(*profile, static_cast<std::uint32_t>(cards_.size()));
  options.collector = GcWorker::Mode::kManual;
  if (ThreadStarter starter = collectors()) {
    options.collector = GcWorker::Mode::kThread;
    options.start_thread = std::move(starter);
  }
  for (const auto& [key, value] : spec.options) {
    if (key == "vram") {
      auto bytes = parse_number(value);
      if (!bytes) return fail(EINVAL, "vram= is not a size");
      options.config.vram_bytes = options.config.visible_bytes = *bytes;
    } else if (key == "autoreset") {
      SX_TRY(options.reset, reset_named(value));
    } else {
      SX_TRY_VOID(host_option(key, value));
    }
  }
  SX_TRY_VOID(check_config(options.config));
  const auto same_name = [&](const auto& card) { return !spec.name.empty() && card->name == spec.name; };
  if (std::ranges::any_of(cards_, same_name)) return fail(EEXIST, "a device of that name exists");
  if (!tap_) {
    const bool same_bytes = parallel() == Parallel::kInterleave;
    tap_ = std::make_unique<EventTap>(clock(),
                                      same_bytes ? EventStream::Threads::kUnnumbered : EventStream::Threads::kNumbered);
  }
  SX_TRY(HostMm * mm, host());
  SX_TRY(auto made, Device::create(*mm, migrate_lock_, options));
  cards_.push_back(std::make_unique<Card>(Card{spec.name, std::move(made)}));
  return {};
}

Status EngineWorld::vm_create(const VmSpec& spec) {
  SX_TRY(Card * card, find_card(spec.device));
  if (spec.fault && !spec.lr) return fail(EINVAL, "FAULT without LR");
  if (vms_.contains(spec.name)) return fail(EEXIST, "a VM of that name exists");
  SX_TRY(auto context, card->device->create_vm({.scratch = spec.scratch,
                                                .long_running = spec.lr,
                                                .fault_mode = spec.fault,
                                                .no_overcommit = spec.no_overcommit}));
  vms_.emplace(spec.name, OpenVm{card, std::move(context), {}});
  return {};
}

Status EngineWorld::vm_destroy(const std::string& name) {
  SX_TRY(OpenVm * vm, find_vm(name));
  if (vm->context->vm.closed()) return fail(ENOENT, "VM is closed");
  if (vm->card->queues) SX_TRY_VOID(vm->card->queues->check_close(*vm->context));
  decltype(vm->engines) engines;
  {
    std::lock_guard lock(engines_mutex_);
    engines.swap(vm->engines);
  }
  engines.clear();
  vm->card->device->close_vm(vm->context);
  return {};
}

Status EngineWorld::bo_create(const BoSpec& spec) {
  SX_TRY(Card * card, find_card(""));
  std::uint32_t placement = (spec.system ? 1u : 0u) | (spec.vram ? 2u : 0u);
  GemCreateRequest request;
  request.size_bytes = spec.size;
  request.placement = placement;
  SX_TRY(auto bo, GemBo::create(card->device->bo_memory(), request, nullptr));
  bos_[spec.name] = std::move(bo);
  return {};
}

Status EngineWorld::run_bind(OpenVm& vm, const BindOp& op, std::shared_ptr<GemBo> bo) {
  SX_TRY(GpuRange range, checked_range(vm, {op.range.start.value(), op.range.size_bytes}));
  vm.card->device->flush_collector(*vm.context);
  ResolvedBind resolved{.op = op, .range = range, .bo = std::move(bo)};
  return vm_bind(*vm.card->device, *vm.context, std::span(&resolved, 1), BindRun::kExecute);
}

Status EngineWorld::bind(const BindSpec& spec) {
  SX_TRY(OpenVm * vm, find_vm(spec.vm));
  std::shared_ptr<GemBo> bo;
  BindOp op{.range = {GpuVa(spec.span.start), spec.span.size},
            .pat_index = static_cast<std::uint16_t>(spec.pat.value_or(vm->card->device->profile().picks.write_back)),
            .read_only = spec.read_only,
            .immediate = spec.immediate,
            .dumpable = spec.dumpable,
            .what = BindUnmap{}};
  switch (spec.what) {
    case BindSpec::What::kUnbind: break;
    case BindSpec::What::kMirror:
      op.what = BindMap{.backing = BindMirror{spec.autoreset ? AutoReset::kOn : AutoReset::kOff}};
      break;
    case BindSpec::What::kNull: op.what = BindMap{.backing = BindNull{}}; break;
    case BindSpec::What::kUserptr: op.what = BindMap{.backing = BindUserptr{HostVa(spec.offset)}}; break;
    case BindSpec::What::kBo: {
      auto it = bos_.find(spec.bo);
      if (it == bos_.end()) return fail(ENOENT, "no buffer object of that name");
      bo = it->second;
      op.what = BindMap{.backing = BindBo{.handle = GemHandle{1}, .offset = spec.offset}};
      break;
    }
  }
  return run_bind(*vm, op, std::move(bo));
}

Status EngineWorld::prefetch(const std::string& name, Span span, const std::optional<Place>& where) {
  SX_TRY(OpenVm * vm, find_vm(name));
  BindPrefetch what;
  if (where) what.region = where->kind == Place::Kind::kVram ? where->tile + 1 : 0;
  return run_bind(*vm, {.range = {GpuVa(span.start), span.size}, .what = what}, nullptr);
}

Result<PreferredLocation> EngineWorld::preferred(OpenVm& vm, const Attrs& attrs) {
  AdvisePreferredLocation advice{.policy = attrs.policy.value_or(MigrationPolicy::kAllPages)};
  const Place place = attrs.preferred.value_or(Place{});
  Device* target = nullptr;
  if (place.kind == Place::Kind::kSystem) advice.devmem_fd = kPreferDefaultSystem;
  if (place.kind == Place::Kind::kVram) {
    Card* card = vm.card;
    if (!place.device.empty()) {
      SX_TRY(card, find_card(place.device));
    }
    for (std::size_t i = 0; i < cards_.size(); ++i) {
      if (cards_[i].get() == card) advice.devmem_fd = kFirstFd + static_cast<std::int32_t>(i);
    }
    advice.region_instance = static_cast<std::uint16_t>(place.tile + 1);
    target = card->device.get();
  }
  return resolve_preferred_location(*vm.context, target, advice);
}

Status EngineWorld::advise(OpenVm& vm, GpuRange range, const Attrs& attrs) {
  std::vector<Advice> steps;
  if (attrs.atomic) steps.emplace_back(SetAtomic{*attrs.atomic});
  if (attrs.preferred || attrs.policy) {
    SX_TRY(PreferredLocation location, preferred(vm, attrs));
    steps.emplace_back(SetPreferred{std::move(location)});
  }
  if (attrs.pat) {
    const auto& table = vm.card->device->profile().pat;
    if (*attrs.pat >= table.size()) return fail(EINVAL, "PAT index outside of the table");
    bool coherent = table[*attrs.pat].coherency != PatCoherency::kNone;
    steps.emplace_back(SetPat{PatIndex(static_cast<std::uint16_t>(*attrs.pat)), coherent});
  }
  for (const Advice& step : steps) {
    vm.card->device->flush_collector(*vm.context);
    SX_TRY_VOID(softxe::madvise(*vm.context, range, step));
  }
  return {};
}

Status EngineWorld::madvise(const std::string& name, Span span, const Attrs& attrs) {
  SX_TRY(OpenVm * vm, find_vm(name));
  SX_TRY(GpuRange range, checked_range(*vm, span));
  return advise(*vm, range, attrs);
}

// --- the GPU ------------------------------------------------------------------------------------------------

Result<std::uint64_t> EngineWorld::gpu_read(const GpuTarget& gpu, const Access& access) {
  std::uint64_t value = 0;
  SX_TRY_VOID(on_engine(
      gpu, [&](EngineMemory& memory) { return memory.read_bytes(GpuVa(access.address), &value, access.bytes); }));
  return value;
}

Status EngineWorld::gpu_write(const GpuTarget& gpu, const Access& access) {
  return on_engine(gpu, [&](EngineMemory& memory) {
    return memory.write_bytes(GpuVa(access.address), &access.value, access.bytes);
  });
}

Result<std::uint64_t> EngineWorld::gpu_atomic(const GpuTarget& gpu, const Access& access) {
  if (access.bytes != 4 && access.bytes != 8) return fail(EINVAL, "atomics are u32 or u64");
  const GpuVa at(access.address);
  std::uint64_t old = 0;
  SX_TRY_VOID(on_engine(gpu, [&](EngineMemory& memory) -> Status {
    if (access.bytes == 8) {
      SX_TRY(old, memory.atomic64(at, {.apply = [](std::uint64_t a, std::uint64_t b, std::uint64_t) { return a + b; },
                                       .operand = access.value}));
    } else {
      SX_TRY(old, memory.atomic32(at, {.apply = [](std::uint32_t a, std::uint32_t b, std::uint32_t) { return a + b; },
                                       .operand = static_cast<std::uint32_t>(access.value)}));
    }
    return {};
  }));
  return old;
}

Status EngineWorld::gpu_copy(const GpuTarget& gpu, std::uint64_t to, Span from) {
  return on_engine(gpu, [&](EngineMemory& memory) {
    return memory.copy_bytes({GpuVa(to), GpuVa(from.start), from.size});
  });
}

Status EngineWorld::gpu_fill(const GpuTarget& gpu, Span span, std::uint8_t value) {
  return on_engine(gpu, [&](EngineMemory& memory) {
    return memory.fill_bytes(GpuVa(span.start), {&value, 1}, span.size);
  });
}

/// As the client would: the pages come home for it.
Status EngineWorld::store_code(const KernelSpec& kernel) {
  for (std::size_t at = 0; at < kernel.code.size(); at += 8) {
    Access access{kernel.address + at, 8, 0};
    std::memcpy(&access.value, kernel.code.data() + at, 8);
    SX_TRY_VOID(cpu_write({}, access));
  }
  return {};
}

Status EngineWorld::gpu_kernel(const KernelSpec& kernel) {
  constexpr std::uint64_t kInstructionsMax = 1u << 22;
  SX_TRY(OpenVm * vm, find_vm(kernel.gpu.vm));
  SX_TRY_VOID(store_code(kernel));
  EuLaunch launch{.code = GpuVa(kernel.address),
                  .groups = kernel.groups,
                  .group_items = kernel.items,
                  .lanes = kernel.lanes,
                  .slm_bytes = kernel.slm_bytes};
  std::memcpy(launch.arguments.data(), kernel.arguments.data(), sizeof launch.arguments);
  SX_TRY(const std::shared_ptr<Engine> engine, find_engine(kernel.gpu));
  Guard lock(engine->mutex);
  SX_TRY_VOID(engine->kernels.begin(launch, vm->context->vm.config().va_bits));
  const Status done = engine->kernels.run(kInstructionsMax);
  eu_count(engine->kernels.take_counts(), vm->context->vm.counters());
  if (!done && done.error().err == EFAULT) return fail(engine->faults.last);
  return done;
}

// --- the driver ---------------------------------------------------------------------------------------------

Status EngineWorld::evict(const std::optional<Span>& span) {
  if (!span) {
    for (auto& card : cards_) {
      for (unsigned tile = 0; tile < card->device->vram_tiles(); ++tile) {
        SX_TRY_VOID(card->device->vram(tile).evict_all({}));
      }
    }
    return {};
  }
  return evict_pages(*span);
}

Span EngineWorld::around_vram_ranges(Span span) {
  std::uint64_t start = align_down(span.start, kPageSize);
  std::uint64_t end = align_up(span.end(), kPageSize);
  for (auto& [name, vm] : vms_) {
    if (!vm.context->svm) continue;
    ReadGuard hold(vm.context->vm.lock);
    vm.context->svm->for_each_range([&](const SvmRange& range, const SvmRangeState& state) {
      const HostRange extent = range.extent();
      if (state.heap() == nullptr || !extent.intersects(HostRange::of(HostVa(span.start), span.size))) {
        return;
      }
      start = std::min(start, extent.start().value());
      end = std::max(end, extent.end().value());
    });
  }
  return {start, end - start};
}

Status EngineWorld::gc(const std::string& name) {
  SX_TRY(OpenVm * vm, find_vm(name));
  if (!vm->context->svm) return fail(EINVAL, "the VM is not in fault mode");
  Guard hold(vm->context->vm.lock);
  vm->context->svm->assert_vm_locked();
  auto outcome = vm->context->svm->collect_garbage();
  if (!outcome) return fail(outcome.error());
  return {};
}

// --- looking --------------------------------------------------------------------------------------------------

Result<Place> EngineWorld::place_of(const OpenVm& vm, const PreferredLocation& location) {
  if (location.devmem_fd == kPreferDefaultDevice) return Place{};
  if (location.devmem_fd == kPreferDefaultSystem) return Place{Place::Kind::kSystem, 0, ""};
  for (auto& card : cards_) {
    for (unsigned tile = 0; tile < card->device->vram_tiles(); ++tile) {
      const Pagemap* pagemap = card->device->pagemap(tile).get();
      if (pagemap != location.pagemap.get()) continue;
      return Place{Place::Kind::kVram, tile, card.get() == vm.card ? "" : card->name};
    }
  }
  return fail(ENODEV, "a VMA prefers VRAM that no device has");
}

std::string EngineWorld::plain_device(const std::string& vm) {
  if (!vm.empty()) {
    auto found = find_vm(vm);
    return found ? (*found)->card->name : std::string();
  }
  return cards_.empty() ? std::string() : cards_.front()->name;
}

Result<std::string> EngineWorld::vram_name(const DevmemHeap* heap) const {
  for (auto& card : cards_) {
    for (unsigned tile = 0; tile < card->device->vram_tiles(); ++tile) {
      if (card->device->pagemap(tile).get() != heap) continue;
      std::string prefix = card == cards_.front() ? "" : card->name + '/';
      return prefix + "vram" + std::to_string(tile);
    }
  }
  return fail(ENODEV, "a page is in VRAM that no device has");
}

Result<std::vector<VmaInfo>> EngineWorld::vmas(const std::string& name) {
  SX_TRY(OpenVm * vm, find_vm(name));
  softxe::Vm& inner = vm->context->vm;
  std::vector<VmaInfo> result;
  ReadGuard hold(inner.lock);
  for (const Vma* vma : inner.vmas_in(inner.space().managed())) {
    VmaInfo info;
    info.span = {vma->start().value(), vma->range().size()};
    switch (vma->kind()) {
      case VmaKind::kMirror: info.kind = VmaInfo::Kind::kMirror; break;
      case VmaKind::kNull: info.kind = VmaInfo::Kind::kNull; break;
      case VmaKind::kBo: info.kind = VmaInfo::Kind::kBo; break;
      case VmaKind::kUserptr: info.kind = VmaInfo::Kind::kUserptr; break;
    }
    info.atomic = vma->attr.atomic;
    SX_TRY(info.preferred, place_of(*vm, vma->attr.preferred));
    info.policy = vma->attr.preferred.policy;
    info.pat = static_cast<unsigned>(vma->attr.pat);
    info.default_pat = static_cast<unsigned>(vma->attr.default_pat);
    info.read_only = vma->flags().read_only;
    info.autoreset = vma->flags().autoreset;
    info.dumpable = vma->flags().dumpable;
    result.push_back(std::move(info));
  }
  return result;
}

Result<std::vector<RangeInfo>> EngineWorld::ranges(const std::string& name) {
  SX_TRY(OpenVm * vm, find_vm(name));
  std::vector<RangeInfo> result;
  if (!vm->context->svm) return result;
  ReadGuard hold(vm->context->vm.lock);
  vm->context->svm->for_each_range([&result](const SvmRange& range, const SvmRangeState& state) {
    result.push_back({{range.extent().start().value(), range.extent().size()},
                      state.dead(),
                      state.valid() != 0,
                      state.heap() != nullptr});
  });
  return result;
}

Result<PteInfo> EngineWorld::pte(const GpuTarget& gpu, std::uint64_t address) {
  SX_TRY(OpenVm * vm, find_vm(gpu.vm));
  auto walked = vm->context->vm.table(gpu.tile).walk(GpuVa(address));
  if (!walked) return PteInfo{};
  return PteInfo{true, walked->flags.writable, walked->flags.kind == PteKind::kVram, walked->entry_bytes};
}

Result<std::uint64_t> EngineWorld::counter(const std::string& name) {
  for (std::size_t i = 0; i < kCounterCount; ++i) {
    if (name != kCounterNames[i]) continue;
    std::uint64_t sum = 0;
    for (auto& card : cards_) sum += card->device->counters().get(static_cast<Counter>(i));
    return sum;
  }
  return fail(ENOENT, "no counter of that name");
}

Result<std::string> EngineWorld::vm_state(const std::string& name) {
  SX_TRY(OpenVm * vm, find_vm(name));
  if (vm->context->vm.closed()) return std::string("closed");
  return std::string(vm->context->vm.banned() ? "banned" : "open");
}

Result<std::uint64_t> EngineWorld::vm_size(const std::string& name) {
  SX_TRY(OpenVm * vm, find_vm(name));
  return vm->context->vm.size_bytes();
}

// Only where nothing counts beside this thread.
Status EngineWorld::check_counters() {
  for (auto& card : cards_) {
    std::uint64_t live = 0;
    for (auto& [name, vm] : vms_) {
      if (vm.card == card.get() && vm.context->svm) live += vm.context->svm->range_count();
    }
    const std::string broken = broken_identity([&](Counter c) { return card->device->counters().get(c); }, live);
    if (broken.empty()) continue;
    fmt::print(stderr, "counters do not fit: {}\n", broken);
    return fail(EPROTO, "the counters do not fit together");
  }
  return {};
}

// Only where nothing counts beside this thread. Events that were lost are no mistake of the engine.
Status EngineWorld::check_events() {
  if (!tap_) return {};
  tap_->drain();
  const EventCheck& check = tap_->check();
  std::string broken = check.broken();
  for (std::size_t i = 0; i < cards_.size() && broken.empty() && !tap_->lost(); ++i) {
    broken = check.compare(static_cast<unsigned>(i), [&](Counter c) { return cards_[i]->device->counters().get(c); });
  }
  if (broken.empty()) return {};
  fmt::print(stderr, "events do not fit: {}\n", broken);
  return fail(EPROTO, "events and counters do not fit together");
}

std::vector<Event> EngineWorld::take_events() {
  if (!tap_) return {};
  if (parallel() == Parallel::kInterleave) tap_->drain();
  return tap_->take();
}

Status EngineWorld::check_at_rest() {
  settle();
  return check_events();
}

std::string EngineWorld::broken_vm() {
  for (auto& [name, vm] : vms_) {
    if (vm.context->vm.closed()) continue;
    ReadGuard hold(vm.context->vm.lock);
    if (std::string broken = broken_invariant(*vm.context); !broken.empty()) return broken;
  }
  return {};
}

std::string EngineWorld::not_reset(std::uint32_t asid, Span span) {
  for (auto& [name, open] : vms_) {
    softxe::Vm& vm = open.context->vm;
    if (vm.closed() || vm.config().asid != asid) continue;
    ReadGuard hold(vm.lock);
    for (const Vma* vma : vm.vmas_in(GpuRange::of(GpuVa(span.start), span.size))) {
      const bool resets = vm.config().reset == ResetMode::kAlways || vma->flags().autoreset;
      if (!vma->is_mirror() || !resets || vma->attr.is_default()) continue;
      return fmt::format("VM {}: the range {:#x}+{:#x} has died, and the attributes at {:#x} are not reset", name,
                         span.start, span.size, vma->start().value());
    }
  }
  return {};
}

bool EngineWorld::garbage_left() const {
  return std::any_of(vms_.begin(), vms_.end(), [](const auto& named) {
    const VmContext& context = *named.second.context;
    return !context.vm.closed() && !context.vm.banned() && context.svm && context.svm->garbage_pending();
  });
}

std::vector<std::string> EngineWorld::vm_names() const {
  std::vector<std::string> names;
  for (const auto& [name, vm] : vms_) {
    if (!vm.context->vm.closed()) names.push_back(name);
  }
  return names;
}

std::string EngineWorld::still_in_use() const {
  std::string text;
  for (const auto& card : cards_) {
    if (card->device->page_tables() != 0) text += fmt::format("{} page tables; ", card->device->page_tables());
    for (unsigned tile = 0; tile < card->device->vram_tiles(); ++tile) {
      const std::uint64_t used = card->device->vram(tile).usage().used_bytes;
      if (used != 0) text += fmt::format("{} bytes of VRAM; ", used);
    }
  }
  return text;
}

Status EngineWorld::check_invariants() {
  check_host();
  broken_ = broken_vm();
  if (!broken_.empty()) return fail(EIO, broken_.c_str());
  if (parallel() != Parallel::kInterleave) return {};
  SX_TRY_VOID(check_counters());
  return check_events();
}

}  // namespace softxe::scenario
