// softxe-soak: random CPU threads against two GPU engines on the real memory of this process, under
// VRAM pressure, for as long as asked.
//
// Two kinds of memory. Shared pages: every actor has a word of its own in each page, which only it
// writes and always reads back (no stale read, no lost store), and one word that all increment
// atomically (no lost update). Churn: slots that a CPU thread maps, unmaps, moves, protects and
// discards while the engines write to them; its own words must be exactly what it stored, or zero
// after a discard. Engines also run kernels of 64 lanes in both kinds of memory: whole loops of them go on while CPU
// threads do all that. Every few seconds all stop: the sums are checked, and that mappings,
// memory, ranges and VMAs do not grow. An actor without progress: abort.
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <array>
#include <atomic>
#include <barrier>
#include <cstdio>
#include <fstream>
#include <thread>
#include <vector>

#include "base/guarded.h"
#include "base/log.h"
#include "base/prng.h"
#include "base/raw_syscall.h"
#include "base/step.h"
#include "drv/device.h"
#include "drv/vm_ops.h"
#include "host/live/live_host_mm.h"
#include "hw/mmu_memory.h"
#include "sim/soak_kernels.h"
#include "svm/madvise.h"

namespace softxe::sim {
namespace {

constexpr unsigned kCpus = 2;
constexpr unsigned kGpus = 2;
constexpr unsigned kActors = kCpus + kGpus;
constexpr std::uint64_t kSharedSlots = 6;
constexpr std::uint64_t kSlotsPerCpu = 3;
constexpr std::uint64_t kSlots = kSharedSlots + kCpus * kSlotsPerCpu;
constexpr std::uint64_t kAllSlots = kSlots + kGpus;  ///< the last ones have the engines' code and tables
constexpr std::uint64_t kSharedPages = kSharedSlots * (k2M / kPageSize);
constexpr std::uint64_t kVramBytes = 4 * k2M;  // a third of what is in use
constexpr unsigned kWatchdogSeconds = 30;
constexpr std::uint64_t kSharedWord = 0;  ///< of a shared page; word 1 + actor is the actor's own
constexpr std::uint64_t kGpuWord = 64;    ///< of a churn page, from here on the engines write

struct Options {
  std::uint64_t seconds = 60;
  std::uint64_t seed = 1;
  bool copy = false;
  bool stretch = false;
};

/// Sleeps at steps of the engine, so that what is between two of them takes as long as it would on a machine
/// that takes the processor away there. Each seed has a few steps at which it sleeps often.
class Stretch final : public StepHook {
 public:
  explicit Stretch(std::uint64_t seed) : seed_(seed) {}
  Status on_step(StepSite& site, bool) override {
    thread_local std::uint64_t state = reinterpret_cast<std::uint64_t>(&state) | 1;
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    const bool often = (reinterpret_cast<std::uint64_t>(&site) / sizeof site + seed_) % 12 == 0;
    if ((state >> 20) % (often ? 8 : 1024) != 0) return {};
    const timespec nap{.tv_sec = 0, .tv_nsec = static_cast<long>((state >> 32) % 2'000'000)};
    raw_syscall(SYS_nanosleep, &nap, nullptr);
    return {};
  }

 private:
  const std::uint64_t seed_;
};

[[noreturn]] void die(const std::string& why) {
  std::fprintf(stderr, "softxe-soak: %s\n", why.c_str());
  std::fflush(stderr);
  std::abort();
}
void require(bool good, const char* why) {
  if (!good) die(why);
}

struct Sizes {
  std::uint64_t mappings = 0, resident_kb = 0, ranges = 0, vmas = 0;
};

class Soak {
 public:
  explicit Soak(const Options& options) : options_(options) { set_up(); }
  int run();

