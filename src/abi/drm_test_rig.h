// One open file of a device over the simulated process, ioctl by ioctl, without threads: what a client asks
// and gets. Waits run what can run (ExecPolicy::kManual); run() lets jobs and late work go on.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "abi/drm_device.h"
#include "abi/uapi.h"
#include "base/guarded.h"
#include "base/step.h"
#include "host/sim/sim_host_mm.h"

namespace softxe {

/// Dma-bufs have a number and no descriptor; everything else is unknown.
class NumberedFds final : public FdLayer {
 public:
  Result<int> publish_dma_buf(std::shared_ptr<GemBo> bo, FdAccess, OnExec) override {
    bo->exported();
    dma_bufs.push_back(std::move(bo));
    return static_cast<int>(dma_bufs.size());
  }
  Result<int> publish_sync_file(std::shared_ptr<SyncFile>) override { return fail(EMFILE, "none"); }
  Result<int> publish_syncobj(SyncobjPtr) override { return fail(EMFILE, "none"); }
  std::shared_ptr<GemBo> dma_buf(int fd) override {
    const auto index = static_cast<std::size_t>(fd) - 1;
    return index < dma_bufs.size() ? dma_bufs[index] : nullptr;
  }
  std::shared_ptr<SyncFile> sync_file(int) override { return nullptr; }
  SyncobjPtr syncobj(int) override { return nullptr; }
  std::shared_ptr<DrmFile> drm_file(int fd) override { return fd == kDeviceFd ? file : nullptr; }
  bool is_open(int) override { return true; }

  static constexpr int kDeviceFd = 77;
  std::vector<std::shared_ptr<GemBo>> dma_bufs;
  std::shared_ptr<DrmFile> file;  ///< what kDeviceFd names
};

class DrmRig {
 public:
  struct Options {
    const DeviceProfile* profile = &kProfileBmg;
    std::uint64_t vram_bytes = 64ull << 20;
    std::shared_ptr<UserMemory> memory{};  ///< of the client; null: of this process
  };
  using Op = drm_xe_vm_bind_op;
  using Sync = drm_xe_sync;
  using Words = std::vector<std::uint32_t>;
  static constexpr std::uint32_t kDmaFence = 0;
  static constexpr std::uint32_t kLr = DRM_XE_VM_CREATE_FLAG_LR_MODE;
  static constexpr std::uint32_t kFault = kLr | DRM_XE_VM_CREATE_FLAG_FAULT_MODE;
  static constexpr std::uint32_t kScratch = DRM_XE_VM_CREATE_FLAG_SCRATCH_PAGE;
  static constexpr std::uint32_t kNoOvercommit = DRM_XE_VM_CREATE_FLAG_NO_VM_OVERCOMMIT;
  static constexpr std::uint32_t kSystem = 1, kVram = 2;  ///< placements
  static constexpr std::uint16_t kPat = 2;                ///< write-back, coherent
  static constexpr std::uint32_t kEnd = 0x05000000;

  DrmRig() : DrmRig(Options{}) {}
  explicit DrmRig(const Options& options) : mm(clock) {
    guarded_install_handler();
    ProcessOptions process_options;
    process_options.profile = options.profile;
    process_options.vram_bytes = options.vram_bytes;
    process_options.policy = ExecPolicy::kManual;
    process_options.fds = &fds;
    if (options.memory) process_options.memory = options.memory;
    auto made = DrmProcess::create(mm, process_options);
    SX_ASSERT(made.has_value());
    process = std::move(*made);
    file = open();
  }
  ~DrmRig() {
    fds.file.reset();
    fds.dma_bufs.clear();
    bos.clear();
    file.reset();
    mm.cpu_exit(Pid::kMain);
  }
  std::unique_ptr<DrmFile> open() { return std::make_unique<DrmFile>(*process, 0, DrmNode::kRender); }

  // --- requests; 0 or a negative errno ------------------------------------------------------------

