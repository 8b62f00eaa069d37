// How kernels are made and started: modules of both forms and several build flags, group sizes, offsets, cooperative and
// indirect launches, printf.
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>

#include "rows.h"

namespace {

using kit::Array;
using kit::Commands;
using kit::Kernel;
using kit::Kind;
using kit::Memory;
using kit::Module;
using kit::World;
using uint = std::uint32_t;

/// Ids of every dimension, for a group size and a number of groups of odd shape.
constexpr const char* kIds =
    "kernel void k(global uint* o) { size_t i = (get_group_id(2) * get_num_groups(1) * get_num_groups(0) + get_group_id(1) * get_num_groups(0) + get_group_id(0)) * get_local_size(0) * get_local_size(1) * get_local_size(2) + get_local_linear_id();"
    " global uint* p = o + i * 8; for (uint d = 0; d < 3; ++d) { p[d] = get_global_id(d); p[3 + d] = get_local_id(d); } p[6] = get_sub_group_local_id() + get_sub_group_id() * get_max_sub_group_size(); p[7] = get_enqueued_local_size(0); }";

struct Shape {
  uint group[3];
  ze_group_count_t groups;
  uint offset[3];
};

void ids(World& w, const Shape& s) {
  Module module(w, kIds);
  const uint size = s.group[0] * s.group[1] * s.group[2];
  const uint n = size * s.groups.groupCountX * s.groups.groupCountY * s.groups.groupCountZ;
  Array<uint> out(w, n * 8);
  Kernel k(module);
  k.arg(out.get()).group(s.group[0], s.group[1], s.group[2]);
  if (s.offset[0] + s.offset[1] + s.offset[2] != 0)
    kit::check(zeKernelSetGlobalOffsetExp(k.get(), s.offset[0], s.offset[1], s.offset[2]), "global offset");
  Commands(w, Kind::kImmediate).launch(k, s.groups).run();
  for (uint i = 0; i < n; ++i) {
    const uint local = i % size, group = i / size;
    const uint l[3] = {local % s.group[0], local / s.group[0] % s.group[1], local / s.group[0] / s.group[1]};
    const uint g[3] = {group % s.groups.groupCountX, group / s.groups.groupCountX % s.groups.groupCountY,
                       group / s.groups.groupCountX / s.groups.groupCountY};
    const uint* p = &out[i * 8];
    for (uint d = 0; d < 3; ++d) {
      const uint want = g[d] * s.group[d] + l[d] + s.offset[d];
      if (p[d] != want || p[3 + d] != l[d]) kit::fail("item %u: ids %u and %u of dimension %u, want %u and %u", i, p[d], p[3 + d], d, want, l[d]);
    }
    if (p[7] != s.group[0]) kit::fail("item %u: group size %u", i, p[7]);
  }
}

/// The size that the runtime proposes covers the range.
void suggested_size(World& w) {
  Module module(w, kIds);
  for (const uint n : {1000u, 77u, 4096u, 13u}) {
    Kernel k(module);
    uint x = 0, y = 0, z = 0;
    kit::check(zeKernelSuggestGroupSize(k.get(), n, 1, 1, &x, &y, &z), "suggestion");
    if (x == 0 || n % x != 0 || y * z != 1) kit::fail("groups of %u,%u,%u for %u items", x, y, z, n);
    ids(w, {{x, 1, 1}, {n / x, 1, 1}, {}});
  }
}

/// Groups that wait for each other; it ends only when all of them run.
void cooperative(World& w) {
  Module module(w, "kernel void k(global atomic_uint* at, global uint* o, uint groups) { uint g = get_group_id(0); o[g] = g + 1; work_group_barrier(CLK_GLOBAL_MEM_FENCE, memory_scope_device);"
                   " if (get_local_id(0) == 0) { atomic_fetch_add_explicit(at, 1u, memory_order_acq_rel, memory_scope_device); while (atomic_load_explicit(at, memory_order_acquire, memory_scope_device) < groups); }"
                   " work_group_barrier(CLK_GLOBAL_MEM_FENCE, memory_scope_device); if (get_local_id(0) == 0) o[groups + g] = o[groups - 1 - g] * 2; }");
  Kernel k(module);
  k.group(64);
  uint most = 0;
  kit::check(zeKernelSuggestMaxCooperativeGroupCount(k.get(), &most), "number of groups");
  const uint groups = std::min(most, 96u);
  if (groups < 2) kit::fail("at most %u cooperative groups", most);
  Array<uint> at(w, 1, Memory::kDevice), zero(w, 1), out(w, 2 * groups);
  k.arg(at.get()).arg(out.get()).arg(groups);
  Commands list(w, Kind::kRegular);
  list.copy(at.get(), zero.get(), 4).barrier();
  const ze_group_count_t count = {groups, 1, 1};
  kit::check(zeCommandListAppendLaunchCooperativeKernel(list.get(), k.get(), &count, nullptr, 0, nullptr), "cooperative launch");
  list.run();
  kit::expect<uint>(out, 2 * groups, [=](size_t i) { return i < groups ? uint(i + 1) : uint(groups - (i - groups)) * 2; }, "o");
}

/// A kernel decides how many groups of the next one run.
void indirect(World& w, Kind kind) {
  Module module(w, "kernel void plan(global uint* groups) { groups[0] = 7; groups[1] = 3; groups[2] = 2; } kernel void k(global uint* o) { if (get_local_id(0) == 0) o[(get_group_id(2) * 3 + get_group_id(1)) * 7 + get_group_id(0)] = get_num_groups(0) * 100 + get_num_groups(1) * 10 + get_num_groups(2); }");
  Array<ze_group_count_t> groups(w, 1);
  Array<uint> out(w, 43);
  Kernel plan(module, "plan"), k(module);
  plan.arg(groups.get()).group(1);
  k.arg(out.get()).group(33);
  Commands list(w, kind);
  list.launch(plan, 1).barrier();
  kit::check(zeCommandListAppendLaunchKernelIndirect(list.get(), k.get(), groups.get(), nullptr, 0, nullptr), "indirect launch");
  list.run();
  kit::expect<uint>(out, 43, [](size_t i) { return i < 42 ? 732u : 0u; }, "o");
}

void several_indirect(World& w) {
  Module module(w, "kernel void k(global uint* o) { atomic_add(o, get_num_groups(0)); }");
  Array<ze_group_count_t> groups(w, 3);
  Array<uint> out(w, 3), count(w, 1);
  Kernel a(module), b(module), c(module);
  a.arg(&out[0]).group(8);
  b.arg(&out[1]).group(8);
  c.arg(&out[2]).group(8);
  for (uint i = 0; i < 3; ++i) groups[i] = {i + 2, 1, 1};
  count[0] = 2;
  ze_kernel_handle_t kernels[] = {a.get(), b.get(), c.get()};
  Commands list(w, Kind::kRegular);
  kit::check(zeCommandListAppendLaunchMultipleKernelsIndirect(list.get(), 3, kernels, count.get(), groups.get(), nullptr, 0, nullptr), "launches");
  list.run();
  kit::expect<uint>(out, 3, [](size_t i) { return i < 2 ? uint((i + 2) * (i + 2) * 8) : 0u; }, "o");
}

/// Standard output while it exists is a file.
class Captured {
 public:
  Captured() {
    std::fflush(stdout);
    saved_ = dup(1);
    file_ = std::tmpfile();
    if (file_ == nullptr) kit::fail("no temporary file");
    dup2(fileno(file_), 1);
  }
  ~Captured() { restore(); }
  std::string text() {
    restore();
    std::string all(65536, '\0');
    std::rewind(file_);
    all.resize(std::fread(all.data(), 1, all.size(), file_));
    return all;
  }

