// Addresses of different spaces are different types; intervals are half-open and never empty.
//
//   GpuVa   an address in a GPU virtual address space (a VM), canonical bits stripped
//   HostVa  an address in the mirrored process
//   DevPa   an address in one device's physical memory (VRAM)
//
// For CPU-address-mirror VMAs GpuVa and HostVa have the same number; crossing from one to the other
// is written out (`mirror_of`) so that it can be found.
#pragma once

#include <algorithm>
#include <compare>
#include <cstdint>
#include <optional>

#include "base/result.h"

namespace softxe {

inline constexpr std::uint64_t kPageSize = 4096;
inline constexpr std::uint64_t kPageShift = 12;
inline constexpr std::uint64_t k64K = 64ull << 10;
inline constexpr std::uint64_t k2M = 2ull << 20;
inline constexpr std::uint64_t k1G = 1ull << 30;

constexpr std::uint64_t align_down(std::uint64_t value, std::uint64_t alignment) { return value & ~(alignment - 1); }
constexpr std::uint64_t align_up(std::uint64_t value, std::uint64_t alignment) {
  return (value + alignment - 1) & ~(alignment - 1);
}
constexpr bool is_aligned(std::uint64_t value, std::uint64_t alignment) { return (value & (alignment - 1)) == 0; }

/// A byte address in the space named by `Space`. No arithmetic between spaces.
template <typename Space>
class Address {
 public:
  constexpr Address() = default;
  constexpr explicit Address(std::uint64_t value) : value_(value) {}

  constexpr std::uint64_t value() const { return value_; }
  constexpr Address aligned_down(std::uint64_t a) const { return Address(align_down(value_, a)); }
  constexpr bool is_aligned(std::uint64_t a) const { return softxe::is_aligned(value_, a); }

  friend constexpr auto operator<=>(Address, Address) = default;  // NOLINT(modernize-use-nullptr): a wrong finding
  friend constexpr Address operator+(Address a, std::uint64_t bytes) { return Address(a.value_ + bytes); }
  friend constexpr Address operator-(Address a, std::uint64_t bytes) { return Address(a.value_ - bytes); }
  /// Distance in bytes; `a` must not be below `b`.
  friend constexpr std::uint64_t operator-(Address a, Address b) { return a.value_ - b.value_; }
  Address& operator+=(std::uint64_t bytes) {
    value_ += bytes;
    return *this;
  }

 private:
  std::uint64_t value_ = 0;
};

struct GpuSpace;
struct HostSpace;
struct DevSpace;
using GpuVa = Address<GpuSpace>;
using HostVa = Address<HostSpace>;
using DevPa = Address<DevSpace>;

/// Half-open interval [start, end) of one address space, in bytes. Never empty, never wraps; the
/// end may equal 2^64 - 1 page at most, so `end - start` cannot overflow. Not necessarily page
/// aligned; the ABI decoder checks alignment where the ABI asks for it.
template <typename Addr>
class Interval {
 public:
  /// From untrusted numbers. EINVAL when the size is zero or start + size overflows 64 bits.
  static Result<Interval> make(Addr start, std::uint64_t size_bytes) {
    if (size_bytes == 0) return fail(EINVAL, "interval is empty");
    if (start.value() + size_bytes < start.value()) return fail(EINVAL, "interval wraps around");
    return Interval(start, start + size_bytes);
  }
  /// From numbers already known to be sound; aborts when they are not.
  static constexpr Interval of(Addr start, std::uint64_t size_bytes) {
    SX_ASSERT(size_bytes != 0 && start.value() + size_bytes >= start.value());
    return Interval(start, start + size_bytes);
  }
  static constexpr Interval between(Addr start, Addr end) {
    SX_ASSERT(start < end);
    return Interval(start, end);
  }

  constexpr Addr start() const { return start_; }
  constexpr Addr end() const { return end_; }
  constexpr std::uint64_t size() const { return end_ - start_; }
  constexpr std::uint64_t pages() const { return size() >> kPageShift; }

  constexpr bool contains(Addr a) const { return start_ <= a && a < end_; }
  constexpr bool contains(const Interval& o) const { return start_ <= o.start_ && o.end_ <= end_; }
  constexpr bool intersects(const Interval& o) const { return start_ < o.end_ && o.start_ < end_; }
  std::optional<Interval> intersection(const Interval& o) const {
    if (!intersects(o)) return std::nullopt;
    return Interval(std::max(start_, o.start_), std::min(end_, o.end_));
  }
  /// The smallest interval that holds both.
  constexpr Interval hull(const Interval& o) const {
    return Interval(std::min(start_, o.start_), std::max(end_, o.end_));
  }
  /// The naturally aligned block of `block_bytes` (a power of two) around `a`.
  static constexpr Interval block_around(Addr a, std::uint64_t block_bytes) {
    return of(a.aligned_down(block_bytes), block_bytes);
  }

  friend constexpr bool operator==(const Interval&, const Interval&) = default;

 private:
  constexpr Interval(Addr start, Addr end) : start_(start), end_(end) {}

  Addr start_;
  Addr end_;
};

using GpuRange = Interval<GpuVa>;
using HostRange = Interval<HostVa>;
using DevRange = Interval<DevPa>;

/// The two spellings of one address inside a CPU-address-mirror VMA (spec/svm.md 0.1).
constexpr HostVa mirror_of(GpuVa va) { return HostVa(va.value()); }
constexpr GpuVa mirror_of(HostVa va) { return GpuVa(va.value()); }
constexpr HostRange mirror_of(const GpuRange& r) {
  return HostRange::between(mirror_of(r.start()), mirror_of(r.end()));
}
constexpr GpuRange mirror_of(const HostRange& r) { return GpuRange::between(mirror_of(r.start()), mirror_of(r.end())); }

}  // namespace softxe
