// Triggers patched calls through libc and notes in the report which sites were reached.
#pragma once

#include "host/patch/patcher.h"

namespace softxe::patch {

/// False when a call did not reach a hook or the hook's answer did not come back. Activates the
/// hooks for the time of the test; the calls of other threads go to the installed table.
bool run_self_test(PatchReport& report);

}  // namespace softxe::patch
