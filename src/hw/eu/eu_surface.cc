#include "hw/eu/eu_surface.h"

#include "hw/eu/eu_group.h"

namespace softxe {

namespace {

tl::unexpected<EuNoSurface> none(EuNoSurface::Kind kind, const char* reason) {
  return tl::make_unexpected(EuNoSurface{kind, reason});
}

}  // namespace

Status eu_read_state(const EuSendCall& call, GpuVa va, std::span<std::uint32_t> dwords) {
  const GpuVa at[] = {GpuVa(va.value() & eu_va_mask(call))};
  return call.env.memory.load(
      {.va = at, .item_bytes = static_cast<std::uint32_t>(dwords.size_bytes()), .element_bytes = 4},
      std::as_writable_bytes(dwords).data());
}

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
    if (const Status got = eu_read_state(call, bases.binding_table + std::uint64_t{address.surface} * 4, entry); !got) {
      return none(EuNoSurface::Kind::kFault, got.error().why);
    }
    offset = entry[0] & ~0x3Fu;
  }
  const GpuVa base = address.space == EuSpace::kBindless ? bases.bindless_surface_state : bases.surface_state;
  EuSurfaceState state;
  if (const Status got = eu_read_state(call, base + offset, state.words); !got) {
    return none(EuNoSurface::Kind::kFault, got.error().why);
  }
  return state;
}

}  // namespace softxe
