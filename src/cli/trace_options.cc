#include "cli/trace_options.h"

#include <fmt/format.h>

#include <string_view>

#include "cli/scenario_text.h"
#include "cli/trace_text.h"
#include "cli/words.h"

namespace softxe::trace {

std::optional<std::uint64_t> number_of_text(std::string_view text) { return scenario::parse_number(text); }

tl::expected<Filter, std::string> Filter::parse(const FilterText& text) {
  Filter filter;
  std::string_view left = text.kinds;
  while (!left.empty()) {
    const std::size_t comma = std::min(left.find(','), left.size());
    const std::string_view name = left.substr(0, comma);
    const auto kind = kind_named(name);
    if (!kind) {
      std::vector<std::string_view> names;
      for (std::size_t i = 1; i < kEventKinds.size(); ++i) names.emplace_back(kEventKinds[i].name);
      return tl::make_unexpected(
          fmt::format("no kind of event is called '{}'{}", name, cli::did_you_mean(name, names)));
    }
    filter.kinds_.insert(*kind);
    left.remove_prefix(std::min(comma + 1, left.size()));
  }
  if (!text.address.empty()) {
    const std::size_t plus = std::min(text.address.find('+'), text.address.size());
    const auto start = number_of_text(text.address.substr(0, plus));
    const auto size =
        plus == text.address.size() ? std::optional(std::uint64_t{1}) : number_of_text(text.address.substr(plus + 1));
    if (!start || !size || *size == 0) {
      return tl::make_unexpected(fmt::format("'{}' is no address and no A+SIZE", text.address));
    }
    filter.interval_ = {*start, *size};
  }
  filter.asid_ = text.asid;
  constexpr double kNsPerSecond = 1e9;
  if (text.since) filter.since_ns_ = static_cast<std::uint64_t>(*text.since * kNsPerSecond);
  if (text.until) filter.until_ns_ = static_cast<std::uint64_t>(*text.until * kNsPerSecond);
  return filter;
}

bool Filter::wants(const Event& event, std::uint64_t origin_ns) const {
  if (!kinds_.empty() && !kinds_.contains(event.kind)) return false;
  if (asid_ && event.asid != *asid_) return false;
  const std::uint64_t ns = event.time_ns - std::min(event.time_ns, origin_ns);
  if (ns < since_ns_ || ns > until_ns_) return false;
  if (!interval_) return true;
  const auto [start, size] = *interval_;
  const std::uint64_t bytes = event.size != 0 ? event.size : event.address != 0 ? 1 : 0;
  return event.address < start + size && start < event.address + bytes;
}

}  // namespace softxe::trace
