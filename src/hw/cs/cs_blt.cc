// Blits: every one becomes a rectangle copied or filled, done in bounded steps
// (spec/gpu-commands.md 7).
#include <algorithm>
#include <span>

#include "hw/cs/cs_executor.h"

namespace softxe {
namespace {

constexpr std::uint64_t kStepBytesMax = k2M;
/// Pieces of a step; a tile4 surface has pieces of 16 bytes.
constexpr std::uint32_t kStepPiecesMax = 4096;

struct Rect {
  std::uint32_t x1, y1, x2, y2;
  bool empty() const { return x2 <= x1 || y2 <= y1; }
};

Rect rect_of(std::uint32_t corner1, std::uint32_t corner2) {
  return {.x1 = corner1 & 0xffff, .y1 = corner1 >> 16, .x2 = corner2 & 0xffff, .y2 = corner2 >> 16};
}

/// One side of a blit. Fields that short forms of the commands do not have are 0.
struct Side {
  std::uint64_t base = 0;
  std::uint64_t pitch = 0;  ///< dwords of tiled surfaces, bytes of linear ones
  std::uint32_t tiling = 0;
  std::uint64_t pixel_bytes = 1;
  std::uint32_t size = 0;    ///< 31:29 type
  std::uint32_t slices = 0;  ///< 3:0 mip level, 18:4 rows of a slice / 4
  std::uint32_t index = 0;   ///< 31:21 slice or layer

  Result<Surface> surface() const {
    if (cs_bits(slices, 3, 0) != 0) return bad_command("blits of mip levels are not supported");
    const std::uint32_t type = cs_bits(size, 31, 29);
    const auto made = Surface::make({.base = base,
                                     .pitch_bytes = tiling == 0 ? pitch : pitch * 4,
                                     .tiling = static_cast<Tiling>(tiling),
                                     .shape = has_type() && type == 0 ? SurfaceShape::k1d
                                              : type == 2             ? SurfaceShape::k3d
                                                                      : SurfaceShape::k2d,
                                     .element_bytes = static_cast<std::uint32_t>(pixel_bytes),
                                     .slice_rows = std::uint64_t{cs_bits(slices, 18, 4)} * 4});
    if (!made) return bad_command(made.error().why);
    return *made;
  }
  std::uint64_t slice() const { return cs_bits(index, 31, 21); }

