// Batch flow, slices, engines and time.
#include "hw/cs_streamer.h"

#include <gtest/gtest.h>

#include "hw/cs_test_rig.h"

namespace softxe {
namespace {

constexpr std::uint32_t D = 0x20000;
constexpr std::uint32_t kEnd = 0x05000000;
constexpr std::uint32_t kJump = 0x18800101;       // PPGTT bit set
constexpr std::uint32_t kJumpGgttBit = 0x18800001;  // clear: accepted as the queue's VM
constexpr std::uint32_t kCall = 0x18C00101;
constexpr std::uint32_t kStore = 0x10000002;
constexpr std::uint32_t kArbCheck = 0x02800000;
constexpr GpuVa kBatch = CsRig::kBatch;
constexpr GpuVa kData = CsRig::kData;

TEST(CsFlow, JumpReplacesTheBatch) {
  for (const std::uint32_t jump : {kJump, kJumpGgttBit}) {
    CsRig rig;
    rig.load({jump, 0x11003, 0xffff0000, kStore, D, 0, 1});
    rig.memory.put(GpuVa(0x11000), {kStore, D + 4, 0, 2, kEnd});
    EXPECT_EQ(rig.run().end, RunEnd::kBatchDone);
    EXPECT_EQ(rig.memory.peek<std::uint32_t>(kData), 0u);
    EXPECT_EQ(rig.memory.peek<std::uint32_t>(kData + 4), 2u);
  }
}

TEST(CsFlow, SecondLevelReturnsAndMayJumpInside) {
  CsRig rig;
  rig.load({kCall, 0x11000, 0, kStore, D, 0, 1});
  rig.memory.put(GpuVa(0x11000), {kCall, 0x12000, 0, kJump, 0x11100, 0});
  rig.memory.put(GpuVa(0x11100), {kStore, D + 4, 0, 2, kEnd});
  rig.memory.put(GpuVa(0x12000), {kStore, D + 8, 0, 3, kEnd});
  EXPECT_EQ(rig.run().end, RunEnd::kBatchDone);
  EXPECT_EQ(rig.memory.peek<std::uint32_t>(kData), 1u);
  EXPECT_EQ(rig.memory.peek<std::uint32_t>(kData + 4), 2u);
  EXPECT_EQ(rig.memory.peek<std::uint32_t>(kData + 8), 3u);
  EXPECT_EQ(rig.context.depth(), 0u);
}

TEST(CsFlow, ConditionalEndLeavesOneLevelOnly) {
  CsRig rig;
  rig.load({kCall, 0x11000, 0, kStore, D + 4, 0, 1});
  rig.memory.put(GpuVa(0x11000), {0x1B200002, 0, D, 0, kStore, D + 8, 0, 1, kEnd});  // 0 > 0
  EXPECT_EQ(rig.run().end, RunEnd::kBatchDone);
  EXPECT_EQ(rig.memory.peek<std::uint32_t>(kData + 4), 1u);
  EXPECT_EQ(rig.memory.peek<std::uint32_t>(kData + 8), 0u);
}

TEST(CsFlow, FourthLevelIsRefused) {
  CsRig rig;
  rig.load({kCall, 0x10000, 0});
  const RunResult got = rig.run();
  EXPECT_EQ(got.end, RunEnd::kBadCommand);
  EXPECT_EQ(got.culprit.address, kBatch);
  EXPECT_EQ(got.stats.commands, 2u);
}

TEST(CsFlow, JumpToUnmappedFaults) {
  CsRig rig;
  rig.load({kJump, 0x90000, 0});
  const RunResult got = rig.run();
  EXPECT_EQ(got.end, RunEnd::kPageFault);
  EXPECT_EQ(got.culprit.address, GpuVa(0x90000));
  EXPECT_EQ(rig.memory.faulted_at, GpuVa(0x90000));
}

TEST(CsFlow, BadCommandNamesItsHeaderAndPlace) {
  CsRig rig;
  rig.load({0, 0, 0x1F812345});
  const RunResult got = rig.run();
  EXPECT_EQ(got.end, RunEnd::kBadCommand);
  EXPECT_EQ(got.culprit.header, 0x1F812345u);
  EXPECT_EQ(got.culprit.address, kBatch + 8);
  EXPECT_EQ(rig.context.position(), kBatch + 8);
}

TEST(CsFlow, CommandAcrossPages) {
  CsRig rig;
  const GpuVa start = kBatch + kPageSize - 8;
  rig.memory.put(start, {kStore, D, 0, 5, kEnd});
  rig.context.start_batch(start);
  EXPECT_EQ(rig.run().end, RunEnd::kBatchDone);
  EXPECT_EQ(rig.memory.peek<std::uint32_t>(kData), 5u);

  rig.memory.unmap(kBatch + kPageSize);
  rig.context.start_batch(start);
  rig.memory.poke(kData, 0u);
  EXPECT_EQ(rig.run().end, RunEnd::kPageFault);
  EXPECT_EQ(rig.memory.faulted_at, kBatch + kPageSize);
  EXPECT_EQ(rig.memory.peek<std::uint32_t>(kData), 0u);
}

TEST(CsFlow, NothingIsFetchedBehindTheEnd) {
  CsRig rig;
  const GpuVa last = kBatch + 4 * kPageSize - 4;
  rig.memory.put(last, {kEnd});
  rig.context.start_batch(last);
  EXPECT_EQ(rig.run().end, RunEnd::kBatchDone);
  EXPECT_EQ(rig.memory.fetches, 1u);
}

TEST(CsFlow, SkippedStateNeedsNoPages) {
  CsRig rig;
  rig.use_engine(CsEngineClass::kRender);
  rig.memory.put(kBatch, {kJump, 0x10000 + 4 * kPageSize - 4, 0});
  rig.memory.put(kBatch + 4 * kPageSize - 4, {0x61010014});  // its body lies behind the last page
  rig.context.start_batch(kBatch);
  const RunResult got = rig.run();
  EXPECT_EQ(got.end, RunEnd::kPageFault);
  EXPECT_EQ(got.culprit.address, kBatch + 4 * kPageSize - 4 + 22 * 4);
}

TEST(CsFlow, EngineClassesTakeTheirOwnCommands) {
  struct ClassCase {
    CsEngineClass engine_class;
    std::vector<std::uint32_t> batch;
    RunEnd end;
  };
  const std::vector<std::uint32_t> copy = {0x56800008, 3, 0, 0, 0, D, 0, D + 8, 0, 0};
  const std::vector<std::uint32_t> state = {0x69041300, 0x61090000, 1};
  const std::vector<std::uint32_t> walker = {0x72080000, 0};
  const std::vector<std::uint32_t> primitive = {0x7B000000, 0};
  const ClassCase cases[] = {
      {CsEngineClass::kCopy, copy, RunEnd::kBatchDone},
      {CsEngineClass::kRender, copy, RunEnd::kBadCommand},
      {CsEngineClass::kVideoDecode, copy, RunEnd::kBadCommand},
      {CsEngineClass::kRender, state, RunEnd::kBatchDone},
      {CsEngineClass::kCompute, state, RunEnd::kBatchDone},
      {CsEngineClass::kVideoEnhance, state, RunEnd::kBadCommand},
      {CsEngineClass::kCompute, walker, RunEnd::kUnsupportedShader},
      {CsEngineClass::kRender, primitive, RunEnd::kUnsupportedShader},
      {CsEngineClass::kCopy, primitive, RunEnd::kBadCommand},
  };
  for (const ClassCase& c : cases) {
    SCOPED_TRACE(testing::Message() << "class " << int(c.engine_class) << std::hex << c.batch[0]);
    CsRig rig;
    rig.use_engine(c.engine_class);
    rig.load(c.batch);
    EXPECT_EQ(rig.run().end, c.end);
  }
}

TEST(CsFlow, ReadOnlyFaultsAndNullDiscards) {
  CsRig rig;
  rig.memory.map(GpuVa(0x30000), kPageSize, FakePage::kReadOnly);
  rig.memory.map(GpuVa(0x31000), kPageSize, FakePage::kNull);
  rig.load({kStore, 0x31000, 0, 7, 0x14880002, 0x600, 0x31000, 0, kStore, 0x30000, 0, 7});
  rig.context.gpr[0] = 9;
  EXPECT_EQ(rig.run().end, RunEnd::kPageFault);
  EXPECT_EQ(rig.context.gpr[0], 0u);
  EXPECT_EQ(rig.memory.faulted_at, GpuVa(0x30000));
}

TEST(CsFlow, AddressesWrapAtTheWidthOfTheDevice) {
  CsRig rig;
  rig.engine.va_bits = 57;
  rig.load({kStore, D, 0x01000000, 7});  // bit 56: taken on a 57-bit device
  EXPECT_EQ(rig.run().end, RunEnd::kPageFault);
  EXPECT_EQ(rig.memory.faulted_at, GpuVa(0x0100000000020000));
}

TEST(CsSlice, EndlessLoopStopsAtTheBudgetAsPolling) {
  CsRig rig;
  rig.load({kArbCheck, kJump, 0x10000, 0});
  const RunResult got = rig.run({.commands = 101});
  EXPECT_EQ(got.end, RunEnd::kPolling);
  EXPECT_EQ(got.stats.commands, 101u);
  EXPECT_EQ(got.stats.jumps_back, 50u);
}

TEST(CsSlice, ALoopWithEffectsIsNoPoll) {
  CsRig rig;
  rig.load({kStore, D, 0, 1, kJump, 0x10000, 0});
  EXPECT_EQ(rig.run({.commands = 100}).end, RunEnd::kBudget);
}

TEST(CsSlice, EndlessLoopStopsAtTheDeadline) {
  CsRig rig;
  rig.load({kJump, 0x10000, 0});
  rig.memory.on_fetch = [&](GpuVa) { rig.clock.advance_ns(10); };
  const RunResult got = rig.run({.deadline_ns = 100'000});
  EXPECT_EQ(got.end, RunEnd::kPolling);
  EXPECT_GE(rig.clock.now_ns(), 100'000u);
  EXPECT_LT(rig.clock.now_ns(), 101'000u);
}

TEST(CsSlice, EndlessLoopDies) {
  CsRig rig;
  rig.load({kJump, 0x10000, 0});
  rig.memory.on_fetch = [&](GpuVa) {
    if (rig.memory.fetches == 500) rig.kill = true;
  };
  EXPECT_EQ(rig.run({}).end, RunEnd::kKilled);
  EXPECT_LE(rig.memory.fetches, 503u);
}

TEST(CsSlice, AccessThatGivesUpKills) {
  CsRig rig;
  rig.memory.map(GpuVa(0x30000), kPageSize, FakePage::kKilling);
  rig.load({kStore, 0x30000, 0, 1});
  EXPECT_EQ(rig.run().end, RunEnd::kKilled);
}

TEST(CsSlice, UnsatisfiedSemaphoreYieldsAndGoesOnWhenWritten) {
  CsRig rig;
  rig.load({0x0E00C002, 5, D, 0, kStore, D + 4, 0, 1});
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(rig.run().end, RunEnd::kYield);
    EXPECT_EQ(rig.context.position(), kBatch);
  }
  rig.memory.poke(kData, 5u);
  EXPECT_EQ(rig.run().end, RunEnd::kBatchDone);
  EXPECT_EQ(rig.memory.peek<std::uint32_t>(kData + 4), 1u);
}

TEST(CsSlice, APatchedBatchIsSeenAtOnce) {
  CsRig rig;
  rig.load({kJump, 0x10000, 0});
  EXPECT_EQ(rig.run({.commands = 50}).end, RunEnd::kPolling);
  rig.memory.poke(kBatch, kEnd);
  EXPECT_EQ(rig.run({.commands = 50}).end, RunEnd::kBatchDone);

  // And by itself: the store replaces the very next command.
  rig.load({kStore, 0x10010, 0, kEnd, 0x1F800000});
  EXPECT_EQ(rig.run().end, RunEnd::kBatchDone);
}

TEST(CsSlice, UserInterruptsAreCounted) {
  CsRig rig;
  rig.load({0x01000000, 0x01000000});
  EXPECT_EQ(rig.run().stats.user_interrupts, 2u);
}

TEST(CsSlice, RegistersSurviveFromBatchToBatch) {
  CsRig rig;
  rig.load({0x11080001, 0x600, 5});
  EXPECT_EQ(rig.run().end, RunEnd::kBatchDone);
  rig.load({0x12080002, 0x600, D, 0});
  EXPECT_EQ(rig.run().end, RunEnd::kBatchDone);
  EXPECT_EQ(rig.memory.peek<std::uint32_t>(kData), 5u);
}

TEST(CsTime, TheContextTimestampStandsStillWhileSwitchedOut) {
  CsRig rig;
  constexpr std::uint64_t kSecondNs = 1'000'000'000;
  rig.load({0x12080002, 0x3A8, D, 0, 0x0E00C002, 5, D + 16, 0, 0x12080002, 0x3A8, D + 4, 0,
            0x12080002, 0x358, D + 8, 0, 0x12080002, 0x35C, D + 12, 0});
  rig.context.run_clock.start(rig.clock);
  rig.clock.advance_ns(kSecondNs);
  EXPECT_EQ(rig.run().end, RunEnd::kYield);
  EXPECT_TRUE(rig.context.run_clock.running());  // the scheduler started it, the scheduler stops it
  rig.context.run_clock.stop(rig.clock);
  rig.clock.advance_ns(500 * kSecondNs);
  rig.memory.poke(kData + 16, 5u);
  EXPECT_EQ(rig.run().end, RunEnd::kBatchDone);
  EXPECT_FALSE(rig.context.run_clock.running());
  EXPECT_EQ(rig.memory.peek<std::uint32_t>(kData), 19'200'000u);
  EXPECT_EQ(rig.memory.peek<std::uint32_t>(kData + 4), 19'200'000u);
  EXPECT_EQ(rig.memory.peek<std::uint64_t>(kData + 8), std::uint64_t{501} * 19'200'000u);
  EXPECT_EQ(rig.context.run_clock.total_ns(rig.clock), kSecondNs);
}

TEST(CsTime, PostSyncTimestampsAreTheRingsAndFollowTheReferenceClock) {
  CsRig rig;
  rig.engine.reference_clock_hz = 12'500'000;
  rig.clock.advance_ns(1'000'000'000'000);
  rig.load({0x1300C001, D, 0, 0x7A000004, 0xC000, D + 8, 0, 0, 0});
  EXPECT_EQ(rig.run().end, RunEnd::kBatchDone);
  EXPECT_EQ(rig.memory.peek<std::uint64_t>(kData), 12'500'000'000u);
  EXPECT_EQ(rig.memory.peek<std::uint64_t>(kData + 8), 12'500'000'000u);
}

TEST(CsTime, RunClockKeepsItsAccount) {
  ManualClock clock;
  RunClock run;
  clock.advance_ns(100);
  EXPECT_EQ(run.total_ns(clock), 0u);
  run.start(clock);
  run.start(clock);
  clock.advance_ns(30);
  EXPECT_EQ(run.total_ns(clock), 30u);
  run.stop(clock);
  clock.advance_ns(30);
  EXPECT_EQ(run.total_ns(clock), 30u);
  run.set_total_ns(1000);
  run.start(clock);
  clock.advance_ns(5);
  EXPECT_EQ(run.total_ns(clock), 1005u);
}

TEST(CsRegisters, EngineBases) {
  EXPECT_EQ(engine_mmio_base(CsEngineClass::kRender, 0), 0x2000u);
  EXPECT_EQ(engine_mmio_base(CsEngineClass::kCompute, 3), 0x26000u);
  EXPECT_EQ(engine_mmio_base(CsEngineClass::kCopy, 0), 0x22000u);
  EXPECT_EQ(engine_mmio_base(CsEngineClass::kCopy, 8), 0x3EE000u);
  EXPECT_EQ(engine_mmio_base(CsEngineClass::kVideoDecode, 2), 0x1D0000u);
  EXPECT_EQ(engine_mmio_base(CsEngineClass::kVideoEnhance, 1), 0x1D8000u);
  EXPECT_EQ(engine_mmio_base(CsEngineClass::kCopy, 9), std::nullopt);
  EXPECT_EQ(engine_mmio_base(CsEngineClass::kRender, 1), std::nullopt);
}

/// The spinner of spec/gpu-commands.md 6 with all its options, at kBatch.
class Spinner {
 public:
  static constexpr std::uint32_t kStart = D, kStop = D + 4, kTicks = D + 8, kWait = D + 12;

  explicit Spinner(std::uint32_t tick_limit) {
    emit({0x150C0001, 0x3A8, 0x600});                     // R0 = CTX_TIMESTAMP
    emit({kStore, kStart, 0, 0xC0FFEE});
    loop_ = 4 * static_cast<std::uint32_t>(words_.size());
    emit({kArbCheck});
    emit({0x150C0001, 0x3A8, 0x608});                     // R1 = now
    emit({0x0D000003, 0x08008000 | 0x001, 0x08008400, 0x10100000, 0x58000431});  // R1 = ~(R1 - R0)
    emit({0x12080002, 0x608, kTicks, 0});
    for (int i = 0; i < 8; ++i) emit({kStore, D + 0x100, 0, 0xf00d});
    emit({0x1B200002, ~tick_limit, kTicks, 0});           // goes on while ~delta > ~limit
    emit({0x56800008, 63, 0, 0, 0, D + 0x200, 0, D + 0x300, 0, 0});
    emit({0x0E00C803, 0, kWait, 0, 0});                   // wait until == 0
    emit({0x1B200002, 0, kStop, 0});                      // goes on while stop word > 0
    emit({kJump, static_cast<std::uint32_t>(kBatch.value()) + loop_, 0});
  }
  const std::vector<std::uint32_t>& words() const { return words_; }

 private:
  void emit(std::initializer_list<std::uint32_t> words) { words_.insert(words_.end(), words); }
  std::vector<std::uint32_t> words_;
  std::uint32_t loop_ = 0;
};

TEST(CsSpinner, RunsUntilTheCpuStopsIt) {
  CsRig rig;
  rig.load(Spinner(1'000'000'000).words());
  rig.memory.poke(GpuVa(Spinner::kStop), ~0u);
  rig.memory.poke(GpuVa(D + 0x200), 0xabcdu);
  EXPECT_EQ(rig.run({.commands = 1000}).end, RunEnd::kBudget);
  EXPECT_EQ(rig.memory.peek<std::uint32_t>(GpuVa(Spinner::kStart)), 0xC0FFEEu);
  EXPECT_EQ(rig.memory.peek<std::uint32_t>(GpuVa(D + 0x300)), 0xabcdu);
  rig.memory.poke(GpuVa(Spinner::kWait), 1u);
  EXPECT_EQ(rig.run({.commands = 1000}).end, RunEnd::kYield);
  rig.memory.poke(GpuVa(Spinner::kWait), 0u);
  EXPECT_EQ(rig.run({.commands = 1000}).end, RunEnd::kBudget);
  rig.memory.poke(GpuVa(Spinner::kStop), 0u);
  EXPECT_EQ(rig.run({.commands = 1000}).end, RunEnd::kBatchDone);
}

TEST(CsSpinner, RunsForItsTicksOfRunTime) {
  CsRig rig;
  constexpr std::uint32_t kLimit = 19'200;  // 1 ms
  rig.load(Spinner(kLimit).words());
  rig.memory.poke(GpuVa(Spinner::kStop), ~0u);
  bool in_slice = true;
  rig.memory.on_fetch = [&](GpuVa) {
    if (in_slice) rig.clock.advance_ns(100);
  };
  RunResult got;
  for (int slices = 0; slices < 1000; ++slices) {
    got = rig.run({.commands = 50});
    if (got.end != RunEnd::kBudget) break;
    rig.clock.advance_ns(5'000'000);  // switched out: must not count
  }
  EXPECT_EQ(got.end, RunEnd::kBatchDone);
  const std::uint64_t ran = rig.context.run_clock.total_ns(rig.clock);
  EXPECT_GE(ran, 1'000'000u);
  EXPECT_LT(ran, 1'050'000u);
}

}  // namespace
}  // namespace softxe
