// Kernels through a queue: the scheduler, the command streamer, execution units, MMU and page faults over the simulated
// process. Kernels are assembly text.
#include <gtest/gtest.h>

#include <cstring>

#include "drv/exec/device_exec.h"
#include "drv/exec/hw_backend.h"
#include "drv/sim_device_fixture.h"
#include "hw/eu/eu_asm.h"

namespace softxe {
namespace {

using Words = std::vector<std::uint32_t>;

constexpr std::uint32_t kEnd = 0x05000000;
constexpr std::uint64_t kBatch = 0x1000'0000;
constexpr std::uint64_t kCode = 0x1008'0000;
constexpr std::uint64_t kData = 0x2000'0000;  // no fault on batch or code brings it in
constexpr std::uint64_t kUnmapped = 0x7000'0000;

std::uint32_t low(std::uint64_t at) { return static_cast<std::uint32_t>(at); }
std::uint32_t high(std::uint64_t at) { return static_cast<std::uint32_t>(at >> 32); }

/// Stores its group's number behind the address in the inline data (r1).
constexpr const char* kStoreGroup = R"(
  (W) mov (1|M0) r4.0:ud r0.1:ud
  (W) shl (1|M0) r5.0:uq r0.1:ud 0x2:uw
  (W) add (1|M0) r5.0:uq r5.0:uq r1.0:uq
  store.ugm.d32.a64 (1|M0) r5 r4
  eot r0
)";
/// Reads the flag at the address in the inline data until it is not 0.
constexpr const char* kSpin = R"(
  loop: load.ugm.d32.a64 (1|M0) r4 r1
  (W) cmp (1|M0) (eq)f0.0 null:d r4.0:d 0x0:w
  (W&f0.0) jmpi loop
  eot r0
)";
constexpr const char* kEndless = R"(
  loop: (W) mov (1|M0) r4.0:ud r0.1:ud
  (W) jmpi loop
)";

struct World {
  World() {
    sim.map_at(kBatch, 4 << 20);
    sim.map_at(kData, 2 << 20);
    EXPECT_TRUE(sim.bind_everything());
  }
  ExecQueuePtr queue(EngineClass cls = EngineClass::kCompute) {
    ExecQueueCreateRequest request;
    request.placement = EnginePlacement{cls, 1};
    return *exec->create_queue(request, {}, vm);
  }
  void put(std::uint64_t at, const Words& words) {
    for (std::uint32_t word : words) {
      EXPECT_TRUE(sim.cpu_write(at, word));
      at += 4;
    }
  }
  /// The offset of a kernel from the instruction base.
  std::uint32_t kernel(const char* text) {
    const auto code = eu_assemble(text);
    EXPECT_TRUE(code) << (code ? "" : code.error().why) << " in line " << (code ? 0 : code.error().line);
    Words words((code->size() + 3) / 4);
    std::memcpy(words.data(), code->data(), code->size());
    const std::uint64_t at = next_code;
    next_code += 0x1000;
    put(at, words);
    return low(at - kCode);
  }
  struct Launch {
    std::uint32_t kernel = 0;
    std::uint32_t groups = 1;
    std::uint64_t argument = kData;
    std::uint64_t post_sync = 0;
  };
  /// STATE_BASE_ADDRESS and COMPUTE_WALKER.
  Words walker(const Launch& launch) {
    Words d(40);
    d[0] = 0x72080026;
    d[4] = 1u << 30 | 1u << 25;  // 16 lanes, inline data
    d[5] = 0xffff;
    d[7] = launch.groups;
    d[8] = d[9] = 1;
    d[19] = launch.kernel;
    d[24] = 1;
    if (launch.post_sync != 0) {
      d[27] = 1;
      d[28] = low(launch.post_sync);
      d[29] = high(launch.post_sync);
      d[30] = 77;
    }
    d[32] = low(launch.argument);
    d[33] = high(launch.argument);
    Words words(22);
    words[0] = 0x61010014;
    words[10] = low(kCode) | 1;
    words[11] = high(kCode);
    words.insert(words.end(), d.begin(), d.end());
    return words;
  }
  std::uint64_t batch(std::initializer_list<Words> commands) {
    Words words;
    for (const Words& command : commands) words.insert(words.end(), command.begin(), command.end());
    words.push_back(kEnd);
    const std::uint64_t at = next_batch;
    next_batch += 0x1000;
    put(at, words);
    return at;
  }
  FencePtr submit(const ExecQueuePtr& on, std::initializer_list<Words> commands) {
    JobSyncs syncs(syncobjs);
    EXPECT_TRUE(syncs.add(SyncUserFence{next_fence += 8, 0xf00d}));
    EXPECT_TRUE(exec->submit(on, {GpuVa(batch(commands))}, syncs));
    return exec->scheduler().last_fence(*on);
  }
  void run(unsigned slices) {
    while (slices-- > 0 && exec->run_once()) {
    }
  }
  std::uint32_t read(std::uint64_t at) { return *sim.cpu_read(at); }
  std::uint64_t count(Counter counter) { return sim.count(counter); }

