// DRM core and prime (spec/uapi.md 16, 18).
#include <fcntl.h>
#include <unistd.h>
#include <cstring>

#include "abi/drm_device.h"
#include "abi/uapi.h"

namespace softxe {

namespace {

// At most the given length is copied, no terminator; the length comes back as the true one.
template <typename Length>
Status put_string(UserMemory& memory, char* to, Length& length, const char* text) {
  const std::size_t size = std::strlen(text);
  const std::size_t part = std::min<std::size_t>(length, size);
  length = size;
  if (to == nullptr || part == 0) return {};
  return memory.write(HostVa(reinterpret_cast<std::uint64_t>(to)), std::as_bytes(std::span(text, part)));
}

}  // namespace

Result<int> DrmFile::version(Bytes bytes) {
  auto& v = view<drm_version>(bytes);
  v.version_major = 1;
  v.version_minor = 1;
  v.version_patchlevel = 0;
  SX_TRY_VOID(put_string(memory_, v.name, v.name_len, "xe"));
  SX_TRY_VOID(put_string(memory_, v.date, v.date_len, "0"));
  SX_TRY_VOID(put_string(memory_, v.desc, v.desc_len, "Intel Xe2 Graphics"));
  return 0;
}

Result<int> DrmFile::get_cap(Bytes bytes) {
  auto& cap = view<drm_get_cap>(bytes);
  cap.value = 0;
  switch (cap.capability) {
    case DRM_CAP_TIMESTAMP_MONOTONIC:
    case DRM_CAP_SYNCOBJ:
    case DRM_CAP_SYNCOBJ_TIMELINE: cap.value = 1; return 0;
    case DRM_CAP_PRIME: cap.value = DRM_PRIME_CAP_IMPORT | DRM_PRIME_CAP_EXPORT; return 0;
    default: return fail(EOPNOTSUPP, "capability of a display device");
  }
}

Result<int> DrmFile::gem_close(Bytes bytes) {
  if (!bos_.remove(view<drm_gem_close>(bytes).handle)) return fail(EINVAL, "no such GEM handle");
  return 0;
}

Result<int> DrmFile::gem_flink(Bytes bytes) {
  auto& request = view<drm_gem_flink>(bytes);
  auto bo = bos_.find(request.handle);
  if (!bo) return fail(ENOENT, "no such GEM handle");
  request.name = device_.flink(bo);
  return 0;
}

Result<int> DrmFile::gem_open(Bytes bytes) {
  auto& request = view<drm_gem_open>(bytes);
  auto bo = device_.by_name(request.name);
  if (!bo) return fail(ENOENT, "no object has this name");
  SX_TRY(request.handle, bos_.add(bo));
  request.size = bo->size_bytes();
  return 0;
}

Result<int> DrmFile::get_client(Bytes bytes) {
  auto& client = view<drm_client>(bytes);
  if (client.idx != 0) return fail(EINVAL, "only the caller is listed");
  client.auth = auth_.level.load() != DrmAuth::kNone;
  client.pid = static_cast<unsigned long>(getpid());
  return 0;
}

Result<int> DrmFile::set_client_name(Bytes bytes) {
  auto& request = view<drm_set_client_name>(bytes);
  if (request.name_len > DRM_CLIENT_NAME_MAX_LEN) return fail(EINVAL, "client name too long");
  std::vector<char> name(request.name_len);
  SX_TRY_VOID(memory_.read(HostVa(request.name), std::as_writable_bytes(std::span(name))));
  for (char c : name) {
    if (c != '\0' && (c <= ' ' || c > '~')) return fail(EINVAL, "client name is not graphic ASCII");
  }
  return 0;
}

std::optional<std::uint32_t> DrmFile::handle_of(const GemBo& bo) const {
  for (const auto& [id, mine] : bos_.all()) {
    if (mine.get() == &bo) return id;
  }
  return std::nullopt;
}

Result<int> DrmFile::prime_handle_to_fd(Bytes bytes) {
  auto& request = view<drm_prime_handle>(bytes);
  if ((request.flags & ~static_cast<std::uint32_t>(O_CLOEXEC | O_RDWR)) != 0) {
    return fail(EINVAL, "unknown prime flags");
  }
  auto bo = bos_.find(request.handle);
  if (!bo) return fail(ENOENT, "no such GEM handle");
  if (bo->private_to() != nullptr) return fail(EPERM, "object is private to a VM");
  if (bo->purgeable() == PurgeableState::kDontNeed) return fail(EBUSY, "object is not needed");
  if (bo->purgeable() == PurgeableState::kPurged) return fail(EINVAL, "object is purged");
  SX_TRY(int fd, fds().publish_dma_buf(
                     bo, (request.flags & O_RDWR) != 0 ? FdLayer::FdAccess::kReadWrite : FdLayer::FdAccess::kReadOnly,
                     (request.flags & O_CLOEXEC) != 0 ? FdLayer::OnExec::kClose : FdLayer::OnExec::kKeep));
  request.fd = fd;
  return 0;
}

// Known in this file already: the existing handle, no new reference (spec/uapi.md 18).
Result<int> DrmFile::prime_fd_to_handle(Bytes bytes) {
  auto& request = view<drm_prime_handle>(bytes);
  if (!fds().is_open(request.fd)) return fail(EBADF, "no such descriptor");
  auto bo = fds().dma_buf(request.fd);
  if (!bo) return fail(EINVAL, "descriptor is not a dma-buf of this process");
  if (auto known = handle_of(*bo)) {
    request.handle = *known;
    return 0;
  }
  SX_TRY(request.handle, bos_.add(std::move(bo)));
  return 0;
}

// A card without display hardware: empty lists, so that loaders go on (spec/clients.md 7).
Result<int> DrmFile::mode_resources(Bytes bytes) {
  std::fill(bytes.begin(), bytes.end(), std::byte{0});
  return 0;
}

}  // namespace softxe
