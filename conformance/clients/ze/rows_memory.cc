// Where the memory of kernels comes from, and how it gets there: allocations of all kinds, plain memory, copies, fills.
#include <cstring>
#include <numeric>

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

constexpr uint kGroup = 128;
constexpr const char* kSaxpy =
    "kernel void k(global const float* x, global float* y, float a, uint n) { uint i = get_global_id(0); if (i < n) y[i] = a * x[i] + y[i]; }";

/// y = 3 x + y three times over; device memory is filled and read back by the same list.
void saxpy(World& w, Memory memory, Kind kind) {
  constexpr size_t kN = 50'000;
  Module module(w, kSaxpy);
  Array<float> x(w, kN, memory), y(w, kN, memory), in(w, 2 * kN), out(w, kN);
  for (size_t i = 0; i < kN; ++i) in[i] = float(i % 1000), in[kN + i] = float(i % 77);
  Commands list(w, kind);
  if (memory == Memory::kDevice) {
    list.copy(x.get(), &in[0], x.bytes()).copy(y.get(), &in[kN], y.bytes()).barrier();
  } else {
    std::memcpy(x.get(), &in[0], x.bytes());
    std::memcpy(y.get(), &in[kN], y.bytes());
  }
  Kernel k(module);
  k.arg(x.get()).arg(y.get()).arg(3.0f).arg(uint{kN}).group(kGroup);
  for (int n = 0; n < 3; ++n) list.launch(k, (kN + kGroup - 1) / kGroup).barrier();
  if (memory == Memory::kDevice) list.copy(out.get(), y.get(), y.bytes());
  list.run();
  if (memory != Memory::kDevice) std::memcpy(out.get(), y.get(), y.bytes());
  kit::expect<float>(out, kN, [](size_t i) { return 9.0f * float(i % 1000) + float(i % 77); }, "y");
}

/// A chain of nodes all over an allocation: the kernel follows pointers that are no arguments.
void linked_list(World& w, Memory memory, ze_kernel_indirect_access_flags_t access) {
  struct Node {
    Node* next;
    uint value;
    uint pad;
  };
  constexpr size_t kNodes = 3000;
  Module module(w, "typedef struct N { ulong next; uint value, pad; } N; kernel void k(ulong head, global uint* o) { uint sum = 0, n = 0; for (ulong p = head; p; ++n) { global N* at = (global N*)p; sum += at->value * (n + 1); at->pad = n; p = at->next; } o[0] = sum; o[1] = n; }");
  Array<Node> nodes(w, kNodes, memory);
  Array<uint> out(w, 2);
  const auto place = [](size_t i) { return i * 1237 % kNodes; };
  for (size_t i = 0; i < kNodes; ++i)
    nodes[place(i)] = {i + 1 < kNodes ? &nodes[place(i + 1)] : nullptr, uint(i * i), 0};
  Kernel k(module);
  k.arg(&nodes[place(0)]).arg(out.get()).group(1);
  kit::check(zeKernelSetIndirectAccess(k.get(), access), "indirect access");
  Commands(w, Kind::kImmediate).launch(k, 1).run();
  uint want = 0;
  for (uint i = 0; i < kNodes; ++i) want += i * i * (i + 1);
  if (out[0] != want || out[1] != kNodes) kit::fail("sum %u over %u nodes, want %u over %zu", out[0], out[1], want, kNodes);
  for (uint i = 0; i < kNodes; ++i)
    if (nodes[place(i)].pad != i) kit::fail("node %u has the number %u", i, nodes[place(i)].pad);
}

/// Patterns of every size, on one engine or the other; no byte beyond them changes.
void fills(World& w, uint ordinal) {
  constexpr size_t kBytes = 70'000;
  Array<std::uint8_t> memory(w, kBytes, Memory::kShared);
  std::uint8_t pattern[16];
  std::iota(pattern, pattern + 16, std::uint8_t{0x41});
  for (size_t size = 1; size <= (ordinal == w.compute ? 16 : 1); size *= 2) {
    std::memset(memory.get(), 0xEE, kBytes);
    const size_t length = 65'536;
    Commands list(w, w.context, Kind::kImmediate, ordinal);
    kit::check(zeCommandListAppendMemoryFill(list.get(), &memory[64], pattern, size, length, nullptr, 0, nullptr), "fill");
    list.run();
    for (size_t i = 0; i < kBytes; ++i) {
      const std::uint8_t want = i >= 64 && i < 64 + length ? pattern[(i - 64) % size] : 0xEE;
      if (memory[i] != want) kit::fail("pattern of %zu: byte %zu is %#x, want %#x", size, i, memory[i], want);
    }
  }
}

void copy_region(World& w, uint ordinal) {
  constexpr uint kPitch = 256, kRows = 40;
  Array<std::uint8_t> from(w, kPitch * kRows), to(w, kPitch * kRows, Memory::kHost);
  for (size_t i = 0; i < from.bytes(); ++i) from[i] = std::uint8_t(i * 7 + i / 256);
  const ze_copy_region_t source = {16, 3, 0, 100, 20, 1}, target = {5, 11, 0, 100, 20, 1};
  Commands list(w, w.context, Kind::kRegular, ordinal);
  kit::check(zeCommandListAppendMemoryCopyRegion(list.get(), to.get(), &target, kPitch, 0, from.get(), &source, kPitch, 0, nullptr, 0, nullptr),
             "copy of a region");
  list.run();
  for (uint y = 0; y < kRows; ++y)
    for (uint x = 0; x < kPitch; ++x) {
      const bool inside = x >= 5 && x < 105 && y >= 11 && y < 31;
      const std::uint8_t want = inside ? from[(y - 8) * kPitch + x + 11] : 0;
      if (to[y * kPitch + x] != want) kit::fail("byte %u of row %u is %#x, want %#x", x, y, to[y * kPitch + x], want);
    }
}

