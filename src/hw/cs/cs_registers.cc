// Registers: general registers, time stamps, group counts and the predicate of the engine itself; all others read 0 and
// drop writes (spec/gpu-commands.md 8, spec/compute-dispatch.md 5.4).
#include "hw/cs/cs_executor.h"

namespace softxe {
namespace {

constexpr std::uint32_t kRingTimestamp = 0x358;
constexpr std::uint32_t kContextTimestamp = 0x3A8;
constexpr std::uint32_t kQueueTimestamp = 0x4C0;
constexpr std::uint32_t kGprFirst = 0x600;
constexpr std::uint32_t kGprEnd = kGprFirst + 16 * 8;
constexpr std::uint32_t kOwnBytes = 0x1000;  ///< one engine's registers
constexpr std::uint32_t kRenderBase = 0x2000;
constexpr std::uint32_t kOffsetMask = 0x7ffffc;
constexpr std::uint32_t kPredicateFirst = 0x400;  ///< both sources and the data, 64 bits each
constexpr std::uint32_t kPredicateResult = 0x418;
constexpr std::uint32_t kGroupsFirst = 0x500;  ///< of an indirect walker: x, y, z
constexpr std::uint32_t kGroupsEnd = kGroupsFirst + 3 * 4;
/// Bits of LRI, SRM, LRM and LRR's destination: relative to the engine; render offsets mean the engine's own.
constexpr unsigned kRelativeBit = 19;
constexpr unsigned kRemapBit = 17;
/// Of LRR's source.
constexpr unsigned kSourceRelativeBit = 18;
constexpr unsigned kSourceRemapBit = 16;
constexpr std::uint64_t kNsPerSecond = 1'000'000'000;

std::uint32_t half(std::uint64_t value, std::uint32_t offset) {
  return static_cast<std::uint32_t>((offset & 4) != 0 ? value >> 32 : value);
}

void set_half(std::uint64_t& at, std::uint32_t offset, std::uint32_t value) {
  at = (offset & 4) != 0 ? cs_join(static_cast<std::uint32_t>(at), value)
                         : cs_join(value, static_cast<std::uint32_t>(at >> 32));
}

/// A 64-bit register that is plain storage, by the offset of either half; null: none.
std::uint64_t* stored(CsContext& context, std::uint32_t offset) {
  if (offset >= kGprFirst && offset < kGprEnd) return &context.gpr[(offset - kGprFirst) / 8];
  CsPredicate& predicate = context.predicate;
  std::uint64_t* const sources[] = {&predicate.source[0], &predicate.source[1], &predicate.data};
  if (offset >= kPredicateFirst && offset < kPredicateResult) return sources[(offset - kPredicateFirst) / 8];
  return nullptr;
}

}  // namespace

CsExecutor::Reg CsExecutor::reg_of(std::uint32_t offset, const RegBits& bits) const {
  offset &= kOffsetMask;
  if (cs_bit(header_, bits.relative)) return {.offset = offset, .own = true};
  const bool remap = bits.remap != 0 && cs_bit(header_, bits.remap);
  if (remap && offset - kRenderBase < kOwnBytes) return {.offset = offset - kRenderBase, .own = true};
  return {.offset = offset, .own = false};
}

std::uint64_t CsExecutor::ticks_of_ns(std::uint64_t ns) const {
  const std::uint64_t hz = engine_.reference_clock_hz;
  return ns / kNsPerSecond * hz + ns % kNsPerSecond * hz / kNsPerSecond;
}

std::uint64_t CsExecutor::ring_ticks() const { return ticks_of_ns(engine_.clock->now_ns()); }

std::uint64_t CsExecutor::context_ticks() const {
  return ticks_of_ns(ctx_.run_time_before_ns + (engine_.clock->now_ns() - ctx_.slice_start_ns));
}

std::uint32_t CsExecutor::read_register(const Reg& reg) const {
  const std::uint32_t offset = reg.own ? reg.offset : reg.offset - engine_.mmio_base;
  if (const std::uint64_t* value = stored(ctx_, offset)) return half(*value, offset);
  if (offset >= kGroupsFirst && offset < kGroupsEnd) return ctx_.compute.indirect_groups[(offset - kGroupsFirst) / 4];
  switch (offset) {
    case kPredicateResult: return ctx_.predicate.result ? 1 : 0;
    // Of the two halves only the first has bit 2 clear.
    case kRingTimestamp: return half(ring_ticks(), 0);
    case kRingTimestamp + 4: return half(ring_ticks(), 4);
    case kContextTimestamp:
    case kQueueTimestamp: return half(context_ticks(), 0);
    case kContextTimestamp + 4:
    case kQueueTimestamp + 4: return half(context_ticks(), 4);
    default: return 0;
  }
}

void CsExecutor::write_register(const Reg& reg, std::uint32_t value) {
  const std::uint32_t offset = reg.own ? reg.offset : reg.offset - engine_.mmio_base;
  if (offset >= kGroupsFirst && offset < kGroupsEnd) {
    ctx_.compute.indirect_groups[(offset - kGroupsFirst) / 4] = value;
  }
  if (offset == kPredicateResult) ctx_.predicate.result = (value & 1) != 0;
  if (std::uint64_t* at = stored(ctx_, offset)) set_half(*at, offset, value);
}

Result<CsFlow> CsExecutor::load_register_imm() {
  if (dwords_ % 2 == 0) return bad_command("registers and values do not pair up");
  for (std::uint32_t i = 1; i < dwords_; i += 2) {
    SX_TRY(const std::uint32_t offset, dword(i));
    SX_TRY(const std::uint32_t value, dword(i + 1));
    write_register(reg_of(offset, {.relative = kRelativeBit, .remap = kRemapBit}), value);
  }
  return CsFlow::kNext;
}

Result<CsFlow> CsExecutor::store_register_mem() {
  SX_TRY_VOID(refuse_ggtt());
  SX_TRY(const auto d, body<4>());
  SX_TRY_VOID(
      store32(va_of(d[2] & ~3u, d[3]), read_register(reg_of(d[1], {.relative = kRelativeBit, .remap = kRemapBit}))));
  return CsFlow::kNext;
}

Result<CsFlow> CsExecutor::load_register_mem() {
  SX_TRY_VOID(refuse_ggtt());
  SX_TRY(const auto d, body<4>());
  std::uint32_t value = 0;
  SX_TRY_VOID(mem_.read32(va_of(d[2] & ~3u, d[3]), value));
  write_register(reg_of(d[1], {.relative = kRelativeBit, .remap = kRemapBit}), value);
  return CsFlow::kNext;
}

Result<CsFlow> CsExecutor::load_register_reg() {
  SX_TRY(const auto d, body<3>());
  const std::uint32_t value = read_register(reg_of(d[1], {.relative = kSourceRelativeBit, .remap = kSourceRemapBit}));
  write_register(reg_of(d[2], {.relative = kRelativeBit, .remap = kRemapBit}), value);
  return CsFlow::kNext;
}

}  // namespace softxe
