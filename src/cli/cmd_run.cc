// `softxe run`: the runner stays beside the program.
//
//   runner                     program (and its children)
//   makes the run folder       LD_PRELOAD, ASAN_OPTIONS, SOFTXE_* in the environment
//   forks, waits, forwards     processes add up their counts in slots of a shared file
//   signals, reaps orphans
//   writes the report, ends as the program ended
#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>

#include "cli/commands.h"
#include "cli/enter_root.h"
#include "cli/expect.h"
#include "cli/moved_most.h"
#include "cli/output_file.h"
#include "cli/report.h"
#include "cli/run.h"
#include "cli/run_folder.h"
#include "cli/run_library.h"
#include "cli/run_limits.h"
#include "cli/run_program.h"
#include "cli/run_summary.h"
#include "cli/trace_drain.h"
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

int fail_with(const Refusal& refusal) { return give_up("run", refusal); }

/// The variables of preload/settings.h; the runner reads them itself for the shadow tree.
void set_environment(const RunOptions& options, const RunFolder& folder) {
  setenv("SOFTXE_ACTIVE", "1", 1);
  setenv("SOFTXE_RUN_DIR", folder.inside().c_str(), 1);
  setenv("SOFTXE_DEVICES", fmt::format("{}", options.devices).c_str(), 1);
  setenv("SOFTXE_PROFILE", options.profile.c_str(), 1);
  setenv("SOFTXE_AUTORESET", options.autoreset.c_str(), 1);
  setenv("SOFTXE_DMA", options.dma.c_str(), 1);
  if (options.eu_threads != 0) setenv("SOFTXE_EU_THREADS", fmt::format("{}", options.eu_threads).c_str(), 1);
  if (options.deterministic) setenv("SOFTXE_DETERMINISTIC", "1", 1);
  if (!options.vram.empty()) setenv("SOFTXE_VRAM", options.vram.c_str(), 1);
  if (!options.visible.empty()) setenv("SOFTXE_VISIBLE", options.visible.c_str(), 1);
}

/// The variable as a list between colons, with `entry` in front.
std::string list_with(const std::string& entry, const char* variable) {
  const char* before = getenv(variable);
  return before != nullptr && *before != '\0' ? entry + ":" + before : entry;
}

/// The files that stand for /dev/dri and /sys, made once for all processes of the run.
Status make_shadow_tree(const preload::Settings& settings, const std::string& folder) {
  const std::string tree = folder + "/tree";
  if (mkdir(tree.c_str(), 0755) != 0) return fail(errno, "cannot make the folder");
  return materialise(build_tree(settings.devices), tree);
}

constexpr unsigned long kAskPersonality = 0xffffffff;

[[noreturn]] void start_program(const RunOptions& options, const std::string& file, const std::string& library) {
  // Only here: what the runner itself starts must not be a client.
  setenv("LD_PRELOAD", list_with(library, "LD_PRELOAD").c_str(), 1);
  setenv("ASAN_OPTIONS", list_with(preload::kAsanOption, "ASAN_OPTIONS").c_str(), 1);
  if (options.deterministic) personality(static_cast<unsigned long>(personality(kAskPersonality)) | ADDR_NO_RANDOMIZE);
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

/// Those that make a difference to what is counted.
RunFacts facts_of(const RunOptions& options, const preload::Settings& settings) {
  RunFacts facts;
  facts.device_count = settings.devices.size();
  facts.vram_bytes = settings.devices.front().vram_bytes * settings.profile->tiles;
  facts.command = options.program;
  utsname machine{};
  if (uname(&machine) == 0) facts.kernel = machine.release;
  facts.options = {{"devices", fmt::format("{}", options.devices)},
                   {"profile", options.profile},
                   {"autoreset", options.autoreset},
                   {"dma", options.dma}};
  if (!options.vram.empty()) facts.options.emplace_back("vram", options.vram);
  if (!options.visible.empty()) facts.options.emplace_back("visible", options.visible);
  if (options.deterministic) facts.options.emplace_back("deterministic", "yes");
  if (options.eu_threads != 0) facts.options.emplace_back("eu-threads", fmt::format("{}", options.eu_threads));
  if (options.deterministic) facts.seed = 0;
  facts.started_unix = time(nullptr);
  facts.started_ns = SteadyClock().now_ns();
  return facts;
}

/// What reads the events of a run: the sink and the thread that feeds it.
class Listening {
 public:
  /// A line says what is wrong. For a summary alone it is no reason to stop: then nobody reads.
  Status begin(RunFolder& folder, const SinkFactory& make_sink, const RunFacts& facts, const RunOptions& options) {
    if (!make_sink && !options.summary) return {};
    std::unique_ptr<trace::EventSink> asked_for;
    if (make_sink) {
      SX_TRY(asked_for, make_sink(facts_json(facts)));
    }
    if (const int error = folder.make_events()) {
      if (!make_sink) return {};
      return fail(error, "the file of the event rings cannot be made");
    }
    if (const int error = options.stacks ? folder.make_stacks() : 0) {
      return fail(error, "the file of the call stacks cannot be made");
    }
    sink_ = std::make_unique<MovedMost>(std::move(asked_for));
    drain_.emplace(folder.slots(), trace::RunDrain::Files{.events = folder.events_fd(), .stacks = folder.stacks_fd()},
                   *sink_);
    return {};
  }
  void start() {
    if (drain_) drain_->start();
  }
  /// After the program's end: reads what is left, and adds to the report what only events tell.
  void complete(nlohmann::json& report) {
    if (!drain_) return;
    drain_->finish();
    if (auto most = sink_->top_three(); !most.empty()) report["moved_most"] = std::move(most);
  }
  Status end(nlohmann::json ending) {
    if (!drain_) return {};
    ending.erase("processes");
    sink_->inform(trace::kAboutRun, ending);
    return sink_->finish();
  }

 private:
  std::unique_ptr<MovedMost> sink_;
  std::optional<trace::RunDrain> drain_;
};

/// Report and summary. False when one of them did not arrive.
bool tell(const RunOptions& options, const RootView& files, const nlohmann::json& report,
          std::optional<OutputFile>& file) {
  bool arrived = true;
  if (file) {
    if (const auto written = file->write(report_text(report)); !written) {
      complain("run", written.error().why);
      arrived = false;
    }
  }
  if (options.summary) {
    std::string text = summary_text(report);
    if (report.at("processes").empty()) text += "  " + why_no_device(files) + "\n";
    arrived = std::fputs(text.c_str(), stderr) >= 0 && std::fflush(stderr) == 0 && arrived;
  }
  return arrived;
}

}  // namespace

