// Writes a trace file, block by block: what is in the file is whole whenever the writer dies.
//
// Memory: one block of every process that has events waiting (1 MiB), its compressed form, and 32 bytes of index per
// block written, whatever the length of the run.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <span>
#include <string>
#include <vector>

#include "base/call_stack.h"
#include "base/event.h"
#include "base/result.h"
#include "cli/trace_format.h"

struct ZSTD_CCtx_s;

namespace softxe::trace {

/// Receives what a run's processes record. One thread at a time.
class EventSink {
 public:
  virtual ~EventSink() = default;
  /// The next events of a process, in its order.
  virtual void take(std::uint16_t process, std::span<const Event> events) = 0;
  /// Call stacks of a process; each comes before its event.
  virtual void take_stacks(std::uint16_t, std::span<const StackRecord>) {}
  /// Something about a process (docs/TRACE.md 3), or about the run with kAboutRun.
  virtual void inform(std::uint16_t process, const nlohmann::json& what) = 0;
  /// Everything taken so far should be where it belongs.
  virtual void flush() {}
  /// Nothing more comes. The first error there was.
  virtual Status finish() { return {}; }
};
inline constexpr std::uint16_t kAboutRun = 0xffff;

class TraceWriter final : public EventSink {
 public:
  /// Makes the file anew. The errno of the call that fails.
  static Result<std::unique_ptr<TraceWriter>> create(const std::string& path, const nlohmann::json& head);
  /// Without finish(): as if the writer had died.
  ~TraceWriter() override;
  TraceWriter(const TraceWriter&) = delete;
  TraceWriter& operator=(const TraceWriter&) = delete;

  void take(std::uint16_t process, std::span<const Event> events) override;
  void take_stacks(std::uint16_t process, std::span<const StackRecord> stacks) override;
  void inform(std::uint16_t process, const nlohmann::json& what) override;
  /// Blocks that are not full are written, too.
  void flush() override;
  /// Index and tail. The first errno of a write that failed, here or before: the file is not whole then.
  Status finish() override;

 private:
  explicit TraceWriter(int fd);
  void write_events(std::uint16_t process, std::vector<Event>& events);
  void write_block(BlockHead head, std::span<const std::byte> raw);
  void write_all(std::span<const std::byte> bytes);

  const int fd_;
  ZSTD_CCtx_s* const compressor_;
  std::uint64_t offset_ = 0;
  int err_ = 0;
  std::map<std::uint16_t, std::vector<Event>> waiting_;
  std::vector<std::byte> stored_;
  std::vector<IndexEntry> index_;
};

}  // namespace softxe::trace
