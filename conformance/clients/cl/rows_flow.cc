// Control flow, calls, recursion, spills, algorithms that programs are made of.
#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>

#include <unistd.h>

#include "rows.h"

namespace {

using kit::Array;
using kit::Kernel;
using kit::Random;
using kit::Runtime;
using uint = std::uint32_t;

/// Kernel and C++ of the same function of one word.
struct Function {
  const char* helpers;  ///< OpenCL text before the kernel
  const char* body;     ///< statements that turn `uint x` into `uint r`
  uint (*want)(uint x);
  const char* options = "";
  size_t items = 4000;
};
void function(Runtime& rt, const Function& row) {
  Random random;
  Array<uint> in(rt, row.items), out(rt, row.items);
  in.fill([&](size_t i) { return i < 64 ? uint(i) : random.next() >> (i % 24); });
  const std::string source = std::string(row.helpers) + "\nkernel void k(global const uint* A, global uint* O) { uint x = A[get_global_id(0)]; uint r = 0; " +
                             row.body + " O[get_global_id(0)] = r; }";
  Kernel(rt, source, row.options).arg(in).arg(out).run({.global = {row.items}});
  for (size_t i = 0; i < row.items; ++i)
    if (out[i] != row.want(in[i])) kit::fail("x = %u: got %u, want %u", in[i], out[i], row.want(in[i]));
}

#define FUNCTION(name, ...) {name, [](Runtime& rt) { function(rt, Function __VA_ARGS__); }}

uint collatz(uint x) {
  uint n = 0;
  for (x = x % 9973 + 1; x != 1 && n < 500; ++n) x = x % 2 ? 3 * x + 1 : x / 2;
  return n;
}
uint gcd(uint a, uint b) { return b == 0 ? a : gcd(b, a % b); }
uint ackermann(uint m, uint n) { return m == 0 ? n + 1 : n == 0 ? ackermann(m - 1, 1) : ackermann(m - 1, ackermann(m, n - 1)); }
uint crc32(uint x) {
  uint c = ~0u;
  for (int b = 0; b < 4; ++b) {
    c ^= x >> (8 * b) & 255;
    for (int i = 0; i < 8; ++i) c = c & 1 ? c >> 1 ^ 0xEDB88320 : c >> 1;
  }
  return ~c;
}
uint isqrt(uint x) {
  uint r = 0;
  for (uint bit = 1u << 15; bit != 0; bit >>= 1)
    if (std::uint64_t(r | bit) * (r | bit) <= x) r |= bit;
  return r;
}
uint nested(uint x) {
  uint r = 0;
  for (uint i = 0; i < (x & 15); ++i) {
    for (uint j = 0; j < 10; ++j) {
      if (j == (x >> 4 & 15)) break;
      if ((i + j) % 3 == 0) continue;
      r += i * j + 1;
    }
    if (r > 200) return r | 0x10000;
  }
  return r;
}
uint switched(uint x) {
  switch (x % 11) {
    case 0: return x + 1;
    case 1: return x * 3;
    case 2:
    case 3: return x ^ 0xFF;
    case 5: return x >> 2;
    case 8: return ~x;
    default: return 7;
  }
}
/// 48 values that are all alive at once.
uint many_alive(uint x) {
  uint v[48];
  for (uint i = 0; i < 48; ++i) v[i] = x * (2 * i + 1) + (x >> (i & 15));
  for (int round = 0; round < 3; ++round)
    for (uint i = 0; i < 48; ++i) v[i] += v[(i * 7 + 5) % 48] ^ v[(i * 11 + 3) % 48];
  uint r = 0;
  for (const uint e : v) r = r * 31 + e;
  return r;
}
uint sha_like(uint x) {
  uint w[16], a = 0x67452301, b = 0xEFCDAB89, c = 0x98BADCFE, d = 0x10325476, e = 0xC3D2E1F0;
  for (uint i = 0; i < 16; ++i) w[i] = x * (i + 1);
  for (uint t = 0; t < 80; ++t) {
    if (t >= 16) w[t & 15] = std::rotl(w[(t + 13) & 15] ^ w[(t + 8) & 15] ^ w[(t + 2) & 15] ^ w[t & 15], 1);
    const uint f = t < 20 ? (b & c) | (~b & d) : t < 40 ? b ^ c ^ d : t < 60 ? (b & c) | (b & d) | (c & d) : b ^ c ^ d;
    const uint k = t < 20 ? 0x5A827999 : t < 40 ? 0x6ED9EBA1 : t < 60 ? 0x8F1BBCDC : 0xCA62C1D6;
    const uint n = std::rotl(a, 5) + f + e + k + w[t & 15];
    e = d, d = c, c = std::rotl(b, 30), b = a, a = n;
  }
  return a ^ b ^ c ^ d ^ e;
}
uint sorted(uint x) {
  uint t[16];
  for (uint i = 0; i < 16; ++i) t[i] = (x * (i + 1) * 2654435761u) >> 20;
  std::sort(t, t + 16);
  return t[0] + t[7] * 31 + t[15] * 1009;
}

void mandelbrot(Runtime& rt) {
  constexpr size_t kSide = 96;
  Array<uint> out(rt, kSide * kSide);
  Kernel(rt,
         "#pragma OPENCL FP_CONTRACT OFF\n"
         "kernel void k(global uint* o) { size_t x = get_global_id(0), y = get_global_id(1); float cr = (float)x / 32 - 2, ci = (float)y / 48 - 1, r = 0, i = 0; uint n = 0;"
         " while (n < 200) { float r2 = r * r, i2 = i * i; if (r2 + i2 > 4) break; i = 2 * r * i; i = i + ci; r = r2 - i2; r = r + cr; ++n; } o[y * get_global_size(0) + x] = n; }")
      .arg(out).run({.global = {kSide, kSide}});
  size_t different = 0;
  for (size_t y = 0; y < kSide; ++y)
    for (size_t x = 0; x < kSide; ++x) {
      const float cr = float(x) / 32 - 2, ci = float(y) / 48 - 1;
      float r = 0, i = 0;
      uint n = 0;
      while (n < 200) {
        const volatile float r2 = r * r, i2 = i * i, ri = 2 * r * i, d = r2 - i2;
        if (float(r2 + i2) > 4) break;
        i = ri + ci, r = d + cr, ++n;
      }
      different += out[y * kSide + x] != n;
    }
  const size_t allowed = rt.options.build.empty() ? kSide * kSide / 200 : kSide * kSide / 20;
  if (different > allowed) kit::fail("%zu of %zu pixels differ", different, kSide * kSide);
}

void matrix_naive(Runtime& rt) {
  constexpr size_t kN = 64;
  Random random;
  Array<float> a(rt, kN * kN), b(rt, kN * kN), c(rt, kN * kN);
  a.fill([&](size_t) { return float(random.real(-1, 1)); });
  b.fill([&](size_t) { return float(random.real(-1, 1)); });
  Kernel(rt,
         "kernel void k(global const float* a, global const float* b, global float* c) { size_t n = get_global_size(0), x = get_global_id(0), y = get_global_id(1);"
         " float s = 0; for (size_t i = 0; i < n; ++i) s += a[y * n + i] * b[i * n + x]; c[y * n + x] = s; }")
      .arg(a).arg(b).arg(c).run({.global = {kN, kN}, .local = {16, 4}});
  for (size_t y = 0; y < kN; ++y)
    for (size_t x = 0; x < kN; ++x) {
      double s = 0;
      for (size_t i = 0; i < kN; ++i) s += double(a[y * kN + i]) * b[i * kN + x];
      if (std::fabs(c[y * kN + x] - s) > 1e-4) kit::fail("(%zu, %zu): got %g, want %g", x, y, double(c[y * kN + x]), s);
    }
}

void linked_lists(Runtime& rt) {
  constexpr size_t kNodes = 4096, kLists = 64;
  Array<uint> next(rt, kNodes), value(rt, kNodes), out(rt, kLists);
  next.fill([](size_t i) { return uint(i * 1103515245 + 12345) % kNodes; });
  value.fill([](size_t i) { return uint(i * 7 + 1); });
  Kernel(rt, "kernel void k(global const uint* next, global const uint* value, global uint* o) { uint at = get_global_id(0), s = 0; for (uint n = 0; n < 100 + get_global_id(0); ++n) { s = s * 5 + value[at]; at = next[at]; } o[get_global_id(0)] = s; }")
      .arg(next).arg(value).arg(out).run({.global = {kLists}});
  for (uint i = 0; i < kLists; ++i) {
    uint at = i, s = 0;
    for (uint n = 0; n < 100 + i; ++n) s = s * 5 + value[at], at = next[at];
    if (out[i] != s) kit::fail("list %u: got %u, want %u", i, out[i], s);
  }
}

void prints(Runtime& rt) {
  // What is printed is looked at by the runner; here only that printing disturbs nothing.
  Array<uint> out(rt, 64);
  Kernel(rt, "kernel void k(global uint* o) { uint i = get_global_id(0); if (i % 16 == 3) printf(\"item %u of %s %5.2f %v4d\\n\", i, \"many\", i * 0.5f, (int4)(i, 1, 2, 3)); o[i] = i * i; }")
      .arg(out).run({.global = {64}});
  for (uint i = 0; i < 64; ++i)
    if (out[i] != i * i) kit::fail("element %u", i);
}

/// 3,000 lines from all items, each once and whole.
void print_flood(Runtime& rt) {
  constexpr uint kItems = 1000;
  std::FILE* file = std::tmpfile();
  if (file == nullptr) kit::fail("no file");
  Kernel print(rt,
               "kernel void k(int n) { int i = get_global_id(0); for (int j = 0; j < n; ++j) if ((i + j) % 2) printf(\"%d %s %u %.2f %#lx %c\\n\", i, j == 1 ? \"one\" : \"other\", j, (float)i / 4, (long)i << 33, 'a' + i % 26);"
               " else printf(\"%d vector %u %v4hhd\\n\", i, j, (char4)(i, j, -1, 5)); }");
  print.value(3);
  std::fflush(stdout);
  const int out = dup(1);
  dup2(fileno(file), 1);
  print.enqueue({.global = {kItems}, .local = {}, .offset = {}}, rt.queue);
  const cl_int status = clFinish(rt.queue);
  std::fflush(stdout);
  dup2(out, 1);
  close(out);
  kit::check_cl(status, "clFinish");
  std::rewind(file);
  std::vector<int> seen(kItems * 3);
  char line[256], want[256];
  int wrong = 0;
  while (std::fgets(line, sizeof line, file) != nullptr) {
    int i = 0;
    uint j = 0;
    char word[32] = "";
    if (std::sscanf(line, "%d %31s %u", &i, word, &j) != 3 || uint(i) >= kItems || j > 2) kit::fail("a line is: %s", line);
    ++seen[size_t(i) * 3 + j];
    if ((uint(i) + j) % 2 != 0) std::snprintf(want, sizeof want, "%d %s %u %.2f %#lx %c\n", i, j == 1 ? "one" : "other", j, double(i) / 4, long(i) << 33, 'a' + i % 26);
    else std::snprintf(want, sizeof want, "%d vector %u %d,%u,-1,5\n", i, j, int(std::int8_t(i)), j);
    if (std::strcmp(line, want) != 0 && ++wrong == 1) std::printf("got %swant %s", line, want);
  }
  std::fclose(file);
  if (wrong != 0) kit::fail("%d lines are wrong", wrong);
  for (size_t n = 0; n < seen.size(); ++n)
    if (seen[n] != 1) kit::fail("line %zu came %d times", n, seen[n]);
}

const kit::Row kRows[] = {
    FUNCTION("flow-collatz", {.helpers = "", .body = "uint n = 0; for (x = x % 9973 + 1; x != 1 && n < 500; ++n) x = x % 2 ? 3 * x + 1 : x / 2; r = n;", .want = collatz}),
    FUNCTION("flow-gcd", {.helpers = "", .body = "uint a = x % 1000 + 1, b = x / 7 % 1000; while (b) { uint t = a % b; a = b; b = t; } r = a;", .want = [](uint x) { return gcd(x % 1000 + 1, x / 7 % 1000); }}),
    FUNCTION("flow-nested-break-continue-return",
             {.helpers = "uint f(uint x) { uint r = 0; for (uint i = 0; i < (x & 15); ++i) { for (uint j = 0; j < 10; ++j) { if (j == ((x >> 4) & 15)) break; if ((i + j) % 3 == 0) continue; r += i * j + 1; } if (r > 200) return r | 0x10000; } return r; }",
              .body = "r = f(x);", .want = nested}),
    FUNCTION("flow-switch",
             {.helpers = "", .body = "switch (x % 11) { case 0: r = x + 1; break; case 1: r = x * 3; break; case 2: case 3: r = x ^ 0xFF; break; case 5: r = x >> 2; break; case 8: r = ~x; break; default: r = 7; }", .want = switched}),
    FUNCTION("flow-early-return", {.helpers = "", .body = "if (x % 3 == 0) { O[get_global_id(0)] = 5; return; } if (x % 5 == 0) { O[get_global_id(0)] = 9; return; } r = x;",
                                   .want = [](uint x) { return x % 3 == 0 ? 5u : x % 5 == 0 ? 9u : x; }}),
    FUNCTION("flow-binary-search", {.helpers = "constant uint T[16] = {0, 3, 9, 11, 20, 31, 47, 60, 77, 100, 1000, 5000, 70000, 1000000, 90000000, 4000000000u};",
                                    .body = "uint lo = 0, hi = 16; while (hi - lo > 1) { uint m = (lo + hi) / 2; if (T[m] <= x) lo = m; else hi = m; } r = lo;",
                                    .want = [](uint x) {
                                      static constexpr uint kT[] = {0, 3, 9, 11, 20, 31, 47, 60, 77, 100, 1000, 5000, 70000, 1000000, 90000000, 4000000000u};
                                      return uint(std::upper_bound(kT, kT + 16, x) - kT - 1);
                                    }}),
    FUNCTION("flow-integer-square-root", {.helpers = "", .body = "for (uint bit = 1u << 15; bit; bit >>= 1) if ((ulong)(r | bit) * (r | bit) <= x) r |= bit;", .want = isqrt}),
    FUNCTION("flow-crc32", {.helpers = "", .body = "uint c = ~0u; for (int b = 0; b < 4; ++b) { c ^= (x >> (8 * b)) & 255; for (int i = 0; i < 8; ++i) c = c & 1 ? (c >> 1) ^ 0xEDB88320 : c >> 1; } r = ~c;", .want = crc32}),
    FUNCTION("flow-do-while-goto-like", {.helpers = "", .body = "uint n = 0; do { if (x & 1) r += x; x >>= 1; if (++n > 20) break; } while (x > 3); r += n;",
                                         .want = [](uint x) {
                                           uint r = 0, n = 0;
                                           do {
                                             if (x & 1) r += x;
                                             x >>= 1;
                                             if (++n > 20) break;
                                           } while (x > 3);
                                           return r + n;
                                         }}),
    FUNCTION("call-not-inlined", {.helpers = "__attribute__((noinline)) uint f(uint a, uint b) { return a * b + (a ^ b); }\n__attribute__((noinline)) uint g(uint a) { return f(a, a + 1) + f(a + 2, 3); }",
                                  .body = "r = g(x) + f(x, 9);",
                                  .want = [](uint x) {
                                    const auto f = [](uint a, uint b) { return a * b + (a ^ b); };
                                    return f(x, x + 1) + f(x + 2, 3) + f(x, 9);
                                  }}),
    FUNCTION("call-in-divergent-flow", {.helpers = "__attribute__((noinline)) uint f(uint a) { uint s = 0; for (uint i = 0; i < (a & 7); ++i) s += a >> i; return s; }",
                                        .body = "if (x & 1) r = f(x); else if (x & 2) r = f(x * 3) + 1; else r = 11;",
                                        .want = [](uint x) {
                                          const auto f = [](uint a) {
                                            uint s = 0;
                                            for (uint i = 0; i < (a & 7); ++i) s += a >> i;
                                            return s;
                                          };
                                          return x & 1 ? f(x) : x & 2 ? f(x * 3) + 1 : 11;
                                        }}),
    FUNCTION("recursion-gcd", {.helpers = "uint gcd(uint a, uint b) { return b == 0 ? a : gcd(b, a % b); }", .body = "r = gcd(x % 1000 + 1, x / 7 % 1000);",
                               .want = [](uint x) { return gcd(x % 1000 + 1, x / 7 % 1000); }, .items = 512}),
    FUNCTION("recursion-ackermann", {.helpers = "uint ack(uint m, uint n) { return m == 0 ? n + 1 : n == 0 ? ack(m - 1, 1) : ack(m - 1, ack(m, n - 1)); }", .body = "r = ack(x % 3, x / 3 % 4);",
                                     .want = [](uint x) { return ackermann(x % 3, x / 3 % 4); }, .items = 256}),
    FUNCTION("registers-many-alive",
             {.helpers = "", .body = "uint v[48];\n#pragma unroll\nfor (uint i = 0; i < 48; ++i) v[i] = x * (2 * i + 1) + (x >> (i & 15));\nfor (int n = 0; n < 3; ++n)\n#pragma unroll\nfor (uint i = 0; i < 48; ++i) v[i] += v[(i * 7 + 5) % 48] ^ v[(i * 11 + 3) % 48];\n#pragma unroll\nfor (uint i = 0; i < 48; ++i) r = r * 31 + v[i];",
              .want = many_alive, .items = 1000}),
    FUNCTION("registers-256", {.helpers = "", .body = "uint v[48];\n#pragma unroll\nfor (uint i = 0; i < 48; ++i) v[i] = x * (2 * i + 1) + (x >> (i & 15));\nfor (int n = 0; n < 3; ++n)\n#pragma unroll\nfor (uint i = 0; i < 48; ++i) v[i] += v[(i * 7 + 5) % 48] ^ v[(i * 11 + 3) % 48];\n#pragma unroll\nfor (uint i = 0; i < 48; ++i) r = r * 31 + v[i];",
                               .want = many_alive, .options = "-cl-intel-256-GRF-per-thread", .items = 1000}),
    FUNCTION("hash-sha1-rounds",
             {.helpers = "", .body = "uint w[16], a = 0x67452301, b = 0xEFCDAB89, c = 0x98BADCFE, d = 0x10325476, e = 0xC3D2E1F0; for (uint i = 0; i < 16; ++i) w[i] = x * (i + 1);"
                                     "for (uint t = 0; t < 80; ++t) { if (t >= 16) w[t & 15] = rotate(w[(t + 13) & 15] ^ w[(t + 8) & 15] ^ w[(t + 2) & 15] ^ w[t & 15], 1u);"
                                     "uint f = t < 20 ? (b & c) | (~b & d) : t < 40 ? b ^ c ^ d : t < 60 ? (b & c) | (b & d) | (c & d) : b ^ c ^ d; uint k = t < 20 ? 0x5A827999 : t < 40 ? 0x6ED9EBA1 : t < 60 ? 0x8F1BBCDC : 0xCA62C1D6;"
                                     "uint n = rotate(a, 5u) + f + e + k + w[t & 15]; e = d; d = c; c = rotate(b, 30u); b = a; a = n; } r = a ^ b ^ c ^ d ^ e;",
              .want = sha_like}),
    FUNCTION("sort-insertion", {.helpers = "", .body = "uint t[16]; for (uint i = 0; i < 16; ++i) t[i] = (x * (i + 1) * 2654435761u) >> 20; for (int i = 1; i < 16; ++i) { uint v = t[i]; int j = i - 1; while (j >= 0 && t[j] > v) { t[j + 1] = t[j]; --j; } t[j + 1] = v; } r = t[0] + t[7] * 31 + t[15] * 1009;",
                                .want = sorted, .items = 1000}),
    FUNCTION("without-optimizer", {.helpers = "uint f(uint a) { return a * 3 + 1; }", .body = "uint t[4]; for (uint i = 0; i < 4; ++i) t[i] = f(x + i); for (uint i = 0; i < 4; ++i) if (t[i] & 2) r += t[i]; else r ^= t[i];",
                                   .want = [](uint x) {
                                     uint r = 0;
                                     for (uint i = 0; i < 4; ++i) {
                                       const uint t = (x + i) * 3 + 1;
                                       if (t & 2) r += t;
                                       else r ^= t;
                                     }
                                     return r;
                                   },
                                   .options = "-cl-opt-disable"}),
    {"mandelbrot", mandelbrot},
    {"matrix-naive", matrix_naive},
    {"linked-lists", linked_lists},
    {"printf-flood", print_flood},
    {"printf-disturbs-nothing", prints},
};

}  // namespace

void add_flow_rows(std::vector<kit::Row>& rows) { rows.insert(rows.end(), std::begin(kRows), std::end(kRows)); }
