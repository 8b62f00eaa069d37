// What stands beside the command, and the preload library on its way into the program: LD_PRELOAD has no way to quote,
// so the path it is given has to be one without the characters that the loader splits and expands.
#pragma once

#include <filesystem>
#include <optional>
#include <span>
#include <string>

#include "cli/refusal.h"
#include "cli/run_folder.h"

namespace softxe::cli {

/// False when LD_PRELOAD cannot carry the path: the loader splits at spaces and colons and expands "$".
bool fits_into_preload(const std::string& path);

/// This command's own file.
std::filesystem::path own_path();
/// `name` in the first of `places` that has it; they count from the folder of the command. Nothing: in none.
std::optional<std::string> find_beside(std::span<const char* const> places, const char* name);

/// Beside the command in a build tree, or in the library folder of an installation. 125.
Answer<std::string> find_library();

/// The path by which the program's loader finds the library: its own, a link in the run's folder, or with a root a copy
/// there. 125.
Answer<std::string> place_library(const std::string& library, const RunFolder& folder);

}  // namespace softxe::cli
