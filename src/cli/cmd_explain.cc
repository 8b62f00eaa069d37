// `softxe explain`, `softxe diff` and `softxe view`: questions to what was recorded.
#include <fmt/format.h>

#include <charconv>
#include <cstdio>
#include <fstream>
#include <nlohmann/json.hpp>

#include "cli/commands.h"
#include "cli/report.h"
#include "cli/report_check.h"
#include "cli/trace_diff.h"
#include "cli/trace_explain.h"
#include "cli/trace_options.h"
#include "cli/trace_reader.h"
#include "cli/trace_view.h"

namespace softxe::cli {

namespace {

/// Null: no JSON, so perhaps a trace.
nlohmann::json report_in(const std::string& path) {
  std::ifstream in(path);
  auto report = nlohmann::json::parse(in, nullptr, false);
  return report.is_discarded() ? nlohmann::json() : report;
}

/// EINVAL in words.
tl::expected<trace::Tolerances, std::string> tolerances_of(const std::vector<std::string>& texts) {
  trace::Tolerances tolerances;
  for (const std::string& text : texts) {
    const std::size_t equals = text.find('=');
    std::string number = equals == std::string::npos ? text : text.substr(equals + 1);
    if (number.ends_with('%')) number.pop_back();
    double percent = 0;
    const auto [end, error] = std::from_chars(number.data(), number.data() + number.size(), percent);
    if (error != std::errc() || end != number.data() + number.size()) {
      return tl::make_unexpected(fmt::format("'{}' is no percentage and no COUNTER=PERCENT", text));
    }
    if (equals == std::string::npos) {
      tolerances.all = percent;
    } else {
      tolerances.of_counter[text.substr(0, equals)] = percent;
    }
  }
  return tolerances;
}

}  // namespace

int explain(const ExplainOptions& options) {
  auto reader = trace::TraceReader::open(options.file);
  if (!reader) return give_up("explain", {kExitUsage, options.file + ": " + reader.error().why});
  if (!(*reader)->cut_off().empty()) fmt::print(stderr, "softxe explain: {}\n", (*reader)->cut_off());
  switch (options.theme) {
    case ExplainOptions::Theme::kReset: fmt::print("{}", explain_theme(**reader, trace::Theme::kReset)); return 0;
    case ExplainOptions::Theme::kMoved: fmt::print("{}", explain_theme(**reader, trace::Theme::kMoved)); return 0;
    case ExplainOptions::Theme::kFailed: fmt::print("{}", explain_theme(**reader, trace::Theme::kFailed)); return 0;
    case ExplainOptions::Theme::kAddress: break;
  }
  const auto address = trace::number_of_text(options.address);
  if (!address) return give_up("explain", {kExitUsage, fmt::format("'{}' is no address", options.address)});
  trace::ExplainAddress question{.address = *address};
  if (options.at) {
    const auto since_start = static_cast<std::uint64_t>(*options.at * 1e9);
    question.until_ns = (*reader)->head().value("started_ns", std::uint64_t{0}) + since_start;
  }
  fmt::print("{}", explain_address(**reader, question));
  return 0;
}

int diff(const DiffOptions& options) {
  const auto tolerances = tolerances_of(options.tolerances);
  if (!tolerances) return give_up("diff", {kExitUsage, tolerances.error()});
  const nlohmann::json first = report_in(options.first);
  const nlohmann::json second = report_in(options.second);
  std::string text;
  for (const auto& [path, report] : {std::pair{&options.first, &first}, std::pair{&options.second, &second}}) {
    if (report->is_null()) continue;
    const std::string wrong = wrong_form(*report, kReportSchema);
    if (!wrong.empty()) return give_up("diff", {kExitUsage, *path + ": " + wrong});
  }
  if (first.is_object() && second.is_object()) {
    text = trace::diff_reports(first, second, *tolerances);
  } else {
    auto one = trace::TraceReader::open(options.first);
    auto other = trace::TraceReader::open(options.second);
    if (!one || !other) return give_up("diff", {kExitUsage, "two reports or two traces are compared"});
    text = trace::diff_traces(**one, **other);
  }
  fmt::print("{}", text);
  return text.empty() ? 0 : 1;
}

int view(const ViewOptions& options) {
  auto reader = trace::TraceReader::open(options.file);
  if (!reader) return give_up("view", {kExitUsage, options.file + ": " + reader.error().why});
  if (!(*reader)->cut_off().empty()) fmt::print(stderr, "softxe view: {}\n", (*reader)->cut_off());
  if (const Status made = trace::write_view(**reader, options.out); !made)
    return give_up("view", {kExitUsage, made.error().why});
  return 0;
}

}  // namespace softxe::cli
