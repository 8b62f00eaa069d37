// The objects behind open device nodes: one DrmProcess per process, a DrmDevice per card, a DrmFile per
// open file description (spec/uapi.md 1, 2).
//
// A DrmFile turns ioctl bytes into calls of drv/ and keeps the file's tables: GEM handles, VMs, exec queues,
// syncobjs. It knows nothing of file descriptors: what needs one asks the FdLayer, which the preload
// library (or an embedder) provides. Dispatch rules: ioctl_table.h. Request checks: decode.h.
//
//   drm_process.cc    construction
//   drm_file.cc       dispatch, close, mmap
//   drm_file_core.cc  DRM core and prime         drm_file_gem.cc   queries, buffer objects
//   drm_file_vm.cc    VMs, binds, advice         drm_file_exec.cc  queues, EXEC, waits
//   drm_file_sync.cc  syncobj                    drm_file_fork.cc  what a fork child has
//   drm_device_health.cc  wedged, unbound, bound
#pragma once

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <vector>

#include "abi/decode.h"
#include "abi/drm_master.h"
#include "abi/fault_attributes.h"
#include "abi/file_image.h"
#include "abi/ioctl_table.h"
#include "abi/runtime_pm.h"
#include "abi/user_copy.h"
#include "base/kernel_failure.h"
#include "drv/device.h"
#include "drv/exec/context_vm.h"
#include "drv/exec/device_exec.h"
#include "drv/exec/id_table.h"
#include "drv/exec/syncobj_table.h"
#include "drv/vm_ops.h"

namespace softxe {

struct FdinfoFacts;

class DrmFile;

/// Descriptors of the client's process. Every method may run client-visible system calls; none is called
/// with an engine lock held.
class FdLayer {
 public:
  virtual ~FdLayer() = default;
  enum class OnExec : std::uint8_t { kKeep, kClose };
  enum class FdAccess : std::uint8_t { kReadOnly, kReadWrite };

  // New descriptors; EMFILE and friends.
  virtual Result<int> publish_dma_buf(std::shared_ptr<GemBo> bo, FdAccess access, OnExec on_exec) = 0;
  virtual Result<int> publish_sync_file(std::shared_ptr<SyncFile> file) = 0;
  virtual Result<int> publish_syncobj(SyncobjPtr object) = 0;
  // What a descriptor is; null when it is nothing of the kind. EBADF is the caller's to find out.
  virtual std::shared_ptr<GemBo> dma_buf(int fd) = 0;
  virtual std::shared_ptr<SyncFile> sync_file(int fd) = 0;
  virtual SyncobjPtr syncobj(int fd) = 0;
  virtual std::shared_ptr<DrmFile> drm_file(int fd) = 0;
  virtual bool is_open(int fd) = 0;
};

struct ProcessOptions {
  unsigned device_count = 1;
  const DeviceProfile* profile = nullptr;
  std::uint64_t vram_bytes = 0;     ///< per tile; 0: the profile's
  std::uint64_t visible_bytes = 0;  ///< 0: all
  ResetMode reset = ResetMode::kFlag;
  /// One per device, in memory that outlives the process object (a shared slot); null: private.
  CounterWords* counters = nullptr;
  /// Likewise for one VM of a device; empty or null: private.
  std::function<CounterWords*(unsigned device, std::uint32_t asid)> vm_counters{};
  /// The most VRAM in use at a time, by tile of a device; null: nowhere.
  std::function<std::span<std::atomic<std::uint64_t>>(unsigned device)> vram_peak_bytes{};
  ThreadStarter start_thread = default_thread_starter();
  /// kManual: no thread at all; waits run what can run (tests, simulators).
  ExecPolicy policy = ExecPolicy::kThreads;
  /// kManual: collector passes run in faults and requests only; implied by a manual policy.
  GcWorker::Mode collector = GcWorker::Mode::kThread;
  /// Runs before every EXEC: the live backend's probe for unseen unmaps.
  std::function<void()> before_submit = [] {};
  /// Asked by waits of the calling thread, which end with -EINTR when it says true; null: never.
  bool (*signalled)() = nullptr;
  /// Host threads that run the groups of one kernel; 1 with kManual.
  std::uint32_t eu_threads = 1;
  /// Told of kernels with illegal or unsupported instructions, on an engine's thread; null: nobody listens.
  std::function<void(unsigned device, const KernelFailure&)> kernel_failed{};
  FdLayer* fds = nullptr;
  /// Where requests and user fences of the client are read and written; never null. Shared: a fence may be late.
  std::shared_ptr<UserMemory> memory = std::make_shared<ProcessUserMemory>();
  /// The client named this memory: MADVISE to a device's VRAM, or PREFETCH into it. On a lower rung of live
  /// memory nothing else migrates.
  std::function<void(HostRange)> memory_named{};
};

/// One simulated card of this process.
class DrmDevice {
 public:
  DrmDevice(std::unique_ptr<Device> device, unsigned index, const ProcessOptions& options);
  ~DrmDevice();

