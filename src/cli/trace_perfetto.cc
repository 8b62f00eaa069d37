#include "cli/trace_perfetto.h"

#include <fmt/format.h>

#include <algorithm>
#include <fstream>
#include <map>
#include <protozero/pbf_writer.hpp>
#include <set>
#include <unordered_map>

#include "cli/trace_text.h"

namespace softxe::trace {

namespace {

// Field numbers of perfetto.protos, as its documentation has them.
enum TraceField : protozero::pbf_tag_type { kPacket = 1 };
enum PacketField : protozero::pbf_tag_type { kTimestamp = 8, kSequence = 10, kTrackEvent = 11, kTrackDescriptor = 60 };
enum DescriptorField : protozero::pbf_tag_type { kUuid = 1, kName = 2, kProcess = 3, kParent = 5, kCounter = 8 };
enum ProcessField : protozero::pbf_tag_type { kPid = 1, kProcessName = 6 };
enum EventField : protozero::pbf_tag_type {
  kAnnotation = 4,
  kType = 9,
  kTrackUuid = 11,
  kCategories = 22,
  kEventName = 23,
  kCounterValue = 30,
  kFlows = 47,
  kEndingFlows = 48,
};
enum AnnotationField : protozero::pbf_tag_type { kStringValue = 6, kAnnotationName = 10 };
enum class Slice : std::int32_t { kBegin = 1, kEnd = 2, kInstant = 3, kCounter = 4 };

constexpr std::uint32_t kOneSequence = 1;

/// Where an arrow from a cause begins that has effects on other tracks.
bool begins_flow(EventKind kind) { return kind == EventKind::kExec || kind == EventKind::kRangeDie; }
bool ends_flow(EventKind kind) { return kind == EventKind::kJobBegin || kind == EventKind::kRangeCollect; }

class Timeline {
 public:
  explicit Timeline(const std::map<std::uint16_t, ProcessInfo>& processes) : processes_(processes) {
    for (const auto& [process, info] : processes_) describe_process(process, info);
  }

  void take(const NumberedEvent& e) {
    last_ns_ = std::max(last_ns_, e.event.time_ns);
    switch (e.event.kind) {
      case EventKind::kJobBegin: return begin_job(e);
      case EventKind::kJobEnd: return end_job(e);
      case EventKind::kKernelBegin: return begin_kernel(e);
      case EventKind::kKernelEnd: return end_kernel(e);
      case EventKind::kFaultBegin: return begin_fault(e);
      case EventKind::kFaultEnd: return end_fault(e);
      default: break;
    }
    put(e, thread_track(e), Slice::kInstant);
    count_vram(e);
  }

  std::string finish() {
    // What never ended ends with the trace.
    for (auto& [key, open] : open_) {
      for (; open.depth > 0; --open.depth) end_slice(open.track, last_ns_);
    }
    return std::move(bytes_);
  }

 private:
  using Key = std::pair<std::uint16_t, std::uint64_t>;  ///< process, number of an event or of a thread
  struct Open {
    std::uint64_t track = 0;
    int depth = 0;
  };

  void describe_process(std::uint16_t process, const ProcessInfo& info) {
    std::string descriptor;
    protozero::pbf_writer track(descriptor);
    track.add_uint64(kUuid, process_track(process));
    {
      protozero::pbf_writer of(track, kProcess);
      of.add_int32(kPid, static_cast<std::int32_t>(info.pid));
      of.add_string(kProcessName, info.exe.substr(info.exe.rfind('/') + 1));
    }
    add_descriptor(descriptor);
  }
  static std::uint64_t process_track(std::uint16_t process) { return 1 + std::uint64_t{process}; }