/// The copy engine brings data to the device, kernels change it, the copy engine takes it back: three queues, by events.
void copy_engine(World& w, Kind kind) {
  constexpr size_t kN = 100'000;
  Module module(w, "kernel void k(global uint* a) { size_t i = get_global_id(0); a[i] = a[i] * 5 + 1; }");
  Array<uint> in(w, kN, Memory::kHost), device(w, kN, Memory::kDevice), out(w, kN, Memory::kHost);
  for (uint i = 0; i < kN; ++i) in[i] = i * i;
  kit::Events events(w, 2);
  Kernel k(module);
  k.arg(device.get()).group(100);
  Commands there(w, w.context, kind, w.copies), work(w, kind), back(w, w.context, kind, w.copies);
  // The kernel first: it waits for the other engine. (Queues of one engine may be one queue for the runtime.)
  work.launch(k, kN / 100, events[1], {events[0]});
  work.start();
  there.copy(device.get(), in.get(), in.bytes(), events[0]);
  there.start();
  back.copy(out.get(), device.get(), out.bytes(), nullptr, {events[1]});
  back.start();
  back.wait();
  kit::expect<uint>(out, kN, [](size_t i) { return uint(i) * uint(i) * 5 + 1; }, "a");
  there.wait();
  work.wait();
}

/// A variable of the module, written by the host's copies and by the kernel.
void global_variable(World& w) {
  Module module(w, "global uint v[64]; kernel void k() { v[get_global_id(0)] += get_global_id(0) * 3; }");
  void* v = nullptr;
  size_t bytes = 0;
  kit::check(zeModuleGetGlobalPointer(module.get(), "v", &bytes, &v), "pointer of the variable");
  if (bytes != 256) kit::fail("the variable has %zu bytes", bytes);
  Array<uint> in(w, 64), out(w, 64);
  for (uint i = 0; i < 64; ++i) in[i] = 1000 + i;
  Kernel k(module);
  k.group(32);
  Commands(w, Kind::kImmediate).copy(v, in.get(), bytes).barrier().launch(k, 2).barrier().launch(k, 2).barrier().copy(out.get(), v, bytes).run();
  kit::expect<uint>(out, 64, [](size_t i) { return uint(1000 + 7 * i); }, "v");
}

/// Memory that the program gives back and takes again between the launches of one list.
void mapped_again(World& w) {
  Module module(w, "kernel void k(global uint* a) { a[get_global_id(0)] += 1 + get_global_id(0); }");
  constexpr size_t kN = 40'000;
  Kernel k(module);
  k.group(100);
  for (uint round = 0; round < 4; ++round) {
    Array<uint> a(w, kN, Memory::kMmap);
    for (uint i = 0; i < kN; ++i) a[i] = round;
    k.again().arg(a.get());
    Commands(w, Kind::kImmediate).launch(k, kN / 100).barrier().launch(k, kN / 100).run();
    kit::expect<uint>(a, kN, [=](size_t i) { return uint(round + 2 + 2 * i); }, "a");
  }
}

}  // namespace

void add_memory_rows(std::vector<kit::Row>& rows) {
  const struct {
    const char* name;
    Memory memory;
    ze_kernel_indirect_access_flags_t access;
  } kinds[] = {{"host", Memory::kHost, ZE_KERNEL_INDIRECT_ACCESS_FLAG_HOST},
               {"device", Memory::kDevice, ZE_KERNEL_INDIRECT_ACCESS_FLAG_DEVICE},
               {"shared", Memory::kShared, ZE_KERNEL_INDIRECT_ACCESS_FLAG_SHARED},
               {"malloc", Memory::kMalloc, 0},
               {"mmap", Memory::kMmap, 0}};
  for (const auto& kind : kinds) {
    const Memory memory = kind.memory;
    rows.push_back({std::string("saxpy-immediate-") + kind.name, [=](World& w) { saxpy(w, memory, Kind::kImmediate); }});
    rows.push_back({std::string("saxpy-regular-") + kind.name, [=](World& w) { saxpy(w, memory, Kind::kRegular); }});
    if (memory == Memory::kDevice) continue;
    const auto access = kind.access;
    rows.push_back({std::string("linked-list-") + kind.name, [=](World& w) { linked_list(w, memory, access); }});
  }
  rows.push_back({"fill-compute-queue", [](World& w) { fills(w, w.compute); }});
  rows.push_back({"fill-copy-queue", [](World& w) { fills(w, w.copies); }});
  rows.push_back({"copy-region-compute-queue", [](World& w) { copy_region(w, w.compute); }});
  rows.push_back({"copy-region-copy-queue", [](World& w) { copy_region(w, w.copies); }});
  rows.push_back({"copy-engine-immediate", [](World& w) { copy_engine(w, Kind::kImmediate); }});
  rows.push_back({"copy-engine-regular", [](World& w) { copy_engine(w, Kind::kRegular); }});
  rows.push_back({"global-variable", global_variable});
  rows.push_back({"mapped-again", mapped_again});
}
