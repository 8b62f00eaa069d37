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
    each(items, [&](std::byte* there, std::size_t bytes) { std::memcpy(to, there, bytes), to += bytes; });
    return {};
  }
  Status store(const MemoryItems& items, const std::byte* from) override {
    each(items, [&](std::byte* there, std::size_t bytes) { std::memcpy(there, from, bytes), from += bytes; });
    return {};
  }
  Status atomics(const EuAtomics& atomics, std::size_t& done) override {
    for (done = 0; done < atomics.va.size(); ++done) {
      std::byte* word = at(atomics.va[done], atomics.bytes);
      std::uint64_t found = 0;
      std::memcpy(&found, word, atomics.bytes);
      const std::uint64_t value = eu_atomic_result(atomics[done], found);
      std::memcpy(word, &value, atomics.bytes);
      atomics.found[done] = found;
    }
    return {};
  }

 private:
  std::byte* at(GpuVa va, std::uint32_t size) const {
    SX_ASSERT(va.value() <= bytes_.size() && size <= bytes_.size() - va.value());
    return bytes_.data() + va.value();
  }
  /// The sizes of most messages are constants for the compiler.
  template <typename Body>
  void each(const MemoryItems& items, const Body& body) const {
    switch (items.item_bytes) {
      case 4: return each_of<4>(items, body);
      case 8: return each_of<8>(items, body);
      default: break;
    }
    for (const GpuVa va : items.va) body(at(va, items.item_bytes), items.item_bytes);
  }
  template <std::uint32_t kBytes, typename Body>
  void each_of(const MemoryItems& items, const Body& body) const {
    for (const GpuVa va : items.va) body(at(va, kBytes), kBytes);
  }
  std::span<std::byte> bytes_;
};

}  // namespace softxe
