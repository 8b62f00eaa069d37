// What lanes of a sub-group do together beyond OpenCL's core: all types of shuffles, operations over the lanes that are
// there, clusters, ballots; dot products; atomics of floats.
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
using uint = std::uint32_t;
using ulong = std::uint64_t;

constexpr uint kLocal = 64, kGroups = 3;

struct Lane {
  uint size, lane;
  ulong result;
};

/// A kernel computes `expression` of `x` (of `type`, from the item's number) where `condition` holds; `want` gets the
/// values of all lanes of the item's sub-group and which of them are there.
struct Together {
  const char* needs;
  const char* type;
  const char* condition;
  const char* expression;
  ulong (*want)(const std::vector<ulong>& x, const std::vector<bool>& there, uint lane);
  bool (*is_there)(uint item) = [](uint) { return true; };
};

/// The value of an item, as bits of the type.
ulong value_of(const std::string& type, uint item) {
  const uint h = item * 2654435761u;
  if (type == "float") return std::bit_cast<uint>(float(int(h >> 20) - 2000) / 8);
  if (type == "half") return std::bit_cast<std::uint16_t>(_Float16(float(int(h >> 27) - 16)));
  if (type == "double") return std::bit_cast<ulong>(double(int(h >> 12)) / 16 - 9000);
  if (type == "char" || type == "uchar") return h >> 24;
  if (type == "short" || type == "ushort") return h >> 16;
  if (type == "long" || type == "ulong") return ulong{h} << 29 | h;
  return h;
}

void together_at(Runtime& rt, const Together& row, int size) {
  const std::string type = row.type;
  const bool eight = type == "long" || type == "ulong" || type == "double";
  const bool two = type == "short" || type == "ushort" || type == "half", one = type == "char" || type == "uchar";
  const std::string bits = eight ? "ulong" : two ? "ushort" : one ? "uchar" : "uint";
  Array<ulong> in(rt, kLocal * kGroups);
  Array<Lane> out(rt, kLocal * kGroups);
  in.fill([&](size_t i) { return value_of(type, uint(i)); });
  out.fill([](size_t) { return Lane{0, 0, 0xABCD}; });
  Kernel(rt,
         "#pragma OPENCL EXTENSION cl_khr_fp16 : enable\n#pragma OPENCL EXTENSION cl_khr_fp64 : enable\n"
         "typedef struct { uint size, lane; ulong result; } Lane;\n"
         "__attribute__((intel_reqd_sub_group_size(" + std::to_string(size) + "))) kernel void k(global const ulong* a, global Lane* o) { uint i = get_global_id(0), l = get_sub_group_local_id();"
         " o[i].size = get_sub_group_size(); o[i].lane = l; " + type + " x = as_" + type + "((" + bits + ")a[i]);"
         " if (" + row.condition + ") o[i].result = as_" + bits + "((" + type + ")(" + row.expression + ")); }")
      .arg(in).arg(out).run({.global = {kLocal * kGroups}, .local = {kLocal}});
  for (uint i = 0; i < out.size(); ++i) {
    const uint first = i - out[i].lane;
    std::vector<ulong> x;
    std::vector<bool> there;
    for (uint l = 0; l < out[i].size; ++l) x.push_back(value_of(type, first + l)), there.push_back(row.is_there(first + l));
    if (out[i].size != uint(size) || out[i].lane != i % uint(size)) kit::fail("item %u is lane %u of %u", i, out[i].lane, out[i].size);
    const ulong want = there[out[i].lane] ? row.want(x, there, out[i].lane) : 0xABCD;
    if (out[i].result != want) kit::fail("%d lanes, item %u: got %#llx, want %#llx", size, i, (unsigned long long)out[i].result, (unsigned long long)want);
  }
}

void together(Runtime& rt, const Together& row) {
  if (!rt.has(row.needs)) kit::fail("the device has no %s", row.needs);
  for (const int size : {16, 32}) together_at(rt, row, size);
}

using Values = const std::vector<ulong>&;
using There = const std::vector<bool>&;
bool not_thirds(uint item) { return item % 3 != 1; }

/// Folds the values of the lanes that are there, from lane `from` to before lane `to`.
template <typename T, typename F>
ulong fold(Values x, There there, uint from, uint to, T start, F f) {
  using Bits = std::conditional_t<sizeof(T) == 8, ulong, std::conditional_t<sizeof(T) == 4, uint, std::conditional_t<sizeof(T) == 2, std::uint16_t, std::uint8_t>>>;
  T r = start;
  for (uint l = from; l < to; ++l)
    if (there[l]) r = T(f(r, std::bit_cast<T>(Bits(x[l]))));
  return std::bit_cast<Bits>(r);
}

