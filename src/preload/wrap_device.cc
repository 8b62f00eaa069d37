// ioctl and mmap: where the client talks to the device.
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include <array>
#include <cstdarg>
#include <cstring>
#include <span>
#include <vector>

#include "abi/uapi.h"
#include "abi/user_copy.h"
#include "base/call_stack.h"
#include "base/raw_syscall.h"
#include "preload/engine_scope.h"
#include "preload/hooks.h"
#include "preload/interpose.h"
#include "preload/open_file.h"
#include "preload/session.h"

namespace softxe::preload {
namespace {

template <typename T>
Result<T> read_argument(void* argument) {
  ProcessUserMemory memory;
  T value{};
  SX_TRY_VOID(memory.read_object(HostVa(live::number_of(argument)), value));
  return value;
}
template <typename T>
Result<int> write_argument(void* argument, const T& value) {
  ProcessUserMemory memory;
  SX_TRY_VOID(memory.write_object(HostVa(live::number_of(argument)), value));
  return 0;
}

sync_fence_info fence_info(const SyncFilePart& part) {
  sync_fence_info info{};
  std::memcpy(info.obj_name, part.timeline.data(), sizeof info.obj_name);
  std::strncpy(info.driver_name, part.driver, sizeof info.driver_name - 1);
  info.status = SyncFile::status_of(*part.fence);
  return info;
}

Result<int> sync_file_info_of(const SyncFile& file, void* argument) {
  SX_TRY(auto info, read_argument<sync_file_info>(argument));
  if (info.flags != 0 || info.pad != 0) return fail(EINVAL, "sync_file: flags or pad set");
  info.status = file.status();
  if (info.num_fences != 0) {
    if (info.num_fences < file.parts().size()) return fail(EINVAL, "sync_file: no room for all fences");
    std::vector<sync_fence_info> fences;
    for (const SyncFilePart& part : file.parts()) fences.push_back(fence_info(part));
    ProcessUserMemory memory;
    SX_TRY_VOID(memory.write(HostVa(info.sync_fence_info), std::as_bytes(std::span(fences))));
  }
  info.num_fences = static_cast<std::uint32_t>(file.parts().size());
  std::strncpy(info.name, "softxe", sizeof info.name - 1);
  return write_argument(argument, info);
}

Result<int> sync_file_merge(const SyncFile& file, void* argument) {
  SX_TRY(auto merge, read_argument<sync_merge_data>(argument));
  if (merge.flags != 0 || merge.pad != 0) return fail(EINVAL, "sync_file: flags or pad set");
  const auto other = fd_layer().sync_file(merge.fd2);
  if (other == nullptr) return fail(ENOENT, "not a sync_file");
  SX_TRY_VOID(write_argument(argument, merge));  // a descriptor that nobody learns of would stay
  SX_TRY(auto made, SyncFile::merge(file, *other));
  SX_TRY(merge.fence, fd_layer().publish_sync_file(std::move(made)));
  return write_argument(argument, merge);
}

Result<int> sync_file_ioctl(const SyncFile& file, unsigned long request, void* argument) {
  switch (request) {
    case SYNC_IOC_FILE_INFO: return sync_file_info_of(file, argument);
    case SYNC_IOC_MERGE: return sync_file_merge(file, argument);
    case SYNC_IOC_SET_DEADLINE: return 0;  // a hint
    default: return fail(ENOTTY, "not a request of a sync_file");
  }
}

Result<int> sw_sync_ioctl(SwTimeline& timeline, unsigned long request, void* argument) {
  switch (request) {
    case SW_SYNC_IOC_CREATE_FENCE: {
      SX_TRY(auto create, read_argument<sw_sync_create_fence_data>(argument));
      SX_TRY_VOID(write_argument(argument, create));  // a descriptor that nobody learns of would stay
      SX_TRY(auto file, timeline.create_fence(create.value));
      SX_TRY(create.fence, fd_layer().publish_sync_file(std::move(file)));
      return write_argument(argument, create);
    }
    case SW_SYNC_IOC_INC: {
      SX_TRY(const auto by, read_argument<std::uint32_t>(argument));
      timeline.advance(by);
      return 0;
    }
    default: return fail(ENOTTY, "not a request of a timeline");
  }
}

/// DMA_BUF_SYNC_WRITE alone or with READ: as a writer.
Result<ImplicitFences::Use> use_of(std::uint32_t dma_buf_flags) {
  constexpr std::uint32_t kReadWrite = 3;
  constexpr std::uint32_t kWrite = 2;
  if (dma_buf_flags == 0 || (dma_buf_flags & ~kReadWrite) != 0) return fail(EINVAL, "dma-buf: bad flags");
  return (dma_buf_flags & kWrite) != 0 ? ImplicitFences::Use::kWrite : ImplicitFences::Use::kRead;
}

Result<int> dma_buf_ioctl(GemBo& bo, unsigned long request, void* argument) {
  switch (request) {
    case DMA_BUF_IOCTL_SYNC: {
      // One memory for both sides: nothing to flush.
      SX_TRY(auto sync, read_argument<dma_buf_sync>(argument));
      constexpr std::uint64_t kKnown = 7;
      if ((sync.flags & ~kKnown) != 0 || (sync.flags & 3) == 0) return fail(EINVAL, "dma-buf sync: bad flags");
      return 0;
    }
    case DMA_BUF_IOCTL_EXPORT_SYNC_FILE: {
      SX_TRY(auto exported, read_argument<dma_buf_export_sync_file>(argument));
      SX_TRY(const auto use, use_of(exported.flags));
      SX_TRY_VOID(write_argument(argument, exported));  // a descriptor that nobody learns of would stay
      SX_TRY(auto file, SyncFile::make(bo.implicit_fences().before(use)));
      SX_TRY(exported.fd, fd_layer().publish_sync_file(std::move(file)));
      return write_argument(argument, exported);
    }
    case DMA_BUF_IOCTL_IMPORT_SYNC_FILE: {
      SX_TRY(const auto imported, read_argument<dma_buf_import_sync_file>(argument));
      SX_TRY(const auto use, use_of(imported.flags));
      const auto file = fd_layer().sync_file(imported.fd);
      if (file == nullptr) return fail(EINVAL, "not a sync_file");
      bo.implicit_fences().add(file->fence(), use);
      return 0;
    }
    default:
      if (_IOC_TYPE(request) == 'b' && _IOC_NR(request) == 1) return 0;  // SET_NAME
      return fail(ENOTTY, "not a request of a dma-buf");
  }
}

int kernel_result(const Result<int>& result) { return result ? *result : -result.error().err; }

/// The device file behind a descriptor; a null result with `error` 0: not a device.
std::shared_ptr<DrmFile> device_file(const FdObjectPtr& object, int& error) {
  if (object->kind() != FdObject::Kind::kDevice) return nullptr;
  auto file = object->drm_file();
  if (file) return *file;
  error = -file.error().err;
  return nullptr;
}

constexpr long kNotOurs = 1L << 40;
constexpr unsigned kUserfaultType = 0xAA;

struct IoctlAnswer {
  long result;  ///< or negative errno, or kNotOurs
  Interruption interruption = Interruption::kNone;
};

/// Of devices, dma-bufs and sync_files: worth a look at a descriptor that is not known.
bool is_driver_request(unsigned long request) {
  const auto type = _IOC_TYPE(request);
  return type == DRM_IOCTL_BASE || ((type == 'b' || type == '>') && session() != nullptr);
}

/// Inside an EngineScope.
IoctlAnswer ioctl_once(int fd, unsigned long request, void* argument) {
  FdObjectPtr object = find_fd(fd);
  if (object == nullptr && is_driver_request(request)) object = adopt_fd(fd);
  if (object == nullptr) return {kNotOurs};
  if (const auto file = object->sync_file(); file != nullptr)
    return {kernel_result(sync_file_ioctl(*file, request, argument))};
  if (const auto timeline = object->sw_timeline(); timeline != nullptr)
    return {kernel_result(sw_sync_ioctl(*timeline, request, argument))};
  if (const auto bo = object->dma_buf(); bo != nullptr) return {kernel_result(dma_buf_ioctl(*bo, request, argument))};
  int error = 0;
  const auto file = device_file(object, error);
  if (error != 0) return {error};
  // Requests of every file (FIONBIO and the like) are the kernel's.
  if (file == nullptr || (_IOC_TYPE(request) == 'T' && _IOC_SIZE(request) == 0)) return {kNotOurs};
  const int result = file->ioctl(static_cast<std::uint32_t>(request), argument);
  // Only waits say so, and only for a signal: asked here, where it is still pending.
  if (result != -EINTR) return {result};
  const Interruption why = pending_interruption();
  return {result, why == Interruption::kNone ? Interruption::kRestart : why};
}

void settle_engines() {
  if (Session* known = session(); known != nullptr) known->drm->settle();
}

/// The result, negative errno, or kNotOurs. Signals that end a wait are delivered between its parts.
long ioctl_ours(int fd, unsigned long request, void* argument) {
  IoctlAnswer answer{};
  do {
    answer = run_in_engine([=] {
      const CallStack stack;
      if (settings().deterministic) wait_for_reader();
      const IoctlAnswer once = ioctl_once(fd, request, argument);
      // Nothing of what it has set going happens at a varying moment beside the client.
      if (settings().deterministic && once.interruption != Interruption::kRestart) settle_engines();
      return once;
    });
  } while (answer.interruption == Interruption::kRestart);
  return answer.result;
}

struct MapRequest {
  void* wanted;
  std::size_t length;
  int prot;
  int flags;
  int fd;
  off_t offset;
};

long map_memory(const MapRequest& r) {
  const long arguments[6] = {
      static_cast<long>(live::number_of(r.wanted)), static_cast<long>(r.length), r.prot, r.flags, r.fd, r.offset};
  if (live::LiveHostMm* mm = live_mm(); mm != nullptr)
    return mm->hook_mmap({live::number_of(r.wanted), r.length, r.prot, r.flags, r.fd, r.offset});
  return raw_syscall(SYS_mmap, arguments[0], arguments[1], arguments[2], arguments[3], arguments[4], arguments[5]);
}

/// A mapping of `length` bytes at a huge page boundary, for clients that were told of huge pages.
long map_pretended_huge(void* wanted, std::size_t length, int prot, int flags) {
  flags &= ~(MAP_HUGETLB | (0x3f << MAP_HUGE_SHIFT));
  const std::uint64_t bytes = align_up(length, k2M);
  if ((flags & MAP_FIXED) != 0) return map_memory({wanted, bytes, prot, flags, -1, 0});
  const long at = raw_syscall(SYS_mmap, nullptr, bytes + k2M, prot, flags, -1, 0);
  if (errno_of(at) != 0) return at;
  const auto start = static_cast<std::uint64_t>(at);
  const std::uint64_t aligned = align_up(start, k2M);
  if (aligned != start) raw_syscall(SYS_munmap, start, aligned - start);
  if (aligned + bytes != start + bytes + k2M) raw_syscall(SYS_munmap, aligned + bytes, start + k2M - aligned);
  return static_cast<long>(aligned);
}

/// As ioctl_once().
long mmap_ours(MapRequest r) {
  const FdObjectPtr object = find_or_adopt_fd(r.fd);
  if (object == nullptr) return kNotOurs;
  // x86 lets a write-only mapping be read; system calls refuse to read it (spec/clients.md 1.4).
  if ((r.prot & PROT_WRITE) != 0) r.prot |= PROT_READ;
  if (object->dma_buf() != nullptr) return map_memory(r);
  int error = 0;
  const auto file = device_file(object, error);
  if (file == nullptr) return error != 0 ? error : kNotOurs;
  const auto sharing =
      (r.flags & MAP_TYPE) == MAP_PRIVATE ? DrmFile::MapSharing::kPrivate : DrmFile::MapSharing::kShared;
  const auto target = file->mmap_target(static_cast<std::uint64_t>(r.offset), r.length, sharing);
  if (!target) return -target.error().err;
  r.fd = target->bo->memfd();
  r.offset = 0;
  return map_memory(r);
}

/// An unknown descriptor of the shadow tree: one that came in a message.
bool may_have_come(int fd) {
  if (fd < 0 || session() == nullptr) return false;
  struct stat st {};
  return raw_syscall(SYS_fstat, fd, &st) == 0 && st.st_dev == shadow_device();
}

void* mmap_any(const MapRequest& r) {
  static constinit Real<void*(void*, std::size_t, int, int, int, off_t)> real{"mmap"};
  // The engine's own mappings pass no hook: it may hold locks that a hook takes.
  if (in_engine()) {
    const long at = raw_syscall(SYS_mmap, r.wanted, r.length, r.prot, r.flags, r.fd, r.offset);
    if (libc_result(at) == -1) return MAP_FAILED;
    if ((r.flags & MAP_ANONYMOUS) != 0) note_engine_mapping(HostVa(static_cast<std::uint64_t>(at)), r.length);
    return reinterpret_cast<void*>(at);
  }
  long at = kNotOurs;
  if (interposing() && (r.flags & MAP_ANONYMOUS) == 0 && (maybe_ours(r.fd) || may_have_come(r.fd)))
    at = run_in_engine([&] { return mmap_ours(r); });
  if (interposing() && (r.flags & MAP_HUGETLB) != 0 && (r.flags & MAP_ANONYMOUS) != 0 && session() != nullptr) {
    at = run_in_engine([&]() -> long {
      return pretended_huge_pages() == 0 ? kNotOurs : map_pretended_huge(r.wanted, r.length, r.prot, r.flags);
    });
  }
  if (at == kNotOurs && !sites_are_patched() && live_mm() != nullptr) {
    at = run_in_engine([&] { return map_memory(r); });
  }
  if (at == kNotOurs) return real(r.wanted, r.length, r.prot, r.flags, r.fd, r.offset);
  if (errno_of(at) != 0) {
    errno = errno_of(at);
    return MAP_FAILED;
  }
  return reinterpret_cast<void*>(at);
}

}  // namespace

SX_INTERPOSE(int, ioctl, (int fd, unsigned long request, ...)) {
  static constinit Real<int(int, unsigned long, void*)> real{"ioctl"};
  va_list list;
  va_start(list, request);
  void* argument = va_arg(list, void*);
  va_end(list);
  if (interposing() && (maybe_ours(fd) || is_driver_request(request))) {
    const long result = ioctl_ours(fd, request, argument);
    if (result != kNotOurs) return libc_result(result);
  }
  if (_IOC_TYPE(request) == kUserfaultType && interposing() && !in_engine()) {
    live::LiveHostMm* mm = live_mm();
    const std::array<long, 6> words{fd, static_cast<long>(request), static_cast<long>(live::number_of(argument))};
    if (mm != nullptr) return libc_result(run_in_engine([&] { return mm->hook_syscall(SYS_ioctl, words); }));
    live::ClientUffd::note_early();
  }
  return real(fd, request, argument);
}

SX_INTERPOSE(void*, mmap, (void* wanted, std::size_t length, int prot, int flags, int fd, off_t offset)) {
  return mmap_any({wanted, length, prot, flags, fd, offset});
}
SX_INTERPOSE_ALIAS(mmap, mmap64)

}  // namespace softxe::preload