  template <typename T>
  int call(std::uint32_t request, T& argument) {
    return file->ioctl(request, &argument);
  }
  std::uint32_t vm(std::uint32_t flags) {
    drm_xe_vm_create create{};
    create.flags = flags;
    EXPECT_EQ(call(DRM_IOCTL_XE_VM_CREATE, create), 0);
    return create.vm_id;
  }
  int destroy_vm(std::uint32_t id) {
    drm_xe_vm_destroy destroy{};
    destroy.vm_id = id;
    return call(DRM_IOCTL_XE_VM_DESTROY, destroy);
  }
  /// The handle; the object is in `bos`. `error`: the errno instead.
  std::uint32_t bo(std::uint64_t bytes, std::uint32_t placement, std::uint32_t private_to = 0,
                   std::uint32_t flags = 0) {
    drm_xe_gem_create create{};
    create.size = bytes;
    create.placement = placement;
    create.vm_id = private_to;
    create.flags = flags;
    create.cpu_caching = (placement & kVram) != 0 ? DRM_XE_GEM_CPU_CACHING_WC : DRM_XE_GEM_CPU_CACHING_WB;
    last = call(DRM_IOCTL_XE_GEM_CREATE, create);
    if (last != 0) return 0;
    drm_xe_gem_mmap_offset offset{};
    offset.handle = create.handle;
    EXPECT_EQ(call(DRM_IOCTL_XE_GEM_MMAP_OFFSET, offset), 0);
    bos.resize(std::max<std::size_t>(bos.size(), create.handle + 1));
    bos[create.handle] = file->device().bo_at_offset(offset.offset);
    return create.handle;
  }
  GemBo& object(std::uint32_t handle) { return *bos[handle]; }

  static Op map(std::uint32_t handle, std::uint64_t addr, std::uint64_t range, std::uint32_t flags = 0) {
    Op op{};
    op.obj = handle;
    op.addr = addr;
    op.range = range;
    op.op = DRM_XE_VM_BIND_OP_MAP;
    op.flags = flags;
    op.pat_index = kPat;
    return op;
  }
  static Op mirror(std::uint64_t addr, std::uint64_t range, std::uint32_t flags = 0) {
    return map(0, addr, range, flags | DRM_XE_VM_BIND_FLAG_CPU_ADDR_MIRROR);
  }
  static Op null(std::uint64_t addr, std::uint64_t range) { return map(0, addr, range, DRM_XE_VM_BIND_FLAG_NULL); }
  static Op userptr(std::uint64_t cpu, std::uint64_t addr, std::uint64_t range) {
    Op op = map(0, addr, range);
    op.op = DRM_XE_VM_BIND_OP_MAP_USERPTR;
    op.userptr = cpu;
    return op;
  }
  static Op unmap(std::uint64_t addr, std::uint64_t range) {
    Op op = map(0, addr, range);
    op.op = DRM_XE_VM_BIND_OP_UNMAP;
    return op;
  }
  static Op prefetch(std::uint64_t addr, std::uint64_t range, std::uint32_t region) {
    Op op = map(0, addr, range);
    op.op = DRM_XE_VM_BIND_OP_PREFETCH;
    op.prefetch_mem_region_instance = region;
    return op;
  }
  int bind(std::uint32_t vm_id, const std::vector<Op>& ops, const std::vector<Sync>& syncs = {},
           std::uint32_t queue_id = 0) {
    drm_xe_vm_bind request{};
    request.vm_id = vm_id;
    request.exec_queue_id = queue_id;
    request.num_binds = static_cast<std::uint32_t>(ops.size());
    if (ops.size() == 1) request.bind = ops.front();
    if (ops.size() > 1) request.vector_of_binds = reinterpret_cast<std::uint64_t>(ops.data());
    request.num_syncs = static_cast<std::uint32_t>(syncs.size());
    request.syncs = reinterpret_cast<std::uint64_t>(syncs.data());
    return call(DRM_IOCTL_XE_VM_BIND, request);
  }
  drm_xe_madvise advice(std::uint32_t vm_id, std::uint64_t start, std::uint64_t range, std::uint32_t type,
                        std::uint32_t value) {
    drm_xe_madvise request{};
    request.vm_id = vm_id;
    request.start = start;
    request.range = range;
    request.type = type;
    request.atomic.val = value;  // first word of every kind
    return request;
  }
  int advise(std::uint32_t vm_id, std::uint64_t start, std::uint64_t range, std::uint32_t type, std::uint32_t value) {
    auto request = advice(vm_id, start, range, type, value);
    return call(DRM_IOCTL_XE_MADVISE, request);
  }
  /// PURGEABLE with its answer; a negative errno when it failed.
  int purgeable(std::uint32_t vm_id, std::uint64_t start, std::uint64_t range, std::uint32_t state) {
    std::uint32_t retained = 0;
    auto request = advice(vm_id, start, range, DRM_XE_VMA_ATTR_PURGEABLE_STATE, state);
    request.purge_state_val.retained_ptr = reinterpret_cast<std::uint64_t>(&retained);
    const int done = call(DRM_IOCTL_XE_MADVISE, request);
    return done != 0 ? done : static_cast<int>(retained);
  }