  Device& device() { return *device_; }
  DeviceExec& exec() { return *exec_; }
  const DecodeLimits& limits() const { return limits_; }
  /// How a thread of the client waits on this device.
  WaitContext wait_context() { return exec_->wait_context(); }

  // Fake offsets and flink names, device-wide.
  void remember(const std::shared_ptr<GemBo>& bo);
  /// Some object that anybody still has, or null. `is_it` runs under the lock of the device's names.
  std::shared_ptr<GemBo> find_bo(const std::function<bool(const GemBo&)>& is_it);
  std::shared_ptr<GemBo> bo_at_offset(std::uint64_t offset);
  /// In a fork child: the object of this device that has the bytes of one of the parent's, with its fake
  /// offset. One for all files and dma-bufs. `private_to`: the child's VM that stands for the parent's.
  Result<std::shared_ptr<GemBo>> inherited(const std::shared_ptr<GemBo>& parents, const void* private_to);
  std::uint32_t flink(const std::shared_ptr<GemBo>& bo);
  std::shared_ptr<GemBo> by_name(std::uint32_t name);
  /// In a fork child `names` of the parent's objects mean what was inherited of them, when all files have been.
  using Names = std::map<std::uint32_t, std::shared_ptr<GemBo>>;
  Names names();
  void inherit_names(const Names& parents);

  // Wedged, unbound, bound (drm_device_health.cc). A file belongs to the binding that it was opened in: after an unbind
  // every request of it is refused, also when the driver is bound again.
  using Binding = std::uint32_t;
  Binding binding() const { return binding_.load(); }
  DeviceHealth health(Binding opened_in) const;
  bool bound() const { return bound_.load(); }
  /// debugfs wedged_mode: 0 never, 1 when a reset fails, 2 also when a job takes too long or is
  /// ended for what it did.
  std::atomic<std::uint32_t>& wedged_mode() { return wedged_mode_; }
  /// Ends all queues; from now on every request is refused with ECANCELED.
  void declare_wedged();
  /// debugfs force_reset. ECANCELED: it was made to fail.
  Status reset_gt(std::uint16_t gt);
  FaultAttributes& reset_faults() { return reset_faults_; }
  /// ENODEV: not bound.
  Status unbind();
  /// EBUSY: bound already.
  Status bind();

  DrmMasters& masters() { return masters_; }
  RuntimePm& power() { return power_; }

 private:
  std::unique_ptr<Device> device_;
  RuntimePm power_;  ///< before exec_: its jobs give back their references
  DecodeLimits limits_;
  std::unique_ptr<BackendFactory> backends_;
  std::unique_ptr<DeviceExec> exec_;
  std::atomic<bool> wedged_{false};
  std::atomic<bool> bound_{true};
  std::atomic<Binding> binding_{1};
  std::atomic<std::uint32_t> wedged_mode_{1};
  FaultAttributes reset_faults_;
  DrmMasters masters_;
  LeafMutex lock_{"DrmDevice"};
  std::map<std::uint64_t, std::weak_ptr<GemBo>> offsets_ SX_GUARDED_BY(lock_);
  std::map<std::uint32_t, std::weak_ptr<GemBo>> names_ SX_GUARDED_BY(lock_);
  /// By the parent's object, which nobody frees in the child.
  std::map<const GemBo*, std::weak_ptr<GemBo>> inherited_ SX_GUARDED_BY(lock_);
};

/// The devices of a process over one HostMm. Outlives its files.
class DrmProcess {
 public:
  static Result<std::unique_ptr<DrmProcess>> create(HostMm& host, const ProcessOptions& options);

