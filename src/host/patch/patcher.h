// Makes the system calls that libc and ld.so issue from their own code pass through hooks, by
// patching the call sites (decision 0005; spec/live-memory.md 3.2). Symbol
// interposition cannot see them: malloc, thread stacks and dlopen never pass the PLT.
//
// Order of use: `install()` in the constructor of the preload library, while the process has one
// thread: hooks stay asleep, a patched call costs a dozen instructions more. `activate()` at the
// first open of a device. Whatever is unexpected leads to Rung::kEventsOnly with a reason, and
// nothing is patched; nothing here aborts the client.
//
// Read next: site_finder.h (what is patched), stub.h (what runs instead), entry.h (the way into C++).
#pragma once

#include <cstdint>
#include <span>

#include "base/address.h"
#include "base/result.h"
#include "host/patch/site_finder.h"
#include "host/patch/syscall_args.h"

namespace softxe::patch {

/// Gets the call instead of the kernel and performs it itself with `raw_syscall(args)`, or does
/// not. Returns the kernel's raw result, -errno on failure. What a hook may rely on and must keep:
///  * errno, flags, vector registers and the other registers of the caller are saved around it.
///  * The same thread is not hooked again while it runs: calls it makes go straight to the kernel.
///  * It runs on the caller's stack and may use 10 KiB of it: glibc's own madvise on a dying
///    thread's stack discards everything 16 KiB below the call. Not from a handler on a minimal
///    signal stack.
///  * It may be called inside malloc and inside the loader, with their locks held: no malloc, no
///    stdio, no dlsym.
using SyscallHook = long (*)(SyscallArgs& args);

/// Around calls that make a process with a copy of the memory: fork, clone without CLONE_VM.
/// `before` runs in the parent; then exactly one of the others in the parent (with the child's pid
/// or -errno) and `after_child` in the child, on the child's stack. The same rules as above; glibc
/// holds its malloc and stdio locks.
struct ForkHook {
  void (*before)(unsigned long clone_flags);
  void (*after_parent)(long result);
  void (*after_child)();
};

/// Whether signal handlers may run on top of a hook. Blocking costs two system calls; without it a
/// handler that unmaps memory while its thread is in the hook is not seen, and one that leaves by
/// siglongjmp leaves the thread unhooked. Synchronous signals (SIGSEGV and so on) stay open.
enum class SignalPolicy : std::uint8_t { kBlock, kLeave };

struct HookTable {
  SyscallHook call = nullptr;
  ForkHook fork{};
  SignalPolicy signals = SignalPolicy::kBlock;
};

enum class Rung : std::uint8_t {
  kPatched,     ///< every site found is patched
  kPartial,     ///< the six essential calls are, some other site is refused
  kEventsOnly,  ///< nothing is patched; userfaultfd events alone tell about changes
};

enum class Library : std::uint8_t { kLibc, kLoader };

/// kNotTried also for sites the self-test cannot reach: the loader's own mmap and brk.
enum class TestState : std::uint8_t { kNotTried, kSeen, kMissed };

struct SiteReport {
  Site site;
  Library library = Library::kLibc;
  std::uint64_t file_address = 0;  ///< as objdump prints it
  bool starts_function = false;    ///< the site is the first thing its function does
  bool patched = false;
  TestState test = TestState::kNotTried;
};

struct PatchReport {
  Rung rung = Rung::kEventsOnly;
  const char* why = "not installed";  ///< of a rung below kPatched
  std::array<SiteReport, kMaxSites> sites{};
  std::size_t site_count = 0;
  std::uint64_t find_ns = 0;
  std::uint64_t write_ns = 0;
  std::uint64_t test_ns = 0;

  std::span<const SiteReport> span() const { return {sites.data(), site_count}; }
  std::size_t patched(Library library, long nr) const;
  std::size_t patched() const;
  std::size_t refused() const;
};

/// How much code is decoded before anything is written.
enum class Depth : std::uint8_t {
  kFunctions,  ///< the function around each site: fast, for the constructor
  kLibrary,    ///< also every other function, for jumps into a site: tens of milliseconds
};
enum class Check : std::uint8_t { kSelfTest, kNone };

struct InstallOptions {
  Depth depth = Depth::kFunctions;
  Check check = Check::kSelfTest;
};

/// Finds and patches, in about 0.4 ms. Only while the process has one thread (a jump is written in
/// more than one step); otherwise kEventsOnly. The table is copied. The hooks sleep until
/// `activate()`. A second call changes nothing and returns the report of the first.
const PatchReport& install(const HookTable& hooks, InstallOptions options = {});
const PatchReport& report();

/// One store each, callable at any time from any thread; a call under way finishes as it began.
void activate();
void deactivate();
bool active();

/// Triggers the patched calls through libc and checks that each reaches a hook and that the hook's
/// result comes back. Changes nothing: a probe answers in the kernel's place (except brk, which
/// sets the break to what it is). Only on this thread; updates the report. False when one is missed.
bool self_test();

/// Restores the original code and frees the stubs. For tests: only while no other thread exists.
Status uninstall();

/// Calls that reached a hook entry at a site, by index of the report.
std::uint64_t site_calls(std::size_t index);
/// Calls that went straight to the kernel because their thread was in a hook.
std::uint64_t nested_calls();

}  // namespace softxe::patch
