// BoBytes: the bytes of one buffer object: a memfd, the engines' mapping of it, and how they are thrown away.
//
// The memfd never changes, so CPU mappings, dma-bufs and forked children keep working whatever the placement. The
// engines reach the bytes through a mapping of their own, never through a client's.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/result.h"
#include "drv/owned_fd.h"

namespace softxe {

/// Owns the memfd and the mapping. Both are there from make() or share() to the end; no lock.
class BoBytes {
 public:
  /// kParentOfFork: the parent may still need them, so nothing of them is thrown away.
  enum class Origin : std::uint8_t { kOwn, kParentOfFork };

  BoBytes(std::uint64_t size_bytes, Origin origin) : size_bytes_(size_bytes), origin_(origin) {}
  ~BoBytes();
  BoBytes(const BoBytes&) = delete;
  BoBytes& operator=(const BoBytes&) = delete;

  /// Zeroes. ENOMEM, ENFILE: the host has no more.
  Status make();
  /// The same bytes as the parent's. EMFILE, ENOMEM.
  Status share(const BoBytes& parents);

  Origin origin() const { return origin_; }
  std::uint64_t size_bytes() const { return size_bytes_; }
  int memfd() const { return memfd_.get(); }
  std::byte* data() const { return data_; }

  /// The bytes go; CPU mappings get SIGBUS, engines see zeroes. The caller has zapped every mapping (spec/vm.md 5.7).
  /// Not of a parent.
  void discard();

 private:
  Status map();
  /// Puts zeroes where the engines see the bytes. ENOMEM, nothing changed.
  Status map_zeroes();

  const std::uint64_t size_bytes_;
  const Origin origin_;
  OwnedFd memfd_;
  std::byte* data_ = nullptr;
};

}  // namespace softxe
