#include "cli/expect.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string_view>

#include "base/counters.h"
#include "cli/trace_options.h"
#include "cli/words.h"

namespace softxe::cli {

namespace {

struct OpName {
  std::string_view name;
  Expectation::Op op;
};
// Longer ones first: "<=" begins with "<".
constexpr std::array kOps{OpName{"==", Expectation::Op::kEqual},  OpName{"!=", Expectation::Op::kUnequal},
                          OpName{"<=", Expectation::Op::kAtMost}, OpName{">=", Expectation::Op::kAtLeast},
                          OpName{"<", Expectation::Op::kLess},    OpName{">", Expectation::Op::kMore},
                          OpName{"=", Expectation::Op::kEqual}};

/// Numbers of a report's total that are no counters.
constexpr std::array<std::string_view, 1> kOtherNumbers{"vram_peak_bytes"};

std::string_view trimmed(std::string_view text) {
  const auto is_blank = [](char c) { return c == ' ' || c == '\t'; };
  while (!text.empty() && is_blank(text.front())) text.remove_prefix(1);
  while (!text.empty() && is_blank(text.back())) text.remove_suffix(1);
  return text;
}

bool holds(Expectation::Op op, std::uint64_t value, std::uint64_t number) {
  switch (op) {
    case Expectation::Op::kEqual: return value == number;
    case Expectation::Op::kUnequal: return value != number;
    case Expectation::Op::kLess: return value < number;
    case Expectation::Op::kAtMost: return value <= number;
    case Expectation::Op::kMore: return value > number;
    case Expectation::Op::kAtLeast: return value >= number;
  }
  return false;
}

std::string xml(std::string_view text) {
  std::string safe;
  for (char c : text) {
    switch (c) {
      case '<': safe += "&lt;"; break;
      case '>': safe += "&gt;"; break;
      case '&': safe += "&amp;"; break;
      case '"': safe += "&quot;"; break;
      case '\n': safe += "&#10;"; break;  // of an attribute: a plain one is read as a blank
      default: safe += static_cast<unsigned char>(c) < ' ' ? ' ' : c;
    }
  }
  return safe;
}

}  // namespace

tl::expected<Expectation, std::string> Expectation::parse(const std::string& text) {
  const std::size_t at = text.find_first_of("<>=!");
  const auto op = std::ranges::find_if(kOps, [&](const OpName& one) {
    return at != std::string::npos && std::string_view(text).substr(at).starts_with(one.name);
  });
  if (op == kOps.end()) {
    return tl::make_unexpected(fmt::format("'{}' is not COUNTER OP NUMBER (OP: == != < <= > >=)", text));
  }
  Expectation one{.text = text, .counter = std::string(trimmed(std::string_view(text).substr(0, at))), .op = op->op};
  std::vector<std::string_view> names(kCounterNames.begin(), kCounterNames.end());
  names.insert(names.end(), kOtherNumbers.begin(), kOtherNumbers.end());
  if (std::ranges::find(names, one.counter) == names.end()) {
    return tl::make_unexpected(
        fmt::format("there is no counter '{}'{}", one.counter, did_you_mean(one.counter, names)));
  }
  const auto number = trace::number_of_text(trimmed(std::string_view(text).substr(at + op->name.size())));
  if (!number) return tl::make_unexpected(fmt::format("'{}' does not end with a number", text));
  one.number = *number;
  return one;
}

std::vector<Judged> judge(const nlohmann::json& report, const Wanted& wanted) {
  std::vector<Judged> verdicts;
  for (const Expectation& one : wanted.expectations) {
    const auto value = report.at("total").value(one.counter, std::uint64_t{0});
    verdicts.push_back({.name = one.text,
                        .holds = holds(one.op, value, one.number),
                        .text = fmt::format("{}: it is {}", one.text, value)});
  }
  if (wanted.rung.empty()) return verdicts;
  const auto& processes = report.at("processes");
  Judged migrates{.name = "migration " + wanted.rung, .holds = !processes.empty(), .text = {}};
  migrates.text = migrates.name + (processes.empty() ? ": no process used a device" : "");
  for (const auto& process : processes) {
    const std::string rung = process.value("rung", std::string());
    if (rung == wanted.rung) continue;
    migrates.holds = false;
    migrates.text += fmt::format(": process {} had {}", process.value("pid", 0u), rung.empty() ? "none" : rung);
  }
  verdicts.push_back(std::move(migrates));
  return verdicts;
}

std::string junit_text(const std::string& suite, const std::vector<Judged>& cases) {
  const auto skipped = std::ranges::count(cases, true, &Judged::skipped);
  const auto failures = std::ranges::count(cases, false, &Judged::holds) - skipped;
  std::string text = fmt::format(
      "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuite name=\"{}\" tests=\"{}\" failures=\"{}\" "
      "skipped=\"{}\">\n",
      xml(suite), cases.size(), failures, skipped);
  for (const Judged& one : cases) {
    text += fmt::format("  <testcase classname=\"softxe\" name=\"{}\"", xml(one.name));
    if (one.holds) {
      text += "/>\n";
    } else {
      text += fmt::format(">\n    <{} message=\"{}\"/>\n  </testcase>\n", one.skipped ? "skipped" : "failure",
                          xml(one.text));
    }
  }
  return text + "</testsuite>\n";
}

tl::expected<Wanted, std::string> wanted_of(const TestOptions& options) {
  Wanted wanted{.expectations = {}, .rung = options.rung};
  for (const std::string& text : options.expect) {
    auto one = Expectation::parse(text);
    if (!one) return tl::make_unexpected(one.error());
    wanted.expectations.push_back(std::move(*one));
  }
  if (!options.junit.empty()) {
    auto file = OutputFile::open(options.junit);
    if (!file) return tl::make_unexpected(file.error().why);
    wanted.junit.emplace(std::move(*file));
  }
  return wanted;
}

Verdict pass_judgement(const char* verb, Wanted& wanted, const std::vector<Judged>& cases) {
  Verdict verdict = Verdict::kGood;
  for (const Judged& one : cases) {
    if (one.holds) continue;
    verdict = Verdict::kBad;
    complain(verb, "expected " + one.text);
  }
  if (!wanted.junit) return verdict;
  const auto written = wanted.junit->write(junit_text(fmt::format("softxe {}", verb), cases));
  if (written) return verdict;
  complain(verb, written.error().why);
  return verdict == Verdict::kBad ? verdict : Verdict::kUntold;
}

}  // namespace softxe::cli
