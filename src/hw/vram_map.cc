#include "hw/vram_map.h"

namespace softxe {

VramMap::VramMap(std::byte* window, std::uint64_t bytes) : window_(window), bytes_(bytes) {
  SX_ASSERT(is_aligned(bytes, kPageSize));
  if (bytes == 0) return;
  auto memory = EngineMapping::reserve({.bytes = (bytes >> kPageShift) * sizeof *overrides_});
  if (!memory || !memory->grow(memory->bytes())) return;
  memory_ = std::move(*memory);
  overrides_ = reinterpret_cast<std::atomic<std::byte*>*>(memory_.data());
}

Status VramMap::ready() const {
  if (bytes_ != 0 && overrides_ == nullptr) return fail(ENOMEM, "no address space for VRAM records");
  return {};
}

void VramMap::set_override(DevRange block, std::byte* host) {
  SX_ASSERT(block.start().is_aligned(kPageSize) && block.end().is_aligned(kPageSize));
  SX_ASSERT(block.end().value() <= bytes_);
  const std::uint64_t first = block.start().value() >> kPageShift;
  for (std::uint64_t i = 0; i < block.pages(); ++i) {
    overrides_[first + i].store(host + (i << kPageShift), std::memory_order_release);
  }
}

void VramMap::clear_override(DevRange block) {
  SX_ASSERT(block.start().is_aligned(kPageSize) && block.end().value() <= bytes_);
  const std::uint64_t first = block.start().value() >> kPageShift;
  for (std::uint64_t i = 0; i < block.pages(); ++i) {
    overrides_[first + i].store(nullptr, std::memory_order_release);
  }
}

VramMap::Resolved VramMap::resolve(DevPa pa, std::uint64_t want_bytes) const {
  if (pa.value() >= bytes_ || want_bytes == 0) return {};
  const std::uint64_t limit = std::min(want_bytes, bytes_ - pa.value());
  std::uint64_t page = pa.value() >> kPageShift;
  std::byte* expected = page_host(page);
  const std::uint64_t offset = pa.value() & (kPageSize - 1);
  Resolved r{expected + offset, kPageSize - offset};
  while (r.bytes < limit && page_host(++page) == (expected += kPageSize)) r.bytes += kPageSize;
  r.bytes = std::min(r.bytes, limit);
  return r;
}

}  // namespace softxe
