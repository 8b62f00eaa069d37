// Reads a trace file: any part of it, forwards or backwards, with a block in memory at a time.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "base/event.h"
#include "base/result.h"
#include "cli/symbols.h"
#include "cli/trace_format.h"

namespace softxe::trace {

/// A mapping of a client, as the runner saw it.
struct NamedMapping {
  std::uint64_t start = 0;
  std::uint64_t size = 0;
  std::string name;  ///< of the file, or [heap], [stack], [anon]
};

struct ProcessInfo {
  std::uint32_t pid = 0;
  std::string exe;
  std::string rung;
  std::uint64_t dropped = 0;                       ///< events that found the ring full
  std::uint64_t stacks_dropped = 0;                ///< call stacks that found their ring full
  std::uint64_t torn = 0;                          ///< events whose writer was killed while it wrote
  std::map<std::uint64_t, NamedMapping> mappings;  ///< by start; what was there at any time, the newest one
  std::vector<LoadedFile> files;                   ///< with code, of a run that recorded call stacks
  const NamedMapping* mapping_at(std::uint64_t address) const;
  /// What an information block says (docs/TRACE.md 3); what it does not say stays.
  void learn(const nlohmann::json& what);
};

struct NumberedEvent {
  std::uint16_t process;
  const Event& event;
};

class TraceReader {
 public:
  class Cursor;
  /// ENOENT and the like; EINVAL: not a trace, or of a version that this program does not know.
  static Result<std::unique_ptr<TraceReader>> open(const std::string& path);
  ~TraceReader();
  TraceReader(const TraceReader&) = delete;
  TraceReader& operator=(const TraceReader&) = delete;

  const nlohmann::json& head() const { return head_; }
  /// The last thing said about the run; null before its end.
  const nlohmann::json& ending() const { return ending_; }
  const std::map<std::uint16_t, ProcessInfo>& processes() const { return processes_; }
  std::uint64_t event_count() const { return events_; }
  /// Why the file ends before its end, in words; empty when it is whole.
  const std::string& cut_off() const { return cut_off_; }

  bool has_stacks() const;
  /// Of a process, by event: 8 bytes per frame. Innermost first.
  using Stacks = std::map<std::uint64_t, std::vector<std::uint64_t>>;
  Stacks stacks_of(std::uint16_t process);

  /// Every event, processes merged by time. False from `each` ends it.
  void for_each(const std::function<bool(const NumberedEvent&)>& each);
  /// Where a walk through the events of one process begins; the reader outlives it. Holds one block.
  Cursor begin_of(std::uint16_t process);
  /// The events of one process, newest first.
  void for_each_backwards(std::uint16_t process, const std::function<bool(const Event&)>& each);

 private:
  explicit TraceReader(int fd) : fd_(fd) {}
  Status read_head();
  bool read_index();
  void scan();
  void learn(const IndexEntry& block);
  Status read_block(std::uint64_t offset, BlockHead& head, std::vector<std::byte>& raw);
  bool read_at(std::uint64_t offset, std::span<std::byte> to);
  std::vector<Event> events_of(const IndexEntry& block);

  const int fd_;
  std::uint64_t size_ = 0;
  std::uint64_t first_block_ = 0;
  nlohmann::json head_;
  nlohmann::json ending_;
  std::vector<IndexEntry> blocks_;
  std::map<std::uint16_t, ProcessInfo> processes_;
  std::uint64_t events_ = 0;
  std::string cut_off_;
};

/// One event of a process after the other.
class TraceReader::Cursor {
 public:
  Cursor(TraceReader& reader, std::uint16_t process) : reader_(reader), process_(process) { refill(); }
  bool done() const { return at_ == events_.size(); }
  const Event& event() const { return events_[at_]; }
  std::uint16_t process() const { return process_; }
  void advance() {
    if (++at_ == events_.size()) refill();
  }

 private:
  void refill();

  TraceReader& reader_;
  const std::uint16_t process_;
  std::size_t next_block_ = 0;
  std::vector<Event> events_;
  std::size_t at_ = 0;
};

}  // namespace softxe::trace
