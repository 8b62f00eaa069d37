#include "hw/cs_registers.h"

namespace softxe {
namespace {

constexpr std::uint32_t kOffsetMask = 0x7ffffc;
constexpr std::uint32_t kRenderBase = 0x2000;
constexpr std::uint32_t kRemapBytes = 0x800;

constexpr std::uint32_t kRingTimestamp = 0x358;
constexpr std::uint32_t kCtxTimestamp = 0x3A8;
constexpr std::uint32_t kQueueTimestamp = 0x4C0;
constexpr std::uint32_t kGpr = 0x600;
constexpr std::uint32_t kGprEnd = kGpr + 8 * CsContext::kRegisters;
constexpr std::uint32_t kElsewhere = ~0u;  // not a register of this engine

std::uint32_t engine_offset(const EngineInfo& engine, RegisterName name) {
  const std::uint32_t offset = name.offset & kOffsetMask;
  switch (name.form) {
    case RegisterForm::kEngineRelative: return offset;
    case RegisterForm::kRemapped:
      if (offset >= kRenderBase && offset < kRenderBase + kRemapBytes) return offset - kRenderBase;
      break;
    case RegisterForm::kAbsolute: break;
  }
  return offset >= engine.mmio_base ? offset - engine.mmio_base : kElsewhere;
}

std::uint32_t half(std::uint64_t value, std::uint32_t offset) {
  return static_cast<std::uint32_t>((offset & 4) != 0 ? value >> 32 : value);
}

}  // namespace

std::uint32_t read_register(const CsContext& context, const EngineInfo& engine, RegisterName name) {
  const std::uint32_t offset = engine_offset(engine, name);
  if (offset >= kGpr && offset < kGprEnd) return half(context.gpr[(offset - kGpr) / 8], offset);
  switch (offset) {
    case kRingTimestamp: return static_cast<std::uint32_t>(engine.ring_timestamp());
    case kRingTimestamp + 4: return static_cast<std::uint32_t>(engine.ring_timestamp() >> 32);
    case kCtxTimestamp:
    case kCtxTimestamp + 4:
    case kQueueTimestamp:
    case kQueueTimestamp + 4: {
      const std::uint64_t ticks = engine.ticks(context.run_clock.total_ns(*engine.clock));
      const bool high = offset == kCtxTimestamp + 4 || offset == kQueueTimestamp + 4;
      return static_cast<std::uint32_t>(high ? ticks >> 32 : ticks);
    }
    default: return 0;
  }
}

void write_register(CsContext& context, const EngineInfo& engine, RegisterName name,
                    std::uint32_t value) {
  const std::uint32_t offset = engine_offset(engine, name);
  if (offset < kGpr || offset >= kGprEnd) return;
  std::uint64_t& gpr = context.gpr[(offset - kGpr) / 8];
  const unsigned shift = (offset & 4) != 0 ? 32 : 0;
  gpr = (gpr & ~(std::uint64_t{0xffffffffu} << shift)) | (std::uint64_t{value} << shift);
}

std::optional<std::uint32_t> engine_mmio_base(CsEngineClass engine_class, unsigned instance) {
  constexpr std::uint32_t kCompute[] = {0x1A000, 0x1C000, 0x1E000, 0x26000};
  constexpr std::uint32_t kDecode[] = {0x1C0000, 0x1C4000, 0x1D0000, 0x1D4000};
  constexpr std::uint32_t kEnhance[] = {0x1C8000, 0x1D8000, 0x1E8000};
  constexpr unsigned kCopyMax = 8;
  switch (engine_class) {
    case CsEngineClass::kRender:
      if (instance == 0) return kRenderBase;
      break;
    case CsEngineClass::kCopy:
      if (instance == 0) return 0x22000;
      if (instance <= kCopyMax) return 0x3E0000 + 0x2000 * (instance - 1);
      break;
    case CsEngineClass::kVideoDecode:
      if (instance < 4) return kDecode[instance];
      break;
    case CsEngineClass::kVideoEnhance:
      if (instance < 3) return kEnhance[instance];
      break;
    case CsEngineClass::kCompute:
      if (instance < 4) return kCompute[instance];
      break;
  }
  return std::nullopt;
}

}  // namespace softxe
