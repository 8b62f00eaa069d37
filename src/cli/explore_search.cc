#include "cli/explore_search.h"

#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <memory>
#include <new>
#include <set>

#include "base/spare_mappings.h"
#include "cli/explore_run.h"
#include "explore/strategy.h"

namespace softxe::scenario {

namespace {

using Clock = std::chrono::steady_clock;

/// Numbers that were seen, in memory that all processes share. Full: the rest is not counted.
template <std::size_t kSlots>
struct SharedSet {
  std::array<std::atomic<std::uint64_t>, kSlots> slots;
  std::atomic<std::uint64_t> count;

  void add(std::uint64_t value) {
    if (value == 0) value = 1;
    std::size_t at = (value ^ value >> 29) % kSlots;
    for (std::size_t tries = 0; tries < 64; ++tries, at = (at + 1) % kSlots) {
      std::uint64_t seen = slots[at].load(std::memory_order_relaxed);
      if (seen == 0 && slots[at].compare_exchange_strong(seen, value)) {
        count.fetch_add(1);
        return;
      }
      if (seen == value) return;
    }
  }
};

struct Worker {
  RunRecord record;
  std::atomic<bool> found;
  std::atomic<bool> complete;
  std::atomic<std::uint64_t> repeated;
};

/// What the processes of a search share. All zero at first.
struct Shared {
  static constexpr unsigned kWorkersMax = 64;
  std::atomic<std::uint64_t> schedules;
  std::atomic<std::uint64_t> points;
  std::atomic<bool> stop;
  SharedSet<1u << 20> orders;
  SharedSet<1u << 20> states;
  SharedSet<1u << 12> steps;  ///< addresses of names: the processes are copies of one
  std::array<Worker, kWorkersMax> workers;
};

struct Unmap {
  void operator()(Shared* shared) const { munmap(shared, sizeof(Shared)); }
};

std::unique_ptr<Shared, Unmap> map_shared() {
  void* at = mmap(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  SX_ASSERT(at != MAP_FAILED);
  return std::unique_ptr<Shared, Unmap>(static_cast<Shared*>(at));
}

/// What a child says on its error stream before it dies is why.
class Words {
 public:
  Words() : file_(std::tmpfile()) { SX_ASSERT(file_ != nullptr); }
  ~Words() { std::fclose(file_); }
  Words(const Words&) = delete;
  Words& operator=(const Words&) = delete;

  void become_stderr() { dup2(fileno(file_), STDERR_FILENO); }
  std::string read() {
    std::string text(4096, '\0');
    const ssize_t bytes = pread(fileno(file_), text.data(), text.size(), 0);
    text.resize(bytes < 0 ? 0 : static_cast<std::size_t>(bytes));
    while (!text.empty() && text.back() == '\n') text.pop_back();
    return text;
  }

 private:
  std::FILE* file_;
};

/// Why a process that ran schedules has ended; empty: as it should.
std::string why_ended(int status, const RunRecord& record, Words& words) {
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return {};
  std::string text = record.text.data();
  const std::string said = words.read();
  if (!said.empty()) text += (text.empty() ? "" : "\n") + said;
  if (WIFSIGNALED(status) && text.empty()) text = fmt::format("ended by signal {}", WTERMSIG(status));
  return text.empty() ? "ended without a word" : text;
}

std::unique_ptr<explore::Strategy> make_strategy(const SearchSettings& s, std::uint64_t part, std::uint64_t parts) {
  switch (s.strategy) {
    case StrategyKind::kRandom: return std::make_unique<explore::RandomWalk>(s.seed, s.failures);
    case StrategyKind::kPct: return std::make_unique<explore::Pct>(s.seed, s.depth, s.failures);
    case StrategyKind::kExhaustive:
    case StrategyKind::kDelays: break;
  }
  using explore::Exhaustive;
  const auto counts =
      s.strategy == StrategyKind::kDelays ? Exhaustive::Counts::kChoices : Exhaustive::Counts::kPreemptions;
  const bool limited = s.depth != 0 || s.strategy == StrategyKind::kDelays;
  const auto limit = limited ? std::optional(Exhaustive::Limit{s.depth, counts}) : std::nullopt;
  return std::make_unique<Exhaustive>(limit, Exhaustive::Part{part, parts});
}

/// Every part of a search must expect the same, or its schedules would depend on how many parts there are.
std::uint64_t points_by_itself(RunSettings run) {
  explore::Replay none({});
  run.strategy = &none;
  run.record->begin(0);
  return explore_once(run).points;
}

/// One process: every `parts`-th schedule from `part` on, until something is found or the time is over.
void work(const SearchSettings& s, Shared& shared, unsigned worker, Clock::time_point begin) {
  Worker& mine = shared.workers[worker];
  const std::uint64_t parts = s.shards * s.processes;
  const std::uint64_t part = s.shard * s.processes + worker;
  const auto strategy = make_strategy(s, part, parts);
  SpareMappings::keep();
  RunSettings run{.path = s.path,
                  .scenario = s.scenario,
                  .strategy = strategy.get(),
                  .record = &mine.record,
                  .preempt_at = s.preempt_at};
  run.on_step = [&](const StepSite& site) { shared.steps.add(reinterpret_cast<std::uintptr_t>(site.name)); };
  if (s.strategy == StrategyKind::kPct) static_cast<explore::Pct&>(*strategy).expect(points_by_itself(run));
  for (std::uint64_t number = part;; number += parts) {
    if (shared.stop.load(std::memory_order_relaxed)) return;
    if (s.seconds != 0 && std::chrono::duration<double>(Clock::now() - begin).count() > s.seconds) return;
    if (s.budget != 0 && shared.schedules.load(std::memory_order_relaxed) >= s.budget) return;
    mine.record.begin(number);
    strategy->begin(number);
    shared.schedules.fetch_add(1, std::memory_order_relaxed);
    const RunEnd end = explore_once(run);
    run.begin = RunSettings::Begin::kKnown;
    shared.points.fetch_add(end.points, std::memory_order_relaxed);
    shared.orders.add(end.orders);
    shared.states.add(end.state);
    if (!end.why.empty()) {
      mine.found.store(true);
      shared.stop.store(true);
      return;
    }
    const bool more = strategy->end(end.points);
    mine.repeated.store(strategy->repeated(), std::memory_order_relaxed);
    if (!more) {
      mine.complete.store(true);
      return;
    }
  }
}

std::vector<std::string> names_of(const SharedSet<1u << 12>& steps) {
  std::set<std::string> names;
  for (const auto& slot : steps.slots) {
    if (slot.load() != 0) names.insert(reinterpret_cast<const char*>(slot.load()));
  }
  return {names.begin(), names.end()};
}

double cpu_seconds_of_children() {
  struct rusage use {};
  getrusage(RUSAGE_CHILDREN, &use);
  const auto seconds = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) + 1e-6 * static_cast<double>(t.tv_usec);
  };
  return seconds(use.ru_utime) + seconds(use.ru_stime);
}

}  // namespace

