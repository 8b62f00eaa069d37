// The story of an address, and of everything of one sort: which event caused which, back to the client.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "cli/trace_reader.h"

namespace softxe::trace {

struct ExplainAddress {
  std::uint64_t address = 0;
  std::uint64_t until_ns = ~0ull;          ///< the story up to this time of the run's clock
  std::optional<std::uint16_t> process{};  ///< none: the first that has the address
};

/// Where the page is, what its attributes are, and what happened to it, newest first, each with what caused it.
std::string explain_address(TraceReader& trace, const ExplainAddress& question);

/// kReset: attributes that went back; kMoved: pages that changed their place; kFailed: whatever was refused.
enum class Theme : std::uint8_t { kReset, kMoved, kFailed };
/// All of it, grouped by what the client did.
std::string explain_theme(TraceReader& trace, Theme theme);

}  // namespace softxe::trace
