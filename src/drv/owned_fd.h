// Descriptors of the engine: owned, and out of the way of the client's.
#pragma once

#include <utility>

#include "base/result.h"

namespace softxe {

/// Descriptors of the engine stay out of the low numbers that clients count (spec/clients.md 1.4).
inline constexpr int kInternalFdMin = 900;

/// Owns one descriptor.
class OwnedFd {
 public:
  OwnedFd() = default;
  explicit OwnedFd(int fd) : fd_(fd) {}
  OwnedFd(OwnedFd&& o) noexcept : fd_(std::exchange(o.fd_, -1)) {}
  OwnedFd& operator=(OwnedFd&& o) noexcept;
  ~OwnedFd();
  int get() const { return fd_; }

  /// What a system call answered: a descriptor, or the error with `why`.
  static Result<OwnedFd> take(long result, const char* why);
  /// A close-on-exec duplicate behind the numbers that the client can have, where its hard limit leaves room there;
  /// else at or above kInternalFdMin, or anywhere when the limit is lower.
  static Result<OwnedFd> duplicate_high(int fd);

 private:
  int fd_ = -1;
};

}  // namespace softxe