SearchResult search(const SearchSettings& s) {
  const double cpu_before = cpu_seconds_of_children();
  const auto shared = map_shared();
  const auto begin = Clock::now();
  std::fflush(nullptr);
  std::vector<pid_t> children;
  std::vector<Words> words(s.processes);
  for (unsigned worker = 0; worker < s.processes; ++worker) {
    const pid_t child = fork();
    if (child == 0) {
      words[worker].become_stderr();
      work(s, *shared, worker, begin);
      _exit(shared->workers[worker].found.load() ? 1 : 0);
    }
    children.push_back(child);
  }
  SearchResult result;
  result.complete = true;
  for (unsigned worker = 0; worker < s.processes; ++worker) {
    int status = 0;
    waitpid(children[worker], &status, 0);
    const Worker& was = shared->workers[worker];
    result.complete = result.complete && was.complete.load();
    result.repeated += was.repeated.load();
    const std::string why = why_ended(status, was.record, words[worker]);
    if (why.empty()) continue;
    shared->stop.store(true);
    const std::uint64_t number = was.record.number.load();
    if (result.found && result.found->number < number) continue;
    result.found = Found{why, {s.path, s.scenario->name, was.record.all()}, number};
  }
  result.seconds = std::chrono::duration<double>(Clock::now() - begin).count();
  result.cpu_seconds = cpu_seconds_of_children() - cpu_before;
  result.schedules = shared->schedules.load();
  result.points = shared->points.load();
  result.orders = shared->orders.count.load();
  result.states = shared->states.count.load();
  result.steps = names_of(shared->steps);
  return result;
}

// --- one schedule -----------------------------------------------------------------------------------------

namespace {

enum class Tell : std::uint8_t { kNothing, kStory };

std::string run_apart(const std::string& path, const Scenario& scenario, const std::vector<explore::Choice>& choices,
                      Tell tell) {
  const auto shared = map_shared();
  Words words;
  std::fflush(nullptr);
  const pid_t child = fork();
  if (child == 0) {
    words.become_stderr();
    explore::Replay replay(choices);
    RunSettings run{.path = path, .scenario = &scenario, .strategy = &replay, .record = &shared->workers[0].record};
    if (tell == Tell::kStory) run.say = [](const std::string& line) { std::printf("%s\n", line.c_str()); };
    run.record->begin(0);
    const RunEnd end = explore_once(run);
    std::fflush(nullptr);
    _exit(end.why.empty() ? 0 : 1);
  }
  int status = 0;
  waitpid(child, &status, 0);
  return why_ended(status, shared->workers[0].record, words);
}

}  // namespace

std::string try_schedule(const std::string& path, const Scenario& scenario,
                         const std::vector<explore::Choice>& choices) {
  return run_apart(path, scenario, choices, Tell::kNothing);
}

std::string tell_schedule(const std::string& path, const Scenario& scenario,
                          const std::vector<explore::Choice>& choices) {
  return run_apart(path, scenario, choices, Tell::kStory);
}

/// Halves, quarters, ... and single choices are left out as long as it goes on failing.
std::vector<explore::Choice> smaller(const std::string& path, const Scenario& scenario,
                                     std::vector<explore::Choice> choices, std::string& why) {
  for (std::size_t chunk = std::max<std::size_t>(choices.size() / 2, 1);;) {
    bool less = false;
    for (std::size_t at = 0; at < choices.size();) {
      std::vector<explore::Choice> rest = choices;
      const std::size_t end = std::min(at + chunk, choices.size());
      rest.erase(rest.begin() + static_cast<std::ptrdiff_t>(at), rest.begin() + static_cast<std::ptrdiff_t>(end));
      const std::string now = try_schedule(path, scenario, rest);
      if (now.empty()) {
        at += chunk;
        continue;
      }
      why = now;
      choices = std::move(rest);
      less = true;
    }
    if (chunk > 1) {
      chunk /= 2;
    } else if (!less) {
      return choices;
    }
  }
}

}  // namespace softxe::scenario
