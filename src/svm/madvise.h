// MADVISE on one VM: split, set, invalidate (spec/vm.md 5).
//
// The request is decoded and the device behind a file descriptor is resolved already; here are the
// rules that need the VM: which VMAs take an attribute, what a BO forbids, what must be zapped.
#pragma once

#include <variant>

#include "svm/vm_context.h"

namespace softxe {

struct SetPreferred {
  PreferredLocation location;
};
struct SetAtomic {
  AtomicAccess access;
};
/// `coherent` = the PAT entry's coherency is not "none".
struct SetPat {
  PatIndex pat;
  bool coherent;
};
struct SetPurgeable {
  PurgeableState state;  ///< kWillNeed or kDontNeed
};
using Advice = std::variant<SetPreferred, SetAtomic, SetPat, SetPurgeable>;

struct AdviseResult {
  bool purged_seen = false;  ///< a covered BO was purged (for retained_ptr)
};

/// Takes the Vm lock for writing. The caller has flushed the collector (spec/vm.md 5.1).
/// ENOENT: closed or banned. EINVAL: rules 17, 20, 21. A failure after the split leaves VMAs cut at the
/// borders, attributes unchanged (quirk Q21).
Result<AdviseResult> madvise(VmContext& context, GpuRange range, const Advice& advice);

}  // namespace softxe
