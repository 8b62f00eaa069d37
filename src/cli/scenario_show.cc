#include "cli/scenario_show.h"

#include <fmt/format.h>

#include "base/counters.h"
#include "cli/scenario_check.h"

namespace softxe::scenario {

namespace {

using Lines = std::vector<std::string>;

/// One line for each run of neighbours that look the same; `look` answers for the page at an address.
template <typename Look>
Result<Lines> page_runs(Span span, Look look) {
  constexpr std::uint64_t kPage = 4096;
  Lines lines;
  std::string running;
  std::uint64_t since = span.start;
  const auto close = [&](std::uint64_t end) {
    if (end > since) lines.push_back(fmt::format("[{:#x}..{:#x} {}]", since, end, running));
    since = end;
  };
  for (std::uint64_t at = span.start; at < span.end(); at += kPage) {
    SX_TRY(const std::string now, look(at));
    if (now != running) close(at);
    running = now;
  }
  close(span.end());
  return lines;
}

Lines counters_of(ScenarioWorld& world, const std::string& part) {
  Lines lines;
  for (const char* name : kCounterNames) {
    const auto value = world.counter(name);
    const bool wanted = std::string_view(name).find(part) != std::string_view::npos;
    // All that are not zero; those that are asked for by name in any case.
    if (wanted && value && (*value != 0 || !part.empty())) lines.push_back(fmt::format("{} = {}", name, *value));
  }
  return lines;
}

}  // namespace

Result<Lines> show_world(ScenarioWorld& world, const Show& what) {
  Lines lines;
  switch (what.what) {
    case Show::What::kVmas: {
      SX_TRY(const auto vmas, world.vmas(what.gpu.vm));
      for (const VmaInfo& vma : vmas) lines.push_back(show(vma));
      return lines;
    }
    case Show::What::kRanges: {
      SX_TRY(const auto ranges, world.ranges(what.gpu.vm));
      for (const RangeInfo& range : ranges) {
        const bool apart = what.span && (range.span.start >= what.span->end() || range.span.end() <= what.span->start);
        if (!apart) lines.push_back(show(range));
      }
      return lines;
    }
    case Show::What::kPages:
      return page_runs(*what.span, [&](std::uint64_t at) { return world.page(what.process, at); });
    case Show::What::kPtes:
      return page_runs(*what.span, [&](std::uint64_t at) -> Result<std::string> {
        SX_TRY(const PteInfo pte, world.pte(what.gpu, at));
        return show(pte);
      });
    case Show::What::kCounters: return counters_of(world, what.text);
    case Show::What::kEvents: break;
  }
  return lines;
}

}  // namespace softxe::scenario
