// Reads and writes of client memory named by a number in a request.
//
// The client lives in the same process, so an address is a pointer that may be unmapped, read-only
// or about to be moved to VRAM. Every access goes through guarded_copy(): a fault becomes EFAULT
// (spec/uapi.md section 1), a page that is in VRAM is brought home by the CPU fault path and the copy
// goes on. Never call with an engine lock held: the copy may wait for the fault service.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <type_traits>
#include <vector>

#include "base/address.h"
#include "base/result.h"

namespace softxe {

/// A seam, so that decoders run on byte arrays in tests and fuzz targets.
class UserMemory {
 public:
  virtual ~UserMemory() = default;
  /// Fills `to` from client memory; EFAULT when any byte cannot be read.
  virtual Status read(HostVa from, std::span<std::byte> to) = 0;
  /// EFAULT when any byte cannot be written; a prefix may then have been written.
  virtual Status write(HostVa to, std::span<const std::byte> from) = 0;

  template <typename T>
  Status read_object(HostVa from, T& object) {
    static_assert(std::is_trivially_copyable_v<T>);
    return read(from, std::as_writable_bytes(std::span<T, 1>(&object, 1)));
  }
  template <typename T>
  Status write_object(HostVa to, const T& object) {
    static_assert(std::is_trivially_copyable_v<T>);
    return write(to, std::as_bytes(std::span<const T, 1>(&object, 1)));
  }
};

/// The longest array that Linux allocates in one piece for a request (its kmalloc limit).
inline constexpr std::uint64_t kUserArrayBytesMax = 4ull << 20;

/// An array whose length the client names. ENOMEM above the limit, before anything is allocated; EFAULT.
template <typename T>
Result<std::vector<T>> read_array(UserMemory& memory, HostVa from, std::uint64_t count) {
  static_assert(std::is_trivially_copyable_v<T>);
  if (count > kUserArrayBytesMax / sizeof(T)) return fail(ENOMEM, "array is too long");
  std::vector<T> values(count);
  SX_TRY_VOID(memory.read(from, std::as_writable_bytes(std::span(values))));
  return values;
}

/// The memory of this process.
class ProcessUserMemory final : public UserMemory {
 public:
  Status read(HostVa from, std::span<std::byte> to) override;
  Status write(HostVa to, std::span<const std::byte> from) override;
};

}  // namespace softxe
