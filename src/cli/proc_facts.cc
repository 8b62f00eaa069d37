#include "cli/proc_facts.h"

#include <sys/utsname.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <iterator>
#include <sstream>

namespace softxe::cli {

std::string small_file(const char* path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

std::string field_of(const std::string& text, const std::string& name) {
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    const auto colon = line.find(':');
    if (colon == std::string::npos) continue;
    if (line.substr(0, line.find_last_not_of(" \t", colon == 0 ? 0 : colon - 1) + 1) != name) continue;
    const auto begin = line.find_first_not_of(" \t", colon + 1);
    return begin == std::string::npos ? std::string() : line.substr(begin);
  }
  return {};
}

bool kernel_is_before(KernelVersion version) {
  utsname kernel{};
  uname(&kernel);
  unsigned major = 0;
  unsigned minor = 0;
  char dot = '.';
  std::istringstream(kernel.release) >> major >> dot >> minor;
  return major < version.major || (major == version.major && minor < version.minor);
}

bool has_seccomp_filter() { return field_of(small_file("/proc/self/status"), "Seccomp") == "2"; }

std::string container_name() {
  if (access("/.dockerenv", F_OK) == 0) return "docker";
  if (access("/run/.containerenv", F_OK) == 0) return "podman";
  if (const char* name = getenv("container"); name != nullptr && *name != '\0') return name;
  std::string name = small_file("/run/systemd/container");
  return name.substr(0, name.find('\n'));
}

bool in_user_namespace() {
  std::istringstream map(small_file("/proc/self/uid_map"));
  unsigned long inside = 0;
  unsigned long outside = 0;
  unsigned long count = 0;
  map >> inside >> outside >> count;
  return count != 0 && count != 4294967295ul;
}

}  // namespace softxe::cli
