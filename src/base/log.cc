#include "base/log.h"

#include <unistd.h>
#include <atomic>
#include <cstdio>
#include <cstring>

namespace softxe {
namespace {
std::atomic<LogLevel> current_level{LogLevel::kError};
}  // namespace

LogLevel log_level() { return current_level.load(std::memory_order_relaxed); }

void set_log_level(LogLevel level) { current_level.store(level, std::memory_order_relaxed); }

LogLevel parse_log_level(const char* text) {
  if (text == nullptr) return LogLevel::kError;
  if (std::strcmp(text, "off") == 0) return LogLevel::kOff;
  if (std::strcmp(text, "info") == 0) return LogLevel::kInfo;
  if (std::strcmp(text, "debug") == 0) return LogLevel::kDebug;
  return LogLevel::kError;
}

namespace detail {

void log_write(LogLevel level, const char* text, std::size_t length) {
  static constexpr const char* kNames[] = {"off", "error", "info", "debug"};
  char line[640];
  int n = snprintf(line, sizeof line, "softxe[%d] %s: %.*s\n", getpid(), kNames[static_cast<std::size_t>(level)],
                   static_cast<int>(length), text);
  if (n <= 0) return;
  auto size = static_cast<std::size_t>(n) < sizeof line ? static_cast<std::size_t>(n) : sizeof line - 1;
  auto ignored = write(STDERR_FILENO, line, size);
  static_cast<void>(ignored);
}

}  // namespace detail
}  // namespace softxe