#define TOGETHER(name, ...) {"lanes-" name, [](Runtime& rt) { together(rt, Together __VA_ARGS__); }}
/// A shuffle of any type: the value of the lane that `from` says.
#define SHUFFLE(name, needs, type, expression, from) \
  TOGETHER(name, {needs, type, "1", expression, [](Values x, There, uint l) -> ulong { return x[(from) % x.size()]; }})
#define NON_UNIFORM(name, type, T, function, start, f)                                                                                  \
  TOGETHER(name "-reduce", {"cl_khr_subgroup_non_uniform_arithmetic", type, "i % 3 != 1", "sub_group_non_uniform_reduce_" function "(x)",       \
                            [](Values x, There there, uint) { return fold<T>(x, there, 0, uint(x.size()), start, f); }, not_thirds}),   \
  TOGETHER(name "-scan-inclusive", {"cl_khr_subgroup_non_uniform_arithmetic", type, "i % 3 != 1", "sub_group_non_uniform_scan_inclusive_" function "(x)", \
                          [](Values x, There there, uint l) { return fold<T>(x, there, 0, l + 1, start, f); }, not_thirds}),            \
  TOGETHER(name "-scan-exclusive", {"cl_khr_subgroup_non_uniform_arithmetic", type, "i % 3 != 1", "sub_group_non_uniform_scan_exclusive_" function "(x)", \
                          [](Values x, There there, uint l) { return fold<T>(x, there, 0, l, start, f); }, not_thirds}),                \
  TOGETHER(name "-cluster", {"cl_khr_subgroup_clustered_reduce", type, "1", "sub_group_clustered_reduce_" function "(x, 4)",            \
                             [](Values x, There there, uint l) { return fold<T>(x, there, l / 4 * 4, l / 4 * 4 + 4, start, f); }})

constexpr auto kAdd = [](auto a, auto b) { return a + b; };
constexpr auto kMul = [](auto a, auto b) { return a * b; };
constexpr auto kMin = [](auto a, auto b) { return a < b ? a : b; };
constexpr auto kMax = [](auto a, auto b) { return a < b ? b : a; };
constexpr auto kXor = [](auto a, auto b) { return a ^ b; };
constexpr auto kAnd = [](auto a, auto b) { return a & b; };
constexpr float kEndless = std::numeric_limits<float>::infinity();

/// Four 8-bit products and a sum, as cl_khr_integer_dot_product has them.
void dot_products(Runtime& rt) {
  if (!rt.has("cl_khr_integer_dot_product")) kit::fail("no dot products");
  constexpr size_t kN = 256;
  Array<uint> a(rt, kN), b(rt, kN), out(rt, kN * 6);
  Random random;
  a.fill([&](size_t i) { return i < 4 ? 0x80808080u : i < 8 ? 0xFFFFFFFFu : random.next(); });
  b.fill([&](size_t i) { return i < 8 ? 0x7F80FF80u : random.next(); });
  Kernel(rt,
         "kernel void k(global const uint* a, global const uint* b, global uint* o) { size_t i = get_global_id(0); global uint* p = o + 6 * i; p[0] = dot(as_uchar4(a[i]), as_uchar4(b[i])); p[1] = dot(as_char4(a[i]), as_char4(b[i]));"
         " p[2] = dot(as_char4(a[i]), as_uchar4(b[i])); p[3] = dot_acc_sat(as_char4(a[i]), as_char4(b[i]), 0x7FFFFFF0); p[4] = dot_acc_sat(as_uchar4(a[i]), as_uchar4(b[i]), 0xFFFFFF00u); p[5] = dot_4x8packed_su_int(a[i], b[i]); }")
      .arg(a).arg(b).arg(out).run({.global = {kN}});
  for (size_t i = 0; i < kN; ++i) {
    std::int64_t uu = 0, ss = 0, su = 0;
    for (int c = 0; c < 4; ++c) {
      const auto ua = std::uint8_t(a[i] >> (8 * c)), ub = std::uint8_t(b[i] >> (8 * c));
      uu += ua * ub, ss += std::int8_t(ua) * std::int8_t(ub), su += std::int8_t(ua) * ub;
    }
    const uint want[6] = {uint(uu), uint(ss), uint(su), uint(int(std::min<std::int64_t>(0x7FFFFFF0 + ss, 0x7FFFFFFF))), uint(std::min<std::int64_t>(0xFFFFFF00 + uu, 0xFFFFFFFF)), uint(su)};
    for (int f = 0; f < 6; ++f)
      if (out[i * 6 + f] != want[f]) kit::fail("element %zu, product %d: got %#x, want %#x", i, f, out[i * 6 + f], want[f]);
  }
}