  std::uint64_t new_track(std::uint16_t process, const std::string& name) {
    std::string descriptor;
    protozero::pbf_writer track(descriptor);
    const std::uint64_t uuid = next_track_++;
    track.add_uint64(kUuid, uuid);
    track.add_string(kName, name);
    track.add_uint64(kParent, process_track(process));
    add_descriptor(descriptor);
    return uuid;
  }
  std::uint64_t thread_track(const NumberedEvent& e) {
    auto [it, fresh] = threads_.try_emplace({e.process, e.event.thread}, 0);
    if (fresh) it->second = new_track(e.process, fmt::format("thread {}", e.event.thread));
    return it->second;
  }

  // --- slices
  // ---------------------------------------------------------------------------------------------------------

  /// Jobs of one engine that run in turns overlap: each has a lane for itself.
  void begin_job(const NumberedEvent& e) {
    const std::string engine = engine_text(word_low(e.event.word), word_high(e.event.word) & 0xff);
    std::size_t lane = 0;
    while (taken_.contains({e.process, engine, lane})) ++lane;
    taken_.insert({e.process, engine, lane});
    auto [it, fresh] = lanes_.try_emplace({e.process, engine, lane}, 0);
    if (fresh) it->second = new_track(e.process, lane == 0 ? engine : fmt::format("{} ({})", engine, lane + 1));
    const Key key{e.process, e.event.seq};
    open_[key] = {it->second, 1};
    lane_of_[key] = {e.process, engine, lane};
    put(e, it->second, Slice::kBegin);
  }
  void end_job(const NumberedEvent& e) {
    const Key key{e.process, e.event.word};
    auto open = open_.find(key);
    if (open == open_.end()) return;
    for (; open->second.depth > 0; --open->second.depth) end_slice(open->second.track, e.event.time_ns);
    taken_.erase(lane_of_[key]);
    open_.erase(open);
  }
  void begin_kernel(const NumberedEvent& e) {
    auto job = open_.find({e.process, e.event.parent});
    if (job == open_.end()) return put(e, thread_track(e), Slice::kInstant);
    job->second.depth += 1;
    job_of_kernel_[{e.process, e.event.seq}] = e.event.parent;
    put(e, job->second.track, Slice::kBegin);
  }
  void end_kernel(const NumberedEvent& e) {
    auto kernel = job_of_kernel_.find({e.process, e.event.word});
    if (kernel == job_of_kernel_.end()) return;
    auto job = open_.find({e.process, kernel->second});
    job_of_kernel_.erase(kernel);
    if (job == open_.end() || job->second.depth < 2) return;
    job->second.depth -= 1;
    end_slice(job->second.track, e.event.time_ns);
  }
  /// A thread serves one fault at a time. Keys of threads and of events do not meet: the one has a bit that no number
  /// has.
  static Key fault_key(const NumberedEvent& e) { return {e.process, std::uint64_t{e.event.thread} | 1ull << 63}; }
  void begin_fault(const NumberedEvent& e) {
    Open& open = open_[fault_key(e)];
    open.track = thread_track(e);
    open.depth += 1;
    put(e, open.track, Slice::kBegin);
  }
  void end_fault(const NumberedEvent& e) {
    Open& open = open_[fault_key(e)];
    if (open.depth == 0) return;
    open.depth -= 1;
    end_slice(open.track, e.event.time_ns);
  }

  // --- packets
  // --------------------------------------------------------------------------------------------------------

