// Compute commands: which state stays, what a walker starts and writes, how it is stopped and goes on.
#include <gtest/gtest.h>

#include <cstring>

#include "hw/cs/cs_fake_memory.h"
#include "hw/cs/cs_streamer.h"
#include "hw/eu/eu_fake_worker.h"

namespace softxe {
namespace {

using Dwords = std::vector<std::uint32_t>;
using K = CsStepKind;

constexpr std::uint32_t kBatch = 0x10000;
constexpr std::uint32_t kData = 0x20000;
constexpr std::uint32_t kEnd = 0x05000000;

Dwords operator+(Dwords a, const Dwords& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

/// One group of one thread with 16 lanes, no post-sync.
Dwords walker() {
  Dwords d(kEuWalkerDwords);
  d[0] = 0x72080026;
  d[4] = 0x40000000;
  d[5] = 0xffff;
  d[7] = d[8] = d[9] = 1;
  d[24] = 1;
  return d;
}
Dwords walker_with(unsigned dword, std::uint32_t value) {
  Dwords d = walker();
  d[dword] = value;
  return d;
}
Dwords post_sync(Dwords d, std::uint32_t operation, std::uint32_t at, std::uint32_t low = 0, std::uint32_t high = 0) {
  d[27] = operation;
  d[28] = at;
  d[29] = 0xffff0000;  // canonical bits
  d[30] = low;
  d[31] = high;
  return d;
}
Dwords groups(Dwords d, std::uint32_t x, std::uint32_t y, std::uint32_t z) {
  d[7] = x;
  d[8] = y;
  d[9] = z;
  return d;
}

struct Machine {
  explicit Machine(FakeEuWorker::Script script = FakeEuWorker::end_at_once)
      : units(fake_units(ids, [this, script = std::move(script)](EuThread& thread, EuGroup& group, std::uint64_t most) {
          threads.push_back({group.bases(), dispatched(thread)});
          return script(thread, group, most);
        })) {
    memory.map(kBatch);
    memory.map(kData);
    engine.clock = &clock;
    engine.units = &units;
  }
  struct Seen {
    EuBases bases;
    std::uint64_t ip;
    std::uint32_t scratch;
    bool large_grf;
    std::uint32_t exceptions;
  };
  static Seen dispatched(const EuThread& thread);

  CsStep run(const Dwords& batch) {
    memory.put(kBatch, batch + Dwords{kEnd});
    context.start_batch(GpuVa(kBatch));
    return go();
  }
  CsStep go(unsigned steps_max = 1000) {
    CsStep step;
    for (unsigned i = 0; i < steps_max; ++i) {
      step = cs_step(context, memory, engine);
      if (step.kind != K::kContinue) break;
    }
    return step;
  }
  std::uint64_t qword(std::uint32_t at) { return memory.dword(at) | std::uint64_t{memory.dword(at + 4)} << 32; }

  ManualClock clock;
  FakeCsMemory memory;
  EuThreadIds ids;
  struct Thread {
    EuBases bases;
    Seen seen;
  };
  std::vector<Thread> threads;  ///< that ran, once for each turn
  EuUnits units;
  CsEngine engine{.engine_class = CsEngineClass::kCompute,
                  .mmio_base = 0x1A000,
                  .reference_clock_hz = 1'000'000'000,
                  .va_bits = 48};
  CsContext context;
};

Machine::Seen Machine::dispatched(const EuThread& thread) {
  std::array<std::uint32_t, 8> r0{};
  std::memcpy(r0.data(), thread.grf.data(), sizeof r0);
  return {.bases = {},
          .ip = thread.ip,
          .scratch = r0[5] & 0xfffffc00,
          .large_grf = thread.large_grf,
          .exceptions = thread.cr[1]};
}

Dwords base_addresses(std::uint32_t general, std::uint32_t surface, std::uint32_t instruction, std::uint32_t bindless) {
  Dwords d(22);
  d[0] = 0x61010014;
  d[1] = general;
  d[4] = surface;
  d[10] = instruction;
  d[11] = 0x8000;
  d[16] = bindless;
  return d;
}

// ---- state ---------------------------------------------------------------------------------------

TEST(CsCompute, StateLivesAcrossBatches) {
  Machine m;
  ASSERT_EQ(m.run(base_addresses(0x1001, 0x2001, 0x3001, 0x4001) + Dwords{0x79190002, 0x5000, 0, 0x1000} +
                  Dwords{0x61050001, 0x80008000, 0} + Dwords{0x72000004, 0x800, 0, 0, 0, 0})
                .kind,
            K::kBatchDone);
  Dwords d = walker_with(19, 0x80);
  d[23] = 0x40;  // binding table pointer
  ASSERT_EQ(m.run(d).kind, K::kBatchDone);
  ASSERT_EQ(m.threads.size(), 1u);
  const EuBases& bases = m.threads[0].bases;
  EXPECT_EQ(bases.general_state.value(), 0x1000u);
  EXPECT_EQ(bases.surface_state.value(), 0x2000u);
  EXPECT_EQ(bases.bindless_surface_state.value(), 0x4000u);
  EXPECT_EQ(bases.binding_table.value(), 0x5040u);
  EXPECT_EQ(m.threads[0].seen.ip, 0x8000'0000'3080u);
  EXPECT_EQ(m.threads[0].seen.scratch, 0x800u);
  EXPECT_TRUE(m.threads[0].seen.large_grf);
}

TEST(CsCompute, ABaseWithoutModifyBitStays) {
  Machine m;
  m.run(base_addresses(0x1001, 0x2001, 0x3001, 0x4001));
  m.run(base_addresses(0x9000, 0x9000, 0x9001, 0x9000));
  EXPECT_EQ(m.context.compute.general_state.value(), 0x1000u);
  EXPECT_EQ(m.context.compute.surface_state.value(), 0x2000u);
  EXPECT_EQ(m.context.compute.bindless_surface_state.value(), 0x4000u);
  EXPECT_EQ(m.context.compute.instruction.value(), 0x8000'0000'9000u);
}

TEST(CsCompute, SamplerStatesHaveABaseAndBindlessOnesAnother) {
  Machine m;
  Dwords command(22, 0);
  command[0] = 0x61010014;
  command[6] = 0x6001;
  command[19] = 0x7001;
  command[20] = 0xFFFF8002;
  m.run(command);
  EXPECT_EQ(m.context.compute.dynamic_state.value(), 0x6000u);
  EXPECT_EQ(m.context.compute.bindless_sampler.value(), 0x8002'0000'7000u);
}

TEST(CsCompute, TheComputeModeChangesUnderItsMask) {
  Machine m;
  m.run({0x61050001, 0xE000C000, 0x00400040});
  EXPECT_TRUE(m.context.compute.large_grf());
  m.run({0x61050001, 0x60000000, 0});
  EXPECT_TRUE(m.context.compute.large_grf()) << "bit 15 is not in the mask";
  m.run({0x61050001, 0x80000000, 0});
  EXPECT_FALSE(m.context.compute.large_grf());
}

TEST(CsCompute, TheSystemRoutineCountsFromTheInstructionBase) {
  Machine m;
  ASSERT_EQ(m.run(walker()).kind, K::kBatchDone);
  m.run(base_addresses(0x1001, 0x2001, 0x3001, 0x4001) + Dwords{0x61020001, 0xfffe000f, 0});
  ASSERT_EQ(m.run(walker()).kind, K::kBatchDone);
  ASSERT_EQ(m.threads.size(), 2u);
  EXPECT_FALSE(m.threads[0].bases.system_routine) << "none was named";
  ASSERT_TRUE(m.threads[1].bases.system_routine);
  EXPECT_EQ(m.threads[1].bases.system_routine->value(), 0x8000'0000'3000u + 0xfffe0000u);
}

TEST(CsCompute, TheDescriptorEnablesExceptions) {
  static constexpr struct {
    std::uint32_t descriptor;
    std::uint32_t control;  ///< cr0.1
  } kRows[] = {
      {0, 0}, {1u << 7, 1u << 13}, {1u << 11, 1u << 11}, {1u << 13, 1u << 12}, {~(7u << 10 | 1u << 7 | 1u << 13), 0}};
  for (const auto& row : kRows) {
    Machine m;
    ASSERT_EQ(m.run(walker_with(21, row.descriptor)).kind, K::kBatchDone);
    EXPECT_EQ(m.threads.at(0).seen.exceptions, row.control) << row.descriptor;
  }
}

TEST(CsCompute, WhatHasNoEffectIsPassedOver) {
  Machine m;
  EXPECT_EQ(m.run({0x610B0001, 0xaaa00000, 0xffffd556, 0x61020001, 0xfffe0000, 0, 0x69040302, 0x60030002, 0x1000a, 0,
                   0x8000, 0xAC000003, 0x4004, 0, 0, 0, 0x61090001, 0, 0})
                .kind,
            K::kBatchDone);
  EXPECT_TRUE(m.threads.empty());
}

// ---- registers -----------------------------------------------------------------------------------

TEST(CsCompute, AnIndirectWalkerTakesItsGroupsFromRegisters) {
  Machine m;
  m.memory.put(kData, {3, 2, 1});
  Dwords loads;
  for (std::uint32_t i = 0; i < 3; ++i) loads = loads + Dwords{0x14820002, 0x2500 + 4 * i, kData + 4 * i, 0};
  Dwords stores;
  for (std::uint32_t i = 0; i < 3; ++i) stores = stores + Dwords{0x12020002, 0x2500 + 4 * i, kData + 0x10 + 4 * i, 0};
  ASSERT_EQ(m.run(loads + stores + groups(walker_with(0, 0x72080426), 0, 0, 0)).kind, K::kBatchDone);
  EXPECT_EQ(m.threads.size(), 6u);
  EXPECT_EQ(m.memory.dword(kData + 0x10), 3u);
  EXPECT_EQ(m.memory.dword(kData + 0x14), 2u);
  EXPECT_EQ(m.memory.dword(kData + 0x18), 1u);
}

struct Move {
  const char* name;
  std::uint32_t header;
  std::uint32_t from;
  std::uint32_t to;
  bool arrives;
};

TEST(CsCompute, RegistersMoveWithRemapBitsForSourceAndDestination) {
  // GPR0 and GPR1 of this engine: 0x1A600 absolute, 0x2600 remapped, 0x600 relative.
  for (const Move& c :
       {Move{"both remapped", 0x15030001, 0x2600, 0x2608, true},
        Move{"source remapped", 0x15010001, 0x2600, 0x1A608, true},
        Move{"destination remapped", 0x15020001, 0x1A600, 0x2608, true},
        Move{"absolute", 0x15000001, 0x1A600, 0x1A608, true}, Move{"relative", 0x150C0001, 0x600, 0x608, true},
        Move{"render's registers without remap", 0x15000001, 0x2600, 0x2608, false}}) {
    Machine m;
    m.context.gpr[0] = 7;
    ASSERT_EQ(m.run({c.header, c.from, c.to}).kind, K::kBatchDone) << c.name;
    EXPECT_EQ(m.context.gpr[1], c.arrives ? 7u : 0u) << c.name;
  }
}

// ---- post-sync -----------------------------------------------------------------------------------

TEST(CsCompute, AnImmediateOf64BitsIsWrittenAtTheEnd) {
  Machine m;
  ASSERT_EQ(m.run(post_sync(walker(), 1, kData, 0x11223344, 0x55667788)).kind, K::kBatchDone);
  EXPECT_EQ(m.qword(kData), 0x5566778811223344u);
  EXPECT_EQ(m.qword(kData + 8), 0u);
}

TEST(CsCompute, TimestampsAreFour64BitValues) {
  Machine m([](EuThread&, EuGroup&, std::uint64_t) -> EuStop { return {.kind = EuStopKind::kBudget}; });
  m.memory.put(kData, {1, 0, 1, 0, 1, 0, 1, 0, 77});
  m.memory.put(kBatch, post_sync(walker(), 3, kData) + Dwords{kEnd});
  m.context.start_batch(GpuVa(kBatch));
  m.clock.advance_ns(999);
  const std::atomic<bool> stop{false};
  CsSliceLimits limits{.commands_max = 3, .deadline_ns = ~std::uint64_t{0}, .run_time_ns = 5000};
  EXPECT_EQ(cs_run_slice(m.context, m.memory, m.engine, limits, stop).end, CsSliceEnd::kBudget);
  EXPECT_EQ(m.qword(kData + 16), 1u) << "nothing is written before the end";
  // Switched out for a while; the kernel ends in the next slice.
  m.clock.advance_ns(100'000);
  limits.run_time_ns = 6000;
  Machine ends;
  m.engine.units = &ends.units;
  EXPECT_EQ(cs_run_slice(m.context, m.memory, m.engine, limits, stop).end, CsSliceEnd::kDone);
  EXPECT_EQ(m.qword(kData), 5000u) << "context start";
  EXPECT_EQ(m.qword(kData + 8), 1000u) << "global start";
  EXPECT_EQ(m.qword(kData + 16), 6000u) << "context end";
  EXPECT_EQ(m.qword(kData + 24), 101'000u) << "global end";
  EXPECT_EQ(m.qword(kData + 32), 77u);
}

TEST(CsCompute, NoTimestampIsTheValueClientsWaitFor) {
  // The clock stands at 1 ns, the context has run for 1 ns: both would be 1 tick.
  Machine m;
  m.memory.put(kBatch, post_sync(walker(), 3, kData) + Dwords{kEnd});
  m.context.start_batch(GpuVa(kBatch));
  const std::atomic<bool> stop{false};
  cs_run_slice(m.context, m.memory, m.engine, {.commands_max = 10, .deadline_ns = ~std::uint64_t{0}, .run_time_ns = 1},
               stop);
  for (std::uint32_t at : {0u, 8u, 16u, 24u}) EXPECT_EQ(m.qword(kData + at), 2u) << at;
}

TEST(CsCompute, AWalkerWithoutGroupsOnlyDoesItsPostSync) {
  Machine m;
  ASSERT_EQ(m.run(post_sync(groups(walker(), 4, 0, 1), 1, kData, 9)).kind, K::kBatchDone);
  EXPECT_TRUE(m.threads.empty());
  EXPECT_EQ(m.qword(kData), 9u);
}

TEST(CsCompute, AWalkerEndsBeforeTheGroupItNames) {
  // What is left of 1000 items in groups of 64: group 15 alone.
  Machine m;
  std::vector<EuTriple> ids;
  Dwords d = groups(walker(), 16, 3, 1);
  d[10] = 15;
  d[11] = 1;
  Machine seen([&](EuThread& thread, EuGroup&, std::uint64_t) -> EuStop {
    std::array<std::uint32_t, 8> r0{};
    std::memcpy(r0.data(), thread.grf.data(), sizeof r0);
    ids.push_back({r0[1], r0[6], r0[7]});
    return {.kind = EuStopKind::kEnded};
  });
  ASSERT_EQ(seen.run(d).kind, K::kBatchDone);
  EXPECT_EQ(ids, (std::vector<EuTriple>{{15, 1, 0}, {15, 2, 0}}));
  d[10] = 16;
  ASSERT_EQ(m.run(d).kind, K::kBatchDone);
  EXPECT_TRUE(m.threads.empty()) << "nothing is left";
}

TEST(CsCompute, APostSyncMayOverwriteTheWalkerItself) {
  Machine m;
  ASSERT_EQ(m.run(post_sync(walker(), 1, kBatch, 0xffffffff, 0xffffffff) + Dwords{0x10000002, kData, 0, 5}).kind,
            K::kBatchDone);
  EXPECT_EQ(m.memory.dword(kBatch), 0xffffffffu);
  EXPECT_EQ(m.memory.dword(kData), 5u);
}

TEST(CsCompute, APostSyncToAnUnmappedPageIsAFault) {
  Machine m;
  EXPECT_EQ(m.run(post_sync(walker(), 1, 0x900000)).kind, K::kPageFault);
}

// ---- running -------------------------------------------------------------------------------------

/// Ends when `may_end` says so.
struct Endless {
  std::atomic<bool> may_end{false};
  FakeEuWorker::Script script() {
    return [this](EuThread& thread, EuGroup&, std::uint64_t most) -> EuStop {
      thread.instructions += most;
      return {.kind = may_end ? EuStopKind::kEnded : EuStopKind::kBudget};
    };
  }
};

TEST(CsCompute, AWalkerIsStoppedAndGoesOnAndOthersRunBetween) {
  Endless endless;
  Machine m(endless.script());
  m.memory.put(kBatch, post_sync(walker(), 1, kData, 1) + Dwords{kEnd});
  m.context.start_batch(GpuVa(kBatch));
  const std::atomic<bool> stop{false};
  const CsSliceLimits limits{.commands_max = 5, .deadline_ns = ~std::uint64_t{0}};
  CsContext other;
  m.memory.put(kBatch + 0x800, {0x10000002, kData + 0x100, 0, 5, kEnd});
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(cs_run_slice(m.context, m.memory, m.engine, limits, stop).end, CsSliceEnd::kBudget);
    other.start_batch(GpuVa(kBatch + 0x800));
    EXPECT_EQ(cs_run_slice(other, m.memory, m.engine, limits, stop).end, CsSliceEnd::kDone);
  }
  // The batch is not read again while the walker is the current command.
  m.memory.put(kBatch, {0xffffffff});
  endless.may_end = true;
  EXPECT_EQ(cs_run_slice(m.context, m.memory, m.engine, limits, stop).end, CsSliceEnd::kDone);
  EXPECT_EQ(m.memory.dword(kData), 1u);
  EXPECT_EQ(m.context.kernel_work.kernels, 1u);
  EXPECT_EQ(m.context.kernel_work.work.groups, 1u);
  EXPECT_EQ(m.context.kernel_work.work.lanes, 16u);
  EXPECT_GT(m.context.kernel_work.work.instructions, 3u * 5 * 4096);
}

TEST(CsCompute, ASliceThatIsAskedToStopEndsInsideAWalker) {
  std::atomic<bool> stop{false};
  Machine m([&](EuThread&, EuGroup&, std::uint64_t) -> EuStop {
    stop = true;
    return {.kind = EuStopKind::kBudget};
  });
  m.memory.put(kBatch, walker() + Dwords{kEnd});
  m.context.start_batch(GpuVa(kBatch));
  const CsSliceLimits limits{
      .commands_max = 1000, .deadline_ns = ~std::uint64_t{0}, .instructions_max = ~std::uint64_t{0}};
  EXPECT_EQ(cs_run_slice(m.context, m.memory, m.engine, limits, stop).end, CsSliceEnd::kBudget);
  EXPECT_EQ(m.threads.size(), 1u);
}

TEST(CsCompute, ABatchThatIsStartedAnewForgetsItsWalker) {
  Endless endless;
  Machine m(endless.script());
  m.memory.put(kBatch, walker() + Dwords{kEnd});
  m.context.start_batch(GpuVa(kBatch));
  EXPECT_EQ(m.go(5).kind, K::kContinue);
  EXPECT_EQ(m.run({0x10000002, kData, 0, 5}).kind, K::kBatchDone);
  EXPECT_EQ(m.memory.dword(kData), 5u);
}

TEST(CsCompute, AKernelWhoseThreadsWaitForThemselvesLetsOthersRun) {
  Machine m([](EuThread& thread, EuGroup& group, std::uint64_t) -> EuStop {
    EXPECT_TRUE(group.signal_barrier(thread, {.producers = 9, .consumers = 9}));
    EXPECT_TRUE(group.wait_barrier(thread, 0));
    return {.kind = EuStopKind::kBarrier};
  });
  EXPECT_EQ(m.run(walker()).kind, K::kYield);
  EXPECT_EQ(m.go().kind, K::kYield);
}

struct Failure {
  EuStopKind stop;
  CsStepKind step;
};

TEST(CsCompute, AFailedKernelSaysWhereAndWhy) {
  for (const Failure& c : {Failure{EuStopKind::kFault, K::kPageFault}, Failure{EuStopKind::kIllegal, K::kIllegalKernel},
                           Failure{EuStopKind::kUnsupported, K::kUnsupportedShader}}) {
    Machine m([&](EuThread&, EuGroup&, std::uint64_t) -> EuStop {
      return {.kind = c.stop, .ip = GpuVa(0x1230), .reason = "what is missing"};
    });
    m.context.compute.instruction = GpuVa(0x1000);
    const CsStep step = m.run(post_sync(walker_with(19, 0x200), 1, kData, 1));
    EXPECT_EQ(step.kind, c.step);
    EXPECT_EQ(step.header, 0x72080026u);
    EXPECT_EQ(step.address.value(), kBatch);
    EXPECT_STREQ(step.reason, "what is missing");
    EXPECT_EQ(m.context.kernel_stop.kernel.value(), 0x1200u);
    EXPECT_EQ(m.context.kernel_stop.run.stop.ip.value(), 0x1230u);
    EXPECT_EQ(m.memory.dword(kData), 0u) << "no post-sync";
    EXPECT_FALSE(m.context.dispatch.active());
  }
}

struct Condition {
  const char* name;
  Dwords before;
  bool runs;
};

TEST(CsCompute, APredicatedWalkerAsksForTheResult) {
  // Relative registers: sources 0x400 and 0x408 (low halves), result 0x418.
  const auto sources = [](std::uint32_t a, std::uint32_t b) { return Dwords{0x11080003, 0x400, a, 0x408, b}; };
  constexpr std::uint32_t kPredicate = 0x06000000, kLoad = 2 << 6, kLoadInverted = 3 << 6, kAnd = 1 << 3, kXor = 3 << 3;
  constexpr std::uint32_t kFalse = 1, kEqual = 2, kDeltas = 3;
  for (const Condition& c : {
           Condition{"nothing was asked", {}, false},
           Condition{"true", {kPredicate | kLoad}, true},
           Condition{"false", {kPredicate | kLoad | kFalse}, false},
           Condition{"not false", {kPredicate | kLoadInverted | kFalse}, true},
           Condition{"kept", {kPredicate | kLoad, kPredicate | kFalse}, true},
           Condition{"equal", sources(5, 5) + Dwords{kPredicate | kLoad | kEqual}, true},
           Condition{"different", sources(5, 6) + Dwords{kPredicate | kLoad | kEqual}, false},
           Condition{"and", Dwords{kPredicate | kLoad} + sources(5, 6) + Dwords{kPredicate | kLoad | kAnd | kEqual},
                     false},
           Condition{"xor", Dwords{kPredicate | kLoad} + sources(5, 6) + Dwords{kPredicate | kLoad | kXor | kEqual},
                     true},
           Condition{"same difference as before",
                     sources(5, 3) + Dwords{kPredicate} + sources(9, 7) + Dwords{kPredicate | kLoad | kDeltas}, true},
           Condition{"written", {0x11080001, 0x418, 1}, true},
       }) {
    Machine m;
    ASSERT_EQ(m.run(c.before + post_sync(walker_with(0, 0x72080126), 1, kData, 9)).kind, K::kBatchDone) << c.name;
    EXPECT_EQ(m.threads.size(), c.runs ? 1u : 0u) << c.name;
    EXPECT_EQ(m.memory.dword(kData), c.runs ? 9u : 0u) << c.name << ": post-sync";
  }
}

// ---- refusals ------------------------------------------------------------------------------------

struct Refusal {
  const char* name;
  unsigned dword;
  std::uint32_t value;
  CsStepKind kind;
};

TEST(CsCompute, RefusesWalkersThatCannotRun) {
  for (const Refusal& c : {
           Refusal{"resume variant", 0, 0x72088026, K::kBadCommand},
           Refusal{"a dword short", 0, 0x72080025, K::kBadCommand},
           Refusal{"partition", 0, 0x72080226, K::kUnsupportedShader},
           Refusal{"SIMD 8", 4, 0x00000000, K::kBadCommand},
           Refusal{"reserved SIMD", 4, 0xC0000000, K::kBadCommand},
           Refusal{"tiled ids", 4, 0x40080000, K::kUnsupportedShader},
           Refusal{"reserved walk order", 4, 0x41800000, K::kBadCommand},
           Refusal{"ids that are emitted and not generated", 4, 0x44000000, K::kUnsupportedShader},
           Refusal{"no thread", 24, 0, K::kBadCommand},
           Refusal{"65 threads", 24, 65, K::kBadCommand},
           Refusal{"reserved SLM size", 24, 0x000F0001, K::kBadCommand},
           Refusal{"ray tracing", 24, 0x80000001, K::kUnsupportedShader},
           Refusal{"reserved post-sync", 27, 2, K::kBadCommand},
       }) {
    Machine m;
    const CsStep step = m.run(walker_with(c.dword, c.value));
    EXPECT_EQ(step.kind, c.kind) << c.name;
    EXPECT_STRNE(step.reason, "") << c.name;
    EXPECT_TRUE(m.threads.empty()) << c.name;
  }
}

TEST(CsCompute, SlmSizesAreATable) {
  constexpr std::uint32_t kKib[] = {0, 1, 2, 4, 8, 16, 32, 64, 24, 48, 96, 128, 192, 256, 384};
  for (std::uint32_t code = 0; code < std::size(kKib); ++code) {
    std::size_t bytes = 0;
    Machine m([&](EuThread&, EuGroup& group, std::uint64_t) -> EuStop {
      bytes = group.slm().size();
      return {.kind = EuStopKind::kEnded};
    });
    ASSERT_EQ(m.run(walker_with(24, code << 16 | 1)).kind, K::kBatchDone);
    EXPECT_EQ(bytes, kKib[code] * 1024) << code;
  }
}

TEST(CsCompute, KernelsNeedAnEngineThatHasUnits) {
  Machine m;
  m.engine.units = nullptr;
  EXPECT_EQ(m.run(walker()).kind, K::kUnsupportedShader);
  m.engine.units = &m.units;
  m.engine.engine_class = CsEngineClass::kCopy;
  EXPECT_EQ(m.run(walker()).kind, K::kBadCommand);
  EXPECT_EQ(m.run({0xAC000003, 0, 0, 0, 0}).kind, K::kBadCommand);
}

}  // namespace
}  // namespace softxe
