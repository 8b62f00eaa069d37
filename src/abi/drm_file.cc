// Dispatch, close and mmap of one open file.
#include <unistd.h>

#include "abi/drm_device.h"
#include "abi/uapi.h"
#include "base/event_ring.h"
#include "base/log.h"

namespace softxe {

namespace {
std::atomic<std::uint32_t> next_client_id{1};

constexpr std::uint8_t nr_of(std::uint32_t request) { return static_cast<std::uint8_t>(_IOC_NR(request)); }

DrmMasters::Caller caller_now() {
  using Rights = DrmMasters::Caller::Rights;
  return {.pid = getpid(), .rights = geteuid() == 0 ? Rights::kAdmin : Rights::kUser};
}

Result<int> done(const Status& status) {
  if (!status) return fail(status.error());
  return 0;
}
}  // namespace

DrmFile::DrmFile(DrmProcess& process, unsigned device_index, DrmNode node)
    : process_(process),
      device_index_(device_index),
      device_(process.device(device_index)),
      node_(node),
      client_id_(next_client_id.fetch_add(1)),
      binding_(device_.binding()),
      memory_(*process.options().memory) {
  if (node_ == DrmNode::kCard) device_.masters().open(auth_, caller_now());
}

// The order of spec/uapi.md 2: syncobjs, GEM handles, then all queues, then all VMs.
DrmFile::~DrmFile() {
  const EventScope closes(emit({.kind = EventKind::kTask, .cause = EventCause::kClose}));
  const RuntimePm::Use awake(device_.power());
  device_.masters().close(auth_);
  syncobjs_.clear();
  bos_.drain();
  for (const ExecQueuePtr& queue : queues_.drain()) device_.exec().destroy_queue(queue);
  for (const DrmVmPtr& vm : vms_.drain()) close_vm(vm);
}

int DrmFile::ioctl(std::uint32_t request, void* argument) {
  const RuntimePm::Use awake(device_.power());
  const IoctlCaller caller{.node = node_, .auth = auth_.level.load(), .health = device_.health(binding_)};
  return run_ioctl(caller, memory_, request, HostVa(reinterpret_cast<std::uint64_t>(argument)), *this);
}

Result<int> DrmFile::handle(const IoctlDescription& row, Bytes bytes) {
  switch (row.nr) {
    case nr_of(DRM_IOCTL_VERSION): return version(bytes);
    case nr_of(DRM_IOCTL_GET_CAP): return get_cap(bytes);
    case nr_of(DRM_IOCTL_GEM_CLOSE): return gem_close(bytes);
    case nr_of(DRM_IOCTL_GEM_FLINK): return gem_flink(bytes);
    case nr_of(DRM_IOCTL_GEM_OPEN): return gem_open(bytes);
    case nr_of(DRM_IOCTL_GET_CLIENT): return get_client(bytes);
    case nr_of(DRM_IOCTL_SET_CLIENT_NAME): return set_client_name(bytes);
    case nr_of(DRM_IOCTL_SET_MASTER): return done(device_.masters().set_master(auth_, caller_now()));
    case nr_of(DRM_IOCTL_DROP_MASTER): return done(device_.masters().drop_master(auth_, caller_now()));
    case nr_of(DRM_IOCTL_GET_MAGIC): view<drm_auth>(bytes).magic = device_.masters().magic_of(auth_); return 0;
    case nr_of(DRM_IOCTL_AUTH_MAGIC): return done(device_.masters().authenticate(auth_, view<drm_auth>(bytes).magic));
    case nr_of(DRM_IOCTL_SET_VERSION): return 0;
    case nr_of(DRM_IOCTL_GET_STATS): std::fill(bytes.begin(), bytes.end(), std::byte{0}); return 0;
    case nr_of(DRM_IOCTL_SET_CLIENT_CAP): return fail(EOPNOTSUPP, "no display hardware");
    case nr_of(DRM_IOCTL_PRIME_HANDLE_TO_FD): return prime_handle_to_fd(bytes);
    case nr_of(DRM_IOCTL_PRIME_FD_TO_HANDLE): return prime_fd_to_handle(bytes);
    case nr_of(DRM_IOCTL_MODE_GETRESOURCES):
    case nr_of(DRM_IOCTL_MODE_GETPLANERESOURCES): return mode_resources(bytes);
    case nr_of(DRM_IOCTL_XE_DEVICE_QUERY): return device_query(bytes);
    case nr_of(DRM_IOCTL_XE_GEM_CREATE): return gem_create(bytes);
    case nr_of(DRM_IOCTL_XE_GEM_MMAP_OFFSET): return gem_mmap_offset(bytes);
    case nr_of(DRM_IOCTL_XE_VM_CREATE): return vm_create(bytes);
    case nr_of(DRM_IOCTL_XE_VM_DESTROY): return vm_destroy(bytes);
    case nr_of(DRM_IOCTL_XE_VM_BIND): return vm_bind(bytes);
    case nr_of(DRM_IOCTL_XE_MADVISE): return madvise_ioctl(bytes);
    case nr_of(DRM_IOCTL_XE_VM_QUERY_MEM_RANGE_ATTRS): return query_attrs(bytes);
    case nr_of(DRM_IOCTL_XE_VM_GET_PROPERTY): return vm_get_property(bytes);
    case nr_of(DRM_IOCTL_XE_EXEC_QUEUE_CREATE): return exec_queue_create(bytes);
    case nr_of(DRM_IOCTL_XE_EXEC_QUEUE_DESTROY): return exec_queue_destroy(bytes);
    case nr_of(DRM_IOCTL_XE_EXEC_QUEUE_GET_PROPERTY): return exec_queue_get_property(bytes);
    case nr_of(DRM_IOCTL_XE_EXEC_QUEUE_SET_PROPERTY): return exec_queue_set_property(bytes);
    case nr_of(DRM_IOCTL_XE_EXEC): return exec(bytes);
    case nr_of(DRM_IOCTL_XE_WAIT_USER_FENCE): return wait_fence(bytes);
    case nr_of(DRM_IOCTL_XE_OBSERVATION): return observation(bytes);
    case nr_of(DRM_IOCTL_SYNCOBJ_CREATE): return syncobj_create(bytes);
    case nr_of(DRM_IOCTL_SYNCOBJ_DESTROY): return syncobj_destroy(bytes);
    case nr_of(DRM_IOCTL_SYNCOBJ_HANDLE_TO_FD): return syncobj_handle_to_fd(bytes);
    case nr_of(DRM_IOCTL_SYNCOBJ_FD_TO_HANDLE): return syncobj_fd_to_handle(bytes);
    case nr_of(DRM_IOCTL_SYNCOBJ_RESET):
    case nr_of(DRM_IOCTL_SYNCOBJ_SIGNAL): return syncobj_array(bytes, row.nr);
    case nr_of(DRM_IOCTL_SYNCOBJ_QUERY):
    case nr_of(DRM_IOCTL_SYNCOBJ_TIMELINE_SIGNAL): return syncobj_timeline_array(bytes, row.nr);
    case nr_of(DRM_IOCTL_SYNCOBJ_WAIT): return syncobj_wait(bytes);
    case nr_of(DRM_IOCTL_SYNCOBJ_TIMELINE_WAIT): return syncobj_timeline_wait(bytes);
    case nr_of(DRM_IOCTL_SYNCOBJ_TRANSFER): return syncobj_transfer(bytes);
    case nr_of(DRM_IOCTL_SYNCOBJ_EVENTFD): return syncobj_eventfd(bytes);
    default: return fail(EOPNOTSUPP, "not offered by this device");
  }
}

Result<DrmFile::MmapTarget> DrmFile::mmap_target(std::uint64_t offset, std::uint64_t length_bytes, MapSharing sharing) {
  if (device_.health(binding_) == DeviceHealth::kUnplugged) return fail(ENODEV, "the driver was unbound");
  auto bo = device_.bo_at_offset(offset);
  if (!bo) return fail(EINVAL, "mmap offset names no object");
  if (align_up(length_bytes, kPageSize) > bo->size_bytes()) {
    return fail(EINVAL, "mapping is longer than the object");
  }
  if (!handle_of(*bo)) return fail(EACCES, "this file has no handle to the object");
  if (sharing == MapSharing::kPrivate) return fail(EINVAL, "private mapping of an object");
  if (bo->purgeable() == PurgeableState::kDontNeed) return fail(EBUSY, "object is not needed");
  if (bo->purgeable() == PurgeableState::kPurged) return fail(EINVAL, "object is purged");
  return MmapTarget{std::move(bo)};
}

std::vector<std::shared_ptr<GemBo>> DrmFile::objects() const {
  std::vector<std::shared_ptr<GemBo>> result;
  for (auto& [id, bo] : bos_.all()) result.push_back(bo);
  return result;
}

}  // namespace softxe
