// From a stub into C++ and back.
//
// The assembly entries first read one word, `sx_patch_active`: while it is 0 they execute the
// system call and return (or tell the stub to). Otherwise they save flags, the integer registers and
// the vector state (xsavec, xsave or fxsave, by the machine), call a function below, and restore
// everything. Vector state is saved because a syscall instruction preserves it and code around one
// may rely on that; the hook is ordinary C++ and clobbers it.
//
// Stack, from the site down: 128 bytes red zone, return address, flags, rbp, EntryFrame, vector
// state (up to 2816 bytes), then C++.
#pragma once

#include <atomic>
#include <cstdint>

#include "base/address.h"
#include "host/patch/patcher.h"
#include "host/patch/stub.h"

namespace softxe::patch {

/// What the assembly pushes; `nr` is rax at the site, the rest the argument registers.
struct EntryFrame {
  std::uint64_t return_address;  ///< into the stub: says which site
  long nr;
  std::array<unsigned long, 6> a;
};
static_assert(sizeof(EntryFrame) == 64, "entry.cc pushes eight words");

/// The stubs of one library and the report index of its first.
struct StubBlock {
  std::uint64_t start = 0;
  std::uint64_t end = 0;
  std::array<std::uint8_t, kMaxSites> site_of_stub{};
};
inline constexpr std::size_t kMaxBlocks = 2;

/// Answers hooked calls of one thread in the kernel's place, for the self-test.
struct Probe {
  std::array<bool, kMaxSites> seen{};
  long last_nr = 0;
  /// -errno that every call returns; brk is performed.
  long answer = 0;
};

HostVa entry_address(EntrySlot slot);
/// Asks the CPU how to save the vector state. Before the first activation.
void choose_vector_save();
/// Only while inactive.
void set_hooks(const HookTable& hooks);
void set_stub_block(std::size_t index, const StubBlock& block);
/// nullptr ends it.
void set_thread_probe(Probe* probe);
/// Makes code written by this thread visible to its instruction fetch.
void serialize_core();

}  // namespace softxe::patch
