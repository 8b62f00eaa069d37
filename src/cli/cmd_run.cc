// `softxe run`: the runner stays beside the program (design decision 19).
//
//   runner                     program (and its children)
//   makes the run folder       LD_PRELOAD, SOFTXE_* in the environment
//   forks, waits, forwards     processes add up their counts in slots of a shared file
//   signals, reaps orphans
//   writes the report, ends as the program ended
#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <optional>

#include "cli/commands.h"
#include "cli/enter_root.h"
#include "cli/output_file.h"
#include "cli/report.h"
#include "cli/run_folder.h"
#include "cli/run_library.h"
#include "cli/run_limits.h"
#include "cli/run_program.h"
#include "preload/settings.h"

namespace softxe::cli {

namespace {

volatile pid_t child_pid = -1;

// What the terminal sends goes to the whole foreground group, so the program has it already.
void forward_signal(int signal, siginfo_t* info, void*) {
  if (child_pid > 0 && info->si_code <= 0) kill(child_pid, signal);
}

constexpr std::array kForwarded{SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2, SIGALRM, SIGCONT};

void forward_signals() {
  for (int signal : kForwarded) {
    struct sigaction action {};
    action.sa_sigaction = forward_signal;
    action.sa_flags = SA_SIGINFO;
    struct sigaction before {};
    sigaction(signal, &action, &before);
    if (before.sa_handler == SIG_IGN) sigaction(signal, &before, nullptr);  // under nohup, say
  }
}

/// For as long as it lives the signals that go on to the program wait: nobody knows yet where to.
class SignalsHeld {
 public:
  SignalsHeld() {
    sigset_t forwarded;
    sigemptyset(&forwarded);
    for (int signal : kForwarded) sigaddset(&forwarded, signal);
    sigprocmask(SIG_BLOCK, &forwarded, &before_);
  }
  ~SignalsHeld() { sigprocmask(SIG_SETMASK, &before_, nullptr); }
  SignalsHeld(const SignalsHeld&) = delete;
  SignalsHeld& operator=(const SignalsHeld&) = delete;

 private:
  sigset_t before_{};
};

int fail_with(const Refusal& refusal) {
  complain("run", refusal.why);
  return refusal.status;
}

/// The variables of preload/settings.h; the runner reads them itself for the shadow tree.
void set_environment(const RunOptions& options, const RunFolder& folder) {
  setenv("SOFTXE_ACTIVE", "1", 1);
  setenv("SOFTXE_RUN_DIR", folder.inside().c_str(), 1);
  setenv("SOFTXE_DEVICES", fmt::format("{}", options.devices).c_str(), 1);
  setenv("SOFTXE_PROFILE", options.profile.c_str(), 1);
  setenv("SOFTXE_AUTORESET", options.autoreset.c_str(), 1);
  setenv("SOFTXE_DMA", options.dma.c_str(), 1);
  if (options.eu_threads != 0) setenv("SOFTXE_EU_THREADS", fmt::format("{}", options.eu_threads).c_str(), 1);
  if (!options.vram.empty()) setenv("SOFTXE_VRAM", options.vram.c_str(), 1);
  if (!options.visible.empty()) setenv("SOFTXE_VISIBLE", options.visible.c_str(), 1);
}

std::string preload_list(const std::string& library) {
  const char* before = getenv("LD_PRELOAD");
  return before != nullptr && *before != '\0' ? library + ":" + before : library;
}

/// The files that stand for /dev/dri and /sys, made once for all processes of the run.
Status make_shadow_tree(const preload::Settings& settings, const std::string& folder) {
  const std::string tree = folder + "/tree";
  if (mkdir(tree.c_str(), 0755) != 0) return fail(errno, "cannot make the folder");
  return materialise(build_tree(settings.devices), tree);
}

[[noreturn]] void start_program(const RunOptions& options, const std::string& file, const std::string& preload) {
  // Only here: what the runner itself starts must not be a client.
  setenv("LD_PRELOAD", preload.c_str(), 1);
  if (!options.root.empty()) {
    if (const auto entered = enter_root(options.root); !entered) _exit(fail_with(entered.error()));
  }
  std::vector<char*> arguments;
  for (const std::string& argument : options.program) {
    arguments.push_back(const_cast<char*>(argument.c_str()));
  }
  arguments.push_back(nullptr);
  execv(file.c_str(), arguments.data());
  _exit(fail_with({kExitCannotRun, fmt::format("{}: {}", file, std::strerror(errno))}));
}

// The status of the program itself; orphans of the run are reaped on the way.
int wait_for_program() {
  for (;;) {
    int status = 0;
    const pid_t pid = waitpid(-1, &status, 0);
    if (pid == child_pid) return status;
    if (pid < 0 && errno != EINTR) return 0;
  }
}

/// Every descendant that has lost its parent is the runner's child (subreaper).
bool descendants_live() {
  for (;;) {
    const pid_t pid = waitpid(-1, nullptr, WNOHANG);
    if (pid == 0) return true;
    if (pid < 0 && errno != EINTR) return false;
  }
}

int end_as(int status) {
  if (WIFEXITED(status)) return WEXITSTATUS(status);
  const int signal = WTERMSIG(status);
  // The same signal, but no second core file.
  prctl(PR_SET_DUMPABLE, 0);
  ::signal(signal, SIG_DFL);
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, signal);
  sigprocmask(SIG_UNBLOCK, &set, nullptr);
  raise(signal);
  return 128 + signal;
}

/// The runner's own output comes after the program's end: a reader that has gone must not take the status with it.
void write_on_without_readers() { ::signal(SIGPIPE, SIG_IGN); }

RunFacts facts_of(const preload::Settings& settings) {
  RunFacts facts{.device_count = settings.devices.size()};
  facts.vram_bytes = settings.devices.front().vram_bytes * settings.profile->tiles;
  return facts;
}

/// Report and summary. False when one of them did not arrive.
bool tell(const RunOptions& options, const RootView& files, const RunFolder& folder, const RunFacts& facts,
          std::optional<OutputFile>& report) {
  bool arrived = true;
  if (report) {
    if (const auto written = report->write(report_text(folder.slots(), facts)); !written) {
      complain("run", written.error().why);
      arrived = false;
    }
  }
  if (options.summary) {
    std::string text = report_summary(folder.slots(), facts);
    if (folder.slots().used.load() == 0) text += "  " + why_no_device(files) + "\n";
    arrived = std::fputs(text.c_str(), stderr) >= 0 && std::fflush(stderr) == 0 && arrived;
  }
  return arrived;
}

}  // namespace

