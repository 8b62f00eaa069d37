// UserFence: the one thing a VMA needs to know of the user fence of its bind.
#pragma once

namespace softxe {

/// A 64-bit word of the client that is written when a bind is complete. While it is unsignalled the
/// VMAs of that bind cannot be unmapped (spec/vm.md 3.5, 3.8). Made by drv/.
class UserFence {
 public:
  virtual ~UserFence() = default;
  /// True from just before the word is written. Any thread.
  virtual bool signalled() const = 0;
};

}  // namespace softxe
