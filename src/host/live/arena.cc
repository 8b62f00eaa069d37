#include "host/live/arena.h"

#include <sys/mman.h>

#include "host/live/raw_syscall.h"

namespace softxe::live {

Result<Arena> Arena::make(std::uint64_t bytes) {
  const std::uint64_t size = align_up(bytes, kPageSize);
  const long at =
      raw_syscall(SYS_mmap, nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (int err = errno_of(at)) return fail(err, "no address space for the engine's arena");
  Arena arena;
  arena.base_ = static_cast<std::uint64_t>(at);
  arena.next_ = arena.base_;
  arena.bytes_ = size;
  return arena;
}

void Arena::unmap() {
  const std::uint64_t base = base_;
  const std::uint64_t bytes = bytes_;
  raw_syscall(SYS_munmap, base, bytes);
}

void* Arena::take(std::size_t bytes) {
  constexpr std::uint64_t kCacheLine = 64;
  const std::uint64_t size = align_up(bytes, kCacheLine);
  if (size > base_ + bytes_ - next_) return nullptr;
  void* memory = reinterpret_cast<void*>(next_);
  next_ += size;
  return memory;
}

}  // namespace softxe::live
