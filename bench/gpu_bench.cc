// Paths of the engine against the bare calls they stand on, taking turns in one process
// (docs/BENCH.md).
#include <fmt/format.h>
#include <sched.h>

#include <cstdio>
#include <cstring>
#include <filesystem>
#include <numeric>

#include "bench/live_machine.h"
#include "bench/report.h"
#include "bench/va_workload.h"
#include "drv/sim_device_fixture.h"

namespace softxe::bench {
namespace {

constexpr unsigned kRounds = 200;
std::uint64_t sink = 0;

void expect(const Status& status, const char* what) {
  if (status) return;
  fmt::print(stderr, "{}: {} ({})\n", what, status.error().why, status.error().err);
  std::exit(2);
}

// --- accesses -----------------------------------------------------------------------------------------------------

/// A chain of addresses through memory, one per cache line, in random order: each load needs the
/// one before.
void make_chain(std::uint64_t at, std::uint64_t bytes) {
  Random random(7);
  const auto order = random.permutation(bytes / 64);
  for (std::size_t i = 0; i < order.size(); ++i) {
    const std::uint64_t next = at + order[(i + 1) % order.size()] * 64ull;
    *reinterpret_cast<std::uint64_t*>(at + order[i] * 64ull) = next;
  }
}

std::uint64_t chase_raw(std::uint64_t at, std::uint64_t loads) {
  for (std::uint64_t i = 0; i < loads; ++i) at = touch(at);
  return at;
}

/// `delta` is where the VRAM page stands for the raw loads.
std::uint64_t chase_gpu(EngineMemory& engine, std::uint64_t at, std::uint64_t loads) {
  for (std::uint64_t i = 0; i < loads; ++i) {
    std::uint64_t next = 0;
    if (!engine.load(GpuVa(at), next)) std::abort();
    at = next;
  }
  return at;
}

void bench_access(LiveMachine& machine, Report& report, std::uint64_t bytes, const char* name) {
  Memory memory(bytes, Memory::Pages::kSmall);
  Memory plain(bytes, Memory::Pages::kSmall);
  make_chain(memory.at(), bytes);
  make_chain(plain.at(), bytes);
  std::uint64_t first = 0;
  machine.advise_device_atomics(memory.range());
  expect(machine.engine().store(GpuVa(memory.at() + 8), std::uint64_t{1}), "store");
  expect(machine.engine().load(GpuVa(memory.at()), first), "load");
  constexpr std::uint64_t kLoads = 100'000;
  Best raw, burst, single;
  for (unsigned round = 0; round < kRounds; ++round) {
    std::uint64_t begin = now_ns();
    sink += chase_raw(plain.at(), kLoads);
    raw.add(now_ns() - begin);
    {
      const Mmu::Burst hold(machine.engine().mmu());
      begin = now_ns();
      sink += chase_gpu(machine.engine(), memory.at(), kLoads);
      burst.add(now_ns() - begin);
    }
    begin = now_ns();
    sink += chase_gpu(machine.engine(), memory.at(), kLoads);
    single.add(now_ns() - begin);
  }
  report.add({.path = fmt::format("GPU load, TLB hit, {}, in a burst", name),
              .against = "load",
              .ours = burst.per(kLoads),
              .bare = raw.per(kLoads),
              .goal = 1.6});
  report.add({.path = fmt::format("GPU load, TLB hit, {}, alone", name),
              .against = "load",
              .ours = single.per(kLoads),
              .bare = raw.per(kLoads),
              .goal = 1.6});
  expect(machine.mm().migrate_to_system(memory.range(), MoveCause::kRangeEvict, Residency::kIgnore), "home");
}

void bench_copy(LiveMachine& machine, Report& report, std::uint64_t bytes, const char* name) {
  Memory from(bytes, Memory::Pages::kSmall);
  Memory to(bytes, Memory::Pages::kSmall);
  Memory plain_from(bytes, Memory::Pages::kSmall);
  Memory plain_to(bytes, Memory::Pages::kSmall);
  for (const Memory* memory : {&from, &to}) {
    for (std::uint64_t at = memory->at(); at < memory->at() + bytes; at += k2M) {
      expect(machine.engine().store(GpuVa(at), std::uint64_t{1}), "store");
    }
  }
  Best ours, bare;
  const auto rounds = static_cast<unsigned>(bytes > 8 * k2M ? 12 : kRounds);
  for (unsigned round = 0; round < rounds; ++round) {
    std::uint64_t begin = now_ns();
    std::memcpy(reinterpret_cast<void*>(plain_to.at()), reinterpret_cast<void*>(plain_from.at()), bytes);
    bare.add(now_ns() - begin);
    begin = now_ns();
    expect(machine.engine().copy_bytes({GpuVa(to.at()), GpuVa(from.at()), bytes}), "copy");
    ours.add(now_ns() - begin);
  }
  const double gib = static_cast<double>(bytes) / static_cast<double>(1ull << 30) * 1e9;
  report.add({.path = fmt::format("GPU copy in VRAM, {}", name),
              .against = "memcpy",
              .ours = gib / ours.ns(),
              .bare = gib / bare.ns(),
              .unit = "GiB/s",
              .goal = 0.95,
              .judge = Judge::kAtLeast});
  for (const Memory* memory : {&from, &to}) {
    expect(machine.mm().migrate_to_system(memory->range(), MoveCause::kRangeEvict, Residency::kIgnore), "home");
  }
}

// --- faults -------------------------------------------------------------------------------------------------------

/// Keeps every thread of the process on its first processor for a while: whether a waking handler gets the
/// processor that waits for it or another one, and whether a move has to interrupt another processor, is the
/// scheduler's mood, and counts more than the work.
class OneProcessor {
 public:
  OneProcessor() {
    sched_getaffinity(0, sizeof before_, &before_);
    cpu_set_t one;
    CPU_ZERO(&one);
    int first = 0;
    while (!CPU_ISSET(first, &before_)) ++first;
    CPU_SET(first, &one);
    apply(one);
  }
  ~OneProcessor() { apply(before_); }
  OneProcessor(const OneProcessor&) = delete;
  OneProcessor& operator=(const OneProcessor&) = delete;

