// The client's calls by name; each is one by number (client_calls.h).
#include "host/live/client_calls.h"

namespace softxe::live {
namespace {

long word(std::uint64_t value) { return static_cast<long>(value); }

}  // namespace

long LiveHostMm::hook_munmap(std::uint64_t address, std::uint64_t length) {
  return hook_syscall(SYS_munmap, {word(address), word(length)});
}

long LiveHostMm::hook_mmap(const MmapArgs& a) {
  return hook_syscall(SYS_mmap, {word(a.address), word(a.length), a.protection, a.flags, a.fd, a.offset});
}

long LiveHostMm::hook_mremap(const MremapArgs& a) {
  return hook_syscall(
      SYS_mremap, {word(a.old_address), word(a.old_length), word(a.new_length), word(a.flags), word(a.new_address)});
}

long LiveHostMm::hook_brk(std::uint64_t address) { return hook_syscall(SYS_brk, {word(address)}); }

long LiveHostMm::hook_madvise(std::uint64_t address, std::uint64_t length, int advice) {
  return hook_syscall(SYS_madvise, {word(address), word(length), advice});
}

long LiveHostMm::hook_mprotect(std::uint64_t address, std::uint64_t length, long protection) {
  return hook_syscall(SYS_mprotect, {word(address), word(length), protection});
}

long LiveHostMm::hook_pkey_mprotect(std::uint64_t address, std::uint64_t length, long protection, long key) {
  return hook_syscall(SYS_pkey_mprotect, {word(address), word(length), protection, key});
}

long LiveHostMm::hook_process_madvise(int pidfd, std::uint64_t iovec, std::uint64_t count, int advice, unsigned flags) {
  return hook_syscall(SYS_process_madvise, {pidfd, word(iovec), word(count), advice, word(flags)});
}

long LiveHostMm::hook_shmat(int id, std::uint64_t address, int flags) {
  return hook_syscall(SYS_shmat, {id, word(address), flags});
}

long LiveHostMm::hook_shmdt(std::uint64_t address) { return hook_syscall(SYS_shmdt, {word(address)}); }

long LiveHostMm::hook_remap_file_pages(std::uint64_t address, std::uint64_t size, long protection,
                                       std::uint64_t page_offset, long flags) {
  return hook_syscall(SYS_remap_file_pages, {word(address), word(size), protection, word(page_offset), flags});
}

long LiveHostMm::hook_mlock(std::uint64_t address, std::uint64_t length, unsigned flags) {
  if (flags == 0) return hook_syscall(SYS_mlock, {word(address), word(length)});
  return hook_syscall(SYS_mlock2, {word(address), word(length), word(flags)});
}

long LiveHostMm::hook_mlockall(int flags) { return hook_syscall(SYS_mlockall, {flags}); }

}  // namespace softxe::live