  const ProcessOptions& options() const { return options_; }
  /// Waits until the engines of all devices have come to rest, for runs that are to be repeatable. A signal ends it.
  void settle();
  unsigned device_count() const { return static_cast<unsigned>(devices_.size()); }
  DrmDevice& device(unsigned index) { return *devices_[index]; }

 private:
  explicit DrmProcess(const ProcessOptions& options) : options_(options) {}
  const ProcessOptions options_;
  MigrateLock migrate_lock_{"migrate"};
  std::vector<std::unique_ptr<DrmDevice>> devices_;
};

/// A VM of one file.
struct DrmVm {
  VmMode mode;
  std::shared_ptr<VmContext> context;
  std::shared_ptr<ContextVm> exec;
  std::shared_ptr<BindQueue> default_bind;
  std::optional<RuntimePm::Use> awake{};  ///< a long-running VM may have work that nobody knows of
};
using DrmVmPtr = std::shared_ptr<DrmVm>;

/// One open file description. Thread-safe. Closing is the destructor: queues die first, then VMs.
class DrmFile final : private IoctlHandler {
 public:
  DrmFile(DrmProcess& process, unsigned device_index, DrmNode node);
  ~DrmFile() override;

  unsigned device_index() const { return device_index_; }
  DrmNode node() const { return node_; }
  DrmDevice& device() { return device_; }
  std::uint32_t client_id() const { return client_id_; }

  /// Before a fork, in the parent; and in the child, before this file is used: the parent's file again, as a
  /// copy that shares the bytes of buffer objects. How many handles and ids could not be made again: they stay
  /// unused.
  FileImage image(ForkSyncs& syncs);
  std::size_t inherit(const FileImage& image);

  /// As the system call: a value or a negative errno. Takes no errno, holds no lock on return.
  int ioctl(std::uint32_t request, void* argument);

  struct MmapTarget {
    std::shared_ptr<GemBo> bo;
  };
  /// Which object an mmap of the node means. EINVAL, EACCES, EBUSY (spec/uapi.md 6).
  enum class MapSharing : std::uint8_t { kShared, kPrivate };
  Result<MmapTarget> mmap_target(std::uint64_t offset, std::uint64_t length_bytes, MapSharing sharing);
  /// Every object this file has a handle to (fdinfo).
  std::vector<std::shared_ptr<GemBo>> objects() const;
  /// Memory by region and busy time by engine class; open flags and name are the caller's to fill in.
  FdinfoFacts usage() const;
  /// Signals when what is announced or submitted on a VM is done; for tests and checkers.
  FencePtr jobs_of_vm(std::uint32_t vm) const { return vms_.find(vm)->exec->jobs.all(); }

 private:
  using Bytes = std::span<std::byte>;
  Result<int> handle(const IoctlDescription& row, Bytes bytes) override;

  // drm_file_core.cc
  Result<int> version(Bytes bytes);
  Result<int> get_cap(Bytes bytes);
  Result<int> gem_close(Bytes bytes);
  Result<int> gem_flink(Bytes bytes);
  Result<int> gem_open(Bytes bytes);
  Result<int> get_client(Bytes bytes);
  Result<int> set_client_name(Bytes bytes);
  Result<int> prime_handle_to_fd(Bytes bytes);
  Result<int> prime_fd_to_handle(Bytes bytes);
  Result<int> mode_resources(Bytes bytes);
  std::optional<std::uint32_t> handle_of(const GemBo& bo) const;

  // drm_file_gem.cc
  Result<int> device_query(Bytes bytes);
  Result<int> gem_create(Bytes bytes);
  Result<int> gem_mmap_offset(Bytes bytes);

