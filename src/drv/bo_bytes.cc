#include "drv/bo_bytes.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <optional>

#include "base/raised_limit.h"
#include "base/raw_syscall.h"
#include "base/step.h"
#include "host/host_mm.h"

namespace softxe {

namespace {

/// Sizes a new object's file. RLIMIT_FSIZE is for what the client writes, and a file beyond it would be a signal, too.
Status size_file(int fd, std::uint64_t bytes) {
  std::optional<RaisedLimit> raised;
  if (bytes > client_limit(LimitKind::kFileSize)) {
    raised.emplace(LimitKind::kFileSize);
    rlimit now{};
    if (getrlimit(RLIMIT_FSIZE, &now) == 0 && bytes > now.rlim_cur)
      return fail(ENOMEM, "larger than the hard limit of file sizes (RLIMIT_FSIZE)");
  }
  if (ftruncate(fd, static_cast<off_t>(bytes)) != 0) return fail(ENOMEM, "cannot size a buffer object");
  return {};
}

}  // namespace

Status BoBytes::make() {
  const RaisedLimit descriptors(LimitKind::kDescriptors);
  SX_TRY(const OwnedFd low,
         OwnedFd::take(raw_syscall(SYS_memfd_create, kBoMemfdName, MFD_CLOEXEC), "no memfd for a buffer object"));
  SX_TRY(memfd_, OwnedFd::duplicate_high(low.get()));
  SX_TRY_VOID(size_file(memfd(), size_bytes_));
  return map();
}

Status BoBytes::share(const BoBytes& parents) {
  SX_TRY(memfd_, OwnedFd::duplicate_high(parents.memfd()));
  return map();
}

Status BoBytes::map() {
  // Not usable at first: after mlockall(MCL_FUTURE) the kernel would fill it.
  void* at = mmap(nullptr, size_bytes_, PROT_NONE, MAP_SHARED | MAP_NORESERVE, memfd(), 0);
  if (at == MAP_FAILED) return fail(ENOMEM, "cannot map a buffer object");
  raw_syscall(SYS_munlock, at, size_bytes_);
  raw_syscall(SYS_madvise, at, size_bytes_, MADV_DONTDUMP);
  raw_syscall(SYS_mprotect, at, size_bytes_, PROT_READ | PROT_WRITE);
  data_ = static_cast<std::byte*>(at);
  return {};
}

BoBytes::~BoBytes() {
  // Not through libc: the hooks watch the client's mappings, this one is the engine's.
  if (data_ != nullptr) raw_syscall(SYS_munmap, data_, size_bytes_);
}

void BoBytes::discard() {
  SX_ASSERT(origin_ == Origin::kOwn);
  // The engines' view becomes zeroes before the bytes go: one of them may still come through the entries of a mapping
  // that a bind has taken out of the tree and not yet unbound, which no eviction finds.
  if (map_zeroes()) {
    static_cast<void>(ftruncate(memfd(), 0));
    return;
  }
  // Truncated under the engines' mapping, an access would end the process. The memory goes all the same; what differs
  // is that CPU mappings read zeroes where they should get SIGBUS.
  static_cast<void>(fallocate(memfd(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, static_cast<off_t>(size_bytes_)));
}

// ENOMEM: the process has all the mappings it may have. The old one stays.
Status BoBytes::map_zeroes() {
  SX_TRY_VOID(SX_STEP("drv.gem.purge.map"));
  constexpr int kFlags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED;
  const long at = raw_syscall(SYS_mmap, data_, size_bytes_, PROT_READ | PROT_WRITE, kFlags, -1, 0);
  if (const int err = errno_of(at); err != 0) return fail(err, "cannot map zeroes over a buffer object");
  return {};
}

}  // namespace softxe