 private:
  static void apply(const cpu_set_t& set) {
    for (const auto& task : std::filesystem::directory_iterator("/proc/self/task"))
      sched_setaffinity(std::stoi(task.path().filename()), sizeof set, &set);
  }
  cpu_set_t before_;
};

void add_gpu_fault(Report& report, const char* pages, const char* what, const Best& ours, const Best& bare,
                   double goal) {
  report.add({.path = fmt::format("GPU fault to VRAM, 2M of {}, {}", pages, what),
              .against = "UFFDIO_MOVE",
              .ours = ours.ns() / 1e3,
              .bare = bare.ns() / 1e3,
              .unit = "us",
              .goal = goal});
}

/// Memory the GPU sees for the first time, beside memory it knows.
void bench_first_gpu_fault(LiveMachine& machine, Report& report, Memory::Pages pages, const char* name, double goal) {
  const OneProcessor together;
  const live::EngineSection worker(machine.mm());  // as the threads of engines are, for good
  BareMove bare_move(k2M);
  Memory neighbour(k2M, pages);
  expect(machine.engine().store(GpuVa(neighbour.at()), std::uint64_t{1}), "store");
  Best ours, bare;
  bool huge = true;
  for (unsigned round = 0; round < kRounds; ++round) {
    {
      Memory memory(k2M, pages);
      huge = huge && memory.is_huge();
      bare_move.watch(memory.range());
      const std::uint64_t begin = now_ns();
      bare_move.move_out(memory.range());
      bare.add(now_ns() - begin);
      bare_move.discard_window(k2M);
      bare_move.unwatch(memory.range());
    }
    Memory memory(k2M, pages);
    const std::uint64_t begin = now_ns();
    expect(machine.engine().store(GpuVa(memory.at() + 64), std::uint64_t{round}), "store");
    ours.add(now_ns() - begin);
    machine.mm().hook_munmap(memory.at(), memory.bytes());
    memory.forget_middle();
    machine.device().flush_collector(machine.vm());
  }
  if (pages == Memory::Pages::kHuge && !huge) report.note("(no huge pages were to be had)");
  add_gpu_fault(report, name, "new range", ours, bare, goal);
}

/// Memory that the CPU has fetched back: a processor that has just served its fault is to be told of
/// the move, so the bare MOVE follows upon a CPU fault, too.
void bench_next_gpu_fault(LiveMachine& machine, Report& report, Memory::Pages pages, const char* name, double goal) {
  const OneProcessor together;
  const live::EngineSection worker(machine.mm());
  BareMove bare_move(k2M);
  Memory plain(k2M, pages);
  Memory memory(k2M, pages);
  bare_move.watch(plain.range());
  bare_move.start_handler(plain.range(), k2M);
  bare_move.move_out(plain.range());
  expect(machine.engine().store(GpuVa(memory.at() + 64), std::uint64_t{1}), "store");
  Best ours, bare;
  for (unsigned round = 0; round < kRounds; ++round) {
    sink += touch(plain.at() + 64);
    std::uint64_t begin = now_ns();
    bare_move.move_out(plain.range());
    bare.add(now_ns() - begin);
    sink += touch(memory.at() + 64);
    begin = now_ns();
    expect(machine.engine().store(GpuVa(memory.at() + 64), std::uint64_t{round}), "store");
    ours.add(now_ns() - begin);
  }
  sink += touch(memory.at() + 64);
  bare_move.stop_handler();
  bare_move.unwatch(plain.range());
  add_gpu_fault(report, name, "again", ours, bare, goal);
}

void bench_cpu_fault(LiveMachine& machine, Report& report, std::uint64_t bytes, const char* name) {
  const OneProcessor together;
  BareMove bare_move(k2M);
  Memory memory(bytes, Memory::Pages::kSmall);
  Memory plain(bytes, Memory::Pages::kSmall);
  bare_move.watch(plain.range());
  bare_move.start_handler(plain.range(), bytes);
  // How long ago a thread went to sleep decides how long it takes to wake: both handlers rest as
  // long.
  constexpr std::uint64_t kRestNs = 50'000;
  const auto rest = [] {
    for (const std::uint64_t until = now_ns() + kRestNs; now_ns() < until;) {
    }
  };
  Best ours, bare;
  for (unsigned round = 0; round < 2 * kRounds; ++round) {
    bare_move.move_out(plain.range());
    rest();
    std::uint64_t begin = now_ns();
    sink += touch(plain.at());
    bare.add(now_ns() - begin);
    expect(machine.engine().store(GpuVa(memory.at() + 64), std::uint64_t{round}), "store");
    rest();
    begin = now_ns();
    sink += touch(memory.at());
    ours.add(now_ns() - begin);
  }
  bare_move.stop_handler();
  bare_move.unwatch(plain.range());
  report.add({.path = fmt::format("CPU fault on VRAM, {}", name),
              .against = "userfaultfd handler with MOVE",
              .ours = ours.ns() / 1e3,
              .bare = bare.ns() / 1e3,
              .unit = "us",
              .goal = 1.2});
}

void bench_munmap(LiveMachine& machine, Report& report, Memory::Pages pages, const char* name) {
  const OneProcessor together;
  BareMove bare_move(k2M);
  Best ours, bare;
  for (unsigned round = 0; round < kRounds; ++round) {
    {
      Memory memory(k2M, pages);
      bare_move.watch(memory.range());
      const std::uint64_t begin = now_ns();
      bare_move.unwatch(memory.range());
      munmap(reinterpret_cast<void*>(memory.at()), memory.bytes());
      bare.add(now_ns() - begin);
      memory.forget_middle();
    }
    Memory memory(k2M, pages);
    expect(machine.engine().store(GpuVa(memory.at()), std::uint64_t{round}), "store");
    const std::uint64_t begin = now_ns();
    machine.mm().hook_munmap(memory.at(), memory.bytes());
    ours.add(now_ns() - begin);
    memory.forget_middle();
    machine.device().flush_collector(machine.vm());
  }
  report.add({.path = fmt::format("munmap of mirrored memory, 2M of {} in VRAM", name),
              .against = "UFFDIO_UNREGISTER, munmap",
              .ours = ours.ns() / 1e3,
              .bare = bare.ns() / 1e3,
              .unit = "us",
              .goal = 1.5});
}

// --- growth and memory --------------------------------------------------------------------------------------------

/// A simulated process: only the engine's own work is timed.
class Grown {
 public:
  /// Page `i` of a mirror of its own; every other one is bound read-only, so that none are merged.
  void add_page(std::uint64_t i) {
    expect(sim_.bind_mirror(address(i), kPageSize, AutoReset::kOff, i % 2 == 1), "bind");
    sim_.map_at(address(i), kPageSize);
  }
  std::uint64_t fault_ns(std::uint64_t i) {
    std::uint32_t value = 0;
    const std::uint64_t begin = now_ns();
    expect(sim_.engine->load(GpuVa(address(i)), value), "fault");
    return now_ns() - begin;
  }
  VmContext& vm() { return *sim_.vm; }

