// Signals that end the process with a core file: the client's memory comes home first.
//
// The kernel writes a core file from the page tables and asks nobody for what is missing there. So where the
// client leaves such a signal at its default, a handler of ours brings home what is in VRAM and then lets the
// default action happen. The client sees SIG_DFL.
#pragma once

#include <csignal>

namespace softxe::preload {

/// In front of the default action of each such signal but SIGSEGV and SIGBUS, which have a handler already.
/// Once per process, when the session is made.
void take_core_signals();

/// True for the signals of take_core_signals(), once it has been called.
bool is_core_signal(int signal);
/// sigaction() of the client for one of them; as the system call.
int core_sigaction(int signal, const struct sigaction* wanted, struct sigaction* before);

/// From a handler of `signal`: memory home, then the default action as soon as the handler returns.
void die_by_default(int signal, const siginfo_t& info);
/// From a handler: `info` is delivered to this thread when the handler returns, or at once where it is not blocked.
void send_to_self(const siginfo_t& info);

}  // namespace softxe::preload