  // drm_file_vm.cc
  Result<int> vm_create(Bytes bytes);
  Result<int> vm_destroy(Bytes bytes);
  Result<int> vm_bind(Bytes bytes);
  Result<int> madvise_ioctl(Bytes bytes);
  Result<int> query_attrs(Bytes bytes);
  Result<int> vm_get_property(Bytes bytes);
  void close_vm(const DrmVmPtr& vm);
  Result<std::shared_ptr<BindQueue>> bind_queue_of(const VmBindRequest& request, const DrmVmPtr& vm);
  Result<std::vector<ResolvedBind>> resolve(const VmBindRequest& request);
  BindClient bind_client() const;
  void memory_named(const GpuRange& range) const;

  // drm_file_exec.cc
  Result<int> exec_queue_create(Bytes bytes);
  Result<int> exec_queue_destroy(Bytes bytes);
  Result<int> exec_queue_get_property(Bytes bytes);
  Result<int> exec_queue_set_property(Bytes bytes);
  Result<int> exec(Bytes bytes);
  Status submit_checked(const ExecQueuePtr& queue, std::vector<GpuVa> batches, const JobSyncs& syncs);
  Result<int> wait_fence(Bytes bytes);
  Result<int> observation(Bytes bytes);

  // drm_file_sync.cc
  Result<int> syncobj_create(Bytes bytes);
  Result<int> syncobj_destroy(Bytes bytes);
  Result<int> syncobj_handle_to_fd(Bytes bytes);
  Result<int> syncobj_fd_to_handle(Bytes bytes);
  Result<int> syncobj_array(Bytes bytes, std::uint8_t nr);
  Result<int> syncobj_timeline_array(Bytes bytes, std::uint8_t nr);
  Result<int> syncobj_wait(Bytes bytes);
  Result<int> syncobj_timeline_wait(Bytes bytes);
  Result<int> syncobj_transfer(Bytes bytes);
  Result<int> syncobj_eventfd(Bytes bytes);

  FdLayer& fds() { return *process_.options().fds; }
  const DecodeLimits& limits() const { return device_.limits(); }
  WaitContext wait_context() { return device_.wait_context(); }
  /// For the requests whose work is to wait: a signal ends them.
  WaitContext interruptible_wait() {
    WaitContext context = wait_context();
    context.signalled = process_.options().signalled;
    return context;
  }
  bool has_work_on(const GemBo& bo) const;
  void add_regions(FdinfoFacts& facts) const;
  void add_engines(FdinfoFacts& facts) const;
  void retire(const ExecQueue& queue);
  static std::shared_ptr<DrmVm> make_vm(DrmDevice& device, VmMode mode, std::shared_ptr<VmContext> context,
                                        std::shared_ptr<BindQueue> bind);

  // drm_file_fork.cc
  DrmVmPtr inherited_vm(const FileImage::VmEntry& entry, std::map<const void*, const void*>& vm_of);
  ExecVmPtr closed_vm(const ExecQueue& parents);

  DrmProcess& process_;
  const unsigned device_index_;
  DrmDevice& device_;
  const DrmNode node_;
  const std::uint32_t client_id_;
  const DrmDevice::Binding binding_;
  DrmMasters::Client auth_;  ///< of a card node; a render node has neither master nor magics
  UserMemory& memory_;
  IdTable<std::shared_ptr<GemBo>> bos_;
  IdTable<DrmVmPtr> vms_;
  IdTable<ExecQueuePtr> queues_;
  mutable LeafMutex retired_lock_{"DrmFile::retired"};
  std::map<EngineClass, std::uint64_t> retired_ns_ SX_GUARDED_BY(retired_lock_);  ///< of destroyed queues
  SyncobjTable syncobjs_;
};

/// Feeds decoded sync entries into a job's list.
class JobSyncSink final : public SyncSink {
 public:
  explicit JobSyncSink(JobSyncs& syncs) : syncs_(syncs) {}
  Status add(const SyncEntry& entry) override { return syncs_.add(entry); }

 private:
  JobSyncs& syncs_;
};

/// Views ioctl bytes as their struct.
template <typename T>
T& view(std::span<std::byte> bytes) {
  SX_ASSERT(bytes.size() >= sizeof(T));
  return *reinterpret_cast<T*>(bytes.data());
}

}  // namespace softxe