int run(RunOptions options) {
  if (options.trace.empty()) return run_with(std::move(options), {});
  const std::string path = std::filesystem::absolute(options.trace).string();
  // Written in place, block by block: it is whole whoever is killed.
  if (const auto able = OutputFile::open(path); !able) return fail_with(able.error());
  return run_with(std::move(options), [path](const nlohmann::json& head) -> Result<std::unique_ptr<trace::EventSink>> {
    SX_TRY(auto writer, trace::TraceWriter::create(path, head));
    return std::unique_ptr<trace::EventSink>(std::move(writer));
  });
}

int run_with(RunOptions options, const SinkFactory& make_sink) {
  auto wanted = wanted_of(options.tests);
  if (!wanted) return fail_with({kExitUsage, wanted.error()});
  if (const auto fit = check_machine(); !fit) return fail_with(fit.error());
  if (!options.root.empty()) options.root = std::filesystem::absolute(options.root).string();
  if (options.deterministic && options.eu_threads == 0) options.eu_threads = 1;
  const RootView files(options.root);
  auto file = find_program(files, options.program.front());
  if (!file) return fail_with(file.error());
  const std::vector<std::string> arguments(options.program.begin() + 1, options.program.end());
  if (const auto fit = check_program(files, *file, arguments); !fit) return fail_with(fit.error());
  std::optional<OutputFile> report_file;
  if (!options.report.empty()) {
    auto opened = OutputFile::open(options.report);
    if (!opened) return fail_with(opened.error());
    report_file.emplace(std::move(*opened));
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

  RunFacts facts = facts_of(options, *settings);
  Listening listening;
  if (Status ready = listening.begin(folder, make_sink, facts, options); !ready) {
    return fail_with({kExitUsage, fmt::format("{}: {}", ready.error().why, std::strerror(ready.error().err))});
  }
  prctl(PR_SET_CHILD_SUBREAPER, 1);
  fflush(nullptr);
  {
    const SignalsHeld held;  // the program starts with the dispositions that the runner was given
    child_pid = fork();
    if (child_pid > 0) forward_signals();
  }
  if (child_pid < 0) return fail_with({kExitUsage, fmt::format("cannot start a process: {}", std::strerror(errno))});
  if (child_pid == 0) start_program(options, *file, *library);
  write_on_without_readers();
  listening.start();
  facts.wait_status = wait_for_program();
  facts.duration_ns = SteadyClock().now_ns() - facts.started_ns;

  nlohmann::json report = make_report(folder.slots(), facts);
  listening.complete(report);
  bool told = tell(options, files, report, report_file);
  const bool descendants = descendants_live();
  nlohmann::json ending = report;
  ending["descendants"] = descendants;  // they go on, and so do their counters
  if (Status whole = listening.end(std::move(ending)); !whole) {
    complain("run", fmt::format("{}: {}", whole.error().why, std::strerror(whole.error().err)));
    told = false;
  }
  std::vector<Judged> verdicts = judge(report, *wanted);
  const bool succeeded = WIFEXITED(facts.wait_status) && WEXITSTATUS(facts.wait_status) == 0;
  if (!options.tests.junit.empty()) {
    const std::string& name = options.program.front();
    verdicts.insert(verdicts.begin(),
                    {.name = name, .holds = succeeded, .text = name + ": the program itself to succeed"});
  }
  const Verdict verdict = pass_judgement("run", *wanted, verdicts);
  // A signal may end us below, without destructors. Descendants that go on keep their devices.
  if (descendants) {
    folder.leave();
  } else {
    folder.remove();
  }
  if (succeeded && verdict == Verdict::kBad) return options.error_exitcode;
  if (verdict == Verdict::kUntold) told = false;
  return succeeded && !told ? kExitUsage : end_as(facts.wait_status);
}

}  // namespace softxe::cli
