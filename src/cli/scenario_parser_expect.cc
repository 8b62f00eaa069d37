// The `expect` verb of scenario files.
#include <fmt/format.h>

#include "cli/scenario_parser.h"

namespace softxe::scenario::detail {

Command Parser::expect() {
  std::string what = word("vmas, attrs, ranges, page, pages, ptes, counter, vm, queue or job");
  if (what == "vmas") return expect_vmas();
  if (what == "attrs") return expect_attrs();
  if (what == "ranges") return expect_ranges();
  if (what == "page" || what == "pages") return expect_pages(what);
  if (what == "ptes") return expect_ptes();
  if (what == "counter") return expect_counter();
  if (what == "queue") return expect_queue();
  if (what == "job") return expect_job();
  if (what == "vm") {
    std::string vm = word("a VM");
    return ExpectVm{vm, word("open, banned or closed")};
  }
  error(fmt::format("'{}' cannot be expected", what));
  return Mark{};
}

/// "=", ">=", "<=" as a word of its own.
Relation Parser::relation() {
  if (accept(">=")) return Relation::kAtLeast;
  if (accept("<=")) return Relation::kAtMost;
  require("=");
  return Relation::kEqual;
}

void Parser::vma_words(VmaPattern& pattern) {
  while (ok() && !line_done() && peek().text != "]" && peek().text != "->") {
    if (attribute(pattern.attrs) || flag("default") || flag("mirror")) continue;
    if (flag("bo")) {
      pattern.kind = VmaInfo::Kind::kBo;
    } else if (flag("null")) {
      pattern.kind = VmaInfo::Kind::kNull;
    } else if (flag("userptr")) {
      pattern.kind = VmaInfo::Kind::kUserptr;
    } else if (flag("+readonly")) {
      pattern.read_only = true;
    } else if (flag("-readonly")) {
      pattern.read_only = false;
    } else if (flag("+autoreset")) {
      pattern.autoreset = true;
    } else if (flag("-autoreset")) {
      pattern.autoreset = false;
    } else if (flag("+dumpable")) {
      pattern.dumpable = true;
    } else if (flag("-dumpable")) {
      pattern.dumpable = false;
    } else if (ok()) {
      error(fmt::format("'{}' is no attribute", peek().text));
    }
  }
}

/// "[" A+SIZE | A..B | A.. words "]"
VmaPattern Parser::vma_pattern() {
  VmaPattern result;
  require("[");
  std::string text = word("an interval");
  if (std::size_t dots = text.find(".."); dots != std::string::npos) {
    result.start = number_from(std::string_view(text).substr(0, dots), "the start");
    if (dots + 2 < text.size()) {
      result.end = number_from(std::string_view(text).substr(dots + 2), "the end");
    }
  } else if (std::size_t plus = text.rfind('+'); plus != std::string::npos) {
    result.start = number_from(std::string_view(text).substr(0, plus), "the start");
    result.end = result.start + number_from(std::string_view(text).substr(plus + 1), "the size");
  } else if (ok()) {
    error(fmt::format("an interval is A+SIZE, A..B or A.., not '{}'", text));
  }
  vma_words(result);
  require("]");
  return result;
}

Command Parser::expect_vmas() {
  std::string vm = word("a VM");
  if (accept("count")) {
    Relation how = relation();
    return ExpectVmaCount{vm, how, number("a count")};
  }
  ExpectVmas result{vm, {}};
  require("{");
  skip_blank_lines();
  while (ok() && peek().text == "[") {
    result.vmas.push_back(vma_pattern());
    skip_blank_lines();
  }
  require("}");
  return result;
}

Command Parser::expect_attrs() {
  ExpectAttrs result;
  result.vm = word("a VM");
  result.address = number("an address");
  vma_words(result.pattern);
  return result;
}

Command Parser::expect_ranges() {
  ExpectRanges result;
  result.vm = word("a VM");
  if (accept("in")) result.within = span();
  require("{");
  skip_blank_lines();
  while (ok() && accept("[")) {
    std::string text = word("an interval");
    std::size_t plus = text.rfind('+');
    RangePattern range;
    if (plus == std::string::npos) {
      error(fmt::format("a range is A+SIZE, not '{}'", text));
      break;
    }
    range.span.start = number_from(std::string_view(text).substr(0, plus), "the start");
    range.span.size = number_from(std::string_view(text).substr(plus + 1), "the size");
    while (ok() && peek().text != "]") {
      if (flag("dead")) {
        range.dead = true;
      } else if (flag("live")) {
        range.dead = false;
      } else if (flag("mapped")) {
        range.mapped = true;
      } else if (flag("unmapped")) {
        range.mapped = false;
      } else if (flag("vram")) {
        range.vram = true;
      } else if (flag("system")) {
        range.vram = false;
      } else {
        error(fmt::format("'{}' is no state of a range", peek().text));
      }
    }
    require("]");
    result.ranges.push_back(range);
    skip_blank_lines();
  }
  require("}");
  return result;
}

Command Parser::expect_pages(const std::string& what) {
  ExpectPages result;
  if (auto process = option("process")) result.process = *process;
  result.span.start = number("an address");
  result.span.size = what == "pages" ? number("a size") : 1;
  require("in");
  result.where = word("system, vram0, zero, hole, swapped, guard or unmapped");
  return result;
}

Command Parser::expect_ptes() {
  ExpectPtes result;
  result.gpu = gpu_target();
  result.span = span();
  while (ok() && !line_done()) {
    if (flag("none")) {
      result.present = false;
    } else if (flag("present")) {
      result.present = true;
    } else if (flag("vram")) {
      result.vram = result.present = true;
    } else if (flag("system")) {
      result.vram = false;
      result.present = true;
    } else if (flag("rw")) {
      result.writable = result.present = true;
    } else if (flag("ro")) {
      result.writable = false;
      result.present = true;
    } else if (auto entry = option("entry")) {
      result.entry_bytes = number_from(*entry, "entry");
      result.present = true;
    } else {
      no_more_words();
      break;
    }
  }
  if (ok() && !result.present) error("none, present, vram, system, rw, ro or entry= is expected");
  return result;
}

/// NAME = N, NAME >= N, NAME <= N; NAME +N: grown by N since the last mark.
Command Parser::expect_counter() {
  ExpectCounter result{word("a counter's name"), Relation::kEqual, 0, false};
  if (!line_done() && peek().text.starts_with("+")) {
    result.since_mark = true;
    std::string text = word("the growth");
    result.value = number_from(std::string_view(text).substr(1), "the growth");
    return result;
  }
  result.relation = relation();
  result.value = number("a value");
  return result;
}

}  // namespace softxe::scenario::detail
