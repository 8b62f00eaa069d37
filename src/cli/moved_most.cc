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

void MovedMost::take_stacks(std::uint16_t process, std::span<const StackRecord> stacks) {
  if (next_) next_->take_stacks(process, stacks);
}

void MovedMost::inform(std::uint16_t process, const json& what) {
  processes_[process].info.learn(what);
  if (next_) next_->inform(process, what);
}

void MovedMost::flush() {
  if (next_) next_->flush();
}

Status MovedMost::finish() { return next_ ? next_->finish() : Status{}; }

trace::ProcessInfo MovedMost::joined(const trace::ProcessInfo& info) {
  trace::ProcessInfo result;
  trace::NamedMapping* last = nullptr;
  for (const auto& [start, mapping] : info.mappings) {
    if (last != nullptr && start <= last->start + last->size && last->name == mapping.name) {
      last->size = std::max(last->size, start + mapping.size - last->start);
    } else {
      last = &(result.mappings[start] = mapping);
    }
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
    const trace::ProcessInfo whole = joined(process.info);
    std::map<std::uint64_t, Row> of_process;
    for (const auto& [address, moved] : process.moved) {
      Row piece{.pid = process.info.pid, .start = address, .moved = {.size = moved.size}};
      if (const trace::NamedMapping* mapping = whole.mapping_at(address)) {
        piece.start = mapping->start;
        piece.moved.size = mapping->size;
        piece.name = mapping->name;
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
