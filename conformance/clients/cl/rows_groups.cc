// Local memory, barriers, sub-groups, work-group functions, dpas, block messages.
#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstring>
#include <numeric>

#include "rows.h"

namespace {

using kit::Array;
using kit::check_cl;
using kit::Kernel;
using kit::Random;
using kit::Range;
using kit::Runtime;
using uint = std::uint32_t;

/// A kernel over groups: `want(in, i, local)` is word i of the result.
struct Groups {
  const char* source;
  uint (*want)(Array<uint>& in, size_t i, size_t local);
  size_t local = 64;
  size_t groups = 9;
  size_t local_bytes = 0;  ///< of a third argument, 0: none
  const char* options = "";
  const char* needs = "";  ///< extension
};
void groups(Runtime& rt, const Groups& row) {
  if (*row.needs && !rt.has(row.needs)) kit::fail("the device has no %s", row.needs);
  const size_t n = row.local * row.groups;
  Random random;
  Array<uint> in(rt, n), out(rt, n);
  in.fill([&](size_t) { return random.next(); });
  out.fill([](size_t) { return 0xDEADBEEF; });
  Kernel kernel(rt, row.source, row.options);
  kernel.arg(in).arg(out);
  if (row.local_bytes != 0) kernel.arg(kit::Local{row.local_bytes});
  kernel.run({.global = {n}, .local = {row.local}});
  for (size_t i = 0; i < n; ++i)
    if (out[i] != row.want(in, i, row.local)) kit::fail("item %zu: got %#x, want %#x", i, out[i], row.want(in, i, row.local));
}

/// Sub-group rows learn from the kernel which items were a sub-group: out holds (sub-group, lane, size, result).
struct Lane {
  uint group, lane, size, result;
};
struct SubGroups {
  const char* expression;  ///< of `x`
  uint (*want)(const std::vector<uint>& x, uint lane);
  const char* needs = "cl_intel_subgroups";
  const char* options = "";
};
void sub_groups(Runtime& rt, const SubGroups& row) {
  if (!rt.has(row.needs)) kit::fail("the device has no %s", row.needs);
  constexpr size_t kLocal = 96, kGroups = 5;
  Random random;
  Array<uint> in(rt, kLocal * kGroups);
  Array<Lane> out(rt, kLocal * kGroups);
  in.fill([&](size_t) { return random.next() % 100000; });
  const std::string source = std::string("kernel void k(global const uint* a, global uint4* o) { size_t i = get_global_id(0); uint x = a[i]; uint r = ") + row.expression +
                             "; o[i] = (uint4)(get_sub_group_id() + 1000 * get_group_id(0), get_sub_group_local_id(), get_sub_group_size(), r); }";
  Kernel(rt, source, row.options).arg(in).arg(out).run({.global = {kLocal * kGroups}, .local = {kLocal}});
  for (size_t i = 0; i < out.size(); ++i) {
    std::vector<uint> x(out[i].size, 0);
    size_t members = 0;
    for (size_t j = 0; j < out.size(); ++j)
      if (out[j].group == out[i].group) x.at(out[j].lane) = in[j], ++members;
    if (members != out[i].size) kit::fail("item %zu: its sub-group says %u members, %zu are there", i, out[i].size, members);
    if (out[i].result != row.want(x, out[i].lane)) kit::fail("item %zu lane %u of %u: got %u, want %u", i, out[i].lane, out[i].size, out[i].result, row.want(x, out[i].lane));
  }
}

/// The index of the largest magnitude, by items and then by a tree: of equal ones which, too. Halves have many, also
/// zeros of both signs and denormals.
void half_arg_max(Runtime& rt) {
  if (!rt.has("cl_khr_fp16")) kit::fail("no cl_khr_fp16");
  constexpr uint kLocal = 64, kGroups = 6, kItems = kLocal * kGroups;
  struct Best {
    _Float16 value = 0;
    uint index = 0;
  };
  Kernel kernel(rt,
                "#pragma OPENCL EXTENSION cl_khr_fp16 : enable\n"
                "kernel __attribute__((reqd_work_group_size(64, 1, 1))) void k(int n, global const half* x, global half* v, global uint* o) {"
                " local half lv[64]; local uint li[64]; int l = get_local_id(0); half best = 0.0h; uint at = 0;"
                " for (int i = get_global_id(0); i < n; i += get_global_size(0)) { half a = fabs(x[i]); if (a > best) { best = a; at = i; } }"
                " lv[l] = best; li[l] = at; barrier(CLK_LOCAL_MEM_FENCE);"
                " for (int s = 32; s > 0; s >>= 1) {"
                "  if (l < s && lv[l + s] > lv[l]) { lv[l] = lv[l + s]; li[l] = li[l + s]; } barrier(CLK_LOCAL_MEM_FENCE); }"
                " if (l == 0) { v[get_group_id(0)] = lv[0]; o[get_group_id(0)] = li[0]; } }");
  Array<_Float16> values(rt, kGroups);
  Array<uint> indices(rt, kGroups);
  Random random;
  for (const uint n : {uint{7}, uint{93}, uint{144}, uint{4096}, uint{20000}}) {
    Array<_Float16> x(rt, n);
    x.fill([&](size_t) {
      constexpr std::uint16_t kSpecial[] = {0x8000, 0x0001, 0x83FF, 0x7BFF};
      if (n == 144 && random.next() % 8 == 0) return std::bit_cast<_Float16>(kSpecial[random.next() % 4]);
      return static_cast<_Float16>(random.real(-2, 2));
    });
    check_cl(clSetKernelArg(kernel.get(), 0, sizeof n, &n), "argument");
    x.block().give(), values.block().give(), indices.block().give();
    x.block().set_arg(kernel.get(), 1), values.block().set_arg(kernel.get(), 2), indices.block().set_arg(kernel.get(), 3);
    kernel.enqueue({.global = {kItems}, .local = {kLocal}}, rt.queue);
    check_cl(clFinish(rt.queue), "clFinish");
    x.block().to_host(), values.block().to_host(), indices.block().to_host();
    for (uint group = 0; group < kGroups; ++group) {
      std::array<Best, kLocal> best;
      for (uint l = 0; l < kLocal; ++l)
        for (uint i = group * kLocal + l; i < n; i += kItems) {
          const _Float16 a = x[i] < 0 ? -x[i] : x[i];
          if (a > best[l].value) best[l] = {a, i};
        }
      for (uint s = kLocal / 2; s > 0; s /= 2)
        for (uint l = 0; l < s; ++l)
          if (best[l + s].value > best[l].value) best[l] = best[l + s];
      if (indices[group] != best[0].index || values[group] != best[0].value)
        kit::fail("group %u of %u elements: index %u (%g), want %u (%g)", group, n, indices[group], double(values[group]), best[0].index, double(best[0].value));
    }
  }
}

#define GROUPS(name, ...) {name, [](Runtime& rt) { groups(rt, Groups __VA_ARGS__); }}
#define SUB_GROUPS(name, ...) {name, [](Runtime& rt) { sub_groups(rt, SubGroups __VA_ARGS__); }}

using Lanes = const std::vector<uint>&;

uint sum_of(Array<uint>& in, size_t first, size_t n) {
  uint s = 0;
  for (size_t i = first; i < first + n; ++i) s += in[i];
  return s;
}

void matrix_tiled(Runtime& rt) {
  constexpr size_t kN = 64;
  Random random;
  Array<float> a(rt, kN * kN), b(rt, kN * kN), c(rt, kN * kN);
  a.fill([&](size_t) { return float(random.real(-1, 1)); });
  b.fill([&](size_t) { return float(random.real(-1, 1)); });
  Kernel(rt,
         "kernel void k(global const float* a, global const float* b, global float* c) { local float A[16][16], B[16][16]; uint n = get_global_size(0), x = get_local_id(0), y = get_local_id(1), X = get_global_id(0), Y = get_global_id(1);"
         " float s = 0; for (uint t = 0; t < n; t += 16) { A[y][x] = a[Y * n + t + x]; B[y][x] = b[(t + y) * n + X]; barrier(CLK_LOCAL_MEM_FENCE); for (uint i = 0; i < 16; ++i) s += A[y][i] * B[i][x]; barrier(CLK_LOCAL_MEM_FENCE); } c[Y * n + X] = s; }")
      .arg(a).arg(b).arg(c).run({.global = {kN, kN}, .local = {16, 16}});
  for (size_t y = 0; y < kN; ++y)
    for (size_t x = 0; x < kN; ++x) {
      double s = 0;
      for (size_t i = 0; i < kN; ++i) s += double(a[y * kN + i]) * b[i * kN + x];
      if (std::fabs(c[y * kN + x] - s) > 1e-4) kit::fail("(%zu, %zu): got %g, want %g", x, y, double(c[y * kN + x]), s);
    }
}

/// C += A * B on the systolic array: 8 rows, 16 columns, 32 bytes of depth.
void dpas_half(Runtime& rt) {
  if (!rt.has("cl_intel_subgroup_matrix_multiply_accumulate")) kit::fail("the device has no matrix instructions");
  Random random;
  Array<std::uint16_t> a(rt, 8 * 16), b(rt, 16 * 16);
  Array<float> c(rt, 8 * 16);
  const auto half = [](int v) {
    const _Float16 h = _Float16(v);
    std::uint16_t bits;
    std::memcpy(&bits, &h, 2);
    return bits;
  };
  std::vector<int> A(8 * 16), B(16 * 16);
  for (int& v : A) v = int(random.next() % 17) - 8;
  for (int& v : B) v = int(random.next() % 17) - 8;
  a.fill([&](size_t i) { return half(A[i]); });
  b.fill([&](size_t i) { return half(B[i]); });
  Kernel(rt,
         "#pragma OPENCL EXTENSION cl_khr_fp16 : enable\n__attribute__((intel_reqd_sub_group_size(16))) kernel void k(global const ushort* a, global const ushort* b, global float* c) { uint l = get_sub_group_local_id(); short8 A; int8 B; float8 C = 0;"
         " for (int r = 0; r < 8; ++r) A[r] = as_short(a[r * 16 + l]); for (int k = 0; k < 8; ++k) B[k] = (int)b[2 * k * 16 + l] | ((int)b[(2 * k + 1) * 16 + l] << 16);"
         " C = intel_sub_group_f16_f16_matrix_mad_k16(A, B, C); for (int r = 0; r < 8; ++r) c[r * 16 + l] = C[r]; }")
      .arg(a).arg(b).arg(c).run({.global = {16}, .local = {16}});
  for (size_t r = 0; r < 8; ++r)
    for (size_t n = 0; n < 16; ++n) {
      int s = 0;
      for (size_t k = 0; k < 16; ++k) s += A[r * 16 + k] * B[k * 16 + n];
      if (c[r * 16 + n] != float(s)) kit::fail("(%zu, %zu): got %g, want %d", r, n, double(c[r * 16 + n]), s);
    }
}

void dpas_int8(Runtime& rt) {
  if (!rt.has("cl_intel_subgroup_matrix_multiply_accumulate")) kit::fail("the device has no matrix instructions");
  Random random;
  Array<std::int8_t> a(rt, 8 * 32), b(rt, 32 * 16);
  Array<int> c(rt, 8 * 16);
  a.fill([&](size_t) { return std::int8_t(random.next()); });
  b.fill([&](size_t) { return std::int8_t(random.next()); });
  c.fill([](size_t i) { return int(i); });
  Kernel(rt,
         "__attribute__((intel_reqd_sub_group_size(16))) kernel void k(global const uchar* a, global const uchar* b, global int* c) { uint l = get_sub_group_local_id(); short8 A; int8 B; int8 C;"
         " for (int r = 0; r < 8; ++r) { A[r] = (short)(a[r * 32 + 2 * l] | (a[r * 32 + 2 * l + 1] << 8)); C[r] = c[r * 16 + l]; }"
         " for (int k = 0; k < 8; ++k) B[k] = (int)(b[(4 * k) * 16 + l] | (b[(4 * k + 1) * 16 + l] << 8) | (b[(4 * k + 2) * 16 + l] << 16) | ((uint)b[(4 * k + 3) * 16 + l] << 24));"
         " C = intel_sub_group_i8_i8_matrix_mad_k32(A, B, C); for (int r = 0; r < 8; ++r) c[r * 16 + l] = C[r]; }")
      .arg(a).arg(b).arg(c).run({.global = {16}, .local = {16}});
  for (size_t r = 0; r < 8; ++r)
    for (size_t n = 0; n < 16; ++n) {
      int s = int(r * 16 + n);
      for (size_t k = 0; k < 32; ++k) s += a[r * 32 + k] * b[k * 16 + n];
      if (c[r * 16 + n] != s) kit::fail("(%zu, %zu): got %d, want %d", r, n, c[r * 16 + n], s);
    }
}

void split_barrier(Runtime& rt) {
  if (!rt.has("cl_intel_split_work_group_barrier")) kit::fail("the device has no split barriers");
  groups(rt, {.source = "kernel void k(global const uint* a, global uint* o) { local uint l[128]; uint j = get_local_id(0); size_t i = get_global_id(0); l[j] = a[i]; intel_work_group_barrier_arrive(CLK_LOCAL_MEM_FENCE); uint own = a[i] * 3;"
                        " intel_work_group_barrier_wait(CLK_LOCAL_MEM_FENCE); o[i] = l[(j + 1) % 128] + own; }",
              .want = [](Array<uint>& in, size_t i, size_t local) { return in[i / local * local + (i % local + 1) % local] + in[i] * 3; },
              .local = 128});
}

const kit::Row kRows[] = {
    GROUPS("local-reverse", {.source = "kernel void k(global const uint* a, global uint* o) { local uint l[64]; uint j = get_local_id(0); l[j] = a[get_global_id(0)]; barrier(CLK_LOCAL_MEM_FENCE); o[get_global_id(0)] = l[63 - j]; }",
                             .want = [](Array<uint>& in, size_t i, size_t n) { return in[i / n * n + n - 1 - i % n]; }}),
    GROUPS("local-argument", {.source = "kernel void k(global const uint* a, global uint* o, local uint* l) { uint j = get_local_id(0); l[j] = a[get_global_id(0)]; barrier(CLK_LOCAL_MEM_FENCE); o[get_global_id(0)] = l[(j + 5) % get_local_size(0)]; }",
                              .want = [](Array<uint>& in, size_t i, size_t n) { return in[i / n * n + (i % n + 5) % n]; },
                              .local = 100, .local_bytes = 400}),
    GROUPS("local-64k", {.source = "kernel void k(global const uint* a, global uint* o, local uint* l) { uint j = get_local_id(0), n = get_local_size(0); for (uint t = j; t < 16384; t += n) l[t] = a[get_global_id(0)] + t; barrier(CLK_LOCAL_MEM_FENCE); o[get_global_id(0)] = l[16383 - j]; }",
                         .want = [](Array<uint>& in, size_t i, size_t n) { const size_t at = 16383 - i % n; return in[i / n * n + at % n] + uint(at); },
                         .local = 64, .groups = 3, .local_bytes = 65536}),
    GROUPS("local-reduction", {.source = "kernel void k(global const uint* a, global uint* o) { local uint l[256]; uint j = get_local_id(0); l[j] = a[get_global_id(0)]; for (uint s = 128; s; s >>= 1) { barrier(CLK_LOCAL_MEM_FENCE); if (j < s) l[j] += l[j + s]; } barrier(CLK_LOCAL_MEM_FENCE); o[get_global_id(0)] = l[0]; }",
                               .want = [](Array<uint>& in, size_t i, size_t n) { return sum_of(in, i / n * n, n); }, .local = 256}),
    GROUPS("local-scan", {.source = "kernel void k(global const uint* a, global uint* o) { local uint l[2][128]; uint j = get_local_id(0), n = get_local_size(0), f = 0; l[0][j] = a[get_global_id(0)]; for (uint d = 1; d < n; d *= 2) { barrier(CLK_LOCAL_MEM_FENCE); l[1 - f][j] = l[f][j] + (j >= d ? l[f][j - d] : 0); f = 1 - f; } o[get_global_id(0)] = l[f][j]; }",
                          .want = [](Array<uint>& in, size_t i, size_t n) { return sum_of(in, i / n * n, i % n + 1); }, .local = 128}),
    GROUPS("local-bytes-and-shorts", {.source = "kernel void k(global const uint* a, global uint* o) { local uchar c[64]; local ushort s[64]; local ulong l[64]; uint j = get_local_id(0); uint v = a[get_global_id(0)]; c[j] = v; s[j] = v; l[j] = (ulong)v * v; barrier(CLK_LOCAL_MEM_FENCE); uint t = (j + 17) % 64; o[get_global_id(0)] = c[t] + s[t] + (uint)(l[t] >> 20); }",
                                      .want = [](Array<uint>& in, size_t i, size_t n) { const uint v = in[i / n * n + (i % n + 17) % n]; return (v & 0xFF) + (v & 0xFFFF) + uint(std::uint64_t{v} * v >> 20); }}),
    GROUPS("barrier-in-loop-1024", {.source = "kernel void k(global const uint* a, global uint* o) { local uint l[1024]; uint j = get_local_id(0), v = a[get_global_id(0)]; for (int t = 0; t < 5; ++t) { l[j] = v; barrier(CLK_LOCAL_MEM_FENCE); v = l[(j + 1) % 1024]; barrier(CLK_LOCAL_MEM_FENCE); } o[get_global_id(0)] = v; }",
                                    .want = [](Array<uint>& in, size_t i, size_t n) { return in[i / n * n + (i % n + 5) % n]; }, .local = 1024, .groups = 3}),
    GROUPS("barrier-global-memory", {.source = "kernel void k(global const uint* a, global uint* o) { size_t i = get_global_id(0); uint j = get_local_id(0), n = get_local_size(0); o[i] = a[i]; barrier(CLK_GLOBAL_MEM_FENCE); uint v = o[i - j + (j + 3) % n]; barrier(CLK_GLOBAL_MEM_FENCE); o[i] = v + 1; }",
                                     .want = [](Array<uint>& in, size_t i, size_t n) { return in[i / n * n + (i % n + 3) % n] + 1; }, .local = 96}),
    {"barrier-split", split_barrier},
    GROUPS("work-group-reduce-add", {.source = "kernel void k(global const uint* a, global uint* o) { o[get_global_id(0)] = work_group_reduce_add(a[get_global_id(0)]); }",
                                     .want = [](Array<uint>& in, size_t i, size_t n) { return sum_of(in, i / n * n, n); }, .local = 96}),
    GROUPS("work-group-reduce-max", {.source = "kernel void k(global const uint* a, global uint* o) { o[get_global_id(0)] = work_group_reduce_max(a[get_global_id(0)]); }",
                                     .want = [](Array<uint>& in, size_t i, size_t n) { uint m = 0; for (size_t j = i / n * n; j < i / n * n + n; ++j) m = std::max(m, in[j]); return m; }, .local = 128}),
    GROUPS("work-group-scan-inclusive", {.source = "kernel void k(global const uint* a, global uint* o) { o[get_global_id(0)] = work_group_scan_inclusive_add(a[get_global_id(0)]); }",
                                         .want = [](Array<uint>& in, size_t i, size_t n) { return sum_of(in, i / n * n, i % n + 1); }, .local = 64}),
    GROUPS("work-group-scan-exclusive", {.source = "kernel void k(global const uint* a, global uint* o) { o[get_global_id(0)] = work_group_scan_exclusive_add(a[get_global_id(0)]); }",
                                         .want = [](Array<uint>& in, size_t i, size_t n) { return sum_of(in, i / n * n, i % n); }, .local = 160}),
    GROUPS("work-group-broadcast", {.source = "kernel void k(global const uint* a, global uint* o) { o[get_global_id(0)] = work_group_broadcast(a[get_global_id(0)], 37); }",
                                    .want = [](Array<uint>& in, size_t i, size_t n) { return in[i / n * n + 37]; }}),
    GROUPS("work-group-any-all", {.source = "kernel void k(global const uint* a, global uint* o) { uint x = a[get_global_id(0)]; o[get_global_id(0)] = (work_group_any(x > 0xF0000000) != 0) + 2 * (work_group_all(x < 0xFF000000) != 0); }",
                                  .want = [](Array<uint>& in, size_t i, size_t n) { bool any = false, all = true; for (size_t j = i / n * n; j < i / n * n + n; ++j) any |= in[j] > 0xF0000000, all &= in[j] < 0xFF000000; return uint(any) + 2 * uint(all); }, .local = 32}),
    GROUPS("async-copy", {.source = "kernel void k(global const uint* a, global uint* o) { local uint l[64]; event_t e = async_work_group_copy(l, a + get_group_id(0) * 64, 64, 0); wait_group_events(1, &e); uint v = l[63 - get_local_id(0)]; barrier(CLK_LOCAL_MEM_FENCE); l[get_local_id(0)] = v; barrier(CLK_LOCAL_MEM_FENCE); e = async_work_group_copy(o + get_group_id(0) * 64, l, 64, 0); wait_group_events(1, &e); }",
                          .want = [](Array<uint>& in, size_t i, size_t n) { return in[i / n * n + n - 1 - i % n]; }}),

    SUB_GROUPS("sub-group-broadcast", {.expression = "sub_group_broadcast(x, 3)", .want = [](Lanes x, uint) { return x[3]; }}),
    SUB_GROUPS("sub-group-reduce", {.expression = "sub_group_reduce_add(x)", .want = [](Lanes x, uint) { return std::accumulate(x.begin(), x.end(), 0u); }}),
    SUB_GROUPS("sub-group-reduce-min-max", {.expression = "sub_group_reduce_min(x) * 7 + sub_group_reduce_max(x)", .want = [](Lanes x, uint) { return *std::min_element(x.begin(), x.end()) * 7 + *std::max_element(x.begin(), x.end()); }}),
    SUB_GROUPS("sub-group-scan-inclusive", {.expression = "sub_group_scan_inclusive_add(x)", .want = [](Lanes x, uint l) { return std::accumulate(x.begin(), x.begin() + l + 1, 0u); }}),
    SUB_GROUPS("sub-group-scan-exclusive", {.expression = "sub_group_scan_exclusive_add(x)", .want = [](Lanes x, uint l) { return std::accumulate(x.begin(), x.begin() + l, 0u); }}),
    SUB_GROUPS("sub-group-any-all", {.expression = "(sub_group_any(x > 98000) != 0) + 2 * (sub_group_all(x > 1000) != 0)",
                                     .want = [](Lanes x, uint) { return uint(std::any_of(x.begin(), x.end(), [](uint v) { return v > 98000; })) + 2 * uint(std::all_of(x.begin(), x.end(), [](uint v) { return v > 1000; })); }}),
    SUB_GROUPS("sub-group-shuffle", {.expression = "intel_sub_group_shuffle(x, (get_sub_group_local_id() * 5 + 3) % get_sub_group_size())", .want = [](Lanes x, uint l) { return x[(l * 5 + 3) % x.size()]; }}),
    SUB_GROUPS("sub-group-shuffle-xor", {.expression = "intel_sub_group_shuffle_xor(x, 5)", .want = [](Lanes x, uint l) { return x[l ^ 5]; }}),
    SUB_GROUPS("sub-group-shuffle-down", {.expression = "intel_sub_group_shuffle_down(x, 0xFFu, 1u)", .want = [](Lanes x, uint l) { return l + 1 < x.size() ? x[l + 1] : 0xFF; }}),
    GROUPS("sub-group-size-16", {.source = "__attribute__((intel_reqd_sub_group_size(16))) kernel void k(global const uint* a, global uint* o) { o[get_global_id(0)] = sub_group_reduce_add(a[get_global_id(0)]); }",
                                 .want = [](Array<uint>& in, size_t i, size_t) { return sum_of(in, i / 16 * 16, 16); }, .needs = "cl_intel_required_subgroup_size"}),
    GROUPS("sub-group-size-32", {.source = "__attribute__((intel_reqd_sub_group_size(32))) kernel void k(global const uint* a, global uint* o) { o[get_global_id(0)] = sub_group_scan_inclusive_add(a[get_global_id(0)]); }",
                                 .want = [](Array<uint>& in, size_t i, size_t) { return sum_of(in, i / 32 * 32, i % 32 + 1); }, .needs = "cl_intel_required_subgroup_size"}),
    SUB_GROUPS("sub-group-ballot", {.expression = "sub_group_ballot(x & 1).x", .want = [](Lanes x, uint) { uint b = 0; for (size_t i = 0; i < x.size(); ++i) b |= (x[i] & 1) << i; return b; }, .needs = "cl_khr_subgroup_ballot"}),
    SUB_GROUPS("sub-group-clustered", {.expression = "sub_group_clustered_reduce_add(x, 4)", .want = [](Lanes x, uint l) { return std::accumulate(x.begin() + l / 4 * 4, x.begin() + l / 4 * 4 + 4, 0u); }, .needs = "cl_khr_subgroup_clustered_reduce"}),
    GROUPS("sub-group-block-read-write", {.source = "__attribute__((intel_reqd_sub_group_size(16))) kernel void k(global const uint* a, global uint* o) { uint at = get_group_id(0) * 64 + get_sub_group_id() * 16; uint v = intel_sub_group_block_read(a + at); intel_sub_group_block_write(o + at, v + get_sub_group_local_id()); }",
                                          .want = [](Array<uint>& in, size_t i, size_t) { return in[i] + uint(i % 16); }, .needs = "cl_intel_subgroups"}),
    {"matrix-tiled", matrix_tiled},
    {"dpas-half", dpas_half},
    {"dpas-int8", dpas_int8},
    {"half-arg-max", half_arg_max},
};

}  // namespace

void add_group_rows(std::vector<kit::Row>& rows) { rows.insert(rows.end(), std::begin(kRows), std::end(kRows)); }
