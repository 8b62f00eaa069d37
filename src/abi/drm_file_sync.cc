// SYNCOBJ requests: flags, pads and arrays are checked here, the objects' rules in
// drv/exec/syncobj_table.h (spec/uapi.md 17).
#include "abi/drm_device.h"
#include "abi/uapi.h"

namespace softxe {

namespace {

// Absolute CLOCK_MONOTONIC; 0 and the past mean: test once.
Deadline deadline_of(std::int64_t timeout_ns) {
  return timeout_ns <= 0 ? Deadline::poll() : Deadline{static_cast<std::uint64_t>(timeout_ns)};
}

/// One point for each handle; without an array all are 0, which means binary syncobjs.
Result<std::vector<std::uint64_t>> read_points(UserMemory& memory, HostVa at, std::uint32_t count) {
  if (at.value() == 0) return std::vector<std::uint64_t>(count, 0);
  return read_array<std::uint64_t>(memory, at, count);
}

}  // namespace

Result<int> DrmFile::syncobj_create(Bytes bytes) {
  auto& request = view<drm_syncobj_create>(bytes);
  if ((request.flags & ~static_cast<std::uint32_t>(DRM_SYNCOBJ_CREATE_SIGNALED)) != 0) {
    return fail(EINVAL, "unknown syncobj flags");
  }
  SX_TRY(SyncobjHandle handle,
         syncobjs_.create((request.flags & DRM_SYNCOBJ_CREATE_SIGNALED) != 0 ? Syncobj::Initially::kSignalled
                                                                             : Syncobj::Initially::kEmpty));
  request.handle = static_cast<std::uint32_t>(handle);
  return 0;
}

Result<int> DrmFile::syncobj_destroy(Bytes bytes) {
  auto& request = view<drm_syncobj_destroy>(bytes);
  if (request.pad != 0) return fail(EINVAL, "pad is not zero");
  SX_TRY_VOID(syncobjs_.destroy(SyncobjHandle{request.handle}));
  return 0;
}

Result<int> DrmFile::syncobj_handle_to_fd(Bytes bytes) {
  auto& request = view<drm_syncobj_handle>(bytes);
  constexpr std::uint32_t kKnown =
      DRM_SYNCOBJ_HANDLE_TO_FD_FLAGS_EXPORT_SYNC_FILE | DRM_SYNCOBJ_HANDLE_TO_FD_FLAGS_TIMELINE;
  if (request.pad != 0 || (request.flags & ~kKnown) != 0) return fail(EINVAL, "unknown flags or pad");
  const SyncobjHandle handle{request.handle};
  if ((request.flags & DRM_SYNCOBJ_HANDLE_TO_FD_FLAGS_EXPORT_SYNC_FILE) != 0) {
    const bool timeline = (request.flags & DRM_SYNCOBJ_HANDLE_TO_FD_FLAGS_TIMELINE) != 0;
    SX_TRY(auto file, syncobjs_.export_sync_file({handle, timeline ? request.point : 0}));
    SX_TRY(request.fd, fds().publish_sync_file(std::move(file)));
    return 0;
  }
  if (request.point != 0) return fail(EINVAL, "point without a sync_file");
  SX_TRY(SyncobjPtr object, syncobjs_.export_object(handle));
  SX_TRY(request.fd, fds().publish_syncobj(std::move(object)));
  return 0;
}

Result<int> DrmFile::syncobj_fd_to_handle(Bytes bytes) {
  auto& request = view<drm_syncobj_handle>(bytes);
  constexpr std::uint32_t kKnown =
      DRM_SYNCOBJ_FD_TO_HANDLE_FLAGS_IMPORT_SYNC_FILE | DRM_SYNCOBJ_FD_TO_HANDLE_FLAGS_TIMELINE;
  if (request.pad != 0 || (request.flags & ~kKnown) != 0) return fail(EINVAL, "unknown flags or pad");
  if ((request.flags & DRM_SYNCOBJ_FD_TO_HANDLE_FLAGS_IMPORT_SYNC_FILE) != 0) {
    auto file = fds().sync_file(request.fd);
    if (!file) return fail(EINVAL, "descriptor is not a sync_file");
    const bool timeline = (request.flags & DRM_SYNCOBJ_FD_TO_HANDLE_FLAGS_TIMELINE) != 0;
    SX_TRY_VOID(syncobjs_.import_sync_file({SyncobjHandle{request.handle}, timeline ? request.point : 0}, *file));
    return 0;
  }
  if (request.point != 0) return fail(EINVAL, "point without a sync_file");
  SyncobjPtr object = fds().syncobj(request.fd);
  if (!object) return fail(EINVAL, "descriptor is not a syncobj");
  SX_TRY(SyncobjHandle handle, syncobjs_.import(std::move(object)));
  request.handle = static_cast<std::uint32_t>(handle);
  return 0;
}

Result<int> DrmFile::syncobj_array(Bytes bytes, std::uint8_t nr) {
  auto& request = view<drm_syncobj_array>(bytes);
  if (request.pad != 0 || request.count_handles == 0) return fail(EINVAL, "pad, or no handles");
  SX_TRY(auto handles, read_array<SyncobjHandle>(memory_, HostVa(request.handles), request.count_handles));
  SX_TRY_VOID(nr == _IOC_NR(DRM_IOCTL_SYNCOBJ_RESET) ? syncobjs_.reset(handles) : syncobjs_.signal(handles));
  return 0;
}

Result<int> DrmFile::syncobj_timeline_array(Bytes bytes, std::uint8_t nr) {
  auto& request = view<drm_syncobj_timeline_array>(bytes);
  const bool query = nr == _IOC_NR(DRM_IOCTL_SYNCOBJ_QUERY);
  const std::uint32_t known = query ? DRM_SYNCOBJ_QUERY_FLAGS_LAST_SUBMITTED : 0;
  if ((request.flags & ~known) != 0 || request.count_handles == 0) {
    return fail(EINVAL, "unknown flags, or no handles");
  }
  SX_TRY(auto handles, read_array<SyncobjHandle>(memory_, HostVa(request.handles), request.count_handles));
  if (query) {
    SX_TRY(auto points, syncobjs_.query(handles, request.flags != 0 ? Syncobj::Query::kLastSubmitted
                                                                    : Syncobj::Query::kLastSignalled));
    SX_TRY_VOID(memory_.write(HostVa(request.points), std::as_bytes(std::span(points))));
    return 0;
  }
  SX_TRY(const auto values, read_points(memory_, HostVa(request.points), request.count_handles));
  std::vector<SyncPoint> points;
  for (std::size_t i = 0; i < handles.size(); ++i) points.push_back({handles[i], values[i]});
  SX_TRY_VOID(syncobjs_.timeline_signal(points));
  return 0;
}

Result<int> DrmFile::syncobj_wait(Bytes bytes) {
  auto& request = view<drm_syncobj_wait>(bytes);
  constexpr std::uint32_t kKnown =
      DRM_SYNCOBJ_WAIT_FLAGS_WAIT_ALL | DRM_SYNCOBJ_WAIT_FLAGS_WAIT_FOR_SUBMIT | DRM_SYNCOBJ_WAIT_FLAGS_WAIT_DEADLINE;
  if ((request.flags & ~kKnown) != 0) return fail(EINVAL, "unknown wait flags");
  if (request.count_handles == 0) return 0;
  SX_TRY(auto handles, read_array<SyncobjHandle>(memory_, HostVa(request.handles), request.count_handles));
  SyncobjWaitRequest wait{.points = {},
                          .all = (request.flags & DRM_SYNCOBJ_WAIT_FLAGS_WAIT_ALL) != 0,
                          .for_submit = (request.flags & DRM_SYNCOBJ_WAIT_FLAGS_WAIT_FOR_SUBMIT) != 0,
                          .available = false,
                          .deadline = deadline_of(request.timeout_nsec)};
  for (SyncobjHandle handle : handles) wait.points.push_back({handle, 0});
  WaitContext context = interruptible_wait();
  SX_TRY(SyncobjWaitAnswer answer, syncobjs_.wait(wait, context));
  request.first_signaled = answer.first_signalled;
  return 0;
}

Result<int> DrmFile::syncobj_timeline_wait(Bytes bytes) {
  auto& request = view<drm_syncobj_timeline_wait>(bytes);
  constexpr std::uint32_t kKnown = DRM_SYNCOBJ_WAIT_FLAGS_WAIT_ALL | DRM_SYNCOBJ_WAIT_FLAGS_WAIT_FOR_SUBMIT |
                                   DRM_SYNCOBJ_WAIT_FLAGS_WAIT_AVAILABLE | DRM_SYNCOBJ_WAIT_FLAGS_WAIT_DEADLINE;
  if ((request.flags & ~kKnown) != 0) return fail(EINVAL, "unknown wait flags");
  if (request.count_handles == 0) return 0;
  SX_TRY(auto handles, read_array<SyncobjHandle>(memory_, HostVa(request.handles), request.count_handles));
  SX_TRY(const auto values, read_points(memory_, HostVa(request.points), request.count_handles));
  SyncobjWaitRequest wait{.points = {},
                          .all = (request.flags & DRM_SYNCOBJ_WAIT_FLAGS_WAIT_ALL) != 0,
                          .for_submit = (request.flags & DRM_SYNCOBJ_WAIT_FLAGS_WAIT_FOR_SUBMIT) != 0,
                          .available = (request.flags & DRM_SYNCOBJ_WAIT_FLAGS_WAIT_AVAILABLE) != 0,
                          .deadline = deadline_of(request.timeout_nsec)};
  for (std::size_t i = 0; i < handles.size(); ++i) wait.points.push_back({handles[i], values[i]});
  WaitContext context = interruptible_wait();
  SX_TRY(SyncobjWaitAnswer answer, syncobjs_.wait(wait, context));
  request.first_signaled = answer.first_signalled;
  return 0;
}

Result<int> DrmFile::syncobj_transfer(Bytes bytes) {
  auto& request = view<drm_syncobj_transfer>(bytes);
  if (request.pad != 0) return fail(EINVAL, "pad is not zero");
  if ((request.flags & ~static_cast<std::uint32_t>(DRM_SYNCOBJ_WAIT_FLAGS_WAIT_FOR_SUBMIT)) != 0) {
    return fail(EINVAL, "unknown transfer flags");
  }
  WaitContext context = interruptible_wait();
  SX_TRY_VOID(syncobjs_.transfer({.source = {SyncobjHandle{request.src_handle}, request.src_point},
                                  .destination = {SyncobjHandle{request.dst_handle}, request.dst_point},
                                  .for_submit = (request.flags & DRM_SYNCOBJ_WAIT_FLAGS_WAIT_FOR_SUBMIT) != 0},
                                 context));
  return 0;
}

Result<int> DrmFile::syncobj_eventfd(Bytes bytes) {
  auto& request = view<drm_syncobj_eventfd>(bytes);
  if (request.pad != 0 || (request.flags & ~static_cast<std::uint32_t>(DRM_SYNCOBJ_WAIT_FLAGS_WAIT_AVAILABLE)) != 0) {
    return fail(EINVAL, "unknown flags or pad");
  }
  if (syncobjs_.find(SyncobjHandle{request.handle}) == nullptr) return fail(ENOENT, "no such syncobj");
  SX_TRY(auto event, EventFd::from_client(request.fd));
  SX_TRY_VOID(syncobjs_.register_eventfd(
      {SyncobjHandle{request.handle}, request.point},
      request.flags != 0 ? SyncobjTable::EventKind::kAvailable : SyncobjTable::EventKind::kSignalled, event));
  return 0;
}

}  // namespace softxe
