// MI_PREDICATE: a condition that walkers may ask for (spec/gpu-commands.md 3, spec/compute-dispatch.md 5.1). On engines
// of other classes it has no effect, since nothing asks.
#include "hw/cs/cs_executor.h"

namespace softxe {

Result<CsFlow> CsExecutor::predicate() {
  enum Load : std::uint32_t { kKeep = 0, kLoad = 2, kLoadInverted = 3 };
  enum Combine : std::uint32_t { kSet = 0, kAnd = 1, kOr = 2, kXor = 3 };
  enum Compare : std::uint32_t { kTrue = 0, kFalse = 1, kSourcesEqual = 2, kDeltasEqual = 3 };
  CsPredicate& p = ctx_.predicate;
  const std::uint64_t delta = p.source[0] - p.source[1];
  bool holds = false;
  switch (cs_bits(header_, 1, 0)) {
    case kTrue: holds = true; break;
    case kFalse: break;
    case kSourcesEqual: holds = delta == 0; break;
    case kDeltasEqual: holds = delta == p.data; break;
  }
  switch (cs_bits(header_, 4, 3)) {
    case kSet: break;
    case kAnd: holds = holds && p.result; break;
    case kOr: holds = holds || p.result; break;
    case kXor: holds = holds != p.result; break;
  }
  const std::uint32_t load = cs_bits(header_, 7, 6);
  if (load == kLoad) p.result = holds;
  if (load == kLoadInverted) p.result = !holds;
  p.data = delta;
  return CsFlow::kNext;
}

}  // namespace softxe
