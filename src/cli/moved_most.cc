#include "cli/moved_most.h"

#include <algorithm>
#include <nlohmann/json.hpp>

namespace softxe::cli {

using nlohmann::json;

void MovedMost::take(std::uint16_t process, std::span<const Event> events) {
  for (const Event& event : events) {
    if (event.kind != EventKind::kMigrate && event.kind != EventKind::kHome) continue;
    if (event.err != 0) continue;
    Moved& moved = processes_[process].moved[event.address];
    moved.size = std::max(moved.size, event.size);
    (event.kind == EventKind::kMigrate ? moved.to_vram_bytes : moved.to_system_bytes) += event.size;
  }
  if (next_) next_->take(process, events);
}

void MovedMost::inform(std::uint16_t process, const json& what) {
  Process& it = processes_[process];
  it.pid = what.value("pid", it.pid);
  for (const json& mapping : what.value("mappings", json::array())) {
    it.mappings[mapping.value("start", std::uint64_t{0})] = {mapping.value("size", std::uint64_t{0}),
                                                             mapping.value("name", std::string())};
  }
  if (next_) next_->inform(process, what);
}

void MovedMost::flush() {
  if (next_) next_->flush();
}

Status MovedMost::finish() { return next_ ? next_->finish() : Status{}; }

std::map<std::uint64_t, MovedMost::Mapping> MovedMost::joined(const std::map<std::uint64_t, Mapping>& mappings) {
  std::map<std::uint64_t, Mapping> result;
  for (const auto& [start, mapping] : mappings) {
    if (!result.empty()) {
      auto& [last_start, last] = *result.rbegin();
      if (start <= last_start + last.size && last.name == mapping.name) {
        last.size = std::max(last.size, start + mapping.size - last_start);
        continue;
      }
    }
    result.emplace_hint(result.end(), start, mapping);
  }
  return result;
}

json MovedMost::top_three() const {
  struct Row {
    std::uint64_t pid = 0;
    std::uint64_t start = 0;
    Moved moved{};
    std::string name{};
    std::uint64_t bytes() const { return moved.to_vram_bytes + moved.to_system_bytes; }
  };
  std::vector<Row> rows;
  for (const auto& [index, process] : processes_) {
    const auto mappings = joined(process.mappings);
    std::map<std::uint64_t, Row> of_process;
    for (const auto& [address, moved] : process.moved) {
      Row piece{.pid = process.pid, .start = address, .moved = {.size = moved.size}};
      auto after = mappings.upper_bound(address);
      if (after != mappings.begin() && address < std::prev(after)->first + std::prev(after)->second.size) {
        const auto& [start, mapping] = *std::prev(after);
        piece.start = start;
        piece.moved.size = mapping.size;
        piece.name = mapping.name;
      }
      Row& row = of_process.try_emplace(piece.start, piece).first->second;
      row.moved.to_vram_bytes += moved.to_vram_bytes;
      row.moved.to_system_bytes += moved.to_system_bytes;
    }
    for (auto& [start, row] : of_process) rows.push_back(std::move(row));
  }
  std::ranges::stable_sort(rows, std::ranges::greater{}, &Row::bytes);
  rows.resize(std::min<std::size_t>(rows.size(), 3));
  json result = json::array();
  for (const Row& row : rows) {
    result.push_back({{"pid", row.pid},
                      {"start", row.start},
                      {"size", row.moved.size},
                      {"name", row.name},
                      {"to_vram_bytes", row.moved.to_vram_bytes},
                      {"to_system_bytes", row.moved.to_system_bytes}});
  }
  return result;
}

}  // namespace softxe::cli
