// Vectors, conversions, packing, pointers to different address spaces, private arrays.
#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>

#include "rows.h"

namespace {

using kit::Array;
using kit::Kernel;
using kit::Random;
using kit::Runtime;

constexpr size_t kItems = 1000;

/// OpenCL's convert_TO_sat_MODE from float or double (OpenCL C 3.0, 6.4.3.3).
enum class Mode { kRte, kRtz, kRtp, kRtn };
double rounded(double v, Mode mode) {
  switch (mode) {
    case Mode::kRte: return std::nearbyint(v);
    case Mode::kRtz: return std::trunc(v);
    case Mode::kRtp: return std::ceil(v);
    case Mode::kRtn: return std::floor(v);
  }
  return v;
}

template <typename From, typename To>
void to_integer(Runtime& rt, const char* from, const char* to, const char* suffix, Mode mode) {
  Random random;
  Array<From> in(rt, kItems);
  Array<To> out(rt, kItems);
  in.fill([&](size_t i) {
    static constexpr double kEdges[] = {0.0, -0.0, 0.5, -0.5, 1.5, 2.5, -1.5, 1e30, -1e30, 127.5, 128, 255.5, -128.5, 32767.5, 65535.5, 2147483648.0, -2147483904.0, 4294967296.0, INFINITY, -INFINITY};
    return From(i < std::size(kEdges) ? kEdges[i] : random.real(-70000, 70000));
  });
  const std::string source = std::string("kernel void k(global const ") + from + "* a, global " + to + "* o) { size_t i = get_global_id(0); o[i] = convert_" +
                             to + suffix + "(a[i]); }";
  Kernel(rt, source).arg(in).arg(out).run({.global = {kItems}});
  for (size_t i = 0; i < kItems; ++i) {
    const double r = rounded(double(in[i]), mode);
    const double low = double(std::numeric_limits<To>::min());
    To want;
    if (r <= low) want = std::numeric_limits<To>::min();
    else if (r >= std::ldexp(1.0, std::numeric_limits<To>::digits)) want = std::numeric_limits<To>::max();
    else want = To(r);
    if (out[i] != want) kit::fail("element %zu: %.9g: got %lld, want %lld", i, double(in[i]), (long long)out[i], (long long)want);
  }
}

template <typename From, typename To>
void integers(Runtime& rt, const char* from, const char* to) {
  Random random;
  Array<From> in(rt, kItems);
  Array<To> plain(rt, kItems);
  Array<To> saturated(rt, kItems);
  in.fill([&](size_t) { return From(std::uint64_t{random.next()} << 32 | random.next()); });
  const std::string source = std::string("kernel void k(global const ") + from + "* a, global " + to + "* o, global " + to +
                             "* s) { size_t i = get_global_id(0); o[i] = convert_" + to + "(a[i]); s[i] = convert_" + to + "_sat(a[i]); }";
  Kernel(rt, source).arg(in).arg(plain).arg(saturated).run({.global = {kItems}});
  for (size_t i = 0; i < kItems; ++i) {
    const __int128 v = in[i];
    const To clamped = v > __int128(std::numeric_limits<To>::max())   ? std::numeric_limits<To>::max()
                       : v < __int128(std::numeric_limits<To>::min()) ? std::numeric_limits<To>::min()
                                                                      : To(in[i]);
    if (plain[i] != To(in[i]) || saturated[i] != clamped)
      kit::fail("element %zu: %lld: got %lld and %lld", i, (long long)in[i], (long long)plain[i], (long long)saturated[i]);
  }
}

/// Integer to float in all rounding modes: compared with the neighbours of the exact value.
void int_to_float_modes(Runtime& rt) {
  Random random;
  Array<int> in(rt, kItems);
  Array<float> out(rt, 4 * kItems);
  in.fill([&](size_t) { return int(random.next()); });
  Kernel(rt,
         "kernel void k(global const int* a, global float* o) { size_t i = get_global_id(0); o[4*i] = convert_float_rte(a[i]);"
         " o[4*i+1] = convert_float_rtz(a[i]); o[4*i+2] = convert_float_rtp(a[i]); o[4*i+3] = convert_float_rtn(a[i]); }")
      .arg(in).arg(out).run({.global = {kItems}});
  for (size_t i = 0; i < kItems; ++i) {
    const float near = float(in[i]);
    const double exact = in[i];
    const float down = double(near) > exact ? std::nextafterf(near, -INFINITY) : near;
    const float up = double(near) < exact ? std::nextafterf(near, INFINITY) : near;
    const float want[4] = {near, exact < 0 ? up : down, up, down};
    for (int m = 0; m < 4; ++m)
      if (out[4 * i + m] != want[m]) kit::fail("%d mode %d: got %.9g, want %.9g", in[i], m, double(out[4 * i + m]), double(want[m]));
  }
}

void float_to_half(Runtime& rt) {
  Random random;
  Array<float> in(rt, kItems);
  Array<std::uint16_t> out(rt, kItems);
  Array<float> back(rt, kItems);
  in.fill([&](size_t i) { return i < 8 ? std::ldexp(1.0f, -int(i) - 14) * 1.3f : float(random.real(-60000, 60000)); });
  Kernel(rt, "kernel void k(global const float* a, global half* o, global float* b) { size_t i = get_global_id(0); vstore_half(a[i], i, o); b[i] = vload_half(i, o); }")
      .arg(in).arg(out).arg(back).run({.global = {kItems}});
  for (size_t i = 0; i < kItems; ++i) {
    const _Float16 want = _Float16(in[i]);
    if (std::bit_cast<std::uint16_t>(want) != out[i] || back[i] != float(want))
      kit::fail("%.9g: got %#x and %.9g, want %.9g", double(in[i]), out[i], double(back[i]), double(float(want)));
  }
}

/// A row whose kernel turns words into words; `want` computes one word of the result.
struct Words {
  size_t in, out, items;
  const char* source;
  std::uint32_t (*want)(Array<std::uint32_t>& in, size_t at);
  size_t local = 0;
};
void words(Runtime& rt, const Words& row) {
  Random random;
  Array<std::uint32_t> in(rt, row.in), out(rt, row.out);
  in.fill([&](size_t) { return random.next(); });
  out.fill([](size_t) { return 0xDEADBEEF; });
  kit::Range range{.global = {row.items}};
  if (row.local != 0) range.local = {row.local};
  Kernel(rt, row.source).arg(in).arg(out).run(range);
  for (size_t i = 0; i < row.out; ++i) {
    const std::uint32_t want = row.want(in, i);
    if (out[i] != want) kit::fail("word %zu: got %#x, want %#x", i, out[i], want);
  }
}

#define WORDS(name, ...) {name, [](Runtime& rt) { words(rt, Words __VA_ARGS__); }}

std::uint32_t byte_of(std::uint32_t v, size_t i) { return v >> (8 * (i & 3)) & 0xFF; }

const kit::Row kRows[] = {
    {"convert-float-char-sat-rte", [](Runtime& rt) { to_integer<float, std::int8_t>(rt, "float", "char", "_sat_rte", Mode::kRte); }},
    {"convert-float-uchar-sat", [](Runtime& rt) { to_integer<float, std::uint8_t>(rt, "float", "uchar", "_sat", Mode::kRtz); }},
    {"convert-float-short-sat-rtp", [](Runtime& rt) { to_integer<float, std::int16_t>(rt, "float", "short", "_sat_rtp", Mode::kRtp); }},
    {"convert-float-ushort-sat-rtn", [](Runtime& rt) { to_integer<float, std::uint16_t>(rt, "float", "ushort", "_sat_rtn", Mode::kRtn); }},
    {"convert-float-int-sat", [](Runtime& rt) { to_integer<float, std::int32_t>(rt, "float", "int", "_sat", Mode::kRtz); }},
    {"convert-float-uint-sat-rte", [](Runtime& rt) { to_integer<float, std::uint32_t>(rt, "float", "uint", "_sat_rte", Mode::kRte); }},
    {"convert-double-int-sat-rtp", [](Runtime& rt) { to_integer<double, std::int32_t>(rt, "double", "int", "_sat_rtp", Mode::kRtp); }},
    {"convert-double-uint-sat-rtn", [](Runtime& rt) { to_integer<double, std::uint32_t>(rt, "double", "uint", "_sat_rtn", Mode::kRtn); }},
    {"convert-double-long-sat-rte", [](Runtime& rt) { to_integer<double, std::int64_t>(rt, "double", "long", "_sat_rte", Mode::kRte); }},
    {"convert-int-char", [](Runtime& rt) { integers<std::int32_t, std::int8_t>(rt, "int", "char"); }},
    {"convert-uint-uchar", [](Runtime& rt) { integers<std::uint32_t, std::uint8_t>(rt, "uint", "uchar"); }},
    {"convert-int-ushort", [](Runtime& rt) { integers<std::int32_t, std::uint16_t>(rt, "int", "ushort"); }},
    {"convert-uint-short", [](Runtime& rt) { integers<std::uint32_t, std::int16_t>(rt, "uint", "short"); }},
    {"convert-long-int", [](Runtime& rt) { integers<std::int64_t, std::int32_t>(rt, "long", "int"); }},
    {"convert-ulong-uint", [](Runtime& rt) { integers<std::uint64_t, std::uint32_t>(rt, "ulong", "uint"); }},
    {"convert-uint-long", [](Runtime& rt) { integers<std::uint32_t, std::int64_t>(rt, "uint", "long"); }},
    {"convert-int-float-modes", int_to_float_modes},
    {"convert-float-half", float_to_half},

    WORDS("vector-uint4-add", {.in = 4000, .out = 4000, .items = 1000,
          .source = "kernel void k(global const uint4* a, global uint4* o) { size_t i = get_global_id(0); o[i] = a[i] + (uint4)(1, 2, 3, 4); }",
          .want = [](Array<std::uint32_t>& a, size_t i) { return a[i] + std::uint32_t(i % 4) + 1; }}),
    WORDS("vector-uint16-reverse", {.in = 4096, .out = 4096, .items = 256,
          .source = "kernel void k(global const uint16* a, global uint16* o) { size_t i = get_global_id(0); o[i] = a[i].sfedcba9876543210; }",
          .want = [](Array<std::uint32_t>& a, size_t i) { return a[i ^ 15]; }}),
    WORDS("vector-uint3-in-vload3", {.in = 3000, .out = 3000, .items = 1000,
          .source = "kernel void k(global const uint* a, global uint* o) { size_t i = get_global_id(0); uint3 v = vload3(i, a); vstore3(v.zxy, i, o); }",
          .want = [](Array<std::uint32_t>& a, size_t i) { return a[i / 3 * 3 + (i % 3 + 2) % 3]; }}),
    WORDS("vector-uchar4-swizzle", {.in = 1000, .out = 1000, .items = 1000,
          .source = "kernel void k(global const uchar4* a, global uchar4* o) { size_t i = get_global_id(0); o[i] = a[i].wzyx + (uchar4)(1); }",
          .want = [](Array<std::uint32_t>& a, size_t i) {
            std::uint32_t v = 0;
            for (int b = 0; b < 4; ++b) v |= ((byte_of(a[i], 3 - b) + 1) & 0xFF) << (8 * b);
            return v;
          }}),
    WORDS("vector-shuffle2", {.in = 4000, .out = 4000, .items = 1000,
          .source = "kernel void k(global const uint4* a, global uint4* o) { size_t i = get_global_id(0); uint4 m = a[i] & 3; o[i] = shuffle(a[i], m); }",
          .want = [](Array<std::uint32_t>& a, size_t i) { return a[(i & ~size_t{3}) + (a[i] & 3)]; }}),
    WORDS("vector-any-all-select", {.in = 4000, .out = 1000, .items = 1000,
          .source = "kernel void k(global const int4* a, global uint* o) { size_t i = get_global_id(0); int4 s = select(a[i], -a[i], a[i] < 0); o[i] = any(a[i] < 0) * 2 + all(a[i] < 0) + (uint)(s.x ^ s.w) * 4; }",
          .want = [](Array<std::uint32_t>& a, size_t i) {
            bool any = false, all = true;
            std::uint32_t s[4];
            for (int c = 0; c < 4; ++c) {
              const std::int32_t v = std::int32_t(a[4 * i + c]);
              any |= v < 0, all &= v < 0;
              s[c] = v < 0 ? 0u - std::uint32_t(v) : std::uint32_t(v);
            }
            return std::uint32_t(any) * 2 + all + (s[0] ^ s[3]) * 4;
          }}),
    WORDS("unaligned-vload4", {.in = 4004, .out = 4000, .items = 1000,
          .source = "kernel void k(global const uint* a, global uint4* o) { size_t i = get_global_id(0); o[i] = vload4(i, a + 1); }",
          .want = [](Array<std::uint32_t>& a, size_t i) { return a[i + 1]; }}),
    WORDS("bytes-through-char-pointers", {.in = 1001, .out = 1000, .items = 1000,
          .source = "kernel void k(global const uchar* a, global uchar* o) { size_t i = get_global_id(0); for (int b = 0; b < 4; ++b) o[4*i+b] = a[4*i+b+1] ^ 0x5A; }",
          .want = [](Array<std::uint32_t>& a, size_t i) { return (a[i] >> 8 | a[i + 1] << 24) ^ 0x5A5A5A5A; }}),
    WORDS("struct-by-pointer", {.in = 4000, .out = 2000, .items = 1000,
          .source = "typedef struct { uchar c; uint u; ushort s; ulong l; } S;\n"
                    "kernel void k(global const uint4* a, global uint2* o) { size_t i = get_global_id(0); S s; s.c = a[i].x; s.u = a[i].y; s.s = a[i].z; s.l = ((ulong)a[i].w << 32) | a[i].x;"
                    " private S* p = a[i].x & 1 ? &s : &s; o[i] = (uint2)(p->c + p->u + p->s, (uint)(p->l >> 16)); }",
          .want = [](Array<std::uint32_t>& a, size_t i) {
            const size_t at = i / 2 * 4;
            return i % 2 == 0 ? (a[at] & 0xFF) + a[at + 1] + (a[at + 2] & 0xFFFF) : a[at + 3] << 16 | a[at] >> 16;
          }}),
    WORDS("private-array-indexed", {.in = 1000, .out = 1000, .items = 1000,
          .source = "kernel void k(global const uint* a, global uint* o) { size_t i = get_global_id(0); uint t[16]; for (int j = 0; j < 16; ++j) t[j] = a[i] * (j + 1); o[i] = t[a[i] & 15] + t[(a[i] >> 4) & 15]; }",
          .want = [](Array<std::uint32_t>& a, size_t i) { return a[i] * ((a[i] & 15) + 1) + a[i] * ((a[i] >> 4 & 15) + 1); }}),
    WORDS("private-array-large", {.in = 512, .out = 512, .items = 512,
          .source = "kernel void k(global const uint* a, global uint* o) { size_t i = get_global_id(0); uint t[512]; for (int j = 0; j < 512; ++j) t[(j * 7 + a[i]) & 511] = a[j] + j; uint s = 0; for (int j = 0; j < 512; ++j) s = s * 3 + t[j]; o[i] = s; }",
          .want = [](Array<std::uint32_t>& a, size_t i) {
            std::uint32_t t[512], s = 0;
            for (std::uint32_t j = 0; j < 512; ++j) t[(j * 7 + a[i]) & 511] = a[j] + j;
            for (const std::uint32_t v : t) s = s * 3 + v;
            return s;
          }}),
    WORDS("generic-pointers", {.in = 1024, .out = 1024, .items = 1024,
          .source = "uint get(const uint* p) { return *p * 3; }\n"
                    "kernel void k(global const uint* a, global uint* o) { local uint l[64]; size_t i = get_global_id(0); uint j = get_local_id(0); l[j] = a[i]; barrier(CLK_LOCAL_MEM_FENCE); uint p = a[i] + 1;"
                    " const uint* q = a[i] & 1 ? (const uint*)&l[63 - j] : a[i] & 2 ? (const uint*)&p : (const uint*)&a[i]; o[i] = get(q); }",
          .want = [](Array<std::uint32_t>& a, size_t i) {
            if (a[i] & 1) return a[i / 64 * 64 + 63 - i % 64] * 3;
            return (a[i] & 2 ? a[i] + 1 : a[i]) * 3;
          }, .local = 64}),
    WORDS("constant-tables", {.in = 1000, .out = 1000, .items = 1000,
          .source = "constant uint T[8] = {3, 1, 4, 1, 5, 9, 2, 6}; constant float F[4] = {0.5f, 1.5f, 2.5f, 3.5f};\n"
                    "kernel void k(global const uint* a, global uint* o) { size_t i = get_global_id(0); o[i] = T[a[i] & 7] * 1000 + as_uint(F[(a[i] >> 3) & 3]); }",
          .want = [](Array<std::uint32_t>& a, size_t i) {
            static constexpr std::uint32_t kT[8] = {3, 1, 4, 1, 5, 9, 2, 6};
            return kT[a[i] & 7] * 1000 + std::bit_cast<std::uint32_t>(0.5f + float(a[i] >> 3 & 3));
          }}),
    WORDS("program-scope-variable", {.in = 1000, .out = 1000, .items = 1000,
          .source = "global uint base = 41;\nkernel void k(global const uint* a, global uint* o) { size_t i = get_global_id(0); o[i] = a[i] + base; }",
          .want = [](Array<std::uint32_t>& a, size_t i) { return a[i] + 41; }}),
    WORDS("image-free-pack-unpack", {.in = 4000, .out = 1000, .items = 1000,
          .source = "kernel void k(global const uint4* a, global uint* o) { size_t i = get_global_id(0); float4 f = convert_float4(a[i] & 255) / 255.0f; uchar4 c = convert_uchar4_sat_rte(f * 255.0f); o[i] = as_uint(c); }",
          .want = [](Array<std::uint32_t>& a, size_t i) {
            std::uint32_t v = 0;
            for (int c = 0; c < 4; ++c) v |= (a[4 * i + c] & 255) << (8 * c);
            return v;
          }}),
};

}  // namespace

void add_type_rows(std::vector<kit::Row>& rows) { rows.insert(rows.end(), std::begin(kRows), std::end(kRows)); }
