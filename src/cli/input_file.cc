#include "cli/input_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "cli/commands.h"

namespace softxe::cli {

Answer<std::string> read_input(const std::string& path) {
  const int fd = path == "-" ? STDIN_FILENO : open(path.c_str(), O_RDONLY | O_CLOEXEC);
  int error = fd < 0 ? errno : 0;
  std::string text;
  char buffer[1 << 16];
  while (error == 0) {
    const ssize_t count = read(fd, buffer, sizeof buffer);
    if (count == 0) break;
    if (count > 0) {
      text.append(buffer, static_cast<std::size_t>(count));
    } else if (errno != EINTR) {
      error = errno;
    }
  }
  if (fd > STDIN_FILENO) close(fd);
  if (error == 0) return text;
  return refuse(kExitUsage,
                fmt::format("cannot read {}: {}", path == "-" ? "standard input" : path, std::strerror(error)));
}

}  // namespace softxe::cli
