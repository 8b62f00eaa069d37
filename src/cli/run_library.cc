#include "cli/run_library.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>

#include "cli/commands.h"

namespace softxe::cli {

namespace fs = std::filesystem;

namespace {
constexpr const char* kName = "libsoftxe-preload.so";
}  // namespace

bool fits_into_preload(const std::string& path) { return path.find_first_of(" :$") == std::string::npos; }

fs::path own_path() {
  std::error_code error;
  return fs::read_symlink("/proc/self/exe", error);
}

std::optional<std::string> find_beside(std::span<const char* const> places, const char* name) {
  std::error_code error;
  const fs::path self = own_path().parent_path();
  for (const char* place : places) {
    const auto candidate = fs::weakly_canonical(self / place / name, error);
    if (!error && fs::exists(candidate, error)) return candidate.string();
  }
  return std::nullopt;
}

Answer<std::string> find_library() {
  constexpr const char* kPlaces[] = {"../preload", "../lib/softxe", "../lib/x86_64-linux-gnu/softxe",
                                     "../lib64/softxe"};
  if (auto found = find_beside(kPlaces, kName)) return *found;
  return refuse(kExitUsage, fmt::format("{} is not where it belongs, beside {} (../lib/softxe): install softxe again",
                                        kName, own_path().parent_path().string()));
}

Answer<std::string> place_library(const std::string& library, const RunFolder& folder) {
  const std::string inside = folder.inside() + "/" + kName;
  const std::string here = folder.path() + "/" + kName;
  if (!folder.has_root()) {
    if (fits_into_preload(library)) return library;
    if (symlink(library.c_str(), here.c_str()) == 0) return inside;
    return refuse(kExitUsage, fmt::format("cannot link {} to {}: {}", here, library, std::strerror(errno)));
  }
  std::error_code error;
  fs::copy_file(library, here, error);
  if (!error) return inside;
  return refuse(kExitUsage, fmt::format("cannot copy the library to {}: {}", here, error.message()));
}

}  // namespace softxe::cli
