#include "host/live/arena.h"

namespace softxe::live {

Result<Arena> Arena::make(std::uint64_t bytes) {
  Arena arena;
  SX_TRY(arena.mapping_, EngineMapping::reserve({.bytes = bytes}));
  return arena;
}

void* Arena::take(std::size_t bytes) {
  constexpr std::uint64_t kCacheLine = 64;
  const std::uint64_t size = align_up(bytes, kCacheLine);
  if (!mapping_.grow(used_ + size)) return nullptr;
  void* memory = mapping_.data() + used_;
  used_ += size;
  return memory;
}

}  // namespace softxe::live
