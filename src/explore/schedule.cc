#include "explore/schedule.h"

#include <fmt/format.h>

#include <sstream>

namespace softxe::explore {

namespace {

constexpr std::string_view kHead = "softxe-schedule 1";

Result<Choice> parse_choice(std::istringstream& words) {
  Choice choice;
  std::string what;
  std::uint64_t value = 0;
  if (!(words >> choice.actor >> choice.point >> what >> value)) return fail(EINVAL, "choice ACTOR POINT next|fail N");
  if (what == "next") {
    choice.next = static_cast<ActorIndex>(value);
  } else if (what == "fail" && value != 0 && value < 4096) {
    choice.err = static_cast<int>(value);
  } else {
    return fail(EINVAL, "a choice is next ACTOR or fail ERRNO");
  }
  return choice;
}

}  // namespace

std::string schedule_text(const Schedule& schedule) {
  std::string text = fmt::format("{}\nfile {}\n", kHead, schedule.file);
  if (!schedule.scenario.empty()) text += fmt::format("scenario {}\n", schedule.scenario);
  for (const Choice& c : schedule.choices) {
    text += c.err != 0 ? fmt::format("choice {} {} fail {}\n", c.actor, c.point, c.err)
                       : fmt::format("choice {} {} next {}\n", c.actor, c.point, c.next);
  }
  return text;
}

Result<Schedule> parse_schedule(std::string_view text) {
  std::istringstream lines{std::string(text)};
  std::string line;
  if (!std::getline(lines, line) || line != kHead) return fail(EINVAL, "not a schedule of this version");
  Schedule schedule;
  while (std::getline(lines, line)) {
    line = line.substr(0, line.find('#'));
    std::istringstream words(line);
    std::string word;
    if (!(words >> word)) continue;
    if (word == "file") {
      std::getline(words >> std::ws, schedule.file);
    } else if (word == "scenario") {
      std::getline(words >> std::ws, schedule.scenario);
    } else if (word == "choice") {
      SX_TRY(const Choice choice, parse_choice(words));
      schedule.choices.push_back(choice);
    } else {
      return fail(EINVAL, "a line of a schedule begins with file, scenario or choice");
    }
  }
  return schedule;
}

}  // namespace softxe::explore
