// FakeCsMemory: pages in a map, for tests of the command streamer. What is not mapped faults.
#pragma once

#include <array>
#include <cstdint>
#include <cstring>
#include <initializer_list>
#include <map>
#include <vector>

#include "hw/cs/cs_memory.h"

namespace softxe {

class FakeCsMemory final : public CsMemory {
 public:
  void map(std::uint64_t va, std::uint64_t bytes = kPageSize) {
    for (std::uint64_t at = align_down(va, kPageSize); at < va + bytes; at += kPageSize) {
      pages_[at].fill(0);
    }
  }
  void put(std::uint64_t va, const std::vector<std::uint32_t>& dwords) {
    for (const std::uint32_t d : dwords) {
      SX_ASSERT(move(va, &d, 4, Way::kIn));
      va += 4;
    }
  }
  std::uint32_t dword(std::uint64_t va) {
    std::uint32_t value = 0;
    SX_ASSERT(move(va, &value, 4, Way::kOut));
    return value;
  }
  std::uint8_t byte(std::uint64_t va) {
    std::uint8_t value = 0;
    SX_ASSERT(move(va, &value, 1, Way::kOut));
    return value;
  }
  void put_byte(std::uint64_t va, std::uint8_t value) { SX_ASSERT(move(va, &value, 1, Way::kIn)); }

  Status read32(GpuVa va, std::uint32_t& v) override { return status(move(va.value(), &v, 4, Way::kOut)); }
  Status read64(GpuVa va, std::uint64_t& v) override { return status(move(va.value(), &v, 8, Way::kOut)); }
  Status write32(GpuVa va, std::uint32_t v) override { return status(move(va.value(), &v, 4, Way::kIn)); }
  Status write64(GpuVa va, std::uint64_t v) override { return status(move(va.value(), &v, 8, Way::kIn)); }
  Result<std::uint32_t> atomic32(GpuVa va, const AtomicOp<std::uint32_t>& op) override { return atomic(va, op); }
  Result<std::uint64_t> atomic64(GpuVa va, const AtomicOp<std::uint64_t>& op) override { return atomic(va, op); }
  Status copy(const CopySpan& span) override {
    longest_ = std::max(longest_, span.bytes);
    std::vector<std::uint8_t> bounce(span.bytes);
    if (!move(span.from.value(), bounce.data(), span.bytes, Way::kOut)) return status(false);
    return status(move(span.to.value(), bounce.data(), span.bytes, Way::kIn));
  }
  Status fill(GpuVa to, const Pattern& pattern, std::uint64_t bytes) override {
    longest_ = std::max(longest_, bytes);
    const auto* p = static_cast<const std::uint8_t*>(pattern.data);
    std::vector<std::uint8_t> bounce(bytes);
    for (std::uint64_t i = 0; i < bytes; ++i) bounce[i] = p[i % pattern.bytes];
    return status(move(to.value(), bounce.data(), bytes, Way::kIn));
  }
  /// Of all copies and fills so far.
  std::uint64_t longest() const { return longest_; }

 private:
  enum class Way { kIn, kOut };

  static Status status(bool ok) {
    if (!ok) return fail(EFAULT, "not mapped");
    return {};
  }
  template <typename T>
  Result<T> atomic(GpuVa va, const AtomicOp<T>& op) {
    SX_ASSERT(va.is_aligned(sizeof(T)));
    T found{};
    if (!move(va.value(), &found, sizeof(T), Way::kOut)) return fail(EFAULT, "not mapped");
    const T next = op.apply(found, op.operand, op.compare);
    SX_ASSERT(move(va.value(), &next, sizeof(T), Way::kIn));
    return found;
  }
  template <typename Host>
  bool move(std::uint64_t va, Host* host, std::uint64_t bytes, Way way) {
    for (std::uint64_t done = 0; done < bytes;) {
      const auto page = pages_.find(align_down(va + done, kPageSize));
      if (page == pages_.end()) return false;
      const std::uint64_t in_page = (va + done) % kPageSize;
      const std::uint64_t n = std::min(bytes - done, kPageSize - in_page);
      std::uint8_t* at = page->second.data() + in_page;
      if (way == Way::kIn) {
        std::memcpy(at, reinterpret_cast<const char*>(host) + done, n);
      } else if constexpr (!std::is_const_v<Host>) {
        std::memcpy(reinterpret_cast<char*>(host) + done, at, n);
      }
      done += n;
    }
    return true;
  }

  std::map<std::uint64_t, std::array<std::uint8_t, kPageSize>> pages_;
  std::uint64_t longest_ = 0;
};

}  // namespace softxe
