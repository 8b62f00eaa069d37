// Whole threads: code in memory, carried out to its end. Results stand in registers.
#include "hw/eu/eu_exec.h"

#include <gtest/gtest.h>
#include <xmmintrin.h>

#include <optional>
#include <string>

#include "hw/eu/eu_exec_rig.h"
#include "hw/eu/eu_start.h"

namespace softxe {
namespace {

using namespace eu_test;

class EuExec : public testing::TestWithParam<EuLevel>, public EuExecRig {
 protected:
  EuExec() : EuExecRig(GetParam()) {}
};

TEST_P(EuExec, GotoAndJoinDivergeAndMeet) {
  run_to_end(R"(
    mov (16|M0) r10.0<1>:d 7:d
    cmp (16|M0) (lt)f0.0 null:d r1.0<1;1,0>:d 5:d
    (~f0.0) goto (16|M0) other other
    mov (16|M0) r10.0<1>:d 1:d
    goto (16|M0) other end
  other:
    join (16|M0) end
    mov (16|M0) r10.0<1>:d 2:d
  end:
    join (16|M0) out
  out:
    add (16|M0) r10.0<1>:d r10.0<1;1,0>:d 10:d)");
  EXPECT_EQ(row(10), each([](std::uint32_t k) { return k < 5 ? 11u : 12u; }));
  EXPECT_EQ(thread().mask, 0xFFFFu);
}

TEST_P(EuExec, BackwardGotoLoopsUntilTheLastChannelIsDone) {
  run_to_end(R"(
    mov (16|M0) r10.0<1>:d 0:d
    mov (16|M0) r11.0<1>:d r1.0<1;1,0>:d
  top:
    add (16|M0) r10.0<1>:d r10.0<1;1,0>:d r11.0<1;1,0>:d
    add (16|M0) (gt)f0.0 r11.0<1>:d r11.0<1;1,0>:d -1:d
    (f0.0) goto.b (16|M0) done top
  done:
    join (16|M0) after
  after:
    add (16|M0) r10.0<1>:d r10.0<1;1,0>:d 1000:d)");
  EXPECT_EQ(row(10), each([](std::uint32_t k) { return k * (k + 1) / 2 + 1000; }));
}

TEST_P(EuExec, ARegisterThatAMessageFilledIsZeroInTheNextThread) {
  thread().touched = {};  // all registers but r1 are zero
  thread().touched.add_registers(1, 1);
  run_to_end(R"(
    mov (16|M0) r10.0<1>:uq 0x120000:uq
    load.ugm.d32x4.a64 (16|M0) r20 r10
    mul (16|M0) acc0.0<1>:d r20.0<1;1,0>:d r1.0<2;1,0>:uw)");
  ASSERT_NE(row(23), each([](std::uint32_t) { return 0u; }));
  EuWalker walker;
  walker.local_ids = {};
  eu_start_thread(thread(), walker, {});
  for (unsigned reg = 1; reg < 128; ++reg) EXPECT_EQ(row(reg), each([](std::uint32_t) { return 0u; })) << reg;
  for (const std::int64_t wide : thread().acc_wide) EXPECT_EQ(wide, 0);
}

TEST_P(EuExec, StructuredIfElse) {
  run_to_end(R"(
    cmp (16|M0) (lt)f0.0 null:d r1.0<1;1,0>:d 5:d
    (f0.0) if (16|M0) no end
    mov (16|M0) r10.0<1>:d 1:d
    else (16|M0) end end
  no:
    mov (16|M0) r10.0<1>:d 2:d
  end:
    endif (16|M0) out
  out:
    add (16|M0) r10.0<1>:d r10.0<1;1,0>:d 10:d)");
  EXPECT_EQ(row(10), each([](std::uint32_t k) { return k < 5 ? 11u : 12u; }));
}

TEST_P(EuExec, IfThatNobodyTakesGoesToElse) {
  run_to_end(R"(
    mov (16|M0) r10.0<1>:d 5:d
    cmp (16|M0) (lt)f0.0 null:d r1.0<1;1,0>:d 0:d
    (f0.0) if (16|M0) no end
    mov (16|M0) r10.0<1>:d 1:d
    else (16|M0) end end
  no:
    mov (16|M0) r10.0<1>:d 2:d
  end:
    endif (16|M0) out
  out:
    nop)");
  EXPECT_EQ(row(10), each([](std::uint32_t) { return 2u; }));
}

TEST_P(EuExec, WhileWithBreakAndContinue) {
  // Counts to k, skips 3 by cont, and leaves at 9 by break.
  run_to_end(R"(
    mov (16|M0) r10.0<1>:d 0:d
    mov (16|M0) r11.0<1>:d 0:d
  top:
    add (16|M0) r11.0<1>:d r11.0<1;1,0>:d 1:d
    cmp (16|M0) (eq)f0.0 null:d r11.0<1;1,0>:d 9:d
    (f0.0) break (16|M0) next out
  next:
    cmp (16|M0) (eq)f0.0 null:d r11.0<1;1,0>:d 3:d
    (f0.0) cont (16|M0) end end
    add (16|M0) r10.0<1>:d r10.0<1;1,0>:d r11.0<1;1,0>:d
  end:
    cmp (16|M0) (lt)f0.0 null:d r11.0<1;1,0>:d r1.0<1;1,0>:d
    (f0.0) while (16|M0) top
  out:
    add (16|M0) r10.0<1>:d r10.0<1;1,0>:d 100:d)");
  EXPECT_EQ(row(10), each([](std::uint32_t k) {
              std::uint32_t sum = 0;
              for (std::uint32_t i = 1; i < 9 && (i == 1 || i <= k); ++i) sum += i == 3 ? 0 : i;
              return sum + 100;
            }));
}

TEST_P(EuExec, CallsKeepTheirMaskAndReturn) {
  run_to_end(R"(
    mov (16|M0) r10.0<1>:d 0:d
    cmp (16|M0) (lt)f0.0 null:d r1.0<1;1,0>:d 5:d
    (~f0.0) goto (16|M0) end end
    call (16|M0) r5.0 function
  end:
    join (16|M0) out
  out:
    add (16|M0) r10.0<1>:d r10.0<1;1,0>:d 1:d
    jmpi finish
  function:
    add (16|M0) r10.0<1>:d r10.0<1;1,0>:d 50:d
    ret (16|M0) r5.0
  finish:
    nop)");
  EXPECT_EQ(row(10), each([](std::uint32_t k) { return k < 5 ? 51u : 1u; }));
  EXPECT_EQ(get(thread(), 5, EuType::kUD, 1), 0xFFFFu);
}

TEST_P(EuExec, ChannelsThatWaitInAnOuterCallStayAsleep) {
  // Channels 8 to 15 wait at `meet` in the first call while 0 to 7 pass it in the second one.
  run_to_end(R"(
    (W) mov (1|M0) r13.0<1>:d 0:d
    call (16|M0) r5.0 function
    jmpi finish
  function:
    (W) add (1|M0) r13.0<1>:d r13.0<0;1,0>:d 1:d
    (W) mul (1|M0) r15.0<1>:d r13.0<0;1,0>:d -8:w
    (W) add (1|M0) r15.0<1>:d r15.0<0;1,0>:d 16:d
    cmp (16|M0) (lt)f0.0 null:d r1.0<1;1,0>:d r15.0<0;1,0>:d
    (~f0.0) goto (16|M0) meet meet
    call (16|M0) r6.0 function
  meet:
    join (16|M0) met
  met:
    add (16|M0) r10.0<1>:d r10.0<1;1,0>:d r13.0<0;1,0>:d
    (W) cmp (1|M0) (eq)f1.0 null:d r13.0<0;1,0>:d 2:d
    (f1.0) jmpi inner
    ret (16|M0) r5.0
  inner:
    (W) mov (1|M0) r13.0<1>:d 1:d
    ret (16|M0) r6.0
  finish:
    nop)");
  EXPECT_EQ(row(10), each([](std::uint32_t k) { return k < 8 ? 3u : 1u; }));
}

TEST_P(EuExec, ReturnAddressesCountFromTheInstructionBase) {
  load(".simd 16\n nop\n call (16|M0) r5.0 next\n next: nop\n" + std::string(kEnd));
  EXPECT_EQ(run(2).kind, EuStopKind::kBudget);
  EXPECT_EQ(get(thread(), 5, EuType::kUD, 0), kCode - kBase + 32);
}

TEST_P(EuExec, JmpiLooksAtOneFlagAndNotAtTheMask) {
  run_to_end(R"(
    (W) mov (1|M0) r10.0<1>:d 1:d
    (W) cmp (1|M0) (eq)f0.0 null:d r10.0<0;1,0>:d 1:d
    (f0.0) jmpi over
    (W) mov (1|M0) r10.0<1>:d 2:d
  over:
    nop)");
  EXPECT_EQ(row(10)[0], 1u);
}

TEST_P(EuExec, MultiplyIdiomGivesTheWholeProduct) {
  for (unsigned k = 0; k < 16; ++k) {
    put(thread(), 2, EuType::kUD, 0x9E3779B9u * (k + 1), k);
    put(thread(), 3, EuType::kUD, 0x85EBCA6Bu * (k + 7), k);
  }
  run_to_end(R"(
    mul (16|M0) acc0.0<1>:ud r2.0<1;1,0>:ud r3.0<2;1,0>:uw
    macl (16|M0) r10.0<1>:ud r2.0<1;1,0>:ud r3.0<1;1,0>:ud
    mul (16|M0) acc0.0<1>:ud r2.0<1;1,0>:ud r3.0<2;1,0>:uw
    mach (16|M0) r11.0<1>:ud r2.0<1;1,0>:ud r3.0<1;1,0>:ud
    mul (16|M0) acc0.0<1>:d r2.0<1;1,0>:d r3.0<2;1,0>:uw
    mach (16|M0) r12.0<1>:d r2.0<1;1,0>:d r3.0<1;1,0>:d
    addc (16|M0) r13.0<1>:ud r2.0<1;1,0>:ud r3.0<1;1,0>:ud
    mov (16|M0) r14.0<1>:ud acc0.0<1;1,0>:ud
    subb (16|M0) r15.0<1>:ud r2.0<1;1,0>:ud r3.0<1;1,0>:ud
    mov (16|M0) r16.0<1>:ud acc0.0<1;1,0>:ud)");
  const auto a = [](std::uint32_t k) { return std::uint64_t{0x9E3779B9u * (k + 1)}; };
  const auto b = [](std::uint32_t k) { return std::uint64_t{0x85EBCA6Bu * (k + 7)}; };
  const auto low = [](std::uint64_t value) { return static_cast<std::uint32_t>(value); };
  const auto as_signed = [](std::uint64_t value) { return std::int64_t{static_cast<std::int32_t>(value)}; };
  EXPECT_EQ(row(10), each([&](std::uint32_t k) { return low(a(k) * b(k)); }));
  EXPECT_EQ(row(11), each([&](std::uint32_t k) { return low(a(k) * b(k) >> 32); }));
  EXPECT_EQ(row(12), each([&](std::uint32_t k) {
              return low(static_cast<std::uint64_t>(as_signed(a(k)) * as_signed(b(k)) >> 32));
            }));
  EXPECT_EQ(row(13), each([&](std::uint32_t k) { return low(a(k) + b(k)); }));
  EXPECT_EQ(row(14), each([&](std::uint32_t k) { return low((a(k) + b(k)) >> 32); }));
  EXPECT_EQ(row(15), each([&](std::uint32_t k) { return low(a(k) - b(k)); }));
  EXPECT_EQ(row(16), each([&](std::uint32_t k) { return a(k) < b(k) ? 1u : 0u; }));
}

TEST_P(EuExec, SixtyFourBitCompareReadsAndWritesOneFlag) {
  // Equal low halves and a smaller high half: both comparisons on f0.0.
  run_to_end(R"(
    mov (16|M0) r2.0<1>:d 4:d
    cmp (16|M0) (lt)f0.0 null:d r1.0<1;1,0>:d 8:d
    (f0.0) cmp (16|M0) (gt)f0.0 null:d r1.0<1;1,0>:d r2.0<1;1,0>:d
    mov (16|M0) r10.0<1>:d 0:d
    (f0.0) mov (16|M0) r10.0<1>:d 1:d)");
  EXPECT_EQ(row(10), each([](std::uint32_t k) { return k > 4 && k < 8 ? 1u : 0u; }));
}

TEST_P(EuExec, RoundingFollowsTheControlRegister) {
  run_to_end(R"(
    (W) mov (1|M0) r2.0<1>:ud 0x3F800000:ud
    (W) mov (1|M0) r2.1<1>:ud 0x30000000:ud
    (W) add (1|M0) r10.0<1>:f r2.0<0;1,0>:f r2.1<0;1,0>:f
    (W) xor (1|M0) cr0.0<1>:ud cr0.0<0;1,0>:ud 0x10:ud
    (W) add (1|M0) r10.1<1>:f r2.0<0;1,0>:f r2.1<0;1,0>:f
    (W) xor (1|M0) cr0.0<1>:ud cr0.0<0;1,0>:ud 0x10:ud
    (W) add (1|M0) r10.2<1>:f r2.0<0;1,0>:f r2.1<0;1,0>:f)");
  EXPECT_EQ(row(10)[0], 0x3F800000u);
  EXPECT_EQ(row(10)[1], 0x3F800001u);
  EXPECT_EQ(row(10)[2], 0x3F800000u);
}

TEST_P(EuExec, HostRoundingIsPutBack) {
  const unsigned before = _mm_getcsr();
  run_to_end("(W) or (1|M0) cr0.0<1>:ud cr0.0<0;1,0>:ud 0x30:ud");
  EXPECT_EQ(_mm_getcsr(), before);
}

TEST_P(EuExec, IndirectRegistersShuffle) {
  run_to_end(R"(
    mul (16|M0) r2.0<1>:uw r1.0<2;1,0>:uw 4:uw
    xor (16|M0) a0.0<1>:uw r2.0<1;1,0>:uw 4:uw
    mov (16|M0) r10.0<1>:d r[a0.0,64]<1,0>:d)");
  EXPECT_EQ(row(10), each([](std::uint32_t k) { return k ^ 1; }));
}

TEST_P(EuExec, StopsAtTheBudgetAndGoesOn) {
  thread().grf = {};
  load(".simd 16\n top: add (16|M0) r10.0<1>:d r10.0<1;1,0>:d 1:d\n jmpi top\n");
  for (unsigned i = 0; i < 10; ++i) EXPECT_EQ(run(7).kind, EuStopKind::kBudget);
  EXPECT_EQ(thread().instructions, 70u);
  EXPECT_EQ(row(10)[0], 35u);
}

TEST_P(EuExec, IllegalInstructionsStopWithTheirAddress) {
  load(".simd 16\n nop\n .data 00000000000000000000000000000000\n");
  const EuStop stop = run();
  EXPECT_EQ(stop.kind, EuStopKind::kIllegal);
  EXPECT_EQ(stop.ip.value(), kCode + 16);
  EXPECT_EQ(thread().ip, kCode + 16);
  EXPECT_STREQ(stop.reason, "the illegal instruction");
}

/// A thread whose second instruction is illegal, and a routine that notes cr0.1 and cr0.2, skips it and returns.
class EuSystemRoutine : public EuExec {
 protected:
  static constexpr std::uint64_t kRoutine = kCode + kPageSize;
  static constexpr std::uint32_t kEnabled = 1u << 12;