 private:
  int saved_;
  std::FILE* file_;
  void restore() {
    if (saved_ < 0) return;
    std::fflush(stdout);
    dup2(saved_, 1);
    close(saved_);
    saved_ = -1;
  }
};

void printf_text(World& w) {
  Module module(w, "kernel void k(float f) { if (get_global_id(0) % 5 == 0) printf(\"item %u of %s: %.2f %d\\n\", (uint)get_global_id(0), \"ten\", f * get_global_id(0), -(int)get_global_id(0)); }");
  Captured captured;
  {
    Kernel k(module);
    k.arg(1.5f).group(5);
    Commands(w, Kind::kRegular).launch(k, 2).run();
  }
  const std::string text = captured.text();
  for (const char* line : {"item 0 of ten: 0.00 0\n", "item 5 of ten: 7.50 -5\n"})
    if (text.find(line) == std::string::npos) kit::fail("the output is `%s`", text.c_str());
  if (std::count(text.begin(), text.end(), '\n') != 2) kit::fail("the output is `%s`", text.c_str());
}

/// A kernel with local memory, private arrays and a loop, in each form that a module can have.
void module_of(World& w, kit::Form form, const char* flags) {
  Module module(w, "kernel void k(global const uint* a, global uint* o, local uint* s) { uint l = get_local_id(0), p[24]; for (uint i = 0; i < 24; ++i) p[i] = a[get_global_id(0)] + i * l; s[l] = p[l % 24] ^ p[(l + 7) % 24]; barrier(CLK_LOCAL_MEM_FENCE);"
                   " for (uint n = get_local_size(0) / 2; n; n /= 2) { if (l < n) s[l] += s[l + n]; barrier(CLK_LOCAL_MEM_FENCE); } if (l == 0) o[get_group_id(0)] = s[0]; }",
                flags, form);
  constexpr uint kGroups = 9, kSize = 64;
  Array<uint> a(w, kGroups * kSize), out(w, kGroups);
  for (uint i = 0; i < kGroups * kSize; ++i) a[i] = i * 2654435761u;
  Kernel k(module);
  k.arg(a.get()).arg(out.get()).local(kSize * 4).group(kSize);
  Commands(w, Kind::kImmediate).launch(k, kGroups).run();
  for (uint g = 0; g < kGroups; ++g) {
    uint want = 0;
    for (uint l = 0; l < kSize; ++l) want += (a[g * kSize + l] + l % 24 * l) ^ (a[g * kSize + l] + (l + 7) % 24 * l);
    if (out[g] != want) kit::fail("group %u: %u, want %u", g, out[g], want);
  }
}

}  // namespace

