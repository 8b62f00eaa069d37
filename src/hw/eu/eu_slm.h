// EuSlm: a group's shared local memory as an EuMemory, so that messages to it take the same way as all others.
#pragma once

#include <cstring>
#include <span>

#include "hw/eu/eu_memory.h"

namespace softxe {

/// Every item lies inside: windows see to that. Not atomic: one worker runs all threads of a group in turn.
class EuSlm final : public EuMemory {
 public:
  explicit EuSlm(std::span<std::byte> bytes) : bytes_(bytes) {}

  Status load(const MemoryItems& items, std::byte* to) override {
    for (const GpuVa va : items.va) {
      std::memcpy(to, at(va, items.item_bytes), items.item_bytes);
      to += items.item_bytes;
    }
    return {};
  }
  Status store(const MemoryItems& items, const std::byte* from) override {
    for (const GpuVa va : items.va) {
      std::memcpy(at(va, items.item_bytes), from, items.item_bytes);
      from += items.item_bytes;
    }
    return {};
  }
  Result<std::uint64_t> atomic(GpuVa va, const EuAtomic& atomic) override {
    std::byte* word = at(va, atomic.bytes);
    std::uint64_t found = 0;
    std::memcpy(&found, word, atomic.bytes);
    const std::uint64_t value = eu_atomic_result(atomic, found);
    std::memcpy(word, &value, atomic.bytes);
    return found;
  }

 private:
  std::byte* at(GpuVa va, std::uint32_t size) const {
    SX_ASSERT(va.value() <= bytes_.size() && size <= bytes_.size() - va.value());
    return bytes_.data() + va.value();
  }
  std::span<std::byte> bytes_;
};

}  // namespace softxe
