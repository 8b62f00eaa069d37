// Whose system calls are hooked: the caller's, not those the engine makes for itself.
#pragma once

#include "base/result.h"

namespace softxe::live {
class LiveHostMm;
}

namespace softxe::api {

/// Scope of one call into the library: hooks of patched system calls stand aside meanwhile, because
/// the engine may allocate under locks that a hook would want.
class EngineCall {
 public:
  EngineCall();
  ~EngineCall();
  EngineCall(const EngineCall&) = delete;
  EngineCall& operator=(const EngineCall&) = delete;
};

/// While the process has one thread. ENOTSUP: libc could not be patched. Once per process; the code
/// stays patched, asleep.
softxe::Status patch_libc();
/// Whose hooks run from now on; null: nobody's. EBUSY: another one's do.
softxe::Status aim_hooks(live::LiveHostMm* mm);

}  // namespace softxe::api
