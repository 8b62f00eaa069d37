#include "cli/trace_writer.h"

#include <fcntl.h>
#include <unistd.h>
#include <zstd.h>

#include <cerrno>
#include <cstring>
#include <nlohmann/json.hpp>

namespace softxe::trace {

namespace {
constexpr int kLevel = 1;  // the run waits for nothing, but shares its processors with us
}  // namespace

Checksum& Checksum::add(std::span<const std::byte> bytes) {
  constexpr std::uint64_t kPrime = 0x100000001b3u;
  std::size_t at = 0;
  for (; at + 8 <= bytes.size(); at += 8) {
    std::uint64_t word = 0;
    std::memcpy(&word, bytes.data() + at, sizeof word);
    value_ = (value_ ^ word) * kPrime;
    value_ ^= value_ >> 32;  // or high bits of words would never reach low bits
  }
  for (; at < bytes.size(); ++at) value_ = (value_ ^ static_cast<std::uint64_t>(bytes[at])) * kPrime;
  return *this;
}

std::uint64_t checksum_of(BlockHead head, std::span<const std::byte> stored) {
  head.checksum = 0;
  return Checksum().add(std::as_bytes(std::span(&head, 1))).add(stored).value();
}

TraceWriter::TraceWriter(int fd) : fd_(fd), compressor_(ZSTD_createCCtx()) {
  SX_ASSERT(compressor_ != nullptr);
  ZSTD_CCtx_setParameter(compressor_, ZSTD_c_compressionLevel, kLevel);
}

TraceWriter::~TraceWriter() {
  ZSTD_freeCCtx(compressor_);
  close(fd_);
}

Result<std::unique_ptr<TraceWriter>> TraceWriter::create(const std::string& path, const nlohmann::json& head) {
  const int fd = open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (fd < 0) return fail(errno, "the trace file cannot be made");
  std::unique_ptr<TraceWriter> writer(new TraceWriter(fd));
  const std::string text = head.dump();
  const auto bytes = std::as_bytes(std::span(text));
  FileHead file;
  file.json_bytes = static_cast<std::uint32_t>(text.size());
  file.checksum = Checksum().add(bytes).value();
  writer->write_all(std::as_bytes(std::span(&file, 1)));
  writer->write_all(bytes);
  if (writer->err_ != 0) return fail(writer->err_, "the trace file cannot be written");
  return writer;
}

void TraceWriter::write_all(std::span<const std::byte> bytes) {
  while (!bytes.empty() && err_ == 0) {
    const ssize_t done = write(fd_, bytes.data(), bytes.size());
    if (done < 0 && errno == EINTR) continue;
    if (done < 0) {
      err_ = errno;
      return;
    }
    bytes = bytes.subspan(static_cast<std::size_t>(done));
    offset_ += static_cast<std::uint64_t>(done);
  }
}

void TraceWriter::write_block(BlockHead head, std::span<const std::byte> raw) {
  stored_.resize(sizeof head + ZSTD_compressBound(raw.size()));
  const std::size_t size =
      ZSTD_compress2(compressor_, stored_.data() + sizeof head, stored_.size() - sizeof head, raw.data(), raw.size());
  SX_ASSERT(ZSTD_isError(size) == 0);  // the room is enough, and nothing else can fail
  head.raw_bytes = static_cast<std::uint32_t>(raw.size());
  head.stored_bytes = static_cast<std::uint32_t>(size);
  head.checksum = checksum_of(head, std::span(stored_).subspan(sizeof head, size));
  std::memcpy(stored_.data(), &head, sizeof head);
  index_.push_back(entry_of(head, offset_));
  // One call: a writer that is killed leaves whole blocks.
  write_all(std::span(stored_).first(sizeof head + size));
}

void TraceWriter::write_events(std::uint16_t process, std::vector<Event>& events) {
  if (events.empty()) return;
  const BlockHead head{.kind = BlockKind::kEvents,
                       .process = process,
                       .count = static_cast<std::uint32_t>(events.size()),
                       .first_ns = events.front().time_ns,
                       .last_ns = events.back().time_ns};
  write_block(head, std::as_bytes(std::span(events)));
  events.clear();
}

void TraceWriter::take(std::uint16_t process, std::span<const Event> events) {
  std::vector<Event>& waiting = waiting_[process];
  while (!events.empty()) {
    const std::size_t part = std::min(events.size(), kBlockEventsMax - waiting.size());
    waiting.insert(waiting.end(), events.begin(), events.begin() + static_cast<std::ptrdiff_t>(part));
    events = events.subspan(part);
    if (waiting.size() == kBlockEventsMax) write_events(process, waiting);
  }
}

void TraceWriter::take_stacks(std::uint16_t process, std::span<const StackRecord> stacks) {
  std::vector<std::uint64_t> words;
  for (const StackRecord& stack : stacks) {
    words.push_back(stack.event);
    words.push_back(stack.depth);
    words.insert(words.end(), stack.frames.begin(), stack.frames.begin() + stack.depth);
  }
  if (words.empty()) return;
  write_block({.kind = BlockKind::kStacks, .process = process, .count = static_cast<std::uint32_t>(stacks.size())},
              std::as_bytes(std::span(words)));
}

void TraceWriter::inform(std::uint16_t process, const nlohmann::json& what) {
  const std::string text = what.dump();
  write_block({.kind = BlockKind::kInfo, .process = process, .count = 1}, std::as_bytes(std::span(text)));
}

void TraceWriter::flush() {
  for (auto& [process, events] : waiting_) write_events(process, events);
  waiting_.clear();  // of thousands of processes, few write at a time
}

Status TraceWriter::finish() {
  flush();
  const Tail tail{.index_offset = offset_};
  const std::vector<IndexEntry> index = index_;
  write_block({.kind = BlockKind::kIndex, .process = kAboutRun, .count = static_cast<std::uint32_t>(index.size())},
              std::as_bytes(std::span(index)));
  write_all(std::as_bytes(std::span(&tail, 1)));
  return err_ == 0 ? Status{} : fail(err_, "the trace file cannot be written");
}

}  // namespace softxe::trace
