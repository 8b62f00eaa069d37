// What must hold between counters at any quiet moment, whatever ran (spec/svm.md 9.1, 10.3 I15).
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "base/counters.h"

namespace softxe {

using CounterReader = std::function<std::uint64_t(Counter)>;

/// The first identity that does not hold, in words; empty when all do. To be asked when nothing counts:
/// between two statements of a scenario, or of a report whose processes have ended. `live_ranges` is the
/// number of SVM ranges there are; without it (some process ended with ranges) it is only a bound.
std::string broken_identity(const CounterReader& value, std::optional<std::uint64_t> live_ranges);

}  // namespace softxe
