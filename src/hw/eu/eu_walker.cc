#include "hw/eu/eu_walker.h"

#include <limits>

#include "hw/eu/eu_group.h"
#include "hw/eu/eu_thread.h"

namespace softxe {
namespace {

using Command = std::span<const std::uint32_t, kEuWalkerDwords>;

constexpr std::uint32_t bits(std::uint32_t value, unsigned high, unsigned low) {
  return value >> low & static_cast<std::uint32_t>((std::uint64_t{2} << (high - low)) - 1);
}
constexpr bool bit(std::uint32_t value, unsigned n) { return (value >> n & 1) != 0; }
constexpr std::uint64_t join(std::uint32_t low, std::uint32_t high) { return std::uint64_t{high} << 32 | low; }

constexpr unsigned kDescriptor = 19;  ///< first dword of INTERFACE_DESCRIPTOR_DATA
constexpr unsigned kPostSync = 27;
constexpr unsigned kInlineData = 32;

/// KiB by the descriptor's code; 8 to 10 are out of order.
constexpr std::array<std::uint16_t, 15> kSlmKib = {0, 1, 2, 4, 8, 16, 32, 64, 24, 48, 96, 128, 192, 256, 384};

/// Exceptions by bits of the descriptor's dword 2.
struct ExceptionBit {
  unsigned bit;
  EuException exception;
};
constexpr ExceptionBit kExceptions[] = {
    {7, EuException::kSoftware}, {11, EuException::kMaskStack}, {13, EuException::kIllegalOpcode}};

/// Dimensions by walk order, fastest first.
constexpr std::array<std::array<std::uint8_t, 3>, 6> kOrders = {
    {{0, 1, 2}, {0, 2, 1}, {1, 0, 2}, {2, 0, 1}, {1, 2, 0}, {2, 1, 0}}};

/// Bits that change what the walker means and that no program for this part has been seen to set.
struct Refusal {
  unsigned dword;
  std::uint32_t mask;
  int err;
  const char* why;
};
constexpr Refusal kRefusals[] = {
    {0, 7u << 15, EBADRQC, "a walker variant of preempted contexts"},
    {0, 1u << 9, ENOSYS, "a walker partitioned over tiles"},
    {2, 3u << 30, ENOSYS, "a walker partitioned over tiles"},
    {4, 7u << 19, ENOSYS, "local ids in the order of a tiled image"},
    {kDescriptor + 5, 1u << 31, ENOSYS, "a kernel of the ray tracing dispatcher"},
};

Result<EuLocalIds> local_ids(Command d) {
  EuLocalIds ids;
  const std::uint32_t order = bits(d[4], 24, 22);
  if (order >= kOrders.size()) return fail(EBADRQC, "a reserved walk order");
  ids.order = kOrders[order];
  ids.emitted = bits(d[4], 28, 26);
  if (ids.emitted != 0 && !bit(d[4], 29)) return fail(ENOSYS, "local ids of a thread taken from the indirect data");
  ids.size = {bits(d[6], 9, 0) + 1, bits(d[6], 19, 10) + 1, bits(d[6], 29, 20) + 1};
  return ids;
}

Result<EuPostSync> post_sync(Command d, std::uint64_t va_mask) {
  const std::uint32_t kind = bits(d[kPostSync], 1, 0);
  if (kind == 2) return fail(EBADRQC, "a reserved post-sync operation");
  return EuPostSync{.kind = static_cast<EuPostSync::Kind>(kind),
                    .address = GpuVa(join(d[kPostSync + 1] & ~7u, d[kPostSync + 2]) & va_mask),
                    .immediate = join(d[kPostSync + 3], d[kPostSync + 4])};
}

/// What the descriptor says of a group.
Status describe_group(Command d, EuWalker& walker) {
  const std::uint32_t group = d[kDescriptor + 5];
  walker.threads = bits(group, 9, 0);
  if (walker.threads == 0 || walker.threads > kEuGroupThreadsMax) {
    return fail(EBADRQC, "a group that does not fit: 1 to 64 threads");
  }
  const std::uint32_t slm = bits(group, 20, 16);
  if (slm >= kSlmKib.size()) return fail(EBADRQC, "a reserved size of shared local memory");
  walker.slm_bytes = std::uint32_t{kSlmKib[slm]} << 10;
  walker.rounding = bits(group, 23, 22);
  for (const ExceptionBit& row : kExceptions) {
    if (bit(d[kDescriptor + 2], row.bit)) walker.exceptions |= static_cast<std::uint32_t>(row.exception);
  }
  return {};
}

Status describe_lanes(Command d, EuWalker& walker) {
  const std::uint32_t simd = bits(d[4], 31, 30);
  if (simd != 1 && simd != 2) return fail(EBADRQC, "a thread has 16 or 32 lanes");
  walker.simd = 16 * simd;
  walker.last_mask = walker.simd == 32 ? d[5] : d[5] & 0xFFFF;
  return {};
}

}  // namespace

Result<EuWalker> eu_decode_walker(Command d, const EuState& state, unsigned va_bits) {
  const std::uint64_t va_mask = (std::uint64_t{1} << va_bits) - 1;
  for (const Refusal& refusal : kRefusals) {
    if ((d[refusal.dword] & refusal.mask) != 0) return fail(refusal.err, refusal.why);
  }
  EuWalker walker;
  SX_TRY_VOID(describe_lanes(d, walker));
  SX_TRY_VOID(describe_group(d, walker));
  SX_TRY(walker.local_ids, local_ids(d));
  SX_TRY(walker.post_sync, post_sync(d, va_mask));
  const auto from = [va_mask](GpuVa base, std::uint32_t offset) { return GpuVa((base.value() + offset) & va_mask); };
  walker.kernel = from(state.instruction, d[kDescriptor] & ~63u);
  walker.instruction_base = state.instruction;
  walker.bases.general_state = state.general_state;
  walker.bases.surface_state = state.surface_state;
  walker.bases.bindless_surface_state = state.bindless_surface_state;
  walker.bases.dynamic_state = state.dynamic_state;
  walker.bases.bindless_sampler = state.bindless_sampler;
  walker.bases.samplers = d[kDescriptor + 3] & ~31u;
  walker.bases.binding_table = from(state.binding_table_pool, d[kDescriptor + 4] & 0x1FFFE0);
  walker.bases.va_bits = va_bits;
  if (state.system_routine) {
    walker.bases.system_routine = GpuVa((state.instruction.value() + *state.system_routine) & va_mask);
  }
  walker.indirect_data = d[3] & ~63u;
  walker.scratch = state.scratch;
  walker.large_grf = state.large_grf();
  walker.cooperative = bit(d[4], 0);
  walker.has_inline_data = bit(d[4], 25);
  for (unsigned i = 0; i < walker.inline_data.size(); ++i) walker.inline_data[i] = d[kInlineData + i];
  for (unsigned i = 0; i < 3; ++i) {
    // The command has the end, not the number: the runtime sends the rest of a global size that is no multiple of the
    // local size as walkers of their own, which begin where the whole groups end.
    const std::uint32_t end = bit(d[0], 10) ? state.indirect_groups[i] : d[7 + i];
    walker.first[i] = d[10 + i];
    walker.groups[i] = end > walker.first[i] ? end - walker.first[i] : 0;
  }
  // Three counts of 32 bits may not multiply in 64; no engine would end such a walker either.
  if (walker.groups[2] != 0 && std::uint64_t{walker.groups[0]} * walker.groups[1] >
                                   std::numeric_limits<std::uint64_t>::max() / walker.groups[2]) {
    return fail(EBADRQC, "more groups than can be counted");
  }
  return walker;
}

}  // namespace softxe
