// RunDrain: empties the rings of a run's processes into a sink while they run, and says what it learns about them.
//
// One thread, which blocks all signals. A process that has ended, or has become another program, is read to its last
// published event, whatever killed it; then the memory of its ring goes back.
#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <thread>
#include <vector>

#include "cli/symbols.h"
#include "cli/trace_writer.h"
#include "preload/slots.h"

namespace softxe::trace {

class RunDrain {
 public:
  /// Of preload::EventFile and, or -1, preload::StackFile.
  struct Files {
    int events = -1;
    int stacks = -1;
  };
  /// Borrows everything.
  RunDrain(const preload::SlotFile& slots, Files files, EventSink& sink);
  ~RunDrain();
  RunDrain(const RunDrain&) = delete;
  RunDrain& operator=(const RunDrain&) = delete;

  /// After the program was forked: a fork knows one thread only.
  void start();
  /// The run is over: reads what is left and ends the thread. Idempotent.
  void finish();

 private:
  struct Source {
    EventRing* ring = nullptr;
    StackRing* stacks = nullptr;
    std::vector<LoadedFile> files{};  ///< told so far
    std::uint32_t pid = 0;
    bool over = false;  ///< read to its end
    unsigned quiet_rounds = 0;
    std::uint64_t torn = 0;
    std::uint64_t maps_read_ns = 0;
    std::map<std::uint64_t, std::uint64_t> mappings{};  ///< told so far: start, size
  };

  void run();
  void round();
  void meet_newcomers();
  void read(std::uint16_t process, Source& source, RingWriters writers);
  bool has_ended(std::uint16_t process, const Source& source) const;
  void read_calls(std::uint16_t process, Source& source, RingWriters writers);
  void name_files(std::uint16_t process, Source& source);
  void say_last(std::uint16_t process, Source& source);
  void name_mappings(std::uint16_t process, Source& source);

  const preload::SlotFile& slots_;
  const Files files_;
  EventSink& sink_;
  std::vector<Source> sources_;
  std::vector<Event> events_;
  std::vector<StackRecord> stacks_;
  std::uint64_t flushed_ns_ = 0;
  std::atomic<bool> stop_{false};
  std::thread thread_;
};

}  // namespace softxe::trace
