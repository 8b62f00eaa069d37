// A file that the user names to be read; "-" is standard input.
#pragma once

#include <string>

#include "cli/refusal.h"

namespace softxe::cli {

/// The whole of it. 125 with the reason.
Answer<std::string> read_input(const std::string& path);

}  // namespace softxe::cli
