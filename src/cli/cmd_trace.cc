// `softxe trace`: events of a file, or of a program while it runs, one line each; tables of them.
#include <fmt/format.h>

#include <cstdio>
#include <cstring>
#include <nlohmann/json.hpp>
#include <optional>

#include "cli/commands.h"
#include "cli/output_file.h"
#include "cli/run.h"
#include "cli/trace_check.h"
#include "cli/trace_options.h"
#include "cli/trace_perfetto.h"
#include "cli/trace_reader.h"
#include "cli/trace_sqlite.h"
#include "cli/trace_summary.h"
#include "cli/trace_text.h"

namespace softxe::cli {

namespace {

using trace::NumberedEvent;

int fail_with(const std::string& why) { return give_up("trace", {kExitUsage, why}); }

/// What nobody should miss: events that are not there.
void warn_of_losses(const trace::ProcessInfo& info) {
  if (info.dropped != 0) fmt::print(stderr, "softxe trace: process {} lost {} events\n", info.pid, info.dropped);
  if (info.stacks_dropped != 0)
    fmt::print(stderr, "softxe trace: process {} lost {} call stacks\n", info.pid, info.stacks_dropped);
}

/// Where lines go.
class Out {
 public:
  /// `path` empty: `otherwise`.
  Answer<void> open(const std::string& path, std::FILE* otherwise, OutputFile::Arrival arrival) {
    file_ = otherwise;
    if (path.empty()) return {};
    auto opened = OutputFile::open(path);
    if (!opened) return tl::unexpected(opened.error());
    owned_.emplace(std::move(*opened));
    auto stream = owned_->stream(arrival);
    if (!stream) return tl::unexpected(stream.error());
    file_ = *stream;
    return {};
  }
  Answer<void> finish() { return owned_ ? owned_->finish() : Answer<void>{}; }
  void line(const std::string& text) { std::fprintf(file_, "%s\n", text.c_str()); }

 private:
  std::FILE* file_ = nullptr;
  std::optional<OutputFile> owned_;
};

constexpr const char* kCsvHead =
    "process,seq,parent,time_ns,thread,device,asid,kind,cause,address,size,from,to,err,word,text";

std::string quoted(const std::string& text) {
  std::string safe = "\"";
  for (char c : text) safe += c == '"' ? "\"\"" : std::string(1, c);
  return safe + '"';
}

std::string csv_line(const NumberedEvent& e) {
  const Event& v = e.event;
  return fmt::format("{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{}", e.process, v.seq, v.parent, v.time_ns, v.thread,
                     v.device, v.asid, name_of(v.kind), name_of(v.cause), v.address, v.size,
                     static_cast<unsigned>(v.from), static_cast<unsigned>(v.to), v.err, v.word,
                     quoted(trace::sentence_of(v)));
}

/// `stack`: null when there is none.
std::string json_line(const NumberedEvent& e, const std::vector<std::string>* stack) {
  const Event& v = e.event;
  nlohmann::ordered_json line = {{"process", e.process},
                                 {"seq", v.seq},
                                 {"parent", v.parent},
                                 {"time_ns", v.time_ns},
                                 {"thread", v.thread},
                                 {"device", v.device},
                                 {"asid", v.asid},
                                 {"kind", name_of(v.kind)},
                                 {"cause", name_of(v.cause)},
                                 {"address", v.address},
                                 {"size", v.size},
                                 {"from", static_cast<unsigned>(v.from)},
                                 {"to", static_cast<unsigned>(v.to)},
                                 {"err", v.err},
                                 {"word", v.word},
                                 {"text", trace::sentence_of(v)}};
  if (stack != nullptr) line["stack"] = *stack;
  return line.dump();
}

/// Prints what passes the filter, in the form that was asked for.
class Printer {
 public:
  Printer(Out& out, TraceOptions::Form form, trace::Filter filter, std::uint64_t origin_ns)
      : out_(out), form_(form), filter_(std::move(filter)), origin_ns_(origin_ns) {
    if (form_ == TraceOptions::Form::kCsv) out_.line(kCsvHead);
  }
  /// `stack`: what is known of where it was called, innermost first; null: nothing.
  void take(const NumberedEvent& e, std::uint32_t pid, const std::vector<std::string>* stack) {
    if (!filter_.wants(e.event, origin_ns_)) return;
    switch (form_) {
      case TraceOptions::Form::kText: {
        out_.line(trace::line_of(pid, e.event, {.origin_ns = origin_ns_}));
        if (stack == nullptr) return;
        for (const std::string& frame : *stack) out_.line("    at " + frame);
        return;
      }
      case TraceOptions::Form::kCsv: return out_.line(csv_line(e));
      case TraceOptions::Form::kJsonLines: return out_.line(json_line(e, stack));
      case TraceOptions::Form::kSummary: return summary_.take(e);
    }
  }
  void finish(const std::map<std::uint16_t, trace::ProcessInfo>& processes) {
    if (form_ == TraceOptions::Form::kSummary) out_.line(summary_.text(processes));
  }

