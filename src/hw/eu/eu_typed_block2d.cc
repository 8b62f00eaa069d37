// 2D blocks of images: a rectangle of bytes through the tiling of a surface (spec/eu-images.md 11).
//
// What lies outside the image reads zero and is not stored. In registers row follows row without gaps.
#include <algorithm>
#include <bit>

#include "hw/eu/eu_image.h"
#include "hw/eu/eu_lanes.h"

namespace softxe {

namespace {

using Action = EuLanesMessage::Action;

/// Dwords 5 to 7 of src0, in bytes and rows. The others, and the upper half of dword 7, are never written by kernels.
struct Block {
  std::int64_t x = 0;
  std::int64_t y = 0;
  unsigned width = 1;
  unsigned height = 1;

  static Block of(const std::byte* src0) {
    std::array<std::uint32_t, 8> d;
    std::memcpy(d.data(), src0, sizeof d);
    return {.x = static_cast<std::int32_t>(d[5]),
            .y = static_cast<std::int32_t>(d[6]),
            .width = (d[7] & 0xFF) + 1,
            .height = (d[7] >> 8 & 0xFF) + 1};
  }
  /// From one row to the next in registers.
  unsigned row_bytes() const { return std::bit_ceil(std::max(width, 4u)); }
  unsigned bytes() const { return row_bytes() * height; }
};
constexpr unsigned kWidthMax = 64;

/// Pieces of the block that lie in the image, in the order of rows.
class Pieces {
 public:
  Pieces(const Block& block, const EuImage& image) : block_(block), first_(image.level[image.first_level]) {
    layer_ = image.first_layer;
    // Of a null surface nothing is inside.
    const std::int64_t width_bytes = image.null() ? 0 : std::int64_t{first_.width} * image.format->bytes;
    const std::int64_t height = image.null() ? 0 : first_.height;
    const auto part = [](std::int64_t from, std::int64_t limit, unsigned count) {
      return static_cast<unsigned>(std::clamp<std::int64_t>(limit - from, 0, count));
    };
    x_start_ = part(block.x, 0, block.width);
    x_end_ = part(block.x, width_bytes, block.width);
    y_start_ = part(block.y, 0, block.height);
    y_end_ = part(block.y, height, block.height);
    const auto ends = static_cast<std::uint64_t>(block.x + x_start_) | static_cast<std::uint64_t>(block.x + x_end_);
    bytes_ = (ends | first_.x_bytes) % 4 == 0 ? 4 : 1;
  }
  /// Of one piece. Tilings keep 16 bytes together, so that an aligned dword is never split.
  unsigned bytes() const { return bytes_; }

  /// Calls `body` with the image's point and the place in registers, until it is false.
  template <typename Body>
  bool each(const Body& body) const {
    for (unsigned y = y_start_; y < y_end_; ++y) {
      for (unsigned x = x_start_; x < x_end_; x += bytes_) {
        const Surface::Point point{first_.x_bytes + static_cast<std::uint64_t>(block_.x + x),
                                   first_.y + static_cast<std::uint64_t>(block_.y + y), layer_};
        if (!body(point, y * block_.row_bytes() + x)) return false;
      }
    }
    return true;
  }

 private:
  const Block block_;
  const EuImage::Level& first_;
  std::uint64_t layer_ = 0;
  unsigned x_start_ = 0;
  unsigned x_end_ = 0;
  unsigned y_start_ = 0;
  unsigned y_end_ = 0;
  unsigned bytes_ = 1;
};

/// Moves pieces between memory and `data`, which is laid out as the registers are, as many at once as fit.
class Transfer {
 public:
  Transfer(EuMemory& memory, Action action, unsigned piece_bytes, std::byte* data)
      : memory_(memory), action_(action), piece_bytes_(piece_bytes), data_(data) {}

