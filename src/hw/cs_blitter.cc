// Copies and fills: MEM_COPY, MEM_SET, XY_FAST_COPY, XY_BLOCK_COPY, XY_FAST_COLOR.
//
// Each command becomes a BlitJob: rows of bytes from one surface to another (or a pattern to a surface).
// blit() moves one chunk of it and keeps the dwords and the byte count in the context between chunks.
#include <algorithm>
#include <array>
#include <cstring>

#include "hw/cs_exec.h"
#include "hw/cs_tiling.h"

namespace softxe::cs {
namespace {

struct Surface {
  std::uint64_t base = 0;
  std::uint64_t pitch_bytes = 0;
  Tiling tiling = Tiling::kLinear;
  SurfacePoint origin;  ///< of the rectangle
};

struct BlitJob {
  Surface to;
  Surface from;                          ///< unused by fills
  std::uint32_t pattern_bytes = 0;       ///< 0: a copy
  std::array<std::byte, 16> pattern{};
  std::uint64_t width_bytes = 0;
  std::uint64_t rows = 1;
};

constexpr std::uint64_t kPageModeUnit = 256;

/// Null, or why the command cannot run.
using Refusal = const char*;

Refusal plan_mem_copy(const CsCommand& cmd, BlitJob& job) {
  enum CopyType : std::uint32_t { kLinear = 0, kMatrix = 1 };
  const bool page_mode = cmd.bit(19);
  const std::uint32_t type = cmd.field(0, 18, 17);
  if (type > kMatrix) return "MEM_COPY type without meaning";
  job.width_bytes = page_mode ? (std::uint64_t{cmd.field(1, 23, 0)} + 1) * kPageModeUnit
                              : std::uint64_t{cmd.field(1, 17, 0)} + 1;
  job.from.base = cmd.qword(5);
  job.to.base = cmd.qword(7);
  if (type == kLinear) return nullptr;  // height and pitches hold anything
  if (page_mode) return "MEM_COPY matrix in page mode";
  job.rows = std::uint64_t{cmd.field(2, 17, 0)} + 1;
  job.from.pitch_bytes = std::uint64_t{cmd.field(3, 17, 0)} + 1;
  job.to.pitch_bytes = std::uint64_t{cmd.field(4, 17, 0)} + 1;
  return nullptr;
}

Refusal plan_mem_set(const CsCommand& cmd, BlitJob& job) {
  enum FillType : std::uint32_t { kLinear = 0, kMatrix = 1 };
  const std::uint32_t type = cmd.field(0, 18, 17);
  if (type > kMatrix) return "MEM_SET type without meaning";
  // 24 bits: wider than the documented field, so that no client's width is cut short in silence.
  job.width_bytes = std::uint64_t{cmd.field(1, 23, 0)} + 1;
  job.to.base = cmd.qword(4);
  job.pattern_bytes = 1;
  job.pattern[0] = static_cast<std::byte>(cmd.dw[6] >> 24);
  if (type == kLinear) return nullptr;
  job.rows = std::uint64_t{cmd.field(2, 17, 0)} + 1;
  job.to.pitch_bytes = std::uint64_t{cmd.field(3, 17, 0)} + 1;
  return nullptr;
}

Refusal set_tiling(Surface& surface, std::uint32_t code) {
  constexpr Tiling kTilings[] = {Tiling::kLinear, Tiling::kX, Tiling::kTile4};
  if (code >= std::size(kTilings)) return "Tile64 surface";
  surface.tiling = kTilings[code];
  if (surface.pitch_bytes % tile_width_bytes(surface.tiling) != 0)
    return "pitch is not a multiple of the tile width";
  return nullptr;
}

/// A rectangle in texels, as the corner dwords have it: x1,y1 inside, x2,y2 outside. Empty when inverted.
struct Rectangle {
  Rectangle(std::uint32_t low, std::uint32_t high)
      : x1(low & 0xffff), y1(low >> 16), x2(high & 0xffff), y2(high >> 16) {}
  std::uint64_t x1, y1, x2, y2;
};

void set_rectangle(BlitJob& job, const Rectangle& rect, std::uint64_t texel_bytes) {
  const bool empty = rect.x2 <= rect.x1 || rect.y2 <= rect.y1;
  job.width_bytes = empty ? 0 : (rect.x2 - rect.x1) * texel_bytes;
  job.rows = empty ? 0 : rect.y2 - rect.y1;
  job.to.origin = {rect.x1 * texel_bytes, rect.y1};
}

Refusal plan_fast_copy(const CsCommand& cmd, BlitJob& job) {
  constexpr std::uint64_t kTexelBytes[] = {1, 2, 0, 4, 8, 16, 0, 0};
  const std::uint64_t texel_bytes = kTexelBytes[cmd.field(1, 26, 24)];
  if (texel_bytes == 0) return "colour depth without meaning";
  const std::uint32_t to_tiling = cmd.field(0, 14, 13);
  const std::uint32_t from_tiling = cmd.field(0, 21, 20);
  // Bytes for linear surfaces, dwords for tiled ones.
  job.to.pitch_bytes = std::uint64_t{cmd.field(1, 15, 0)} * (to_tiling != 0 ? 4 : 1);
  job.from.pitch_bytes = std::uint64_t{cmd.field(7, 15, 0)} * (from_tiling != 0 ? 4 : 1);
  set_rectangle(job, {cmd.dw[2], cmd.dw[3]}, texel_bytes);
  job.to.base = cmd.qword(4);
  job.from.base = cmd.qword(8);
  job.from.origin = {(cmd.dw[6] & 0xffff) * texel_bytes, cmd.dw[6] >> 16};
  if (Refusal why = set_tiling(job.to, to_tiling)) return why;
  return set_tiling(job.from, from_tiling);
}

/// Bytes per texel of block copy and fast colour; 0 without meaning.
std::uint64_t block_texel_bytes(std::uint32_t depth) {
  constexpr std::uint64_t kTexelBytes[] = {1, 2, 4, 8, 12, 16, 0, 0};
  return kTexelBytes[depth];
}

/// The pitch dword and the offset dword of one surface of a block command.
Refusal set_block_surface(const CsCommand& cmd, Surface& surface, std::size_t pitch_word) {
  constexpr unsigned kCompression = 29;
  if ((cmd.dw[pitch_word] >> kCompression & 1) != 0) return "compressed surface";
  const std::uint32_t tiling = cmd.field(pitch_word, 31, 30);
  surface.pitch_bytes = (std::uint64_t{cmd.field(pitch_word, 17, 0)} + 1) * (tiling != 0 ? 4 : 1);
  return set_tiling(surface, tiling);
}

void add_block_offset(Surface& surface, std::uint32_t word, std::uint64_t texel_bytes) {
  surface.origin.x_bytes += (word & 0x3fff) * texel_bytes;
  surface.origin.row += word >> 16 & 0x3fff;
}

Refusal plan_block_copy(const CsCommand& cmd, BlitJob& job) {
  const std::uint64_t texel_bytes = block_texel_bytes(cmd.field(0, 21, 19));
  if (texel_bytes == 0) return "colour depth without meaning";
  if (cmd.field(0, 13, 12) != 0) return "special mode of block copy (resolve)";
  set_rectangle(job, {cmd.dw[2], cmd.dw[3]}, texel_bytes);
  job.to.base = cmd.qword(4);
  job.from.base = cmd.qword(9);
  job.from.origin = {(cmd.dw[7] & 0xffff) * texel_bytes, cmd.dw[7] >> 16};
  add_block_offset(job.to, cmd.dw[6], texel_bytes);
  add_block_offset(job.from, cmd.dw[11], texel_bytes);
  if (Refusal why = set_block_surface(cmd, job.to, 1)) return why;
  return set_block_surface(cmd, job.from, 8);
}

Refusal plan_fast_color(const CsCommand& cmd, BlitJob& job) {
  const std::uint64_t texel_bytes = block_texel_bytes(cmd.field(0, 21, 19));
  if (texel_bytes == 0 || texel_bytes == 12) return "colour depth of a fill without meaning";
  set_rectangle(job, {cmd.dw[2], cmd.dw[3]}, texel_bytes);
  job.to.base = cmd.qword(4);
  add_block_offset(job.to, cmd.dw[6], texel_bytes);
  job.pattern_bytes = static_cast<std::uint32_t>(texel_bytes);
  std::memcpy(job.pattern.data(), &cmd.dw[7], job.pattern.size());
  return set_block_surface(cmd, job.to, 1);
}

Refusal plan(const CsCommand& cmd, BlitJob& job) {
  switch (cmd.kind) {
    case CmdKind::kMemCopy: return plan_mem_copy(cmd, job);
    case CmdKind::kMemSet: return plan_mem_set(cmd, job);
    case CmdKind::kFastCopy: return plan_fast_copy(cmd, job);
    case CmdKind::kBlockCopy: return plan_block_copy(cmd, job);
    case CmdKind::kFastColor: return plan_fast_color(cmd, job);
    case CmdKind::kCtrlSurfCopy: return "compression control data: no flat CCS";
    default: return "blit of older parts";
  }
}

bool gapless(const Surface& surface, std::uint64_t width_bytes) {
  return surface.tiling == Tiling::kLinear && surface.pitch_bytes == width_bytes;
}

/// Rows that follow each other without a gap on both sides are one long row.
void join_rows(BlitJob& job) {
  if (job.rows <= 1 || !gapless(job.to, job.width_bytes)) return;
  if (job.pattern_bytes == 0 && !gapless(job.from, job.width_bytes)) return;
  job.width_bytes *= job.rows;
  job.rows = 1;
}

SurfaceOffset locate(const Surface& surface, SurfacePoint point) {
  return surface_offset(surface.tiling, surface.pitch_bytes,
                        {surface.origin.x_bytes + point.x_bytes, surface.origin.row + point.row});
}

/// Moves what is contiguous on both sides at `done`, at most `limit` bytes; says how much in `moved`.
AccessStatus move_piece(const CsCommand& cmd, const BlitJob& job, std::uint64_t done,
                        std::uint64_t limit, std::uint64_t& moved) {
  const SurfacePoint point{.x_bytes = done % job.width_bytes, .row = done / job.width_bytes};
  const SurfaceOffset to = locate(job.to, point);
  moved = std::min({limit, job.width_bytes - point.x_bytes, to.contiguous_bytes});
  const GpuVa to_va = cmd.engine.strip(job.to.base + to.offset);
  if (job.pattern_bytes != 0) {
    return cmd.memory.fill({.to = to_va, .bytes = moved},
                           std::span(job.pattern).first(job.pattern_bytes));
  }
  const SurfaceOffset from = locate(job.from, point);
  moved = std::min(moved, from.contiguous_bytes);
  return cmd.memory.copy(
      {.to = to_va, .from = cmd.engine.strip(job.from.base + from.offset), .bytes = moved});
}

}  // namespace

CsOutcome blit(const CsCommand& cmd) {
  BlitJob job;
  if (Refusal why = plan(cmd, job)) return bad(why);
  join_rows(job);
  BlitInFlight& flight = cmd.context.in_flight;
  const std::uint64_t total = job.width_bytes * job.rows;
  std::uint64_t done = flight.count != 0 ? flight.done_bytes : 0;
  std::uint64_t budget = kBlitStepBytes;
  for (std::uint64_t pieces = 0; done < total && budget != 0 && pieces < kBlitStepPieces; ++pieces) {
    std::uint64_t moved = 0;
    const AccessStatus status = move_piece(cmd, job, done, budget, moved);
    if (status != AccessStatus::kOk) return ended(status);
    done += moved;
    budget -= moved;
  }
  cmd.stats.bytes_moved += kBlitStepBytes - budget;
  ++cmd.stats.effects;
  flight.count = 0;
  flight.done_bytes = 0;
  if (done == total) return {};
  const std::size_t kept = std::min(cmd.dw.size(), BlitInFlight::kDwordsMax);
  std::memmove(flight.dwords.data(), cmd.dw.data(), kept * sizeof(std::uint32_t));
  flight.count = static_cast<std::uint32_t>(kept);
  flight.done_bytes = done;
  return {};
}

}  // namespace softxe::cs
