// The machine, the client's operations and GPU accesses. Requests to the driver: driver.cc.
#include "sim/world.h"

#include <fmt/format.h>

#include <cstring>

namespace softxe::sim {
namespace {

using Kind = Op::Kind;

HostRange host(Span span) { return HostRange::between(HostVa(span.start), HostVa(span.end)); }

std::string differs(const char* what, bool engine, bool model) {
  return fmt::format("{}: engine {}, model {}", what, engine ? "succeeds" : "fails", model ? "succeeds" : "fails");
}

CpuVma::Kind kind_of(MemoryKind kind) {
  switch (kind) {
    case MemoryKind::kAnon: return CpuVma::Kind::kAnonPrivate;
    case MemoryKind::kShmem: return CpuVma::Kind::kShmem;
    case MemoryKind::kHugetlb: return CpuVma::Kind::kHugetlb;
    case MemoryKind::kFile:
    case MemoryKind::kSharedFile: return CpuVma::Kind::kFile;
  }
  return CpuVma::Kind::kSpecial;
}

}  // namespace

Status FailingStep::on_step(StepSite& site, bool may_fail) {
  if (!may_fail) return {};
  ++seen_;
  const std::uint64_t nth = ++by_name_[site.name];
  if (seen_ != op_.fail_nth && !(op_.fail_forever && seen_ > op_.fail_nth)) return {};
  happened_.failed.push_back({site.name, nth});
  if (happened_.tell) happened_.tell(happened_);
  return fail(op_.fail_err, site.name);
}

FaultReply World::Faults::page_fault(const PageFault& fault) {
  ++served;
  Status status = device_.faults().serve(fault);
  if (status) return FaultReply::kRetry;
  err = status.error().err;
  return FaultReply::kFail;
}

/// The client's calls at a step inside the engine, once.
class World::Interleaved final : public StepHook {
 public:
  Interleaved(World& world, const Op& op) : world_(world), op_(op) { set_step_hook(this); }
  ~Interleaved() override { set_step_hook(nullptr); }
  Status on_step(StepSite& site, bool) override {
    if (happened || op_.step != std::string_view(site.name)) return {};
    happened = true;
    world_.happened_.interleaved = true;
    if (world_.happened_.tell) world_.happened_.tell(world_.happened_);
    for (const Op& inner : op_.inner) {
      if (failure.empty()) failure = world_.do_op(inner);
    }
    return {};
  }
  bool happened = false;
  std::string failure;

