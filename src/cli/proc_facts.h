// Facts about this process and machine that /proc and /sys tell, for `softxe doctor`.
#pragma once

#include <string>

namespace softxe::cli {

/// The whole file; empty when it cannot be read. Files of /proc and /sys are small.
std::string small_file(const char* path);
/// Behind "NAME:" in a file of such lines, without the blanks around; empty: no such line.
std::string field_of(const std::string& text, const std::string& name);

struct KernelVersion {
  unsigned major;
  unsigned minor;
};
/// By its name: good enough to choose words, never to decide what works.
bool kernel_is_before(KernelVersion version);

bool has_seccomp_filter();
/// "docker", "podman", "systemd-nspawn" ...; empty: none that can be seen from inside.
std::string container_name();
/// True where root of this process is not root of the machine.
bool in_user_namespace();

}  // namespace softxe::cli
