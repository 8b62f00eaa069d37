#include "cli/trace_explain.h"

#include <fmt/format.h>

#include <algorithm>
#include <deque>
#include <map>
#include <set>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "cli/trace_text.h"

namespace softxe::trace {

namespace {

/// Events that say something about the pages in their interval. The others only explain these.
bool is_of_the_page(EventKind kind) {
  switch (kind) {
    case EventKind::kBindOp:
    case EventKind::kAdvice:
    case EventKind::kFaultBegin:
    case EventKind::kFaultAgain:
    case EventKind::kMigrate:
    case EventKind::kHome:
    case EventKind::kRangeCreate:
    case EventKind::kRangeDie:
    case EventKind::kRangeCollect:
    case EventKind::kRangeRemove:
    case EventKind::kUnmapped:
    case EventKind::kReset:
    case EventKind::kSplit:
    case EventKind::kMerge: return true;
    default: return false;
  }
}

bool covers(const Event& event, std::uint64_t address) {
  return address >= event.address && address - event.address < event.size;
}

/// The events of one process that a story needs: those about the page, and all that caused them.
class Story {
 public:
  Story(TraceReader& trace, std::uint16_t process, const ExplainAddress& question) : address_(question.address) {
    trace.for_each_backwards(process, [&](const Event& event) {
      if (event.time_ns <= question.until_ns) look_at(event);
      return true;
    });
    for (const Event& again : agains_) {
      // A fault that looked again because of what this story tells belongs to it.
      if (wanted_.contains(again.parent) && !known_.contains(again.seq)) own_.push_back(again);
    }
    std::ranges::sort(own_, std::greater(), &Event::seq);
  }

  const std::vector<Event>& own() const { return own_; }
  const Event* find(std::uint64_t seq) const {
    auto it = known_.find(seq);
    return it == known_.end() ? nullptr : &it->second;
  }

 private:
  void look_at(const Event& event) {
    if (event.kind == EventKind::kFaultAgain) agains_.push_back(event);
    const bool own = is_of_the_page(event.kind) && covers(event, address_);
    if (!own && !wanted_.contains(event.seq)) return;
    if (own) own_.push_back(event);
    known_.emplace(event.seq, event);
    wanted_.insert(event.parent);
    if (event.kind == EventKind::kRangeCollect) wanted_.insert(event.word);  // the pass that found it
  }

