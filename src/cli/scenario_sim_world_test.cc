// Every scenario file of the tree on the engine over the simulated process.
#include "cli/scenario_sim_world.h"

#include <gtest/gtest.h>
#include <algorithm>
#include <filesystem>

#include "base/log.h"
#include "cli/scenario_runner.h"

namespace softxe::scenario {
namespace {

std::vector<std::string> scenario_paths() {
  std::vector<std::string> paths;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(SOFTXE_SOURCE_DIR "/tests/scenarios")) {
    if (entry.path().extension() == ".softxe") paths.push_back(entry.path().string());
  }
  std::sort(paths.begin(), paths.end());
  return paths;
}

Summary run_on_sim(const std::string& path, std::uint64_t seed) {
  return run_scenario_files({path}, [] { return std::make_unique<SimWorld>(); }, {.seed = seed});
}

class ScenarioFilesOnSim : public testing::TestWithParam<std::string> {
 protected:
  // Scenarios kill VMs on purpose; the engine logs that as errors.
  void SetUp() override { set_log_level(LogLevel::kOff); }
  void TearDown() override { set_log_level(LogLevel::kError); }
};

TEST_P(ScenarioFilesOnSim, Holds) {
  Summary summary = run_on_sim(GetParam(), 1);
  EXPECT_EQ(summary.failed, 0u) << summary.last_line();
  EXPECT_EQ(summary.skipped, 0u);
  for (const std::string& message : summary.messages) ADD_FAILURE() << message;
  EXPECT_GT(summary.passed, 0u);
}

std::string test_name(const testing::TestParamInfo<std::string>& info) {
  std::filesystem::path path(info.param);
  return path.parent_path().filename().string() + "_" + path.stem().string();
}
INSTANTIATE_TEST_SUITE_P(All, ScenarioFilesOnSim, testing::ValuesIn(scenario_paths()), test_name);

TEST(ScenarioInterleavings, HoldUnderManySeeds) {
  set_log_level(LogLevel::kOff);
  for (const char* file :
       {"attribute_reset/unmap_during_fault", "rows/munmap_races", "rows/move_races", "rows/prefetch_rows"}) {
    for (std::uint64_t seed = 1; seed <= 20; ++seed) {
      Summary summary = run_on_sim(std::string(SOFTXE_SOURCE_DIR "/tests/scenarios/") + file + ".softxe", seed);
      for (const std::string& message : summary.messages) {
        ADD_FAILURE() << file << ", seed " << seed << ": " << message;
      }
    }
  }
  set_log_level(LogLevel::kError);
}

}  // namespace
}  // namespace softxe::scenario
