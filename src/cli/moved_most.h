// Which memory of a run's processes moved most, for the summary: adds up the events of pages that go to VRAM and come
// back, and hands every event on to whoever records them.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string>

#include "cli/trace_reader.h"
#include "cli/trace_writer.h"

namespace softxe::cli {

/// Owned by the run; used by the thread that drains its events only: no lock.
class MovedMost final : public trace::EventSink {
 public:
  /// `next` may be null.
  explicit MovedMost(std::unique_ptr<trace::EventSink> next) : next_(std::move(next)) {}

  void take(std::uint16_t process, std::span<const Event> events) override;
  void take_stacks(std::uint16_t process, std::span<const StackRecord> stacks) override;
  void inform(std::uint16_t process, const nlohmann::json& what) override;
  void flush() override;
  Status finish() override;

  /// The three mappings (or pieces of memory that no mapping was seen for) that most bytes of moved, most first: pid,
  /// start, size, name, to_vram_bytes, to_system_bytes. Empty when nothing moved.
  nlohmann::json top_three() const;

 private:
  struct Moved {
    std::uint64_t size = 0;  ///< of the memory
    std::uint64_t to_vram_bytes = 0;
    std::uint64_t to_system_bytes = 0;
  };
  struct Process {
    trace::ProcessInfo info{};
    std::map<std::uint64_t, Moved> moved{};  ///< by its start
  };
  /// Mappings of one name that touch are one: the kernel splits them where the engine registers memory.
  static trace::ProcessInfo joined(const trace::ProcessInfo& info);

  const std::unique_ptr<trace::EventSink> next_;
  std::map<std::uint16_t, Process> processes_;
};

}  // namespace softxe::cli
