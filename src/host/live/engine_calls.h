// Memory calls of the client whose range reaches into memory of the runtime: to the client nothing is mapped there.
#pragma once

#include <array>
#include <cerrno>
#include <optional>

#include "base/engine_memory.h"

namespace softxe::live {

struct EngineReach {
  /// What Linux does where a call meets a hole.
  enum class Rule : std::uint8_t {
    kPassOver,  ///< nothing to do there (munmap)
    kStop,      ///< ENOMEM; what lies before it is done (mprotect, mlock)
    kReport,    ///< ENOMEM in the end; all the rest is done (madvise)
    kRefuse,    ///< `error`; nothing is done
  };
  HostRange range = HostRange::of(HostVa(0), kPageSize);  ///< of the call
  Rule rule = Rule::kRefuse;
  int error = ENOMEM;
};

/// Nothing: the call touches no memory of the runtime. Lock-free.
std::optional<EngineReach> reach_into_engine_memory(long number, const std::array<long, 6>& args);

/// Answers such a call; `call(HostRange)` makes it on a part that is the client's.
template <typename Call>
long call_around_engine_memory(const EngineReach& reach, Call call) {
  if (reach.rule == EngineReach::Rule::kRefuse) return -reach.error;
  for (HostVa at = reach.range.start(); at < reach.range.end();) {
    const auto part = client_part(at, HostRange::between(at, reach.range.end()));
    if (part) {
      if (const long result = call(*part); result < 0 && result != -ENOMEM) return result;
      at = part->end();
    } else if (reach.rule == EngineReach::Rule::kStop) {
      return -ENOMEM;
    } else {
      at = engine_memory_at_or_above(at)->end();
    }
  }
  return reach.rule == EngineReach::Rule::kPassOver ? 0 : -ENOMEM;
}

}  // namespace softxe::live