/// Every item adds, and takes the smaller and larger, of a float of the type, in global and in local memory.
struct FloatAtomics {
  const char* type;
  bool add;
};
template <typename T>
void float_atomics(Runtime& rt, const char* type, bool adds, bool local) {
  if (!rt.has("cl_ext_float_atomics")) kit::fail("the device has no atomics of floats");
  Array<T> out(rt, 8);
  out.fill([](size_t i) { return T(i % 4 == 1 ? 100 : i % 4 == 2 ? -100 : 0); });
  const std::string t = type, order = ", memory_order_relaxed, memory_scope_work_group); ", atomic = "atomic_" + t;
  std::string body = adds ? "atomic_fetch_add_explicit(p, v" + order : "";
  if (t != "double" || !local) body += "atomic_fetch_min_explicit(p + 1, v" + order + "atomic_fetch_max_explicit(p + 2, v" + order;
  body += "T old = atomic_exchange_explicit(p + 3, v" + order;
  const std::string kernel =
      local ? "local " + atomic + " m[4]; if (get_local_id(0) == 0) for (int i = 0; i < 4; ++i) atomic_store_explicit(m + i, o[i]" + order + "barrier(CLK_LOCAL_MEM_FENCE); volatile local " + atomic + "* p = m; " + body +
                  "barrier(CLK_LOCAL_MEM_FENCE); if (get_local_id(0) == 0) for (int i = 0; i < 4; ++i) o[i] = atomic_load_explicit(m + i" + order
            : "volatile global " + atomic + "* p = (volatile global " + atomic + "*)o; " + body;
  constexpr int kItems = 256;
  Kernel(rt,
         "#pragma OPENCL EXTENSION cl_khr_fp16 : enable\n#pragma OPENCL EXTENSION cl_khr_fp64 : enable\n#pragma OPENCL EXTENSION cl_khr_int64_base_atomics : enable\n#pragma OPENCL EXTENSION cl_khr_int64_extended_atomics : enable\n"
         "typedef " + t + " T;\nkernel void k(global T* o) { T v = (T)((int)get_local_id(0) % 37 - 18) / 2; " + kernel + " }")
      .arg(out).run({.global = {kItems}, .local = {kItems}});
  double sum = 0;
  for (int i = 0; i < kItems; ++i) sum += (i % 37 - 18) / 2.0;
  const double want[3] = {adds ? sum : 0, -9, 9};
  for (int i = 0; i < 3; ++i)
    if (double(out[i]) != want[i] && !(i > 0 && t == "double" && local)) kit::fail("word %d: got %g, want %g", i, double(out[i]), want[i]);
  if (std::fabs(double(out[3])) > 9) kit::fail("the exchanged word is %g", double(out[3]));
}

