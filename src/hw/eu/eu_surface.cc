#include "hw/eu/eu_surface.h"

#include <algorithm>
#include <optional>

#include "hw/eu/eu_group.h"

namespace softxe {

namespace {

std::uint64_t va_mask_of(const EuSendCall& call) { return (std::uint64_t{1} << call.env.group.bases().va_bits) - 1; }

Status read(const EuSendCall& call, GpuVa va, std::span<std::uint32_t> dwords) {
  std::array<GpuVa, 16> at;
  for (std::size_t i = 0; i < dwords.size(); ++i) at[i] = GpuVa((va.value() + 4 * i) & va_mask_of(call));
  return call.env.memory.load({.va = std::span(at).first(dwords.size()), .item_bytes = 4, .element_bytes = 4},
                              std::as_writable_bytes(dwords).data());
}

tl::unexpected<EuNoSurface> none(EuNoSurface::Kind kind, const char* reason) {
  return tl::make_unexpected(EuNoSurface{kind, reason});
}
tl::unexpected<EuNoSurface> unsupported(const char* reason) { return none(EuNoSurface::Kind::kUnsupported, reason); }

/// Formats of images by ranges of codes (spec/eu-images.md 4).
struct FormatRange {
  std::uint16_t first;
  std::uint16_t last;
  std::uint8_t bytes;  ///< of one element
};
constexpr FormatRange kFormats[] = {
    {0x000, 0x002, 16},  // R32G32B32A32
    {0x080, 0x088, 8},   // R16G16B16A16, R32G32, R32 with stencil
    {0x0C0, 0x0C1, 4},   // B8G8R8A8
    {0x0C7, 0x0D0, 4},   // R8G8B8A8, R16G16
    {0x0D6, 0x0D9, 4},   // R32, R24 with stencil
    {0x0E3, 0x0E5, 4},   // I32, L32, A32
    {0x106, 0x10E, 2},   // R8G8, R16
    {0x111, 0x113, 2},   // I16, L16, A16
    {0x115, 0x117, 2},   // the same in floats
    {0x140, 0x146, 1},   // R8, A8, I8, L8
    {0x1FF, 0x1FF, 1},   // raw
};

std::optional<std::uint8_t> element_bytes(std::uint32_t format) {
  for (const FormatRange& range : kFormats) {
    if (format >= range.first && format <= range.last) return range.bytes;
  }
  return std::nullopt;
}

/// Fields that must be zero because what they ask for is not there.
struct Refusal {
  unsigned dword;
  std::uint32_t mask;
  const char* reason;
};
constexpr Refusal kRefusals[] = {
    {1, 0x1Fu << 19, "image message to a mip level"},
    {4, 7u << 3, "image message to a multisampled image"},
    {5, 0xFu << 4, "image message to a mip level"},
    {5, 0x7Fu << 25 | 7u << 21, "image message to a view with an offset"},
};

/// By the tile field; Tile64's layout goes by the size of an element.
std::optional<Tiling> tiling_of(const EuSurfaceState& state) {
  switch (state.words[0] >> 12 & 3) {
    case 0: return Tiling::kLinear;
    case 2: return Tiling::kX;
    case 3: return Tiling::kTile4;
    default: return std::nullopt;
  }
}

}  // namespace

EuSendResult eu_no_surface(const EuNoSurface& none) {
  switch (none.kind) {
    case EuNoSurface::Kind::kFault: return {EuSendKind::kFault, none.reason};
    case EuNoSurface::Kind::kIllegal: return {EuSendKind::kIllegal, none.reason};
    case EuNoSurface::Kind::kUnsupported: break;
  }
  return {EuSendKind::kUnsupported, none.reason};
}

tl::expected<EuSurfaceState, EuNoSurface> eu_read_surface(const EuSendCall& call, const EuAddressing& address) {
  const EuBases& bases = call.env.group.bases();
  std::uint64_t offset = address.surface;
  if (address.space == EuSpace::kBti) {
    std::array<std::uint32_t, 1> entry{};
    if (const Status got = read(call, bases.binding_table + std::uint64_t{address.surface} * 4, entry); !got) {
      return none(EuNoSurface::Kind::kFault, got.error().why);
    }
    offset = entry[0] & ~0x3Fu;
  }
  const GpuVa base = address.space == EuSpace::kBindless ? bases.bindless_surface_state : bases.surface_state;
  EuSurfaceState state;
  if (const Status got = read(call, base + offset, state.words); !got) {
    return none(EuNoSurface::Kind::kFault, got.error().why);
  }
  return state;
}

tl::expected<EuImage2d, EuNoSurface> eu_image2d(const EuSurfaceState& state, std::uint64_t va_mask) {
  const auto& words = state.words;
  if (state.type() == EuSurfaceType::kNull) return EuImage2d{};
  if (state.type() != EuSurfaceType::k2d) return unsupported("image message to a surface that is no 2D image");
  const auto bytes = element_bytes(state.format());
  if (!bytes) return unsupported("image message to an image of this format");
  for (const Refusal& refusal : kRefusals) {
    if ((words[refusal.dword] & refusal.mask) != 0) return unsupported(refusal.reason);
  }
  const auto tiling = tiling_of(state);
  if (!tiling) return unsupported("image message to a Tile64 image");
  EuImage2d image{.memory = {.pitch_bytes = state.pitch_bytes(), .tiling = *tiling},
                  .width_bytes = ((words[2] & 0x3FFF) + 1) * *bytes,
                  .height = (words[2] >> 16 & 0x3FFF) + 1};
  if (!image.memory.pitch_is_sound()) {
    return none(EuNoSurface::Kind::kIllegal, "image message to a tiled image whose pitch is no number of tiles");
  }
  // A view of an array begins at its first layer; layers are whole rows apart.
  const std::uint64_t layer = words[4] >> 18 & 0x7FF;
  const std::uint64_t layer_rows = std::uint64_t{words[1] & 0x7FFF} * 4;
  image.memory.base = state.base(va_mask) + layer * layer_rows * image.memory.pitch_bytes;
  return image;
}

}  // namespace softxe
