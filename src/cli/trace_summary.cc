#include "cli/trace_summary.h"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "base/address.h"
#include "cli/trace_text.h"

namespace softxe::trace {

namespace {

constexpr std::size_t kMappingsShown = 10;

std::uint64_t size_class(std::uint64_t bytes) {
  if (bytes == 0) return 0;
  return bytes <= kPageSize ? kPageSize : bytes <= k64K ? k64K : bytes <= k2M ? k2M : ~0ull;
}

std::string class_text(std::uint64_t bytes) {
  if (bytes == 0) return "";
  return bytes == ~0ull ? "larger" : size_text(bytes);
}

bool is_move(EventKind kind) { return kind == EventKind::kMigrate || kind == EventKind::kHome; }

}  // namespace

void Summary::take(const NumberedEvent& e) {
  const Event& event = e.event;
  const bool causes_matter = event.kind != EventKind::kBindOp;
  Row& row = rows_[{event.kind, causes_matter ? event.cause : EventCause::kNone,
                    is_move(event.kind) || event.kind == EventKind::kFaultRange ? size_class(event.size) : 0}];
  row.count += 1;
  row.failed += event.err != 0 ? 1 : 0;
  if (!is_move(event.kind) || event.err != 0) return;
  row.bytes += event.size;
  row.us += word_low(event.word);
  Traffic& block = blocks_[{e.process, align_down(event.address, k2M)}];
  if (event.kind == EventKind::kMigrate) {
    block.to_vram_bytes += event.size;
    if (block.homes != 0) block.returns += 1;
    return;
  }
  block.home_bytes += event.size;
  block.homes += 1;
}

std::string Summary::text(const std::map<std::uint16_t, ProcessInfo>& processes) const {
  std::string text = fmt::format("{:<14} {:<14} {:>7} {:>10} {:>8} {:>14} {:>12}\n", "kind", "cause", "size", "count",
                                 "failed", "bytes", "us");
  for (const auto& [key, row] : rows_) {
    const auto& [kind, cause, size] = key;
    text += fmt::format("{:<14} {:<14} {:>7} {:>10} {:>8} {:>14} {:>12}\n", name_of(kind), name_of(cause),
                        class_text(size), row.count, row.failed, row.bytes, row.us);
  }
  // Blocks of one mapping together; a block of none that is known stands for itself.
  std::map<BlockKey, std::pair<std::string, Traffic>> mappings;
  for (const auto& [key, traffic] : blocks_) {
    const auto process = processes.find(key.first);
    const NamedMapping* mapping = process == processes.end() ? nullptr : process->second.mapping_at(key.second);
    if (mapping == nullptr && process != processes.end()) mapping = process->second.mapping_at(key.second + k2M - 1);
    const std::uint64_t start = mapping != nullptr ? mapping->start : key.second;
    auto& [name, sum] = mappings[{key.first, start}];
    name = mapping != nullptr ? fmt::format("{:#x}+{} {}", start, size_text(mapping->size), mapping->name)
                              : fmt::format("{:#x}+2M", start);
    sum.to_vram_bytes += traffic.to_vram_bytes;
    sum.home_bytes += traffic.home_bytes;
    sum.returns += traffic.returns;
  }
  std::vector<std::pair<std::string, Traffic>> ordered;
  for (auto& [key, entry] : mappings) ordered.push_back(entry);
  std::ranges::stable_sort(ordered, std::greater(),
                           [](const auto& e) { return e.second.to_vram_bytes + e.second.home_bytes; });
  if (!ordered.empty()) text += "\nmappings that moved most: to VRAM, back, moves of what had been there before\n";
  for (std::size_t i = 0; i < std::min(ordered.size(), kMappingsShown); ++i) {
    const auto& [name, traffic] = ordered[i];
    text += fmt::format("  {:>10} {:>10} {:>8}  {}\n", size_text(traffic.to_vram_bytes), size_text(traffic.home_bytes),
                        traffic.returns, name);
  }
  return text;
}

}  // namespace softxe::trace