const kit::Row kRows[] = {
    SHUFFLE("shuffle-char", "cl_khr_subgroup_shuffle", "char", "sub_group_shuffle(x, (l * 7 + 3) % get_sub_group_size())", l * 7 + 3),
    SHUFFLE("shuffle-short", "cl_khr_subgroup_shuffle", "short", "sub_group_shuffle(x, (l * 7 + 3) % get_sub_group_size())", l * 7 + 3),
    SHUFFLE("shuffle-half", "cl_khr_subgroup_shuffle", "half", "sub_group_shuffle_xor(x, 9)", l ^ 9),
    SHUFFLE("shuffle-float", "cl_khr_subgroup_shuffle", "float", "sub_group_shuffle_xor(x, 5)", l ^ 5),
    SHUFFLE("shuffle-long", "cl_khr_subgroup_shuffle", "long", "sub_group_shuffle(x, (l * 5 + 1) % get_sub_group_size())", l * 5 + 1),
    SHUFFLE("shuffle-double", "cl_khr_subgroup_shuffle", "double", "sub_group_shuffle_xor(x, 15)", l ^ 15),
    SHUFFLE("intel-shuffle-double", "cl_intel_subgroups_long", "ulong", "intel_sub_group_shuffle(x, l ^ 3)", l ^ 3),
    SHUFFLE("intel-shuffle-char", "cl_intel_subgroups_char", "uchar", "intel_sub_group_shuffle(x, l ^ 3)", l ^ 3),
    SHUFFLE("broadcast-ushort", "cl_khr_subgroup_extended_types", "ushort", "sub_group_broadcast(x, 11)", l * 0 + 11),
    SHUFFLE("broadcast-double", "cl_khr_subgroup_extended_types", "double", "sub_group_broadcast(x, 6)", l * 0 + 6),
    TOGETHER("shuffle-up", {"cl_khr_subgroup_shuffle_relative", "ulong", "1", "select(sub_group_shuffle_up(x, 3), x, (ulong)(l < 3 ? ~0ul : 0ul))", [](Values x, There, uint l) { return x[l < 3 ? l : l - 3]; }}),
    TOGETHER("broadcast-first", {"cl_khr_subgroup_ballot", "uint", "i % 3 != 1", "sub_group_broadcast_first(x)",
                                 [](Values x, There there, uint) { return x[size_t(std::find(there.begin(), there.end(), true) - there.begin())]; }, not_thirds}),
    TOGETHER("elect", {"cl_khr_subgroup_non_uniform_vote", "uint", "i % 3 != 1", "sub_group_elect() != 0",
                       [](Values, There there, uint l) { return ulong(l == uint(std::find(there.begin(), there.end(), true) - there.begin())); }, not_thirds}),
    TOGETHER("vote", {"cl_khr_subgroup_non_uniform_vote", "uint", "i % 3 != 1", "(sub_group_non_uniform_any(x > 0xF0000000u) != 0) + 2 * (sub_group_non_uniform_all(x > 0x01000000u) != 0) + 4 * (sub_group_non_uniform_all_equal(x & 0) != 0)",
                      [](Values x, There there, uint) { bool any = false, all = true; for (size_t l = 0; l < x.size(); ++l) if (there[l]) any |= x[l] > 0xF0000000u, all &= x[l] > 0x01000000u; return ulong(any + 2 * all + 4); }, not_thirds}),
    TOGETHER("ballot-scan", {"cl_khr_subgroup_ballot", "uint", "1", "sub_group_ballot_bit_count(sub_group_ballot(x & 1)) * 10000 + sub_group_ballot_exclusive_scan(sub_group_ballot(x & 1)) * 100 + sub_group_ballot_find_msb(sub_group_ballot(x & 1 || l == 2))",
                             [](Values x, There, uint l) { ulong n = 0, before = 0, last = 0; for (size_t i = 0; i < x.size(); ++i) { n += x[i] & 1; if (i < l) before += x[i] & 1; if (x[i] & 1 || i == 2) last = i; } return n * 10000 + before * 100 + last; }}),
    NON_UNIFORM("add-uint", "uint", uint, "add", 0u, kAdd), NON_UNIFORM("add-ulong", "ulong", ulong, "add", ulong{0}, kAdd), NON_UNIFORM("add-ushort", "ushort", std::uint16_t, "add", std::uint16_t{0}, kAdd),
    NON_UNIFORM("add-uchar", "uchar", std::uint8_t, "add", std::uint8_t{0}, kAdd), NON_UNIFORM("add-float", "float", float, "add", 0.0f, kAdd),
    NON_UNIFORM("add-double", "double", double, "add", 0.0, kAdd), NON_UNIFORM("add-half", "half", _Float16, "add", _Float16(0), kAdd), NON_UNIFORM("mul-uint", "uint", uint, "mul", 1u, kMul),
    NON_UNIFORM("mul-ulong", "ulong", ulong, "mul", ulong{1}, kMul), NON_UNIFORM("min-short", "short", std::int16_t, "min", std::int16_t{0x7FFF}, kMin),
    NON_UNIFORM("min-long", "long", std::int64_t, "min", std::numeric_limits<std::int64_t>::max(), kMin), NON_UNIFORM("max-char", "char", std::int8_t, "max", std::int8_t{-128}, kMax),
    NON_UNIFORM("max-float", "float", float, "max", -kEndless, kMax), NON_UNIFORM("max-double", "double", double, "max", double(-kEndless), kMax), NON_UNIFORM("xor-ulong", "ulong", ulong, "xor", ulong{0}, kXor),
    NON_UNIFORM("and-uchar", "uchar", std::uint8_t, "and", std::uint8_t{0xFF}, kAnd),
    {"dot-products", dot_products},
    {"atomic-float-kinds-half", [](Runtime& rt) { float_atomics<_Float16>(rt, "half", false, false); }},
    {"atomic-float-kinds-float", [](Runtime& rt) { float_atomics<float>(rt, "float", true, false); }},
    {"atomic-float-kinds-double", [](Runtime& rt) { float_atomics<double>(rt, "double", true, false); }},
    {"atomic-float-kinds-local-half", [](Runtime& rt) { float_atomics<_Float16>(rt, "half", false, true); }},
    {"atomic-float-kinds-local-float", [](Runtime& rt) { float_atomics<float>(rt, "float", true, true); }},
};

}  // namespace

void add_lane_rows(std::vector<kit::Row>& rows) { rows.insert(rows.end(), std::begin(kRows), std::end(kRows)); }
