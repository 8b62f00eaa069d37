// The bytes of a trace file (docs/TRACE.md 2). Little endian, as the machine that writes it.
//
//   FileHead, JSON            what was run
//   BlockHead, bytes          events of one process, or JSON about one; each with a checksum; zstd
//   ...
//   BlockHead, IndexEntry[]   where the blocks are
//   Tail                      where the index is; without it the file was cut off: blocks are found one by one
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

namespace softxe::trace {

inline constexpr std::array<char, 8> kFileMagic{'S', 'X', 'T', 'R', 'A', 'C', 'E', '\n'};
inline constexpr std::array<char, 8> kTailMagic{'S', 'X', 'T', 'R', 'E', 'N', 'D', '\n'};
inline constexpr std::uint32_t kBlockMagic = 0x4b425853;  // "SXBK"
inline constexpr std::uint32_t kVersion = 1;
/// Events of one block at most; also what a reader must be ready to hold.
inline constexpr std::size_t kBlockEventsMax = 16384;
/// A reader believes no larger number of bytes of a block.
inline constexpr std::uint32_t kBlockBytesMax = 64u << 20;

struct FileHead {
  std::array<char, 8> magic = kFileMagic;
  std::uint32_t version = kVersion;
  std::uint32_t json_bytes = 0;
  std::uint64_t checksum = 0;  ///< of the JSON
};
static_assert(sizeof(FileHead) == 24);

/// kStacks: per stack the number of its event, the number of frames, the frames; 8 bytes each.
enum class BlockKind : std::uint16_t { kEvents = 1, kInfo = 2, kIndex = 3, kStacks = 4 };

struct BlockHead {
  std::uint32_t magic = kBlockMagic;
  BlockKind kind = BlockKind::kEvents;
  std::uint16_t process = 0;  ///< image of a process, numbered as it opened its first device; the report's order
  std::uint32_t count = 0;    ///< events, stacks, or entries of the index
  std::uint32_t raw_bytes = 0;
  std::uint32_t stored_bytes = 0;  ///< behind this head
  std::uint32_t reserved = 0;
  std::uint64_t first_ns = 0;  ///< times of the first and last event
  std::uint64_t last_ns = 0;
  std::uint64_t checksum = 0;  ///< of this head with 0 here, then of the stored bytes
};
static_assert(sizeof(BlockHead) == 48);

struct IndexEntry {
  std::uint64_t offset = 0;  ///< of the block's head
  std::uint64_t first_ns = 0;
  std::uint64_t last_ns = 0;
  std::uint32_t count = 0;
  BlockKind kind = BlockKind::kEvents;
  std::uint16_t process = 0;
};
static_assert(sizeof(IndexEntry) == 32);
/// Of the block whose head stands at `offset`.
inline IndexEntry entry_of(const BlockHead& head, std::uint64_t offset) {
  return {.offset = offset,
          .first_ns = head.first_ns,
          .last_ns = head.last_ns,
          .count = head.count,
          .kind = head.kind,
          .process = head.process};
}

struct Tail {
  std::uint64_t index_offset = 0;
  std::array<char, 8> magic = kTailMagic;
};

/// FNV-1a with 64-bit steps over whole words, then bytes.
class Checksum {
 public:
  Checksum& add(std::span<const std::byte> bytes);
  std::uint64_t value() const { return value_; }

 private:
  std::uint64_t value_ = 0xcbf29ce484222325u;
};
std::uint64_t checksum_of(BlockHead head, std::span<const std::byte> stored);

}  // namespace softxe::trace
