// Every request, with every one of its steps failing once, and with every step failing from one on:
// the request ends with an error or finds another way, nothing it was to change has changed, the
// same request succeeds afterwards, and nothing is left when the file is closed (spec/vm.md 10.1,
// invariants 19 and 20).
//
// One line per request. Requests go in as ioctl bytes; what is compared is the whole state of all
// VMs.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <chrono>
#include <mutex>
#include <set>
#include <thread>

#include "abi/drm_device.h"
#include "abi/uapi.h"
#include "base/log.h"
#include "base/step.h"
#include "host/sim/sim_host_mm.h"
#include "svm/self_check.h"

namespace softxe {
namespace {

constexpr std::uint64_t kMemory = 0x2000'0000;  ///< of the client, mirrored
constexpr std::uint64_t kVa = 0x1'0000'0000;    ///< where objects are bound
constexpr std::uint64_t kBoBytes = 4 * k2M;
constexpr std::uint32_t kBatchEnd = 0x0500'0000;
constexpr unsigned kStepsMax = 300;

/// Fails steps of the test's own thread only: engines and the collector go on undisturbed.
class FailHere final : public StepHook {
 public:
  FailHere(unsigned nth, FailNth::Repeat repeat) : nth_(nth), repeat_(repeat) { set_step_hook(this); }
  ~FailHere() override { set_step_hook(nullptr); }
  Status on_step(StepSite& site, bool may_fail) override {
    if (!may_fail || std::this_thread::get_id() != thread_) return {};
    ++seen_;
    if (seen_ != nth_ && !(repeat_ == FailNth::Repeat::kForever && seen_ > nth_)) return {};
    if (!fired) step = site.name;
    fired = true;
    return fail(ENOMEM, site.name);
  }
  bool fired = false;
  const char* step = "";

 private:
  const std::thread::id thread_ = std::this_thread::get_id();
  unsigned nth_;
  FailNth::Repeat repeat_;
  unsigned seen_ = 0;
};

class NoDescriptors final : public FdLayer {
 public:
  Result<int> publish_dma_buf(std::shared_ptr<GemBo>, FdAccess, OnExec) override { return fail(EMFILE, "none"); }
  Result<int> publish_sync_file(std::shared_ptr<SyncFile>) override { return fail(EMFILE, "none"); }
  Result<int> publish_syncobj(SyncobjPtr) override { return fail(EMFILE, "none"); }
  std::shared_ptr<GemBo> dma_buf(int) override { return nullptr; }
  std::shared_ptr<SyncFile> sync_file(int) override { return nullptr; }
  SyncobjPtr syncobj(int) override { return nullptr; }
  std::shared_ptr<DrmFile> drm_file(int) override { return nullptr; }
  bool is_open(int) override { return false; }
};

/// A device over a simulated process, one open file, and what most requests need.
class Rig {
 public:
  explicit Rig(ResetMode reset, const DeviceProfile& profile = kProfileBmg) : mm(clock) {
    set_self_check(SelfCheck::kOn);
    options.profile = &profile;
    options.vram_bytes = 64ull << 20;
    options.reset = reset;
    options.fds = &descriptors;
    auto made = DrmProcess::create(mm, options);
    SX_ASSERT(made.has_value());
    process = std::move(*made);
    file = std::make_unique<DrmFile>(*process, 0, DrmNode::kRender);
    dma_vm = create_vm(0);
    fault_vm = create_vm(DRM_XE_VM_CREATE_FLAG_LR_MODE | DRM_XE_VM_CREATE_FLAG_FAULT_MODE);
    system_bo = create_bo(1);
    vram_bo = create_bo(2);
    const std::uint32_t end = kBatchEnd;
    std::memcpy(file->objects()[0]->engine_mapping(), &end, sizeof end);
    SX_ASSERT(mm.cpu_mmap({.size_bytes = 2 * k2M, .at = HostVa(kMemory), .place = MmapRequest::Place::kFixed}));
  }
  ~Rig() {
    file.reset();
    mm.cpu_exit(Pid::kMain);
  }

