// What comes before what: events and their times, barriers, fences, several queues and contexts, lists that run again.
#include <memory>

#include "rows.h"

namespace {

using kit::Array;
using kit::Commands;
using kit::Events;
using kit::Kernel;
using kit::Kind;
using kit::Memory;
using kit::Module;
using kit::World;
using uint = std::uint32_t;
using ull = unsigned long long;

constexpr const char* kSteps =
    "kernel void twice(global uint* a) { a[get_global_id(0)] *= 2; } kernel void plus(global uint* a) { a[get_global_id(0)] += 3; }"
    " kernel void slow(global uint* a, uint n) { uint v = a[get_global_id(0)]; for (uint i = 0; i < n; ++i) v = v * 1664525 + 1013904223; a[get_global_id(0)] = v; }";
constexpr size_t kN = 2048;

uint stepped(uint v, int rounds) {
  for (int i = 0; i < rounds; ++i) v = i % 2 == 0 ? v * 2 : v + 3;
  return v;
}

/// A chain through several queues, each link started before the one it waits for.
void chain(World& w, Kind kind, int queues) {
  constexpr int kLinks = 8;
  Module module(w, kSteps);
  Array<uint> a(w, kN, Memory::kShared);
  for (uint i = 0; i < kN; ++i) a[i] = i;
  Events events(w, kLinks);
  Kernel twice(module, "twice"), plus(module, "plus");
  twice.arg(a.get()).group(64);
  plus.arg(a.get()).group(64);
  std::vector<std::unique_ptr<Commands>> lists;
  for (int q = 0; q < queues; ++q) lists.push_back(std::make_unique<Commands>(w, kind));
  for (int link = 0; link < kLinks; ++link) {
    std::vector<ze_event_handle_t> waits;
    if (link > 0) waits.push_back(events[size_t(link) - 1]);
    lists[size_t(link % queues)]->launch(link % 2 == 0 ? twice : plus, kN / 64, events[size_t(link)], waits);
  }
  for (auto& list : lists) list->start();
  kit::wait_for(events[kLinks - 1]);
  kit::expect<uint>(a, kN, [](size_t i) { return stepped(uint(i), kLinks); }, "a");
  for (auto& list : lists) list->wait();
}

/// The device waits for the host.
void host_signal(World& w) {
  Module module(w, kSteps);
  Array<uint> a(w, kN, Memory::kHost);
  for (uint i = 0; i < kN; ++i) a[i] = 1;
  Events events(w, 2);
  Kernel twice(module, "twice");
  twice.arg(a.get()).group(64);
  Commands list(w, Kind::kImmediate);
  list.launch(twice, kN / 64, events[1], {events[0]});
  if (zeEventQueryStatus(events[1]) != ZE_RESULT_NOT_READY) kit::fail("the kernel did not wait for the host");
  for (uint i = 0; i < kN; ++i) a[i] = i + 7;
  kit::check(zeEventHostSignal(events[0]), "signal");
  kit::wait_for(events[1]);
  kit::expect<uint>(a, kN, [](size_t i) { return 2 * uint(i + 7); }, "a");
}

/// Times of kernels: none before its start, in the order of the queue, and as long as the device's clock says.
void timestamps(World& w, Kind kind) {
  Module module(w, kSteps);
  Array<uint> a(w, kN);
  Array<std::uint64_t> clock(w, 2, Memory::kHost);
  Events events(w, 3, Events::Has::kTimestamps);
  Kernel slow(module, "slow");
  slow.arg(a.get()).arg(uint{2000}).group(64);
  Commands list(w, kind);
  kit::check(zeCommandListAppendWriteGlobalTimestamp(list.get(), &clock[0], nullptr, 0, nullptr), "clock");
  list.barrier();
  for (size_t i = 0; i < 3; ++i) list.launch(slow, kN / 64, events[i]).barrier();
  kit::check(zeCommandListAppendWriteGlobalTimestamp(list.get(), &clock[1], nullptr, 0, nullptr), "clock");
  list.run();
  ze_kernel_timestamp_result_t t[3];
  for (size_t i = 0; i < 3; ++i) kit::check(zeEventQueryKernelTimestamp(events[i], &t[i]), "times");
  for (size_t i = 0; i < 3; ++i) {
    const auto& now = t[i];
    if (now.global.kernelEnd <= now.global.kernelStart) kit::fail("kernel %zu: global times %llu to %llu", i, ull(now.global.kernelStart), ull(now.global.kernelEnd));
    if (now.context.kernelEnd <= now.context.kernelStart) kit::fail("kernel %zu: context times %llu to %llu", i, ull(now.context.kernelStart), ull(now.context.kernelEnd));
    if (i > 0 && now.global.kernelStart < t[i - 1].global.kernelEnd) kit::fail("kernel %zu began before the one before it had ended", i);
  }
  // One clock for both, of which the list writes the low half.
  const uint before = uint(clock[0]), first = uint(t[0].global.kernelStart), last = uint(t[2].global.kernelEnd), after = uint(clock[1]);
  if (first - before > after - before || last - before > after - before || last - before < first - before)
    kit::fail("kernels from %u to %u, the clock from %u to %u", first, last, before, after);
}

/// The same times, written to memory by the device.
void queried_timestamps(World& w) {
  Module module(w, kSteps);
  Array<uint> a(w, kN);
  Array<ze_kernel_timestamp_result_t> times(w, 2, Memory::kHost);
  Events events(w, 3, Events::Has::kTimestamps);
  Kernel slow(module, "slow");
  slow.arg(a.get()).arg(uint{100}).group(64);
  Commands list(w, Kind::kImmediate);
  list.launch(slow, kN / 64, events[0]).barrier().launch(slow, kN / 64, events[1]);
  ze_event_handle_t both[] = {events[0], events[1]};
  kit::check(zeCommandListAppendQueryKernelTimestamps(list.get(), 2, both, times.get(), nullptr, events[2], 2, both), "query");
  kit::wait_for(events[2]);
  for (size_t i = 0; i < 2; ++i) {
    ze_kernel_timestamp_result_t host;
    kit::check(zeEventQueryKernelTimestamp(events[i], &host), "times");
    if (times[i].global.kernelStart != host.global.kernelStart || times[i].global.kernelEnd != host.global.kernelEnd || host.global.kernelEnd <= host.global.kernelStart)
      kit::fail("kernel %zu: %llu to %llu, the host says %llu to %llu", i, ull(times[i].global.kernelStart), ull(times[i].global.kernelEnd), ull(host.global.kernelStart), ull(host.global.kernelEnd));
  }
}

/// A list is closed once and runs five times; then it is filled with something else.
void list_again(World& w) {
  Module module(w, kSteps);
  Array<uint> a(w, kN);
  Kernel plus(module, "plus"), twice(module, "twice");
  plus.arg(a.get()).group(64);
  twice.arg(a.get()).group(64);
  Commands list(w, Kind::kRegular);
  list.launch(plus, kN / 64).barrier();
  list.start();
  for (int n = 0; n < 4; ++n) {
    list.finish();  // the runtime writes the way back from a list into it: no second run before the end of the first
    list.repeat();
  }
  list.wait();
  kit::expect<uint>(a, kN, [](size_t) { return 15u; }, "a");
  list.launch(twice, kN / 64).run();
  kit::expect<uint>(a, kN, [](size_t) { return 30u; }, "a after the reset");
}

void fence(World& w) {
  Module module(w, kSteps);
  Array<uint> a(w, kN);
  Kernel plus(module, "plus");
  plus.arg(a.get()).group(64);
  ze_command_queue_desc_t wanted = {};
  wanted.stype = ZE_STRUCTURE_TYPE_COMMAND_QUEUE_DESC;
  wanted.ordinal = w.compute;
  wanted.mode = ZE_COMMAND_QUEUE_MODE_ASYNCHRONOUS;
  ze_command_queue_handle_t queue = nullptr;
  ze_fence_handle_t done = nullptr;
  kit::check(zeCommandQueueCreate(w.context, w.device, &wanted, &queue), "queue");
  const ze_fence_desc_t none = {ZE_STRUCTURE_TYPE_FENCE_DESC, nullptr, 0};
  kit::check(zeFenceCreate(queue, &none, &done), "fence");
  Commands list(w, Kind::kRegular);
  list.launch(plus, kN / 64);
  kit::check(zeCommandListClose(list.get()), "close");
  ze_command_list_handle_t lists[] = {list.get()};
  for (int n = 0; n < 3; ++n) {
    kit::check(zeCommandQueueExecuteCommandLists(queue, 1, lists, done), "execute");
    kit::check(zeFenceHostSynchronize(done, 60'000'000'000), "fence");
    kit::check(zeFenceReset(done), "reset");
  }
  zeFenceDestroy(done);
  zeCommandQueueDestroy(queue);
  kit::expect<uint>(a, kN, [](size_t) { return 9u; }, "a");
}

/// Two contexts with a module, memory and a queue each, at work at once; a third comes and goes meanwhile.
void contexts(World& w) {
  constexpr size_t kContexts = 3;
  const ze_context_desc_t wanted = {ZE_STRUCTURE_TYPE_CONTEXT_DESC, nullptr, 0};
  ze_context_handle_t handles[kContexts] = {};
  for (auto& handle : handles) kit::check(zeContextCreate(w.driver, &wanted, &handle), "context");
  {
    struct Part {
      Module module;
      Array<uint> a;
      Kernel kernel;
      Commands list;
      Part(World& world, ze_context_handle_t context)
          : module(world, context, kSteps), a(world, context, kN, Memory::kShared), kernel(module, "slow"), list(world, context, Kind::kRegular, world.compute) {}
    };
    std::vector<std::unique_ptr<Part>> parts;
    for (auto& handle : handles) parts.push_back(std::make_unique<Part>(w, handle));
    for (uint n = 0; n < kContexts; ++n) {
      Part& part = *parts[n];
      for (uint i = 0; i < kN; ++i) part.a[i] = i + n;
      part.kernel.arg(part.a.get()).arg(uint{500 + n}).group(64);
      part.list.launch(part.kernel, kN / 64);
    }
    for (auto& part : parts) part->list.start();
    for (auto& part : parts) part->list.wait();
    for (uint n = 0; n < kContexts; ++n)
      kit::expect<uint>(parts[n]->a, kN, [=](size_t i) { uint v = uint(i) + n; for (uint r = 0; r < 500 + n; ++r) v = v * 1664525 + 1013904223; return v; }, "a");
  }
  for (auto& handle : handles) kit::check(zeContextDestroy(handle), "end of a context");
}

/// Many queues at once, each with work of its own.
void many_queues(World& w) {
  constexpr size_t kQueues = 6;
  Module module(w, kSteps);
  Array<uint> a(w, kQueues * kN);
  for (uint i = 0; i < kQueues * kN; ++i) a[i] = i;
  std::vector<std::unique_ptr<Commands>> lists;
  for (size_t q = 0; q < kQueues; ++q) {
    Kernel slow(module, "slow");
    slow.arg(&a[q * kN]).arg(uint(100 * (q + 1))).group(64);
    lists.push_back(std::make_unique<Commands>(w, q % 2 == 0 ? Kind::kImmediate : Kind::kRegular));
    lists.back()->launch(slow, kN / 64);
    lists.back()->start();
  }
  for (auto& list : lists) list->wait();
  kit::expect<uint>(a, kQueues * kN, [](size_t i) { uint v = uint(i); for (size_t r = 0; r < 100 * (i / kN + 1); ++r) v = v * 1664525 + 1013904223; return v; }, "a");
}

}  // namespace

void add_order_rows(std::vector<kit::Row>& rows) {
  const kit::Row own[] = {
      {"events-one-queue", [](World& w) { chain(w, Kind::kImmediate, 1); }},
      {"events-four-queues", [](World& w) { chain(w, Kind::kImmediate, 4); }},
      {"events-regular-one-queue", [](World& w) { chain(w, Kind::kRegular, 1); }},
      {"event-of-the-host", host_signal},
      {"timestamps-immediate", [](World& w) { timestamps(w, Kind::kImmediate); }},
      {"timestamps-regular", [](World& w) { timestamps(w, Kind::kRegular); }},
      {"timestamps-queried", queried_timestamps},
      {"list-again", list_again},
      {"fence", fence},
      {"several-contexts", contexts},
      {"many-queues", many_queues},
  };
  rows.insert(rows.end(), std::begin(own), std::end(own));
}

std::vector<kit::Row> kit::all_rows() {
  std::vector<Row> rows;
  add_memory_rows(rows);
  add_image_rows(rows);
  add_launch_rows(rows);
  add_order_rows(rows);
  add_ban_rows(rows);
  return rows;
}
