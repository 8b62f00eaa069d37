#include "sim/runner.h"

#include <fmt/format.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <fstream>

#include "base/log.h"
#include "base/step.h"
#include "sim/world.h"

namespace softxe::sim {

std::optional<Failure> run_here(const Config& config, const std::vector<Op>& ops) {
  World world(config);
  for (std::size_t step = 0; step < ops.size(); ++step) {
    if (auto what = world.run(ops[step]); !what.empty()) return Failure{step, what};
  }
  if (auto what = world.sweep(); !what.empty()) return Failure{ops.size(), what};
  return std::nullopt;
}

std::optional<Failure> run_apart(const Config& config, const std::vector<Op>& ops) {
  int ends[2];
  if (pipe(ends) != 0) return Failure{0, "no pipe"};
  std::fflush(nullptr);
  const pid_t child = fork();
  if (child == 0) {
    close(ends[0]);
    dup2(ends[1], STDERR_FILENO);  // the text of a failed assertion
    alarm(120);
    auto failure = run_here(config, ops);
    if (!failure) _exit(0);
    const std::string text = fmt::format("step {}: {}", failure->step, failure->what);
    if (write(ends[1], text.data(), text.size()) < 0) _exit(3);
    _exit(2);
  }
  close(ends[1]);
  std::string text;
  char buffer[512];
  for (ssize_t got = 0; (got = read(ends[0], buffer, sizeof buffer)) > 0;) {
    text.append(buffer, static_cast<std::size_t>(got));
  }
  close(ends[0]);
  int status = 0;
  waitpid(child, &status, 0);
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return std::nullopt;
  Failure failure{ops.size(), text};
  if (WIFSIGNALED(status)) failure.what += fmt::format(" (signal {})", WTERMSIG(status));
  unsigned long step = 0;
  if (const auto at = text.rfind("step "); at != std::string::npos && std::sscanf(text.c_str() + at, "step %lu", &step) == 1) {
    failure.step = step;
  }
  return failure;
}

std::vector<Op> shrink(const Config& config, std::vector<Op> ops) {
  for (std::size_t chunk = std::max<std::size_t>(ops.size() / 2, 1);;) {
    bool smaller = false;
    for (std::size_t at = 0; at < ops.size();) {
      std::vector<Op> rest(ops.begin(), ops.begin() + static_cast<std::ptrdiff_t>(at));
      const std::size_t after = std::min(at + chunk, ops.size());
      rest.insert(rest.end(), ops.begin() + static_cast<std::ptrdiff_t>(after), ops.end());
      if (run_apart(config, rest)) {
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

std::optional<std::string> try_seed(std::uint64_t seed, std::uint64_t steps, const std::string& directory) {
  const Config config = config_for(seed);
  std::vector<Op> ops = draw(seed, steps);
  auto failure = run_apart(config, ops);
  if (!failure) return std::nullopt;
  if (failure->step + 1 < ops.size()) ops.resize(failure->step + 1);
  ops = shrink(config, std::move(ops));
  auto last = run_apart(config, ops);
  const std::string why = fmt::format("seed {} step {}: {}", seed, failure->step, failure->what);
  std::string line = last ? last->what : failure->what;
  std::replace(line.begin(), line.end(), '\n', ' ');
  const std::string path = fmt::format("{}/sim-{}.softxe", directory, seed);
  std::ofstream(path) << scenario_text(config, ops, fmt::format("seed {}, shrunk: {}", seed, line));
  return fmt::format("{}\n  shrunk to {} operations: {}\n  {}", why, ops.size(), line, path);
}

}  // namespace softxe::sim