  Device& device() { return process->device(0).device(); }
  std::uint32_t create_vm(std::uint32_t flags) {
    drm_xe_vm_create request{};
    request.flags = flags;
    last = file->ioctl(DRM_IOCTL_XE_VM_CREATE, &request);
    return request.vm_id;
  }
  std::uint32_t create_bo(std::uint32_t placement) {
    drm_xe_gem_create request{};
    request.size = kBoBytes;
    request.placement = placement;
    request.cpu_caching = placement == 1 ? DRM_XE_GEM_CPU_CACHING_WB : DRM_XE_GEM_CPU_CACHING_WC;
    last = file->ioctl(DRM_IOCTL_XE_GEM_CREATE, &request);
    return request.handle;
  }
  /// As a member of a group: kCreate for its primary, or the primary's id. 0: of none.
  static constexpr std::uint64_t kCreate = DRM_XE_MULTI_GROUP_CREATE;
  int create_queue(std::uint64_t group = 0) {
    drm_xe_ext_set_property priority{};
    priority.property = DRM_XE_EXEC_QUEUE_SET_PROPERTY_MULTI_QUEUE_PRIORITY;
    priority.value = 2;
    drm_xe_ext_set_property member{};
    member.base.next_extension = reinterpret_cast<std::uint64_t>(&priority);
    member.property = DRM_XE_EXEC_QUEUE_SET_PROPERTY_MULTI_GROUP;
    member.value = group;
    drm_xe_engine_class_instance instance{};
    instance.engine_class = DRM_XE_ENGINE_CLASS_COPY;
    drm_xe_exec_queue_create request{};
    request.width = request.num_placements = 1;
    request.vm_id = dma_vm;
    request.instances = reinterpret_cast<std::uint64_t>(&instance);
    if (group != 0) request.extensions = reinterpret_cast<std::uint64_t>(&member);
    const int result = file->ioctl(DRM_IOCTL_XE_EXEC_QUEUE_CREATE, &request);
    queue = request.exec_queue_id;
    return result;
  }
  int exec(std::uint64_t batch) {
    drm_xe_exec request{};
    request.exec_queue_id = queue;
    request.address = batch;
    request.num_batch_buffer = 1;
    return file->ioctl(DRM_IOCTL_XE_EXEC, &request);
  }
  int bind(std::uint32_t vm, std::vector<drm_xe_vm_bind_op> ops) {
    drm_xe_vm_bind request{};
    request.vm_id = vm;
    request.num_binds = static_cast<std::uint32_t>(ops.size());
    if (ops.size() == 1) request.bind = ops[0];
    if (ops.size() > 1) request.vector_of_binds = reinterpret_cast<std::uint64_t>(ops.data());
    return file->ioctl(DRM_IOCTL_XE_VM_BIND, &request);
  }
  int advise(std::uint64_t start, std::uint64_t bytes, std::uint32_t type, std::uint32_t value) {
    drm_xe_madvise request{};
    request.vm_id = fault_vm;
    request.start = start;
    request.range = bytes;
    request.type = type;
    request.atomic.val = value;  // the first word of every kind
    return file->ioctl(DRM_IOCTL_XE_MADVISE, &request);
  }
  int gpu_fault(std::uint64_t page, AccessType access) {
    std::uint32_t asid = 0;
    device().for_each_vm([&](VmContext& context) {
      if (context.vm.config().modes.fault) asid = context.vm.config().asid;
    });
    Status done =
        device().faults().serve({.page = GpuVa(page), .asid = asid, .access = access, .attempts = {}, .engine = {}});
    return done ? 0 : -done.error().err;
  }

