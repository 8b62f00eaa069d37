#include "host/live/engine_section.h"

#include <algorithm>
#include <atomic>
#include <csignal>

#include "base/raw_syscall.h"
#include "host/live/engine_stack.h"
#include "host/live/live_host_mm.h"

namespace softxe::live {
namespace {

// How much of a stack is pinned around the stack pointer of the outermost section, and how much must
// be left below it so that the engine's own frames fit. The engine uses less than 128 KiB.
constexpr std::uint64_t kStackBelow = 256ULL * 1024;
constexpr std::uint64_t kStackAbove = 64ULL * 1024;
constexpr std::uint64_t kStackReserve = 128ULL * 1024;
// Thread-local storage lies below the thread pointer (x86-64, variant II), the thread's descriptor above. In glibc
// it has at least 2304 bytes and ends where the stack ends: more would pin the client's page that follows.
constexpr std::uint64_t kTlsAbove = 2304;

struct ThreadState {
  std::uint32_t depth;
  std::uint64_t saved_mask;
  std::uint64_t pinned_for;  ///< LiveHostMm::instance() of the window below
  std::uint64_t pin_generation;
  std::uint64_t stack_low;  ///< lowest stack pointer at which the pinned window is deep enough
  std::uint64_t stack_high;
};
thread_local ThreadState state;
constinit std::atomic<unsigned> adopted{0};

constexpr int kSigSetXid = 33;  // nptl(7)

std::uint64_t thread_pointer() {
  std::uint64_t fs;
  asm("movq %%fs:0, %0" : "=r"(fs));
  return fs;
}

HostRange pages_around(std::uint64_t address, std::uint64_t below, std::uint64_t above) {
  const std::uint64_t low = address > below ? address - below : kPageSize;
  return HostRange::between(HostVa(align_down(low, kPageSize)), HostVa(align_up(address + above, kPageSize)));
}

void pin_this_thread(LiveHostMm& mm, std::uint64_t stack_pointer) {
  const std::uint64_t generation = mm.pin_generation();
  HostRange stack = mm.clamp_to_stack(pages_around(stack_pointer, kStackBelow, kStackAbove), HostVa(stack_pointer));
  // The mapping of a thread's stack may have merged with what the client mapped above it.
  if (const std::uint64_t tp = thread_pointer(); tp > stack_pointer && tp < stack.end().value()) {
    stack = HostRange::between(stack.start(), std::min(stack.end(), HostVa(align_up(tp + kTlsAbove, kPageSize))));
  }
  mm.pin(stack);
  mm.pin(pages_around(thread_pointer(), mm.static_tls_size(), kTlsAbove));
  state.pinned_for = mm.instance();
  state.pin_generation = generation;
  // At the bottom of a small stack there is no more to pin than what there is.
  state.stack_low = std::min(stack.start().value() + kStackReserve, stack_pointer);
  state.stack_high = stack.end().value();
}

}  // namespace

std::uint64_t block_signals() {
  const auto bit = [](int signal) { return 1ull << (signal - 1); };
  // Not the one by which libc changes the ids of all threads: who sends it holds libc's list of threads until each
  // has run its handler, and the engine may be waiting for that list to make a thread. The handler reads libc's data,
  // which are pinned, and the sender's frame (preload/wrap_ids.cc pins it): it never waits for a page, whatever locks
  // this thread holds.
  const std::uint64_t all_but =
      ~(bit(SIGSEGV) | bit(SIGBUS) | bit(SIGILL) | bit(SIGFPE) | bit(SIGTRAP) | bit(SIGSYS) | bit(kSigSetXid));
  std::uint64_t before = 0;
  raw_syscall(SYS_rt_sigprocmask, SIG_BLOCK, &all_but, &before, sizeof before);
  return before;
}

void restore_signals(std::uint64_t mask) { raw_syscall(SYS_rt_sigprocmask, SIG_SETMASK, &mask, nullptr, sizeof mask); }

void EngineSection::enter(LiveHostMm& mm) {
  if (state.depth++ != 0) return;
  state.saved_mask = block_signals();
  pin_stack(mm);
}

void EngineSection::enter_blocked(LiveHostMm& mm, std::uint64_t client_mask) {
  if (state.depth++ != 0) return;
  state.saved_mask = client_mask;
  pin_stack(mm);
}

void EngineSection::leave_blocked() { --state.depth; }

void EngineSection::pin_stack(LiveHostMm& mm) {
  // The client's stack, also while the thread is on one of the engine's, which are pinned as they are.
  const auto here = reinterpret_cast<std::uint64_t>(__builtin_frame_address(0));
  const std::uint64_t sp = switched_from() != 0 ? switched_from() : here;
  const bool pinned = state.pinned_for == mm.instance() && state.pin_generation == mm.pin_generation() &&
                      sp >= state.stack_low && sp < state.stack_high;
  if (!pinned) pin_this_thread(mm, sp);
}

void EngineSection::leave() {
  if (--state.depth == 0) restore_signals(state.saved_mask);
}

bool EngineSection::inside() { return state.depth != 0; }

std::uint64_t EngineSection::client_mask() { return state.saved_mask; }

AdoptedThread::AdoptedThread() {
  state.depth = 1;
  const std::uint64_t set_ids = 1ull << (kSigSetXid - 1);
  raw_syscall(SYS_rt_sigprocmask, SIG_UNBLOCK, &set_ids, nullptr, sizeof set_ids);
  adopted.fetch_add(1);
}

AdoptedThread::~AdoptedThread() { adopted.fetch_sub(1); }  // still inside: libc ends the thread

unsigned AdoptedThread::count() { return adopted.load(); }

void AdoptedThread::forget_all() { adopted.store(0); }

}  // namespace softxe::live