void add_launch_rows(std::vector<kit::Row>& rows) {
  const kit::Row own[] = {
      {"ids-odd-groups", [](World& w) { ids(w, {{7, 5, 3}, {3, 2, 2}, {}}); }},
      {"ids-one-item", [](World& w) { ids(w, {{1, 1, 1}, {5, 4, 3}, {}}); }},
      {"ids-1024", [](World& w) { ids(w, {{1024, 1, 1}, {3, 1, 1}, {}}); }},
      {"global-offset", [](World& w) { ids(w, {{16, 2, 2}, {4, 3, 2}, {100, 20, 3}}); }},
      {"suggested-group-size", suggested_size},
      {"cooperative", cooperative},
      {"indirect-immediate", [](World& w) { indirect(w, Kind::kImmediate); }},
      {"indirect-regular", [](World& w) { indirect(w, Kind::kRegular); }},
      {"several-indirect", several_indirect},
      {"printf", printf_text},
      {"module-spirv", [](World& w) { module_of(w, kit::Form::kSpirv, ""); }},
      {"module-native", [](World& w) { module_of(w, kit::Form::kNative, ""); }},
      {"module-not-optimized", [](World& w) { module_of(w, kit::Form::kSpirv, "-ze-opt-disable"); }},
      {"module-256-registers", [](World& w) { module_of(w, kit::Form::kSpirv, "-ze-opt-large-register-file"); }},
      {"module-large-buffers", [](World& w) { module_of(w, kit::Form::kSpirv, "-ze-opt-greater-than-4GB-buffer-required"); }},
  };
  rows.insert(rows.end(), std::begin(own), std::end(own));
}
