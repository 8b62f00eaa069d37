#include "hw/eu/eu_trace.h"

#include <gtest/gtest.h>

#include <string>

#include "hw/eu/eu_exec_rig.h"

namespace softxe {
namespace {

using namespace eu_test;

struct ParseRow {
  const char* text;
  bool good;
  std::optional<std::uint64_t> number, address;
  std::optional<EuTriple> group;
  std::optional<std::uint32_t> thread;
};

TEST(EuTrace, ChoicesAreKernelGroupAndThread) {
  const ParseRow rows[] = {
      {"1:0:0", true, 1, {}, EuTriple{0, 0, 0}, 0},
      {"12:3,4,5:63", true, 12, {}, EuTriple{3, 4, 5}, 63},
      {"0xffff00001000:7,1:*", true, {}, 0xffff00001000, EuTriple{7, 1, 0}, {}},
      {"*:*:*", true, {}, {}, {}, {}},
      {"", false, {}, {}, {}, {}},
      {"1:0", false, {}, {}, {}, {}},
      {"1:0:64", false, {}, {}, {}, {}},
      {"1:1,2,3,4:0", false, {}, {}, {}, {}},
      {"1:x:0", false, {}, {}, {}, {}},
      {"one:0:0", false, {}, {}, {}, {}},
      {"1:0:0:0", false, {}, {}, {}, {}},
  };
  for (const ParseRow& row : rows) {
    SCOPED_TRACE(row.text);
    const auto choice = eu_parse_trace(row.text);
    ASSERT_EQ(choice.has_value(), row.good);
    if (!choice) continue;
    EXPECT_EQ(choice->number, row.number);
    EXPECT_EQ(choice->address, row.address);
    EXPECT_EQ(choice->group, row.group);
    EXPECT_EQ(choice->thread, row.thread);
  }
}

/// Chosen for one test only.
class EuTraceChosen : public testing::Test {
 protected:
  ~EuTraceChosen() override { eu_set_trace({}); }
};

TEST_F(EuTraceChosen, ThreadsAreChosenWhenTheyStart) {
  EuWalker walker;
  walker.number = 2;
  walker.kernel = GpuVa(0x4000);
  walker.threads = 4;
  EuThread thread;
  const auto traced = [&](const char* choice, EuTriple group, std::uint32_t number) {
    eu_set_trace(*eu_parse_trace(choice));
    eu_start_thread(thread, walker, {.group = group, .thread = number, .hw_id = 0});
    return thread.traced;
  };
  EXPECT_EQ(traced("2:0:3", {0, 0, 0}, 3), 2u);
  EXPECT_EQ(traced("2:0:3", {0, 0, 0}, 2), 0u);
  EXPECT_EQ(traced("2:0:3", {0, 1, 0}, 3), 0u);
  EXPECT_EQ(traced("1:0:3", {0, 0, 0}, 3), 0u);
  EXPECT_EQ(traced("0x4000:*:*", {9, 9, 9}, 1), 2u);
  EXPECT_EQ(traced("0x4040:*:*", {9, 9, 9}, 1), 0u);
  eu_set_trace({});
  eu_start_thread(thread, walker, {.group = {}, .thread = 0, .hw_id = 0});
  EXPECT_EQ(thread.traced, 0u);
}

class EuTraceText : public testing::Test, public EuExecRig {
 protected:
  EuTraceText() : EuExecRig(EuLevel::kPlain) { thread().traced = 5; }

  std::string trace(const std::string& text) {
    load(".simd 16\n" + text + kEnd);
    EuEnv env{.program = program_, .group = group_, .memory = memory_};
    testing::internal::CaptureStderr();
    stop_ = eu_trace_thread(thread(), env, 1000);
    return testing::internal::GetCapturedStderr();
  }
  EuStop stop_;
};

TEST_F(EuTraceText, ShowsWhatAnInstructionReadsAndWrites) {
  const std::string text = trace(R"(
    add (16|M0) r10.0<1>:d r1.0<1;1,0>:d 3:d
    mov (16|M0) r11.0<1>:f 1.5:f
    cmp (16|M0) (lt)f0.0 null:d r1.0<1;1,0>:d 5:d)");
  EXPECT_EQ(stop_.kind, EuStopKind::kEnded);
  EXPECT_EQ(row(10), each([](std::uint32_t k) { return k + 3; }));
  for (const char* line : {
           "softxe trace: kernel 5 at 0x120000, group 0,0,0, thread 0 on hardware thread 0, 16 lanes\n",
           "  0 0x120000 add (16|M0) r10.0<1>:d r1.0<1;1,0>:d 0x3:d   mask 0000ffff\n",
           "      src0  00000000 00000001 00000002 00000003 00000004",
           "      src1  00000003 (all 16)\n",
           "      dst   00000003 00000004 00000005",
           "      dst   1.5 (all 16)\n",
           "      f0 0000001f\n",
           "      ends\n",
       }) {
    EXPECT_NE(text.find(line), std::string::npos) << line << "\nis not in\n" << text;
  }
}

TEST_F(EuTraceText, ShowsTheRegistersOfMessages) {
  memory_.map(0x40000, kPageSize);
  memory_.at(0x40004) = std::byte{0x7b};
  const std::string text = trace(R"(
    mov (16|M0) r12.0<1>:q 0x40004:q
    load.ugm.d32.a64 (16|M0) r20 r12)");
  EXPECT_EQ(stop_.kind, EuStopKind::kEnded);
  EXPECT_NE(text.find("      src0  r12: 00040004 00000000 00040004"), std::string::npos) << text;
  EXPECT_NE(text.find("      dst   r20: 0000007b 0000007b"), std::string::npos) << text;
}

TEST_F(EuTraceText, EndsWithTheInstructionThatFails) {
  const std::string text = trace("    mov (16|M0) r12.0<1>:q 0x666000:q\n    load.ugm.d32.a64 (16|M0) r20 r12");
  EXPECT_EQ(stop_.kind, EuStopKind::kFault);
  EXPECT_NE(text.find("      fails by a page fault"), std::string::npos) << text;
}

}  // namespace
}  // namespace softxe
