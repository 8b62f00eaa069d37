// Random work against the naive model: a fixed set of seeds, all three reset modes.
#include <gtest/gtest.h>

#include "base/log.h"
#include "sim/runner.h"

namespace softxe::sim {
namespace {

TEST(RandomWork, EngineAndModelAgreeAfterEveryStep) {
  set_log_level(LogLevel::kOff);
  for (std::uint64_t seed = 1; seed <= 100; ++seed) {
    auto report = try_seed(seed, 300, testing::TempDir());
    ASSERT_FALSE(report) << *report;
  }
}

}  // namespace
}  // namespace softxe::sim
