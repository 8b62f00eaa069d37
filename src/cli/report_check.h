// Looks at a report before anything is taken from it: a file of a user may hold anything.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

namespace softxe::cli {

/// What is wrong with its form, as "processes[0].pid: not a number"; empty: every part that is read is there and of its
/// type. `schema` is the newest that is understood, and with it all earlier ones.
std::string wrong_form(const nlohmann::json& report, std::string_view schema);

}  // namespace softxe::cli
