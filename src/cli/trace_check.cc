#include "cli/trace_check.h"

#include <fmt/format.h>

#include <map>

#include "base/event_check.h"

namespace softxe::trace {

std::string check_trace(TraceReader& trace) {
  std::map<std::uint16_t, EventCheck> checks;
  bool whole = trace.cut_off().empty();
  for (const auto& [process, info] : trace.processes()) {
    if (info.dropped + info.torn != 0) checks[process].note_lost(info.dropped + info.torn);
    whole = whole && info.dropped + info.torn == 0;
  }
  trace.for_each([&](const NumberedEvent& e) {
    checks[e.process].take(std::span(&e.event, 1));
    return true;
  });
  for (const auto& [process, check] : checks) {
    if (!check.broken().empty())
      return fmt::format("process {}: {}", trace.processes().at(process).pid, check.broken());
  }
  // A run whose runner was killed has no end: nothing is there to compare with.
  if (!whole || !trace.ending().is_object() || !trace.ending().contains("total")) return {};
  // Of descendants that outlive the run the report has less than they did.
  if (trace.ending().value("descendants", false)) return {};
  const nlohmann::json& total = trace.ending().at("total");
  // Whoever is killed may have counted what it could not record any more.
  const bool killed = trace.ending().contains("signal");
  for (std::size_t i = 0; i < kCounterCount; ++i) {
    const auto counter = static_cast<Counter>(i);
    if (!is_carried_by_events(counter)) continue;
    std::uint64_t sum = 0;
    for (const auto& [process, check] : checks) {
      for (unsigned device = 0; device < EventCheck::kDevicesMax; ++device) sum += check.sum(device, counter);
    }
    const auto value = total.value(kCounterNames[i], std::uint64_t{0});
    if (killed ? sum > value : sum != value)
      return fmt::format("{} is {}, its events say {}", kCounterNames[i], value, sum);
  }
  return {};
}

}  // namespace softxe::trace
