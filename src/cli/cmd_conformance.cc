// `softxe root`, `softxe conformance`: Intel's test programs in a Debian root. The work is done by the scripts of
// conformance/, which stand in the tree or are installed below share/softxe.
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "cli/commands.h"
#include "cli/run_library.h"

namespace softxe::cli {

namespace fs = std::filesystem;

namespace {

/// A script by its name; nothing when conformance/ is not there.
std::optional<std::string> find_script(const char* name) {
  constexpr const char* kPlaces[] = {"../share/softxe/conformance", "../../../../conformance"};
  return find_beside(kPlaces, name);
}

/// Returns only when it could not.
int become(const char* verb, const std::vector<std::string>& words) {
  std::vector<char*> arguments;
  for (const std::string& word : words) arguments.push_back(const_cast<char*>(word.c_str()));
  arguments.push_back(nullptr);
  execvp(arguments.front(), arguments.data());
  return give_up(verb, {kExitUsage, fmt::format("cannot start {}: {}", words.front(), std::strerror(errno))});
}

int not_installed(const char* verb, const char* script) {
  return give_up(verb,
                 {kExitUsage, fmt::format("share/softxe/conformance/{} is not there: install softxe again", script)});
}

/// Where a root is when nobody says so.
std::string usual_root() {
  if (const char* set = std::getenv("SOFTXE_CONFORMANCE_ROOT"); set != nullptr && *set != '\0') return set;
  if (const char* cache = std::getenv("XDG_CACHE_HOME"); cache != nullptr && *cache != '\0') {
    return std::string(cache) + "/softxe/conformance-root";
  }
  const char* home = std::getenv("HOME");
  return std::string(home != nullptr ? home : "") + "/.cache/softxe/conformance-root";
}

}  // namespace

int make_root(const RootOptions& options) {
  constexpr const char* kScript = "make_root.sh";
  const auto script = find_script(kScript);
  if (!script) return not_installed("root", kScript);
  std::vector<std::string> words{"sh", *script};
  if (options.content == RootOptions::Content::kDrivers) words.emplace_back("--with-drivers");
  if (options.content == RootOptions::Content::kPrograms) words.emplace_back("--with-programs");
  if (options.force) words.emplace_back("--force");
  words.push_back(fs::absolute(options.folder).string());
  return become("root", words);
}

int conformance(const ConformanceOptions& options) {
  constexpr const char* kScript = "run.py";
  const auto script = find_script(kScript);
  if (!script) return not_installed("conformance", kScript);
  const std::string root = options.root.empty() ? usual_root() : options.root;
  std::error_code error;
  if (!fs::exists(fs::path(root) / "softxe-versions", error)) {
    return give_up("conformance", {kExitUsage, fmt::format("there is no root in {}: softxe root make {}", root, root)});
  }
  std::vector<std::string> words{"python3", *script, "--root", root, "--softxe", own_path().string()};
  const auto pass_on = [&words](const char* option, const std::string& value) {
    if (!value.empty()) words.push_back(fmt::format("{}={}", option, value));
  };
  pass_on("--tests", options.tests);
  pass_on("--profile", options.profile);
  pass_on("--shard", options.shard);
  pass_on("--junit", options.junit);
  if (options.list) words.emplace_back("--list");
  return become("conformance", words);
}

}  // namespace softxe::cli
