// 2D blocks: rectangles of a matrix in memory, one row an item (spec/eu-isa.md 9.1).
//
//      width                      A block row of all blocks together is contiguous in memory; what lies
//   +------------+                outside the matrix reads zero and is not stored.
//   |   [b0][b1] |  height
//   +------------+
#include <algorithm>
#include <bit>

#include "hw/eu/eu_lanes.h"

namespace softxe {

namespace {

using Action = EuLanesMessage::Action;
using Order = EuBlock2dMessage::Order;

/// Dwords 0 to 7 of src0, all in elements but base and pitch.
struct Block2d {
  std::uint64_t base = 0;
  std::int64_t width = 0;
  std::int64_t height = 0;
  std::uint64_t pitch = 0;  ///< bytes
  std::int64_t x = 0;
  std::int64_t y = 0;
  unsigned block_width = 1;
  unsigned block_height = 1;
  unsigned blocks = 1;
};

Block2d read_block(const EuBlock2dMessage& m, const std::byte* src0) {
  std::array<std::uint32_t, 8> d;
  std::memcpy(d.data(), src0, sizeof d);
  return {.base = std::uint64_t{d[1]} << 32 | d[0],
          .width = (std::int64_t{d[2]} + 1) / m.element_bytes,
          .height = std::int64_t{d[3]} + 1,
          .pitch = std::uint64_t{d[4]} + 1,
          .x = std::int64_t{static_cast<std::int32_t>(d[5])} + m.x_offset,
          .y = std::int64_t{static_cast<std::int32_t>(d[6])} + m.y_offset,
          .block_width = (d[7] & 0xFF) + 1,
          .block_height = (d[7] >> 8 & 0xFF) + 1,
          .blocks = (d[7] >> 16 & 0xF) + 1};
}

/// Where an element stands in registers.
class Placement {
 public:
  Placement(const EuBlock2dMessage& m, const Block2d& b) : order_(m.order), size_(m.element_bytes) {
    const unsigned rows = m.order == Order::kTransposed ? b.block_width : b.block_height;
    row_ = std::bit_ceil(m.order == Order::kTransposed ? b.block_height : b.block_width);
    packed_ = m.order == Order::kVnni ? std::max(4u / size_, 1u) : 1u;
    block_bytes_ = eu_round_to_grf((rows + packed_ - 1) / packed_ * packed_ * row_ * size_);
  }
  unsigned block_bytes() const { return block_bytes_; }
  unsigned at(unsigned block, unsigned y, unsigned x) const {
    if (order_ == Order::kTransposed) std::swap(x, y);
    return block * block_bytes_ + ((y / packed_ * row_ + x) * packed_ + y % packed_) * size_;
  }

 private:
  Order order_;
  unsigned size_;
  unsigned row_ = 1;     ///< elements from one row to the next
  unsigned packed_ = 1;  ///< rows that are woven into dwords
  unsigned block_bytes_ = 0;
};

/// The part of the blocks that lies within the matrix, in elements from the first block's corner.
struct Clip {
  unsigned x_start = 0;
  unsigned x_end = 0;
  unsigned y_start = 0;
  unsigned y_end = 0;
  bool empty() const { return x_start >= x_end || y_start >= y_end; }
};

Clip clip_of(const Block2d& b) {
  const auto part = [](std::int64_t from, std::int64_t limit, unsigned count) {
    return static_cast<unsigned>(std::clamp<std::int64_t>(limit - from, 0, count));
  };
  return {.x_start = part(b.x, 0, b.block_width * b.blocks),
          .x_end = part(b.x, b.width, b.block_width * b.blocks),
          .y_start = part(b.y, 0, b.block_height),
          .y_end = part(b.y, b.height, b.block_height)};
}

template <typename Body>
void each_element(const Block2d& b, const Clip& clip, const Body& body) {
  for (unsigned y = clip.y_start; y < clip.y_end; ++y) {
    for (unsigned x = clip.x_start; x < clip.x_end; ++x) body(x / b.block_width, y, x % b.block_width);
  }
}

EuSendResult move_rows(const EuSendCall& call, const EuBlock2dMessage& m, const Block2d& b, std::byte* registers) {
  const Clip clip = clip_of(b);
  const Placement place(m, b);
  const unsigned size = m.element_bytes;
  const std::uint64_t va_mask = (std::uint64_t{1} << call.env.group.bases().va_bits) - 1;
  EuRoom<GpuVa, 256> va;
  unsigned rows = 0;
  const std::uint32_t row_bytes = clip.empty() ? 0 : (clip.x_end - clip.x_start) * size;
  for (unsigned y = clip.y_start; y < clip.y_end && !clip.empty(); ++y) {
    const auto row = static_cast<std::uint64_t>(b.y + y);
    const auto column = static_cast<std::uint64_t>(b.x + clip.x_start);
    va[rows++] = GpuVa((b.base + row * b.pitch + column * size) & va_mask);
    if (((va[rows - 1].value() + row_bytes - 1) & ~va_mask) != 0) return kEuPastTheEnd;
  }
  const MemoryItems items{va.first(rows), row_bytes, size};
  alignas(64) std::byte data[kEuDataBytesMax];
  std::byte* at = data;
  if (m.action == Action::kStore) {
    if (rows == 0) return {};
    each_element(b, clip, [&](unsigned block, unsigned y, unsigned x) {
      std::memcpy(at, registers + place.at(block, y, x), size);
      at += size;
    });
    const Status done = call.env.memory.store(items, data);
    return done ? EuSendResult{} : eu_memory_failed(done.error());
  }
  if (rows != 0) {
    if (const Status done = call.env.memory.load(items, data); !done) return eu_memory_failed(done.error());
  }
  std::memset(registers, 0, b.blocks * place.block_bytes());
  each_element(b, clip, [&](unsigned block, unsigned y, unsigned x) {
    std::memcpy(registers + place.at(block, y, x), at, size);
    at += size;
  });
  return {};
}

}  // namespace

EuSendResult eu_send_block2d(const EuSendCall& call, const EuBlock2dMessage& message) {
  const bool store = message.action == Action::kStore;
  if (call.channels == 0 || (!store && call.inst.dst.null())) return {};
  const std::byte* src0 = eu_message_registers(call.thread, call.inst.src[0], kEuGrfBytes);
  if (src0 == nullptr) return kEuNoRegisters;
  const Block2d block = read_block(message, src0);
  const unsigned bytes = block.blocks * Placement(message, block).block_bytes();
  if (bytes > kEuDataBytesMax ||
      block.block_width * block.blocks * message.element_bytes > MemoryItems::kItemBytesMax) {
    return {EuSendKind::kIllegal, "2D block message with more data than registers"};
  }
  if (store && block.blocks != 1) return {EuSendKind::kIllegal, "2D block store of several blocks"};
  std::byte* registers = eu_message_registers(call.thread, store ? call.inst.src[1] : call.inst.dst, bytes);
  if (registers == nullptr) return kEuNoRegisters;
  return move_rows(call, message, block, registers);
}

}  // namespace softxe
