// softxe-sim: many seeds of random work against the model. Exit status 1 when one failed.
#include <CLI/CLI.hpp>
#include <cstdio>

#include "base/log.h"
#include "sim/runner.h"

int main(int argc, char** argv) {
  CLI::App app{"Random operations on the simulated process, compared with the naive model after every step"};
  std::uint64_t first = 1;
  std::uint64_t seeds = 100;
  softxe::sim::Effort effort;
  std::uint64_t keep_going = 0;
  std::string directory = ".";
  app.add_option("--seed", first, "First seed");
  app.add_option("--seeds", seeds, "How many");
  app.add_option("--steps", effort.steps, "Operations for each seed");
  app.add_option("--shrink", effort.shrink_seconds, "Seconds for making a failure small");
  app.add_option("--failures", keep_going, "Stop after more failures than this (0: at the first)");
  app.add_option("--out", directory, "Where scenario files of failures go");
  CLI11_PARSE(app, argc, argv);
  softxe::set_log_level(softxe::LogLevel::kOff);
  std::uint64_t failed = 0;
  std::uint64_t ran = 0;
  for (std::uint64_t seed = first; seed < first + seeds; ++seed) {
    auto report = softxe::sim::try_seed(seed, effort, directory);
    ++ran;
    if (!report) continue;
    std::printf("%s\n", report->c_str());
    std::fflush(stdout);
    if (++failed > keep_going) break;
  }
  std::printf("seeds %llu to %llu, %llu steps each\n%llu passed, %llu failed\n", static_cast<unsigned long long>(first),
              static_cast<unsigned long long>(first + ran - 1), static_cast<unsigned long long>(effort.steps),
              static_cast<unsigned long long>(ran - failed), static_cast<unsigned long long>(failed));
  return failed == 0 ? 0 : 1;
}