  // --- fences -----------------------------------------------------------------------------------------

  std::uint32_t syncobj() {
    drm_syncobj_create create{};
    EXPECT_EQ(call(DRM_IOCTL_SYNCOBJ_CREATE, create), 0);
    return create.handle;
  }
  static Sync in(std::uint32_t handle) {
    Sync sync{};
    sync.type = DRM_XE_SYNC_TYPE_SYNCOBJ;
    sync.handle = handle;
    return sync;
  }
  static Sync out(std::uint32_t handle) {
    Sync sync = in(handle);
    sync.flags = DRM_XE_SYNC_FLAG_SIGNAL;
    return sync;
  }
  static Sync user_fence(const std::uint64_t& word, std::uint64_t value = 1) {
    Sync sync{};
    sync.type = DRM_XE_SYNC_TYPE_USER_FENCE;
    sync.flags = DRM_XE_SYNC_FLAG_SIGNAL;
    sync.addr = reinterpret_cast<std::uint64_t>(&word);
    sync.timeline_value = value;
    return sync;
  }
  bool signalled(std::uint32_t handle) {
    drm_syncobj_wait wait{};
    wait.handles = reinterpret_cast<std::uint64_t>(&handle);
    wait.count_handles = 1;
    return call(DRM_IOCTL_SYNCOBJ_WAIT, wait) == 0;
  }

  // --- jobs -------------------------------------------------------------------------------------------

