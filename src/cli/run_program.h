// Looking at the program before it starts: what the preload library cannot enter is refused with a line.
#pragma once

#include <string>

#include "base/result.h"

namespace softxe::cli {

/// The file PATH would choose, inside `root` (empty: the real root). ENOENT, EACCES.
Result<std::string> find_program(const std::string& root, const std::string& name);

/// Success when a preload library works in it: a 64-bit dynamic x86-64 program for glibc without
/// setuid or setgid. Scripts are judged by their interpreter.
Status check_program(const std::string& root, const std::string& path);

}  // namespace softxe::cli