  SimDevice sim;
  SyncobjTable syncobjs;
  ExecVmPtr vm = std::make_shared<ContextVm>(VmMode::kFault, sim.vm);
  std::vector<KernelFailure> failures;
  std::unique_ptr<HwBackendFactory> backends = std::make_unique<HwBackendFactory>(
      *sim.device, HwOptions{.kernel_failed = [this](const KernelFailure& failure) { failures.push_back(failure); }});
  std::unique_ptr<DeviceExec> exec = std::make_unique<DeviceExec>(DeviceExec::Config{.profile = sim.device->profile(),
                                                                                     .clock = sim.clock,
                                                                                     .counters = sim.device->counters(),
                                                                                     .backends = *backends,
                                                                                     .policy = ExecPolicy::kManual});
  std::uint64_t next_batch = kBatch;
  std::uint64_t next_code = kCode;
  std::uint64_t next_fence = kBatch + 0x7'0000;
};

TEST(ExecKernels, AKernelFaultsOnClientMemoryAndWritesIt) {
  for (EngineClass cls : {EngineClass::kCompute, EngineClass::kRender}) {
    World w;
    const FencePtr done = w.submit(w.queue(cls), {w.walker({.kernel = w.kernel(kStoreGroup), .groups = 5})});
    w.run(50);
    EXPECT_TRUE(done->signalled());
    EXPECT_EQ(done->error(), 0);
    for (std::uint32_t i = 0; i < 5; ++i) EXPECT_EQ(w.read(kData + 4 * i), i);
    EXPECT_GT(w.count(Counter::eu_fault_count), 0u);
    EXPECT_EQ(w.count(Counter::eu_kernel_count), 1u);
    EXPECT_EQ(w.count(Counter::eu_group_count), 5u);
    EXPECT_EQ(w.count(Counter::eu_thread_count), 5u);
    EXPECT_EQ(w.count(Counter::eu_lane_count), 80u);
    EXPECT_EQ(w.count(Counter::eu_instruction_count), 25u);
    EXPECT_EQ(w.count(Counter::eu_send_count), 10u);
    EXPECT_EQ(w.count(Counter::eu_kernel_failed_count), 0u);
  }
}

TEST(ExecKernels, ASpinningKernelIsReleasedByTheCpu) {
  World w;
  const FencePtr done = w.submit(w.queue(), {w.walker({.kernel = w.kernel(kSpin), .post_sync = kData + 0x100})});
  w.run(5);
  EXPECT_FALSE(done->signalled());
  EXPECT_TRUE(w.sim.cpu_write(kData, 1));
  w.run(50);
  EXPECT_TRUE(done->signalled());
  EXPECT_EQ(w.read(kData + 0x100), 77u);
}

TEST(ExecKernels, ASpinningKernelIsReleasedByAKernelOfAnotherQueue) {
  World w;
  const FencePtr spins = w.submit(w.queue(), {w.walker({.kernel = w.kernel(kSpin), .argument = kData + 4})});
  w.run(5);
  const FencePtr stores = w.submit(w.queue(), {w.walker({.kernel = w.kernel(kStoreGroup), .groups = 2})});
  w.run(50);
  EXPECT_TRUE(stores->signalled());
  EXPECT_TRUE(spins->signalled());
}

TEST(ExecKernels, BesideAnEndlessKernelOthersRunAndItsQueueCanBeDestroyed) {
  World w;
  const ExecQueuePtr endless = w.queue();
  const FencePtr never = w.submit(endless, {w.walker({.kernel = w.kernel(kEndless), .groups = 100})});
  w.run(10);
  for (int i = 0; i < 3; ++i) {
    const FencePtr done = w.submit(w.queue(), {w.walker({.kernel = w.kernel(kStoreGroup), .groups = 3})});
    w.run(10);
    EXPECT_TRUE(done->signalled());
  }
  EXPECT_FALSE(never->signalled());
  w.exec->destroy_queue(endless);
  w.run(10);
  EXPECT_TRUE(never->signalled());
  EXPECT_EQ(never->error(), ECANCELED);
  EXPECT_FALSE(w.exec->run_once());
}

