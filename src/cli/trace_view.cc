#include "cli/trace_view.h"

#include <fmt/format.h>

#include <array>
#include <cstring>
#include <fstream>
#include <nlohmann/json.hpp>

#include "cli/trace_text.h"
#include "cli/trace_view_page.h"

namespace softxe::trace {

namespace {

/// What the page knows of an event, little endian; its reader is unpack() in trace_view_page.cc.
struct Packed {
  double time_us;
  double address;  ///< exact up to 2^53, which no address of a process reaches
  double size;
  std::uint32_t seq;
  std::uint32_t parent;
  std::uint64_t word;
  std::uint32_t thread;
  std::uint16_t process;
  std::uint16_t err;
  std::uint8_t kind;
  std::uint8_t cause;
  std::uint8_t from;
  std::uint8_t to;
  std::uint32_t asid;
};
static_assert(sizeof(Packed) == 56);

/// Base64, three bytes at a time, whatever the pieces.
class Base64 {
 public:
  explicit Base64(std::ofstream& out) : out_(out) {}
  void add(std::span<const std::byte> bytes) {
    for (std::byte byte : bytes) {
      held_[count_++] = static_cast<std::uint8_t>(byte);
      if (count_ == 3) flush();
    }
  }
  void finish() {
    if (count_ != 0) {
      const std::size_t digits = count_ + 1;
      while (count_ < 3) held_[count_++] = 0;
      flush(digits);
    }
    write();
  }

 private:
  void flush(std::size_t digits = 4) {
    constexpr const char* kDigits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const std::uint32_t bits = held_[0] << 16u | held_[1] << 8u | held_[2];
    for (std::size_t i = 0; i < 4; ++i) text_ += i < digits ? kDigits[bits >> (18 - 6 * i) & 63] : '=';
    count_ = 0;
    if (text_.size() >= kTextMax) write();
  }
  void write() {
    out_.write(text_.data(), static_cast<std::streamsize>(text_.size()));
    text_.clear();
  }
  static constexpr std::size_t kTextMax = 1 << 16;
  std::ofstream& out_;
  std::array<std::uint32_t, 3> held_{};
  std::size_t count_ = 0;
  std::string text_;
};

nlohmann::json facts_of(TraceReader& trace) {
  nlohmann::json processes = nlohmann::json::object();
  for (const auto& [index, info] : trace.processes()) {
    nlohmann::json mappings = nlohmann::json::array();
    for (const auto& [start, mapping] : info.mappings) {
      mappings.push_back({{"start", mapping.start}, {"size", mapping.size}, {"name", mapping.name}});
    }
    processes[std::to_string(index)] = {{"pid", info.pid}, {"exe", info.exe}, {"mappings", mappings}};
  }
  nlohmann::json kinds = nlohmann::json::array();
  for (const EventKindInfo& kind : kEventKinds) kinds.push_back(kind.name);
  nlohmann::json causes = nlohmann::json::array();
  for (const char* cause : kEventCauseNames) causes.push_back(cause);
  return {{"head", trace.head()}, {"processes", processes},     {"kinds", kinds},
          {"causes", causes},     {"cut_off", trace.cut_off()}, {"events", trace.event_count()}};
}

/// JSON inside a script: nothing in it may end the script.
std::string for_script(const nlohmann::json& json) {
  std::string text = json.dump();
  for (std::size_t at = 0; (at = text.find("</", at)) != std::string::npos; at += 3) text.replace(at, 2, "<\\/");
  return text;
}

Packed pack(const NumberedEvent& e, std::uint64_t origin_ns) {
  const Event& v = e.event;
  return {.time_us = static_cast<double>(v.time_ns - std::min(v.time_ns, origin_ns)) / 1000,
          .address = static_cast<double>(v.address),
          .size = static_cast<double>(v.size),
          .seq = static_cast<std::uint32_t>(v.seq),
          .parent = static_cast<std::uint32_t>(v.parent),
          .word = v.word,
          .thread = v.thread,
          .process = e.process,
          .err = v.err,
          .kind = static_cast<std::uint8_t>(v.kind),
          .cause = static_cast<std::uint8_t>(v.cause),
          .from = static_cast<std::uint8_t>(v.from),
          .to = static_cast<std::uint8_t>(v.to),
          .asid = v.asid};
}

}  // namespace

Status write_view(TraceReader& trace, const std::string& path) {
  std::ofstream out(path, std::ios::trunc);
  if (!out) return fail(errno, "the page cannot be made");
  const std::uint64_t origin_ns = trace.head().value("started_ns", std::uint64_t{0});
  out << kViewPageHead << "<script>const FACTS = " << for_script(facts_of(trace)) << ";\nconst DATA = \"";
  Base64 data(out);
  const bool simulated = trace.head().contains("scenarios");
  std::uint64_t count = 0;
  trace.for_each([&](const NumberedEvent& e) {
    Packed packed = pack(e, origin_ns);
    if (simulated) packed.time_us = static_cast<double>(count);  // no time passes there: one after the other
    data.add(std::as_bytes(std::span(&packed, 1)));
    return ++count < kViewEventsMax;
  });
  data.finish();
  out << "\";</script>\n" << kViewPageScript;
  out.flush();
  return out ? Status{} : fail(EIO, "the page cannot be written");
}

}  // namespace softxe::trace
