#include "hw/eu/eu_window.h"

namespace softxe {

namespace {

constexpr std::uint64_t kDwordMask = 0xFFFF'FFFF;
/// Local pointers carry bit 28, so that none of them is null (spec/eu-isa.md 9.1).
constexpr std::uint64_t kSlmMask = 0x0FFF'FFFF;

/// Fields by spec/compute-dispatch.md 8 and 9. Buffers of raw format count bytes.
tl::expected<EuWindow, EuNoSurface> window_of(const EuSurfaceState& state, const EuSendCall& call) {
  EuWindow window{.bytes = 0, .address_mask = kDwordMask};
  const std::uint64_t va_mask = (std::uint64_t{1} << call.env.group.bases().va_bits) - 1;
  constexpr std::uint32_t kRawFormat = 0x1FF;
  const auto unsupported = [](const char* reason) {
    return tl::make_unexpected(EuNoSurface{EuNoSurface::Kind::kUnsupported, reason});
  };
  switch (state.type()) {
    case EuSurfaceType::kScratch:
      if (call.thread.hw_id >= state.entries()) return window;
      window.base = GpuVa((state.base(va_mask) + std::uint64_t{call.thread.hw_id} * state.pitch_bytes()) & va_mask);
      window.bytes = state.pitch_bytes();
      return window;
    case EuSurfaceType::kBuffer:
      if (state.format() != kRawFormat) return unsupported("untyped message to a typed buffer");
      window.base = GpuVa(state.base(va_mask));
      window.bytes = state.entries();
      return window;
    case EuSurfaceType::kNull: return window;
    case EuSurfaceType::kStructured: return unsupported("untyped message to a structured buffer");
    default: return unsupported("untyped message to an image");
  }
}

}  // namespace

tl::expected<EuWindow, EuNoSurface> eu_open_window(const EuSendCall& call, const EuAddressing& address) {
  const EuBases& bases = call.env.group.bases();
  const std::uint64_t mask = address.address_bytes == 8 ? EuWindow::kEndless : kDwordMask;
  switch (address.space) {
    case EuSpace::kGlobal: return EuWindow{.address_mask = mask};
    case EuSpace::kStateless: return EuWindow{.base = bases.general_state, .address_mask = mask};
    case EuSpace::kSlm: return EuWindow{.bytes = call.env.group.slm().size(), .address_mask = kSlmMask};
    case EuSpace::kSurface:
    case EuSpace::kBindless:
    case EuSpace::kBti: break;
  }
  const auto state = eu_read_surface(call, address);
  if (!state) return tl::make_unexpected(state.error());
  return window_of(*state, call);
}

}  // namespace softxe
