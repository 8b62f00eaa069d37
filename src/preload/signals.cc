// One kernel handler with the client's own flags and mask, so that SA_ONSTACK, SA_NODEFER, SA_RESTART and
// sa_mask work exactly as the client asked; only SA_SIGINFO and SA_RESETHAND are played here.
#include "preload/signals.h"

#include <csignal>
#include <cstring>

#include <array>
#include <atomic>

#include "base/engine_memory.h"
#include "base/guarded.h"
#include "host/live/engine_section.h"
#include "preload/core_signals.h"
#include "preload/engine_scope.h"
#include "preload/fd_owner.h"
#include "preload/interpose.h"
#include "preload/own_libc.h"
#include "preload/signal_table.h"
#include "preload/spin_futex.h"

namespace softxe::preload {
namespace {

using Sigaction = int(int, const struct sigaction*, struct sigaction*);
constinit Real<Sigaction> real_sigaction{"sigaction"};    ///< of what the client asks for
constinit OwnLibc<Sigaction> own_sigaction{"sigaction"};  ///< of our handlers: the kernel's table itself

struct ClientAction {
  int signal;
  struct sigaction action;
};
std::array<ClientAction, 2> client_actions{{{SIGSEGV, {}}, {SIGBUS, {}}}};
constinit std::atomic<bool> taken{false};
constinit SpinFutex lock;  // with all signals blocked

ClientAction* client_action(int signal) {
  for (ClientAction& c : client_actions)
    if (c.signal == signal) return &c;
  return nullptr;
}

bool is_default(const struct sigaction& action) {
  return (action.sa_flags & SA_SIGINFO) == 0 && (action.sa_handler == SIG_DFL || action.sa_handler == SIG_IGN);
}

/// To the client the memory of the runtime is not mapped: SIGSEGV, wherever in it a pointer went.
bool answer_wild_pointer(siginfo_t* info, ucontext_t* context) {
  const bool raised = info->si_signo == SIGBUS ? info->si_code == BUS_ADRERR : info->si_code == SEGV_ACCERR;
  if (!raised) return false;
  const HostVa page = HostVa(reinterpret_cast<std::uint64_t>(info->si_addr)).aligned_down(kPageSize);
  if (!is_engine_memory(HostRange::of(page, kPageSize))) return false;
  info->si_code = SEGV_MAPERR;
  if (info->si_signo == SIGSEGV) return false;
  info->si_signo = SIGSEGV;
  if (sigismember(&context->uc_sigmask, SIGSEGV) == 1) {  // as the kernel does it: what is blocked is fatal
    sigdelset(&context->uc_sigmask, SIGSEGV);
    struct sigaction fatal {};
    fatal.sa_handler = SIG_DFL;
    own_sigaction(SIGSEGV, &fatal, nullptr);
  }
  send_to_self(*info);
  return true;
}

void reset_borrowed(int signal) {
  struct sigaction action {};
  action.sa_handler = SIG_DFL;
  own_sigaction(signal, &action, nullptr);
}

void on_memory_signal(int signal, siginfo_t* info, void* context) {
  if (guarded_fixup(static_cast<ucontext_t*>(context))) return;
  if (answer_wild_pointer(info, static_cast<ucontext_t*>(context))) return;
  const int saved_errno = errno;
  lock.lock();
  ClientAction& mine = *client_action(signal);
  const struct sigaction action = mine.action;
  const bool once = (action.sa_flags & SA_RESETHAND) != 0;
  const bool own = !once || owns_signal_handlers();
  if (once && own) mine.action = {};
  lock.unlock();
  if (!own) reset_borrowed(signal);
  if (is_default(action)) {
    if (action.sa_handler == SIG_IGN && info->si_code <= 0) return;  // sent, not raised by an access
    die_by_default(signal, *info);
    errno = saved_errno;
    return;
  }
  if ((action.sa_flags & SA_SIGINFO) != 0) {
    action.sa_sigaction(signal, info, context);
  } else {
    action.sa_handler(signal);
  }
}

int install(int signal, const struct sigaction& client) {
  struct sigaction ours = client;
  ours.sa_sigaction = on_memory_signal;
  ours.sa_flags = static_cast<int>((static_cast<unsigned>(client.sa_flags) & ~SA_RESETHAND) | SA_SIGINFO);
  return own_sigaction(signal, &ours, nullptr);
}

/// In a vfork child: the kernel's table is its own, ours is the parent's, who must find it as it was.
int borrowed_sigaction(int signal, const struct sigaction* wanted, struct sigaction* before) {
  struct sigaction old {};
  if (const int failed = real_sigaction(signal, wanted, &old); failed != 0) return failed;
  const bool ours = (old.sa_flags & SA_SIGINFO) != 0 && old.sa_sigaction == on_memory_signal;
  if (before != nullptr) *before = ours ? client_action(signal)->action : old;
  return 0;
}

int chained_sigaction(int signal, const struct sigaction* wanted, struct sigaction* before) {
  ClientAction* mine = client_action(signal);
  if (is_core_signal(signal)) return core_sigaction(signal, wanted, before);
  if (mine == nullptr || !taken.load(std::memory_order_acquire)) return real_sigaction(signal, wanted, before);
  if (!owns_signal_handlers()) return borrowed_sigaction(signal, wanted, before);
  struct sigaction copy {};
  if (wanted != nullptr) copy = *wanted;
  struct sigaction old {};
  {
    const SignalTableHold hold(lock);
    old = mine->action;
    if (wanted != nullptr) {
      mine->action = copy;
      install(signal, copy);
    }
  }
  if (before != nullptr) *before = old;
  return 0;
}

sighandler_t plain_signal(int signal, sighandler_t handler, int flags) {
  struct sigaction action {};
  struct sigaction before {};
  action.sa_handler = handler;
  action.sa_flags = flags;
  sigemptyset(&action.sa_mask);
  if ((flags & SA_NODEFER) == 0) sigaddset(&action.sa_mask, signal);
  if (chained_sigaction(signal, &action, &before) != 0) return SIG_ERR;
  return before.sa_handler;
}

}  // namespace

void take_memory_signals() {
  const SignalTableHold hold(lock);
  if (taken.load()) return;
  for (ClientAction& c : client_actions) {
    real_sigaction(c.signal, nullptr, &c.action);
    // A sanitizer may have a handler that it tells nobody of.
    if (is_default(c.action)) own_sigaction(c.signal, nullptr, &c.action);
    install(c.signal, c.action);
  }
  taken.store(true, std::memory_order_release);
  take_core_signals();
}

SX_INTERPOSE(int, sigaction, (int signal, const struct sigaction* wanted, struct sigaction* before)) {
  return chained_sigaction(signal, wanted, before);
}
SX_INTERPOSE_ALIAS(sigaction, __sigaction)

SX_INTERPOSE(sighandler_t, signal, (int signal, sighandler_t handler)) {
  static constinit Real<sighandler_t(int, sighandler_t)> real{"signal"};
  // libc remembers siginterrupt() for the others.
  if (client_action(signal) == nullptr && !is_core_signal(signal)) return real(signal, handler);
  return plain_signal(signal, handler, SA_RESTART);
}
SX_INTERPOSE_ALIAS(signal, bsd_signal)
SX_INTERPOSE_ALIAS(signal, ssignal)

SX_INTERPOSE(sighandler_t, sysv_signal, (int signal, sighandler_t handler)) {
  return plain_signal(signal, handler, SA_RESETHAND | SA_NODEFER);
}
SX_INTERPOSE_ALIAS(sysv_signal, __sysv_signal)

}  // namespace softxe::preload
