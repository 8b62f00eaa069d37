#include "cli/scenario_check.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "cli/scenario_text.h"

namespace softxe::scenario {
namespace {

constexpr const char* kAtomicNames[] = {"undefined", "device", "global", "cpu"};
constexpr const char* kKindNames[] = {"mirror", "null", "bo", "userptr"};

std::string show(const Place& place) {
  std::string prefix = place.device.empty() ? "" : place.device + "/";
  switch (place.kind) {
    case Place::Kind::kSystem: return "system";
    case Place::Kind::kDefaultDevice: return "device";
    case Place::Kind::kVram: return fmt::format("{}vram{}", prefix, place.tile);
  }
  return "?";
}

template <typename T>
void add_flag(std::string& text, const char* name, const T& set) {
  if (set) text += fmt::format(" +{}", name);
}

/// Non-default attributes with a leading blank each; "default" when there are none.
std::string show_attributes(const VmaInfo& vma) {
  std::string text;
  if (vma.kind != VmaInfo::Kind::kMirror) {
    text += fmt::format(" {}", kKindNames[static_cast<unsigned>(vma.kind)]);
  }
  if (vma.atomic != AtomicAccess::kUndefined) {
    text += fmt::format(" atomic={}", kAtomicNames[static_cast<unsigned>(vma.atomic)]);
  }
  if (!(vma.preferred == Place{})) text += fmt::format(" preferred={}", show(vma.preferred));
  if (vma.policy != MigrationPolicy::kAllPages) text += " policy=system";
  if (vma.pat != vma.default_pat) text += fmt::format(" pat={}", vma.pat);
  if (text.empty()) text = " default";
  add_flag(text, "readonly", vma.read_only);
  add_flag(text, "autoreset", vma.autoreset);
  add_flag(text, "dumpable", vma.dumpable);
  return text;
}

bool flag_holds(const std::optional<bool>& expected, bool actual) { return !expected || *expected == actual; }

bool attributes_match(const VmaPattern& expected, const VmaInfo& actual) {
  const Attrs& attrs = expected.attrs;
  return expected.kind == actual.kind && attrs.atomic.value_or(AtomicAccess::kUndefined) == actual.atomic &&
         attrs.preferred.value_or(Place{}) == actual.preferred &&
         attrs.policy.value_or(MigrationPolicy::kAllPages) == actual.policy &&
         attrs.pat.value_or(actual.default_pat) == actual.pat && flag_holds(expected.read_only, actual.read_only) &&
         flag_holds(expected.autoreset, actual.autoreset) && flag_holds(expected.dumpable, actual.dumpable);
}

std::string show_flag(const std::optional<bool>& flag, const char* name) {
  return flag ? fmt::format(" {}{}", *flag ? '+' : '-', name) : "";
}

std::string show(const VmaPattern& pattern, std::uint64_t end) {
  VmaInfo as_info;
  as_info.kind = pattern.kind;
  as_info.atomic = pattern.attrs.atomic.value_or(AtomicAccess::kUndefined);
  as_info.preferred = pattern.attrs.preferred.value_or(Place{});
  as_info.policy = pattern.attrs.policy.value_or(MigrationPolicy::kAllPages);
  std::string text = show_attributes(as_info);
  if (pattern.attrs.pat) {
    std::string pat = fmt::format(" pat={}", *pattern.attrs.pat);
    text = text == " default" ? pat : text + pat;
  }
  return fmt::format("[{:#x}..{:#x}{}{}{}{}]", pattern.start, end, text, show_flag(pattern.read_only, "readonly"),
                     show_flag(pattern.autoreset, "autoreset"), show_flag(pattern.dumpable, "dumpable"));
}

template <typename T, typename Show>
std::string lines_of(const std::vector<T>& items, Show show_item) {
  std::string text;
  for (const T& item : items) text += "\n    " + show_item(item);
  return items.empty() ? "\n    (none)" : text;
}

}  // namespace

std::string show(const VmaInfo& vma) {
  return fmt::format("[{:#x}..{:#x}{}]", vma.span.start, vma.span.end(), show_attributes(vma));
}

std::string show(const RangeInfo& range) {
  return fmt::format("[{:#x}+{:#x}{}{}{}]", range.span.start, range.span.size, range.dead ? " dead" : " live",
                     range.mapped ? " mapped" : " unmapped", range.vram ? " vram" : " system");
}

std::string show(const PteInfo& pte) {
  if (!pte.present) return "none";
  return fmt::format("{} {} entry={:#x}", pte.vram ? "vram" : "system", pte.writable ? "rw" : "ro", pte.entry_bytes);
}

std::string check_vmas(const std::vector<VmaPattern>& expected, const std::vector<VmaInfo>& actual,
                       std::uint64_t vm_size) {
  bool same = expected.size() == actual.size();
  for (std::size_t i = 0; same && i < expected.size(); ++i) {
    same = expected[i].start == actual[i].span.start && expected[i].end.value_or(vm_size) == actual[i].span.end() &&
           attributes_match(expected[i], actual[i]);
  }
  if (same) return {};
  return "VMAs differ\n  expected:" +
         lines_of(expected, [vm_size](const VmaPattern& p) { return show(p, p.end.value_or(vm_size)); }) +
         "\n  actual:" + lines_of(actual, [](const VmaInfo& v) { return show(v); });
}

std::string check_attrs(const ExpectAttrs& expected, const std::vector<VmaInfo>& actual) {
  for (const VmaInfo& vma : actual) {
    if (expected.address < vma.span.start || expected.address >= vma.span.end()) continue;
    if (attributes_match(expected.pattern, vma)) return {};
    VmaPattern pattern = expected.pattern;
    pattern.start = vma.span.start;
    return fmt::format("attributes differ\n  expected: {}\n  actual:   {}", show(pattern, vma.span.end()), show(vma));
  }
  return fmt::format("no VMA covers {:#x}", expected.address);
}

std::string check_ranges(const ExpectRanges& expected, const std::vector<RangeInfo>& all) {
  std::vector<RangeInfo> actual;
  for (const RangeInfo& range : all) {
    if (expected.within && (range.span.start >= expected.within->end() || range.span.end() <= expected.within->start)) {
      continue;
    }
    actual.push_back(range);
  }
  bool same = expected.ranges.size() == actual.size();
  for (std::size_t i = 0; same && i < actual.size(); ++i) {
    const RangePattern& pattern = expected.ranges[i];
    same = pattern.span.start == actual[i].span.start && pattern.span.size == actual[i].span.size &&
           flag_holds(pattern.dead, actual[i].dead) && flag_holds(pattern.mapped, actual[i].mapped) &&
           flag_holds(pattern.vram, actual[i].vram);
  }
  if (same) return {};
  auto word = [](const std::optional<bool>& flag, const char* yes, const char* no) {
    return flag ? fmt::format(" {}", *flag ? yes : no) : std::string();
  };
  auto show_pattern = [&](const RangePattern& p) {
    return fmt::format("[{:#x}+{:#x}{}{}{}]", p.span.start, p.span.size, word(p.dead, "dead", "live"),
                       word(p.mapped, "mapped", "unmapped"), word(p.vram, "vram", "system"));
  };
  return "ranges differ\n  expected:" + lines_of(expected.ranges, show_pattern) +
         "\n  actual:" + lines_of(actual, [](const RangeInfo& r) { return show(r); });
}

std::string check_pte(const ExpectPtes& expected, std::uint64_t address, const PteInfo& actual) {
  bool same =
      flag_holds(expected.present, actual.present) &&
      (!actual.present || (flag_holds(expected.writable, actual.writable) && flag_holds(expected.vram, actual.vram) &&
                           expected.entry_bytes.value_or(actual.entry_bytes) == actual.entry_bytes));
  if (same) return {};
  std::string wanted = *expected.present ? "present" : "none";
  if (expected.vram) wanted += *expected.vram ? " vram" : " system";
  if (expected.writable) wanted += *expected.writable ? " rw" : " ro";
  if (expected.entry_bytes) wanted += fmt::format(" entry={:#x}", *expected.entry_bytes);
  return fmt::format("the PTE of {:#x} differs\n  expected: {}\n  actual:   {}", address, wanted, show(actual));
}

std::string check_number(Relation relation, std::uint64_t expected, std::uint64_t actual) {
  static constexpr const char* kSigns[] = {"", "at least ", "at most "};
  bool holds = relation == Relation::kEqual     ? actual == expected
               : relation == Relation::kAtLeast ? actual >= expected
                                                : actual <= expected;
  if (holds) return {};
  return fmt::format("expected {}{}, found {}", kSigns[static_cast<unsigned>(relation)], expected, actual);
}

}  // namespace softxe::scenario
