// The `show` verb of scenario files.
#include <fmt/format.h>

#include "cli/scenario_parser.h"

namespace softxe::scenario::detail {

Command Parser::show() {
  const std::string what = word("vmas, ranges, pages, ptes, counters or events");
  Show result;
  if (what == "vmas") {
    result.what = Show::What::kVmas;
    result.gpu.vm = word("a VM");
  } else if (what == "ranges") {
    result.what = Show::What::kRanges;
    result.gpu.vm = word("a VM");
    if (accept("in")) result.span = span();
  } else if (what == "pages") {
    result.what = Show::What::kPages;
    if (auto process = option("process")) result.process = *process;
    result.span = span();
  } else if (what == "ptes") {
    result.what = Show::What::kPtes;
    result.gpu = gpu_target();
    result.span = span();
  } else if (what == "counters") {
    result.what = Show::What::kCounters;
    if (ok() && !line_done()) result.text = word("a part of their names");
  } else if (what == "events") {
    result.what = Show::What::kEvents;
    if (ok() && !line_done()) result.count = number("how many");
  } else {
    error(fmt::format("'{}' cannot be shown: vmas, ranges, pages, ptes, counters or events", what));
  }
  return result;
}

}  // namespace softxe::scenario::detail
