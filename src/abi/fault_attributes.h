// The attributes of one fault of the kernel's fault injection (Documentation/fault-injection): when it strikes.
#pragma once

#include <atomic>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace softxe {

enum class FaultAttribute : std::uint8_t { kProbability, kInterval, kTimes, kSpace, kVerbose, kTaskFilter };
/// By file name; none: another file.
std::optional<FaultAttribute> find_fault_attribute(std::string_view name);
/// Their names, for the tree.
inline constexpr std::string_view kFaultAttributeNames[] = {"probability", "interval", "times",
                                                            "space",       "verbose",  "task-filter"};

/// Thread-safe, without locks.
class FaultAttributes {
 public:
  std::string read(FaultAttribute attribute) const;
  /// EINVAL: not a number, or a negative one; for kTimes -1 is no limit.
  Status write(FaultAttribute attribute, std::string_view text);
  /// One event, one unit large: does it fail? The rules of should_fail() of the kernel.
  bool should_fail();

 private:
  const std::atomic<std::int64_t>& number_of(FaultAttribute attribute) const;

  std::atomic<std::int64_t> probability_{0};  ///< percent
  std::atomic<std::int64_t> interval_{1};
  std::atomic<std::int64_t> times_{1};  ///< -1: no limit
  std::atomic<std::int64_t> space_{0};  ///< events that pass first
  std::atomic<std::int64_t> verbose_{2};
  std::atomic<bool> task_filter_{false};  ///< no task is marked here: with the filter nothing fails
  std::atomic<std::uint64_t> count_{0};
};

}  // namespace softxe
