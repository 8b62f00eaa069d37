#include "cli/trace_diff.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <unordered_map>
#include <vector>

#include "cli/trace_text.h"

namespace softxe::trace {

namespace {

bool is_near(std::uint64_t a, std::uint64_t b, double percent) {
  if (a == b) return true;
  const auto larger = static_cast<double>(std::max(a, b));
  return std::abs(static_cast<double>(a) - static_cast<double>(b)) <= larger * percent / 100;
}

/// Numbers in the word that say what happened, not when, where or how long.
std::uint64_t comparable_word(const Event& e) {
  switch (e.kind) {
    case EventKind::kStatement:
    case EventKind::kIoctl:
    case EventKind::kIoctlFailed:
    case EventKind::kCall:
    case EventKind::kBind:
    case EventKind::kBindOp:
    case EventKind::kAdvice:
    case EventKind::kFaultLook:
    case EventKind::kReset:
    case EventKind::kZap:
    case EventKind::kTlb: return e.word;
    default: return 0;
  }
}

class SameWorlds {
 public:
  bool same(const Event& a, const Event& b) {
    const bool shape = a.kind == b.kind && a.cause == b.cause && a.size == b.size && a.err == b.err &&
                       a.asid == b.asid && a.device == b.device && a.from == b.from && a.to == b.to &&
                       a.seq - a.parent == b.seq - b.parent;
    return shape && comparable_word(a) == comparable_word(b) && same_address(a.address, b.address);
  }

 private:
  bool same_address(std::uint64_t a, std::uint64_t b) {
    const auto [there, fresh] = there_.try_emplace(a, b);
    const auto [back, new_back] = back_.try_emplace(b, a);
    return there->second == b && back->second == a;
  }
  std::unordered_map<std::uint64_t, std::uint64_t> there_;
  std::unordered_map<std::uint64_t, std::uint64_t> back_;
};

/// The events of a trace, process after process.
std::vector<Event> all_of(TraceReader& trace) {
  std::map<std::uint16_t, std::vector<Event>> by_process;
  trace.for_each([&](const NumberedEvent& e) {
    by_process[e.process].push_back(e.event);
    return true;
  });
  std::vector<Event> all;
  for (auto& [process, events] : by_process) all.insert(all.end(), events.begin(), events.end());
  return all;
}

std::string shown(const std::vector<Event>& events, std::size_t at) {
  if (at >= events.size()) return "(no more events)";
  return fmt::format("{} {}: {}", events[at].seq, name_of(events[at].kind), sentence_of(events[at]));
}

}  // namespace

std::string diff_reports(const nlohmann::json& first, const nlohmann::json& second, const Tolerances& tolerances) {
  std::string text;
  const nlohmann::json empty = nlohmann::json::object();
  const nlohmann::json& a = first.contains("total") ? first.at("total") : empty;
  const nlohmann::json& b = second.contains("total") ? second.at("total") : empty;
  std::map<std::string, int> names;
  for (const auto& [name, value] : a.items()) names[name];
  for (const auto& [name, value] : b.items()) names[name];
  for (const auto& [name, nothing] : names) {
    const auto own = tolerances.of_counter.find(name);
    if (own == tolerances.of_counter.end() && name.ends_with("_us")) continue;
    const double percent = own != tolerances.of_counter.end() ? own->second : tolerances.all;
    const auto was = a.value(name, std::uint64_t{0});
    const auto is = b.value(name, std::uint64_t{0});
    if (!is_near(was, is, percent)) text += fmt::format("{:<44} {:>14} {:>14}\n", name, was, is);
  }
  return text;
}

std::string diff_traces(TraceReader& first, TraceReader& second) {
  const std::vector<Event> a = all_of(first);
  const std::vector<Event> b = all_of(second);
  SameWorlds worlds;
  std::size_t at = 0;
  while (at < a.size() && at < b.size() && worlds.same(a[at], b[at])) ++at;
  if (at == a.size() && at == b.size()) return {};
  std::string text = fmt::format("event {} differs\n", at + 1);
  if (at > 0) text += fmt::format("  before  {}\n", shown(a, at - 1));
  return text + fmt::format("  first   {}\n  second  {}\n", shown(a, at), shown(b, at));
}

}  // namespace softxe::trace