  ManualClock clock;
  SimHostMm mm;
  NoDescriptors descriptors;
  ProcessOptions options;
  std::unique_ptr<DrmProcess> process;
  std::unique_ptr<DrmFile> file;
  std::uint32_t dma_vm = 0, fault_vm = 0, system_bo = 0, vram_bo = 0, queue = 0, primary = 0;
  int last = 0;
};

// --- requests -----------------------------------------------------------------------------------------------------

drm_xe_vm_bind_op op_of(std::uint32_t op, std::uint64_t at, std::uint64_t bytes, std::uint32_t flags = 0) {
  drm_xe_vm_bind_op result{};
  result.op = op;
  result.addr = at;
  result.range = bytes;
  result.flags = flags;
  result.pat_index = op == DRM_XE_VM_BIND_OP_MAP ? 2 : 0;
  return result;
}
drm_xe_vm_bind_op map(std::uint32_t bo, std::uint64_t at, std::uint64_t bytes, std::uint32_t flags = 0) {
  drm_xe_vm_bind_op result = op_of(DRM_XE_VM_BIND_OP_MAP, at, bytes, flags);
  result.obj = bo;
  return result;
}
drm_xe_vm_bind_op map_null(std::uint64_t at, std::uint64_t bytes) {
  return op_of(DRM_XE_VM_BIND_OP_MAP, at, bytes, DRM_XE_VM_BIND_FLAG_NULL);
}
drm_xe_vm_bind_op map_mirror(std::uint64_t at, std::uint64_t bytes) {
  return op_of(DRM_XE_VM_BIND_OP_MAP, at, bytes,
               DRM_XE_VM_BIND_FLAG_CPU_ADDR_MIRROR | DRM_XE_VM_BIND_FLAG_MADVISE_AUTORESET);
}
drm_xe_vm_bind_op map_userptr(std::uint64_t at, std::uint64_t bytes) {
  drm_xe_vm_bind_op result = op_of(DRM_XE_VM_BIND_OP_MAP_USERPTR, at, bytes);
  result.userptr = kMemory;
  result.pat_index = 2;
  return result;
}
drm_xe_vm_bind_op unmap(std::uint64_t at, std::uint64_t bytes) { return op_of(DRM_XE_VM_BIND_OP_UNMAP, at, bytes); }
drm_xe_vm_bind_op unmap_all(std::uint32_t bo) {
  drm_xe_vm_bind_op result = op_of(DRM_XE_VM_BIND_OP_UNMAP_ALL, 0, 0);
  result.obj = bo;
  result.pat_index = 2;
  return result;
}
drm_xe_vm_bind_op prefetch(std::uint64_t at, std::uint64_t bytes, std::uint32_t region) {
  drm_xe_vm_bind_op result = op_of(DRM_XE_VM_BIND_OP_PREFETCH, at, bytes);
  result.prefetch_mem_region_instance = region;
  return result;
}

void mirrored(Rig& r) { ASSERT_EQ(r.bind(r.fault_vm, {map_mirror(0, 1ull << 48)}), 0); }
void mirrored_and_touched(Rig& r) {
  mirrored(r);
  ASSERT_EQ(r.gpu_fault(kMemory, AccessType::kWrite), 0);
}
void bound(Rig& r) {
  ASSERT_EQ(r.bind(r.dma_vm, {map(r.system_bo, kVa, kBoBytes)}), 0);
  ASSERT_EQ(r.bind(r.dma_vm, {map(r.vram_bo, kVa + kBoBytes, kBoBytes)}), 0);
}
void bound_and_queue(Rig& r) {
  bound(r);
  ASSERT_EQ(r.create_queue(), 0);
}
/// A group with one place left.
void nearly_full_group(Rig& r) {
  bound(r);
  ASSERT_EQ(r.create_queue(Rig::kCreate), 0);
  r.primary = r.queue;
  for (int i = 1; i < 63; ++i) ASSERT_EQ(r.create_queue(r.primary), 0);
}
void bound_and_evicted(Rig& r) {
  bound_and_queue(r);
  ASSERT_TRUE(r.device().vram(0).evict_all({}).has_value());
}
void nothing(Rig&) {}

/// What a failing request must leave as it was.
enum class Keeps {
  kAll,         ///< every object, range and entry
  kTree,        ///< VMAs; ranges may have come, gone or moved (faults, prefetch)
  kAttributes,  ///< attributes per address; VMAs may be cut at the borders
};
struct Row {
  const char* name;
  Keeps keeps;
  void (*arrange)(Rig&);
  int (*request)(Rig&);
  ResetMode reset = ResetMode::kFlag;
  const DeviceProfile* profile = &kProfileBmg;
};

constexpr std::uint32_t kImmediate = DRM_XE_VM_BIND_FLAG_IMMEDIATE;
const Row kRows[] = {
    {"VmCreate", Keeps::kAll, nothing, [](Rig& r) { return r.create_vm(0), r.last; }},
    {"VmCreateWithFaults", Keeps::kAll, nothing,
     [](Rig& r) { return r.create_vm(DRM_XE_VM_CREATE_FLAG_LR_MODE | DRM_XE_VM_CREATE_FLAG_FAULT_MODE), r.last; }},
    {"B29_VmCreateWithScratch", Keeps::kAll, nothing,
     [](Rig& r) {
       return r.create_vm(DRM_XE_VM_CREATE_FLAG_SCRATCH_PAGE | DRM_XE_VM_CREATE_FLAG_LR_MODE |
                          DRM_XE_VM_CREATE_FLAG_FAULT_MODE),
              r.last;
     }},
    {"GemCreateInVram", Keeps::kAll, nothing, [](Rig& r) { return r.create_bo(2), r.last; }},
    {"GemCreateInEither", Keeps::kAll, nothing, [](Rig& r) { return r.create_bo(1), r.last; }},
    {"ExecQueueCreate", Keeps::kAll, nothing, [](Rig& r) { return r.create_queue(); }},
    {"ExecQueueCreateWithGroup", Keeps::kAll, nothing, [](Rig& r) { return r.create_queue(Rig::kCreate); },
     ResetMode::kFlag, &kProfileCri},
    {"ExecQueueCreateOfTheLastMember", Keeps::kAll, nearly_full_group, [](Rig& r) { return r.create_queue(r.primary); },
     ResetMode::kFlag, &kProfileCri},
    {"ExecOfAMember", Keeps::kAll, nearly_full_group, [](Rig& r) { return r.exec(kVa); }, ResetMode::kFlag,
     &kProfileCri},
    {"Exec", Keeps::kAll, bound_and_queue, [](Rig& r) { return r.exec(kVa); }},
    {"ExecAfterAnEviction", Keeps::kTree, bound_and_evicted, [](Rig& r) { return r.exec(kVa); }},
    {"MapSystem", Keeps::kAll, nothing, [](Rig& r) { return r.bind(r.dma_vm, {map(r.system_bo, kVa, k2M)}); }},
    {"MapVram", Keeps::kAll, nothing, [](Rig& r) { return r.bind(r.dma_vm, {map(r.vram_bo, kVa, k2M)}); }},
    {"MapNull", Keeps::kAll, nothing, [](Rig& r) { return r.bind(r.dma_vm, {map_null(kVa, k2M)}); }},
    {"MapUserptr", Keeps::kAll, nothing, [](Rig& r) { return r.bind(r.dma_vm, {map_userptr(kVa, k64K)}); }},
    {"MapOverTheMiddle", Keeps::kAll, bound,
     [](Rig& r) { return r.bind(r.dma_vm, {map_null(kVa + k2M + k64K, k2M)}); }},
    {"MapOverTheBorderOfTwo", Keeps::kAll, bound,
     [](Rig& r) { return r.bind(r.dma_vm, {map_userptr(kVa + kBoBytes - k64K, 2 * k64K)}); }},
    {"UnmapTheMiddle", Keeps::kAll, bound, [](Rig& r) { return r.bind(r.dma_vm, {unmap(kVa + k64K, k64K)}); }},
    {"UnmapAllOfABo", Keeps::kAll, bound, [](Rig& r) { return r.bind(r.dma_vm, {unmap_all(r.vram_bo)}); }},
    {"ArrayOfAllKinds", Keeps::kAll, bound,
     [](Rig& r) {
       return r.bind(r.dma_vm, {map_null(kVa + k64K, k2M), unmap(kVa + k2M, k64K), map(r.vram_bo, kVa, k64K),
                                map_userptr(kVa + 8 * kBoBytes, 2 * k64K), unmap_all(r.system_bo),
                                unmap(kVa + 8 * kBoBytes + k64K, k64K), map(r.system_bo, kVa + k64K, k64K)});
     }},
    {"MirrorMap", Keeps::kAll, nothing, [](Rig& r) { return r.bind(r.fault_vm, {map_mirror(0, 1ull << 40)}); }},
    {"MirrorMapThatMerges", Keeps::kAll, mirrored_and_touched,
     [](Rig& r) { return r.bind(r.fault_vm, {map_mirror(k2M, k2M)}); }},
    {"MapOverAMirror", Keeps::kAll, mirrored_and_touched,
     [](Rig& r) { return r.bind(r.fault_vm, {map(r.vram_bo, kVa, k2M, kImmediate)}); }},
    {"UnmapOfAPartOfAMirror", Keeps::kAll, mirrored_and_touched,
     [](Rig& r) { return r.bind(r.fault_vm, {unmap(kVa, k2M)}); }},
    {"ArrayInAFaultVm", Keeps::kAll, mirrored_and_touched,
     [](Rig& r) {
       return r.bind(r.fault_vm,
                     {unmap(kVa, kBoBytes), map(r.system_bo, kVa, k2M, kImmediate), map_null(kVa + k2M, k2M),
                      map_mirror(kVa + k2M, k64K), unmap_all(r.system_bo), map_mirror(kVa, kBoBytes)});
     }},
    {"PrefetchToVram", Keeps::kTree, mirrored,
     [](Rig& r) { return r.bind(r.fault_vm, {prefetch(kMemory, 2 * k2M, 1)}); }},
    {"PrefetchBack", Keeps::kTree, mirrored_and_touched,
     [](Rig& r) { return r.bind(r.fault_vm, {prefetch(kMemory, k2M, 0)}); }},
    {"MadviseAtomic", Keeps::kAttributes, mirrored_and_touched,
     [](Rig& r) { return r.advise(kMemory + k64K, k64K, DRM_XE_MEM_RANGE_ATTR_ATOMIC, 1); }},
    {"MadvisePat", Keeps::kAttributes, mirrored_and_touched,
     [](Rig& r) { return r.advise(kMemory + k64K, k64K, DRM_XE_MEM_RANGE_ATTR_PAT, 3); }},
    {"MadvisePreferred", Keeps::kAttributes, mirrored_and_touched,
     [](Rig& r) { return r.advise(kMemory, k2M, DRM_XE_MEM_RANGE_ATTR_PREFERRED_LOC, ~0u); }},
    {"MadviseThatWatchesUnmaps", Keeps::kAttributes, mirrored_and_touched,
     [](Rig& r) { return r.advise(kMemory, k2M, DRM_XE_MEM_RANGE_ATTR_ATOMIC, 1); }, ResetMode::kExact},
    {"FaultOnAHole", Keeps::kTree, mirrored, [](Rig& r) { return r.gpu_fault(kMemory, AccessType::kRead); }},
    {"AtomicFault", Keeps::kTree, mirrored, [](Rig& r) { return r.gpu_fault(kMemory, AccessType::kAtomic); }},
    {"FaultOnABo", Keeps::kTree, [](Rig& r) { ASSERT_EQ(r.bind(r.fault_vm, {map(r.vram_bo, kVa, k2M)}), 0); },
     [](Rig& r) { return r.gpu_fault(kVa, AccessType::kWrite); }},
};

// --- the state of everything --------------------------------------------------------------------------------------

std::string attributes(const Vma& vma) {
  return fmt::format("kind={} flags={}{}{} atomic={} pat={}/{} preferred={}/{} purgeable={} backing={} bo={}",
                     static_cast<int>(vma.kind()), vma.flags().read_only, vma.flags().dumpable, vma.flags().autoreset,
                     static_cast<int>(vma.attr.atomic), static_cast<int>(vma.attr.pat),
                     static_cast<int>(vma.attr.default_pat), vma.attr.preferred.devmem_fd,
                     static_cast<int>(vma.attr.preferred.policy), static_cast<int>(vma.attr.purgeable),
                     fmt::ptr(vma.backing()), fmt::ptr(vma.bo().get()));
}

std::string tree_digest(Vm& vm, Keeps keeps) SX_REQUIRES_SHARED(vm.lock) {
  std::string text;
  std::string run;  // of equal attributes, whatever the cuts
  for (const Vma* vma : vm.vmas_in(vm.space().managed())) {
    if (keeps == Keeps::kAttributes) {
      const std::string mine = attributes(*vma);
      if (mine != run) text += fmt::format("{:#x} {}\n", vma->start().value(), mine);
      run = mine;
      continue;
    }
    text += fmt::format("{} [{:#x}, {:#x}) +{:#x} {} fence={}", fmt::ptr(vma), vma->start().value(), vma->end().value(),
                        vma->offset_bytes(), attributes(*vma), fmt::ptr(vma->user_fence.get()));
    if (keeps == Keeps::kAll) text += fmt::format(" tiles={}/{}", vma->tile_present, vma->tile_invalidated);
    text += "\n";
  }
  return text;
}

std::string mapped_digest(VmContext& context) {
  std::string text;
  if (context.svm) {
    context.svm->for_each_range([&](const SvmRange& range, const SvmRangeState& state) {
      text += fmt::format("range {} [{:#x}, +{:#x}) state={} tiles={}/{}\n", fmt::ptr(&range),
                          range.extent().start().value(), range.extent().size(), state.pages().index(), state.present(),
                          state.invalidated());
    });
  }
  context.vm.table(0).for_each_leaf(GpuRange::of(GpuVa(0), context.vm.size_bytes()), [&](const Translation& leaf) {
    text += fmt::format("entry {:#x} +{:#x} -> {:#x} kind={} writable={} atomic={} pat={}\n", leaf.entry_va.value(),
                        leaf.entry_bytes, leaf.address, static_cast<int>(leaf.flags.kind), leaf.flags.writable,
                        leaf.flags.atomic_enable, leaf.flags.pat_index);
  });
  return text;
}

std::string digest(Rig& rig, Keeps keeps) {
  std::string text = fmt::format("objects={}\n", rig.file->objects().size());
  rig.device().for_each_vm([&](VmContext& context) {
    ReadGuard hold(context.vm.lock);
    text += fmt::format("VM {} banned={} VMAs={}\n", context.vm.config().asid, context.vm.banned(),
                        keeps == Keeps::kAttributes ? 0 : context.vm.vma_count());
    text += tree_digest(context.vm, keeps);
    if (keeps == Keeps::kAll) text += mapped_digest(context);
    EXPECT_EQ(broken_invariant(context), "");
  });
  return text;
}

// --- the test -----------------------------------------------------------------------------------------------------

/// A job keeps its VM until the engine's thread has let go of it, a moment after it was cancelled.
std::size_t vms_left(Device& device) {
  const auto give_up = std::chrono::steady_clock::now() + std::chrono::seconds(10);
  for (;;) {
    std::size_t vms = 0;
    device.for_each_vm([&](VmContext&) { ++vms; });
    if (vms == 0 || std::chrono::steady_clock::now() > give_up) return vms;
    std::this_thread::yield();
  }
}

/// Runs the request with step `nth` failing. False: it has fewer steps.
bool fails_cleanly(const Row& row, unsigned nth, FailNth::Repeat repeat) {
  Rig rig(row.reset, *row.profile);
  row.arrange(rig);
  const std::string before = digest(rig, row.keeps);
  int result = 0;
  bool fired = false;
  {
    FailHere hook(nth, repeat);
    result = row.request(rig);
    fired = hook.fired;
    SCOPED_TRACE(fmt::format("step {}: {}", nth, hook.step));
    if (!fired) {
      EXPECT_EQ(result, 0);
    }
  }
  if (fired && result != 0) {
    EXPECT_EQ(digest(rig, row.keeps), before);
    EXPECT_EQ(row.request(rig), 0) << "a second try, undisturbed";
  }
  rig.file.reset();
  EXPECT_EQ(vms_left(rig.device()), 0u) << "VMs are left after the file";
  rig.mm.cpu_exit(Pid::kMain);
  EXPECT_EQ(rig.device().vram(0).usage().used_bytes, 0u) << "VRAM is left after the process";
  EXPECT_EQ(rig.mm.frames_in_use(), 0u) << "frames are left after the process";
  return fired;
}

class FailingSteps : public testing::TestWithParam<Row> {
 protected:
  void SetUp() override { set_log_level(LogLevel::kOff); }
  void TearDown() override { set_log_level(LogLevel::kError); }
};

TEST_P(FailingSteps, LeaveEverythingAsItWas) {
  for (auto repeat : {FailNth::Repeat::kOnce, FailNth::Repeat::kForever}) {
    unsigned nth = 1;
    while (nth < kStepsMax && fails_cleanly(GetParam(), nth, repeat)) {
      if (HasFailure()) FAIL() << "at step " << nth << (repeat == FailNth::Repeat::kOnce ? ", once" : ", for ever");
      ++nth;
    }
    EXPECT_GT(nth, 1u) << "the request has no step that may fail";
    EXPECT_LT(nth, kStepsMax);
  }
}

INSTANTIATE_TEST_SUITE_P(Requests, FailingSteps, testing::ValuesIn(kRows),
                         [](const auto& row) { return std::string(row.param.name); });

/// Which steps are reached, on any thread.
class NoteSteps final : public StepHook {
 public:
  NoteSteps() { set_step_hook(this); }
  ~NoteSteps() override { set_step_hook(nullptr); }
  Status on_step(StepSite& site, bool) override {
    const std::lock_guard hold(mutex_);
    seen_.insert(site.name);
    return {};
  }
  std::set<std::string> seen() {
    const std::lock_guard hold(mutex_);
    return seen_;
  }

