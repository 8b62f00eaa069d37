// Requests to the driver, done to the engine and to the model; with a failing step: nothing may
// have happened.
#include <fmt/format.h>

#include "sim/world.h"
#include "svm/madvise.h"

namespace softxe::sim {
namespace {

using Kind = Op::Kind;

GpuRange gpu(Span span) { return GpuRange::between(GpuVa(span.start), GpuVa(span.end)); }
constexpr std::uint16_t kPat = 2;

// Out of line: GCC 12 takes the error of a good Status for uninitialized otherwise.
[[gnu::noinline]] int errno_of(const Status& status) { return status ? 0 : status.error().err; }

/// Attributes page by page, as far as a tree may differ after advice that failed (vm 10.1,
/// invariant 20).
std::vector<ModelVma> without_cuts(const std::vector<ModelVma>& vmas) {
  std::vector<ModelVma> result;
  for (const ModelVma& vma : vmas) {
    if (!result.empty()) {
      ModelVma& last = result.back();
      ModelVma joined = last;
      joined.span.end = vma.span.end;
      ModelVma same = vma;
      same.span.start = last.span.start;
      same.offset = last.offset;
      if (last.span.end == vma.span.start && same == joined && vma.bo == nullptr) {
        last = joined;
        continue;
      }
    }
    result.push_back(vma);
  }
  return result;
}

}  // namespace

// --- VMs ----------------------------------------------------------------------------------------------------------

void World::open_vm(unsigned name, bool autoreset) SX_NO_THREAD_SAFETY_ANALYSIS {
  OpenVm& vm = vms_[name];
  vm.card = config_.device_of(name);
  Device& device = *cards_[vm.card].device;
  auto made = device.create_vm({.scratch = false, .long_running = true, .fault_mode = true, .no_overcommit = false});
  SX_ASSERT(made.has_value());
  vm.context = *made;
  const DeviceProfile& profile = *config_.profile;
  vm.model = std::make_unique<Model>(client_,
                                     ModelDevice{.tiles = profile.tiles,
                                                 .discrete = profile.has(DeviceFact::kDiscrete),
                                                 .smem_atomics = profile.has(DeviceFact::kSmemAtomics),
                                                 .vram_page_bytes = profile.vram_page_bytes()},
                                     config_.reset, vm.context->vm.size_bytes());
  for (unsigned tile = 0; tile < profile.tiles; ++tile) {
    auto engine = std::make_unique<EngineMemory>(
        Mmu::Config{.domain = device.invalidations(),
                    .faults = *cards_[vm.card].faults,
                    .clock = clock_,
                    .engine = {.engine_class = 1, .tile = static_cast<std::uint8_t>(tile)}});
    engine->mmu().bind_vm({.asid = vm.context->vm.config().asid,
                           .table = &vm.context->vm.table(tile),
                           .vram = device.vram_tiles() > tile ? &device.vram_map(tile) : nullptr});
    vm.kernels.push_back(std::make_unique<KernelAccess>(*engine));
    vm.engines.push_back(std::move(engine));
  }
  const Span all{0, vm.context->vm.size_bytes()};
  const int err = bind(vm,
                       {.range = {GpuVa(0), all.size()},
                        .pat_index = kPat,
                        .what = BindMap{.backing = BindMirror{autoreset ? AutoReset::kOn : AutoReset::kOff}}},
                       nullptr);
  SX_ASSERT(err == 0);
  SX_ASSERT(vm.model->map(all, {.autoreset = autoreset, .pat = kPat, .default_pat = kPat}) == 0);
}

void World::close_vm(OpenVm& vm) {
  vm.kernels.clear();
  vm.engines.clear();
  cards_[vm.card].device->close_vm(vm.context);
  vm.context.reset();
}

// --- requests -----------------------------------------------------------------------------------------------------

int World::bind(OpenVm& vm, const BindOp& op, std::shared_ptr<GemBo> bo) {
  Device& device = *cards_[vm.card].device;
  ResolvedBind resolved{.op = op, .range = GpuRange::of(op.range.start, op.range.size_bytes), .bo = std::move(bo)};
  return errno_of(vm_bind(device, *vm.context, std::span(&resolved, 1), BindRun::kExecute));
}

int World::ask_engine(const Op& op, OpenVm& vm) {
  const UncheckedRange range{GpuVa(op.span.start), op.span.size()};
  auto advise = [&](const Advice& advice) {
    auto done = softxe::madvise(*vm.context, gpu(op.span), advice);
    return done ? 0 : done.error().err;
  };
  auto map = [&](const BindMap& what, std::shared_ptr<GemBo> bo) {
    return bind(vm, {.range = range, .pat_index = kPat, .read_only = op.read_only, .what = what}, std::move(bo));
  };
  switch (op.kind) {
    case Kind::kAtomicAdvice: return advise(SetAtomic{static_cast<AtomicAccess>(op.value)});
    case Kind::kPreferAdvice:
      return advise(SetPreferred{{.devmem_fd = op.vram ? kPreferDefaultDevice : kPreferDefaultSystem,
                                  .policy = MigrationPolicy::kAllPages,
                                  .pagemap = nullptr}});
    case Kind::kPatAdvice:
      return advise(SetPat{.pat = PatIndex{static_cast<std::uint16_t>(op.value)}, .coherent = true});
    case Kind::kPrefetch:
      return bind(vm, {.range = range, .pat_index = kPat, .what = BindPrefetch{op.vram ? 1u + op.tile : 0u}}, nullptr);
    case Kind::kBind: return map({.backing = BindMirror{op.autoreset ? AutoReset::kOn : AutoReset::kOff}}, nullptr);
    case Kind::kBindNull: return map({.backing = BindNull{}}, nullptr);
    case Kind::kBindBo: return map({.backing = BindBo{.handle = GemHandle{1}, .offset = op.to}}, objects_[op.bo].bo);
    default: return bind(vm, {.range = range, .pat_index = kPat, .what = BindUnmap{}}, nullptr);
  }
}

int World::ask_model(const Op& op, Model& model) {
  ModelVma fresh{.autoreset = op.autoreset, .read_only = op.read_only, .pat = kPat, .default_pat = kPat};
  switch (op.kind) {
    case Kind::kAtomicAdvice: return model.set_atomic(op.span, static_cast<AtomicAccess>(op.value));
    case Kind::kPreferAdvice: model.set_preferred(op.span, !op.vram); return 0;
    case Kind::kPatAdvice: model.set_pat(op.span, static_cast<unsigned>(op.value)); return 0;
    case Kind::kPrefetch:
      for (Object& object : objects_) object.model.in_vram = object.bo->in_vram();
      return model.prefetch(op.span, op.vram ? std::optional(op.tile) : std::nullopt);
    case Kind::kBind: return model.map(op.span, fresh);
    case Kind::kBindNull:
      fresh.kind = VmaKind::kNull;
      fresh.autoreset = false;
      return model.map(op.span, fresh);
    case Kind::kBindBo:
      fresh.kind = VmaKind::kBo;
      fresh.autoreset = false;
      fresh.bo = &objects_[op.bo].model;
      fresh.offset = op.to;
      return model.map(op.span, fresh);
    default: return model.unmap(op.span);
  }
}

std::string World::request(const Op& op) {
  OpenVm& vm = vms_[op.vm];
  if (op.kind == Kind::kBindBo && vm.card != 0) return "";  // objects are the first device's
  cards_[vm.card].device->flush_collector(*vm.context);
  if (vm.banned()) {
    const int err = ask_engine(op, vm);
    return err == ENOENT ? "" : fmt::format("a killed VM answers {}", err);
  }
  vm.model->collect();
  Model before = *vm.model;
  std::array<AtomicAccess, kBos> atomics{};
  for (unsigned i = 0; i < kBos; ++i) atomics[i] = objects_[i].model.atomic;
  int expected = ask_model(op, *vm.model);
  int err = 0;
  {
    FailingStep failing(op, happened_);
    err = ask_engine(op, vm);
  }
  if (happened_.failed.empty() || err == 0) {
    // A prefetch that is refused half-way has made ranges, or taken them back.
    const bool unsure = op.kind == Kind::kPrefetch && (err != 0 || !happened_.failed.empty());
    if (unsure) vm.model->adopt_ranges(engine_ranges(vm));
    return err == expected ? "" : fmt::format("ends with {}, model {}", err, expected);
  }
  vm.model = std::make_unique<Model>(std::move(before));
  for (unsigned i = 0; i < kBos; ++i) objects_[i].model.atomic = atomics[i];
  if (op.kind >= Kind::kAtomicAdvice && op.kind <= Kind::kPatAdvice) {
    if (without_cuts(engine_vmas(vm)) != without_cuts(vm.model->vmas())) return "advice failed and changed attributes";
    vm.model->adopt_vmas(engine_vmas(vm));
    vm.model->adopt_ranges(engine_ranges(vm));
  } else if (op.kind == Kind::kPrefetch) {
    vm.model->adopt_ranges(engine_ranges(vm));
  }
  return "";
}

// After a fault that was disturbed: collects what is left, takes over what came of it.
void World::settle(OpenVm& vm) {
  cards_[vm.card].device->flush_collector(*vm.context);
  vm.model->adopt_vmas(engine_vmas(vm));
  vm.model->adopt_ranges(engine_ranges(vm));
}

std::string World::evict(const Op& op) {
  FailingStep failing(op, happened_);
  Status done;
  if (op.kind == Kind::kEvict) {
    for (std::uint64_t at = op.span.start; at < op.span.end && done; at += kPageSize) {
      if (DevmemAllocation* allocation = mm_.allocation_at(HostVa(at))) done = mm_.evict(*allocation);
    }
  } else {
    for (Card& card : cards_) {
      for (unsigned tile = 0; tile < card.device->vram_tiles() && done; ++tile) {
        done = card.device->vram(tile).evict_all({});
        if (done && !failing.fired() && card.device->vram(tile).usage().used_bytes != 0) {
          return "VRAM is in use after everything was evicted";
        }
      }
    }
  }
  return done || failing.fired() ? "" : fmt::format("eviction ends with {}", errno_of(done));
}

std::string World::collect(const Op& op) SX_NO_THREAD_SAFETY_ANALYSIS {
  OpenVm& vm = vms_[op.vm];
  FailingStep failing(op, happened_);
  Guard hold(vm.context->vm.lock);
  const bool was_banned = vm.banned();
  const bool done = vm.context->svm->collect_garbage().has_value();
  if (was_banned) return done ? "the collector runs in a killed VM" : "";
  if (vm.banned()) {
    vm.model->adopt_vmas(engine_vmas(vm));
    return failing.fired() ? "" : "the collector killed the VM";
  }
  vm.model->collect();
  return done ? "" : "the collector fails";
}

std::string World::driver_call(const Op& op) {
  switch (op.kind) {
    case Kind::kReopen:
      close_vm(vms_[op.vm]);
      open_vm(op.vm, op.autoreset);
      return "";
    case Kind::kEvict:
    case Kind::kEvictAll: return evict(op);
    case Kind::kCollect: return collect(op);
    default: return request(op);
  }
}

}  // namespace softxe::sim
