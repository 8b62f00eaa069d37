// MI_ATOMIC: read-modify-write of a dword or qword (spec/gpu-commands.md 4).
#include <type_traits>

#include "hw/cs/cs_executor.h"

namespace softxe {
namespace {

/// What an operation code stores; nullptr for an unknown one. Codes of the 4-byte forms.
template <typename T>
using Apply = T (*)(T found, T operand, T compare);

template <typename T>
Apply<T> apply_of(std::uint32_t code) {
  using S = std::make_signed_t<T>;
  switch (code) {
    case 0x1: return [](T found, T operand, T) -> T { return found & operand; };
    case 0x2: return [](T found, T operand, T) -> T { return found | operand; };
    case 0x3: return [](T found, T operand, T) -> T { return found ^ operand; };
    case 0x4: return [](T, T operand, T) -> T { return operand; };
    case 0x5: return [](T found, T, T) -> T { return found + 1; };
    case 0x6:
    case 0xF: return [](T found, T, T) -> T { return found - 1; };
    case 0x7: return [](T found, T operand, T) -> T { return found + operand; };
    case 0x8: return [](T found, T operand, T) -> T { return found - operand; };
    case 0x9: return [](T found, T operand, T) -> T { return operand - found; };
    case 0xA:
      return
          [](T found, T operand, T) -> T { return static_cast<S>(found) > static_cast<S>(operand) ? found : operand; };
    case 0xB:
      return
          [](T found, T operand, T) -> T { return static_cast<S>(found) < static_cast<S>(operand) ? found : operand; };
    case 0xC: return [](T found, T operand, T) -> T { return found > operand ? found : operand; };
    case 0xD: return [](T found, T operand, T) -> T { return found < operand ? found : operand; };
    case 0xE: return [](T found, T operand, T compare) -> T { return found == compare ? operand : found; };
    default: return nullptr;
  }
}

constexpr std::uint32_t kCompareExchange = 0xE;
constexpr std::uint32_t kPreDecrement = 0xF;

}  // namespace

/// Returns what the command returns: the old value, of a pre-decrement the new one.
template <typename T>
Result<T> CsExecutor::atomic_memory(GpuVa va, std::uint32_t op, T operand1, T operand2) {
  const Apply<T> apply = apply_of<T>(op);
  if (apply == nullptr) return bad_command("unknown atomic operation");
  if (!va.is_aligned(sizeof(T))) return bad_command("a misaligned atomic");
  CsMemory::AtomicOp<T> atomic_op{.apply = apply, .operand = operand1, .compare = 0};
  // Operand 1 is compared, operand 2 stored.
  if (op == kCompareExchange) {
    atomic_op.compare = operand1;
    atomic_op.operand = operand2;
  }
  ctx_.wrote_memory = true;
  Result<T> old = [&] {
    if constexpr (sizeof(T) == 8)
      return mem_.atomic64(va, atomic_op);
    else
      return mem_.atomic32(va, atomic_op);
  }();
  if (old && op == kPreDecrement) *old = static_cast<T>(*old - 1);
  return old;
}

Result<CsFlow> CsExecutor::atomic() {
  SX_TRY_VOID(refuse_ggtt());
  const std::uint32_t op = cs_bits(header_, 15, 8);
  const std::uint32_t size = cs_bits(header_, 20, 19);
  if (op >= 0x40 || size > 1) return bad_command("unknown or 16-byte atomic operation");
  const bool in_line = cs_bit(header_, 18);
  SX_TRY_VOID(expect_dwords(in_line ? 11 : 3));
  SX_TRY(const std::uint32_t low, dword(1));
  SX_TRY(const std::uint32_t high, dword(2));
  std::uint64_t operand1 = ctx_.gpr[0];
  std::uint64_t operand2 = ctx_.gpr[1];
  if (in_line) {
    // The dwords of the two operands alternate.
    std::array<std::uint32_t, 4> d{};
    for (std::uint32_t i = 0; i < d.size(); ++i) {
      SX_TRY(d[i], dword(3 + i));
    }
    operand1 = cs_join(d[0], d[2]);
    operand2 = cs_join(d[1], d[3]);
  }
  const GpuVa va = va_of(low & ~3u, high);
  const bool returns_data = cs_bit(header_, 16);
  if ((op & 0x20) != 0 || size == 1) {
    SX_TRY(const std::uint64_t result, atomic_memory<std::uint64_t>(va, op & 0x1f, operand1, operand2));
    if (returns_data) ctx_.gpr[0] = result;
    return CsFlow::kNext;
  }
  SX_TRY(const std::uint32_t result, atomic_memory<std::uint32_t>(va, op, static_cast<std::uint32_t>(operand1),
                                                                  static_cast<std::uint32_t>(operand2)));
  // A dword result leaves the register's upper half alone.
  if (returns_data) ctx_.gpr[0] = cs_join(result, static_cast<std::uint32_t>(ctx_.gpr[0] >> 32));
  return CsFlow::kNext;
}

}  // namespace softxe