 private:
  void set_up();
  void cpu_actor(unsigned actor);
  void gpu_actor(unsigned actor);
  bool keep_running(unsigned actor);
  void cpu_shared(unsigned actor, Prng& prng);
  void cpu_churn(unsigned actor, Prng& prng);
  void fork_and_look(std::uint64_t at, std::uint64_t stamp);
  void gpu_shared(unsigned actor, EngineMemory& gpu, Prng& prng);
  void gpu_churn(EngineMemory& gpu, Prng& prng);
  void kernel_shared(unsigned actor, SoakKernels& kernels, Prng& prng);
  void kernel_churn(SoakKernels& kernels, Prng& prng);
  std::uint64_t churn_word(Prng& prng);
  void advise(Prng& prng);
  void check_point();
  Sizes sizes();

  std::uint64_t slot(std::uint64_t index) const { return base_ + index * 2 * k2M; }
  std::uint64_t shared_page(std::uint64_t page) const { return slot(page / 512) + (page % 512) * kPageSize; }
  static volatile std::uint64_t& word(std::uint64_t at) { return *reinterpret_cast<volatile std::uint64_t*>(at); }
  long call(long number, std::array<long, 6> args) { return mm_->hook_syscall(number, args); }
  long map_slot(std::uint64_t at) {
    return call(SYS_mmap, {static_cast<long>(at), static_cast<long>(k2M), PROT_READ | PROT_WRITE,
                           MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0});
  }

  const Options options_;
  MigrateLock migrate_lock_{"migrate"};
  live::LiveHostMm::Owner mm_;  ///< before the device, whose windows are part of it
  std::unique_ptr<Device> device_;
  std::shared_ptr<VmContext> vm_;
  std::uint64_t base_ = 0;

