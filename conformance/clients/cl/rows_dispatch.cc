// How kernels are started: sizes, offsets, local ids, arguments, several queues, buffers filled and copied by kernels.
#include <cstring>

#include "rows.h"

namespace {

using kit::Array;
using kit::Kernel;
using kit::Range;
using kit::Runtime;
using uint = std::uint32_t;

/// Each item writes what it knows about itself; every word is checked.
void ids(Runtime& rt, const Range& r) {
  size_t g[3] = {1, 1, 1}, l[3] = {1, 1, 1}, o[3] = {0, 0, 0};
  for (size_t d = 0; d < r.global.size(); ++d) {
    g[d] = r.global[d];
    if (!r.local.empty()) l[d] = r.local[d];
    if (!r.offset.empty()) o[d] = r.offset[d];
  }
  const size_t n = g[0] * g[1] * g[2];
  Array<uint> out(rt, n * 16);
  Kernel(rt,
         "kernel void k(global uint* o) { size_t x = get_global_id(0) - get_global_offset(0), y = get_global_id(1) - get_global_offset(1), z = get_global_id(2) - get_global_offset(2);"
         " size_t i = (z * get_global_size(1) + y) * get_global_size(0) + x; global uint* p = o + i * 16; for (uint d = 0; d < 3; ++d) { p[d] = get_global_id(d); p[3 + d] = get_local_id(d); p[6 + d] = get_group_id(d); p[9 + d] = get_local_size(d); p[12 + d] = get_num_groups(d); } p[15] = get_work_dim(); }")
      .arg(out).run(r);
  for (size_t i = 0; i < n; ++i) {
    const size_t at[3] = {i % g[0], i / g[0] % g[1], i / g[0] / g[1]};
    for (size_t d = 0; d < 3; ++d) {
      const uint* p = &out[i * 16];
      const size_t size = r.local.empty() ? p[9 + d] : l[d];
      const size_t want[5] = {at[d] + o[d], at[d] % size, at[d] / size, size, (g[d] + size - 1) / size};
      for (size_t f = 0; f < 5; ++f)
        if (f != 3 && p[3 * f + d] != want[f]) kit::fail("item %zu: field %zu of dimension %zu is %u, want %zu", i, f, d, p[3 * f + d], want[f]);
    }
    if (out[i * 16 + 15] != r.global.size()) kit::fail("item %zu: work dimension %u", i, out[i * 16 + 15]);
  }
}

#define IDS(name, ...) {name, [](Runtime& rt) { ids(rt, Range __VA_ARGS__); }}

void many_arguments(Runtime& rt) {
  Array<uint> a(rt, 64), b(rt, 64), out(rt, 64);
  a.fill([](size_t i) { return uint(i); });
  b.fill([](size_t i) { return uint(i * i); });
  Kernel k(rt,
           "typedef struct { uint a; ulong b; char c[12]; } S;\nkernel void k(global const uint* a, uchar c, short s, global const uint* b, ulong l, float f, double d, uint4 v, S t, global uint* o) { size_t i = get_global_id(0); o[i] = a[i] + b[i] * c + s + (uint)(l >> 32) + (uint)f + (uint)d + v.x + v.w + t.a + (uint)t.b + t.c[11]; }");
  struct S {
    uint a;
    std::uint64_t b;
    char c[12];
  } s{100, 1000, {}};
  s.c[11] = 9;
  const cl_uint4 v = {{1, 2, 3, 4}};
  k.arg(a).value<cl_uchar>(3).value<cl_short>(-7).arg(b).value<cl_ulong>(5ull << 32).value(2.5f).value(4.75).value(v).value(s).arg(out);
  k.run({.global = {64}});
  for (uint i = 0; i < 64; ++i) {
    const uint want = i + i * i * 3 - 7 + 5 + 2 + 4 + 1 + 4 + 100 + 1000 + 9;
    if (out[i] != want) kit::fail("element %u: got %u, want %u", i, out[i], want);
  }
}

void queues_and_events(Runtime& rt) {
  constexpr size_t kN = 4096;
  Array<uint> a(rt, kN);
  a.fill([](size_t i) { return uint(i); });
  cl_int status = 0;
  cl_command_queue other = clCreateCommandQueueWithProperties(rt.context, rt.device, nullptr, &status);
  kit::check_cl(status, "second queue");
  Kernel twice(rt, "kernel void k(global uint* a) { a[get_global_id(0)] *= 2; }");
  Kernel plus(rt, "kernel void k(global uint* a) { a[get_global_id(0)] += 3; }");
  twice.arg(a);
  plus.arg(a);
  const size_t global = kN;
  cl_event last = nullptr;
  for (int round = 0; round < 6; ++round) {
    cl_event done = nullptr;
    kit::check_cl(clEnqueueNDRangeKernel(round % 2 ? other : rt.queue, round % 2 ? plus.get() : twice.get(), 1, nullptr, &global, nullptr, last != nullptr, last != nullptr ? &last : nullptr, &done), "enqueue");
    kit::check_cl(clFlush(round % 2 ? other : rt.queue), "flush");
    if (last != nullptr) clReleaseEvent(last);
    last = done;
  }
  kit::check_cl(clWaitForEvents(1, &last), "wait");
  clReleaseEvent(last);
  clReleaseCommandQueue(other);
  a.block().to_host();
  for (uint i = 0; i < kN; ++i)
    if (a[i] != ((i * 2 + 3) * 2 + 3) * 2 + 3) kit::fail("element %u: got %u", i, a[i]);
}

void fill_and_copy(Runtime& rt) {
  constexpr size_t kBytes = 1 << 16;
  cl_int status = 0;
  cl_mem a = clCreateBuffer(rt.context, CL_MEM_READ_WRITE, kBytes, nullptr, &status);
  cl_mem b = clCreateBuffer(rt.context, CL_MEM_READ_WRITE, kBytes, nullptr, &status);
  kit::check_cl(status, "buffers");
  const uint pattern = 0xC0FFEE11;
  kit::check_cl(clEnqueueFillBuffer(rt.queue, a, &pattern, 4, 0, kBytes, 0, nullptr, nullptr), "fill");
  const std::uint8_t byte = 0x5A;
  kit::check_cl(clEnqueueFillBuffer(rt.queue, a, &byte, 1, 1001, 777, 0, nullptr, nullptr), "fill bytes");
  kit::check_cl(clEnqueueCopyBuffer(rt.queue, a, b, 0, 0, kBytes, 0, nullptr, nullptr), "copy");
  kit::check_cl(clEnqueueCopyBuffer(rt.queue, a, b, 4, 20001, 999, 0, nullptr, nullptr), "odd copy");
  const size_t from[3] = {64, 4, 0}, to[3] = {32, 8, 0}, region[3] = {16, 5, 1};
  kit::check_cl(clEnqueueCopyBufferRect(rt.queue, a, b, from, to, region, 256, 0, 512, 0, 0, nullptr, nullptr), "rectangle");
  std::vector<std::uint8_t> got(kBytes), A(kBytes), B;
  kit::check_cl(clEnqueueReadBuffer(rt.queue, b, CL_TRUE, 0, kBytes, got.data(), 0, nullptr, nullptr), "read");
  for (size_t i = 0; i < kBytes; ++i) A[i] = std::uint8_t(pattern >> (8 * (i & 3)));
  std::fill(A.begin() + 1001, A.begin() + 1001 + 777, byte);
  B = A;
  std::copy(A.begin() + 4, A.begin() + 4 + 999, B.begin() + 20001);
  for (size_t y = 0; y < 5; ++y)
    for (size_t x = 0; x < 16; ++x) B[(y + 8) * 512 + 32 + x] = A[(y + 4) * 256 + 64 + x];
  clReleaseMemObject(a);
  clReleaseMemObject(b);
  for (size_t i = 0; i < kBytes; ++i)
    if (got[i] != B[i]) kit::fail("byte %zu: got %#x, want %#x", i, got[i], B[i]);
}

/// Work of several pages, so that faults and moves come in the middle of kernels.
void large_stream(Runtime& rt) {
  constexpr size_t kN = 300000;
  Array<float> x(rt, kN), y(rt, kN);
  x.fill([](size_t i) { return float(i % 1000); });
  y.fill([](size_t i) { return float(i % 77); });
  Kernel k(rt, "kernel void k(global const float* x, global float* y, float a, uint n) { uint i = get_global_id(0); if (i < n) y[i] = a * x[i] + y[i]; }");
  k.arg(x).arg(y).value(2.0f).value<cl_uint>(kN);
  k.run({.global = {(kN + 255) / 256 * 256}, .local = {256}});
  for (size_t i = 0; i < kN; ++i)
    if (y[i] != 2.0f * float(i % 1000) + float(i % 77)) kit::fail("element %zu: got %g", i, double(y[i]));
}

void again_and_again(Runtime& rt) {
  Array<uint> a(rt, 512);
  a.fill([](size_t) { return 0u; });
  Kernel k(rt, "kernel void k(global uint* a) { a[get_global_id(0)] += get_global_id(0); }");
  k.arg(a);
  for (int n = 0; n < 100; ++n) k.enqueue({.global = {512}}, rt.queue);
  kit::check_cl(clFinish(rt.queue), "clFinish");
  a.block().to_host();
  for (uint i = 0; i < 512; ++i)
    if (a[i] != i * 100) kit::fail("element %u: got %u", i, a[i]);
}

const kit::Row kRows[] = {
    IDS("ids-1d-runtime-chosen", {.global = {1000}}),
    IDS("ids-1d-256", {.global = {1024}, .local = {256}}),
    IDS("ids-1d-100", {.global = {500}, .local = {100}}),
    IDS("ids-1d-one-item", {.global = {7}, .local = {1}}),
    IDS("ids-2d-16x4", {.global = {64, 12}, .local = {16, 4}}),
    IDS("ids-3d-8x4x2", {.global = {16, 8, 4}, .local = {8, 4, 2}}),
    IDS("ids-3d-15x3x1", {.global = {30, 6, 2}, .local = {15, 3, 1}}),
    IDS("ids-3d-5x3x5", {.global = {10, 9, 5}, .local = {5, 3, 5}}),
    IDS("ids-3d-7x5x3", {.global = {14, 10, 6}, .local = {7, 5, 3}}),
    IDS("ids-3d-1x1x1", {.global = {3, 4, 5}, .local = {1, 1, 1}}),
    IDS("ids-offset", {.global = {96, 4, 2}, .local = {16, 2, 2}, .offset = {100, 20, 3}}),
    IDS("ids-not-uniform", {.global = {1000, 7}, .local = {64, 4}}),
    {"many-arguments", many_arguments},
    {"queues-and-events", queues_and_events},
    {"fill-and-copy", fill_and_copy},
    {"large-stream", large_stream},
    {"again-and-again", again_and_again},
};

}  // namespace

void add_dispatch_rows(std::vector<kit::Row>& rows) { rows.insert(rows.end(), std::begin(kRows), std::end(kRows)); }

std::vector<kit::Row> kit::all_rows() {
  std::vector<Row> rows;
  add_element_rows(rows);
  add_type_rows(rows);
  add_flow_rows(rows);
  add_group_rows(rows);
  add_atomic_rows(rows);
  add_dispatch_rows(rows);
  add_image_rows(rows);
  add_sample_rows(rows);
  add_yuv_rows(rows);
  add_image_memory_rows(rows);
  add_matrix_rows(rows);
  add_host_rows(rows);
  add_lane_rows(rows);
  add_ban_rows(rows);
  return rows;
}
