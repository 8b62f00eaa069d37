#include "hw/eu/eu_atomic.h"

#include <immintrin.h>

#include <array>
#include <bit>
#include <utility>

#include "base/result.h"
#include "hw/eu/eu_half.h"

namespace softxe {

namespace {

/// Rounding to nearest even with denormals while it lives.
class DataPortFloatMode {
 public:
  DataPortFloatMode() : found_(_mm_getcsr()) {
    if (found_ != kDefault) _mm_setcsr(kDefault);
  }
  ~DataPortFloatMode() {
    if (found_ != kDefault) _mm_setcsr(found_);
  }
  DataPortFloatMode(const DataPortFloatMode&) = delete;
  DataPortFloatMode& operator=(const DataPortFloatMode&) = delete;

 private:
  static constexpr unsigned kDefault = 0x1F80;  // all exceptions masked
  const unsigned found_;
};

// --- operations by width --------------------------------------------------------------------------

template <typename U>
struct Width;
template <>
struct Width<std::uint16_t> {
  using Signed = std::int16_t;
  static constexpr std::uint16_t kQuiet = 0x200;
  static float number(std::uint16_t v) { return eu_float_of_half(v); }
  static std::uint16_t word(float f) { return eu_half_of_float(f); }
};
template <>
struct Width<std::uint32_t> {
  using Signed = std::int32_t;
  static constexpr std::uint32_t kQuiet = 0x40'0000;
  static float number(std::uint32_t v) { return std::bit_cast<float>(v); }
  static std::uint32_t word(float f) { return std::bit_cast<std::uint32_t>(f); }
};
template <>
struct Width<std::uint64_t> {
  using Signed = std::int64_t;
  static constexpr std::uint64_t kQuiet = 0x8'0000'0000'0000;
  static double number(std::uint64_t v) { return std::bit_cast<double>(v); }
  static std::uint64_t word(double f) { return std::bit_cast<std::uint64_t>(f); }
};

/// Which of two values is the minimum or maximum; bits are kept, also of NaNs.
template <typename U>
U float_pick(bool found_wins, U found, U operand) {
  const auto f = Width<U>::number(found);
  const auto o = Width<U>::number(operand);
  if (o != o) return found;
  if (f != f) return operand;
  return found_wins ? found : operand;
}

template <typename U>
U apply_float(EuAtomicOp op, U found, U operand, U compare) {
  const DataPortFloatMode mode;
  const auto f = eu_pinned(Width<U>::number(found));
  const auto o = eu_pinned(Width<U>::number(operand));
  switch (op) {
    case EuAtomicOp::kFadd:
    case EuAtomicOp::kFsub:
      // Which NaN stays is left to nobody: compilers swap the operands of an addition.
      if (f != f) return found | Width<U>::kQuiet;
      if (o != o) return operand | Width<U>::kQuiet;
      return Width<U>::word(eu_pinned(op == EuAtomicOp::kFadd ? f + o : f - o));
    case EuAtomicOp::kFmin: return float_pick<U>(f <= o, found, operand);
    case EuAtomicOp::kFmax: return float_pick<U>(f >= o, found, operand);
    default: return f == Width<U>::number(compare) ? operand : found;
  }
}

template <typename U>
U apply(EuAtomicOp op, U found, U operand, U compare) {
  using S = typename Width<U>::Signed;
  const auto smaller = static_cast<S>(found) < static_cast<S>(operand);
  switch (op) {
    case EuAtomicOp::kInc: return static_cast<U>(found + 1u);
    case EuAtomicOp::kDec: return static_cast<U>(found - 1u);
    case EuAtomicOp::kLoad: return found;
    case EuAtomicOp::kExchange: return operand;
    case EuAtomicOp::kAdd: return static_cast<U>(found + operand);
    case EuAtomicOp::kSub: return static_cast<U>(found - operand);
    case EuAtomicOp::kSmin: return smaller ? found : operand;
    case EuAtomicOp::kSmax: return smaller ? operand : found;
    case EuAtomicOp::kUmin: return found < operand ? found : operand;
    case EuAtomicOp::kUmax: return found < operand ? operand : found;
    case EuAtomicOp::kIcas: return found == compare ? operand : found;
    case EuAtomicOp::kAnd: return found & operand;
    case EuAtomicOp::kOr: return found | operand;
    case EuAtomicOp::kXor: return found ^ operand;
    case EuAtomicOp::kFadd:
    case EuAtomicOp::kFsub:
    case EuAtomicOp::kFmin:
    case EuAtomicOp::kFmax:
    case EuAtomicOp::kFcas: break;
  }
  return apply_float<U>(op, found, operand, compare);
}

// --- as plain functions ---------------------------------------------------------------------------

template <typename U, EuAtomicOp op>
U whole(U found, U operand, U compare) {
  return apply<U>(op, found, operand, compare);
}
template <unsigned shift, EuAtomicOp op>
std::uint32_t half(std::uint32_t found, std::uint32_t operand, std::uint32_t compare) {
  const std::uint32_t value =
      apply<std::uint16_t>(op, static_cast<std::uint16_t>(found >> shift), static_cast<std::uint16_t>(operand),
                           static_cast<std::uint16_t>(compare));
  return (found & ~(0xFFFFu << shift)) | value << shift;
}

constexpr std::size_t kOps = kEuAtomicEnd - kEuAtomicFirst;
using AllOps = std::make_index_sequence<kOps>;

template <std::size_t n>
constexpr EuAtomicOp kOp = static_cast<EuAtomicOp>(kEuAtomicFirst + n);

template <typename U, std::size_t... n>
constexpr auto whole_table(std::index_sequence<n...>) {
  return std::array<U (*)(U, U, U), kOps>{whole<U, kOp<n>>...};
}
template <unsigned shift, std::size_t... n>
constexpr auto half_table(std::index_sequence<n...>) {
  return std::array<EuAtomicFn32, kOps>{half<shift, kOp<n>>...};
}

constexpr auto k32 = whole_table<std::uint32_t>(AllOps{});
constexpr auto k64 = whole_table<std::uint64_t>(AllOps{});
constexpr auto kLow16 = half_table<0>(AllOps{});
constexpr auto kHigh16 = half_table<16>(AllOps{});

std::size_t row(EuAtomicOp op) { return static_cast<std::size_t>(op) - kEuAtomicFirst; }

}  // namespace

EuAtomicFn32 eu_atomic_fn16(EuAtomicOp op, EuHalf half) {
  return half == EuHalf::kLow ? kLow16[row(op)] : kHigh16[row(op)];
}
EuAtomicFn32 eu_atomic_fn32(EuAtomicOp op) { return k32[row(op)]; }
EuAtomicFn64 eu_atomic_fn64(EuAtomicOp op) { return k64[row(op)]; }

std::uint64_t eu_atomic_result(const EuAtomic& atomic, std::uint64_t found) {
  switch (atomic.bytes) {
    case 2:
      return apply<std::uint16_t>(atomic.op, static_cast<std::uint16_t>(found),
                                  static_cast<std::uint16_t>(atomic.operand),
                                  static_cast<std::uint16_t>(atomic.compare));
    case 4:
      return apply<std::uint32_t>(atomic.op, static_cast<std::uint32_t>(found),
                                  static_cast<std::uint32_t>(atomic.operand),
                                  static_cast<std::uint32_t>(atomic.compare));
    default:
      SX_ASSERT(atomic.bytes == 8);
      return apply<std::uint64_t>(atomic.op, found, atomic.operand, atomic.compare);
  }
}

}  // namespace softxe