  std::atomic<bool> stop_{false};
  std::atomic<std::uint64_t> round_{0};
  std::barrier<> barrier_{kActors + 1};
  std::array<std::atomic<std::uint64_t>, kActors> progress_{};
  std::atomic<std::uint64_t> kernels_ended_{0};
  std::atomic<std::uint64_t> kernels_failed_{0};  ///< those that met memory that was away
  std::array<std::uint64_t, kActors> seen_round_{};
  std::array<std::vector<std::uint64_t>, kActors> own_;      ///< what each own word must be
  std::array<std::vector<std::uint64_t>, kActors> atomics_;  ///< increments of the shared word, by actor
};

void Soak::set_up() {
  guarded_install_handler();
  live::LiveOptions live_options;
  live_options.dma = options_.copy ? live::DmaMode::kCopy : live::DmaMode::kMove;
  auto mm = live::LiveHostMm::create(live_options);
  require(mm.has_value(), "no live memory");
  mm_ = std::move(*mm);
  DeviceOptions options;
  options.config = default_config(kProfileBmg, 0);
  options.config.vram_bytes = options.config.visible_bytes = kVramBytes;
  options.reset = ResetMode::kAlways;
  auto device = Device::create(*mm_, migrate_lock_, options);
  require(device.has_value(), "no device");
  device_ = std::move(*device);
  auto vm = device_->create_vm({.scratch = false, .long_running = true, .fault_mode = true, .no_overcommit = false});
  require(vm.has_value(), "no VM");
  vm_ = *vm;
  const std::uint64_t bytes = 2 * kNotifierWindowBytes;
  void* room = mmap(nullptr, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  require(room != MAP_FAILED, "no address space");
  // The border of two notifier windows lies before one of the slots that are churned: the upper window goes
  // whenever its few ranges have gone, and calls then pass the hooks' filter unseen.
  const std::uint64_t border =
      align_up(reinterpret_cast<std::uint64_t>(room) + kNotifierWindowBytes / 2, kNotifierWindowBytes);
  base_ = border - (kSharedSlots + options_.seed % (kSlots - kSharedSlots)) * 2 * k2M;
  ResolvedBind bind{
      .op = {.range = {GpuVa(0), vm_->vm.size_bytes()}, .pat_index = 2, .what = BindMap{.backing = BindMirror{}}},
      .range = GpuRange::of(GpuVa(0), vm_->vm.size_bytes()),
      .bo = {}};
  require(vm_bind(*device_, *vm_, std::span(&bind, 1), BindRun::kExecute).has_value(), "no mirror");
  for (std::uint64_t i = 0; i < kAllSlots; ++i) require(map_slot(slot(i)) > 0, "no slot");
  for (unsigned actor = 0; actor < kActors; ++actor) {
    own_[actor].assign(kSharedPages, 0);
    atomics_[actor].assign(kSharedPages, 0);
  }
}

// --- actors -------------------------------------------------------------------------------------------------------

// Meets the others when main has called a halt.
bool Soak::keep_running(unsigned actor) {
  progress_[actor].fetch_add(1, std::memory_order_relaxed);
  if (round_.load() == seen_round_[actor]) return true;
  ++seen_round_[actor];
  barrier_.arrive_and_wait();  // all stand still
  barrier_.arrive_and_wait();  // main has looked
  return !stop_.load();
}

void Soak::cpu_actor(unsigned actor) {
  Prng prng(options_.seed * 100 + actor);
  while (keep_running(actor)) {
    if (prng.chance(3, 4)) {
      cpu_shared(actor, prng);
    } else {
      cpu_churn(actor, prng);
    }
  }
}

void Soak::cpu_shared(unsigned actor, Prng& prng) {
  const std::uint64_t page = prng.below(kSharedPages);
  const std::uint64_t at = shared_page(page);
  std::uint64_t& expected = own_[actor][page];
  require(word(at + 8ull * (1 + actor)) == expected, "a CPU thread reads another value than it stored");
  word(at + 8ull * (1 + actor)) = ++expected;
  if (prng.chance(1, 2)) {
    __atomic_fetch_add(reinterpret_cast<std::uint64_t*>(at + 8 * kSharedWord), 1, __ATOMIC_SEQ_CST);
    ++atomics_[actor][page];
  }
}

void Soak::cpu_churn(unsigned actor, Prng& prng) {
  const std::uint64_t first = kSharedSlots + actor * kSlotsPerCpu;
  const std::uint64_t at = slot(first + prng.below(kSlotsPerCpu));
  const std::uint64_t page = at + prng.below(512) * kPageSize;
  const std::uint64_t stamp = prng.next() | 1;
  const long start = static_cast<long>(at);
  const long size = static_cast<long>(k2M);
  word(page) = stamp;
  switch (prng.below(8)) {
    case 0:
      require(call(SYS_munmap, {start, size}) == 0, "munmap fails");
      require(map_slot(at) == start, "mmap fails");
      require(word(page) == 0, "new memory shows old data");
      break;
    case 1:
      require(map_slot(at) == start, "mmap over a mapping fails");
      require(word(page) == 0, "memory mapped over shows old data");
      break;
    case 2:
      require(call(SYS_madvise, {start, size, MADV_DONTNEED}) == 0, "madvise fails");
      require(word(page) == 0, "discarded memory shows old data");
      break;
    case 3:
      require(call(SYS_mprotect, {start, size, PROT_READ}) == 0, "mprotect fails");
      require(word(page) == stamp, "read-only memory lost a store");
      require(call(SYS_mprotect, {start, size, PROT_READ | PROT_WRITE}) == 0, "mprotect back fails");
      break;
    case 4: {  // there and back through the free half behind the slot
      const long away = start + size;
      require(call(SYS_mremap, {start, size, size, MREMAP_MAYMOVE | MREMAP_FIXED, away}) == away, "mremap fails");
      require(word(page + k2M) == stamp, "moved memory lost a store");
      require(call(SYS_mremap, {away, size, size, MREMAP_MAYMOVE | MREMAP_FIXED, start}) == start, "mremap back fails");
      require(call(SYS_mmap, {away, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0}) ==
                  away,
              "no placeholder");
      break;
    }
    case 5: {
      const long middle = start + static_cast<long>(k64K * prng.below(32));
      require(call(SYS_munmap, {middle, static_cast<long>(k64K)}) == 0, "partial munmap fails");
      require(call(SYS_mmap, {middle, static_cast<long>(k64K), PROT_READ | PROT_WRITE,
                              MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0}) == middle,
              "refill fails");
      break;
    }
    case 6:
      if (prng.chance(1, 8)) fork_and_look(page, stamp);
      break;
    default: advise(prng); break;
  }
  const bool discarded = word(page) == 0;
  require(discarded || word(page) == stamp, "churned memory shows what nobody stored");
}

void Soak::fork_and_look(std::uint64_t at, std::uint64_t stamp) {
  mm_->fork_before();
  const pid_t child = fork();
  if (child == 0) {
    mm_->fork_after_child();
    std::uint64_t seen = 0;
    const bool good = guarded_load64(reinterpret_cast<void*>(at), seen) && seen == stamp;
    _exit(good ? 0 : 1);
  }
  mm_->fork_after_parent();
  int status = 0;
  require(child > 0 && waitpid(child, &status, 0) == child, "fork fails");
  require(WIFEXITED(status) && WEXITSTATUS(status) == 0, "a child does not see its parent's store");
  word(at) = stamp;
}

void Soak::advise(Prng& prng) {
  const std::uint64_t at = slot(kSharedSlots + prng.below(kSlots - kSharedSlots)) + prng.below(16) * k64K;
  device_->flush_collector(*vm_);
  const auto access = prng.chance(1, 2) ? AtomicAccess::kDevice : AtomicAccess::kGlobal;
  require(madvise(*vm_, GpuRange::of(GpuVa(at), k64K * (1 + prng.below(16))), SetAtomic{access}).has_value(),
          "advice is refused");
}

void Soak::gpu_actor(unsigned actor) {
  Prng prng(options_.seed * 100 + actor);
  EngineMemory gpu(Mmu::Config{.domain = device_->invalidations(),
                               .faults = device_->faults(),
                               .clock = mm_->clock(),
                               .engine = {.engine_class = 1}});
  gpu.mmu().bind_vm({.asid = vm_->vm.config().asid, .table = &vm_->vm.table(0), .vram = &device_->vram_map(0)});
  SoakKernels kernels(gpu, mm_->clock(), slot(kSlots + actor - kCpus), vm_->vm.config().va_bits);
  while (keep_running(actor)) {
    switch (prng.below(16)) {
      case 0: kernel_shared(actor, kernels, prng); break;
      case 1: kernel_churn(kernels, prng); break;
      default: prng.chance(3, 4) ? gpu_shared(actor, gpu, prng) : gpu_churn(gpu, prng);
    }
  }
}

void Soak::gpu_shared(unsigned actor, EngineMemory& gpu, Prng& prng) {
  const std::uint64_t page = prng.below(kSharedPages);
  const std::uint64_t at = shared_page(page);
  std::uint64_t& expected = own_[actor][page];
  std::uint64_t seen = 0;
  require(gpu.load(GpuVa(at + 8ull * (1 + actor)), seen).has_value(), "a GPU load of shared memory fails");
  require(seen == expected, "an engine reads another value than it stored");
  require(gpu.store(GpuVa(at + 8ull * (1 + actor)), ++expected).has_value(), "a GPU store fails");
  if (prng.chance(1, 4)) {
    require(gpu.atomic64(GpuVa(at + 8 * kSharedWord),
                         {.apply = [](std::uint64_t a, std::uint64_t b, std::uint64_t) { return a + b; }, .operand = 1})
                .has_value(),
            "a GPU atomic fails");
    ++atomics_[actor][page];
  }
}

// May fail at any time: the memory may be away or read-only.
void Soak::gpu_churn(EngineMemory& gpu, Prng& prng) {
  const GpuVa va(churn_word(prng));
  std::uint64_t seen = 0;
  static_cast<void>(prng.chance(1, 2) ? gpu.load(va, seen) : gpu.store(va, prng.next()));
}

std::uint64_t Soak::churn_word(Prng& prng) {
  const std::uint64_t at = slot(kSharedSlots + prng.below(kSlots - kSharedSlots)) + prng.below(512) * kPageSize;
  return at + 8 * (kGpuWord + prng.below(64));
}

void Soak::kernel_shared(unsigned actor, SoakKernels& kernels, Prng& prng) {
  const std::uint64_t first = prng.below(kSharedPages);
  const std::uint64_t step = 1 + prng.below(kSharedPages / SoakKernels::kLanes);
  const auto page_of = [&](unsigned lane) { return (first + lane * step) % kSharedPages; };
  const auto rounds = static_cast<std::uint32_t>(1 + prng.below(16));
  SoakKernels::Places pages;
  SoakKernels::Places found;
  for (unsigned lane = 0; lane < pages.size(); ++lane) pages[lane] = shared_page(page_of(lane));
  require(kernels.count({.pages = pages, .own_offset = 8ull * (1 + actor), .rounds = rounds}, found).has_value(),
          "a kernel over shared memory fails");
  for (unsigned lane = 0; lane < pages.size(); ++lane) {
    std::uint64_t& expected = own_[actor][page_of(lane)];
    expected += rounds;
    require(found[lane] == expected - 1, "a kernel reads another value than its engine stored");
    atomics_[actor][page_of(lane)] += rounds;
  }
  kernels_ended_.fetch_add(1, std::memory_order_relaxed);
}

// May fail at any time, as an access may.
void Soak::kernel_churn(SoakKernels& kernels, Prng& prng) {
  SoakKernels::Places places;
  for (std::uint64_t& place : places) place = churn_word(prng);
  const bool ended = kernels.scatter(places, prng.next(), static_cast<std::uint32_t>(1 + prng.below(64))).has_value();
  (ended ? kernels_ended_ : kernels_failed_).fetch_add(1, std::memory_order_relaxed);
}

// --- looking ------------------------------------------------------------------------------------------------------

Sizes Soak::sizes() {
  Sizes now;
  std::ifstream maps("/proc/self/maps");
  for (std::string line; std::getline(maps, line);) ++now.mappings;
  std::uint64_t total = 0;
  std::ifstream("/proc/self/statm") >> total >> now.resident_kb;
  now.resident_kb *= kPageSize / 1024;
  device_->flush_collector(*vm_);
  ReadGuard hold(vm_->vm.lock);
  now.ranges = vm_->svm->range_count();
  now.vmas = vm_->vm.vma_count();
  vm_->vm.validate();
  return now;
}

// All actors stand still.
void Soak::check_point() {
  for (std::uint64_t page = 0; page < kSharedPages; ++page) {
    std::uint64_t sum = 0;
    for (unsigned actor = 0; actor < kActors; ++actor) {
      sum += atomics_[actor][page];
      require(word(shared_page(page) + 8ull * (1 + actor)) == own_[actor][page], "a store was lost");
    }
    require(word(shared_page(page) + 8 * kSharedWord) == sum, "an atomic update was lost");
  }
  require(device_->vram(0).evict_all({}).has_value(), "VRAM cannot be emptied");
  require(device_->vram(0).usage().used_bytes == 0, "VRAM leaks");
  require(!vm_->vm.banned(), "the VM was killed");
}

int Soak::run() {
  std::vector<std::thread> threads;
  for (unsigned actor = 0; actor < kActors; ++actor) {
    threads.emplace_back([this, actor] { actor < kCpus ? cpu_actor(actor) : gpu_actor(actor); });
  }
  const std::uint64_t interval = std::max<std::uint64_t>(1, std::min<std::uint64_t>(5, options_.seconds / 4));
  Sizes settled;
  std::uint64_t checks = 0;
  for (std::uint64_t second = 0; !stop_.load(); second += interval) {
    std::array<std::uint64_t, kActors> before{};
    for (unsigned i = 0; i < kActors; ++i) before[i] = progress_[i].load();
    std::this_thread::sleep_for(std::chrono::seconds(interval));
    for (unsigned waited = 0; waited < kWatchdogSeconds; ++waited) {
      bool all = true;
      for (unsigned i = 0; i < kActors; ++i) all = all && progress_[i].load() != before[i];
      if (all) break;
      require(waited + 1 < kWatchdogSeconds, "an actor makes no progress");
      std::this_thread::sleep_for(std::chrono::seconds(1));
    }
    if (second + interval >= options_.seconds) stop_.store(true);
    alarm(kWatchdogSeconds);  // nobody comes to the meeting: SIGALRM ends the program
    round_.fetch_add(1);
    barrier_.arrive_and_wait();
    check_point();
    const Sizes now = sizes();
    if (checks++ == 0) settled = now;
    SX_INFO("check {}: {} mappings, {} KiB, {} ranges, {} VMAs", checks, now.mappings, now.resident_kb, now.ranges,
            now.vmas);
    require(now.mappings <= settled.mappings + 512, "mappings grow");
    require(now.resident_kb <= settled.resident_kb + 64ull * 1024, "memory grows");
    require(now.ranges <= kAllSlots * 512, "ranges grow");
    // Advice may cut the churned slots into pages, no further.
    require(now.vmas <= 2ull * kCpus * kSlotsPerCpu * (k2M / kPageSize), "VMAs grow");
    alarm(0);
    barrier_.arrive_and_wait();
  }
  for (std::thread& thread : threads) thread.join();
  const Sizes last = sizes();
  std::uint64_t work = 0;
  for (auto& p : progress_) work += p.load();
  auto count = [&](Counter c) { return device_->counters().get(c); };
  fmt::print(
      "softxe-soak: {} s, dma {}: {} operations, {} kernels ended, {} met holes, {} checks; {} migrations to VRAM, {} "
      "evictions, "
      "{} CPU faults, "
      "{} unmap events, {} resets; {} mappings (was {}), {} KiB (was {}), {} ranges, {} VMAs\n",
      options_.seconds, options_.copy ? "copy" : "move", work, kernels_ended_.load(), kernels_failed_.load(), checks,
      count(Counter::svm_migrate_to_vram_count), count(Counter::svm_eviction_count),
      count(Counter::svm_cpu_fault_count), count(Counter::svm_unmap_event_count),
      count(Counter::svm_attribute_reset_count), last.mappings, settled.mappings, last.resident_kb, settled.resident_kb,
      last.ranges, last.vmas);
  device_->close_vm(vm_);
  vm_.reset();
  device_.reset();
  mm_.reset();
  return 0;
}

}  // namespace
}  // namespace softxe::sim

int main(int argc, char** argv) {
  CLI::App app{"Random CPU and GPU work on live memory"};
  softxe::sim::Options options;
  app.add_option("--seconds", options.seconds, "How long");
  app.add_option("--seed", options.seed, "Seed of all choices");
  app.add_flag("--copy", options.copy, "DMA mode copy");
  app.add_flag("--stretch", options.stretch, "Sleep at steps of the engine, to make rare interleavings common");
  CLI11_PARSE(app, argc, argv);
  if (const char* level = std::getenv("SOFTXE_LOG")) softxe::set_log_level(softxe::parse_log_level(level));
  if (softxe::live::probe(softxe::live::DefectProbe::kSkip).rung != softxe::live::Rung::kFull) {
    std::fprintf(stderr, "softxe-soak: needs userfaultfd with MOVE and kernel faults\n");
    return 126;
  }
  softxe::sim::Stretch stretch(options.seed);
  if (options.stretch) softxe::set_step_hook(&stretch);
  return softxe::sim::Soak(options).run();
}