  EuSystemRoutine() {
    load(".simd 16\n mov (16|M0) r10.0<1>:d 1:d\n .data 7f000000000000000000000000000000\n" +
         std::string("mov (16|M0) r11.0<1>:d 2:d") + kEnd);
    load(
        ".simd 16\n"
        "(W) mov (1|M0) r20.0<1>:ud cr0.1<0;1,0>:ud\n"
        "(W) mov (1|M0) r20.1<1>:ud cr0.2<0;1,0>:ud\n"
        "(W) mov (1|M0) r20.2<1>:ud cr0.0<0;1,0>:ud\n"
        "(W) add (1|M0) cr0.2<1>:ud cr0.2<0;1,0>:ud 16:ud\n"
        "(W) and (1|M0) cr0.1<1>:ud cr0.1<0;1,0>:ud 0x7fffff:ud\n"
        "(W) and (1|M0) cr0.0<1>:ud cr0.0<0;1,0>:ud 0x7ffffffd:ud\n"
        ".data 00000000000000000000000000000000\n",
        kRoutine);
    name_routine(kRoutine);
  }
  void name_routine(std::optional<std::uint64_t> at) {
    EuBases bases;
    if (at) bases.system_routine = GpuVa(*at);
    group_.restart(bases);
  }
};

TEST_P(EuSystemRoutine, TakesAnIllegalInstructionThatTheThreadEnabled) {
  thread().cr[1] = kEnabled;
  ASSERT_EQ(run().kind, EuStopKind::kEnded);
  EXPECT_EQ(row(20)[0], kEnabled | kEnabled << 16) << "cr0.1: enabled, and its status";
  EXPECT_EQ(row(20)[1], kCode - kBase + 16) << "cr0.2: where it happened, from the instruction base";
  EXPECT_EQ(row(20)[2] >> 31, 1u) << "cr0.0: in the routine";
  EXPECT_EQ(row(11), each([](std::uint32_t) { return 2u; })) << "goes on behind it";
  EXPECT_EQ(thread().cr[0] >> 31, 0u);
  EXPECT_EQ(thread().cr[1], kEnabled);
}

TEST_P(EuSystemRoutine, IsTakenAndLeftUnderAnyBudget) {
  thread().cr[1] = kEnabled;
  EuStop stop;
  for (unsigned i = 0; i < 20 && stop.kind == EuStopKind::kBudget; ++i) stop = run(1);
  EXPECT_EQ(stop.kind, EuStopKind::kEnded);
  EXPECT_EQ(row(11)[0], 2u);
}

TEST_P(EuSystemRoutine, WhatNobodyTakesEndsTheJob) {
  EXPECT_EQ(run().ip.value(), kCode + 16) << "not enabled";
  name_routine(std::nullopt);
  thread().cr[1] = kEnabled;
  EXPECT_EQ(run().ip.value(), kCode + 16) << "no routine";
  name_routine(kRoutine + 6 * 16);
  const EuStop stop = run();
  EXPECT_EQ(stop.kind, EuStopKind::kIllegal);
  EXPECT_EQ(stop.ip.value(), kRoutine + 6 * 16) << "illegal in the routine itself";
}

TEST_P(EuSystemRoutine, ARoutineThatSkipsNothingIsStoppedByTheBudget) {
  load(".simd 16\n (W) and (1|M0) cr0.0<1>:ud cr0.0<0;1,0>:ud 0x7ffffffd:ud\n", kRoutine);
  thread().cr[1] = kEnabled;
  EXPECT_EQ(run(50).kind, EuStopKind::kBudget);
  EXPECT_EQ(thread().instructions, 50u);
}

INSTANTIATE_TEST_SUITE_P(Levels, EuSystemRoutine, testing::Values(EuLevel::kGeneric, eu_host_level()));

TEST_P(EuExec, RegistersBeyondTheLastAreIllegal) {
  load(".simd 16\n mov (32|M0) r127.0<1>:d 0:d\n");
  EXPECT_EQ(run().kind, EuStopKind::kIllegal);
}

TEST_P(EuExec, CodeThatCannotBeReadIsAFault) {
  thread().ip = 0x900000;
  const EuStop stop = run();
  EXPECT_EQ(stop.kind, EuStopKind::kFault);
  EXPECT_EQ(stop.ip.value(), 0x900000u);
}

TEST_P(EuExec, NothingBehindTheEndIsRead) {
  // The end of thread is the last instruction of the last page.
  const std::uint64_t at = kCode + 2 * kPageSize - 16;
  load(kEnd, at);
  thread().ip = at;
  EXPECT_EQ(run().kind, EuStopKind::kEnded);
  EXPECT_TRUE(memory_.faults.empty());
}

TEST_P(EuExec, AnInstructionMayLieInTwoPages) {
  const std::uint64_t at = kCode + kPageSize - 24;
  load(".simd 16\n mov (16|M0) r10.0<1>:ud 0x12345678:ud\n mov (16|M0) r11.0<1>:ud 0x9abcdef0:ud\n" + std::string(kEnd),
       at);
  thread().ip = at;
  ASSERT_EQ(run().kind, EuStopKind::kEnded);
  EXPECT_EQ(row(11)[3], 0x9abcdef0u);
  // Its second half changes.
  memory_.put<std::uint32_t>(kCode + kPageSize + 4, 7);
  program_.start(GpuVa(kBase));
  thread().ip = at;
  ASSERT_EQ(run().kind, EuStopKind::kEnded);
  EXPECT_EQ(row(11)[3], 7u);
}

TEST_P(EuExec, ChangedCodeIsSeenByTheNextWalker) {
  run_to_end("mov (16|M0) r10.0<1>:ud 0x11111111:ud");
  const std::uint32_t kept = program_.size();
  thread().ip = kCode;
  program_.start(GpuVa(kBase));
  ASSERT_EQ(run().kind, EuStopKind::kEnded);
  EXPECT_EQ(program_.size(), kept) << "decoded twice";
  memory_.put<std::uint32_t>(kCode + 12, 0x22222222);
  thread().ip = kCode;
  program_.start(GpuVa(kBase));
  ASSERT_EQ(run().kind, EuStopKind::kEnded);
  EXPECT_EQ(row(10)[0], 0x22222222u);
}

TEST_P(EuExec, WhatIsBehindTheEndMayChange) {
  run_to_end("mov (16|M0) r10.0<1>:ud 0x11111111:ud");
  const std::uint32_t kept = program_.size();
  memory_.put<std::uint32_t>(kCode + 64, 0x22222222);
  thread().ip = kCode;
  program_.start(GpuVa(kBase));
  ASSERT_EQ(run().kind, EuStopKind::kEnded);
  EXPECT_EQ(program_.size(), kept);
}

TEST_P(EuExec, JumpsAllOverMemoryDoNotFillIt) {
  const EuProgram::Reader reader{.memory = memory_, .thread = thread(), .va_mask = (1ull << 48) - 1};
  for (std::uint64_t page = 0; page < 3 * EuProgram::kPagesMax; ++page) {
    EXPECT_EQ(program_.find(0x10000000 + page * kPageSize, reader), nullptr);
    ASSERT_LE(program_.pages(), EuProgram::kPagesMax);
  }
}

INSTANTIATE_TEST_SUITE_P(Levels, EuExec, testing::Values(EuLevel::kGeneric, eu_host_level()));

}  // namespace
}  // namespace softxe
