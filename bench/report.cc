#include "bench/report.h"

#include "bench/va_workload.h"

#include <fmt/format.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <nlohmann/json.hpp>

namespace softxe::bench {

std::uint64_t now_ns() {
  timespec time{};
  clock_gettime(CLOCK_MONOTONIC, &time);
  return static_cast<std::uint64_t>(time.tv_sec) * 1'000'000'000u + static_cast<std::uint64_t>(time.tv_nsec);
}

std::uint64_t thread_ns() {
  timespec time{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return static_cast<std::uint64_t>(time.tv_sec) * 1'000'000'000u + static_cast<std::uint64_t>(time.tv_nsec);
}

Report::Report(int argc, char** argv) {
  for (int i = 1; i < argc; ++i) {
    const std::string word = argv[i];
    if (word == "--json") {
      json_ = true;
    } else if (word == "--smoke") {
      smoke_ = true;
    } else if (word == "--only" && i + 1 < argc) {
      only_ = argv[++i];
    } else {
      fmt::print(stderr, "usage: {} [--json] [--smoke] [--only GROUP]\n", argv[0]);
      std::exit(2);
    }
  }
}

bool Report::wanted(const char* group) const { return only_.empty() || std::strstr(group, only_.c_str()) != nullptr; }

void Report::add(const Row& row) {
  rows_.push_back(row);
  if (json_) {
    nlohmann::json line = {{"path", row.path}, {"against", row.against}, {"unit", row.unit},
                           {"ours", row.ours}, {"ok", row.ok()},         {"judged", row.judged()}};
    if (row.bare > 0) line["bare"] = row.bare;
    if (row.judge != Judge::kShown) {
      line["goal"] = row.goal;
      line["judge"] = row.judge == Judge::kAtMost ? "at most" : "at least";
    }
    fmt::print("{}\n", line.dump());
    return;
  }
  std::string verdict;
  if (row.judge != Judge::kShown) {
    verdict =
        fmt::format("{} {:<5.4g} {}", row.judge == Judge::kAtMost ? "<=" : ">=", row.goal, row.ok() ? "ok" : "MISS");
  }
  const std::string bare = row.bare > 0 ? fmt::format("{:.1f}", row.bare) : "";
  const std::string ratio = row.bare > 0 ? fmt::format("{:.2f}x", row.judged()) : "";
  fmt::print("{:<44} {:<34} {:>11.1f} {:>11} {:<5} {:>7}  {}\n", row.path, row.against, row.ours, bare, row.unit, ratio,
             verdict);
  std::fflush(stdout);
}

void Report::note(const std::string& text) const {
  if (!json_) fmt::print("{}\n", text);
}

}  // namespace softxe::bench