 private:
  std::mutex mutex_;
  std::set<std::string> seen_;
};

/// So that these are steps which fail above, or marks that are passed.
TEST(Steps, TheRequestsAboveReachThese) {
  NoteSteps steps;
  for (const Row& row : kRows) {
    Rig rig(row.reset, *row.profile);
    row.arrange(rig);
    EXPECT_EQ(row.request(rig), 0) << row.name;
    WaitContext wait = rig.process->device(0).wait_context();
    EXPECT_TRUE(rig.file->jobs_of_vm(rig.dma_vm)->wait(wait, Deadline::never()));
    EXPECT_TRUE(rig.mm.cpu_munmap(HostRange::of(HostVa(kMemory), k2M)));
  }
  const std::set<std::string> seen = steps.seen();
  for (const char* name :
       {"drv.exec.submitted", "abi.exec_queue.id", "drv.bind.prefetch", "drv.exec.create_queue", "drv.exec.slice",
        "drv.gem.create", "drv.vm.create", "drv.vram.svm_alloc", "hw.pt.commit", "hw.pt.unbind", "svm.event.enter",
        "svm.event.leave", "svm.prefetch.item", "svm.window.create", "vm.bind.commit", "vm.bind.plan"}) {
    EXPECT_TRUE(seen.contains(name)) << name;
  }
}

}  // namespace
}  // namespace softxe
