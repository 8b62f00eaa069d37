// An EuMemory for tests: a map of pages. Missing pages refuse; a page may refuse its first touches.
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstring>
#include <map>
#include <vector>

#include "hw/eu/eu_memory.h"

namespace softxe {

class FakeEuMemory final : public EuMemory {
 public:
  using Page = std::array<std::byte, kPageSize>;

  std::map<std::uint64_t, Page> pages;         ///< by va >> 12
  std::map<std::uint64_t, unsigned> refusals;  ///< page: how many more touches are refused
  std::vector<std::uint64_t> faults;           ///< pages, in order
  std::uint64_t effects = 0;                   ///< items stored and atomics done

  void map(std::uint64_t va, std::uint64_t bytes) {
    for (std::uint64_t page = va >> kPageShift; page <= (va + bytes - 1) >> kPageShift; ++page) pages[page] = {};
  }
  std::byte& at(std::uint64_t va) { return pages.at(va >> kPageShift)[va & (kPageSize - 1)]; }
  template <typename T>
  T get(std::uint64_t va) {
    T value;
    for (std::size_t i = 0; i < sizeof value; ++i) reinterpret_cast<std::byte*>(&value)[i] = at(va + i);
    return value;
  }
  template <typename T>
  void put(std::uint64_t va, T value) {
    for (std::size_t i = 0; i < sizeof value; ++i) at(va + i) = reinterpret_cast<const std::byte*>(&value)[i];
  }

  Status load(const MemoryItems& items, std::byte* to) override {
    check(items);
    std::memset(to, 0xCC, items.bytes());
    SX_TRY_VOID(touch(items));
    for (const GpuVa va : items.va) {
      for (std::uint32_t i = 0; i < items.item_bytes; ++i) *to++ = at(va.value() + i);
    }
    return {};
  }
  Status store(const MemoryItems& items, const std::byte* from) override {
    check(items);
    SX_TRY_VOID(touch(items));
    for (const GpuVa va : items.va) {
      for (std::uint32_t i = 0; i < items.item_bytes; ++i) at(va.value() + i) = *from++;
    }
    effects += items.va.size();
    return {};
  }
  Status atomics(const EuAtomics& atomics, std::size_t& done) override {
    for (done = 0; done < atomics.va.size(); ++done) {
      const GpuVa va = atomics.va[done];
      SX_ASSERT(va.is_aligned(atomics.bytes));
      SX_TRY_VOID(touch(va.value() >> kPageShift));
      std::uint64_t found = 0;
      std::memcpy(&found, &at(va.value()), atomics.bytes);
      const std::uint64_t value = eu_atomic_result(atomics[done], found);
      std::memcpy(&at(va.value()), &value, atomics.bytes);
      atomics.found[done] = found;
      ++effects;
    }
    return {};
  }

  /// Of a page that is there and refuses nothing.
  std::byte* reach(GpuVa va, std::uint32_t bytes, AccessType) override {
    const std::uint64_t page = va.value() >> kPageShift;
    const auto refusal = refusals.find(page);
    const bool refuses = refusal != refusals.end() && refusal->second != 0;
    if (!lets_reach || refuses || !pages.contains(page)) return nullptr;
    if ((va.value() & (kPageSize - 1)) + bytes > kPageSize) return nullptr;
    ++reached;
    return &at(va.value());
  }
  bool reach_each(std::uint32_t channels, std::uint64_t* at, std::uint32_t bytes, AccessType access) override {
    for (; channels != 0; channels &= channels - 1) {
      std::uint64_t& address = at[std::countr_zero(channels)];
      std::byte* const host = reach(GpuVa(address), bytes, access);
      if (host == nullptr) return false;
      address = reinterpret_cast<std::uint64_t>(host);
    }
    return true;
  }
  bool lets_reach = true;
  std::uint64_t reached = 0;

 private:
  static void check(const MemoryItems& items) {
    SX_ASSERT(items.va.size() <= MemoryItems::kItemsMax && items.item_bytes <= MemoryItems::kItemBytesMax);
    SX_ASSERT(items.bytes() <= MemoryItems::kBytesMax && items.item_bytes % items.element_bytes == 0);
  }
  Status touch(const MemoryItems& items) {
    for (const GpuVa va : items.va) {
      SX_TRY_VOID(touch(va.value() >> kPageShift));
      SX_TRY_VOID(touch((va.value() + items.item_bytes - 1) >> kPageShift));
    }
    return {};
  }
  Status touch(std::uint64_t page) {
    auto refusal = refusals.find(page);
    const bool refused = refusal != refusals.end() && refusal->second != 0;
    if (refused) --refusal->second;
    if (!refused && pages.contains(page)) return {};
    faults.push_back(page);
    return fail(EFAULT, "test: page is not there");
  }
};

}  // namespace softxe
