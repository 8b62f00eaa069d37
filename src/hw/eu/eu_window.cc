#include "hw/eu/eu_window.h"

#include <array>
#include <cstddef>
#include <cstring>

namespace softxe {

namespace {

constexpr std::uint64_t kDwordMask = 0xFFFF'FFFF;
/// Local pointers carry bit 28, so that none of them is null (spec/eu-isa.md 9.1).
constexpr std::uint64_t kSlmMask = 0x0FFF'FFFF;

using SurfaceState = std::array<std::uint32_t, 16>;

enum class SurfaceType : std::uint8_t { kBuffer = 4, kStructured = 5, kScratch = 6, kNull = 7 };

std::uint64_t va_mask_of(const EuSendCall& call) { return (std::uint64_t{1} << call.env.group.bases().va_bits) - 1; }

Status read(const EuSendCall& call, GpuVa va, std::span<std::uint32_t> dwords) {
  std::array<GpuVa, 16> at;
  for (std::size_t i = 0; i < dwords.size(); ++i) at[i] = GpuVa((va.value() + 4 * i) & va_mask_of(call));
  return call.env.memory.load({.va = std::span(at).first(dwords.size()), .item_bytes = 4, .element_bytes = 4},
                              std::as_writable_bytes(dwords).data());
}

/// Fields by spec/compute-dispatch.md 8 and 9. Buffers of raw format count bytes.
tl::expected<EuWindow, EuNoWindow> window_of(const SurfaceState& state, const EuSendCall& call) {
  EuWindow window{.bytes = 0, .address_mask = kDwordMask};
  const std::uint64_t va_mask = va_mask_of(call);
  const std::uint64_t base = (std::uint64_t{state[9]} << 32 | state[8]) & va_mask;
  const std::uint64_t entries =
      std::uint64_t{(state[2] & 0x7F) | (state[2] >> 16 & 0x3FFF) << 7 | (state[3] >> 21 & 0x7FF) << 21} + 1;
  const std::uint64_t pitch = (state[3] & 0x3FFFF) + 1;
  constexpr std::uint32_t kRawFormat = 0x1FF;
  const auto unsupported = [](const char* reason) {
    return tl::make_unexpected(EuNoWindow{EuNoWindow::Kind::kUnsupported, reason});
  };
  switch (static_cast<SurfaceType>(state[0] >> 29)) {
    case SurfaceType::kScratch:
      if (call.thread.hw_id >= entries) return window;
      window.base = GpuVa((base + call.thread.hw_id * pitch) & va_mask);
      window.bytes = pitch;
      return window;
    case SurfaceType::kBuffer:
      if ((state[0] >> 18 & 0x1FF) != kRawFormat) return unsupported("untyped message to a typed buffer");
      window.base = GpuVa(base);
      window.bytes = entries;
      return window;
    case SurfaceType::kNull: return window;
    case SurfaceType::kStructured: return unsupported("untyped message to a structured buffer");
    default: return unsupported("untyped message to an image");
  }
}

tl::expected<EuWindow, EuNoWindow> read_window(GpuVa state_va, const EuSendCall& call) {
  SurfaceState state;
  if (const Status got = read(call, state_va, state); !got) {
    return tl::make_unexpected(EuNoWindow{EuNoWindow::Kind::kFault, got.error().why});
  }
  return window_of(state, call);
}

}  // namespace

tl::expected<EuWindow, EuNoWindow> eu_open_window(const EuSendCall& call, const EuAddressing& address) {
  const EuBases& bases = call.env.group.bases();
  const std::uint64_t mask = address.address_bytes == 8 ? EuWindow::kEndless : kDwordMask;
  switch (address.space) {
    case EuSpace::kGlobal: return EuWindow{.address_mask = mask};
    case EuSpace::kStateless: return EuWindow{.base = bases.general_state, .address_mask = mask};
    case EuSpace::kSlm: return EuWindow{.bytes = call.env.group.slm().size(), .address_mask = kSlmMask};
    case EuSpace::kSurface: return read_window(bases.surface_state + address.surface, call);
    case EuSpace::kBindless: return read_window(bases.bindless_surface_state + address.surface, call);
    case EuSpace::kBti: break;
  }
  std::array<std::uint32_t, 1> entry{};
  if (const Status got = read(call, bases.binding_table + std::uint64_t{address.surface} * 4, entry); !got) {
    return tl::make_unexpected(EuNoWindow{EuNoWindow::Kind::kFault, got.error().why});
  }
  return read_window(bases.surface_state + (entry[0] & ~0x3Fu), call);
}

}  // namespace softxe
