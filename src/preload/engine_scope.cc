#include "preload/engine_scope.h"

#include <dlfcn.h>
#include <pthread.h>

#include <atomic>
#include <bit>
#include <cerrno>
#include <csignal>
#include <new>
#include <string_view>

#include "base/log.h"
#include "base/raw_syscall.h"
#include "host/live/engine_section.h"
#include "host/live/engine_stack.h"
#include "preload/engine_alloc.h"
#include "preload/interpose.h"
#include "preload/session.h"
#include "preload/spin_futex.h"

namespace softxe::preload {
namespace {
thread_local constinit unsigned depth = 0;
thread_local constinit bool engine_thread = false;
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
  raw_syscall(SYS_write, 2, kText.data(), kText.size());
}

}  // namespace

bool in_engine() { return depth != 0; }

bool interposing() {
  if (depth != 0 || !active()) return false;
  if (!missed_fork()) return true;
  say_once_that_nothing_works();
  return false;
}
void adopt_engine_thread() {
  depth = 1;
  engine_thread = true;
}

EngineEntry::EngineEntry() : errno_(errno) {
  outermost_ = depth == 0;
  if (outermost_) {
    mask_ = live::block_signals();  // first: a handler that comes before it may jump out, and nothing has happened
    client_mask = mask_;
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel_state_);
  }
  ++depth;
}

EngineEntry::~EngineEntry() noexcept(false) {
  --depth;
  const std::uint64_t mask = mask_;
  const bool outermost = outermost_;
  errno = errno_;
  if (!outermost) return;
  pthread_setcancelstate(cancel_state_, nullptr);
  live::restore_signals(mask);
}

PinnedClient::PinnedClient(const EngineEntry& entry) {
  live::LiveHostMm* mm = entry.outermost() ? live_mm() : nullptr;
  if (mm == nullptr) return;
  live::EngineSection::enter_blocked(*mm, client_mask);
  entered_ = true;
}

PinnedClient::~PinnedClient() {
  if (entered_) live::EngineSection::leave_blocked();
}

// ---- stacks --------------------------------------------------------------------------------------

namespace {

/// The engine's frames take a quarter of it, the frame of a SIGSEGV on top of them a few KiB.
constexpr std::size_t kStackBytes = 128ULL * 1024;
/// All stacks together take no more than this part of the heap.
constexpr std::size_t kHeapPart = 8;

/// A stack that nobody uses begins with one.
struct FreeStack {
  FreeStack* next;
};
constinit SpinFutex stacks_lock;
constinit FreeStack* free_stacks SX_GUARDED_BY(stacks_lock) = nullptr;
constinit std::size_t stacks_made SX_GUARDED_BY(stacks_lock) = 0;

/// Null when very many threads are in the engine at once.
std::byte* take_stack() {
  const std::size_t most = engine_heap().size() / kHeapPart / kStackBytes;
  stacks_lock.lock();
  FreeStack* found = free_stacks;
  if (found != nullptr) free_stacks = found->next;
  const bool make = found == nullptr && stacks_made < most;
  if (make) ++stacks_made;
  stacks_lock.unlock();
  if (make) return static_cast<std::byte*>(engine_allocate(kStackBytes, 64));
  return reinterpret_cast<std::byte*>(found);
}

void give_stack(std::byte* stack) {
  auto* link = ::new (stack) FreeStack;
  stacks_lock.lock();
  link->next = free_stacks;
  free_stacks = link;
  stacks_lock.unlock();
}

}  // namespace

void on_engine_stack(void (*function)(void*), void* argument) {
  if (live::switched_from() != 0 || engine_thread) return function(argument);
  std::byte* stack = take_stack();
  if (stack == nullptr) return function(argument);
  live::call_on_stack(stack + kStackBytes, function, argument);
  give_stack(stack);
}

// Held over a fork: not a scope that the analysis can see.
void engine_stacks_before_fork() { stacks_lock.hold_over_fork(); }
void engine_stacks_after_fork() { stacks_lock.release_after_fork(); }

void* next_symbol(const char* name) {
  if (!active() || missed_fork()) return dlsym(RTLD_NEXT, name);
  const EngineEntry entry;
  void* found = nullptr;
  on_engine_stack([&] { found = dlsym(RTLD_NEXT, name); });
  return found;
}

Interruption pending_interruption() {
  std::uint64_t pending = 0;
  raw_syscall(SYS_rt_sigpending, &pending, sizeof pending);
  pending &= ~client_mask;
  auto found = Interruption::kNone;
  for (; pending != 0; pending &= pending - 1) {
    const int signal = std::countr_zero(pending) + 1;
    KernelAction action{};
    raw_syscall(SYS_rt_sigaction, signal, nullptr, &action, sizeof action.mask);
    if (action.handler == SIG_IGN || (action.handler == SIG_DFL && ignored_by_default(signal))) continue;
    if (action.handler != SIG_DFL && (action.flags & SA_RESTART) == 0) return Interruption::kReturn;
    found = Interruption::kRestart;
  }
  return found;
}

EngineMark::EngineMark() { ++depth; }
EngineMark::~EngineMark() { --depth; }

}  // namespace softxe::preload
