// `softxe run --root`: another folder as the program's root folder.
#pragma once

#include <string>

#include "cli/refusal.h"

namespace softxe::cli {

/// Makes `root` this process's root and current folder, with /proc and /dev as programs expect them, seen by this
/// process and its children alone. 125.
Answer<void> enter_root(const std::string& root);

}  // namespace softxe::cli
