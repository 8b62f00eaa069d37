// Operations, done to the engine and to the model. What is compared after each: checker.cc.
#include "sim/world.h"

#include <fmt/format.h>

#include <cstring>

#include "svm/madvise.h"

namespace softxe::sim {
namespace {

using Kind = Op::Kind;

HostRange host(Span span) { return HostRange::between(HostVa(span.start), HostVa(span.end)); }
GpuRange gpu(Span span) { return GpuRange::between(GpuVa(span.start), GpuVa(span.end)); }
constexpr std::uint16_t kPat = 2;

// Out of line: GCC 12 takes the error of a good Status for uninitialized otherwise.
[[gnu::noinline]] int errno_of(const Status& status) { return status ? 0 : status.error().err; }

std::string differs(const char* what, bool engine, bool model) {
  return fmt::format("{}: engine {}, model {}", what, engine ? "succeeds" : "fails", model ? "succeeds" : "fails");
}

}  // namespace

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

World::World(const Config& config) : config_(config), mm_(clock_) {
  DeviceOptions options;
  options.config = default_config(kProfileBmg, 0);
  options.config.vram_bytes = options.config.visible_bytes = config.vram_bytes;
  options.reset = config.reset;
  options.collector = GcWorker::Mode::kManual;
  auto device = Device::create(mm_, migrate_lock_, options);
  SX_ASSERT(device.has_value());
  device_ = std::move(*device);
  auto vm = device_->create_vm(
      {.scratch = false, .long_running = true, .fault_mode = true, .no_overcommit = false});
  SX_ASSERT(vm.has_value());
  vm_ = *vm;
  faults_ = std::make_unique<Faults>(*device_);
  gpu_ = std::make_unique<EngineMemory>(Mmu::Config{.domain = device_->invalidations(),
                                                    .faults = *faults_,
                                                    .clock = clock_,
                                                    .engine = {.engine_class = 1}});
  gpu_->mmu().bind_vm({.asid = vm_->vm.config().asid,
                       .table = &vm_->vm.table(0),
                       .vram = &device_->vram_map(0)});
  model_ = std::make_unique<Model>(config.reset, vm_->vm.size_bytes());
  Op all{.kind = Kind::kBind, .span = {0, vm_->vm.size_bytes()}};
  all.autoreset = config.autoreset;
  SX_ASSERT(driver_call(all).empty());
}

World::~World() {
  gpu_.reset();
  device_->close_vm(vm_);
  vm_.reset();
  mm_.cpu_exit(Pid::kMain);
  device_.reset();
}

std::string World::run(const Op& op) {
  std::string what = do_op(op);
  if (what.empty()) what = compare();
  if (what.empty()) return {};
  std::string line = scenario_line(op);
  return fmt::format("{}: {}", line, what);
}

std::string World::do_op(const Op& op) {
  switch (op.kind) {
    case Kind::kMmap:
    case Kind::kMunmap:
    case Kind::kMremap:
    case Kind::kMprotect:
    case Kind::kDontneed:
    case Kind::kPageout: return cpu_call(op);
    case Kind::kFork:
    case Kind::kExit: return fork_or_exit(op);
    case Kind::kCpuRead:
    case Kind::kCpuWrite: return cpu_access(op);
    case Kind::kGpuRead:
    case Kind::kGpuWrite:
    case Kind::kGpuAtomic: return gpu_access(op);
    default: return driver_call(op);
  }
}

// --- the client -------------------------------------------------------------------------------------------

std::string World::cpu_call(const Op& op) {
  switch (op.kind) {
    case Kind::kMmap: {
      const bool done = mm_.cpu_mmap({.size_bytes = op.span.end - op.span.start,
                                      .at = HostVa(op.span.start),
                                      .place = MmapRequest::Place::kFixed,
                                      .kind = op.shmem ? CpuVma::Kind::kShmem : CpuVma::Kind::kAnonPrivate,
                                      .prot = op.writable ? Prot::kReadWrite : Prot::kRead})
                            .has_value();
      model_->mmap({op.span, op.shmem ? MemoryKind::kShmem : MemoryKind::kAnon, op.writable});
      return done ? "" : "mmap fails";
    }
    case Kind::kMunmap:
      model_->munmap(op.span);
      return mm_.cpu_munmap(host(op.span)) ? "" : "munmap fails";
    case Kind::kMremap: {
      MremapRequest request{.old = host(op.span), .new_size_bytes = op.span.end - op.span.start};
      request.move = op.dont_unmap ? MremapRequest::Move::kDontUnmap : MremapRequest::Move::kFixed;
      request.to = HostVa(op.to);
      const Span target{op.to, op.to + (op.span.end - op.span.start)};
      // DONTUNMAP takes its target as a hint: make it free first.
      if (op.dont_unmap && model_->one_mapping(op.span) && !target.intersects(op.span)) {
        model_->munmap(target);
        SX_ASSERT(mm_.cpu_munmap(host(target)).has_value());
      } else if (op.dont_unmap) {
        return "";
      }
      const bool engine = mm_.cpu_mremap(request).has_value();
      const bool model = model_->mremap(op.span, op.to, op.dont_unmap);
      return engine == model ? "" : differs("mremap", engine, model);
    }
    case Kind::kMprotect: {
      const Prot prot = op.writable ? Prot::kReadWrite : op.readable ? Prot::kRead : Prot::kNone;
      const bool engine = mm_.cpu_mprotect(host(op.span), prot).has_value();
      const bool model = model_->mprotect(op.span, op.readable, op.writable);
      return engine == model ? "" : differs("mprotect", engine, model);
    }
    case Kind::kDontneed:
      static_cast<void>(mm_.cpu_madvise(host(op.span), CpuAdvice::kDontNeed));
      model_->dontneed(op.span);
      return "";
    default: static_cast<void>(mm_.cpu_madvise(host(op.span), CpuAdvice::kPageout)); return "";
  }
}

std::string World::fork_or_exit(const Op& op) {
  if (op.kind == Kind::kExit) {
    auto it = processes_.find(op.process);
    if (it == processes_.end()) return "";
    mm_.cpu_exit(it->second.first);
    model_->memory(it->second.second).clear();
    processes_.erase(it);
    return "";
  }
  for (unsigned name = 1; name < 4; ++name) {
    if (processes_.contains(name)) continue;
    auto pid = mm_.cpu_fork();
    if (!pid) return "fork fails";
    processes_[name] = {*pid, model_->fork()};
    return "";
  }
  return "";
}

std::uint64_t& World::model_word(std::uint64_t at, std::size_t process) {
  ModelPage& page = model_->memory(process)[align_down(at, kPageSize)];
  return (*page.words)[at % kPageSize == 0 ? 0 : 1];
}

std::string World::cpu_access(const Op& op) {
  Pid pid = Pid::kMain;
  std::size_t process = 0;
  if (op.process != 0) {
    auto it = processes_.find(op.process);
    if (it == processes_.end()) return "";
    std::tie(pid, process) = it->second;
  }
  const ModelPage* page = model_->page(op.span.start, process);
  const bool write = op.kind == Kind::kCpuWrite;
  const bool may = page != nullptr && (write ? page->writable : page->readable);
  std::uint64_t value = op.value;
  Status done = write ? mm_.cpu_write(HostVa(op.span.start), std::as_bytes(std::span(&value, 1)), pid)
                      : mm_.cpu_read(HostVa(op.span.start), std::as_writable_bytes(std::span(&value, 1)), pid);
  if (done.has_value() != may) return differs("CPU access", done.has_value(), may);
  if (!may) return "";
  std::uint64_t& word = model_word(op.span.start, process);
  if (write) word = value;
  if (value != word) return fmt::format("CPU of process {} reads {:#x}, model {:#x}", op.process, value, word);
  if (process == 0 && mm_.page_state(HostVa(op.span.start)) == SimHostMm::PageState::kDevice) {
    return "a page the CPU has just used is in VRAM";
  }
  return "";
}

// --- the GPU ----------------------------------------------------------------------------------------------

std::string World::gpu_access(const Op& op) {
  const std::uint64_t at = op.span.start;
  const GpuVa va(at);
  faults_->served = 0;
  faults_->err = 0;

  // What the model is told: where the pages of the 64K around stand before.
  using State = SimHostMm::PageState;
  std::map<std::uint64_t, State> before;
  const std::uint64_t first = align_down(at, k64K);
  for (std::uint64_t p = first; p < first + k64K; p += kPageSize) before[p] = mm_.page_state(HostVa(p));
  auto there = [&](std::uint64_t page) {
    // svm 4.5: VRAM counts only when the target is not system memory, by the attributes after collection.
    const ModelVma* vma = model_->vma_at(at);
    const bool needs_vram = op.kind == Kind::kGpuAtomic && vma->atomic != AtomicAccess::kDevice;
    const bool to_system = vma->prefer_system && !needs_vram;
    return before[page] == State::kSystem || before[page] == State::kZero ||
           (before[page] == State::kDevice && !to_system);
  };

  std::uint64_t got = op.value;
  auto access = [&]() -> Status {
    if (op.kind == Kind::kGpuRead) return gpu_->load(va, got);
    if (op.kind == Kind::kGpuWrite) return gpu_->store(va, op.value);
    SX_TRY(got, gpu_->atomic64(va, {.apply = [](std::uint64_t a, std::uint64_t b,
                                                std::uint64_t) { return a + b; },
                                    .operand = op.value}));
    return {};
  };
  Status done;
  bool disturbed = false;
  if (op.step == nullptr) {
    done = access();
  } else {
    Interleaved hook(*this, op);
    done = access();
    disturbed = hook.happened;
    if (!hook.failure.empty()) return "inside the fault: " + hook.failure;
  }
  if (disturbed) {
    // Which iteration of the fault saw what is not modelled; what it left must be sound all the same.
    device_->flush_collector(*vm_);
    model_->adopt(engine_vmas(), engine_ranges());
  }
  std::string what = gpu_outcome(op, done, got, disturbed);
  if (!what.empty() || disturbed || faults_->served == 0) return what;
  const Access kind = op.kind == Kind::kGpuRead    ? Access::kRead
                      : op.kind == Kind::kGpuWrite ? Access::kWrite
                                                   : Access::kAtomic;
  const int err = model_->fault(at, kind, there);
  if (err == Model::kSomeError && faults_->err != 0) return "";
  if (err != faults_->err) return fmt::format("fault ends with {}, model {}", faults_->err, err);
  return "";
}

// May the access succeed as things stand now, and what did it read?
std::string World::gpu_outcome(const Op& op, const Status& done, std::uint64_t got,
                               bool disturbed) {
  const std::uint64_t at = op.span.start;
  const ModelPage* page = model_->page(at);
  const ModelVma* vma = model_->vma_at(at);
  const bool reachable = vma != nullptr && page != nullptr && page->writable;
  const bool atomic_ok = op.kind != Kind::kGpuAtomic || vma == nullptr || vma->atomic == AtomicAccess::kDevice ||
                         (vma->atomic != AtomicAccess::kCpu && page != nullptr && page->kind == MemoryKind::kAnon);
  if (done && !reachable) return "a GPU access succeeds where nothing is mapped, or not for writing";
  if (done && !disturbed && !atomic_ok && faults_->served != 0) return "a GPU atomic succeeds where it must not";
  if (!done) {
    // A refused access is judged against the model's errno; without a model of the fault, here.
    if (disturbed && reachable && op.kind != Kind::kGpuAtomic) {
      return fmt::format("the fault fails with {} on memory that is mapped and writable", faults_->err);
    }
    return "";
  }
  std::uint64_t& word = model_word(at);
  if (op.kind != Kind::kGpuWrite && got != word) return fmt::format("GPU reads {:#x}, model {:#x}", got, word);
  if (op.kind == Kind::kGpuWrite) word = op.value;
  if (op.kind == Kind::kGpuAtomic) word += op.value;
  return "";
}

// --- the driver -------------------------------------------------------------------------------------------

Status World::bind(const BindOp& op) {
  device_->flush_collector(*vm_);
  ResolvedBind resolved{.op = op, .range = GpuRange::of(op.range.start, op.range.size_bytes), .bo = {}};
  return vm_bind(*device_, *vm_, std::span(&resolved, 1), BindRun::kExecute);
}

void World::advise(const Op& op) {
  device_->flush_collector(*vm_);
  Advice advice = SetAtomic{static_cast<AtomicAccess>(op.value)};
  if (op.kind == Kind::kPreferAdvice) {
    advice = SetPreferred{{.devmem_fd = op.vram ? kPreferDefaultDevice : kPreferDefaultSystem,
                           .policy = MigrationPolicy::kAllPages,
                           .pagemap = nullptr}};
  } else if (op.kind == Kind::kPatAdvice) {
    advice = SetPat{.pat = PatIndex{static_cast<std::uint16_t>(op.value)}, .coherent = true};
  }
  SX_ASSERT(softxe::madvise(*vm_, gpu(op.span), advice).has_value());
  model_->madvise(op.span, [&](ModelVma& vma) {
    if (op.kind == Kind::kAtomicAdvice) vma.atomic = static_cast<AtomicAccess>(op.value);
    if (op.kind == Kind::kPreferAdvice) vma.prefer_system = !op.vram;
    if (op.kind == Kind::kPatAdvice) vma.pat = static_cast<unsigned>(op.value);
  });
}

std::string World::driver_call(const Op& op) SX_NO_THREAD_SAFETY_ANALYSIS {
  const UncheckedRange range{GpuVa(op.span.start), op.span.end - op.span.start};
  int expected = 0;
  Status done;
  switch (op.kind) {
    case Kind::kAtomicAdvice:
    case Kind::kPreferAdvice:
    case Kind::kPatAdvice: advise(op); return "";
    case Kind::kPrefetch:
      done = bind({.range = range, .pat_index = kPat, .what = BindPrefetch{op.vram ? 1u : 0u}});
      expected = model_->prefetch(op.span);
      break;
    case Kind::kBind:
      done = bind({.range = range,
                   .pat_index = kPat,
                   .what = BindMap{.backing = BindMirror{op.autoreset ? AutoReset::kOn : AutoReset::kOff}}});
      expected = model_->bind_mirror(op.span, op.autoreset, kPat);
      rebound_ = rebound_ || op.span.start != 0;  // not the bind of the whole space, the first
      break;
    case Kind::kUnbind:
      done = bind({.range = range, .pat_index = kPat, .what = BindUnmap{}});
      expected = model_->unbind(op.span);
      break;
    case Kind::kEvict:
      for (std::uint64_t at = op.span.start; at < op.span.end; at += kPageSize) {
        if (DevmemAllocation* allocation = mm_.allocation_at(HostVa(at))) done = mm_.evict(*allocation);
      }
      break;
    case Kind::kEvictAll:
      done = device_->vram(0).evict_all({});
      if (device_->vram(0).usage().used_bytes != 0) return "VRAM is in use after everything was evicted";
      break;
    default: {
      Guard hold(vm_->vm.lock);
      if (!vm_->svm->collect_garbage()) return "the collector fails";
      model_->collect();
    }
  }
  const int err = errno_of(done);
  return err == expected ? "" : fmt::format("ends with {}, model {}", err, expected);
}

std::string World::sweep() {
  processes_[0] = {Pid::kMain, 0};
  for (const auto& [name, process] : processes_) {
    for (std::uint64_t at = kSpace.start; at < kSpace.end; at += kPageSize) {
      for (std::uint64_t offset : kWordOffsets) {
        Op read{.kind = Op::Kind::kCpuRead, .span = {at + offset, at + offset + 8}};
        read.process = name;
        if (std::string what = cpu_access(read); !what.empty()) {
          return fmt::format("final sweep, {:#x}: {}", at + offset, what);
        }
      }
    }
  }
  processes_.erase(0);
  std::string what = compare();
  if (what.empty() && device_->vram(0).usage().used_bytes != 0 && model_->memory(0).empty()) what = "VRAM leaks";
  return what;
}

}  // namespace softxe::sim
