// MI commands that touch memory or move through batches. spec/gpu-commands.md 2, 4, 5.
#include "hw/cs/cs_executor.h"

namespace softxe {
namespace {

constexpr std::uint64_t kDword = 4;

}  // namespace

Status CsExecutor::refuse_ggtt() const {
  if (cs_bit(header_, 22)) return bad_command("a user batch uses the global GTT");
  return {};
}

Status CsExecutor::store32(GpuVa va, std::uint32_t value) {
  ctx_.wrote_memory = true;
  return mem_.write32(va, value);
}

Status CsExecutor::store64(GpuVa va, std::uint64_t value) {
  ctx_.wrote_memory = true;
  return mem_.write64(va, value);
}

/// Unsigned, the memory's value on the left; the two waiting commands share the codes.
Result<bool> CsExecutor::compare(std::uint32_t code, std::uint32_t memory, std::uint32_t inline_value) {
  switch (code) {
    case 0: return memory > inline_value;
    case 1: return memory >= inline_value;
    case 2: return memory < inline_value;
    case 3: return memory <= inline_value;
    case 4: return memory == inline_value;
    case 5: return memory != inline_value;
    default: return bad_command("reserved compare operation");
  }
}

Result<CsFlow> CsExecutor::store_data_imm() {
  SX_TRY_VOID(refuse_ggtt());
  const bool qwords = cs_bit(header_, 21);
  if (dwords_ < 4 || (qwords && dwords_ % 2 == 0)) {
    return bad_command("the length field does not fit the command");
  }
  SX_TRY(const std::uint32_t low, dword(1));
  SX_TRY(const std::uint32_t high, dword(2));
  const std::uint64_t base = cs_join(low & ~3u, high);
  for (std::uint32_t i = 3; i < dwords_; i += qwords ? 2 : 1) {
    const GpuVa to = strip(base + (i - 3) * kDword);
    SX_TRY(const std::uint32_t value, dword(i));
    if (!qwords) {
      SX_TRY_VOID(store32(to, value));
      continue;
    }
    SX_TRY(const std::uint32_t value_high, dword(i + 1));
    SX_TRY_VOID(store64(to, cs_join(value, value_high)));
  }
  return CsFlow::kNext;
}

Result<CsFlow> CsExecutor::semaphore_wait() {
  SX_TRY_VOID(refuse_ggtt());
  if (dwords_ != 4 && dwords_ != 5) return bad_command("a semaphore wait has 4 or 5 dwords");
  SX_TRY(const std::uint32_t wanted, dword(1));
  SX_TRY(const std::uint32_t low, dword(2));
  std::uint32_t found = 0;
  if (cs_bit(header_, 16)) {
    found = read_register({.offset = low & 0x7ffffcu, .own = false});
  } else {
    SX_TRY(const std::uint32_t high, dword(3));
    SX_TRY_VOID(mem_.read32(va_of(low & ~3u, high), found));
  }
  SX_TRY(const bool satisfied, compare(cs_bits(header_, 14, 12), found, wanted));
  return satisfied ? CsFlow::kNext : CsFlow::kYield;
}

Result<CsFlow> CsExecutor::copy_mem_mem() {
  if (cs_bit(header_, 21)) return bad_command("a user batch uses the global GTT");
  SX_TRY_VOID(refuse_ggtt());
  SX_TRY(const auto d, body<5>());
  std::uint32_t value = 0;
  SX_TRY_VOID(mem_.read32(va_of(d[3] & ~3u, d[4]), value));
  SX_TRY_VOID(store32(va_of(d[1] & ~3u, d[2]), value));
  return CsFlow::kNext;
}

Result<CsFlow> CsExecutor::batch_start() {
  SX_TRY(const auto d, body<3>());
  const GpuVa target = va_of(d[1] & ~3u, d[2]);
  if (cs_bit(header_, 22)) {
    if (ctx_.depth == ctx_.returns.size()) return bad_command("batches nest too deep");
    ctx_.returns[ctx_.depth++] = strip(ctx_.pc.value() + dwords_ * kDword);
  }
  if (target <= ctx_.pc) ctx_.jumped_back = true;
  ctx_.pc = target;
  return CsFlow::kJumped;
}

Result<CsFlow> CsExecutor::end_level() {
  if (ctx_.depth == 0) return CsFlow::kDone;
  ctx_.pc = ctx_.returns[--ctx_.depth];
  return CsFlow::kJumped;
}

/// In spite of the name: goes on while the comparison holds.
Result<CsFlow> CsExecutor::cond_batch_end() {
  SX_TRY_VOID(refuse_ggtt());
  if (!cs_bit(header_, 21)) return bad_command("a conditional end without comparison");
  if (cs_bit(header_, 19)) return bad_command("the masked 64-bit comparison is not supported");
  SX_TRY(const auto d, body<4>());
  std::uint32_t found = 0;
  SX_TRY_VOID(mem_.read32(va_of(d[2] & ~3u, d[3]), found));
  SX_TRY(const bool holds, compare(cs_bits(header_, 14, 12), found, d[1]));
  if (!holds) return end_level();
  return CsFlow::kNext;
}

Result<CsFlow> CsExecutor::flush_dw() {
  const std::uint32_t operation = cs_bits(header_, 15, 14);
  if (operation == 0) return CsFlow::kNext;  // A barrier; memory is coherent.
  if (cs_bit(header_, 21)) return bad_command("a user batch writes the status page");
  if (dwords_ != 4 && dwords_ != 5) return bad_command("a post-sync flush has 4 or 5 dwords");
  SX_TRY(const std::uint32_t low, dword(1));
  SX_TRY(const std::uint32_t high, dword(2));
  if (cs_bit(low, 2)) return bad_command("a user batch uses the global GTT");
  const GpuVa to = va_of(low & ~7u, high);
  if (operation == 3) {
    SX_TRY_VOID(store64(to, ring_ticks()));
    return CsFlow::kNext;
  }
  if (operation != 1) return bad_command("reserved post-sync operation");
  SX_TRY(const std::uint32_t value, dword(3));
  if (dwords_ == 4) {
    SX_TRY_VOID(store32(to, value));
    return CsFlow::kNext;
  }
  SX_TRY(const std::uint32_t value_high, dword(4));
  SX_TRY_VOID(store64(to, cs_join(value, value_high)));
  return CsFlow::kNext;
}

Result<CsFlow> CsExecutor::pipe_control() {
  SX_TRY(const std::uint32_t flags, dword(1));
  const std::uint32_t operation = cs_bits(flags, 15, 14);
  if (operation == 0) return CsFlow::kNext;
  if (cs_bit(flags, 24)) return bad_command("a user batch uses the global GTT");
  if (cs_bit(flags, 21)) return bad_command("a user batch writes the status page");
  if (operation == 2) return fail(kCsShader, "the depth count needs rendering");
  SX_TRY(const auto d, body<6>());
  const GpuVa to = va_of(d[2] & ~7u, d[3]);
  SX_TRY_VOID(store64(to, operation == 1 ? cs_join(d[4], d[5]) : ring_ticks()));
  return CsFlow::kNext;
}

/// The head of a report whose counters are not modelled: id, time, context id 0, clock 0.
Result<CsFlow> CsExecutor::report_perf_count() {
  SX_TRY(const auto d, body<4>());
  if (cs_bit(d[1], 0)) return bad_command("a user batch uses the global GTT");
  const GpuVa to = va_of(d[1] & ~63u, d[2]);
  SX_TRY_VOID(store64(to, cs_join(d[3], static_cast<std::uint32_t>(ring_ticks()))));
  SX_TRY_VOID(store64(to + 8, 0));
  return CsFlow::kNext;
}

}  // namespace softxe
