// The scheduler with the real command streamer, MMU and page faults over the simulated process.
#include <gtest/gtest.h>

#include "drv/exec/device_exec.h"
#include "drv/exec/hw_backend.h"
#include "drv/sim_device_fixture.h"

namespace softxe {
namespace {

constexpr std::uint32_t kEnd = 0x05000000;
constexpr std::uint64_t kBatch = 0x1000'0000;
constexpr std::uint64_t kData = 0x1010'0000;
constexpr std::uint64_t kUnmapped = 0x7000'0000;

std::uint32_t low(std::uint64_t at) { return static_cast<std::uint32_t>(at); }
std::uint32_t high(std::uint64_t at) { return static_cast<std::uint32_t>(at >> 32); }

using Words = std::vector<std::uint32_t>;
Words store(std::uint64_t at, std::uint32_t value) { return {0x10000002, low(at), high(at), value}; }
Words wait_equal(std::uint64_t at, std::uint32_t value) {
  return {0x0E000002 | 1u << 15 | 4u << 12, value, low(at), high(at)};
}
/// Goes on while memory > 0 (xe_spin's form), jumping back to `loop`.
Words spin(std::uint64_t loop, std::uint64_t at) {
  return {0x1B000002 | 1u << 21, 0, low(at), high(at), 0x18800001 | 1u << 8, low(loop), high(loop)};
}

struct World {
  World() {
    sim.map_at(kBatch, 4 << 20);
    EXPECT_TRUE(sim.bind_everything());
  }
  ExecQueuePtr queue() {
    ExecQueueCreateRequest request;
    request.placement = EnginePlacement{EngineClass::kCopy, 1};
    return *exec->create_queue(request, {}, vm);
  }
  std::uint64_t batch(std::initializer_list<Words> commands) {
    const std::uint64_t at = next;
    next += 0x1000;
    std::uint64_t word_at = at;
    for (const Words& words : commands)
      for (std::uint32_t word : words) {
        EXPECT_TRUE(sim.cpu_write(word_at, word));
        word_at += 4;
      }
    return at;
  }
  void submit(const ExecQueuePtr& on, std::uint64_t at, std::uint64_t fence_at) {
    JobSyncs syncs(syncobjs);
    EXPECT_TRUE(syncs.add(SyncUserFence{fence_at, 0xf00d}));
    EXPECT_TRUE(exec->submit(on, {GpuVa(at)}, syncs));
  }
  void run(unsigned slices) {
    while (slices-- > 0 && exec->run_once()) {
    }
  }
  std::uint32_t read(std::uint64_t at) { return *sim.cpu_read(at); }

  SimDevice sim;
  SyncobjTable syncobjs;
  ExecVmPtr vm = std::make_shared<ContextVm>(VmMode::kFault, sim.vm);
  std::unique_ptr<HwBackendFactory> backends = std::make_unique<HwBackendFactory>(*sim.device);
  std::unique_ptr<DeviceExec> exec = std::make_unique<DeviceExec>(DeviceExec::Config{.profile = sim.device->profile(),
                                                                                     .clock = sim.clock,
                                                                                     .counters = sim.device->counters(),
                                                                                     .backends = *backends,
                                                                                     .policy = ExecPolicy::kManual});
  std::uint64_t next = kBatch;
};

TEST(ExecHw, ABatchInClientMemoryStoresAndWritesItsUserFence) {
  World w;
  w.submit(w.queue(), w.batch({store(kData, 7), {kEnd}}), kData + 0x1000);
  EXPECT_EQ(w.read(kData), 0u);
  w.run(10);
  EXPECT_EQ(w.read(kData), 7u);
  EXPECT_EQ(w.read(kData + 0x1000), 0xf00du);
  EXPECT_GT(w.sim.count(Counter::gpu_fault_count), 0u);
}

TEST(ExecHw, ASpinnerRunsUntilThePlainStore) {
  World w;
  const auto queue = w.queue();
  EXPECT_TRUE(w.sim.cpu_write(kData, ~0u));
  const std::uint64_t at = w.next;
  w.submit(queue, w.batch({spin(at, kData), {kEnd}}), kData + 0x1000);
  w.run(50);
  EXPECT_EQ(w.read(kData + 0x1000), 0u);
  EXPECT_TRUE(w.sim.cpu_write(kData, 0));
  w.run(50);
  EXPECT_EQ(w.read(kData + 0x1000), 0xf00du);
  EXPECT_FALSE(queue->reset());
}

TEST(ExecHw, ASemaphoreYieldsToTheQueueThatSignalsIt) {
  World w;
  w.submit(w.queue(), w.batch({wait_equal(kData, 5), store(kData + 8, 1), {kEnd}}), kData + 0x1000);
  w.submit(w.queue(), w.batch({store(kData, 5), {kEnd}}), kData + 0x1008);
  w.run(50);
  EXPECT_EQ(w.read(kData + 8), 1u);
  EXPECT_EQ(w.read(kData + 0x1000), 0xf00du);
}

struct Ban {
  const char* rule;
  Words command;
};

TEST(ExecHw, FaultsAndBadCommandsBanWithoutAUserFence) {
  for (const Ban& c : {Ban{"store to an unmapped page", store(kUnmapped, 1)}, Ban{"undecodable", Words{0xffffffff}}}) {
    World w;
    const auto queue = w.queue();
    w.submit(queue, w.batch({c.command, {kEnd}}), kData);
    const FencePtr done = w.exec->scheduler().last_fence(*queue);
    std::size_t recorded = 99;
    done->on_signal([&] { recorded = w.sim.vm->vm.fault_records().size(); });
    w.run(50);
    EXPECT_EQ(done->error(), EIO) << c.rule;
    EXPECT_TRUE(queue->reset()) << c.rule;
    EXPECT_EQ(w.read(kData), 0u) << c.rule;
    EXPECT_EQ(recorded, c.command.size() == 4 ? 1u : 0u) << c.rule << ": before the fence";
  }
}

TEST(ExecHw, KillEndsASpinnerForGood) {
  World w;
  const auto queue = w.queue();
  EXPECT_TRUE(w.sim.cpu_write(kData, ~0u));
  const std::uint64_t at = w.next;
  w.submit(queue, w.batch({spin(at, kData), {kEnd}}), kData + 0x1000);
  w.run(5);
  w.exec->destroy_queue(queue);
  EXPECT_FALSE(w.exec->run_once());
  EXPECT_EQ(w.read(kData + 0x1000), 0u);
}

}  // namespace
}  // namespace softxe