TEST(ExecKernels, AnEndlessKernelTimesOut) {
  World w;
  w.vm = std::make_shared<ContextVm>(VmMode::kDmaFence, w.sim.vm);
  const ExecQueuePtr endless = w.queue();
  const FencePtr never = w.submit(endless, {w.walker({.kernel = w.kernel(kEndless)})});
  for (int i = 0; i < 12 && !never->signalled(); ++i) {
    w.run(2);
    w.sim.clock.advance_ns(1'000'000'000);
  }
  EXPECT_TRUE(never->signalled());
  EXPECT_EQ(never->error(), ETIME);
  EXPECT_TRUE(endless->reset());
}

/// Goes on when memory is `value`.
Words wait_for(std::uint64_t at, std::uint32_t value) {
  return {0x0E000002 | 1u << 15 | 4u << 12, value, low(at), high(at)};
}

TEST(ExecKernels, WhatWaitsForABannedKernelEndsAfterItsTimeout) {
  constexpr std::uint64_t kSecond = 1'000'000'000;
  World w;
  const ExecQueuePtr waits = w.queue(EngineClass::kCopy);
  const FencePtr done = w.submit(waits, {wait_for(kData + 0x100, 77)});
  // An idle ring: it waits for the CPU, which gives it something to do now and then.
  const ExecQueuePtr idle = w.queue(EngineClass::kCopy);
  w.submit(idle, {wait_for(kData + 0x200, 1), wait_for(kData + 0x200, 2), wait_for(kData + 0x200, 3)});
  const auto seconds = [&](int n) {
    for (; n > 0; --n) {
      w.run(20);
      w.sim.clock.advance_ns(kSecond);
      w.run(20);
    }
  };
  seconds(20);
  EXPECT_FALSE(done->signalled()) << "nobody is banned";
  const FencePtr failed = w.submit(w.queue(), {w.walker({.kernel = w.kernel("illegal"), .post_sync = kData + 0x100})});
  seconds(4);
  EXPECT_EQ(failed->error(), EIO);
  EXPECT_FALSE(done->signalled());
  EXPECT_TRUE(w.sim.cpu_write(kData + 0x200, 1));
  seconds(2);
  EXPECT_TRUE(done->signalled());
  EXPECT_EQ(done->error(), ETIME);
  EXPECT_TRUE(waits->reset());
  EXPECT_FALSE(idle->reset()) << "it has done something since the ban";
}

struct Failing {
  const char* name;
  const char* text;
  std::uint64_t argument;
  const char* instruction;  ///< null: no failure of the kernel's own
};

TEST(ExecKernels, AFailedKernelBansItsQueueAndNoOther) {
  for (const Failing& c : {
           Failing{"a sampler message", "nop\nsend.smpl (16|M0) r33 r21 null a0.0 0x021200FC\neot r0", kData,
                   "send.smpl (16|M0) r33 r21 null a0.0 0x021200FC"},
           Failing{"illegal", "nop\nillegal\n", kData, "illegal"},
           Failing{"a pointer to nothing", kStoreGroup, kUnmapped, nullptr},
       }) {
    World w;
    const ExecQueuePtr bad = w.queue();
    const ExecQueuePtr good = w.queue();
    const std::uint32_t kernel = w.kernel(c.text);
    const FencePtr failed =
        w.submit(bad, {w.walker({.kernel = kernel, .argument = c.argument, .post_sync = kData + 0x100})});
    const FencePtr done = w.submit(good, {w.walker({.kernel = w.kernel(kStoreGroup), .groups = 2})});
    w.run(50);
    EXPECT_EQ(failed->error(), EIO) << c.name;
    EXPECT_TRUE(bad->reset()) << c.name;
    EXPECT_EQ(w.read(kData + 0x100), 0u) << c.name << ": no post-sync";
    EXPECT_EQ(done->error(), 0) << c.name;
    EXPECT_EQ(w.read(kData + 4), 1u) << c.name;
    const auto records = w.sim.vm->vm.fault_records();
    ASSERT_EQ(records.size(), 1u) << c.name;
    ASSERT_EQ(w.failures.size(), c.instruction != nullptr ? 1u : 0u) << c.name;
    EXPECT_EQ(w.count(Counter::eu_kernel_failed_count), w.failures.size()) << c.name;
    if (c.instruction == nullptr) {
      EXPECT_EQ(records[0].page_address, kUnmapped);
      continue;
    }
    const KernelFailure& failure = w.failures[0];
    EXPECT_EQ(failure.kernel, kCode + kernel) << c.name;
    EXPECT_EQ(failure.instruction, kCode + kernel + 16) << c.name;
    EXPECT_STREQ(failure.text.data(), c.instruction);
    EXPECT_STRNE(failure.reason.data(), "") << c.name;
    EXPECT_EQ(records[0].page_address, align_down(kCode + kernel, kPageSize)) << c.name;
  }
}

}  // namespace
}  // namespace softxe
