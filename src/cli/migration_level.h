// The migration level (full, user-only, none): what it means for a program, and what raises it.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "host/live/uffd.h"

namespace softxe::cli {

/// A sentence; empty for "full", where there is nothing to say.
std::string meaning_of_level(std::string_view level);

/// Why this process cannot have more, as far as it can be told.
enum class LevelCause { kNothing, kOldKernel, kNoUserfaultfd, kSandbox, kNoPrivilege, kNoDescriptors };
LevelCause cause_of_level(const live::LadderReport& ladder);
/// Commands to type, any one of which helps.
std::vector<std::string> cures_of_level(LevelCause cause);
const char* cause_text(LevelCause cause);

}  // namespace softxe::cli
