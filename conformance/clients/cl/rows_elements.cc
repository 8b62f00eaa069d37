// One expression a row: OpenCL's compiler and C++ get the same text, each element's results are compared.
#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <type_traits>

#include "rows.h"

namespace {

using uchar = std::uint8_t;
using ushort = std::uint16_t;
using uint = std::uint32_t;
using ulong = std::uint64_t;
using llong = std::int64_t;
using half = _Float16;

// What OpenCL's integer functions are in C++ (OpenCL C 3.0, 6.15.3).
template <typename T>
using Wide = std::conditional_t<std::is_signed_v<T>, __int128, unsigned __int128>;
template <typename T>
T saturated(Wide<T> v) {
  if (v > Wide<T>(std::numeric_limits<T>::max())) return std::numeric_limits<T>::max();
  if (v < Wide<T>(std::numeric_limits<T>::min())) return std::numeric_limits<T>::min();
  return static_cast<T>(v);
}
template <typename T> T add_sat(T a, T b) { return saturated<T>(Wide<T>(a) + b); }
template <typename T> T sub_sat(T a, T b) {
  if constexpr (std::is_unsigned_v<T>) return a > b ? T(a - b) : T(0);
  return saturated<T>(Wide<T>(a) - b);
}
template <typename T> T hadd(T a, T b) { return T((Wide<T>(a) + b) >> 1); }
template <typename T> T rhadd(T a, T b) { return T((Wide<T>(a) + b + 1) >> 1); }
template <typename T> T mul_hi(T a, T b) { return T((Wide<T>(a) * b) >> (8 * sizeof(T))); }
template <typename T> T mad_hi(T a, T b, T c) { return T(mul_hi(a, b) + c); }
template <typename T> T mad_sat(T a, T b, T c) { return saturated<T>(Wide<T>(a) * b + c); }
template <typename T> T rotate(T a, T b) {
  using U = std::make_unsigned_t<T>;
  return T(std::rotl(U(a), int(U(b) % (8 * sizeof(T)))));
}
template <typename T> T clz(T a) { return T(std::countl_zero(std::make_unsigned_t<T>(a))); }
template <typename T> T ctz(T a) { return T(std::countr_zero(std::make_unsigned_t<T>(a))); }
template <typename T> T popcount(T a) { return T(std::popcount(std::make_unsigned_t<T>(a))); }
template <typename T> std::make_unsigned_t<T> abs_diff(T a, T b) {
  using U = std::make_unsigned_t<T>;
  return a > b ? U(U(a) - U(b)) : U(U(b) - U(a));
}
template <typename T> T bitselect(T a, T b, T c) { return T((a & ~c) | (b & c)); }
template <typename T> T clamp(T a, T low, T high) { return std::min(std::max(a, low), high); }
int mul24(int a, int b) { return a * b; }
int mad24(int a, int b, int c) { return a * b + c; }
using std::max;
using std::min;

template <typename T>
T edge_or_random(kit::Random& random, size_t i) {
  static constexpr std::int64_t kEdges[] = {0, 1, -1, 2, 127, 128, 255, 256, 32767, 32768, 65535, 0x7FFFFFFF, -0x80000000LL};
  if (i < std::size(kEdges) * std::size(kEdges)) return T(kEdges[i % std::size(kEdges)]);
  return T(std::uint64_t{random.next()} << 32 | random.next());
}

constexpr size_t kElements = 3000;

/// Integer rows: exact. `b` walks through the edges more slowly than `a`, so that each pair comes up.
template <typename T, typename R>
void integer_row(kit::Runtime& rt, const char* t, const char* r, const char* expression, R (*want)(T, T, T)) {
  kit::Random random;
  kit::Array<T> a(rt, kElements), b(rt, kElements), c(rt, kElements);
  kit::Array<R> o(rt, kElements);
  a.fill([&](size_t i) { return edge_or_random<T>(random, i); });
  b.fill([&](size_t i) { return i < 169 ? edge_or_random<T>(random, i / 13) : T(random.next()); });
  c.fill([&](size_t) { return T(random.next()); });
  const std::string source = std::string("kernel void k(global const ") + t + "* A, global const " + t + "* B, global const " +
                             t + "* C, global " + r + "* O) { size_t i = get_global_id(0); " + t + " a = A[i], b = B[i], c = C[i]; O[i] = (" +
                             expression + "); }";
  kit::Kernel(rt, source, "-Dllong=long").arg(a).arg(b).arg(c).arg(o).run({.global = {kElements}});
  for (size_t i = 0; i < kElements; ++i) {
    const R expected = want(a[i], b[i], c[i]);
    if (o[i] != expected)
      kit::fail("element %zu: a %lld b %lld c %lld: got %lld, want %lld", i, (long long)a[i], (long long)b[i], (long long)c[i],
                (long long)o[i], (long long)expected);
  }
}

/// Float rows: within `tolerance` units of the last place of a result computed in a wider type.
template <typename T>
struct FloatRow {
  const char* type;
  const char* expression;
  double low, high;  ///< of the operands
  double tolerance;
  long double (*want)(long double a, long double b, long double c);
};

template <typename T>
void float_row(kit::Runtime& rt, const FloatRow<T>& row) {
  kit::Random random;
  kit::Array<T> a(rt, kElements), b(rt, kElements), c(rt, kElements), o(rt, kElements);
  const auto draw = [&](size_t) { return T(random.real(row.low, row.high)); };
  a.fill(draw);
  b.fill(draw);
  c.fill(draw);
  const std::string t = row.type;
  const std::string source = "kernel void k(global const " + t + "* A, global const " + t + "* B, global const " + t +
                             "* C, global " + t + "* O) { size_t i = get_global_id(0); " + t + " a = A[i], b = B[i], c = C[i]; O[i] = (" +
                             row.expression + "); }";
  kit::Kernel(rt, "#pragma OPENCL EXTENSION cl_khr_fp16 : enable\n#pragma OPENCL FP_CONTRACT OFF\n" + source).arg(a).arg(b).arg(c).arg(o).run({.global = {kElements}});
  const bool relaxed = rt.options.build.find("relaxed") != std::string::npos || rt.options.build.find("fast") != std::string::npos;
  const double tolerance = relaxed ? row.tolerance * 16 + 8192 : row.tolerance;
  for (size_t i = 0; i < kElements; ++i) {
    const long double expected = row.want(a[i], b[i], c[i]);
    if (kit::ulps(o[i], expected) > tolerance)
      kit::fail("element %zu: a %.9g b %.9g c %.9g: got %.17g, want %.17Lg", i, double(a[i]), double(b[i]), double(c[i]),
                double(o[i]), expected);
  }
}

#define INTEGER(name, T, R, expression) \
  {name, [](kit::Runtime& rt) { integer_row<T, R>(rt, #T, #R, #expression, [](T a, T b, T c) -> R { (void)a, (void)b, (void)c; return (R)(expression); }); }}

#define FLOATS(name, T, text, low, high, tolerance, expression)                                                            \
  {name, [](kit::Runtime& rt) {                                                                                            \
     float_row<T>(rt, {#T, text, low, high, tolerance,                                                                     \
                       [](long double a, long double b, long double c) -> long double { (void)a, (void)b, (void)c; return (expression); }}); \
   }}

const kit::Row kRows[] = {
    INTEGER("int-add-sub-mul", int, int, (int)((uint)a + (uint)b * (uint)c - 7u)),
    INTEGER("int-divide", int, int, (b == 0 || b == -1) ? 0 : a / b),
    INTEGER("int-remainder", int, int, (b == 0 || b == -1) ? 0 : a % b),
    INTEGER("int-divide-by-constants", int, int, a / 3 + a % 7 - a / 10 + a % 16 + a / -5),
    INTEGER("uint-divide", uint, uint, a / (b | 1) + a % (c | 1)),
    INTEGER("uint-divide-by-constants", uint, uint, a / 3 + a % 7 - a / 10 + a / 1000003),
    INTEGER("int-shifts", int, int, (a >> (b & 31)) ^ (int)((uint)c << (b & 31))),
    INTEGER("uint-shifts", uint, uint, (a >> (b & 31)) ^ (c << (a & 31))),
    INTEGER("int-compare-select", int, int, a < b ? c : (a == b ? 17 : a)),
    INTEGER("uint-compare-select", uint, uint, a < b ? c : (a >= c ? b : a)),
    INTEGER("int-min-max-clamp", int, int, clamp(max(a, b), -1000, 1000) + min(b, c) / 2),
    INTEGER("int-abs-diff", int, uint, abs_diff(a, b)),
    INTEGER("uint-abs-diff", uint, uint, abs_diff(a, b)),
    INTEGER("int-saturating", int, int, add_sat(a, b) ^ sub_sat(b, c)),
    INTEGER("uint-saturating", uint, uint, add_sat(a, b) ^ sub_sat(b, c)),
    INTEGER("char-saturating", char, char, (char)(add_sat(a, b) ^ sub_sat(b, c))),
    INTEGER("uchar-saturating", uchar, uchar, (uchar)(add_sat(a, b) ^ sub_sat(b, c))),
    INTEGER("short-saturating", short, short, (short)(add_sat(a, b) ^ sub_sat(b, c))),
    INTEGER("ushort-saturating", ushort, ushort, (ushort)(add_sat(a, b) ^ sub_sat(b, c))),
    INTEGER("int-halving-add", int, int, hadd(a, b) ^ rhadd(b, c)),
    INTEGER("uint-halving-add", uint, uint, hadd(a, b) ^ rhadd(b, c)),
    INTEGER("int-mul-hi", int, int, mul_hi(a, b)),
    INTEGER("uint-mul-hi", uint, uint, mul_hi(a, b) + mad_hi(b, c, a)),
    INTEGER("short-mul-hi", short, short, mul_hi(a, b)),
    INTEGER("int-mad-sat", int, int, mad_sat(a, b, c)),
    INTEGER("int-mul24", int, int, mul24((a << 8) >> 8 & 0xFFF, (b & 0xFFF)) + mad24(a & 0x7FF, b & 0xFFF, c & 0xFFFF)),
    INTEGER("int-rotate", int, int, rotate(a, b)),
    INTEGER("ushort-rotate", ushort, ushort, rotate(a, b)),
    INTEGER("uchar-rotate", uchar, uchar, rotate(a, b)),
    INTEGER("ulong-rotate", ulong, ulong, rotate(a, b)),
    INTEGER("int-bit-counts", int, int, clz(a) + popcount(b) * 64 + (c == 0 ? 0 : ctz(c))),
    INTEGER("uchar-bit-counts", uchar, uchar, (uchar)(clz(a) + popcount(b) * 16)),
    INTEGER("ulong-bit-counts", ulong, ulong, clz(a) + popcount(b) * 128 + (c == 0 ? 0 : ctz(c)) * 65536),
    INTEGER("uint-bitselect", uint, uint, bitselect(a, b, c)),
    INTEGER("short-bitselect-of-constants", short, short, bitselect((short)0x1234, a, (short)0x7F0F) ^ b),
    INTEGER("ushort-choice-of-constants", ushort, ushort, bitselect((ushort)0x7FFF, b, (ushort)0x7FFF)),
    INTEGER("uint-logic", uint, uint, (a & ~b) | (b ^ c) | ~(a | c)),
    INTEGER("char-arithmetic", char, char, (char)(a * b + c - (a >> 2))),
    INTEGER("uchar-arithmetic", uchar, uchar, (uchar)(a * b + c - (a >> 2))),
    INTEGER("short-arithmetic", short, short, (short)(a * b + c - (a >> 3))),
    INTEGER("ushort-divide", ushort, ushort, (ushort)(a / (b | 1) + a % (c | 1))),
    INTEGER("char-divide", char, char, (char)((b == 0 || b == -1) ? 0 : a / b - a % b)),
    INTEGER("long-add-sub", llong, llong, (llong)((ulong)a + (ulong)b - (ulong)c)),
    INTEGER("long-multiply", llong, llong, (llong)((ulong)a * (ulong)b + (ulong)c)),
    INTEGER("long-divide", llong, llong, (b == 0 || b == -1) ? 0 : a / b),
    INTEGER("long-remainder", llong, llong, (b == 0 || b == -1) ? 0 : a % b),
    INTEGER("ulong-divide", ulong, ulong, a / (b | 1) + a % (c | 1)),
    INTEGER("long-shifts", llong, llong, (a >> (b & 63)) ^ (llong)((ulong)c << (a & 63))),
    INTEGER("ulong-shifts", ulong, ulong, (a >> (b & 63)) ^ (c << (a & 63))),
    INTEGER("long-compare", llong, int, (a < b) + 2 * (b <= c) + 4 * (a == c) + 8 * (a != b)),
    INTEGER("ulong-compare", ulong, int, (a < b) + 2 * (b <= c) + 4 * (a == c)),
    INTEGER("ulong-mul-hi", ulong, ulong, mul_hi(a, b)),
    INTEGER("long-mul-hi", llong, llong, mul_hi(a, b)),
    INTEGER("long-min-max", llong, llong, max(min(a, b), c)),
    INTEGER("int-to-narrow", int, int, (int)(char)a + (int)(uchar)b + (int)(short)c + (int)(ushort)(a ^ b)),
    INTEGER("int-to-long", int, llong, (llong)a * (llong)b + (ulong)(uint)c),

    FLOATS("float-add", float, "a + b", -1e3, 1e3, 0.5, a + b),
    FLOATS("float-multiply", float, "a * b", -1e3, 1e3, 0.5, a* b),
    FLOATS("float-fma", float, "fma(a, b, c)", -1e3, 1e3, 0.501, a* b + c),
    FLOATS("float-divide", float, "a / b", -1e3, 1e3, 2.5, a / b),
    FLOATS("float-sqrt", float, "sqrt(a)", 0, 1e6, 3, sqrtl(a)),
    FLOATS("float-rsqrt", float, "rsqrt(a)", 1e-3, 1e6, 2, 1 / sqrtl(a)),
    FLOATS("float-cbrt", float, "cbrt(a)", -1e4, 1e4, 2, cbrtl(a)),
    FLOATS("float-min-max-clamp", float, "fmin(a, b) + fmax(b, c) + clamp(a, -1.0f, 1.0f)", -4, 4, 2e6,
           fminl(a, b) + fmaxl(b, c) + (a < -1 ? -1 : a > 1 ? 1 : a)),
    FLOATS("float-floor-ceil", float, "floor(a)", -1e3, 1e3, 0, floorl(a)),
    FLOATS("float-ceil", float, "ceil(a)", -1e3, 1e3, 0, ceill(a)),
    FLOATS("float-rint", float, "rint(a)", -1e3, 1e3, 0, rintl(a)),
    FLOATS("float-round", float, "round(a)", -1e3, 1e3, 0, roundl(a)),
    FLOATS("float-trunc", float, "trunc(a)", -1e3, 1e3, 0, truncl(a)),
    FLOATS("float-fabs-copysign", float, "copysign(fabs(a), b)", -1e3, 1e3, 0, copysignl(fabsl(a), b)),
    FLOATS("float-fmod", float, "fmod(a, b)", -1e3, 1e3, 0, fmodl(a, b)),
    FLOATS("float-ldexp", float, "ldexp(a, (int)b)", -20, 20, 0, ldexpl(a, int(b))),
    FLOATS("float-hypot", float, "hypot(a, b)", -1e3, 1e3, 4, hypotl(a, b)),
    FLOATS("float-exp", float, "exp(a)", -20, 20, 3, expl(a)),
    FLOATS("float-exp2", float, "exp2(a)", -20, 20, 3, exp2l(a)),
    FLOATS("float-exp10", float, "exp10(a)", -10, 10, 3, exp10l(a)),
    FLOATS("float-expm1", float, "expm1(a)", -5, 5, 3, expm1l(a)),
    FLOATS("float-log", float, "log(a)", 1e-3, 1e6, 3, logl(a)),
    FLOATS("float-log2", float, "log2(a)", 1e-3, 1e6, 3, log2l(a)),
    FLOATS("float-log10", float, "log10(a)", 1e-3, 1e6, 3, log10l(a)),
    FLOATS("float-log1p", float, "log1p(a)", -0.9, 10, 2, log1pl(a)),
    FLOATS("float-pow", float, "pow(fabs(a), b)", -9, 9, 16, powl(fabsl(a), b)),
    FLOATS("float-pown", float, "pown(a, (int)b)", -9, 9, 16, powl(a, (int)b)),
    FLOATS("float-sin", float, "sin(a)", -50, 50, 4, sinl(a)),
    FLOATS("float-cos", float, "cos(a)", -50, 50, 4, cosl(a)),
    FLOATS("float-tan", float, "tan(a)", -1.5, 1.5, 5, tanl(a)),
    FLOATS("float-asin-acos", float, "asin(a)", -1, 1, 4, asinl(a)),
    FLOATS("float-acos", float, "acos(a)", -1, 1, 4, acosl(a)),
    FLOATS("float-atan", float, "atan(a)", -1e3, 1e3, 5, atanl(a)),
    FLOATS("float-atan2", float, "atan2(a, b)", -10, 10, 6, atan2l(a, b)),
    FLOATS("float-sinh", float, "sinh(a)", -8, 8, 4, sinhl(a)),
    FLOATS("float-cosh", float, "cosh(a)", -8, 8, 4, coshl(a)),
    FLOATS("float-tanh", float, "tanh(a)", -8, 8, 5, tanhl(a)),
    FLOATS("float-erf", float, "erf(a)", -4, 4, 16, erfl(a)),
    FLOATS("float-tgamma", float, "tgamma(a)", 0.1, 20, 16, tgammal(a)),
    FLOATS("float-sinpi", float, "sinpi(a)", -4, 4, 4, (long double)(sinl(3.14159265358979323846264338327950288L * fmodl(a, 2)))),
    FLOATS("float-mix-step", float, "step(a, b) + 2.0f * sign(c)", -4, 4, 0, (b < a ? 0 : 1) + 2 * (c > 0 ? 1 : c < 0 ? -1 : 0)),

    FLOATS("double-add-multiply", double, "a * b", -1e3, 1e3, 0.51, a* b),
    FLOATS("double-fma", double, "fma(a, b, c)", -1e3, 1e3, 0.51, a* b + c),
    FLOATS("double-divide", double, "a / b", -1e3, 1e3, 0.51, a / b),
    FLOATS("double-sqrt", double, "sqrt(a)", 0, 1e6, 0.51, sqrtl(a)),
    FLOATS("double-exp", double, "exp(a)", -20, 20, 3, expl(a)),
    FLOATS("double-log", double, "log(a)", 1e-3, 1e6, 3, logl(a)),
    FLOATS("double-sin", double, "sin(a)", -50, 50, 4, sinl(a)),
    FLOATS("double-pow", double, "pow(fabs(a), b)", -9, 9, 16, powl(fabsl(a), b)),
    FLOATS("double-rounding", double, "rint(a) + floor(b) * 4096.0", -1e3, 1e3, 0, rintl(a) + floorl(b) * 4096),

    FLOATS("half-add-multiply", half, "a * b", -30, 30, 0.51, a* b),
    FLOATS("half-fma", half, "fma(a, b, c)", -30, 30, 0.51, a* b + c),
    FLOATS("half-divide", half, "a / b", 0.5, 30, 1, a / b),
    FLOATS("half-sqrt", half, "sqrt(a)", 0, 1e3, 1, sqrtl(a)),
    FLOATS("half-exp", half, "exp(a)", -5, 5, 2, expl(a)),
    FLOATS("half-min-max", half, "fmin(fmax(a, b), c)", -30, 30, 0, fminl(fmaxl(a, b), c)),
};

}  // namespace

void add_element_rows(std::vector<kit::Row>& rows) { rows.insert(rows.end(), std::begin(kRows), std::end(kRows)); }
