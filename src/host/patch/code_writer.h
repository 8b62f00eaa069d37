// Writes into pages that are not writable, through /proc/self/mem, with raw system calls only: the
// libc function one would call may be the one half written.
#pragma once

#include <cstdint>
#include <span>

#include "base/address.h"
#include "base/result.h"

namespace softxe::patch {

/// An open /proc/self/mem. Not thread safe; code being written must not be running.
class CodeWriter {
 public:
  static Result<CodeWriter> open();
  CodeWriter(CodeWriter&& other) noexcept : fd_(other.fd_) { other.fd_ = -1; }
  CodeWriter(const CodeWriter&) = delete;
  CodeWriter& operator=(const CodeWriter&) = delete;
  CodeWriter& operator=(CodeWriter&&) = delete;
  ~CodeWriter();

  /// Writes all of `bytes` at `at` and reads them back.
  Status write(HostVa at, std::span<const std::uint8_t> bytes) const;

 private:
  explicit CodeWriter(int fd) : fd_(fd) {}
  int fd_;
};

/// Threads of this process, counted by the kernel.
Result<std::uint64_t> thread_count();

}  // namespace softxe::patch
