// Atomics on global and local memory, 32 and 64 bits, integers and floats, beside each other and the CPU.
#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstring>
#include <thread>

#include "rows.h"

namespace {

using kit::Array;
using kit::Kernel;
using kit::Runtime;
using uint = std::uint32_t;
using ulong = std::uint64_t;

constexpr size_t kItems = 2000;

/// Every item applies `statement` (with `p` and its id `i`) to one of eight words; order must not matter.
template <typename T>
struct Cells {
  const char* type;
  const char* statement;
  T start;
  void (*apply)(T& cell, uint i);
  const char* prelude = "";
  bool local = false;  ///< in local memory, added up at the end by a plain store per group
};
template <typename T>
void cells(Runtime& rt, const Cells<T>& row) {
  Array<T> out(rt, 8);
  out.fill([&](size_t) { return row.start; });
  const std::string t = row.type;
  const std::string source = std::string(row.prelude) + "\nkernel void k(global " + t + "* o) { uint i = get_global_id(0); volatile global " + t + "* p = o + i % 8; " +
                             row.statement + " }";
  Kernel(rt, source).arg(out).run({.global = {kItems}});
  T want[8];
  std::fill(want, want + 8, row.start);
  for (uint i = 0; i < kItems; ++i) row.apply(want[i % 8], i);
  for (int c = 0; c < 8; ++c)
    if (out[c] != want[c]) kit::fail("cell %d: got %lld, want %lld", c, (long long)out[c], (long long)want[c]);
}

#define CELLS(name, T, ...) {name, [](Runtime& rt) { cells<T>(rt, Cells<T> __VA_ARGS__); }}

constexpr const char* k64 = "#pragma OPENCL EXTENSION cl_khr_int64_base_atomics : enable\n#pragma OPENCL EXTENSION cl_khr_int64_extended_atomics : enable";

/// Tickets: each item gets a number of its own.
template <typename T>
void tickets(Runtime& rt, const char* type, const char* call) {
  Array<T> next(rt, 1), out(rt, kItems);
  next.fill([](size_t) { return T(0); });
  const std::string t = type;
  Kernel(rt, std::string(k64) + "\nkernel void k(global " + t + "* n, global " + t + "* o) { o[get_global_id(0)] = " + call + "; }")
      .arg(next).arg(out).run({.global = {kItems}});
  std::vector<bool> seen(kItems);
  for (size_t i = 0; i < kItems; ++i) {
    if (out[i] >= T(kItems) || seen[size_t(out[i])]) kit::fail("ticket %lld of item %zu was given twice or never was", (long long)out[i], i);
    seen[size_t(out[i])] = true;
  }
}

void local_histogram(Runtime& rt) {
  Array<std::uint8_t> in(rt, 8192);
  Array<uint> out(rt, 256);
  kit::Random random;
  in.fill([&](size_t) { return std::uint8_t(random.next() & random.next()); });
  out.fill([](size_t) { return 0u; });
  Kernel(rt,
         "kernel void k(global const uchar* a, global uint* o) { local uint h[256]; uint j = get_local_id(0); h[j] = 0; barrier(CLK_LOCAL_MEM_FENCE); for (uint i = get_global_id(0); i < 8192; i += get_global_size(0)) atomic_inc(&h[a[i]]); barrier(CLK_LOCAL_MEM_FENCE); atomic_add(&o[j], h[j]); }")
      .arg(in).arg(out).run({.global = {1024}, .local = {256}});
  uint want[256] = {};
  for (size_t i = 0; i < 8192; ++i) ++want[in[i]];
  for (int c = 0; c < 256; ++c)
    if (out[c] != want[c]) kit::fail("bin %d: got %u, want %u", c, out[c], want[c]);
}

void local_operations(Runtime& rt) {
  Array<uint> out(rt, 8 * 4);
  Kernel(rt,
         "kernel void k(global uint* o) { local int m[8]; uint j = get_local_id(0); if (j < 8) m[j] = j == 4 ? 0x7FFFFFFF : j == 6 ? -1 : 0; barrier(CLK_LOCAL_MEM_FENCE);"
         " atomic_add(&m[0], (int)j); atomic_sub(&m[1], (int)j * 3); atomic_or(&m[2], 1 << (j & 31)); atomic_xor(&m[3], (int)(j * 77)); atomic_min(&m[4], (int)j - 20); atomic_max(&m[5], (int)(j * 2)); atomic_and(&m[6], ~(1 << (j % 20))); atomic_inc(&m[7]);"
         " barrier(CLK_LOCAL_MEM_FENCE); if (j < 8) o[get_group_id(0) * 8 + j] = m[j]; }")
      .arg(out).run({.global = {4 * 128}, .local = {128}});
  int want[8] = {0, 0, 0, 0, 0x7FFFFFFF, 0, -1, 0};
  for (int j = 0; j < 128; ++j) {
    want[0] += j, want[1] -= j * 3, want[2] |= int(1u << (j & 31)), want[3] ^= j * 77, want[4] = std::min(want[4], j - 20);
    want[5] = std::max(want[5], j * 2), want[6] &= ~(1 << (j % 20)), ++want[7];
  }
  for (int i = 0; i < 32; ++i)
    if (int(out[i]) != want[i % 8]) kit::fail("word %d: got %d, want %d", i, int(out[i]), want[i % 8]);
}

void float_add(Runtime& rt) {
  Array<float> out(rt, 4);
  out.fill([](size_t) { return 0.0f; });
  Kernel(rt,
         "void add(volatile global float* p, float v) { uint old, now; do { old = as_uint(*p); now = as_uint(as_float(old) + v); } while (atomic_cmpxchg((volatile global uint*)p, old, now) != old); }\n"
         "kernel void k(global float* o) { uint i = get_global_id(0); add(o + i % 4, (float)(i % 16)); }")
      .arg(out).run({.global = {256}});
  for (int c = 0; c < 4; ++c) {
    float want = 0;
    for (int i = c; i < 256; i += 4) want += float(i % 16);
    if (out[c] != want) kit::fail("cell %d: got %g, want %g", c, double(out[c]), double(want));
  }
}

void float_atomics_native(Runtime& rt) {
  if (!rt.has("cl_ext_float_atomics")) kit::fail("the device has no cl_ext_float_atomics");
  Array<float> out(rt, 3);
  out.fill([](size_t i) { return i == 1 ? 1e9f : i == 2 ? -1e9f : 0.0f; });
  Kernel(rt,
         "#pragma OPENCL EXTENSION cl_ext_float_atomics : enable\nkernel void k(volatile global atomic_float* o) { float v = (float)get_global_id(0) - 100; atomic_fetch_add_explicit(o, v, memory_order_relaxed, memory_scope_device);"
         " atomic_fetch_min_explicit(o + 1, v, memory_order_relaxed, memory_scope_device); atomic_fetch_max_explicit(o + 2, v, memory_order_relaxed, memory_scope_device); }")
      .arg(out).run({.global = {512}});
  const float want[3] = {float(511 * 512 / 2 - 100 * 512), -100, 411};
  for (int c = 0; c < 3; ++c)
    if (out[c] != want[c]) kit::fail("cell %d: got %g, want %g", c, double(out[c]), double(want[c]));
}

/// CPU threads and the kernel count in one word: only real atomics add up.
void beside_the_cpu(Runtime& rt) {
  using kit::Memory;
  const Memory m = rt.options.memory;
  if (m == Memory::kBuffer || m == Memory::kUsmDevice || m == Memory::kSvm || m == Memory::kUsmShared || m == Memory::kUsmHost) return;
  Array<uint> word(rt, 1);
  word.fill([](size_t) { return 0u; });
  Kernel kernel(rt, "kernel void k(volatile global uint* p) { for (int n = 0; n < 20; ++n) atomic_inc(p); }");
  kernel.arg(word);
  std::atomic_ref<uint> cell(word[0]);
  std::thread cpu([&] {
    for (int n = 0; n < 20000; ++n) cell.fetch_add(1);
  });
  kernel.run({.global = {1024}});
  cpu.join();
  if (cell.load() != 1024 * 20 + 20000) kit::fail("got %u, want %u", cell.load(), 1024 * 20 + 20000);
}

const kit::Row kRows[] = {
    CELLS("atomic-add", uint, {.type = "uint", .statement = "atomic_add(p, i);", .start = 5, .apply = [](uint& c, uint i) { c += i; }}),
    CELLS("atomic-sub", uint, {.type = "uint", .statement = "atomic_sub(p, i * 3);", .start = 5, .apply = [](uint& c, uint i) { c -= i * 3; }}),
    CELLS("atomic-inc-dec", uint, {.type = "uint", .statement = "if (i % 3) atomic_inc(p); else atomic_dec(p);", .start = 5, .apply = [](uint& c, uint i) { c += i % 3 ? 1 : -1; }}),
    CELLS("atomic-min-signed", int, {.type = "int", .statement = "atomic_min(p, (int)(i * 77) - 5000);", .start = 5, .apply = [](int& c, uint i) { c = std::min(c, int(i * 77) - 5000); }}),
    CELLS("atomic-max-signed", int, {.type = "int", .statement = "atomic_max(p, (int)(i * 77 % 5000) - 9000);", .start = -10000, .apply = [](int& c, uint i) { c = std::max(c, int(i * 77 % 5000) - 9000); }}),
    CELLS("atomic-min-unsigned", uint, {.type = "uint", .statement = "atomic_min(p, 0x80000000u + i * 77);", .start = 0xFFFFFFFF, .apply = [](uint& c, uint i) { c = std::min(c, 0x80000000u + i * 77); }}),
    CELLS("atomic-max-unsigned", uint, {.type = "uint", .statement = "atomic_max(p, i * 2654435761u);", .start = 1, .apply = [](uint& c, uint i) { c = std::max(c, i * 2654435761u); }}),
    CELLS("atomic-and", uint, {.type = "uint", .statement = "atomic_and(p, ~(1u << (i * 5 % 17)));", .start = 0xFFFFFFFF, .apply = [](uint& c, uint i) { c &= ~(1u << (i * 5 % 17)); }}),
    CELLS("atomic-or", uint, {.type = "uint", .statement = "atomic_or(p, 1u << (i * 5 % 29));", .start = 0, .apply = [](uint& c, uint i) { c |= 1u << (i * 5 % 29); }}),
    CELLS("atomic-xor", uint, {.type = "uint", .statement = "atomic_xor(p, i * 2654435761u);", .start = 9, .apply = [](uint& c, uint i) { c ^= i * 2654435761u; }}),
    CELLS("atomic-long-add", ulong, {.type = "ulong", .statement = "atom_add(p, (ulong)i << 30);", .start = 5, .apply = [](ulong& c, uint i) { c += ulong(i) << 30; }, .prelude = k64}),
    CELLS("atomic-long-max", ulong, {.type = "ulong", .statement = "atom_max(p, (ulong)i * 0x123456789ul);", .start = 5, .apply = [](ulong& c, uint i) { c = std::max(c, ulong(i * 0x123456789ull)); }, .prelude = k64}),
    CELLS("atomic-long-and-or", ulong, {.type = "ulong", .statement = "atom_or(p, 1ul << (i * 7 % 61));", .start = 0, .apply = [](ulong& c, uint i) { c |= 1ull << (i * 7 % 61); }, .prelude = k64}),
    CELLS("atomic-c11-fetch-add", uint, {.type = "uint", .statement = "atomic_fetch_add_explicit((volatile global atomic_uint*)p, i, memory_order_relaxed, memory_scope_device);", .start = 5, .apply = [](uint& c, uint i) { c += i; }}),
    CELLS("atomic-c11-seq-cst", uint, {.type = "uint", .statement = "atomic_fetch_add_explicit((volatile global atomic_uint*)p, i, memory_order_acq_rel, memory_scope_device);", .start = 5, .apply = [](uint& c, uint i) { c += i; }}),
    CELLS("atomic-cmpxchg-loop", uint, {.type = "uint", .statement = "uint old; do { old = *p; } while (atomic_cmpxchg(p, old, old * 1 + i) != old);", .start = 5, .apply = [](uint& c, uint i) { c += i; }}),
    {"atomic-tickets", [](Runtime& rt) { tickets<uint>(rt, "uint", "atomic_inc(n)"); }},
    {"atomic-long-tickets", [](Runtime& rt) { tickets<ulong>(rt, "ulong", "atom_inc(n)"); }},
    {"atomic-local-histogram", local_histogram},
    {"atomic-local-operations", local_operations},
    {"atomic-float-add-by-cas", float_add},
    {"atomic-float-native", float_atomics_native},
    {"atomic-beside-the-cpu", beside_the_cpu},
};

}  // namespace

void add_atomic_rows(std::vector<kit::Row>& rows) { rows.insert(rows.end(), std::begin(kRows), std::end(kRows)); }
