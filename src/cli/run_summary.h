// What a run did, as text for people. Nothing that did not happen has a line.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

namespace softxe::cli {

/// Of a report whose form has been checked (report_check.h), or that was just made.
std::string summary_text(const nlohmann::json& report);

}  // namespace softxe::cli
