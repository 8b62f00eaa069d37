#include "preload/core_signals.h"

#include <array>
#include <atomic>

#include "base/raw_syscall.h"
#include "host/live/engine_section.h"
#include "preload/engine_scope.h"
#include "preload/fd_owner.h"
#include "preload/interpose.h"
#include "preload/own_libc.h"
#include "preload/session.h"
#include "preload/signal_table.h"
#include "preload/spin_futex.h"

namespace softxe::preload {
namespace {

using Sigaction = int(int, const struct sigaction*, struct sigaction*);
constinit Real<Sigaction> real_sigaction{"sigaction"};    ///< of what the client asks for
constinit OwnLibc<Sigaction> own_sigaction{"sigaction"};  ///< of our handlers: the kernel's table itself

/// signal(7), action "Core".
constexpr std::array kCoreSignals{SIGQUIT, SIGILL, SIGTRAP, SIGABRT, SIGFPE, SIGSYS, SIGXCPU, SIGXFSZ};

constinit std::atomic<long> taken_in{0};  ///< the process that has the handlers; 0: none
constinit SpinFutex lock;                 // with all signals blocked
/// What the client said of a signal that has our handler: SIG_DFL, with its flags and its mask.
std::array<struct sigaction, kCoreSignals.size()> defaults;

std::size_t index_of(int signal) {
  std::size_t i = 0;
  while (i < kCoreSignals.size() && kCoreSignals[i] != signal) ++i;
  return i;
}

void on_core_signal(int signal, siginfo_t* info, void*) { die_by_default(signal, *info); }

bool is_default(const struct sigaction& action) {
  return (action.sa_flags & SA_SIGINFO) == 0 && action.sa_handler == SIG_DFL;
}
bool is_ours(const struct sigaction& action) {
  return (action.sa_flags & SA_SIGINFO) != 0 && action.sa_sigaction == on_core_signal;
}

struct sigaction our_action() {
  struct sigaction action {};
  action.sa_sigaction = on_core_signal;
  action.sa_flags = SA_SIGINFO | SA_ONSTACK;
  sigfillset(&action.sa_mask);
  return action;
}

/// Where the client has asked for the default. In one step, but for who stands between us and libc and keeps a record
/// of his own (a sanitizer).
int put_back_ours(int signal, const struct sigaction& client, struct sigaction& before) {
  const struct sigaction ours = our_action();
  if (real_sigaction.pointer() == own_sigaction.pointer()) return own_sigaction(signal, &ours, &before);
  if (real_sigaction(signal, &client, &before) != 0) return -1;
  return own_sigaction(signal, &ours, nullptr);
}

}  // namespace

void take_core_signals() {
  const SignalTableHold hold(lock);
  if (taken_in.load() != 0) return;
  for (std::size_t i = 0; i < kCoreSignals.size(); ++i) {
    own_sigaction(kCoreSignals[i], nullptr, &defaults[i]);
    if (!is_default(defaults[i])) continue;
    const struct sigaction ours = our_action();
    own_sigaction(kCoreSignals[i], &ours, nullptr);
  }
  taken_in.store(raw_syscall(SYS_getpid));
}

bool is_core_signal(int signal) { return taken_in.load() != 0 && index_of(signal) < kCoreSignals.size(); }

int core_sigaction(int signal, const struct sigaction* wanted, struct sigaction* before) {
  struct sigaction copy {};
  if (wanted != nullptr) copy = *wanted;  // may fault: not under the lock
  struct sigaction old {};
  {
    const SignalTableHold hold(lock);
    struct sigaction& client = defaults[index_of(signal)];
    // A vfork child's table in the kernel is its own, this one is its parent's.
    const bool own = owns_signal_handlers();
    const bool ends = own && wanted != nullptr && is_default(copy);
    const int result =
        ends ? put_back_ours(signal, copy, old) : real_sigaction(signal, wanted == nullptr ? nullptr : &copy, &old);
    if (result != 0) return result;
    if (is_ours(old)) old = client;
    if (ends) client = copy;
  }
  if (before != nullptr) *before = old;
  return 0;
}

void send_to_self(const siginfo_t& info) {
  siginfo_t copy = info;
  raw_syscall(SYS_rt_tgsigqueueinfo, raw_syscall(SYS_getpid), raw_syscall(SYS_gettid), copy.si_signo, &copy);
}

void die_by_default(int signal, const siginfo_t& info) {
  // Not for a child that only borrows this memory (vfork), and not when the runtime itself is what fails.
  live::LiveHostMm* mm = live_mm();
  const bool own = taken_in.load() == raw_syscall(SYS_getpid);
  if (mm != nullptr && own && !in_engine() && !live::EngineSection::inside()) {
    run_in_engine([mm] { mm->come_home(live::LiveHostMm::Afterwards::kStays); });
  }
  struct sigaction fatal {};
  fatal.sa_handler = SIG_DFL;
  own_sigaction(signal, &fatal, nullptr);
  send_to_self(info);
}

}  // namespace softxe::preload