 private:
  /// Type 0 of a surface without width and height is that of a command without these fields.
  bool has_type() const { return size != 0; }
};

/// Where a side of a block blit stands among the dwords of its command.
struct SideAt {
  std::size_t pitch;  ///< and tiling
  std::size_t base;   ///< two dwords
  std::size_t size;   ///< with slices and index behind it
};
Side side_at(std::span<const std::uint32_t> d, const SideAt& at, std::uint64_t pixel_bytes) {
  return {.base = cs_join(d[at.base], d[at.base + 1]),
          .pitch = std::uint64_t{cs_bits(d[at.pitch], 17, 0)} + 1,
          .tiling = d[at.pitch] >> 30,
          .pixel_bytes = pixel_bytes,
          .size = d[at.size],
          .slices = d[at.size + 1],
          .index = d[at.size + 2]};
}

/// Bytes per pixel of the depth code of XY_FAST_COPY_BLT; 0 when reserved.
std::uint32_t fast_copy_pixel_bytes(std::uint32_t code) {
  constexpr std::array<std::uint8_t, 8> kBytes = {1, 2, 0, 4, 8, 16, 0, 0};
  return kBytes[code & 7];
}

/// Of XY_BLOCK_COPY_BLT and XY_FAST_COLOR_BLT.
std::uint32_t block_pixel_bytes(std::uint32_t code) {
  constexpr std::array<std::uint8_t, 8> kBytes = {1, 2, 4, 8, 12, 16, 0, 0};
  return kBytes[code & 7];
}

}  // namespace

Result<CsFlow> CsExecutor::start_blit(const CsLongBlit& blit) {
  if (blit.rows == 0 || blit.row_bytes == 0) return CsFlow::kNext;
  ctx_.blit = blit;
  ctx_.blit.command_header = header_;
  ctx_.blit.command_dwords = dwords_;
  return continue_blit();
}

Result<CsFlow> CsExecutor::continue_blit() {
  ctx_.wrote_memory = true;
  CsLongBlit& blit = ctx_.blit;
  std::uint64_t bytes_left = kStepBytesMax;
  for (std::uint32_t piece = 0; piece < kStepPiecesMax && bytes_left != 0; ++piece) {
    std::uint64_t done = 0;
    SX_TRY_VOID(blit_piece(blit, bytes_left, done));
    bytes_left -= done;
    blit.offset += done;
    if (blit.offset < blit.row_bytes) continue;
    blit.offset = 0;
    if (++blit.row < blit.rows) continue;
    blit.kind = CsLongBlit::Kind::kNone;
    return CsFlow::kNext;
  }
  return CsFlow::kAgain;
}

/// What is contiguous on both sides, `bytes_max` at most.
Status CsExecutor::blit_piece(CsLongBlit& blit, std::uint64_t bytes_max, std::uint64_t& bytes_done) {
  const Surface::Point to{blit.to_corner.x_bytes + blit.offset, blit.to_corner.y + blit.row, blit.to_corner.z};
  std::uint64_t bytes = std::min(bytes_max, blit.row_bytes - blit.offset);
  bytes = blit.to.run_bytes(to, bytes);
  const GpuVa to_va = strip(blit.to.address_of(to));
  if (blit.kind == CsLongBlit::Kind::kFill) {
    // Pieces but the last of a row are multiples of the pattern: steps and runs are of 16 bytes,
    // and the first pixel of a tiled row is at a multiple of its size.
    SX_TRY_VOID(mem_.fill(to_va, {.data = blit.pattern.data(), .bytes = blit.pattern_bytes}, bytes));
    bytes_done = bytes;
    return {};
  }
  const Surface::Point from{blit.from_corner.x_bytes + blit.offset, blit.from_corner.y + blit.row, blit.from_corner.z};
  bytes = blit.from.run_bytes(from, bytes);
  SX_TRY_VOID(mem_.copy({.to = to_va, .from = strip(blit.from.address_of(from)), .bytes = bytes}));
  bytes_done = bytes;
  return {};
}

Result<CsFlow> CsExecutor::mem_copy() {
  SX_TRY(const auto d, body<10>());
  const std::uint32_t type = cs_bits(header_, 18, 17);
  const bool pages = cs_bit(header_, 19);
  if (type > 1) return bad_command("reserved copy type");
  if (type == 1 && pages) return bad_command("page mode and matrix mode together");
  CsLongBlit blit{.kind = CsLongBlit::Kind::kCopy};
  blit.from.base = cs_join(d[5], d[6]);
  blit.to.base = cs_join(d[7], d[8]);
  blit.rows = 1;
  blit.row_bytes = pages ? (std::uint64_t{cs_bits(d[1], 23, 0)} + 1) * 256 : std::uint64_t{cs_bits(d[1], 17, 0)} + 1;
  if (type == 1) {
    blit.rows = std::uint64_t{cs_bits(d[2], 17, 0)} + 1;
    blit.from.pitch_bytes = std::uint64_t{cs_bits(d[3], 17, 0)} + 1;
    blit.to.pitch_bytes = std::uint64_t{cs_bits(d[4], 17, 0)} + 1;
  }
  return start_blit(blit);
}

Result<CsFlow> CsExecutor::mem_set() {
  SX_TRY(const auto d, body<7>());
  const std::uint32_t type = cs_bits(header_, 18, 17);
  if (type > 1) return bad_command("reserved fill type");
  CsLongBlit blit{.kind = CsLongBlit::Kind::kFill};
  blit.to.base = cs_join(d[4], d[5]);
  blit.pattern[0] = static_cast<std::uint8_t>(d[6] >> 24);
  blit.rows = 1;
  // The linear form fills more than a matrix row can hold.
  blit.row_bytes = std::uint64_t{cs_bits(d[1], type == 1 ? 17 : 23, 0)} + 1;
  if (type == 1) {
    blit.rows = std::uint64_t{cs_bits(d[2], 17, 0)} + 1;
    blit.to.pitch_bytes = std::uint64_t{cs_bits(d[3], 17, 0)} + 1;
  }
  return start_blit(blit);
}

Result<CsFlow> CsExecutor::fast_copy() {
  SX_TRY(const auto d, body<10>());
  const std::uint64_t pixel = fast_copy_pixel_bytes(cs_bits(d[1], 26, 24));
  if (pixel == 0) return bad_command("reserved colour depth");
  const Rect rect = rect_of(d[2], d[3]);
  if (rect.empty()) return CsFlow::kNext;
  // Code 2 is tile4 on all modelled parts; bits 30 and 31 only tell it from the Y tiles of older ones.
  CsLongBlit blit{.kind = CsLongBlit::Kind::kCopy};
  const Side to{
      .base = cs_join(d[4], d[5]), .pitch = d[1] & 0xffff, .tiling = cs_bits(header_, 14, 13), .pixel_bytes = pixel};
  const Side from{
      .base = cs_join(d[8], d[9]), .pitch = d[7] & 0xffff, .tiling = cs_bits(header_, 21, 20), .pixel_bytes = pixel};
  SX_TRY(blit.to, to.surface());
  SX_TRY(blit.from, from.surface());
  blit.to_corner = {rect.x1 * pixel, rect.y1};
  blit.from_corner = {(d[6] & 0xffff) * pixel, d[6] >> 16};
  blit.row_bytes = (rect.x2 - rect.x1) * pixel;
  blit.rows = rect.y2 - rect.y1;
  return start_blit(blit);
}

Result<CsFlow> CsExecutor::block_copy() {
  if (dwords_ != 12 && dwords_ != 22) return bad_command("a block copy has 12 or 22 dwords");
  SX_TRY(const auto d, body_so_far<22>());
  const std::uint64_t pixel = block_pixel_bytes(cs_bits(header_, 21, 19));
  if (pixel == 0) return bad_command("reserved colour depth");
  if (cs_bits(header_, 13, 12) != 0) return bad_command("resolving blits are not supported");
  if (cs_bit(d[1], 29) || cs_bit(d[8], 29)) return bad_command("compression is not supported");
  const Rect rect = rect_of(d[2], d[3]);
  if (rect.empty()) return CsFlow::kNext;
  CsLongBlit blit{.kind = CsLongBlit::Kind::kCopy};
  const Side to = side_at(d, {.pitch = 1, .base = 4, .size = 16}, pixel);
  const Side from = side_at(d, {.pitch = 8, .base = 9, .size = 19}, pixel);
  SX_TRY(blit.to, to.surface());
  SX_TRY(blit.from, from.surface());
  blit.to_corner = {(rect.x1 + cs_bits(d[6], 13, 0)) * pixel, rect.y1 + cs_bits(d[6], 29, 16), to.slice()};
  blit.from_corner = {((d[7] & 0xffff) + cs_bits(d[11], 13, 0)) * pixel, (d[7] >> 16) + cs_bits(d[11], 29, 16),
                      from.slice()};
  blit.row_bytes = (rect.x2 - rect.x1) * pixel;
  blit.rows = rect.y2 - rect.y1;
  return start_blit(blit);
}

Result<CsFlow> CsExecutor::fast_color() {
  SX_TRY(const auto d, body<16>());
  const std::uint32_t pixel = block_pixel_bytes(cs_bits(header_, 21, 19));
  if (pixel == 0 || pixel == 12) return bad_command("a colour depth that cannot be filled");
  if (cs_bit(d[1], 29)) return bad_command("compression is not supported");
  const Rect rect = rect_of(d[2], d[3]);
  if (rect.empty()) return CsFlow::kNext;
  CsLongBlit blit{.kind = CsLongBlit::Kind::kFill};
  const Side to = side_at(d, {.pitch = 1, .base = 4, .size = 13}, pixel);
  SX_TRY(blit.to, to.surface());
  blit.to_corner = {std::uint64_t{rect.x1 + cs_bits(d[6], 13, 0)} * pixel, rect.y1 + cs_bits(d[6], 29, 16), to.slice()};
  blit.row_bytes = std::uint64_t{rect.x2 - rect.x1} * pixel;
  blit.rows = rect.y2 - rect.y1;
  blit.pattern_bytes = pixel;
  for (std::uint32_t i = 0; i < pixel; ++i) {
    blit.pattern[i] = static_cast<std::uint8_t>(d[7 + i / 4] >> (8 * (i % 4)));
  }
  return start_blit(blit);
}

}  // namespace softxe