  Status add(GpuVa va, unsigned at) {
    va_[count_] = va;
    at_[count_++] = static_cast<std::uint16_t>(at);
    return count_ == MemoryItems::kItemsMax ? flush() : Status{};
  }
  Status flush() {
    if (count_ == 0) return {};
    const MemoryItems items{va_.first(count_), piece_bytes_, piece_bytes_};
    std::array<std::byte, MemoryItems::kBytesMax> packed;
    const auto each = [&](const auto& body) {
      for (std::size_t i = 0; i < count_; ++i) body(packed.data() + i * piece_bytes_, data_ + at_[i]);
    };
    if (action_ == Action::kStore) {
      each([&](std::byte* piece, const std::byte* data) { std::memcpy(piece, data, piece_bytes_); });
      SX_TRY_VOID(memory_.store(items, packed.data()));
    } else {
      SX_TRY_VOID(memory_.load(items, packed.data()));
      each([&](const std::byte* piece, std::byte* data) { std::memcpy(data, piece, piece_bytes_); });
    }
    count_ = 0;
    return {};
  }

 private:
  EuMemory& memory_;
  Action action_;
  unsigned piece_bytes_;
  std::byte* data_;
  EuRoom<GpuVa, MemoryItems::kItemsMax> va_;
  EuRoom<std::uint16_t, MemoryItems::kItemsMax> at_;
  std::size_t count_ = 0;
};

EuSendResult move(const EuSendCall& call, Action action, const EuImage& image, const Block& block, std::byte* data) {
  const std::uint64_t va_mask = eu_va_mask(call);
  const Pieces pieces(block, image);
  Transfer transfer(call.env.memory, action, pieces.bytes(), data);
  EuSendResult result;
  const bool all = pieces.each([&](const Surface::Point& point, unsigned at) {
    const std::uint64_t va = image.memory.address_of(point) & va_mask;
    if (va + (pieces.bytes() - 1) > va_mask) {
      result = kEuPastTheEnd;
      return false;
    }
    const Status done = transfer.add(GpuVa(va), at);
    if (!done) result = eu_memory_failed(done.error());
    return done.has_value();
  });
  if (!all) return result;
  const Status done = transfer.flush();
  return done ? EuSendResult{} : eu_memory_failed(done.error());
}

EuSendResult counted(const EuSendCall& call, const EuSendResult& result) {
  if (result.kind == EuSendKind::kDone) ++call.thread.images;
  return result;
}

}  // namespace

EuSendResult eu_send_typed_block2d(const EuSendCall& call, const EuTypedBlock2dMessage& message) {
  const bool store = message.action == Action::kStore;
  if (call.channels == 0 || (!store && call.inst.dst.null())) return {};
  const std::byte* src0 = eu_message_registers(call.thread, call.inst.src[0], kEuGrfBytes);
  if (src0 == nullptr) return kEuNoRegisters;
  const Block block = Block::of(src0);
  if (block.width > kWidthMax || block.bytes() > kEuDataBytesMax) {
    return {EuSendKind::kIllegal, "2D block message with more data than registers"};
  }
  // src0 and src1 are one list of registers: without src1 the data follow the address.
  const bool behind = store && call.inst.src[1].null();
  const EuOperand& operand = !store ? call.inst.dst : behind ? call.inst.src[0] : call.inst.src[1];
  const unsigned skipped = behind ? kEuGrfBytes : 0;
  std::byte* registers = eu_message_registers(call.thread, operand, skipped + eu_round_to_grf(block.bytes()));
  if (registers == nullptr) return kEuNoRegisters;
  registers += skipped;

  const auto image = eu_open_image(call, message.address);
  if (!image) return eu_no_surface(image.error());
  if (!image->null() && image->type != EuSurfaceType::k2d) {
    return {EuSendKind::kUnsupported, "2D block message to an image that is not 2D"};
  }
  if (!image->null() && image->format->yuv != EuYuv::kNone) {
    return {EuSendKind::kUnsupported, "2D block message to a YUV image"};
  }
  if (store) return counted(call, move(call, message.action, *image, block, registers));
  alignas(64) std::byte data[kEuDataBytesMax];
  const unsigned bytes = eu_round_to_grf(block.bytes());
  std::memset(data, 0, bytes);
  const EuSendResult result = move(call, message.action, *image, block, data);
  if (result.kind == EuSendKind::kDone) std::memcpy(registers, data, bytes);
  return counted(call, result);
}

}  // namespace softxe
