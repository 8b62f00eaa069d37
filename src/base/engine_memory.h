// The runtime's own memory in the client's address space, and where it lies.
//
// The runtime lives in the client's process, so its tables, its heap and its device windows are mappings
// of that process. To the client they must not exist: no GPU access reaches them, no mlockall() fills
// them, no core file holds them, and the kernel joins none of them with a mapping of the client.
//
//   reserved, not used   PROT_NONE: nothing can populate it, and a wild pointer into it is EFAULT or SIGSEGV
//   in use               its front part, made usable in steps by grow()
//   place                a part of the address space that no mmap() without a hint comes to, and that the
//                        shadow memory of the sanitizers leaves free; elsewhere only when that is full
//   known                every mapping is in one table, which anybody may ask without a lock
//
// Thus a question about an address is answered by the table, never by what the kernel shows as one mapping:
// the kernel joins neighbours whose attributes are equal.
#pragma once

#include <cstdint>
#include <optional>

#include "base/address.h"
#include "base/result.h"

namespace softxe {

/// One mapping of the runtime; unmapped by its owner's end. Not thread-safe.
class EngineMapping {
 public:
  enum class Use : std::uint8_t {
    kRecords,  ///< tables and objects: small pages; a fork child has a copy
    kWindow,   ///< pages of the client come here: huge ones stay whole; a fork child has nothing there
  };
  struct Request {
    std::uint64_t bytes = 0;  ///< rounded up to pages
    std::uint64_t alignment = kPageSize;
    Use use = Use::kRecords;
  };

  /// Address space, none of it usable yet. ENOMEM: there is none (RLIMIT_AS), or the table is full.
  static Result<EngineMapping> reserve(const Request& request);

  EngineMapping() = default;
  ~EngineMapping() { unmap(); }
  EngineMapping(EngineMapping&& other) noexcept { swap(other); }
  EngineMapping& operator=(EngineMapping&& other) noexcept {
    swap(other);
    return *this;
  }
  EngineMapping(const EngineMapping&) = delete;
  EngineMapping& operator=(const EngineMapping&) = delete;

  explicit operator bool() const { return bytes_ != 0; }
  std::byte* data() const { return reinterpret_cast<std::byte*>(start_); }
  std::uint64_t bytes() const { return bytes_; }
  HostRange range() const { return HostRange::of(HostVa(start_), bytes_); }

  /// Makes at least the first `bytes` usable: zeroes, readable and writable. ENOMEM: the kernel refuses, or
  /// there are not so many.
  Status grow(std::uint64_t bytes);
  /// In a fork child: the mapping was not inherited (Use::kWindow), forget it.
  void forget();
  void unmap();

 private:
  void swap(EngineMapping& other) noexcept {
    std::swap(start_, other.start_);
    std::swap(bytes_, other.bytes_);
    std::swap(usable_, other.usable_);
  }

  std::uint64_t start_ = 0;
  std::uint64_t bytes_ = 0;
  std::uint64_t usable_ = 0;  ///< from the start
};

/// Memory of the runtime that was not made by EngineMapping::reserve() (shared with other processes, the
/// library's own data) is entered here. ENOMEM: the table is full. Thread-safe.
Status note_engine_memory(HostRange range);
/// Takes out what was noted with the same start.
void forget_engine_memory(HostRange range);

/// The first range of the runtime that ends above `va`. Lock-free, for signal handlers too.
std::optional<HostRange> engine_memory_at_or_above(HostVa va);
/// Whether any byte of `range` is the runtime's. Lock-free.
bool is_engine_memory(HostRange range);
/// The part of `reach` around `va` in which nothing is the runtime's; nothing when `va` itself is. Lock-free.
std::optional<HostRange> client_part(HostVa va, HostRange reach);

/// Address space that RLIMIT_AS leaves to this process, in bytes; ~0 without a limit.
std::uint64_t address_space_left();

}  // namespace softxe
