#include "cli/moved_most.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <vector>

namespace softxe::cli {
namespace {

using nlohmann::json;

Event moved(EventKind kind, std::uint64_t address, std::uint64_t size) {
  Event event;
  event.kind = kind;
  event.address = address;
  event.size = size;
  return event;
}

TEST(MovedMost, TheThreeMappingsWithMostBytesInOrder) {
  MovedMost most(nullptr);
  most.inform(0, {{"pid", 7},
                  {"mappings",
                   {{{"start", 0x10000}, {"size", 0x10000}, {"name", "[heap]"}},
                    {{"start", 0x20000}, {"size", 0x10000}, {"name", "[heap]"}},
                    {{"start", 0x30000}, {"size", 0x10000}, {"name", ""}}}}});
  const std::vector<Event> events = {
      moved(EventKind::kMigrate, 0x30000, 0x8000),   moved(EventKind::kMigrate, 0x10000, 0x4000),
      moved(EventKind::kMigrate, 0x21000, 0x4000),   moved(EventKind::kHome, 0x21000, 0x1000),
      moved(EventKind::kMigrate, 0x900000, 0x1000),  moved(EventKind::kMigrate, 0xa00000, 0x2000),
      moved(EventKind::kUnmap, 0x900000, 0x1000000),
  };
  most.take(0, events);
  Event failed = moved(EventKind::kMigrate, 0x900000, 0x100000);
  failed.err = 12;
  most.take(0, std::vector<Event>{failed});
  const json expected = {{{"pid", 7},
                          {"start", 0x10000},
                          {"size", 0x20000},
                          {"name", "[heap]"},
                          {"to_vram_bytes", 0x8000},
                          {"to_system_bytes", 0x1000}},
                         {{"pid", 7},
                          {"start", 0x30000},
                          {"size", 0x10000},
                          {"name", ""},
                          {"to_vram_bytes", 0x8000},
                          {"to_system_bytes", 0}},
                         {{"pid", 7},
                          {"start", 0xa00000},
                          {"size", 0x2000},
                          {"name", ""},
                          {"to_vram_bytes", 0x2000},
                          {"to_system_bytes", 0}}};
  EXPECT_EQ(most.top_three(), expected);
}

TEST(MovedMost, NothingMovedIsNoRow) {
  MovedMost most(nullptr);
  most.inform(0, {{"pid", 7}});
  EXPECT_EQ(most.top_three(), json::array());
}

}  // namespace
}  // namespace softxe::cli
