#include "host/live/mapping_budget.h"

#include <fcntl.h>

#include "base/raw_syscall.h"

namespace softxe::live {

std::size_t MappingBudget::max_map_count() {
  const long fd = raw_syscall(SYS_openat, AT_FDCWD, "/proc/sys/vm/max_map_count", O_RDONLY | O_CLOEXEC);
  if (fd < 0) return kDefaultMax;
  char text[24] = {};
  raw_syscall(SYS_read, fd, text, sizeof text - 1);
  raw_syscall(SYS_close, fd);
  std::size_t number = 0;
  for (const char* c = text; *c >= '0' && *c <= '9'; ++c) number = number * 10 + static_cast<std::size_t>(*c - '0');
  return number == 0 ? kDefaultMax : number;
}

}  // namespace softxe::live
