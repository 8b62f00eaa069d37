// Sub-groups as matrix engines: every pair of types of the systolic array, every number of rows, and 2D blocks of
// memory in all three orders, over their surface's edges too.
#include <bit>
#include <cstring>

#include "rows.h"

namespace {

using kit::Array;
using kit::Kernel;
using kit::Random;
using kit::Runtime;
using uint = std::uint32_t;

constexpr size_t kLanes = 16;

/// How an element of a matrix is kept: bits of it, and what they are worth.
struct Element {
  const char* name;  ///< in the function's name
  unsigned bits;
  float (*value)(uint bits);
};
template <unsigned kBits>
float signed_value(uint bits) {
  return float(int(bits << (32 - kBits)) >> (32 - kBits));
}
float unsigned_value(uint bits) { return float(bits); }
float bf16_value(uint bits) { return std::bit_cast<float>(bits << 16); }
float half_value(uint bits) { return float(std::bit_cast<_Float16>(std::uint16_t(bits))); }
float tf32_value(uint bits) { return std::bit_cast<float>(bits & 0xFFFFE000); }

constexpr Element kI8 = {"i8", 8, signed_value<8>}, kU8 = {"u8", 8, unsigned_value}, kI4 = {"i4", 4, signed_value<4>}, kU4 = {"u4", 4, unsigned_value},
                  kI2 = {"i2", 2, signed_value<2>}, kU2 = {"u2", 2, unsigned_value}, kBf16 = {"bf16", 16, bf16_value}, kHalf = {"f16", 16, half_value},
                  kTf32 = {"tf32", 32, tf32_value};

struct Mad {
  const Element& a;
  const Element& b;
  unsigned depth;
  const char* words_of_a;  ///< type of a's elements in the kernel
  const char* sum;         ///< type of the sums: int, float, half, or short, which is a bf16
};

bool is_float(const Element& e) { return e.bits >= 16; }

/// Small whole numbers and quarters, so that every order of adding gives the same sum.
uint random_bits(const Element& e, Random& random) {
  if (!is_float(e)) return random.next() >> (32 - e.bits);
  const float v = float(int(random.next() % 33) - 16) / 4;
  if (e.bits == 32) return std::bit_cast<uint>(v);
  if (&e == &kHalf || e.value == half_value) return std::bit_cast<std::uint16_t>(_Float16(v));
  return std::bit_cast<uint>(v) >> 16;
}

/// Elements of one lane, as many as fill `words` words of `bits` bits, are packed from the lowest bit on.
void pack(std::vector<std::uint8_t>& to, size_t element, unsigned bits, uint value) {
  const size_t bit = element * bits;
  for (unsigned i = 0; i < bits; ++i)
    if (value >> i & 1) to[(bit + i) / 8] |= std::uint8_t(1u << ((bit + i) % 8));
}

float sum_value(const std::string& type, uint bits) {
  if (type == "int") return float(int(bits));
  if (type == "float") return std::bit_cast<float>(bits);
  return type == "half" ? half_value(bits) : bf16_value(bits);
}
uint sum_bits(const std::string& type, int value) {
  if (type == "int") return uint(value);
  if (type == "float") return std::bit_cast<uint>(float(value));
  return type == "half" ? std::bit_cast<std::uint16_t>(_Float16(value)) : std::bit_cast<uint>(float(value)) >> 16;
}

void mad_rows(Runtime& rt, const Mad& mad, unsigned rows) {
  Random random(77 + rows);
  const unsigned depth = mad.depth, bits_a = depth * mad.a.bits / kLanes, words_b = depth * mad.b.bits / 32;
  std::vector<uint> a(rows * depth), b(depth * kLanes);
  for (uint& v : a) v = random_bits(mad.a, random);
  for (uint& v : b) v = random_bits(mad.b, random);
  // tf32's a has 8 columns: two rows in one word of all lanes.
  const bool two_rows = mad.a.bits == 32;
  const size_t words_a = two_rows ? (rows + 1) / 2 : rows, bytes_a = two_rows ? 4 : bits_a / 8;
  std::vector<std::uint8_t> packed_a(words_a * kLanes * bytes_a), packed_b(words_b * kLanes * 4);
  for (size_t i = 0; i < a.size(); ++i) pack(packed_a, i, mad.a.bits, a[i]);
  const size_t per_word = 32 / mad.b.bits;
  for (size_t k = 0; k < depth; ++k)
    for (size_t n = 0; n < kLanes; ++n) pack(packed_b, (k / per_word * kLanes + n) * per_word + k % per_word, mad.b.bits, b[k * kLanes + n]);
  Array<std::uint8_t> in_a(rt, packed_a.size()), in_b(rt, packed_b.size());
  Array<uint> out(rt, rows * kLanes);
  in_a.fill([&](size_t i) { return packed_a[i]; });
  in_b.fill([&](size_t i) { return packed_b[i]; });
  out.fill([&](size_t i) { return sum_bits(mad.sum, int(i % 7)); });
  const auto vector = [](const std::string& type, size_t n) { return n == 1 ? type : type + std::to_string(n); };
  const auto element = [](const char* name, size_t n, const char* i) { return n == 1 ? std::string(name) : std::string("((T") + name + "*)&" + name + ")[" + i + "]"; };
  const std::string sum = mad.sum, a_type = mad.words_of_a, b_type = mad.b.name[0] == 'u' ? "uint" : two_rows ? "float" : "int";
  const std::string bits = sum == "int" || sum == "float" ? "uint" : "ushort";
  const std::string source =
      "#pragma OPENCL EXTENSION cl_khr_fp16 : enable\n"
      "typedef " + a_type + " TA; typedef " + b_type + " TB; typedef " + sum + " TC;\n"
      "__attribute__((intel_reqd_sub_group_size(16))) kernel void k(global const TA* a, global const TB* b, global uint* c) { uint l = get_sub_group_local_id(); " +
      vector(a_type, words_a) + " A; " + vector(b_type, words_b) + " B; " + vector(sum, rows) + " C;"
      " for (int i = 0; i < " + std::to_string(words_a) + "; ++i) " + element("A", words_a, "i") + " = a[i * 16 + l];"
      " for (int i = 0; i < " + std::to_string(words_b) + "; ++i) " + element("B", words_b, "i") + " = b[i * 16 + l];"
      " for (int i = 0; i < " + std::to_string(rows) + "; ++i) " + element("C", rows, "i") + " = as_" + sum + "((" + bits + ")c[i * 16 + l]);"
      " C = intel_sub_group_" + mad.a.name + "_" + mad.b.name + "_matrix_mad_k" + std::to_string(depth) + "(A, B, C);"
      " for (int i = 0; i < " + std::to_string(rows) + "; ++i) c[i * 16 + l] = as_" + bits + "(" + element("C", rows, "i") + "); }";
  Kernel(rt, source).arg(in_a).arg(in_b).arg(out).run({.global = {kLanes}, .local = {kLanes}});
  for (size_t r = 0; r < rows; ++r)
    for (size_t n = 0; n < kLanes; ++n) {
      float want = float((r * kLanes + n) % 7);
      for (size_t k = 0; k < depth; ++k) want += mad.a.value(a[r * depth + k]) * mad.b.value(b[k * kLanes + n]);
      // A bf16 has 8 bits of a sum, a half 11: nearest, ties to even.
      if (sum == "half") want = float(_Float16(want));
      if (sum == "short") {
        const uint w = std::bit_cast<uint>(want);
        want = std::bit_cast<float>((w + 0x7FFF + (w >> 16 & 1)) & 0xFFFF0000);
      }
      const float got = sum_value(sum, out[r * kLanes + n]);
      if (got != want) kit::fail("%s by %s, %u rows, (%zu, %zu): got %g, want %g", mad.a.name, mad.b.name, rows, r, n, double(got), double(want));
    }
}

void mad(Runtime& rt, const Mad& m) {
  if (!rt.has("cl_intel_subgroup_matrix_multiply_accumulate")) kit::fail("the device has no matrix instructions");
  for (const unsigned rows : {1u, 2u, 4u, 8u}) mad_rows(rt, m, rows);
}

enum class Order { kRows, kVnni, kTransposed };
/// A 2D block: its function's name after `intel_sub_group_2d_block_read_`, its shape, and the words a lane gets.
struct Read {
  const char* name;
  unsigned bytes, rows, columns, blocks;
  const char* word;
  Order order = Order::kRows;
};

constexpr unsigned kWidth = 160, kHeight = 37, kPitch = 192;
struct At {
  int x, y;
};
/// Inside, over each edge, before the first element and wholly outside.
constexpr At kPlaces[] = {{0, 0}, {32, 5}, {3, 30}, {141, 2}, {-4, -3}, {16, 36}, {500, 500}};

unsigned word_bytes(const Read& r) { return std::strcmp(r.word, "uint") == 0 ? 4 : std::strcmp(r.word, "ushort") == 0 ? 2 : 1; }

/// Element (x, y) of the block's numbers, and what a lane's word holds of it: byte `byte` of word `word` of lane `lane`.
At element_of(const Read& r, size_t at) {
  const unsigned block_bytes = std::max(64u, r.rows * r.columns * r.bytes), block = unsigned(at / block_bytes), i = unsigned(at % block_bytes);
  if (r.order == Order::kTransposed) return {int(i / 4 / r.rows), int(i / 4 % r.rows)};
  if (r.order == Order::kVnni) {
    const unsigned per = 4 / r.bytes, column = i / 4 % r.columns;
    return {int(block * r.columns + column), int(i / 4 / r.columns * per + i % 4 / r.bytes)};
  }
  return {int(block * r.columns + i / r.bytes % r.columns), int(i / r.bytes / r.columns)};
}

void block_read(Runtime& rt, const Read& r) {
  if (!rt.has("cl_intel_subgroup_2d_block_io")) kit::fail("the device has no 2D blocks");
  Random random;
  Array<std::uint8_t> in(rt, kPitch * kHeight);
  in.fill([&](size_t) { return std::uint8_t(random.next() | 1); });
  const unsigned block_bytes = std::max(64u, r.rows * r.columns * r.bytes);
  const size_t bytes = size_t{block_bytes} * r.blocks, words = bytes / kLanes / word_bytes(r);
  constexpr size_t kCount = std::size(kPlaces);
  Array<std::uint8_t> out(rt, bytes * kCount);
  Array<int> places(rt, kCount * 2);
  places.fill([](size_t i) { return i % 2 ? kPlaces[i / 2].y : kPlaces[i / 2].x; });
  const std::string n = std::to_string(words), w = r.word;
  Kernel(rt,
         "__attribute__((intel_reqd_sub_group_size(16))) kernel void k(global void* a, global " + w + "* o, global const int2* p) { size_t g = get_group_id(0); " + w + " d[" + n + "];"
         " intel_sub_group_2d_block_read_" + r.name + "(a, 160, 37, 192, p[g], d); for (int i = 0; i < " + n + "; ++i) o[(g * " + n + " + i) * 16 + get_sub_group_local_id()] = d[i]; }")
      .arg(in).arg(out).arg(places).run({.global = {kCount * kLanes}, .local = {kLanes}});
  for (size_t p = 0; p < kCount; ++p)
    for (size_t i = 0; i < bytes; ++i) {
      if (i % block_bytes >= r.rows * r.columns * r.bytes) continue;  // a block of less than a register
      const At e = element_of(r, i);
      const int x = (kPlaces[p].x + e.x) * int(r.bytes) + int(i % r.bytes), y = kPlaces[p].y + e.y;
      const bool inside = x >= 0 && x < int(kWidth) && y >= 0 && y < int(kHeight);
      const std::uint8_t want = inside ? in[size_t(y) * kPitch + size_t(x)] : 0;
      if (out[p * bytes + i] != want) kit::fail("%s at %d,%d: byte %zu is %#x, want %#x", r.name, kPlaces[p].x, kPlaces[p].y, i, out[p * bytes + i], want);
    }
}

void block_write(Runtime& rt, const Read& r) {
  if (!rt.has("cl_intel_subgroup_2d_block_io")) kit::fail("the device has no 2D blocks");
  const size_t bytes = r.rows * r.columns * r.bytes, words = bytes / kLanes / word_bytes(r);
  for (const At place : kPlaces) {
    Array<std::uint8_t> in(rt, bytes), out(rt, kPitch * kHeight);
    Random random;
    in.fill([&](size_t) { return std::uint8_t(random.next()); });
    out.fill([](size_t i) { return std::uint8_t(i * 7); });
    const std::string n = std::to_string(words), w = r.word;
    Kernel(rt,
           "__attribute__((intel_reqd_sub_group_size(16))) kernel void k(global const " + w + "* a, global void* o, int x, int y) { " + w + " d[" + n + "]; for (int i = 0; i < " + n +
               "; ++i) d[i] = a[i * 16 + get_sub_group_local_id()]; intel_sub_group_2d_block_write_" + r.name + "(o, 160, 37, 192, (int2)(x, y), d); }")
        .arg(in).arg(out).value(place.x).value(place.y).run({.global = {kLanes}, .local = {kLanes}});
    std::vector<std::uint8_t> want(kPitch * kHeight);
    for (size_t i = 0; i < want.size(); ++i) want[i] = std::uint8_t(i * 7);
    for (size_t i = 0; i < bytes; ++i) {
      const At e = element_of(r, i);
      const int x = (place.x + e.x) * int(r.bytes) + int(i % r.bytes), y = place.y + e.y;
      if (x >= 0 && x < int(kWidth) && y >= 0 && y < int(kHeight)) want[size_t(y) * kPitch + size_t(x)] = in[i];
    }
    for (size_t i = 0; i < want.size(); ++i)
      if (out[i] != want[i]) kit::fail("%s at %d,%d: byte %zu is %#x, want %#x", r.name, place.x, place.y, i, out[i], want[i]);
  }
}

#define MAD(name, ...) {"matrix-" name, [](Runtime& rt) { mad(rt, Mad __VA_ARGS__); }}
#define READ(name, ...) {"block2d-read-" name, [](Runtime& rt) { block_read(rt, Read{name, __VA_ARGS__}); }}
#define WRITE(name, ...) {"block2d-write-" name, [](Runtime& rt) { block_write(rt, Read{name, __VA_ARGS__}); }}

const kit::Row kRows[] = {
    MAD("i8-i8", {kI8, kI8, 32, "short", "int"}), MAD("i8-u8", {kI8, kU8, 32, "short", "int"}), MAD("u8-i8", {kU8, kI8, 32, "ushort", "int"}),
    MAD("u8-u8", {kU8, kU8, 32, "ushort", "int"}), MAD("i8-i4", {kI8, kI4, 32, "short", "int"}), MAD("u8-u2", {kU8, kU2, 32, "ushort", "int"}),
    MAD("i4-i8", {kI4, kI8, 32, "char", "int"}), MAD("i4-i4", {kI4, kI4, 64, "short", "int"}), MAD("u4-i4", {kU4, kI4, 64, "ushort", "int"}),
    MAD("i4-u2", {kI4, kU2, 64, "short", "int"}), MAD("u2-u2", {kU2, kU2, 64, "uchar", "int"}),
    MAD("i2-i4", {kI2, kI4, 64, "char", "int"}),
    MAD("f16-f16-float", {kHalf, kHalf, 16, "short", "float"}), MAD("f16-f16-half", {kHalf, kHalf, 16, "short", "half"}),
    MAD("bf16-bf16-float", {kBf16, kBf16, 16, "short", "float"}), MAD("bf16-bf16-bf16", {kBf16, kBf16, 16, "short", "short"}),
    MAD("tf32-tf32", {kTf32, kTf32, 8, "float", "float"}),
    READ("8b_1r32x1c", 1, 1, 32, 1, "ushort"), READ("8b_8r32x1c", 1, 8, 32, 1, "ushort"), READ("8b_32r32x1c", 1, 32, 32, 1, "ushort"),
    READ("8b_4r32x2c", 1, 4, 32, 2, "ushort"), READ("8b_32r32x2c", 1, 32, 32, 2, "ushort"),
    READ("16b_1r16x1c", 2, 1, 16, 1, "ushort"), READ("16b_8r16x1c", 2, 8, 16, 1, "ushort"), READ("16b_32r16x2c", 2, 32, 16, 2, "ushort"),
    READ("32b_1r8x1c", 4, 1, 8, 1, "uint"), READ("32b_8r8x2c", 4, 8, 8, 2, "uint"), READ("32b_32r8x1c", 4, 32, 8, 1, "uint"), READ("32b_16r16x1c", 4, 16, 16, 1, "uint"),
    READ("transform_8b_32r16x1c", 1, 32, 16, 1, "uint", Order::kVnni), READ("transform_8b_32r16x4c", 1, 32, 16, 4, "uint", Order::kVnni),
    READ("transform_16b_16r16x1c", 2, 16, 16, 1, "uint", Order::kVnni), READ("transform_16b_32r16x2c", 2, 32, 16, 2, "uint", Order::kVnni),
    READ("transpose_32b_16r8x1c", 4, 16, 8, 1, "uint", Order::kTransposed), READ("transpose_32b_32r8x1c", 4, 32, 8, 1, "uint", Order::kTransposed),
    WRITE("8b_1r32x1c", 1, 1, 32, 1, "ushort"), WRITE("8b_8r32x1c", 1, 8, 32, 1, "ushort"), WRITE("8b_8r16x1c", 1, 8, 16, 1, "uchar"),
    WRITE("16b_4r16x1c", 2, 4, 16, 1, "ushort"), WRITE("32b_8r16x1c", 4, 8, 16, 1, "uint"),
};

}  // namespace

void add_matrix_rows(std::vector<kit::Row>& rows) { rows.insert(rows.end(), std::begin(kRows), std::end(kRows)); }
