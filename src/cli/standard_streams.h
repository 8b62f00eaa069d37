// Standard output and error of the command itself. What cannot be written is a failure in every verb.
#pragma once

#include <string>

#include "cli/refusal.h"

namespace softxe::cli {

/// Descriptors 0 to 2 that the caller has closed get a file on which nothing works, so that no file of ours is opened
/// there. Programs that softxe starts find them closed, as they were.
void guard_standard_streams();

/// Everything printed has arrived: 125 with the reason when it has not.
Answer<void> finish_stdout();

}  // namespace softxe::cli
