// What an event says, in words: one line for `softxe trace`, a sentence for `softxe explain`.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/event.h"

namespace softxe::trace {

/// The event as a sentence without time and numbers: "moved to VRAM of tile 0: 2M at 0x7f0000000000, gpu-fault".
std::string sentence_of(const Event& event);

/// Attributes as MemAttr::as_word() packs them.
std::string attributes_text(std::uint64_t word);
/// 4K, 2M, 12345 B.
std::string size_text(std::uint64_t bytes);
/// "rcs0" for an engine's class and instance.
std::string engine_text(std::uint32_t engine_class, std::uint32_t instance);
std::string place_text(EventPlace place);

/// How lines are written.
struct LineStyle {
  std::uint64_t origin_ns = 0;  ///< time 0.000000 of a line
};
/// One line: time, thread, number and parent, kind, what it says.
std::string line_of(std::uint32_t pid, const Event& event, const LineStyle& style);

std::optional<EventKind> kind_named(std::string_view name);

}  // namespace softxe::trace
