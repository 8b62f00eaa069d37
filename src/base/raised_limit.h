// RaisedLimit: for a moment, what the engine makes for itself is not counted against the client's limits.
//
// A buffer object is a memfd, and in Linux neither takes a descriptor of the client nor is a file that it writes. So
// the soft limit is raised to the hard one (for the size of files also that one, where the process may) while the
// engine makes a descriptor or sizes a file, and put back: what is there already stays, whatever the limit. Other
// threads may see the raised limit meanwhile; a program started at that very moment inherits it.
#pragma once

#include <cstdint>

namespace softxe {

enum class LimitKind : std::uint8_t { kDescriptors, kFileSize };

/// Nests, on any thread.
class RaisedLimit {
 public:
  explicit RaisedLimit(LimitKind kind);
  ~RaisedLimit();
  RaisedLimit(const RaisedLimit&) = delete;
  RaisedLimit& operator=(const RaisedLimit&) = delete;

 private:
  const LimitKind kind_;
};

/// The limit in force for the client: its soft one. ~0: none.
std::uint64_t client_limit(LimitKind kind);

/// Around fork: from the first to the second no other thread changes a limit, and the child begins with the client's.
void raised_limits_before_fork();
void raised_limits_after_fork_parent();
void raised_limits_after_fork_child();

}  // namespace softxe
