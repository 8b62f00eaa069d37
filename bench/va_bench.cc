// VA space against std::map, absl::btree_map and boost::intrusive::set: every workload, every size,
// the containers taking turns (docs/BENCH.md). Ends with 1 when two of them disagree.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>

#include "bench/report.h"
#include "bench/va_containers.h"
#include "bench/va_known.h"

namespace softxe::bench {
namespace {

constexpr std::uint64_t kSeed = 1;
/// Of the timed loops whose length is free; the check values below are for the loops as they are
/// defined.
constexpr std::uint64_t kRequests = 100'000;
constexpr std::uint64_t kWalkedMin = 1'000'000;
constexpr std::size_t kContestants = 4;
constexpr std::array<const char*, kContestants> kNames = {"softxe", "std::map", "absl::btree_map", "boost::intrusive"};

struct Result {
  std::array<double, kContestants> ns;  ///< per request
  bool agree = true;
};

template <typename Container>
std::uint64_t repeat(Workload workload, Size size, Outcome& outcome, std::uint64_t& requests) {
  auto one = std::make_unique<Repetition<Container>>(workload, size, kSeed);
  const std::uint64_t ns = one->run();
  outcome = one->outcome();
  requests = one->requests();
  return ns;
}

struct Plan {
  Size size;
  unsigned rounds;
};

Plan plan_for(Workload workload, std::uint64_t n) {
  const bool of_n = workload == Workload::kMapSeq || workload == Workload::kMapRand ||
                    workload == Workload::kUnmapRand || workload == Workload::kUnmapHole;
  if (of_n) return {{n}, static_cast<unsigned>(std::clamp<std::uint64_t>(400'000 / n, 2, 1000))};
  const bool walks = workload == Workload::kIterate || workload == Workload::kIterateShuffled;
  return {{n, walks ? std::max(n, kWalkedMin) : kRequests}, n >= 1'000'000 ? 2u : 3u};
}

Result measure(Workload workload, const Plan& plan, Outcome* known) {
  Result result{};
  std::array<Best, kContestants> best;
  std::uint64_t requests = 1;
  for (unsigned round = 0; round < plan.rounds; ++round) {
    std::array<Outcome, kContestants> outcomes;
    best[0].add(repeat<SoftxeSpace>(workload, plan.size, outcomes[0], requests));
    best[1].add(repeat<StdMap>(workload, plan.size, outcomes[1], requests));
    best[2].add(repeat<AbslMap>(workload, plan.size, outcomes[2], requests));
    best[3].add(repeat<IntrusiveSet>(workload, plan.size, outcomes[3], requests));
    for (const Outcome& outcome : outcomes) {
      if (outcome != outcomes[0]) result.agree = false;
    }
    *known = outcomes[0];
  }
  for (std::size_t i = 0; i < kContestants; ++i) {
    result.ns[i] = best[i].per(static_cast<double>(requests));
  }
  return result;
}

bool as_known(Workload workload, std::uint64_t n, const Outcome& got) {
  for (const Known& known : kKnown) {
    if (known.workload != workload || known.n != n) continue;
    return known.outcome == got;
  }
  return true;
}

int run(Report& report) {
  int bad = 0;
  for (std::size_t w = 0; w < kWorkloads; ++w) {
    const auto workload = static_cast<Workload>(w);
    for (const std::uint64_t n : {100, 1000, 10'000, 100'000, 1'000'000}) {
      if (report.smoke() && n > 1000) continue;
      const std::string path = fmt::format("va {} {}", kWorkloadNames[w], n);
      if (!report.wanted(path.c_str())) continue;
      Plan plan = plan_for(workload, n);
      if (report.smoke()) plan = {{n}, 1};
      Outcome outcome;
      const Result result = measure(workload, plan, &outcome);
      const bool whole = plan.size.requests == 0;
      if (!result.agree || (whole && !as_known(workload, n, outcome))) {
        fmt::print(stderr, "{}: {}\n", path, result.agree ? "not the known check values" : "the containers disagree");
        bad = 1;
      }
      if (report.smoke()) continue;
      const auto* fastest = std::min_element(result.ns.begin() + 1, result.ns.end());
      report.add({.path = path,
                  .against = fmt::format("{} (of {:.1f} {:.1f} {:.1f})",
                                         kNames[static_cast<std::size_t>(fastest - result.ns.begin())], result.ns[1],
                                         result.ns[2], result.ns[3]),
                  .ours = result.ns[0],
                  .bare = *fastest,
                  .goal = 1.0});
    }
  }
  return bad;
}

}  // namespace
}  // namespace softxe::bench

int main(int argc, char** argv) {
  softxe::bench::Report report(argc, argv);
  const int bad = softxe::bench::run(report);
  if (report.smoke()) std::printf("%d passed, %d failed\n", bad == 0 ? 1 : 0, bad);
  return bad;
}
