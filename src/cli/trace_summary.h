// `softxe trace -c`: how often, how much, how long, and which mappings moved most.
#pragma once

#include <map>
#include <string>
#include <tuple>
#include <unordered_map>

#include "cli/trace_reader.h"

namespace softxe::trace {

/// Takes events of any number of processes in order; memory grows with the 2 MiB blocks that ever moved.
class Summary {
 public:
  void take(const NumberedEvent& event);
  std::string text(const std::map<std::uint16_t, ProcessInfo>& processes) const;

 private:
  struct Row {
    std::uint64_t count = 0;
    std::uint64_t bytes = 0;
    std::uint64_t us = 0;
    std::uint64_t failed = 0;
  };
  struct Traffic {
    std::uint64_t to_vram_bytes = 0;
    std::uint64_t home_bytes = 0;
    std::uint64_t returns = 0;  ///< moves to VRAM of what had been there before
    std::uint64_t homes = 0;
  };
  using RowKey = std::tuple<EventKind, EventCause, std::uint64_t>;  ///< size class in bytes; 0: none
  using BlockKey = std::pair<std::uint16_t, std::uint64_t>;         ///< process, 2 MiB block

  std::map<RowKey, Row> rows_;
  std::map<BlockKey, Traffic> blocks_;
};

}  // namespace softxe::trace