  const std::uint64_t address_;
  std::vector<Event> own_;
  std::vector<Event> agains_;
  std::unordered_set<std::uint64_t> wanted_;
  std::unordered_map<std::uint64_t, Event> known_;
};

std::string time_text(const Event& event, std::uint64_t origin_ns) {
  const std::uint64_t us = (event.time_ns - std::min(event.time_ns, origin_ns)) / 1000;
  return fmt::format("{}.{:06}", us / 1'000'000, us % 1'000'000);
}

/// Where the page is, by the newest event that says so.
std::string where_text(const std::vector<Event>& own) {
  for (const Event& event : own) {
    if (event.kind == EventKind::kMigrate && event.err == 0) return place_text(event.to);
    if (event.kind == EventKind::kHome) return "system memory";
    if (event.kind == EventKind::kRangeDie || event.kind == EventKind::kUnmapped) {
      return "nowhere that the GPU has used since it was unmapped";
    }
  }
  return own.empty() ? "not known: nothing was recorded about it" : "where the client put it: it never moved";
}

std::string attributes_reason(const Event& event, std::uint64_t origin_ns) {
  const std::string when = time_text(event, origin_ns);
  switch (event.kind) {
    case EventKind::kReset: return fmt::format("the bind's, since the reset at {} (spec/vm.md 7.3)", when);
    case EventKind::kAdvice: return fmt::format("last set at {}: {} (spec/vm.md 5)", when, sentence_of(event));
    case EventKind::kBindOp:
      if (event.cause == EventCause::kUnbind) return fmt::format("none: unbound at {}", when);
      return fmt::format("the bind's, since {} (spec/vm.md 3)", when);
    default: return "none known";
  }
}

const Event* attributes_event(const std::vector<Event>& own) {
  for (const Event& event : own) {
    const bool binds = event.kind == EventKind::kBindOp && event.cause != EventCause::kPrefetch;
    if (binds || event.kind == EventKind::kReset || event.kind == EventKind::kAdvice) return &event;
  }
  return nullptr;
}

/// "<- cause" lines, up to the client.
void add_chain(const Story& story, const Event& event, std::string& text) {
  if (event.kind == EventKind::kRangeCollect) {
    const Event* pass = story.find(event.word);
    const Event* ran = pass != nullptr ? story.find(pass->parent) : nullptr;
    if (ran != nullptr) text += fmt::format("      in the pass that ran in: {}\n", sentence_of(*ran));
  }
  for (const Event* at = story.find(event.parent); at != nullptr; at = story.find(at->parent)) {
    text += fmt::format("      <- {}\n", sentence_of(*at));
  }
}

std::optional<std::uint16_t> process_with(TraceReader& trace, std::uint64_t address) {
  std::optional<std::uint16_t> found;
  trace.for_each([&](const NumberedEvent& e) {
    if (is_of_the_page(e.event.kind) && e.event.kind != EventKind::kBindOp && covers(e.event, address)) {
      found = e.process;
    }
    return !found;
  });
  return found;
}

}  // namespace

std::string explain_address(TraceReader& trace, const ExplainAddress& question) {
  const auto process = question.process ? question.process : process_with(trace, question.address);
  if (!process) return fmt::format("{:#x}: nothing was recorded about this address\n", question.address);
  const Story story(trace, *process, question);
  const std::uint64_t origin_ns = trace.head().value("started_ns", std::uint64_t{0});
  const auto& info = trace.processes().at(*process);

  std::string text = fmt::format("{:#x}", question.address);
  if (info.pid != 0) text += fmt::format(" of process {}", info.pid);
  if (const NamedMapping* mapping = info.mapping_at(question.address)) {
    text += fmt::format(", in {} {:#x}+{}", mapping->name, mapping->start, size_text(mapping->size));
  }
  text += fmt::format("\n  is in: {}\n", where_text(story.own()));
  if (const Event* why = attributes_event(story.own())) {
    text += fmt::format("  attributes: {}\n", attributes_reason(*why, origin_ns));
  }
  text += "story, newest first:\n";
  for (const Event& event : story.own()) {
    text += fmt::format("  {}  {}\n", time_text(event, origin_ns), sentence_of(event));
    add_chain(story, event, text);
  }
  return text;
}

// --- all of a sort
// ----------------------------------------------------------------------------------------------------

namespace {

bool is_of(Theme theme, const Event& event) {
  switch (theme) {
    case Theme::kReset: return event.kind == EventKind::kReset;
    case Theme::kMoved: return (event.kind == EventKind::kMigrate && event.err == 0) || event.kind == EventKind::kHome;
    case Theme::kFailed: return event.err != 0;
  }
  return false;
}

struct Group {
  std::uint64_t first_ns = ~0ull;
  std::uint64_t count = 0;
  std::uint64_t bytes = 0;
  std::vector<std::string> lines;  ///< the first few
};

/// What a root and its consequence are called when many of a kind are put together: no numbers.
std::string root_name(const Event& root) {
  if (root.kind == EventKind::kCall || root.kind == EventKind::kIoctl) {
    const std::string text = sentence_of(root);
    return text.substr(0, text.find('('));
  }
  if (root.kind == EventKind::kCpuFault) return "the CPU touches a page in VRAM";
  return root.kind == EventKind::kStatement ? sentence_of(root) : name_of(root.kind);
}

/// The roots of all events of a process, with what a root needs to be named: numbers of roots by number of event.
class Roots {
 public:
  const Event& of(const Event& event) {
    if (event.parent == kNoEvent || event.parent >= root_of_.size() || root_of_[event.parent] == 0) {
      note(event, event.seq);
      roots_.emplace(event.seq, event);
      return roots_.at(event.seq);
    }
    note(event, root_of_[event.parent]);
    return roots_.at(root_of_[event.parent]);
  }

 private:
  void note(const Event& event, std::uint64_t root) {
    if (event.seq >= root_of_.size()) root_of_.resize(event.seq + 1);
    root_of_[event.seq] = root;
  }
  std::vector<std::uint64_t> root_of_;  ///< 8 bytes per event of the trace
  std::unordered_map<std::uint64_t, Event> roots_;
};

constexpr std::size_t kLinesPerGroup = 5;

}  // namespace

std::string explain_theme(TraceReader& trace, Theme theme) {
  std::map<std::uint16_t, Roots> roots;
  std::map<std::string, Group> groups;
  const std::uint64_t origin_ns = trace.head().value("started_ns", std::uint64_t{0});
  trace.for_each([&](const NumberedEvent& e) {
    const Event& root = roots[e.process].of(e.event);
    if (!is_of(theme, e.event)) return true;
    const std::string cause = e.event.cause == EventCause::kNone ? "" : fmt::format(", {}", name_of(e.event.cause));
    Group& group = groups[fmt::format("{}{}, because of: {}", name_of(e.event.kind), cause, root_name(root))];
    group.first_ns = std::min(group.first_ns, e.event.time_ns);
    group.count += 1;
    group.bytes += e.event.size;
    if (group.lines.size() < kLinesPerGroup) {
      group.lines.push_back(fmt::format("    {}  {}", time_text(e.event, origin_ns), sentence_of(e.event)));
    }
    return true;
  });
  std::vector<std::pair<std::string, Group>> ordered(groups.begin(), groups.end());
  std::ranges::sort(ordered, std::greater(), [](const auto& group) { return group.second.count; });
  std::string text;
  for (const auto& [name, group] : ordered) {
    text += fmt::format("{} x {} ({})\n", group.count, name, size_text(group.bytes));
    for (const std::string& line : group.lines) text += line + '\n';
    if (group.count > group.lines.size())
      text += fmt::format("    ... and {} more\n", group.count - group.lines.size());
  }
  return text.empty() ? "nothing of this sort happened\n" : text;
}

}  // namespace softxe::trace
