#include "abi/fault_attributes.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "abi/attribute_text.h"
#include "base/prng.h"

namespace softxe {
namespace {

/// 0 to 99, by the number of the call.
std::int64_t percent_of(std::uint64_t count) { return static_cast<std::int64_t>(Prng(count).below(100)); }

/// One less, unless it is 0 or has no limit.
void count_down(std::atomic<std::int64_t>& times) {
  std::int64_t now = times.load();
  while (now > 0 && !times.compare_exchange_weak(now, now - 1)) {
  }
}

}  // namespace

std::optional<FaultAttribute> find_fault_attribute(std::string_view name) {
  const auto* found = std::find(std::begin(kFaultAttributeNames), std::end(kFaultAttributeNames), name);
  if (found == std::end(kFaultAttributeNames)) return std::nullopt;
  return static_cast<FaultAttribute>(found - std::begin(kFaultAttributeNames));
}

const std::atomic<std::int64_t>& FaultAttributes::number_of(FaultAttribute attribute) const {
  switch (attribute) {
    case FaultAttribute::kProbability: return probability_;
    case FaultAttribute::kInterval: return interval_;
    case FaultAttribute::kTimes: return times_;
    case FaultAttribute::kSpace: return space_;
    case FaultAttribute::kVerbose:
    case FaultAttribute::kTaskFilter: break;
  }
  return verbose_;
}

std::string FaultAttributes::read(FaultAttribute attribute) const {
  if (attribute == FaultAttribute::kTaskFilter) return task_filter_.load() ? "Y\n" : "N\n";
  return fmt::format("{}\n", number_of(attribute).load());
}

Status FaultAttributes::write(FaultAttribute attribute, std::string_view text) {
  if (attribute == FaultAttribute::kTaskFilter) {
    const auto yes = parse_bool(text);
    if (!yes) return fail(EINVAL, "not a boolean");
    task_filter_.store(*yes);
    return {};
  }
  const auto number = parse_signed(text);
  if (!number || (*number < 0 && attribute != FaultAttribute::kTimes)) return fail(EINVAL, "not a number");
  const_cast<std::atomic<std::int64_t>&>(number_of(attribute)).store(*number);
  return {};
}

bool FaultAttributes::should_fail() {
  if (probability_.load() == 0 || task_filter_.load() || times_.load() == 0) return false;
  if (space_.load() > 1) {
    count_down(space_);
    return false;
  }
  const std::uint64_t count = count_.fetch_add(1) + 1;
  const std::int64_t interval = interval_.load();
  if (interval > 1 && count % static_cast<std::uint64_t>(interval) != 0) return false;
  if (probability_.load() <= percent_of(count)) return false;
  count_down(times_);
  return true;
}

}  // namespace softxe
