#include "sim/runner.h"

#include <fmt/format.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <fstream>
#include <sstream>

#include "sim/world.h"

namespace softxe::sim {

namespace {

constexpr unsigned kRunSecondsMax = 120;
/// Lines of the child's report begin with one of these; everything else is the text of an
/// assertion.
constexpr char kSayHappened = '\1';
constexpr char kSayFailure = '\2';
constexpr char kSayExpected = '\3';

/// Called when an operation does something that its scenario line must say; the last call for a
/// step holds.
using Report = std::function<void(std::size_t step, const Happened& happened)>;

std::optional<Failure> run_reporting(const Config& config, const std::vector<Op>& ops, const Report& report) {
  set_self_check(SelfCheck::kOn);
  std::size_t now = 0;
  World world(config, [&](const Happened& happened) { report(now, happened); });
  auto failed = [&](std::size_t step, const std::string& what) { return Failure{step, what, world.expectations()}; };
  for (std::size_t step = 0; step < ops.size(); ++step) {
    now = step;
    auto what = world.run(ops[step]);
    if (!what.empty()) return failed(step, what);
  }
  if (auto what = world.sweep(); !what.empty()) return failed(ops.size(), what);
  return std::nullopt;
}

std::string one_line(std::string text) {
  std::replace(text.begin(), text.end(), '\n', ' ');
  return text;
}

[[noreturn]] void be_the_child(const Config& config, const std::vector<Op>& ops, int out) {
  dup2(out, STDERR_FILENO);  // the text of a failed assertion
  alarm(kRunSecondsMax);
  std::FILE* pipe = fdopen(out, "w");
  auto failure = run_reporting(config, ops, [&](std::size_t step, const Happened& happened) {
    std::string line = fmt::format("{}{} {}", kSayHappened, step, happened.interleaved ? 1 : 0);
    for (const FiredStep& fired : happened.failed) line += fmt::format(" {} {}", fired.name, fired.nth);
    std::fprintf(pipe, "%s\n", line.c_str());
    std::fflush(pipe);
  });
  if (!failure) _exit(0);
  std::fprintf(pipe, "%c%zu %s\n", kSayFailure, failure->step, one_line(failure->what).c_str());
  std::istringstream expected(failure->expectations);
  for (std::string line; std::getline(expected, line);) std::fprintf(pipe, "%c%s\n", kSayExpected, line.c_str());
  std::fflush(pipe);
  _exit(2);
}

/// One line of the child's report.
void understand(const std::string& line, Failure& failure) {
  if (line.empty()) return;
  std::istringstream words(line.substr(1));
  switch (line[0]) {
    case kSayHappened: {
      std::size_t step = 0;
      int interleaved = 0;
      words >> step >> interleaved;
      Happened& happened = failure.happened[step];
      happened = {.failed = {}, .interleaved = interleaved != 0};
      for (FiredStep fired; words >> fired.name >> fired.nth;) happened.failed.push_back(fired);
      return;
    }
    case kSayFailure:
      words >> failure.step;
      std::getline(words >> std::ws, failure.what);
      return;
    case kSayExpected: failure.expectations += line.substr(1) + "\n"; return;
    default: failure.what += line + " "; return;
  }
}

}  // namespace

std::optional<Failure> run_here(const Config& config, const std::vector<Op>& ops) {
  return run_reporting(config, ops, [](std::size_t, const Happened&) {});
}

std::optional<Failure> run_apart(const Config& config, const std::vector<Op>& ops) {
  int ends[2];
  if (pipe(ends) != 0) return Failure{0, "no pipe", {}};
  std::fflush(nullptr);
  const pid_t child = fork();
  if (child == 0) {
    close(ends[0]);
    be_the_child(config, ops, ends[1]);
  }
  close(ends[1]);
  Failure failure{ops.size(), {}, {}};
  std::FILE* from = fdopen(ends[0], "r");
  std::string line;
  for (int c = 0; (c = std::fgetc(from)) != EOF;) {
    if (c != '\n') {
      line += static_cast<char>(c);
      continue;
    }
    understand(line, failure);
    line.clear();
  }
  understand(line, failure);
  std::fclose(from);
  int status = 0;
  waitpid(child, &status, 0);
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return std::nullopt;
  if (WIFSIGNALED(status)) failure.what += fmt::format("(signal {})", WTERMSIG(status));
  return failure;
}

std::vector<Op> shrink(const Config& config, std::vector<Op> ops, unsigned seconds) {
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(seconds);
  for (std::size_t chunk = std::max<std::size_t>(ops.size() / 2, 1);;) {
    bool smaller = false;
    for (std::size_t at = 0; at < ops.size();) {
      if (std::chrono::steady_clock::now() > end) return ops;
      std::vector<Op> rest(ops.begin(), ops.begin() + static_cast<std::ptrdiff_t>(at));
      const std::size_t after = std::min(at + chunk, ops.size());
      rest.insert(rest.end(), ops.begin() + static_cast<std::ptrdiff_t>(after), ops.end());
      if (auto failure = run_apart(config, rest)) {
        if (failure->step + 1 < rest.size()) rest.resize(failure->step + 1);
        ops = std::move(rest);
        smaller = true;
      } else {
        at += chunk;
      }
    }
    if (chunk > 1) {
      chunk /= 2;
    } else if (!smaller) {
      return ops;
    }
  }
}

std::string scenario_text(const Config& config, const std::vector<Op>& ops, const Failure& failure,
                          const std::string& why) {
  std::string text = scenario_head(config, why);
  for (std::size_t step = 0; step < ops.size(); ++step) {
    auto it = failure.happened.find(step);
    const std::string line = scenario_line(config, ops[step], it == failure.happened.end() ? nullptr : &it->second);
    if (!line.empty()) text += line + "\n";
  }
  return text + failure.expectations;
}

std::optional<std::string> try_seed(std::uint64_t seed, const Effort& effort, const std::string& directory) {
  const Config config = config_for(seed);
  std::vector<Op> ops = draw(config, seed, effort.steps);
  auto failure = run_apart(config, ops);
  if (!failure) return std::nullopt;
  if (failure->step + 1 < ops.size()) ops.resize(failure->step + 1);
  const std::string why = fmt::format("seed {} step {}: {}", seed, failure->step, failure->what);
  ops = shrink(config, std::move(ops), effort.shrink_seconds);
  // What fails now may be another thing than at first, found on the way: it is what the file shows.
  if (auto last = run_apart(config, ops)) failure = std::move(last);
  const std::string path = fmt::format("{}/sim-{}.softxe", directory, seed);
  std::ofstream(path) << scenario_text(config, ops, *failure, fmt::format("seed {}, shrunk: {}", seed, failure->what));
  return fmt::format("{}\n  shrunk to {} operations: {}\n  {}", why, ops.size(), failure->what, path);
}

}  // namespace softxe::sim
