// softxe-sim: many seeds of random work against the model. Exit status 1 when one failed.
#include <CLI/CLI.hpp>
#include <cstdio>

#include "base/log.h"
#include "sim/runner.h"

int main(int argc, char** argv) {
  CLI::App app{"Random operations on the simulated process, compared with the naive model after every step"};
  std::uint64_t first = 1;
  std::uint64_t seeds = 100;
  std::uint64_t steps = 300;
  std::uint64_t keep_going = 0;
  std::string directory = ".";
  app.add_option("--seed", first, "First seed");
  app.add_option("--seeds", seeds, "How many");
  app.add_option("--steps", steps, "Operations for each seed");
  app.add_option("--failures", keep_going, "Stop after this many failures (0: the first)");
  app.add_option("--out", directory, "Where scenario files of failures go");
  CLI11_PARSE(app, argc, argv);
  softxe::set_log_level(softxe::LogLevel::kOff);
  std::uint64_t failed = 0;
  std::uint64_t ran = 0;
  for (std::uint64_t seed = first; seed < first + seeds; ++seed, ++ran) {
    auto report = softxe::sim::try_seed(seed, steps, directory);
    if (!report) continue;
    std::printf("%s\n", report->c_str());
    std::fflush(stdout);
    if (++failed > keep_going) break;
  }
  std::printf("%llu seeds of %llu steps, %llu failed\n", static_cast<unsigned long long>(ran),
              static_cast<unsigned long long>(steps), static_cast<unsigned long long>(failed));
  return failed == 0 ? 0 : 1;
}
