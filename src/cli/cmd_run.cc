// `softxe run`: the runner stays beside the program (design decision 19).
//
//   runner                     program (and its children)
//   makes the run folder       LD_PRELOAD, SOFTXE_* in the environment
//   forks, waits, forwards     processes add up their counts in slots of a shared file
//   signals, reaps orphans
//   writes the report, ends as the program ended
#include <fcntl.h>
#include <fmt/format.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "cli/commands.h"
#include "cli/expect.h"
#include "cli/report.h"
#include "cli/run.h"
#include "cli/run_folder.h"
#include "cli/run_program.h"
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

int complain(const char* what, const char* why, int status) {
  std::fprintf(stderr, "softxe run: %s: %s\n", what, why);
  return status;
}

// Beside the command in a build tree, or in the library folder of an installation.
std::string find_library() {
  std::error_code error;
  const auto self = std::filesystem::read_symlink("/proc/self/exe", error).parent_path();
  for (const char* place : {"../preload/libsoftxe-preload.so", "../lib/softxe/libsoftxe-preload.so",
                            "../lib/x86_64-linux-gnu/softxe/libsoftxe-preload.so"}) {
    auto candidate = std::filesystem::weakly_canonical(self / place, error);
    if (!error && std::filesystem::exists(candidate, error)) return candidate.string();
  }
  return {};
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
Status make_shadow_tree(const std::string& folder) {
  SX_TRY(preload::Settings settings, preload::read_settings());
  const std::string tree = folder + "/tree";
  if (mkdir(tree.c_str(), 0755) != 0) return fail(errno, "cannot make the folder");
  return materialise(build_tree(settings.devices), tree);
}

/// Makes `root` this process's root folder, with /proc and /dev as programs expect them, seen by
/// this process and its children alone.
Status enter_root(const std::string& root) {
  const bool has_proc = access((root + "/proc/self").c_str(), F_OK) == 0;
  const bool has_dev = access((root + "/dev/null").c_str(), F_OK) == 0;
  if (!has_proc || !has_dev) {
    if (unshare(CLONE_NEWNS) != 0 || mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) {
      return fail(errno, "--root: no private mounts (root may make them)");
    }
    if (!has_proc && mount("proc", (root + "/proc").c_str(), "proc", 0, nullptr) != 0) {
      return fail(errno, "--root: cannot mount /proc there");
    }
    if (!has_dev && mount("/dev", (root + "/dev").c_str(), nullptr, MS_BIND | MS_REC, nullptr) != 0) {
      return fail(errno, "--root: cannot show /dev there");
    }
  }
  if (chroot(root.c_str()) != 0 || chdir("/") != 0) return fail(errno, "--root: chroot refused");
  return {};
}

[[noreturn]] void start_program(const RunOptions& options, const std::string& file, const std::string& preload) {
  // Only here: what the runner itself starts must not be a client.
  setenv("LD_PRELOAD", preload.c_str(), 1);
  if (!options.root.empty()) {
    if (Status entered = enter_root(options.root); !entered) {
      _exit(complain(options.root.c_str(),
                     fmt::format("{}: {}", entered.error().why, std::strerror(entered.error().err)).c_str(),
                     kExitCannotRun));
    }
  }
  std::vector<char*> arguments;
  for (const std::string& argument : options.program) {
    arguments.push_back(const_cast<char*>(argument.c_str()));
  }
  arguments.push_back(nullptr);
  execv(file.c_str(), arguments.data());
  _exit(complain(file.c_str(), std::strerror(errno), kExitCannotRun));
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

/// Those that make a difference to what is counted.
RunFacts facts_of(const RunOptions& options) {
  RunFacts facts;
  facts.command = options.program;
  utsname machine{};
  if (uname(&machine) == 0) facts.kernel = machine.release;
  facts.options = {{"devices", fmt::format("{}", options.devices)},
                   {"profile", options.profile},
                   {"autoreset", options.autoreset},
                   {"dma", options.dma}};
  if (!options.vram.empty()) facts.options.emplace_back("vram", options.vram);
  if (!options.visible.empty()) facts.options.emplace_back("visible", options.visible);
  if (options.eu_threads != 0) facts.options.emplace_back("eu-threads", fmt::format("{}", options.eu_threads));
  facts.started_unix = time(nullptr);
  facts.started_ns = SteadyClock().now_ns();
  return facts;
}

/// What reads the events of a run: the sink and the thread that feeds it.
class Listening {
 public:
  /// A line says what is wrong.
  Status begin(RunFolder& folder, const SinkFactory& make_sink, const RunFacts& facts) {
    if (!make_sink) return {};
    SX_TRY(sink_, make_sink(facts_json(facts)));
    if (const int error = folder.make_events()) return fail(error, "the file of the event rings cannot be made");
    drain_.emplace(folder.slots(), folder.events_fd(), *sink_);
    return {};
  }
  void start() {
    if (drain_) drain_->start();
  }
  Status end(nlohmann::json ending) {
    if (!drain_) return {};
    drain_->finish();
    ending.erase("processes");
    sink_->inform(trace::kAboutRun, ending);
    return sink_->finish();
  }

 private:
  std::unique_ptr<trace::EventSink> sink_;
  std::optional<trace::RunDrain> drain_;
};

}  // namespace

int run(RunOptions options) {
  if (options.trace.empty()) return run_with(std::move(options), {});
  const std::string path = std::filesystem::absolute(options.trace).string();
  return run_with(std::move(options), [path](const nlohmann::json& head) -> Result<std::unique_ptr<trace::EventSink>> {
    SX_TRY(auto writer, trace::TraceWriter::create(path, head));
    return std::unique_ptr<trace::EventSink>(std::move(writer));
  });
}

int run_with(RunOptions options, const SinkFactory& make_sink) {
  const auto wanted = wanted_of(options.tests);
  if (!wanted) return complain("--expect", wanted.error().c_str(), kExitUsage);
  if (!options.root.empty()) options.root = std::filesystem::absolute(options.root).string();
  const std::string& name = options.program.front();
  auto file = find_program(options.root, name);
  if (!file) {
    return complain(name.c_str(), file.error().why, file.error().err == ENOENT ? kExitNotFound : kExitCannotRun);
  }
  if (Status fit = check_program(options.root, *file); !fit) {
    return complain(name.c_str(), fit.error().why, kExitCannotRun);
  }
  std::string library = find_library();
  if (library.empty()) return complain("libsoftxe-preload.so", "not found beside softxe", kExitCannotRun);

  remove_abandoned_folders(options.root);
  RunFolder folder;
  if (int error = folder.make(options.root)) {
    return complain("run folder", std::strerror(error), kExitCannotRun);
  }
  if (!options.root.empty()) {
    std::error_code error;
    std::filesystem::copy_file(library, folder.path() + "/libsoftxe-preload.so", error);
    if (error) return complain("copy of the library", error.message().c_str(), kExitCannotRun);
    library = folder.inside() + "/libsoftxe-preload.so";
  }

  set_environment(options, folder);
  if (Status made = make_shadow_tree(folder.path()); !made) {
    return complain("shadow tree", made.error().why, kExitUsage);
  }

  RunFacts facts = facts_of(options);
  Listening listening;
  if (Status ready = listening.begin(folder, make_sink, facts); !ready) {
    return complain(ready.error().why, std::strerror(ready.error().err), kExitCannotRun);
  }
  prctl(PR_SET_CHILD_SUBREAPER, 1);
  fflush(nullptr);
  {
    const SignalsHeld held;  // the program starts with the dispositions that the runner was given
    child_pid = fork();
    if (child_pid > 0) forward_signals();
  }
  if (child_pid < 0) return complain("fork", std::strerror(errno), kExitCannotRun);
  if (child_pid == 0) start_program(options, *file, preload_list(library));
  listening.start();
  facts.wait_status = wait_for_program();
  facts.duration_ns = SteadyClock().now_ns() - facts.started_ns;

  const nlohmann::json report = make_report(folder.slots(), facts);
  if (int error = deliver_report(report, {.file = options.report, .summary = options.summary})) {
    complain(options.report.c_str(), std::strerror(error), 0);
  }
  const bool descendants = descendants_live();
  nlohmann::json ending = report;
  ending["descendants"] = descendants;  // they go on, and so do their counters
  if (Status whole = listening.end(std::move(ending)); !whole) {
    complain(whole.error().why, std::strerror(whole.error().err), 0);
  }
  std::vector<Judged> verdicts = judge(report, *wanted);
  const bool succeeded = WIFEXITED(facts.wait_status) && WEXITSTATUS(facts.wait_status) == 0;
  if (!options.tests.junit.empty()) {
    verdicts.insert(verdicts.begin(),
                    {.name = name, .holds = succeeded, .text = name + ": the program itself to succeed"});
  }
  const bool good = pass_judgement("softxe run", options.tests, verdicts);
  // A signal may end us below, without destructors. Descendants that go on keep their devices.
  if (descendants) {
    folder.leave();
  } else {
    folder.remove();
  }
  return succeeded && !good ? options.error_exitcode : end_as(facts.wait_status);
}

}  // namespace softxe::cli