 private:
  World& world_;
  const Op& op_;
};

World::World(const Config& config, std::function<void(const Happened&)> on_happened)
    : config_(config), mm_(clock_, {.ram_bytes = 256ull << 20, .brk_base = HostVa(kBrkBase)}) {
  happened_.tell = std::move(on_happened);
  const EventScope begins(emit({.kind = EventKind::kStatement}));
  for (unsigned i = 0; i < config.devices; ++i) {
    DeviceOptions options;
    options.config = default_config(*config.profile, i);
    if (config.profile->has(DeviceFact::kDiscrete)) {
      options.config.vram_bytes = options.config.visible_bytes = config.vram_bytes;
    }
    options.reset = config.reset;
    options.collector = GcWorker::Mode::kManual;
    auto device = Device::create(mm_, migrate_lock_, options);
    SX_ASSERT(device.has_value());
    auto faults = std::make_unique<Faults>(**device);
    cards_.push_back({std::move(*device), std::move(faults), {}});
  }
  for (unsigned i = 0; i < kBos; ++i) {
    const bool discrete = config.profile->has(DeviceFact::kDiscrete);
    ModelBo& model = objects_[i].model;
    model.vram = discrete && kBoPlaces[i].vram;
    model.system = kBoPlaces[i].system || !discrete;
    GemCreateRequest request;
    request.size_bytes = kBoBytes;
    request.placement = (model.system ? 1u : 0u) | (model.vram ? 2u : 0u);
    auto bo = GemBo::create(cards_[0].device->bo_memory(), request, nullptr);
    SX_ASSERT(bo.has_value());
    objects_[i].bo = *bo;
  }
  client_.on_unmap = [this](Span span) {
    for (OpenVm& vm : vms_) vm.model->cpu_unmapped(span);
  };
  vms_.resize(config.vms);
  for (unsigned name = 0; name < config.vms; ++name) open_vm(name, config.autoreset);
}

World::~World() {
  const EventScope ends(emit({.kind = EventKind::kStatement}));
  for (OpenVm& vm : vms_) close_vm(vm);
  for (Object& object : objects_) object.bo.reset();
  mm_.cpu_exit(Pid::kMain);
}

std::string World::run(const Op& op) {
  happened_.failed.clear();
  happened_.interleaved = false;
  bad_page_ = 0;
  ++steps_;
  std::string what = do_op(op);
  if (what.empty()) what = compare();
  if (what.empty()) return {};
  return fmt::format("{}: {}", scenario_line(config_, op), what);
}

std::string World::do_op(const Op& op) {
  const EventScope doing(emit({.word = steps_, .kind = EventKind::kStatement}));
  switch (op.kind) {
    case Kind::kFork:
    case Kind::kExit: return fork_or_exit(op);
    case Kind::kCpuRead:
    case Kind::kCpuWrite: return cpu_access(op);
    default: break;
  }
  if (op.kind < Kind::kFork) return cpu_call(op);
  return op.gpu_access() ? gpu_access(op) : driver_call(op);
}

// --- the client ---------------------------------------------------------------------------------------------------

std::string World::cpu_call(const Op& op) {
  switch (op.kind) {
    case Kind::kMmap: {
      const bool shared = op.memory == MemoryKind::kSharedFile;
      const bool done = mm_.cpu_mmap({.size_bytes = op.span.size(),
                                      .at = HostVa(op.span.start),
                                      .place = MmapRequest::Place::kFixed,
                                      .kind = kind_of(op.memory),
                                      .prot = op.writable ? Prot::kReadWrite : Prot::kRead,
                                      .share = shared ? Share::kShared : Share::kPrivate})
                            .has_value();
      client_.mmap({op.span, op.memory, op.writable});
      return done ? "" : "mmap fails";
    }
    case Kind::kMunmap: client_.munmap(op.span); return mm_.cpu_munmap(host(op.span)) ? "" : "munmap fails";
    case Kind::kMremap: {
      MremapRequest request{.old = host(op.span), .new_size_bytes = op.span.size()};
      request.move = op.dont_unmap ? MremapRequest::Move::kDontUnmap : MremapRequest::Move::kFixed;
      request.to = HostVa(op.to);
      const Span target{op.to, op.to + op.span.size()};
      // DONTUNMAP takes its target as a hint: make it free first.
      if (op.dont_unmap && client_.one_mapping(op.span) && !target.intersects(op.span)) {
        client_.munmap(target);
        SX_ASSERT(mm_.cpu_munmap(host(target)).has_value());
      } else if (op.dont_unmap) {
        return "";
      }
      const bool engine = mm_.cpu_mremap(request).has_value();
      const bool model = client_.mremap(op.span, op.to, op.dont_unmap);
      return engine == model ? "" : differs("mremap", engine, model);
    }
    case Kind::kMprotect: {
      const Prot prot = op.writable ? Prot::kReadWrite : op.readable ? Prot::kRead : Prot::kNone;
      const bool engine = mm_.cpu_mprotect(host(op.span), prot).has_value();
      const bool model = client_.mprotect(op.span, op.readable, op.writable);
      return engine == model ? "" : differs("mprotect", engine, model);
    }
    case Kind::kDontneed:
      static_cast<void>(mm_.cpu_madvise(host(op.span), CpuAdvice::kDontNeed));
      client_.dontneed(op.span);
      return "";
    case Kind::kFree:
      static_cast<void>(mm_.cpu_madvise(host(op.span), CpuAdvice::kFree));
      client_.free(op.span);
      return "";
    case Kind::kRemove:
      static_cast<void>(mm_.cpu_madvise(host(op.span), CpuAdvice::kRemove));
      client_.remove(op.span);
      return "";
    case Kind::kBrk: {
      const std::uint64_t engine = mm_.cpu_brk(HostVa(op.to)).value();
      const std::uint64_t model = client_.brk(op.to);
      return engine == model ? "" : fmt::format("brk: engine {:#x}, model {:#x}", engine, model);
    }
    case Kind::kReclaim: static_cast<void>(mm_.reclaim(host(op.span))); return "";
    default: static_cast<void>(mm_.cpu_madvise(host(op.span), CpuAdvice::kPageout)); return "";
  }
}

std::string World::fork_or_exit(const Op& op) {
  auto it = processes_.find(op.process);
  if (op.kind == Kind::kExit) {
    if (it == processes_.end()) return "";
    mm_.cpu_exit(it->second.first);
    client_.exit(it->second.second);
    processes_.erase(it);
    return "";
  }
  if (it != processes_.end()) return "";
  auto pid = mm_.cpu_fork();
  if (!pid) return "fork fails";
  processes_[op.process] = {*pid, client_.fork()};
  return "";
}

std::string World::cpu_access(const Op& op) {
  Pid pid = Pid::kMain;
  std::size_t process = 0;
  if (op.process != 0) {
    auto it = processes_.find(op.process);
    if (it == processes_.end()) return "";
    std::tie(pid, process) = it->second;
  }
  ModelPage* page = client_.page(op.span.start, process);
  const bool write = op.kind == Kind::kCpuWrite;
  const bool may = page != nullptr && (write ? page->writable : page->readable);
  std::uint64_t value = op.value;
  FailingStep failing(op, happened_);
  Status done = write ? mm_.cpu_write(HostVa(op.span.start), std::as_bytes(std::span(&value, 1)), pid)
                      : mm_.cpu_read(HostVa(op.span.start), std::as_writable_bytes(std::span(&value, 1)), pid);
  if (failing.fired() && !done) return "";
  if (done.has_value() != may) return differs("CPU access", done.has_value(), may);
  if (!may) return "";
  std::uint64_t& word = page->words()[op.span.start % kPageSize == 0 ? 0 : 1];
  if (write) {
    word = value;
    page->lazy = false;
  }
  if (value != word) return fmt::format("CPU of process {} reads {:#x}, model {:#x}", op.process, value, word);
  if (process == 0 && mm_.page_state(HostVa(op.span.start)) == SimHostMm::PageState::kDevice) {
    return "a page the CPU has just used is in VRAM";
  }
  return "";
}

// --- the GPU ------------------------------------------------------------------------------------------------------

// What the model is told: where the pages of the 64K around stand before.
Model::Populated World::populated_before(const Op& op, OpenVm& vm) {
  using State = SimHostMm::PageState;
  const std::uint64_t first = align_down(op.span.start, k64K);
  std::array<State, k64K / kPageSize> before{};
  for (std::size_t i = 0; i < before.size(); ++i) before[i] = mm_.page_state(HostVa(first + i * kPageSize));
  return [&op, &vm, before, first](std::uint64_t page) {
    // svm 4.5: VRAM counts only when the target is not system memory, by the attributes after
    // collection.
    const ModelVma* vma = vm.model->vma_at(op.span.start);
    const Access access = op.kind == Kind::kGpuAtomic ? Access::kAtomic : Access::kRead;
    const bool to_system = vma->prefer_system && !vm.model->needs_vram(*vma, access).value_or(false);
    const State state = before[(page - first) / kPageSize];
    return state == State::kSystem || state == State::kZero || (state == State::kDevice && !to_system);
  };
}

namespace {

Status kernel_access(const Op& op, KernelAccess& kernel, std::uint64_t& got) {
  const GpuVa va(op.span.start);
  if (op.kind == Kind::kGpuRead) return kernel.load(va, got);
  if (op.kind == Kind::kGpuWrite) return kernel.store(va, op.value);
  return kernel.add(va, op.value, got);
}

}  // namespace

std::string World::gpu_access(const Op& op) {
  OpenVm& vm = vms_[op.vm];
  Card& card = cards_[vm.card];
  const GpuVa va(op.span.start);
  const ModelVma* before = vm.model->vma_at(op.span.start);
  // No entry without memory has the atomic bit: the fault would come again and again.
  if (op.kind == Kind::kGpuAtomic && before != nullptr && before->kind == VmaKind::kNull) return "";
  card.faults->served = 0;
  card.faults->err = 0;
  const Model::Populated there = populated_before(op, vm);

  std::uint64_t got = op.value;
  auto access = [&]() -> Status {
    if (op.by_kernel) return kernel_access(op, *vm.kernels[op.tile], got);
    EngineMemory& gpu = *vm.engines[op.tile];
    if (op.kind == Kind::kGpuRead) return gpu.load(va, got);
    if (op.kind == Kind::kGpuWrite) return gpu.store(va, op.value);
    SX_TRY(got, gpu.atomic64(va, {.apply = [](std::uint64_t a, std::uint64_t b, std::uint64_t) { return a + b; },
                                  .operand = op.value}));
    return {};
  };
  Status done;
  if (op.step == nullptr) {
    FailingStep failing(op, happened_);
    done = access();
  } else {
    Interleaved hook(*this, op);
    done = access();
    if (!hook.failure.empty()) return "inside the fault: " + hook.failure;
  }
  const bool disturbed = happened_.interleaved || !happened_.failed.empty();
  // Which iteration of the fault saw what is not modelled; what it left must be sound all the same.
  if (disturbed) settle(vm);
  std::string what = gpu_outcome(op, vm, done, got);
  if (!what.empty() || disturbed || card.faults->served == 0 || vm.banned()) return what;
  const Access kind = op.kind == Kind::kGpuRead    ? Access::kRead
                      : op.kind == Kind::kGpuWrite ? Access::kWrite
                                                   : Access::kAtomic;
  const int err = vm.model->fault({op.span.start, kind, op.tile}, there);
  if (err == Model::kUnsure) {
    vm.model->adopt_ranges(engine_ranges(vm));
    return "";
  }
  if (err != card.faults->err) return fmt::format("fault ends with {}, model {}", card.faults->err, err);
  return "";
}

// The words behind a GPU address; null: it reads zero and drops what is written.
Words* World::words_at(OpenVm& vm, std::uint64_t at) {
  const ModelVma* vma = vm.model->vma_at(at);
  if (vma == nullptr || vma->kind == VmaKind::kNull) return nullptr;
  if (vma->mirror()) return client_.page(at) != nullptr ? &client_.page(at)->words() : nullptr;
  auto* bo = static_cast<ModelBo*>(const_cast<void*>(vma->bo));
  return &bo->pages[(at - vma->span.start + vma->offset) / kPageSize];
}

// May the access succeed as things stand now, and what did it read?
std::string World::gpu_outcome(const Op& op, OpenVm& vm, const Status& done, std::uint64_t got) {
  const std::uint64_t at = op.span.start;
  const ModelPage* page = client_.page(at);
  const ModelVma* vma = vm.model->vma_at(at);
  const bool read = op.kind == Kind::kGpuRead;
  bool reachable = vma != nullptr && (read || !vma->read_only);
  if (reachable && vma->mirror()) {
    reachable = page != nullptr && (vma->read_only ? page->readable : page->writable);
  }
  const unsigned served = cards_[vm.card].faults->served;
  if (done && !reachable) return "a GPU access succeeds where nothing is mapped, or not for that access";
  if (done && !happened_.interleaved && served != 0 && op.kind == Kind::kGpuAtomic) {
    const auto needs = vm.model->needs_vram(*vma, Access::kAtomic);
    const bool possible = needs && (!*needs || !vma->mirror() || page->kind == MemoryKind::kAnon);
    if (!possible) return "a GPU atomic succeeds where it must not";
  }
  if (!done) {
    // A refused access is judged against the model's errno; without a model of the fault, here.
    if (happened_.interleaved && reachable && op.kind != Kind::kGpuAtomic) {
      return fmt::format("the fault fails with {} on memory that is mapped and accessible",
                         cards_[vm.card].faults->err);
    }
    return "";
  }
  Words* words = words_at(vm, at);
  if (words == nullptr) return read && got != 0 ? "a null mapping reads something" : "";
  std::uint64_t& word = (*words)[at % kPageSize == 0 ? 0 : 1];
  if (op.kind != Kind::kGpuWrite && got != word) return fmt::format("GPU reads {:#x}, model {:#x}", got, word);
  if (op.kind == Kind::kGpuWrite) word = op.value;
  if (op.kind == Kind::kGpuAtomic) word += op.value;
  if (vma->mirror() && !read) client_.page(at)->lazy = false;
  return "";
}

}  // namespace softxe::sim
