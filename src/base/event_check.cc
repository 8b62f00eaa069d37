#include "base/event_check.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

namespace softxe {

namespace {

using K = EventKind;

/// Kinds with one possible cause, or a few; all others may have any.
struct Causes {
  EventKind kind;
  std::vector<EventKind> parents;
};

const std::vector<Causes>& known_causes() {
  static const std::vector<Causes> all = {
      {K::kBindOp, {K::kBind}},
      {K::kExec, {K::kIoctl}},
      {K::kJobBegin, {K::kExec, K::kStatement}},
      {K::kJobEnd, {K::kJobBegin}},
      {K::kKernelBegin, {K::kJobBegin, K::kStatement, K::kGpuAccess}},
      {K::kFaultLook, {K::kFaultBegin}},
      {K::kFaultOwned, {K::kFaultBegin}},
      {K::kFaultRange, {K::kFaultBegin}},
      {K::kFaultValid, {K::kFaultBegin}},
      {K::kFaultMove, {K::kFaultBegin}},
      {K::kFaultRetry, {K::kFaultBegin}},
      {K::kFaultAgain, {K::kFaultBegin}},
      {K::kFaultBegin, {K::kJobBegin, K::kKernelBegin, K::kGpuAccess, K::kStatement}},
      {K::kMigrate, {K::kFaultMove, K::kBind}},
      {K::kUnmap, {K::kCall, K::kTask}},
      {K::kZap, {K::kUnmap, K::kInvalidate}},
      {K::kRangeDie, {K::kUnmap}},
      {K::kRangeCollect, {K::kRangeDie}},
      {K::kRangeCreate, {K::kFaultBegin, K::kBind}},
      {K::kReset, {K::kRangeCollect, K::kRangeDie, K::kUnmapped}},
      {K::kMerge, {K::kReset, K::kRangeCollect, K::kRangeDie, K::kUnmapped}},
      {K::kSplit, {K::kReset, K::kRangeCollect, K::kRangeDie, K::kUnmapped, K::kBind, K::kBindCheck, K::kAdvice}},
      {K::kAdviceZap, {K::kAdvice, K::kBind}},
  };
  return all;
}

/// Of every counter what is_carried_by_events() says: asked after every statement, it must not compare names.
constexpr auto kCarried = [] {
  std::array<bool, kCounterCount> carried{};
  for (std::size_t i = 0; i < kCounterCount; ++i) carried[i] = is_carried_by_events(static_cast<Counter>(i));
  return carried;
}();

}  // namespace

void EventCheck::break_at(const Event& event, const char* what) {
  if (!broken_.empty()) return;
  const auto kind_of_parent = event.parent < kinds_.size() ? kinds_[event.parent] : EventKind::kNone;
  broken_ = fmt::format("event {} ({}{}{} at {:#x}): {}: parent {} ({})", event.seq, name_of(event.kind),
                        event.cause != EventCause::kNone ? " " : "", name_of(event.cause), event.address, what,
                        event.parent, name_of(kind_of_parent));
}

void EventCheck::check_cause(const Event& event) {
  if (event.parent == kNoEvent) {
    if (!may_be_root(event.kind)) break_at(event, "it has no cause");
    return;
  }
  if (event.parent >= event.seq || kinds_[event.parent] == EventKind::kNone) {
    return break_at(event, "its cause is not there before it");
  }
  const auto& all = known_causes();
  const auto row = std::ranges::find(all, event.kind, &Causes::kind);
  if (row == all.end()) return;
  if (std::ranges::find(row->parents, kinds_[event.parent]) == row->parents.end()) {
    break_at(event, "such an event has another cause");
  }
}

void EventCheck::take(std::span<const Event> events) {
  for (const Event& event : events) {
    ++events_;
    if (event.seq >= kinds_.size()) kinds_.resize(event.seq + 1, EventKind::kNone);
    if (lost_ == 0) check_cause(event);
    kinds_[event.seq] = event.kind;
    if (event.device >= kDevicesMax) continue;
    for_each_count(event, [&](Counter counter, std::uint64_t amount) {
      sums_[event.device][static_cast<std::size_t>(counter)] += amount;
    });
  }
}

std::string EventCheck::compare(unsigned device, const CounterReader& value) const {
  for (std::size_t i = 0; i < kCounterCount; ++i) {
    const auto counter = static_cast<Counter>(i);
    if (!kCarried[i] || sum(device, counter) == value(counter)) continue;
    return fmt::format("device {}: {} is {}, its events say {}", device, kCounterNames[i], value(counter),
                       sum(device, counter));
  }
  return {};
}

}  // namespace softxe
