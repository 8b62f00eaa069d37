// What `softxe doctor` finds: one line each, with what it means and the commands that change it.
#pragma once

#include <string>
#include <vector>

#include "host/live/uffd.h"
#include "host/patch/patcher.h"

namespace softxe::cli {

struct Finding {
  std::string name;
  std::string found;
  std::string means;
  std::vector<std::string> cures;  ///< commands, any one of which helps
  enum class Effect { kNone, kLimitsRun } effect = Effect::kNone;
};

/// Everything, in the order in which it is shown. The probes have been made by the caller.
std::vector<Finding> doctor_findings(const live::LadderReport& ladder, const patch::PatchReport& patches);

}  // namespace softxe::cli
