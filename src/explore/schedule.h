// A schedule: what an exploration decided otherwise than it goes by itself. Replaying one gives the same events.
//
// By itself the actor that runs goes on; when it sleeps or has ended, the first one that can go on does. A choice says
// otherwise at one place: at the n-th point of an actor. Places are counted for each actor alone, so that a choice
// keeps its meaning when another one is taken away. Next: strategy.h (who makes choices), scheduler.h (who carries them
// out).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace softxe::explore {

/// Actors are numbered in the order of their creation.
using ActorIndex = std::uint32_t;

/// At the `point`-th point (1-based) of `actor`, `next` goes on; or, with `err`, the step there fails with it.
struct Choice {
  ActorIndex actor = 0;
  std::uint64_t point = 0;
  ActorIndex next = 0;
  int err = 0;
  friend bool operator==(const Choice&, const Choice&) = default;
};

struct Schedule {
  std::string file{};      ///< scenario file
  std::string scenario{};  ///< of the file, by name; empty: its only one
  std::vector<Choice> choices{};
};

/// Lines: `softxe-schedule 1`, `file F`, `scenario NAME`, `choice ACTOR POINT next ACTOR` or `... fail ERRNO`.
std::string schedule_text(const Schedule& schedule);
/// EINVAL with a reason.
Result<Schedule> parse_schedule(std::string_view text);

}  // namespace softxe::explore
