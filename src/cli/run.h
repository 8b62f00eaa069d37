// A run whose events somebody reads while it lasts: what `softxe run --trace` and `softxe trace -- PROG` are made of.
#pragma once

#include <functional>
#include <memory>

#include "cli/commands.h"
#include "cli/trace_writer.h"

namespace softxe::cli {

/// Makes the sink once it is known what is run; an error ends the run before it begins.
using SinkFactory = std::function<Result<std::unique_ptr<trace::EventSink>>(const nlohmann::json& head)>;

/// As run(); `make_sink` empty: nobody reads.
int run_with(RunOptions options, const SinkFactory& make_sink);

}  // namespace softxe::cli
