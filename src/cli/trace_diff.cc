#include "cli/trace_diff.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <optional>
#include <unordered_map>

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

/// The events of a trace, process after process, with a block of it in memory.
class AllEvents {
 public:
  explicit AllEvents(TraceReader& trace) : trace_(trace), next_(trace.processes().begin()) { find(); }
  /// nullptr behind the last one.
  const Event* now() const { return cursor_ ? &cursor_->event() : nullptr; }
  void advance() {
    cursor_->advance();
    find();
  }

 private:
  void find() {
    while (!cursor_ || cursor_->done()) {
      cursor_.reset();
      if (next_ == trace_.processes().end()) return;
      cursor_.emplace(trace_, next_++->first);
    }
  }

  TraceReader& trace_;
  std::map<std::uint16_t, ProcessInfo>::const_iterator next_;
  std::optional<TraceReader::Cursor> cursor_;
};

std::string shown(const Event* event) {
  if (event == nullptr) return "(no more events)";
  return fmt::format("{} {}: {}", event->seq, name_of(event->kind), sentence_of(*event));
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
  AllEvents a(first);
  AllEvents b(second);
  SameWorlds worlds;
  std::uint64_t same = 0;
  std::optional<Event> before;
  for (; a.now() != nullptr && b.now() != nullptr && worlds.same(*a.now(), *b.now()); ++same) {
    before = *a.now();
    a.advance();
    b.advance();
  }
  if (a.now() == nullptr && b.now() == nullptr) return {};
  std::string text = fmt::format("event {} differs\n", same + 1);
  if (before) text += fmt::format("  before  {}\n", shown(&*before));
  return text + fmt::format("  first   {}\n  second  {}\n", shown(a.now()), shown(b.now()));
}

}  // namespace softxe::trace
