// NamedRanges: memory that the client named, on a machine where only that may migrate (Rung::kUserOnly).
#pragma once

#include <array>
#include <atomic>
#include <optional>

#include "base/address.h"

namespace softxe::live {

/// Guarded by the mm lock of its owner; any() needs no lock. Names go with their memory.
class NamedRanges {
 public:
  bool any() const { return any_.load(std::memory_order_relaxed); }
  /// Whether one name covers all of `range`.
  bool contains(HostRange range) const;
  /// ENOMEM: too many.
  Status add(HostRange range);
  void forget(HostRange range);

 private:
  static constexpr std::size_t kMax = 1024;

  void append(HostRange range) { ranges_[count_++] = range; }

  std::array<std::optional<HostRange>, kMax> ranges_;
  std::size_t count_ = 0;
  std::atomic<bool> any_{false};
};

}  // namespace softxe::live
