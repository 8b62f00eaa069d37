#include "cli/standard_streams.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>

#include "cli/commands.h"

namespace softxe::cli {

void guard_standard_streams() {
  for (int fd : {0, 1, 2}) {
    if (fcntl(fd, F_GETFD) >= 0 || errno != EBADF) continue;
    // The wrong way round: reading 0 and writing 1 and 2 stays EBADF. open() takes the lowest free number.
    const int got = open("/dev/null", (fd == 0 ? O_WRONLY : O_RDONLY) | O_CLOEXEC);
    if (got >= 0 && got != fd) close(got);
  }
}

Answer<void> finish_stdout() {
  errno = 0;
  const bool flushed = std::fflush(stdout) == 0;
  if (flushed && std::ferror(stdout) == 0) return {};
  return refuse(kExitUsage,
                fmt::format("cannot write to standard output: {}", std::strerror(errno != 0 ? errno : EIO)));
}

void complain(const char* verb, const std::string& why) {
  std::fprintf(stderr, "softxe%s%s: %s\n", *verb == '\0' ? "" : " ", verb, why.c_str());
}

int give_up(const char* verb, const Refusal& refusal) {
  complain(verb, refusal.why);
  return refusal.status;
}

}  // namespace softxe::cli