 private:
  Out& out_;
  const TraceOptions::Form form_;
  const trace::Filter filter_;
  const std::uint64_t origin_ns_;
  trace::Summary summary_;
};

/// Call stacks of processes in words.
class StackNames {
 public:
  void learn(std::uint16_t process, trace::TraceReader::Stacks stacks) {
    processes_[process].stacks.merge(std::move(stacks));
  }
  /// Null: there is none. Good until the next call.
  const std::vector<std::string>* of(const NumberedEvent& e, const trace::ProcessInfo& info) {
    Process& process = processes_[e.process];
    const auto stack = process.stacks.find(e.event.seq);
    if (stack == process.stacks.end()) return nullptr;
    if (process.symbols == nullptr || process.files != info.files.size()) {
      process.symbols = std::make_unique<trace::Symbols>(info.files);
      process.files = info.files.size();
    }
    words_.clear();
    for (std::uint64_t address : stack->second) words_.push_back(process.symbols->text_of(address));
    process.stacks.erase(stack);
    return &words_;
  }

 private:
  struct Process {
    trace::TraceReader::Stacks stacks{};
    std::unique_ptr<trace::Symbols> symbols{};
    std::size_t files = 0;  ///< that the symbols are of
  };
  std::map<std::uint16_t, Process> processes_;
  std::vector<std::string> words_;
};

/// Prints while the program runs. A ring that was full shows at the end.
class LiveSink final : public trace::EventSink {
 public:
  LiveSink(std::unique_ptr<Out> out, TraceOptions::Form form, trace::Filter filter, std::uint64_t origin_ns)
      : out_(std::move(out)), printer_(*out_, form, std::move(filter), origin_ns) {}
  void take(std::uint16_t process, std::span<const Event> events) override {
    const trace::ProcessInfo& info = processes_[process];
    for (const Event& event : events) {
      const NumberedEvent numbered{process, event};
      printer_.take(numbered, info.pid, stacks_.of(numbered, info));
    }
  }
  void take_stacks(std::uint16_t process, std::span<const StackRecord> stacks) override {
    trace::TraceReader::Stacks found;
    for (const StackRecord& stack : stacks)
      found[stack.event].assign(stack.frames.begin(), stack.frames.begin() + stack.depth);
    stacks_.learn(process, std::move(found));
  }
  void inform(std::uint16_t process, const nlohmann::json& what) override {
    trace::ProcessInfo& info = processes_[process];
    info.learn(what);
    if (what.contains("dropped")) warn_of_losses(info);
  }
  Status finish() override {
    printer_.finish(processes_);
    if (const auto whole = out_->finish(); !whole) {
      complain("trace", whole.error().why);
      return fail(EIO, "the lines are not whole");
    }
    return {};
  }

 private:
  std::unique_ptr<Out> out_;
  std::map<std::uint16_t, trace::ProcessInfo> processes_;
  StackNames stacks_;
  Printer printer_;
};

int trace_program(TraceOptions options, const trace::Filter& filter) {
  auto out = std::make_unique<Out>();
  if (const auto able = out->open(options.out, stderr, OutputFile::Arrival::kAtOnce); !able) {
    return give_up("trace", able.error());
  }
  return run_with(options.run, [&](const nlohmann::json& head) -> Result<std::unique_ptr<trace::EventSink>> {
    return std::unique_ptr<trace::EventSink>(
        std::make_unique<LiveSink>(std::move(out), options.form, filter, head.value("started_ns", std::uint64_t{0})));
  });
}

void warn_of_losses(trace::TraceReader& reader) {
  if (!reader.cut_off().empty()) fmt::print(stderr, "softxe trace: {}\n", reader.cut_off());
  for (const auto& [process, info] : reader.processes()) warn_of_losses(info);
}

int print_file(const TraceOptions& options, const trace::Filter& filter, trace::TraceReader& reader) {
  Out out;
  if (const auto able = out.open(options.out, stdout, OutputFile::Arrival::kWhenWhole); !able) {
    return give_up("trace", able.error());
  }
  Printer printer(out, options.form, filter, reader.head().value("started_ns", std::uint64_t{0}));
  StackNames stacks;
  if (options.stacks) {
    for (const auto& [process, info] : reader.processes()) stacks.learn(process, reader.stacks_of(process));
  }
  reader.for_each([&](const NumberedEvent& e) {
    const trace::ProcessInfo& info = reader.processes().at(e.process);
    printer.take(e, info.pid, stacks.of(e, info));
    return true;
  });
  printer.finish(reader.processes());
  if (const auto whole = out.finish(); !whole) return give_up("trace", whole.error());
  return 0;
}

}  // namespace

int trace_run_or_file(TraceOptions options) {
  const auto filter = trace::Filter::parse({.kinds = options.kinds,
                                            .address = options.address,
                                            .asid = options.asid,
                                            .since = options.since,
                                            .until = options.until});
  if (!filter) return fail_with(filter.error());
  if (options.file.empty()) return trace_program(std::move(options), *filter);
  auto reader = trace::TraceReader::open(options.file);
  if (!reader) return fail_with(options.file + ": " + reader.error().why);
  warn_of_losses(**reader);
  if (options.stacks && !(*reader)->has_stacks()) {
    return fail_with(options.file + ": it has no call stacks; softxe run --stacks --trace records them");
  }
  if (options.check) {
    const std::string broken = trace::check_trace(**reader);
    fmt::print("{}\n", broken.empty() ? "events fit together and to the report" : broken);
    return broken.empty() ? 0 : 1;
  }
  if (!options.sqlite.empty()) {
    if (const Status made = trace::write_sqlite(**reader, options.sqlite); !made) return fail_with(made.error().why);
    return 0;
  }
  if (!options.perfetto.empty()) {
    if (const Status made = trace::write_perfetto(**reader, options.perfetto); !made)
      return fail_with(made.error().why);
    return 0;
  }
  return print_file(options, *filter, **reader);
}

}  // namespace softxe::cli
