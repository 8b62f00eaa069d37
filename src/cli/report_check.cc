#include "cli/report_check.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <charconv>
#include <optional>

namespace softxe::cli {

namespace {

using nlohmann::json;

enum class Kind { kNumber, kText, kObject, kArray, kCounters };
enum class Presence { kAlways, kSometimes };

/// A member that is read somewhere.
struct Member {
  const char* name;
  Kind kind;
  Presence presence = Presence::kAlways;
};

constexpr Member kReport[] = {{"processes", Kind::kArray},
                              {"total", Kind::kCounters},
                              {"run", Kind::kObject, Presence::kSometimes},
                              {"duration_ns", Kind::kNumber, Presence::kSometimes},
                              {"moved_most", Kind::kArray, Presence::kSometimes}};
constexpr Member kProcess[] = {{"pid", Kind::kNumber},    {"exe", Kind::kText},
                               {"profile", Kind::kText},  {"rung", Kind::kText},
                               {"devices", Kind::kArray}, {"kernel_failures", Kind::kArray, Presence::kSometimes}};
constexpr Member kDevice[] = {{"index", Kind::kNumber}, {"counters", Kind::kCounters}, {"vms", Kind::kArray}};
constexpr Member kVm[] = {{"asid", Kind::kNumber}, {"counters", Kind::kCounters}};
constexpr Member kFailure[] = {
    {"kernel", Kind::kText}, {"instruction", Kind::kText}, {"text", Kind::kText}, {"reason", Kind::kText}};
constexpr Member kRun[] = {{"device_count", Kind::kNumber},
                           {"vram_bytes", Kind::kNumber},
                           {"milliseconds", Kind::kNumber, Presence::kSometimes}};
constexpr Member kMoved[] = {{"pid", Kind::kNumber},           {"start", Kind::kNumber},
                             {"size", Kind::kNumber},          {"name", Kind::kText},
                             {"to_vram_bytes", Kind::kNumber}, {"to_system_bytes", Kind::kNumber}};

bool is_a(const json& value, Kind kind) {
  switch (kind) {
    case Kind::kNumber: return value.is_number_unsigned();
    case Kind::kText: return value.is_string();
    case Kind::kObject: return value.is_object();
    case Kind::kArray: return value.is_array();
    case Kind::kCounters: break;
  }
  if (!value.is_object()) return false;
  for (const auto& [name, number] : value.items()) {
    if (!number.is_number_unsigned()) return false;
  }
  return true;
}

const char* kind_text(Kind kind) {
  switch (kind) {
    case Kind::kNumber: return "a number";
    case Kind::kText: return "a text";
    case Kind::kObject: return "an object";
    case Kind::kArray: return "a list";
    case Kind::kCounters: break;
  }
  return "an object of numbers";
}

template <std::size_t N>
std::string wrong_members(const json& object, const std::string& where, const Member (&members)[N]) {
  if (!object.is_object()) return fmt::format("{}: not an object", where);
  for (const Member& member : members) {
    const auto found = object.find(member.name);
    if (found == object.end()) {
      if (member.presence == Presence::kSometimes) continue;
      return fmt::format("{}: no \"{}\"", where, member.name);
    }
    if (!is_a(*found, member.kind)) return fmt::format("{}.{}: not {}", where, member.name, kind_text(member.kind));
  }
  return {};
}

/// Each element of a list that is there.
template <std::size_t N, typename Deeper>
std::string wrong_elements(const json& object, const std::string& where, const char* name, const Member (&members)[N],
                           Deeper deeper) {
  const auto list = object.find(name);
  if (list == object.end()) return {};
  for (std::size_t i = 0; i < list->size(); ++i) {
    const std::string here = fmt::format("{}.{}[{}]", where, name, i);
    if (std::string wrong = wrong_members((*list)[i], here, members); !wrong.empty()) return wrong;
    if (std::string wrong = deeper((*list)[i], here); !wrong.empty()) return wrong;
  }
  return {};
}

constexpr auto kNoDeeper = [](const json&, const std::string&) { return std::string(); };

std::string wrong_process(const json& process, const std::string& where) {
  std::string wrong = wrong_elements(process, where, "kernel_failures", kFailure, kNoDeeper);
  if (!wrong.empty()) return wrong;
  return wrong_elements(process, where, "devices", kDevice, [](const json& device, const std::string& here) {
    return wrong_elements(device, here, "vms", kVm, kNoDeeper);
  });
}

constexpr std::string_view kSchemaStem = "softxe-report-";

/// 0: not a schema of a report.
unsigned version_of(std::string_view schema) {
  unsigned version = 0;
  if (!schema.starts_with(kSchemaStem)) return 0;
  schema.remove_prefix(kSchemaStem.size());
  const auto [end, error] = std::from_chars(schema.data(), schema.data() + schema.size(), version);
  return error == std::errc() && end == schema.data() + schema.size() ? version : 0;
}

}  // namespace

std::string wrong_form(const json& report, std::string_view schema) {
  if (!report.is_object()) return "not a report of softxe";
  const auto named = report.find("schema");
  if (named == report.end() || !named->is_string()) return "not a report of softxe: it has no \"schema\"";
  const auto& text = named->get_ref<const std::string&>();
  const unsigned version = version_of(text);
  if (version == 0) return fmt::format("schema \"{}\" is not that of a report of softxe", text);
  if (version > version_of(schema)) {
    return fmt::format("schema \"{}\" is newer than this softxe, which reads up to \"{}\"", text, schema);
  }
  if (std::string wrong = wrong_members(report, "report", kReport); !wrong.empty()) return wrong;
  if (report.contains("run")) {
    if (std::string wrong = wrong_members(report["run"], "report.run", kRun); !wrong.empty()) return wrong;
  }
  if (std::string wrong = wrong_elements(report, "report", "moved_most", kMoved, kNoDeeper); !wrong.empty())
    return wrong;
  return wrong_elements(report, "report", "processes", kProcess, wrong_process);
}

}  // namespace softxe::cli
