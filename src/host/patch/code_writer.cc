#include "host/patch/code_writer.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "host/patch/syscall_args.h"

namespace softxe::patch {

Result<CodeWriter> CodeWriter::open() {
  const long fd = raw_syscall(SYS_openat, static_cast<unsigned long>(AT_FDCWD), "/proc/self/mem", O_RDWR | O_CLOEXEC);
  if (errno_of(fd) != 0) return fail(static_cast<int>(-fd), "cannot open /proc/self/mem for writing");
  return CodeWriter(static_cast<int>(fd));
}

CodeWriter::~CodeWriter() {
  if (fd_ >= 0) raw_syscall(SYS_close, static_cast<unsigned long>(fd_));
}

Status CodeWriter::write(HostVa at, std::span<const std::uint8_t> bytes) const {
  const long n = raw_syscall(SYS_pwrite64, static_cast<unsigned long>(fd_), bytes.data(), bytes.size(), at.value());
  if (errno_of(n) != 0) return fail(static_cast<int>(-n), "kernel refuses writes to code");
  if (static_cast<std::size_t>(n) != bytes.size()) return fail(EIO, "code was written in part");
  const auto* now = reinterpret_cast<const volatile std::uint8_t*>(at.value());
  for (std::size_t i = 0; i < bytes.size(); ++i)
    if (now[i] != bytes[i]) return fail(EIO, "code does not read back as written");
  return {};
}

Result<std::uint64_t> thread_count() {
  struct stat st {};
  const long r = raw_syscall(SYS_stat, "/proc/self/task", &st);
  if (errno_of(r) != 0) return fail(static_cast<int>(-r), "cannot count the threads of the process");
  // The folder's links: itself, its entry in the parent, one per thread.
  if (st.st_nlink < 3) return fail(EIO, "cannot count the threads of the process");
  return st.st_nlink - 2;
}

}  // namespace softxe::patch
