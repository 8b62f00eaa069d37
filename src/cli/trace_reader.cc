#include "cli/trace_reader.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zstd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "cli/trace_writer.h"

namespace softxe::trace {

const NamedMapping* ProcessInfo::mapping_at(std::uint64_t address) const {
  auto after = mappings.upper_bound(address);
  if (after == mappings.begin()) return nullptr;
  const NamedMapping& found = std::prev(after)->second;
  return address - found.start < found.size ? &found : nullptr;
}

void ProcessInfo::learn(const nlohmann::json& what) {
  pid = what.value("pid", pid);
  exe = what.value("exe", exe);
  rung = what.value("rung", rung);
  dropped = what.value("dropped", dropped);
  torn = what.value("torn", torn);
  stacks_dropped = what.value("stacks_dropped", stacks_dropped);
  for (const auto& mapping : what.value("mappings", nlohmann::json::array())) {
    NamedMapping named{mapping.value("start", std::uint64_t{0}), mapping.value("size", std::uint64_t{0}),
                       mapping.value("name", std::string())};
    mappings[named.start] = named;
  }
  for (const auto& file : what.value("files", nlohmann::json::array())) {
    files.push_back({file.value("start", std::uint64_t{0}), file.value("size", std::uint64_t{0}),
                     file.value("offset", std::uint64_t{0}), file.value("name", std::string())});
  }
}

TraceReader::~TraceReader() { close(fd_); }

Result<std::unique_ptr<TraceReader>> TraceReader::open(const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return fail(errno, "the trace cannot be opened");
  std::unique_ptr<TraceReader> reader(new TraceReader(fd));
  SX_TRY_VOID(reader->read_head());
  if (!reader->read_index()) reader->scan();
  for (const IndexEntry& block : reader->blocks_) reader->learn(block);
  return reader;
}

bool TraceReader::read_at(std::uint64_t offset, std::span<std::byte> to) {
  while (!to.empty()) {
    const ssize_t done = pread(fd_, to.data(), to.size(), static_cast<off_t>(offset));
    if (done < 0 && errno == EINTR) continue;
    if (done <= 0) return false;
    to = to.subspan(static_cast<std::size_t>(done));
    offset += static_cast<std::uint64_t>(done);
  }
  return true;
}

Status TraceReader::read_head() {
  struct stat st {};
  if (fstat(fd_, &st) != 0) return fail(errno, "the trace cannot be looked at");
  size_ = static_cast<std::uint64_t>(st.st_size);
  FileHead head;
  if (!read_at(0, std::as_writable_bytes(std::span(&head, 1))) || head.magic != kFileMagic) {
    return fail(EINVAL, "not a trace of softxe");
  }
  if (head.version != kVersion) return fail(EINVAL, "a trace of a version that this softxe does not know");
  if (head.json_bytes > kBlockBytesMax) return fail(EINVAL, "the head of the trace is damaged");
  std::string text(head.json_bytes, '\0');
  const auto bytes = std::as_writable_bytes(std::span(text));
  if (!read_at(sizeof head, bytes) || Checksum().add(bytes).value() != head.checksum) {
    return fail(EINVAL, "the head of the trace is damaged");
  }
  head_ = nlohmann::json::parse(text, nullptr, false);
  first_block_ = sizeof head + head.json_bytes;
  return {};
}

Status TraceReader::read_block(std::uint64_t offset, BlockHead& head, std::vector<std::byte>& raw) {
  if (!read_at(offset, std::as_writable_bytes(std::span(&head, 1)))) return fail(EIO, "no whole block");
  if (head.magic != kBlockMagic || head.stored_bytes > kBlockBytesMax || head.raw_bytes > kBlockBytesMax) {
    return fail(EIO, "no block");
  }
  if (offset + sizeof head + head.stored_bytes > size_) return fail(EIO, "no whole block");
  std::vector<std::byte> stored(head.stored_bytes);
  if (!read_at(offset + sizeof head, stored)) return fail(EIO, "no whole block");
  if (checksum_of(head, stored) != head.checksum) return fail(EIO, "the checksum does not fit");
  raw.resize(head.raw_bytes);
  const std::size_t size = ZSTD_decompress(raw.data(), raw.size(), stored.data(), stored.size());
  if (ZSTD_isError(size) != 0 || size != raw.size()) return fail(EIO, "the block does not unpack");
  if (head.kind == BlockKind::kEvents && raw.size() != head.count * sizeof(Event)) return fail(EIO, "a wrong count");
  return {};
}

bool TraceReader::read_index() {
  Tail tail;
  BlockHead head;
  std::vector<std::byte> raw;
  if (size_ < first_block_ + sizeof tail) return false;
  if (!read_at(size_ - sizeof tail, std::as_writable_bytes(std::span(&tail, 1)))) return false;
  if (tail.magic != kTailMagic || !read_block(tail.index_offset, head, raw)) return false;
  if (head.kind != BlockKind::kIndex || raw.size() != head.count * sizeof(IndexEntry)) return false;
  blocks_.resize(head.count);
  std::memcpy(blocks_.data(), raw.data(), raw.size());
  return true;
}

/// Up to the last whole block.
void TraceReader::scan() {
  std::uint64_t at = first_block_;
  std::vector<std::byte> raw;
  while (at < size_) {
    BlockHead head;
    const Status good = read_block(at, head, raw);
    if (!good) break;
    if (head.kind != BlockKind::kIndex) blocks_.push_back(entry_of(head, at));
    at += sizeof head + head.stored_bytes;
  }
  std::uint64_t events = 0;
  for (const IndexEntry& block : blocks_) events += block.kind == BlockKind::kEvents ? block.count : 0;
  cut_off_ = fmt::format("the trace is cut off: {} events up to its last whole block, {} bytes behind it are lost",
                         events, size_ - std::min(at, size_));
}

void TraceReader::learn(const IndexEntry& block) {
  if (block.kind == BlockKind::kEvents) {
    processes_[block.process];
    events_ += block.count;
    return;
  }
  BlockHead head;
  std::vector<std::byte> raw;
  if (block.kind != BlockKind::kInfo || !read_block(block.offset, head, raw)) return;
  const char* text = reinterpret_cast<const char*>(raw.data());
  const auto what = nlohmann::json::parse(text, text + raw.size(), nullptr, false);
  if (!what.is_object()) return;
  if (block.process == kAboutRun) {
    ending_ = what;
    return;
  }
  processes_[block.process].learn(what);
}

bool TraceReader::has_stacks() const {
  return std::ranges::any_of(blocks_, [](const IndexEntry& block) { return block.kind == BlockKind::kStacks; });
}

TraceReader::Stacks TraceReader::stacks_of(std::uint16_t process) {
  Stacks stacks;
  for (const IndexEntry& block : blocks_) {
    BlockHead head;
    std::vector<std::byte> raw;
    if (block.kind != BlockKind::kStacks || block.process != process || !read_block(block.offset, head, raw)) continue;
    std::vector<std::uint64_t> words(raw.size() / sizeof(std::uint64_t));
    std::memcpy(words.data(), raw.data(), words.size() * sizeof(std::uint64_t));
    for (std::size_t at = 0; at + 2 <= words.size() && words[at + 1] <= words.size() - at - 2;) {
      const auto first = words.begin() + static_cast<std::ptrdiff_t>(at) + 2;
      const auto depth = static_cast<std::ptrdiff_t>(words[at + 1]);
      stacks[words[at]].assign(first, first + depth);
      at += 2 + words[at + 1];
    }
  }
  return stacks;
}

std::vector<Event> TraceReader::events_of(const IndexEntry& block) {
  BlockHead head;
  std::vector<std::byte> raw;
  if (!read_block(block.offset, head, raw) || head.kind != BlockKind::kEvents) return {};
  std::vector<Event> events(head.count);
  std::memcpy(events.data(), raw.data(), raw.size());
  return events;
}

void TraceReader::Cursor::refill() {
  at_ = 0;
  events_.clear();
  while (events_.empty() && next_block_ < reader_.blocks_.size()) {
    const IndexEntry& block = reader_.blocks_[next_block_++];
    if (block.kind == BlockKind::kEvents && block.process == process_) events_ = reader_.events_of(block);
  }
}

TraceReader::Cursor TraceReader::begin_of(std::uint16_t process) { return {*this, process}; }

void TraceReader::for_each(const std::function<bool(const NumberedEvent&)>& each) {
  std::vector<Cursor> cursors;
  for (const auto& [process, info] : processes_) cursors.emplace_back(*this, process);
  for (;;) {
    Cursor* next = nullptr;
    for (Cursor& cursor : cursors) {
      if (cursor.done()) continue;
      if (next == nullptr || cursor.event().time_ns < next->event().time_ns) next = &cursor;
    }
    if (next == nullptr || !each({next->process(), next->event()})) return;
    next->advance();
  }
}

void TraceReader::for_each_backwards(std::uint16_t process, const std::function<bool(const Event&)>& each) {
  for (auto block = blocks_.rbegin(); block != blocks_.rend(); ++block) {
    if (block->kind != BlockKind::kEvents || block->process != process) continue;
    const std::vector<Event> events = events_of(*block);
    for (auto event = events.rbegin(); event != events.rend(); ++event) {
      if (!each(*event)) return;
    }
  }
}

}  // namespace softxe::trace
