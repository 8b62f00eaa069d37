#include "preload/engine_scope.h"

#include <csignal>

#include <atomic>
#include <bit>
#include <cerrno>
#include <string_view>

#include "base/log.h"
#include "host/live/raw_syscall.h"
#include "preload/session.h"

namespace softxe::preload {
namespace {
thread_local constinit unsigned depth = 0;
/// The client's signal mask, while the outermost scope is open.
thread_local constinit std::uint64_t client_mask = 0;

/// As the kernel has it: glibc's struct sigaction is another one.
struct KernelAction {
  void (*handler)(int);
  unsigned long flags;
  void (*restorer)();
  std::uint64_t mask;
};

bool ignored_by_default(int signal) {
  return signal == SIGCHLD || signal == SIGCONT || signal == SIGURG || signal == SIGWINCH;
}
/// In a child without an engine: nothing of it can be used, its log included.
void say_once_that_nothing_works() {
  static constinit std::atomic<bool> said{false};
  if (log_level() < LogLevel::kInfo || said.exchange(true)) return;
  constexpr std::string_view kText = "softxe: this process was forked by a raw system call: it has no device\n";
  live::raw_syscall(SYS_write, 2, kText.data(), kText.size());
}

}  // namespace

bool in_engine() { return depth != 0; }

bool interposing() {
  if (depth != 0 || !active()) return false;
  if (!missed_fork()) return true;
  say_once_that_nothing_works();
  return false;
}
void adopt_engine_thread() { depth = 1; }

EngineScope::EngineScope() : errno_(errno) {
  outermost_ = depth++ == 0;
  if (!outermost_) return;
  mm_ = live_mm();
  if (mm_ != nullptr) {
    live::EngineSection::enter(*mm_);
    client_mask = live::EngineSection::client_mask();
  } else {
    mask_ = client_mask = live::block_signals();
  }
}

EngineScope::~EngineScope() {
  if (outermost_) {
    if (mm_ != nullptr) {
      live::EngineSection::leave();
    } else {
      live::restore_signals(mask_);
    }
  }
  --depth;
  errno = errno_;
}

Interruption pending_interruption() {
  std::uint64_t pending = 0;
  live::raw_syscall(SYS_rt_sigpending, &pending, sizeof pending);
  pending &= ~client_mask;
  auto found = Interruption::kNone;
  for (; pending != 0; pending &= pending - 1) {
    const int signal = std::countr_zero(pending) + 1;
    KernelAction action{};
    live::raw_syscall(SYS_rt_sigaction, signal, nullptr, &action, sizeof action.mask);
    if (action.handler == SIG_IGN || (action.handler == SIG_DFL && ignored_by_default(signal))) continue;
    if (action.handler != SIG_DFL && (action.flags & SA_RESTART) == 0) return Interruption::kReturn;
    found = Interruption::kRestart;
  }
  return found;
}

EngineMark::EngineMark() { ++depth; }
EngineMark::~EngineMark() { --depth; }

}  // namespace softxe::preload