  void put(const NumberedEvent& e, std::uint64_t track, Slice slice) {
    std::string packet;
    protozero::pbf_writer out(packet);
    out.add_uint64(kTimestamp, e.event.time_ns);
    out.add_uint32(kSequence, kOneSequence);
    {
      protozero::pbf_writer event(out, kTrackEvent);
      event.add_enum(kType, static_cast<std::int32_t>(slice));
      event.add_uint64(kTrackUuid, track);
      event.add_string(kCategories, "softxe");
      event.add_string(kEventName, name_of(e.event.kind));
      {
        protozero::pbf_writer annotation(event, kAnnotation);
        annotation.add_string(kAnnotationName, "what");
        annotation.add_string(kStringValue, sentence_of(e.event));
      }
      const std::uint64_t process_bits = std::uint64_t{e.process} << 48;
      if (begins_flow(e.event.kind)) event.add_fixed64(kFlows, e.event.seq | process_bits);
      if (ends_flow(e.event.kind) && e.event.parent != kNoEvent) {
        event.add_fixed64(kEndingFlows, e.event.parent | process_bits);
      }
    }
    add_packet(packet);
  }
  void end_slice(std::uint64_t track, std::uint64_t time_ns) {
    std::string packet;
    protozero::pbf_writer out(packet);
    out.add_uint64(kTimestamp, time_ns);
    out.add_uint32(kSequence, kOneSequence);
    {
      protozero::pbf_writer event(out, kTrackEvent);
      event.add_enum(kType, static_cast<std::int32_t>(Slice::kEnd));
      event.add_uint64(kTrackUuid, track);
    }
    add_packet(packet);
  }
  void count_vram(const NumberedEvent& e) {
    const bool out = e.event.kind == EventKind::kMigrate && e.event.err == 0;
    if (!out && e.event.kind != EventKind::kHome) return;
    auto& [track, bytes] = vram_[e.process];
    if (track == 0) {
      track = next_track_++;
      std::string descriptor;
      protozero::pbf_writer writer(descriptor);
      writer.add_uint64(kUuid, track);
      writer.add_string(kName, "VRAM of migrated pages");
      writer.add_uint64(kParent, process_track(e.process));
      writer.add_message(kCounter, std::string());
      add_descriptor(descriptor);
    }
    bytes = out ? bytes + e.event.size : bytes - std::min(bytes, e.event.size);
    std::string packet;
    protozero::pbf_writer writer(packet);
    writer.add_uint64(kTimestamp, e.event.time_ns);
    writer.add_uint32(kSequence, kOneSequence);
    {
      protozero::pbf_writer event(writer, kTrackEvent);
      event.add_enum(kType, static_cast<std::int32_t>(Slice::kCounter));
      event.add_uint64(kTrackUuid, track);
      event.add_int64(kCounterValue, static_cast<std::int64_t>(bytes));
    }
    add_packet(packet);
  }
  void add_descriptor(const std::string& descriptor) {
    std::string packet;
    protozero::pbf_writer out(packet);
    out.add_uint32(kSequence, kOneSequence);
    out.add_message(kTrackDescriptor, descriptor);
    add_packet(packet);
  }
  void add_packet(const std::string& packet) { protozero::pbf_writer(bytes_).add_message(kPacket, packet); }

  using Lane = std::tuple<std::uint16_t, std::string, std::size_t>;
  const std::map<std::uint16_t, ProcessInfo>& processes_;
  std::string bytes_;
  std::uint64_t last_ns_ = 0;
  std::uint64_t next_track_ = 1ull << 32;  ///< behind those of processes
  std::map<std::pair<std::uint16_t, std::uint32_t>, std::uint64_t> threads_;
  std::map<Lane, std::uint64_t> lanes_;
  std::set<Lane> taken_;
  std::map<Key, Lane> lane_of_;
  std::map<Key, Open> open_;
  std::map<Key, std::uint64_t> job_of_kernel_;
  std::map<std::uint16_t, std::pair<std::uint64_t, std::uint64_t>> vram_;  ///< track, bytes
};

}  // namespace

std::string perfetto_bytes(TraceReader& trace) {
  Timeline timeline(trace.processes());
  trace.for_each([&](const NumberedEvent& e) {
    timeline.take(e);
    return true;
  });
  return timeline.finish();
}

Status write_perfetto(TraceReader& trace, const std::string& path) {
  const std::string bytes = perfetto_bytes(trace);
  std::ofstream out(path, std::ios::binary | std::ios::trunc);
  out.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  out.flush();
  return out ? Status{} : fail(EIO, "the timeline cannot be written");
}

}  // namespace softxe::trace
