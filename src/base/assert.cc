#include <unistd.h>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "base/result.h"

namespace softxe::detail {

// Writes with write(2) only: the failing thread may be the fault thread, which must not use stdio.
void assert_failed(const char* expression, const char* file, int line) {
  char text[512];
  int length = snprintf(text, sizeof text, "softxe: invariant broken: %s (%s:%d)\n", expression, file, line);
  if (length > 0) {
    auto ignored = write(STDERR_FILENO, text,
                         static_cast<size_t>(length) < sizeof text ? static_cast<size_t>(length) : sizeof text - 1);
    static_cast<void>(ignored);
  }
  abort();
}

}  // namespace softxe::detail
