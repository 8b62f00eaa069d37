// EngineSection: a client thread becomes an engine thread for a while.
//
// A client thread enters the engine through an ioctl or a hooked system call and may hold engine locks
// there. Two things must not happen meanwhile: a signal handler of the client running on top of a held
// lock, and a fault on a page in VRAM under the thread's own feet (its stack, its thread-local storage),
// because the thread that serves such faults may need the very lock (spec/live-memory.md 4).
// So a section blocks signals (synchronous ones excepted) and pins the stack and TLS of the thread.
#pragma once

#include <cstdint>

namespace softxe::live {

class LiveHostMm;

/// Scope of one section. Nests: only the outermost does work. Enter with no engine lock held.
class EngineSection {
 public:
  explicit EngineSection(LiveHostMm& mm) { enter(mm); }
  ~EngineSection() { leave(); }
  EngineSection(const EngineSection&) = delete;
  EngineSection& operator=(const EngineSection&) = delete;

  /// The same as the constructor and destructor, for calls that begin and end in different hooks.
  static void enter(LiveHostMm& mm);
  static void leave();
  /// The same for a caller that has blocked the signals itself (`client_mask` is the mask before) and unblocks them
  /// when all else is left.
  static void enter_blocked(LiveHostMm& mm, std::uint64_t client_mask);
  static void leave_blocked();
  /// Whether this thread is inside a section.
  static bool inside();
  /// Inside a section: the signals that the thread blocks by itself.
  static std::uint64_t client_mask();

 private:
  static void pin_stack(LiveHostMm& mm);
};

/// For as long as one lives the calling thread is one of the engine's: inside a section, its stack in the arena, its
/// signals blocked but the one by which libc changes the ids of all threads, whose sender waits until each has run the
/// handler. One in a thread, in its outermost function.
class AdoptedThread {
 public:
  AdoptedThread();
  ~AdoptedThread();
  AdoptedThread(const AdoptedThread&) = delete;
  AdoptedThread& operator=(const AdoptedThread&) = delete;

  /// How many there are in the process, in any thread.
  static unsigned count();
  /// In a fork child, which has none.
  static void forget_all();
};

/// Blocks every signal but those that the CPU raises and the one that changes ids; returns the mask before.
std::uint64_t block_signals();
void restore_signals(std::uint64_t mask);

}  // namespace softxe::live
