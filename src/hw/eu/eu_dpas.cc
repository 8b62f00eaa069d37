#include "hw/eu/eu_dpas.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "hw/eu/eu_channels.h"
#include "hw/eu/eu_float_ops.h"
#include "hw/eu/eu_fused.h"
#include "hw/eu/eu_number.h"
#include "hw/eu/eu_operand.h"

namespace softxe {
namespace {

constexpr unsigned kColumns = 16;
constexpr unsigned kRowsMax = 8;
constexpr unsigned kStepsMax = 64;  // depth 8, eight 4-bit elements each

template <typename T>
struct Matrices {
  std::array<std::array<T, kColumns>, kRowsMax> sum{};
  std::array<std::array<T, kStepsMax>, kRowsMax> a{};
  std::array<std::array<T, kColumns>, kStepsMax> b{};
};

struct Shape {
  unsigned rows;
  unsigned steps;
};

std::uint64_t element(const EuThread& thread, const EuOperand& operand, unsigned bit, unsigned bits) {
  const std::uint32_t at = eu_file(operand, thread).offset + eu_first_byte(operand) + bit / 8;
  std::uint64_t raw = 0;
  std::memcpy(&raw, eu_bytes(thread, at), (bits + 7) / 8);
  return bits >= 8 ? raw : raw >> (bit % 8) & ((1u << bits) - 1);
}

template <typename T>
T number(std::uint64_t raw, EuType type) {
  if constexpr (std::is_same_v<T, float>) {
    return eu_float_value(raw, type);
  } else {
    const unsigned unused = 64 - eu_dpas_bits(type);
    if (eu_class(type) == EuClass::kSigned) return static_cast<std::int64_t>(raw << unused) >> unused;
    return static_cast<std::int64_t>(raw);
  }
}

template <typename T>
void load(const EuThread& thread, const EuInst& inst, Shape shape, Matrices<T>& m) {
  const auto& [c, b, a] = inst.src;
  const unsigned a_bits = eu_dpas_bits(a.type);
  const unsigned b_bits = eu_dpas_bits(b.type);
  const unsigned c_bits = eu_dpas_bits(c.type);
  for (unsigned r = 0; r < shape.rows; ++r) {
    for (unsigned k = 0; k < shape.steps; ++k) {
      m.a[r][k] = number<T>(element(thread, a, (r * shape.steps + k) * a_bits, a_bits), a.type);
    }
    for (unsigned n = 0; n < kColumns; ++n) {
      if (c.null()) continue;
      m.sum[r][n] = number<T>(element(thread, c, (r * kColumns + n) * c_bits, c_bits), c.type);
    }
  }
  for (unsigned k = 0; k < shape.steps; ++k) {
    // A column's elements follow each other in dword n of one register after the other.
    const unsigned row = k * b_bits / 32;
    for (unsigned n = 0; n < kColumns; ++n) {
      m.b[k][n] = number<T>(element(thread, b, (row * kColumns + n) * 32 + k * b_bits % 32, b_bits), b.type);
    }
  }
}

template <typename T>
T product_sum(T a, T b, T sum) {
  if constexpr (std::is_same_v<T, float>) {
    return eu_fused(a, b, sum);
  } else {
    return a * b + sum;
  }
}

template <typename T>
std::uint64_t result_of(T sum, const EuConvert& convert) {
  if constexpr (std::is_same_v<T, float>) {
    return convert.from(eu_one_nan(sum));
  } else {
    return convert.from(EuWide{sum});
  }
}

template <typename T>
void multiply(EuThread& thread, const EuInst& inst, const EuFloatMode& mode) {
  const Shape shape{inst.dpas.repeat, inst.dpas.depth * eu_dpas_ops(inst)};
  Matrices<T> m;
  load(thread, inst, shape, m);
  for (unsigned r = 0; r < shape.rows; ++r) {
    for (unsigned k = 0; k < shape.steps; ++k) {
      for (unsigned n = 0; n < kColumns; ++n) m.sum[r][n] = product_sum<T>(m.a[r][k], m.b[k][n], m.sum[r][n]);
    }
  }
  const std::uint32_t enabled = eu_enabled(thread, inst);
  const EuConvert convert{
      .to = inst.dst.type, .saturate = inst.saturate ? EuSaturate::kYes : EuSaturate::kNo, .mode = mode};
  const unsigned bytes = eu_type_bytes(inst.dst.type);
  const std::uint32_t first = eu_file(inst.dst, thread).offset + eu_first_byte(inst.dst);
  for (unsigned r = 0; r < shape.rows; ++r) {
    for (unsigned n = 0; n < kColumns; ++n) {
      const std::uint64_t raw = result_of<T>(m.sum[r][n], convert);
      if ((enabled >> n & 1) != 0) std::memcpy(eu_bytes(thread, first + (r * kColumns + n) * bytes), &raw, bytes);
    }
  }
}

}  // namespace

unsigned eu_dpas_bits(EuType type) {
  if (type == EuType::kS4 || type == EuType::kU4) return 4;
  if (type == EuType::kS2 || type == EuType::kU2) return 2;
  return eu_type_bytes(type) * 8;
}

unsigned eu_dpas_ops(const EuInst& inst) {
  const unsigned bits = std::max(eu_dpas_bits(inst.src[1].type), eu_dpas_bits(inst.src[2].type));
  return bits <= 4 ? 8 : 32 / bits;
}

void eu_dpas(EuThread& thread, const EuInst& inst) {
  const EuFloatMode mode = EuFloatMode::of(thread.cr[0]);
  const HostFloatScope scope(host_float_control(mode.rounding, mode.f));
  if (eu_is_float(inst.dst.type)) return multiply<float>(thread, inst, mode);
  multiply<std::int64_t>(thread, inst, mode);
}

}  // namespace softxe
