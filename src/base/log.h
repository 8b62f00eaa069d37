// One-line log messages on stderr, chosen by SOFTXE_LOG (off, error, info, debug; default error).
//
// Formatting uses fmt into a buffer on the stack and one write(2): safe on any engine thread, under
// any lock below LockRank::kLog, and on the fault thread.
#pragma once

#include <fmt/format.h>
#include <cstdint>

namespace softxe {

enum class LogLevel : std::uint8_t { kOff, kError, kInfo, kDebug };

/// The level in force. Read once from the environment by log_init(); kError before.
LogLevel log_level();
void set_log_level(LogLevel level);
/// Parses a level name; unknown names mean kError.
LogLevel parse_log_level(const char* text);

namespace detail {
void log_write(LogLevel level, const char* text, std::size_t length);
}  // namespace detail

template <typename... Args>
void log(LogLevel level, fmt::format_string<Args...> format, Args&&... args) {
  if (level > log_level()) return;
  char text[512];
  auto end = fmt::format_to_n(text, sizeof text, format, std::forward<Args>(args)...);
  detail::log_write(level, text, end.size < sizeof text ? end.size : sizeof text);
}

#define SX_DEBUG(...) ::softxe::log(::softxe::LogLevel::kDebug, __VA_ARGS__)
#define SX_INFO(...) ::softxe::log(::softxe::LogLevel::kInfo, __VA_ARGS__)
#define SX_ERROR(...) ::softxe::log(::softxe::LogLevel::kError, __VA_ARGS__)

}  // namespace softxe
