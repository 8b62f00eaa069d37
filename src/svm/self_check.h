// The engine looks at itself: the invariants of spec/vm.md 10.1 and spec/svm.md 10.3 that one VM
// can show.
//
// Pure inspection, no state is changed and nothing but the text of a failure is allocated. With
// SelfCheck::kOn every VM_BIND, MADVISE, served fault and collector pass ends with it, and a broken
// invariant ends the program with its text. Simulations and scenarios switch it on; builds without
// NDEBUG have it on from the start. It costs time in the size of the VM, so other builds do
// without.
#pragma once

#include <string>

#include "svm/vm_context.h"

namespace softxe {

enum class SelfCheck : std::uint8_t { kOff, kOn };
/// For all VMs of the program. Any thread.
void set_self_check(SelfCheck mode);

/// The first broken invariant, empty when all hold. Vm lock (r), so only CPU-side events may run
/// meanwhile.
std::string broken_invariant(VmContext& context) SX_REQUIRES_SHARED(context.vm.lock);

/// At the end of an operation, Vm lock held: aborts with the text when something is broken.
void self_check(VmContext& context, const char* after) SX_REQUIRES_SHARED(context.vm.lock);

}  // namespace softxe