int run(RunOptions options) {
  if (const auto fit = check_machine(); !fit) return fail_with(fit.error());
  if (!options.root.empty()) options.root = std::filesystem::absolute(options.root).string();
  const RootView files(options.root);
  auto file = find_program(files, options.program.front());
  if (!file) return fail_with(file.error());
  const std::vector<std::string> arguments(options.program.begin() + 1, options.program.end());
  if (const auto fit = check_program(files, *file, arguments); !fit) return fail_with(fit.error());
  std::optional<OutputFile> report;
  if (!options.report.empty()) {
    auto opened = OutputFile::open(options.report);
    if (!opened) return fail_with(opened.error());
    report.emplace(std::move(*opened));
  }
  auto library = find_library();
  if (!library) return fail_with(library.error());

  remove_abandoned_folders(options.root);
  RunFolder folder;
  using Path = RunFolder::Needs::Path;
  const Path path = fits_into_preload(*library) ? Path::kAny : Path::kPreload;
  if (const auto made = folder.make({.root = options.root, .path = path}); !made) return fail_with(made.error());
  library = place_library(*library, folder);
  if (!library) return fail_with(library.error());

  set_environment(options, folder);
  const auto settings = preload::read_settings();
  if (!settings) return fail_with({kExitUsage, settings.error().why});
  for (const std::string& limit : tight_limits(*settings)) complain("run", "warning: " + limit);
  if (const Status made = make_shadow_tree(*settings, folder.path()); !made) {
    return fail_with({kExitUsage, fmt::format("cannot make the device files in {}: {}; set TMPDIR to another folder",
                                              folder.path(), std::strerror(made.error().err))});
  }

  prctl(PR_SET_CHILD_SUBREAPER, 1);
  fflush(nullptr);
  const auto begin = std::chrono::steady_clock::now();
  {
    const SignalsHeld held;  // the program starts with the dispositions that the runner was given
    child_pid = fork();
    if (child_pid > 0) forward_signals();
  }
  if (child_pid < 0) return fail_with({kExitUsage, fmt::format("cannot start a process: {}", std::strerror(errno))});
  if (child_pid == 0) start_program(options, *file, preload_list(*library));
  write_on_without_readers();
  const int status = wait_for_program();
  RunFacts facts = facts_of(*settings);
  const auto taken = std::chrono::steady_clock::now() - begin;
  facts.milliseconds = static_cast<std::uint64_t>(std::chrono::duration_cast<std::chrono::milliseconds>(taken).count());

  const bool told = tell(options, files, folder, facts, report);
  // A signal may end us below, without destructors. Descendants that go on keep their devices.
  if (descendants_live()) {
    folder.leave();
  } else {
    folder.remove();
  }
  return status == 0 && !told ? kExitUsage : end_as(status);
}

}  // namespace softxe::cli
