// The system calls the patcher cares about (spec/live-memory.md 3.2, hook list).
#pragma once

#include <sys/syscall.h>

#include <cstdint>

namespace softxe::patch {

/// What a patched call needs around it.
enum class CallClass : std::uint8_t {
  kNone,       ///< not ours
  kMm,         ///< the hook performs the call
  kFork,       ///< hooks before and behind, nothing left on the stack in between
  kLeftAlone,  ///< known and deliberately not patched
};

struct KnownCall {
  int nr;
  CallClass klass;
  const char* name;
};

// In order of frequency: the table is searched from the front.
inline constexpr KnownCall kKnownCalls[] = {
    {SYS_mmap, CallClass::kMm, "mmap"},
    {SYS_munmap, CallClass::kMm, "munmap"},
    {SYS_mprotect, CallClass::kMm, "mprotect"},
    {SYS_brk, CallClass::kMm, "brk"},
    {SYS_mremap, CallClass::kMm, "mremap"},
    {SYS_madvise, CallClass::kMm, "madvise"},
    {SYS_shmat, CallClass::kMm, "shmat"},
    {SYS_shmdt, CallClass::kMm, "shmdt"},
    {SYS_mlock, CallClass::kMm, "mlock"},
    {SYS_munlock, CallClass::kMm, "munlock"},
    {SYS_mlockall, CallClass::kMm, "mlockall"},
    {SYS_munlockall, CallClass::kMm, "munlockall"},
    {SYS_remap_file_pages, CallClass::kMm, "remap_file_pages"},
    {SYS_mlock2, CallClass::kMm, "mlock2"},
    {SYS_pkey_mprotect, CallClass::kMm, "pkey_mprotect"},
    {SYS_process_madvise, CallClass::kMm, "process_madvise"},
    {SYS_clone, CallClass::kFork, "clone"},
    {SYS_fork, CallClass::kFork, "fork"},
    {SYS_vfork, CallClass::kLeftAlone, "vfork"},
    {SYS_clone3, CallClass::kLeftAlone, "clone3"},
};

/// Sites whose number is only known when they run (syscall(3)).
inline constexpr int kNrAtRunTime = -1;

constexpr const KnownCall* known_call(long nr) {
  for (const KnownCall& call : kKnownCalls)
    if (call.nr == nr) return &call;
  return nullptr;
}

constexpr CallClass classify(long nr) {
  const KnownCall* call = known_call(nr);
  return call == nullptr ? CallClass::kNone : call->klass;
}

/// "munmap" and so on; "syscall(3)" for kNrAtRunTime; "?" for numbers without a class.
constexpr const char* call_name(long nr) {
  if (nr == kNrAtRunTime) return "syscall(3)";
  const KnownCall* call = known_call(nr);
  return call == nullptr ? "?" : call->name;
}

/// Why a kLeftAlone number is one.
constexpr const char* left_alone_reason(long nr) {
  if (nr == SYS_vfork) return "shares the parent's stack; the child runs no engine code";
  if (nr == SYS_clone3) return "glibc uses it for threads and posix_spawn only (CLONE_VM)";
  return "";
}

}  // namespace softxe::patch