  struct Property {
    std::uint32_t id;
    std::uint64_t value;
  };
  std::uint32_t queue(std::uint32_t vm_id, std::uint16_t engine_class = DRM_XE_ENGINE_CLASS_COPY,
                      const std::vector<Property>& properties = {}) {
    drm_xe_engine_class_instance place{};
    place.engine_class = engine_class;
    return queue_at(vm_id, {place}, properties);
  }
  /// On any of several engines; 0 and `last` when it failed.
  std::uint32_t queue_at(std::uint32_t vm_id, const std::vector<drm_xe_engine_class_instance>& places,
                         const std::vector<Property>& properties) {
    std::vector<drm_xe_ext_set_property> chain(properties.size());
    for (std::size_t i = 0; i < chain.size(); ++i) {
      chain[i].property = properties[i].id;
      chain[i].value = properties[i].value;
      if (i != 0) chain[i - 1].base.next_extension = reinterpret_cast<std::uint64_t>(&chain[i]);
    }
    drm_xe_exec_queue_create create{};
    create.width = 1;
    create.num_placements = static_cast<std::uint16_t>(places.size());
    create.vm_id = vm_id;
    create.instances = reinterpret_cast<std::uint64_t>(places.data());
    if (!chain.empty()) create.extensions = reinterpret_cast<std::uint64_t>(chain.data());
    last = call(DRM_IOCTL_XE_EXEC_QUEUE_CREATE, create);
    return last == 0 ? create.exec_queue_id : 0;
  }
  int exec(std::uint32_t queue_id, std::uint64_t batch, const std::vector<Sync>& syncs = {},
           std::uint16_t batches = 1) {
    drm_xe_exec request{};
    request.exec_queue_id = queue_id;
    request.address = batch;
    request.num_batch_buffer = batches;
    request.num_syncs = static_cast<std::uint32_t>(syncs.size());
    request.syncs = reinterpret_cast<std::uint64_t>(syncs.data());
    return call(DRM_IOCTL_XE_EXEC, request);
  }
  bool banned(std::uint32_t queue_id) {
    drm_xe_exec_queue_get_property property{};
    property.exec_queue_id = queue_id;
    property.property = DRM_XE_EXEC_QUEUE_GET_PROPERTY_BAN;
    EXPECT_EQ(call(DRM_IOCTL_XE_EXEC_QUEUE_GET_PROPERTY, property), 0);
    return property.value != 0;
  }
  static Words store(std::uint64_t at, std::uint32_t value) {
    return {0x10000002, static_cast<std::uint32_t>(at), static_cast<std::uint32_t>(at >> 32), value};
  }
  /// Goes on when the word at `at` is `value`.
  static Words wait_equal(std::uint64_t at, std::uint32_t value) {
    return {0x0E000002 | 1u << 15 | 4u << 12, value, static_cast<std::uint32_t>(at),
            static_cast<std::uint32_t>(at >> 32)};
  }
  /// A batch in system memory of its own, mapped at `addr`.
  std::uint32_t batch_at(std::uint32_t vm_id, std::uint64_t addr, const std::vector<Words>& commands) {
    const std::uint32_t handle = bo(kPageSize, kSystem);
    auto* word = reinterpret_cast<std::uint32_t*>(object(handle).engine_mapping());
    for (const Words& words : commands) {
      for (std::uint32_t w : words) *word++ = w;
    }
    *word = kEnd;
    EXPECT_EQ(bind(vm_id, {map(handle, addr, kPageSize, DRM_XE_VM_BIND_FLAG_IMMEDIATE)}), 0);
    return handle;
  }
  std::uint32_t word(std::uint32_t handle, std::uint64_t offset = 0) {
    return *reinterpret_cast<std::uint32_t*>(object(handle).engine_mapping() + offset);
  }
  /// A job of a VM of its own that is complete after run(); its out-fence.
  std::uint32_t blocker() {
    const std::uint32_t other = vm(kDmaFence);
    batch_at(other, 0x10000, {});
    const std::uint32_t fence = syncobj();
    EXPECT_EQ(exec(queue(other), 0x10000, {out(fence)}), 0);
    return fence;
  }
  void run(unsigned steps = 1000) {
    while (steps-- > 0 && file->device().exec().run_once()) {
    }
  }

  // --- looking ----------------------------------------------------------------------------------------

  Device& device() { return file->device().device(); }
  /// The n-th VM made by this rig, from 1.
  VmContext& context(std::uint32_t nth) { return *device().asids().find(nth); }
  std::uint64_t count(Counter counter) { return device().counters().get(counter); }
  /// "[0x1000+0x1000 bo]..." in address order.
  std::string vmas(std::uint32_t nth) {
    static constexpr const char* kKinds[] = {"bo", "null", "mirror", "userptr"};
    std::string text;
    softxe::Vm& vm_object = context(nth).vm;
    ReadGuard hold(vm_object.lock);
    for (const Vma* vma : vm_object.vmas_in(vm_object.space().managed())) {
      text += fmt::format("[{:#x}+{:#x} {}]", vma->start().value(), vma->range().size(),
                          kKinds[static_cast<unsigned>(vma->kind())]);
    }
    return text;
  }
  std::uint64_t present_pages(std::uint32_t nth) { return context(nth).vm.table(0).present_pages(); }

  ManualClock clock;
  SimHostMm mm;
  NumberedFds fds;
  std::unique_ptr<DrmProcess> process;
  std::unique_ptr<DrmFile> file;
  std::vector<std::shared_ptr<GemBo>> bos;  ///< by handle
  int last = 0;
};

}  // namespace softxe
