// FakeGpuMemory: pages in a map, for tests and the fuzz target of the command streamer.
#pragma once

#include <algorithm>
#include <array>
#include <cstring>
#include <functional>
#include <initializer_list>
#include <map>

#include "hw/gpu_memory.h"

namespace softxe {

enum class FakePage : std::uint8_t {
  kNormal,
  kReadOnly,  ///< writes fault
  kNull,      ///< a sparse binding: reads 0, drops writes
  kKilling,   ///< the access gives up
};

/// One thread. Pages that were not mapped fault. `on_fetch`, when set, runs before each fetch: the CPU
/// thread of a test.
class FakeGpuMemory final : public GpuMemory {
 public:
  std::function<void(GpuVa)> on_fetch;
  std::uint64_t fetches = 0;
  std::uint64_t accesses = 0;
  GpuVa faulted_at{};

  void map(GpuVa start, std::uint64_t bytes, FakePage kind = FakePage::kNormal) {
    for (std::uint64_t page = start.value() >> kPageShift;
         page << kPageShift < start.value() + bytes; ++page)
      pages_[page].kind = kind;
  }
  void unmap(GpuVa page) { pages_.erase(page.value() >> kPageShift); }

  /// For the test itself: past rights, on mapped pages only.
  void put(GpuVa at, std::initializer_list<std::uint32_t> dwords) {
    for (const std::uint32_t dword : dwords) {
      poke(at, dword);
      at += 4;
    }
  }
  template <typename T>
  void poke(GpuVa at, T value) {
    std::array<std::byte, sizeof(T)> raw;
    std::memcpy(raw.data(), &value, sizeof(T));
    for (std::size_t i = 0; i < sizeof(T); ++i) byte_at(at + i) = raw[i];
  }
  template <typename T>
  T peek(GpuVa at) {
    std::array<std::byte, sizeof(T)> raw;
    for (std::size_t i = 0; i < sizeof(T); ++i) raw[i] = byte_at(at + i);
    T value;
    std::memcpy(&value, raw.data(), sizeof(T));
    return value;
  }

  AccessStatus fetch(GpuVa at, std::uint32_t& dword) override {
    ++fetches;
    if (on_fetch) on_fetch(at);
    return load(at, dword);
  }
  AccessStatus load32(GpuVa at, std::uint32_t& value) override { return load(at, value); }
  AccessStatus load64(GpuVa at, std::uint64_t& value) override { return load(at, value); }
  AccessStatus store32(GpuVa at, std::uint32_t value) override { return store(at, value); }
  AccessStatus store64(GpuVa at, std::uint64_t value) override { return store(at, value); }
  AccessStatus atomic32(GpuVa at, GpuAtomicOp op, const Operands& operands,
                        std::uint32_t& old) override {
    return atomic(at, op, operands, old);
  }
  AccessStatus atomic64(GpuVa at, GpuAtomicOp op, const Operands& operands,
                        std::uint64_t& old) override {
    return atomic(at, op, operands, old);
  }
  AccessStatus copy(const CopySpan& span) override {
    std::array<std::byte, kPageSize> buffer;
    for (std::uint64_t done = 0; done < span.bytes; done += buffer.size()) {
      const std::size_t part = std::min<std::uint64_t>(buffer.size(), span.bytes - done);
      AccessStatus status = read(span.from + done, std::span(buffer).first(part));
      if (status == AccessStatus::kOk) status = write(span.to + done, std::span(buffer).first(part));
      if (status != AccessStatus::kOk) return status;
    }
    return AccessStatus::kOk;
  }
  AccessStatus fill(const FillSpan& span, std::span<const std::byte> pattern) override {
    SX_ASSERT(kPageSize % pattern.size() == 0);
    std::array<std::byte, kPageSize> buffer;
    for (std::size_t i = 0; i < buffer.size(); ++i) buffer[i] = pattern[i % pattern.size()];
    for (std::uint64_t done = 0; done < span.bytes; done += buffer.size()) {
      const std::size_t part = std::min<std::uint64_t>(buffer.size(), span.bytes - done);
      const AccessStatus status = write(span.to + done, std::span(buffer).first(part));
      if (status != AccessStatus::kOk) return status;
    }
    return AccessStatus::kOk;
  }

 private:
  struct Page {
    FakePage kind = FakePage::kNormal;
    std::array<std::byte, kPageSize> bytes{};
  };
  enum class Access : std::uint8_t { kRead, kWrite };

  std::byte& byte_at(GpuVa at) {
    auto page = pages_.find(at.value() >> kPageShift);
    SX_ASSERT(page != pages_.end());
    return page->second.bytes[at.value() % kPageSize];
  }
  /// Calls `visit(page, offset, bytes, done)` for each page of the range, until one refuses.
  template <typename Visit>
  AccessStatus each_page(GpuVa at, std::uint64_t bytes, Access access, Visit visit) {
    ++accesses;
    for (std::uint64_t done = 0; done < bytes;) {
      const std::uint64_t offset = (at.value() + done) % kPageSize;
      const std::uint64_t part = std::min(bytes - done, kPageSize - offset);
      auto page = pages_.find((at.value() + done) >> kPageShift);
      const bool there = page != pages_.end();
      if (there && page->second.kind == FakePage::kKilling) return AccessStatus::kKilled;
      if (!there || (access == Access::kWrite && page->second.kind == FakePage::kReadOnly)) {
        faulted_at = at + done;
        return AccessStatus::kFault;
      }
      visit(page->second, offset, part, done);
      done += part;
    }
    return AccessStatus::kOk;
  }
  AccessStatus read(GpuVa at, std::span<std::byte> to) {
    return each_page(at, to.size(), Access::kRead,
                     [&](Page& page, std::uint64_t offset, std::uint64_t part, std::uint64_t done) {
                       std::memcpy(to.data() + done, page.bytes.data() + offset, part);
                     });
  }
  AccessStatus write(GpuVa at, std::span<const std::byte> from) {
    return each_page(at, from.size(), Access::kWrite,
                     [&](Page& page, std::uint64_t offset, std::uint64_t part, std::uint64_t done) {
                       if (page.kind == FakePage::kNull) return;
                       std::memcpy(page.bytes.data() + offset, from.data() + done, part);
                     });
  }
  template <typename T>
  AccessStatus load(GpuVa at, T& value) {
    return read(at, std::as_writable_bytes(std::span(&value, 1)));
  }
  template <typename T>
  AccessStatus store(GpuVa at, T value) {
    return write(at, std::as_bytes(std::span(&value, 1)));
  }
  template <typename T>
  AccessStatus atomic(GpuVa at, GpuAtomicOp op, const Operands& operands, T& old) {
    SX_ASSERT(at.is_aligned(sizeof(T)));
    const AccessStatus status = load(at, old);
    if (status != AccessStatus::kOk) return status;
    return store(at, atomic_function<T>(op)(old, static_cast<T>(operands.operand1),
                                            static_cast<T>(operands.operand2)));
  }

  std::map<std::uint64_t, Page> pages_;
};

}  // namespace softxe