 private:
  // Far apart: chunks of neighbours would share windows and tables.
  static std::uint64_t address(std::uint64_t i) { return 0x10'0000'0000 + i * 2 * kPageSize; }

  SimDevice sim_{
      SimDevice::Options{.vram_bytes = k1G, .reset = ResetMode::kFlag, .events = SimDevice::Options::Events::kOff}};
};

void bench_growth(Report& report) {
  constexpr std::uint64_t kSmall = 200;
  constexpr std::uint64_t kLarge = 20'000;
  std::uint64_t medians[2] = {};
  for (const std::uint64_t count : {kSmall, kLarge}) {
    Grown grown;
    for (std::uint64_t i = 0; i < count; ++i) grown.add_page(i);
    std::vector<std::uint64_t> times;
    for (std::uint64_t i = 0; i < count; ++i) times.push_back(grown.fault_ns(i));
    const std::size_t last = std::min<std::size_t>(times.size(), 100);
    std::sort(times.end() - static_cast<std::ptrdiff_t>(last), times.end());
    medians[count == kLarge] = times[times.size() - last / 2];
  }
  report.add({.path = fmt::format("GPU fault with {} VMAs and ranges", kLarge),
              .against = fmt::format("with {}", kSmall),
              .ours = static_cast<double>(medians[1]),
              .bare = static_cast<double>(medians[0]),
              .goal = 2.0});
}

void bench_memory(Report& report) {
  report.add({.path = "memory per VMA, without the index",
              .against = "",
              .ours = static_cast<double>(sizeof(Vma)),
              .unit = "bytes",
              .judge = Judge::kShown});
  constexpr std::uint64_t kMappings = 50'000;
  double index = 0;
  {
    Grown grown;
    for (std::uint64_t i = 0; i < kMappings; ++i) grown.add_page(i);
    Guard hold(grown.vm().vm.lock);
    index = static_cast<double>(grown.vm().vm.space().index_bytes()) / static_cast<double>(grown.vm().vm.vma_count());
  }
  report.add({.path = "memory per VMA",
              .against = "",
              .ours = static_cast<double>(sizeof(Vma)) + index,
              .unit = "bytes",
              .goal = 160});
  report.add({.path = "memory per SVM range",
              .against = "",
              .ours = static_cast<double>(sizeof(SvmRange)),
              .unit = "bytes",
              .goal = 256});
}

void run(Report& report) {
  if (report.wanted("growth")) bench_growth(report);
  if (report.wanted("memory")) bench_memory(report);
  LiveMachine machine;
  if (report.wanted("access")) {
    bench_access(machine, report, kPageSize, "4K");
    bench_access(machine, report, k2M, "2M");
  }
  if (report.wanted("copy")) {
    bench_copy(machine, report, k2M, "2M");
    bench_copy(machine, report, 32 * k2M, "64M");
  }
  if (report.wanted("gpu-fault")) {
    bench_first_gpu_fault(machine, report, Memory::Pages::kSmall, "4K pages", 1.3);
    bench_next_gpu_fault(machine, report, Memory::Pages::kSmall, "4K pages", 1.3);
    bench_first_gpu_fault(machine, report, Memory::Pages::kHuge, "THP", 2.0);
    bench_next_gpu_fault(machine, report, Memory::Pages::kHuge, "THP", 2.0);
  }
  if (report.wanted("cpu-fault")) {
    bench_cpu_fault(machine, report, kPageSize, "4K");
    bench_cpu_fault(machine, report, k64K, "64K");
    bench_cpu_fault(machine, report, k2M, "2M");
  }
  if (report.wanted("munmap")) {
    bench_munmap(machine, report, Memory::Pages::kSmall, "4K pages");
    bench_munmap(machine, report, Memory::Pages::kHuge, "THP");
  }
}

}  // namespace
}  // namespace softxe::bench

int main(int argc, char** argv) {
  softxe::bench::Report report(argc, argv);
  softxe::bench::run(report);
  return 0;
}
