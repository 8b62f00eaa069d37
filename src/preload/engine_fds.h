// Where the engine's own descriptors lie: above those that the client counts.
//
// Clients know that the first descriptor is 3, and close what they do not know. So the engine opens its files
// while all low numbers are taken, and close() refuses them (wrap_fds.cc). Under a low RLIMIT_NOFILE there is
// nothing above: then the last few numbers below the limit are the engine's, and they are remembered.
#pragma once

#include <array>

#include "drv/owned_fd.h"

namespace softxe::preload {

/// Descriptors that making a session needs at the same time: five stay, the others are closed again.
inline constexpr int kEngineFdsMax = 12;

/// Takes the free low numbers for as long as it lives.
class LowFdsTaken {
 public:
  LowFdsTaken();
  ~LowFdsTaken();
  LowFdsTaken(const LowFdsTaken&) = delete;
  LowFdsTaken& operator=(const LowFdsTaken&) = delete;

  /// The session is made: what it opened below kInternalFdMin is the engine's from now on.
  void remember() const;

 private:
  void leave_room();

  std::array<int, kInternalFdMin + 1> taken_;
  int count_ = 0;
  std::array<int, kEngineFdsMax> room_;  ///< given back, for lack of higher numbers
  int room_count_ = 0;
};

/// May a descriptor with this number be the engine's? A few instructions.
bool maybe_engine_fd(int fd);
/// Is it one that remember() saw?
bool is_remembered_engine_fd(int fd);
/// In a fork child: it has none of them.
void forget_engine_fds();

}  // namespace softxe::preload
