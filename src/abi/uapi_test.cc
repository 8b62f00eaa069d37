// uapi.h against tests/data/uapi.json: every constant, enumerator, request word, struct size,
// alignment and field offset, and that neither side has a name the other lacks.
#include "abi/uapi.h"

#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <string>

namespace softxe {
namespace {

using Json = nlohmann::json;

const Json& uapi_json() {
  static const Json json = [] {
    std::ifstream file(SOFTXE_SOURCE_DIR "/tests/data/uapi.json");
    return Json::parse(file);
  }();
  return json;
}

struct FieldLayout {
  std::uint64_t offset = 0;
  std::uint64_t size = 0;
  friend bool operator==(const FieldLayout&, const FieldLayout&) = default;
};
void PrintTo(const FieldLayout& f, std::ostream* out) { *out << "offset " << f.offset << " size " << f.size; }
struct StructLayout {
  std::uint64_t size = 0;
  std::uint64_t align = 0;
  std::map<std::string, FieldLayout> fields;
};

/// What the compiler makes of uapi.h.
struct Compiled {
  std::map<std::string, std::uint64_t> constants;
  std::map<std::string, std::uint64_t> enumerators;
  std::map<std::string, std::uint64_t> ioctls;
  std::map<std::string, StructLayout> structs;
};

struct Name {
  enum class Kind { kConstant, kEnumerator, kIoctl, kStruct, kField } kind;
  const char* name;     ///< of a field: the structure it is in
  const char* path;     ///< of a field, "" else
  std::uint64_t value;  ///< or size
  std::uint64_t place;  ///< of a field its offset, of a structure its alignment
};

constexpr Name kNames[] = {
// Unsigned 32-bit view first: the JSON has 0xffffffff for the two "-1 in a u32" constants.
#define SX_CONSTANT(name) {Name::Kind::kConstant, #name, "", static_cast<std::uint64_t>(name), 0},
#define SX_ENUMERATOR(name) {Name::Kind::kEnumerator, #name, "", static_cast<std::uint64_t>(name), 0},
#define SX_IOCTL(name) {Name::Kind::kIoctl, #name, "", static_cast<std::uint64_t>(name), 0},
#define SX_STRUCT(name) {Name::Kind::kStruct, #name, "", sizeof(name), alignof(name)},
#define SX_FLEXIBLE(type, path) {Name::Kind::kField, #type, #path, 0, offsetof(type, path)},
// Nested paths: sizeof needs an object expression.
#define SX_FIELD(type, path) \
  {Name::Kind::kField, #type, #path, sizeof(static_cast<type*>(nullptr)->path), offsetof(type, path)},
#include "abi/uapi_names.inc"
};

const Compiled& compiled() {
  static const Compiled table = [] {
    Compiled t;
    for (const Name& n : kNames) {
      switch (n.kind) {
        case Name::Kind::kConstant: t.constants[n.name] = n.value; break;
        case Name::Kind::kEnumerator: t.enumerators[n.name] = n.value; break;
        case Name::Kind::kIoctl: t.ioctls[n.name] = n.value; break;
        case Name::Kind::kStruct:
          t.structs[n.name].size = n.value;
          t.structs[n.name].align = n.place;
          break;
        case Name::Kind::kField: t.structs[n.name].fields[n.path] = {n.place, n.value}; break;
      }
    }
    return t;
  }();
  return table;
}

void collect_fields(const Json& fields, const std::string& prefix, std::map<std::string, FieldLayout>& out) {
  for (const Json& field : fields) {
    std::string path = prefix;
    if (!field["name"].is_null()) {
      path += field["name"].get<std::string>();
      out[path] = {field["offset"].get<std::uint64_t>(), field["size"].get<std::uint64_t>()};
    }
    if (!field.contains("fields")) continue;
    std::string below = field["name"].is_null() ? prefix : field.contains("array") ? path + "[0]." : path + ".";
    collect_fields(field["fields"], below, out);
  }
}

TEST(Uapi, EveryConstantHasTheValueOfTheJsonAndNoneIsLeftOut) {
  std::map<std::string, std::uint64_t> wanted;
  for (const auto& group : uapi_json()["constants"])
    for (const auto& [name, entry] : group.items()) wanted[name] = entry["value"];
  EXPECT_GT(wanted.size(), 190u);
  EXPECT_EQ(compiled().constants, wanted);
}

TEST(Uapi, EveryEnumeratorHasTheValueOfTheJson) {
  std::map<std::string, std::uint64_t> wanted;
  for (const auto& [name, entries] : uapi_json()["enums"].items())
    for (const Json& entry : entries) wanted[entry["name"]] = entry["value"];
  EXPECT_EQ(compiled().enumerators, wanted);
}

TEST(Uapi, EveryRequestWordMatches) {
  std::map<std::string, std::uint64_t> wanted;
  for (const Json& ioctl : uapi_json()["ioctls"])
    wanted[ioctl["name"]] = std::stoull(ioctl["request"].get<std::string>(), nullptr, 16);
  EXPECT_EQ(wanted.size(), 57u);
  EXPECT_EQ(compiled().ioctls, wanted);
}

TEST(Uapi, EveryStructHasTheSizeAlignmentAndFieldsOfTheJson) {
  const Json& structs = uapi_json()["structs"];
  EXPECT_EQ(compiled().structs.size(), structs.size());
  for (const auto& [name, entry] : structs.items()) {
    SCOPED_TRACE(name);
    auto found = compiled().structs.find(name);
    ASSERT_NE(found, compiled().structs.end());
    EXPECT_EQ(found->second.size, entry["size"].get<std::uint64_t>());
    EXPECT_EQ(found->second.align, entry["align"].get<std::uint64_t>());
    std::map<std::string, FieldLayout> wanted;
    collect_fields(entry["fields"], "", wanted);
    EXPECT_EQ(found->second.fields, wanted);
  }
}

/// Names of the JSON that uapi.h deliberately leaves out: none. The two string-table macros of the
/// RAS family are listed there as "not listed" and have no number to compare.
TEST(Uapi, OnlyTheStringTablesAreLeftOut) {
  std::set<std::string> left_out;
  for (const Json& name : uapi_json()["string_table_macros_not_listed"]) left_out.insert(name);
  EXPECT_EQ(left_out, (std::set<std::string>{"DRM_XE_RAS_ERROR_COMPONENT_NAMES", "DRM_XE_RAS_ERROR_SEVERITY_NAMES"}));
}

}  // namespace
}  // namespace softxe
