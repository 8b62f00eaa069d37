// Commands other than blits: what each stores, how batches flow, and how slices end.
#include "hw/cs/cs_streamer.h"

#include <gtest/gtest.h>

#include <ostream>
#include <string>

#include "base/prng.h"
#include "hw/cs/cs_fake_memory.h"
#include "hw/cs/cs_fuzz.h"
#include "hw/cs/cs_parser.h"

namespace softxe {
namespace {

using Dwords = std::vector<std::uint32_t>;
using K = CsStepKind;

constexpr std::uint64_t kBatch = 0x10000;
constexpr std::uint64_t kBatch2 = 0x18000;
constexpr std::uint32_t kData = 0x20000;
constexpr std::uint32_t kHole = 0x900000;
constexpr std::uint32_t kEnd = 0x05000000;
constexpr std::uint32_t kStopAtEnd = 10000;

struct Machine {
  Machine() {
    memory.map(kBatch);
    memory.map(kBatch2);
    memory.map(kData);
    engine.clock = &clock;
  }
  /// Steps from the start of `batch` until something but kContinue happens.
  CsStep run(const Dwords& batch, std::uint32_t steps_max = kStopAtEnd) {
    memory.put(kBatch, batch);
    context.start_batch(GpuVa(kBatch));
    return go(steps_max);
  }
  CsStep go(std::uint32_t steps_max = kStopAtEnd) {
    CsStep step;
    for (std::uint32_t i = 0; i < steps_max; ++i) {
      step = cs_step(context, memory, engine);
      if (step.kind != K::kContinue) break;
    }
    return step;
  }

  ManualClock clock;
  FakeCsMemory memory;
  CsEngine engine{.engine_class = CsEngineClass::kRender,
                  .mmio_base = 0x2000,
                  .reference_clock_hz = 1'000'000'000,
                  .va_bits = 48,
                  .clock = nullptr};
  CsContext context;
};

Dwords operator+(Dwords a, const Dwords& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

/// An inline 4-byte atomic on kData.
Dwords atomic4(std::uint32_t op, std::uint32_t operand1, std::uint32_t operand2 = 0) {
  return {0x17840009 | op << 8, kData, 0, operand1, operand2, 0, 0, 0, 0, 0, 0};
}
Dwords atomic8(std::uint32_t op, std::uint64_t operand1, std::uint64_t operand2 = 0) {
  const auto lo = [](std::uint64_t v) { return static_cast<std::uint32_t>(v); };
  const auto hi = [](std::uint64_t v) { return static_cast<std::uint32_t>(v >> 32); };
  return {0x178c0009 | (op | 0x20) << 8, kData, 0, lo(operand1), lo(operand2), hi(operand1), hi(operand2), 0, 0, 0, 0};
}
Dwords cond_end(std::uint32_t code, std::uint32_t value) { return {0x1b200002 | code << 12, value, kData, 0}; }
Dwords semaphore(std::uint32_t code, std::uint32_t value) { return {0x0e008002 | code << 12, value, kData, 0}; }
/// Sets GPR n (relative), stores it to kData + 8 afterwards.
Dwords set_gpr(std::uint32_t n, std::uint32_t low, std::uint32_t high) {
  return {0x11080003, 0x600 + 8 * n, low, 0x604 + 8 * n, high};
}
Dwords save_gpr(std::uint32_t n) {
  return {0x12080002, 0x600 + 8 * n, kData, 0, 0x12080002, 0x604 + 8 * n, kData + 4, 0};
}
/// GPR2 = GPR0 op GPR1, then `from` into GPR2.
Dwords alu(std::uint32_t op, std::uint32_t from = 0x31) {
  return {0x0d000003, 0x08008000, 0x08008401, op << 20, 0x18000800 | from};
}

/// The body runs on memory where kData holds `before`; afterwards kData holds `after`.
struct Case {
  const char* name;
  Dwords body;
  Dwords before;
  Dwords after;
  K end = K::kBatchDone;
};
std::ostream& operator<<(std::ostream& os, const Case& c) { return os << c.name; }

class Commands : public ::testing::TestWithParam<Case> {};

TEST_P(Commands, LeaveThisInMemory) {
  Machine m;
  m.memory.put(kData, GetParam().before);
  const CsStep step = m.run(GetParam().body + Dwords{kEnd});
  EXPECT_EQ(step.kind, GetParam().end) << step.reason;
  for (std::uint32_t i = 0; i < GetParam().after.size(); ++i) {
    EXPECT_EQ(m.memory.dword(kData + 4 * i), GetParam().after[i]) << "dword " << i;
  }
}

const std::uint32_t kOnes = ~0u;
const Case kStores[] = {
    {"noop", {0, 0x00400001}, {7}, {7}},
    {"arb_check_fence_interrupt", {0x02800000, 0x04800003, 0x01000000, 0x04000001}, {7}, {7}},
    {"predicates_appid_topology", {0x00800001, 0x06000000, 0x06800000, 0x07000000}, {7}, {7}},
    {"signal_force_wakeup", {0x0d800001, 0, 0, 0x0e800000, 0}, {7}, {7}},
    {"sdi_dword", {0x10000002, kData, 0, 0xc0ffee}, {1, 2}, {0xc0ffee, 2}},
    {"sdi_canonical_address", {0x10000002, kData, 0xffff0000, 5}, {}, {5}},
    {"sdi_qword", {0x10200003, kData, 0, 1, 2}, {9, 9, 9}, {1, 2, 9}},
    {"sdi_3_dwords", {0x10000004, kData, 0, 1, 2, 3}, {9, 9, 9, 9}, {1, 2, 3, 9}},
    {"sdi_2_qwords", {0x10200005, kData, 0, 1, 2, 3, 4}, {}, {1, 2, 3, 4, 0}},
    {"copy_mem_mem", {0x17000003, kData + 4, 0, kData, 0}, {5, 6}, {5, 5}},
    {"lri_srm_relative", set_gpr(15, 3, 4) + save_gpr(15), {}, {3, 4}},
    {"lri_absolute", Dwords{0x11000001, 0x2600 + 8, 3} + save_gpr(1), {}, {3, 0}},
    {"lri_other_engine_dropped", Dwords{0x11000001, 0x22600, 3} + save_gpr(0), {}, {0, 0}},
    {"lrm", Dwords{0x14880002, 0x604, kData, 0} + save_gpr(0), {6}, {0, 6}},
    {"lrr", set_gpr(0, 3, 4) + Dwords{0x150c0001, 0x604, 0x608} + save_gpr(1), {}, {4, 0}},
    {"lrr_absolute_source", set_gpr(0, 3, 4) + Dwords{0x15080001, 0x2600, 0x608} + save_gpr(1), {}, {3}},
    {"unknown_register_reads_0", {0x12000002, 0x1234, kData, 0}, {9}, {0}},
    {"flush_without_post_sync", {0x13000003, kData, 0, 5, 5}, {9, 9}, {9, 9}},
    {"flush_imm_dword", {0x13004002, kData, 0, 5}, {9, 9}, {5, 9}},
    {"flush_imm_qword", {0x13004003, kData, 0, 5, 6}, {9, 9}, {5, 6}},
    {"flush_timestamp", {0x1300c003, kData, 0, 0, 0}, {9, 9}, {1, 0}},
    {"pipe_control_plain", {0x7a000004, 0x100000, kData, 0, 5, 6}, {9}, {9}},
    {"pipe_control_short", {0x7a000000, 0x80}, {9}, {9}},
    {"pipe_control_imm", {0x7a000004, 0x104000, kData, 0, 5, 6}, {9, 9}, {5, 6}},
    {"pipe_control_timestamp", {0x7a000004, 0xc000, kData, 0, 5, 6}, {9, 9}, {1, 0}},
    {"report_perf_count", {0x14000002, kData, 0, 77}, {9, 9, 9, 9, 9}, {77, 1, 0, 0, 9}},
    {"math_add", set_gpr(0, kOnes, 0) + set_gpr(1, 1, 2) + alu(0x100) + save_gpr(2), {}, {0, 3}},
    {"math_sub", set_gpr(0, 0, 1) + set_gpr(1, 1, 0) + alu(0x101) + save_gpr(2), {}, {kOnes, 0}},
    {"math_sub_borrow", set_gpr(1, 1, 0) + alu(0x101, 0x33) + save_gpr(2), {}, {kOnes, kOnes}},
    {"math_add_carry",
     set_gpr(0, kOnes, kOnes) + set_gpr(1, 1, 0) + alu(0x100, 0x33) + save_gpr(2),
     {},
     {kOnes, kOnes}},
    {"math_zero_flag", set_gpr(0, 5, 0) + set_gpr(1, 5, 0) + alu(0x104, 0x32) + save_gpr(2), {}, {kOnes, kOnes}},
    {"math_and", set_gpr(0, 12, 3) + set_gpr(1, 10, 1) + alu(0x102) + save_gpr(2), {}, {8, 1}},
    {"math_or", set_gpr(0, 12, 3) + set_gpr(1, 10, 1) + alu(0x103) + save_gpr(2), {}, {14, 3}},
    {"math_xor", set_gpr(0, 12, 3) + set_gpr(1, 10, 1) + alu(0x104) + save_gpr(2), {}, {6, 2}},
    {"math_shl", set_gpr(0, 3, 0) + set_gpr(1, 32, 0) + alu(0x105) + save_gpr(2), {}, {0, 3}},
    {"math_shr", set_gpr(0, 0, 0x80000000) + set_gpr(1, 32, 0) + alu(0x106) + save_gpr(2), {}, {0x80000000, 0}},
    {"math_sar", set_gpr(0, 0, 0x80000000) + set_gpr(1, 32, 0) + alu(0x107) + save_gpr(2), {}, {0x80000000, kOnes}},
    {"math_storeinv", set_gpr(1, 5, 6) + Dwords{0x0d000000, 0x58000801} + save_gpr(2), {}, {~5u, ~6u}},
    {"math_load1", Dwords{0x0d000001, 0x48108000, 0x18000820} + save_gpr(2), {}, {kOnes, kOnes}},
    {"math_loadind",
     set_gpr(0, kData, 0) + Dwords{0x0d000000, 0x08200800} + Dwords{0x12080002, 0x614, kData + 8, 0},
     {1, 2},
     {1, 2, 2}},
    {"math_storeind", set_gpr(0, kData, 0) + set_gpr(1, 8, 9) + Dwords{0x0d000000, 0x18100001}, {}, {8, 9}},
};
INSTANTIATE_TEST_SUITE_P(Stores, Commands, ::testing::ValuesIn(kStores),
                         [](const auto& i) { return std::string(i.param.name); });

const std::uint32_t kMinus1 = ~0u;
const Case kAtomics[] = {
    {"inc", {0x17800501, kData, 0}, {kOnes, 5}, {0, 5}},
    {"dec", {0x17800601, kData, 0}, {0, 5}, {kOnes, 5}},
    {"add_gpr0", set_gpr(0, 3, 0) + Dwords{0x17800701, kData, 0}, {4}, {7}},
    {"cmpxchg_gprs", set_gpr(0, 4, 0) + set_gpr(1, 9, 0) + Dwords{0x17800e01, kData, 0}, {4}, {9}},
    {"land", atomic4(1, 6), {12, 1}, {4, 1}},
    {"lor", atomic4(2, 6), {12}, {14}},
    {"lxor", atomic4(3, 6), {12}, {10}},
    {"move", atomic4(4, 6), {12}, {6}},
    {"add", atomic4(7, 6), {kMinus1, 1}, {5, 1}},
    {"sub", atomic4(8, 6), {12}, {6}},
    {"rsub", atomic4(9, 6), {4}, {2}},
    {"smax", atomic4(0xa, 6), {kMinus1}, {6}},
    {"smin", atomic4(0xb, 6), {kMinus1}, {kMinus1}},
    {"umax", atomic4(0xc, 6), {kMinus1}, {kMinus1}},
    {"umin", atomic4(0xd, 6), {kMinus1}, {6}},
    {"cmpxchg_hit", atomic4(0xe, 12, 6), {12}, {6}},
    {"cmpxchg_miss", atomic4(0xe, 11, 6), {12}, {12}},
    {"predec", atomic4(0xf, 0), {12}, {11}},
    {"inc8", atomic8(5, 0), {kOnes, 5}, {0, 6}},
    {"dec8", atomic8(6, 0), {0, 5}, {kOnes, 4}},
    {"add8", atomic8(7, 0x100000002), {kOnes, 1}, {1, 3}},
    {"smin8", atomic8(0xb, 1), {0, kOnes}, {0, kOnes}},
    {"cmpxchg8", atomic8(0xe, 0x200000001, 0x400000003), {1, 2}, {3, 4}},
    {"returns_old", Dwords{0x17810501, kData, 0} + Dwords{0x12080002, 0x600, kData + 4, 0}, {8}, {9, 8}},
    {"predec_returns_new", Dwords{0x17810f01, kData, 0} + Dwords{0x12080002, 0x600, kData + 4, 0}, {8}, {7, 7}},
    {"misaligned8", {0x17882501, kData + 4, 0}, {1, 2}, {1, 2}, K::kBadCommand},
    {"unknown_op", {0x17800001, kData, 0}, {1}, {1}, K::kBadCommand},
    {"op_16_bytes", {0x17804501, kData, 0}, {1}, {1}, K::kBadCommand},
};
INSTANTIATE_TEST_SUITE_P(Atomics, Commands, ::testing::ValuesIn(kAtomics),
                         [](const auto& i) { return std::string(i.param.name); });

const Dwords kMark = {0x10000002, kData + 4, 0, 1};
const Case kWaits[] = {
    // A conditional end goes on while the comparison holds ...
    {"cond_gt_holds", cond_end(0, 0) + kMark, {5}, {5, 1}},
    {"cond_gt_ends", cond_end(0, 5) + kMark, {5}, {5, 0}},
    {"cond_gt_is_unsigned", cond_end(0, 1) + kMark, {kOnes}, {kOnes, 1}},
    {"cond_ge_holds", cond_end(1, 5) + kMark, {5}, {5, 1}},
    {"cond_lt_ends", cond_end(2, 5) + kMark, {5}, {5, 0}},
    {"cond_le_holds", cond_end(3, 5) + kMark, {5}, {5, 1}},
    {"cond_eq_ends", cond_end(4, 4) + kMark, {5}, {5, 0}},
    {"cond_ne_holds", cond_end(5, 4) + kMark, {5}, {5, 1}},
    // ... a semaphore ends its wait when it becomes true.
    {"wait_gt_over", semaphore(0, 4) + kMark, {5}, {5, 1}},
    {"wait_gt_waits", semaphore(0, 5) + kMark, {5}, {5, 0}, K::kYield},
    {"wait_ge_over", semaphore(1, 5) + kMark, {5}, {5, 1}},
    {"wait_lt_waits", semaphore(2, 5) + kMark, {5}, {5, 0}, K::kYield},
    {"wait_le_over", semaphore(3, 5) + kMark, {5}, {5, 1}},
    {"wait_eq_waits", semaphore(4, 4) + kMark, {5}, {5, 0}, K::kYield},
    {"wait_ne_over", semaphore(5, 4) + kMark, {5}, {5, 1}},
    {"wait_token_form", Dwords{0x0e00c003, 5, kData, 0, 0} + kMark, {5}, {5, 1}},
    {"wait_without_poll_polls", Dwords{0x0e004002, 4, kData, 0} + kMark, {5}, {5, 0}, K::kYield},
    {"wait_register", set_gpr(0, 4, 0) + Dwords{0x0e01c003, 4, 0x2600, 0, 0} + kMark, {5}, {5, 1}},
    {"wait_register_waits", Dwords{0x0e01c003, 4, 0x2600, 0, 0} + kMark, {5}, {5, 0}, K::kYield},
};
INSTANTIATE_TEST_SUITE_P(Waits, Commands, ::testing::ValuesIn(kWaits),
                         [](const auto& i) { return std::string(i.param.name); });

const Case kRefused[] = {
    {"unknown_single_mi", {0x01800000}, {}, {}, K::kBadCommand},
    {"unknown_mi", {0x1f800000, 0}, {}, {}, K::kBadCommand},
    {"reserved_client", {0x20000000}, {}, {}, K::kBadCommand},
    {"all_ones", {kOnes}, {}, {}, K::kBadCommand},
    {"ggtt_sdi", {0x10400002, kData, 0, 5}, {9}, {9}, K::kBadCommand},
    {"ggtt_srm", {0x12400002, 0x2600, kData, 0}, {9}, {9}, K::kBadCommand},
    {"ggtt_atomic", {0x17c00501, kData, 0}, {9}, {9}, K::kBadCommand},
    {"ggtt_wait", {0x0e40c002, 9, kData, 0}, {9}, {9}, K::kBadCommand},
    {"ggtt_flush", {0x13004003, kData | 4, 0, 5, 6}, {9}, {9}, K::kBadCommand},
    {"ggtt_pipe_control", {0x7a000004, 0x1004000, kData, 0, 5, 6}, {9}, {9}, K::kBadCommand},
    {"ggtt_report", {0x14000002, kData | 1, 0, 5}, {9}, {9}, K::kBadCommand},
    {"ggtt_copy_destination", {0x17200003, kData, 0, kData, 0}, {9}, {9}, K::kBadCommand},
    {"status_page", {0x13204003, kData, 0, 5, 6}, {9}, {9}, K::kBadCommand},
    {"prt", {0x1c800001, kData, 0}, {}, {}, K::kBadCommand},
    {"reserved_compare", semaphore(6, 0), {}, {}, K::kBadCommand},
    {"sdi_too_short", {0x10000001, kData, 0}, {9}, {9}, K::kBadCommand},
    {"sdi_half_qword", {0x10200002, kData, 0, 5}, {9}, {9}, K::kBadCommand},
    {"math_bad_operand", {0x0d000000, 0x0800803f}, {}, {}, K::kBadCommand},
    {"math_bad_opcode", {0x0d000000, 0x7ff00000}, {}, {}, K::kBadCommand},
    {"blit_on_render", {0x56c00005, 0, 0, 0, kData, 0, 0}, {9}, {9}, K::kBadCommand},
    {"compute_walker", {0x72080025}, {}, {}, K::kUnsupportedShader},
    {"gpgpu_walker", {0x7105000d}, {}, {}, K::kUnsupportedShader},
    {"primitive", {0x7b000005}, {}, {}, K::kUnsupportedShader},
    {"media_object", {0x71000004}, {}, {}, K::kUnsupportedShader},
    {"store_to_hole", {0x10000002, kHole, 0, 1}, {}, {}, K::kPageFault},
    {"load_from_hole", {0x14880002, 0x600, kHole, 0}, {}, {}, K::kPageFault},
    {"atomic_on_hole", {0x17800501, kHole, 0}, {}, {}, K::kPageFault},
    {"wait_on_hole", {0x0e00c002, 9, kHole, 0}, {}, {}, K::kPageFault},
    {"jump_to_hole", {0x18800101, kHole, 0}, {}, {}, K::kPageFault},
    {"above_47_bits_is_ignored_not_bit_47", {0x10000002, kData, 0x8000, 1}, {9}, {9}, K::kPageFault},
};
INSTANTIATE_TEST_SUITE_P(Refused, Commands, ::testing::ValuesIn(kRefused),
                         [](const auto& i) { return std::string(i.param.name); });

struct Length {
  std::uint32_t header;
  std::uint32_t dwords;
};
TEST(CsParser, KnowsLengths) {
  const Length lengths[] = {
      {0x00000000, 1},  {0x07ffffff, 1},   {0x0d000003, 5},  {0x0e000003, 5},  {0x100003ff, 1025}, {0x10200003, 5},
      {0x1300c003, 5},  {0x130000c3, 5},   {0x11000003, 5},  {0x17840009, 11}, {0x18800001, 3},    {0x56800008, 10},
      {0x5040000a, 12}, {0x50400014, 22},  {0x5100000e, 16}, {0x7a000004, 6},  {0x7a000000, 2},    {0x69040000, 1},
      {0x6904ffff, 1},  {0x79170101, 259}, {0x61010014, 22}, {0x78170101, 3},  {0x72000004, 6},
  };
  for (const Length& l : lengths) {
    EXPECT_EQ(parse_cs_header(l.header).dwords, l.dwords) << std::hex << l.header;
  }
}

TEST(CsFlowTest, RenderStateIsSkippedByLengthWithoutReadingIt) {
  Machine m;
  // A declaration list of 512 dwords: its body lies in a page that is not there, like what follows.
  const std::uint64_t state = kBatch + kPageSize - 4;
  m.memory.put(state, {0x791701fe});
  m.context.start_batch(GpuVa(state));
  EXPECT_EQ(cs_step(m.context, m.memory, m.engine).kind, K::kContinue);
  EXPECT_EQ(m.context.pc.value(), state + 4ull * 512);
  EXPECT_EQ(m.go().kind, K::kPageFault);
}

TEST(CsFlowTest, OfTheRenderStateACopyEngineTakesTheFenceAddressOnly) {
  for (const auto& [header, end] : {std::pair{0x61090001u, K::kBatchDone}, {0x61010014u, K::kBadCommand}}) {
    Machine m;
    m.engine.engine_class = CsEngineClass::kCopy;
    EXPECT_EQ(m.run({header, kData, 0, kEnd}).kind, end) << std::hex << header;
  }
}

TEST(CsFlowTest, NothingBehindTheEndIsRead) {
  Machine m;
  m.memory.put(kBatch + kPageSize - 4, {kEnd});
  m.context.start_batch(GpuVa(kBatch + kPageSize - 4));
  EXPECT_EQ(m.go().kind, K::kBatchDone);
  EXPECT_FALSE(m.context.running);
}

TEST(CsFlowTest, BatchesCrossPages) {
  Machine m;
  m.memory.map(kBatch + kPageSize);
  const std::uint64_t at = kBatch + kPageSize - 8;
  m.memory.put(at, {0x10000002, kData, 0, 42, kEnd});
  m.context.start_batch(GpuVa(at));
  EXPECT_EQ(m.go().kind, K::kBatchDone);
  EXPECT_EQ(m.memory.dword(kData), 42u);
}

TEST(CsFlowTest, AFaultTellsWhereAndStaysThere) {
  Machine m;
  const CsStep step = m.run({0, 0x10000002, kHole, 0, 1, kEnd});
  EXPECT_EQ(step.kind, K::kPageFault);
  EXPECT_EQ(step.header, 0x10000002u);
  EXPECT_EQ(step.address.value(), kBatch + 4);
  m.memory.map(kHole);
  EXPECT_EQ(m.go().kind, K::kBatchDone);
  EXPECT_EQ(m.memory.dword(kHole), 1u);
}

TEST(CsFlowTest, AJumpReplacesTheBatchAndACallReturns) {
  const auto to = static_cast<std::uint32_t>(kBatch2);
  for (const bool call : {false, true}) {
    Machine m;
    m.memory.put(kBatch2, Dwords{0x10000002, kData, 0, 1, kEnd});
    const Dwords start = {call ? 0x18c00101u : 0x18800101u, to, 0};
    EXPECT_EQ(m.run(start + kMark + Dwords{kEnd}).kind, K::kBatchDone);
    EXPECT_EQ(m.memory.dword(kData), 1u);
    EXPECT_EQ(m.memory.dword(kData + 4), call ? 1u : 0u);
  }
}

TEST(CsFlowTest, ACondEndReturnsFromTheSecondLevelOnly) {
  Machine m;
  m.memory.put(kBatch2, cond_end(0, 0) + Dwords{0x10000002, kData + 8, 0, 1, kEnd});
  EXPECT_EQ(m.run(Dwords{0x18c00101, kBatch2, 0} + kMark + Dwords{kEnd}).kind, K::kBatchDone);
  EXPECT_EQ(m.memory.dword(kData + 4), 1u);
  EXPECT_EQ(m.memory.dword(kData + 8), 0u);
}

TEST(CsFlowTest, TheFourthLevelIsRefused) {
  Machine m;
  const CsStep step = m.run({0x18c00101, kBatch, 0, kEnd});
  EXPECT_EQ(step.kind, K::kBadCommand);
  EXPECT_EQ(m.context.depth, 2u);
}

TEST(CsFlowTest, ASemaphoreIsExecutedAgain) {
  Machine m;
  EXPECT_EQ(m.run(semaphore(4, 3) + kMark + Dwords{kEnd}).kind, K::kYield);
  EXPECT_EQ(m.go().kind, K::kYield);
  m.memory.put(kData, {3});
  EXPECT_EQ(m.go().kind, K::kBatchDone);
  EXPECT_EQ(m.memory.dword(kData + 4), 1u);
}

TEST(CsFlowTest, CommandsAreFetchedFreshEveryTime) {
  Machine m;
  // The batch overwrites its own next command with an end.
  const Dwords batch = {0x10000002, kBatch + 16, 0, kEnd, 0x18800101, kHole, 0};
  EXPECT_EQ(m.run(batch).kind, K::kBatchDone);
}

TEST(CsFlowTest, FiveLevelAddressesKeepBit56) {
  Machine m;
  m.engine.va_bits = 57;
  const std::uint64_t high = std::uint64_t{1} << 56 | kData;
  m.memory.map(high);
  EXPECT_EQ(m.run({0x10000002, kData, 0xff000000, 5, kEnd}).kind, K::kBatchDone);
  EXPECT_EQ(m.memory.dword(high), 5u);
}

CsSlice slice(Machine& m, std::uint32_t commands, std::uint64_t deadline_ns = ~0ull, std::uint64_t run_time_ns = 0) {
  std::atomic<bool> stop{false};
  return cs_run_slice(m.context, m.memory, m.engine,
                      {.commands_max = commands, .deadline_ns = deadline_ns, .run_time_ns = run_time_ns}, stop);
}

/// spec/gpu-commands.md 6, without the options; dword 0 of kData is `start`, dword 1 is `end`.
const Dwords kSpin = {0x10000002, kData,       0,         0xc0ffee,  // start
                      0x02800000,                                    // loop: preemption point
                      0x1b200002, 0,           kData + 4, 0,         // on while end > 0
                      0x18800101, kBatch + 16, 0};                   // to the loop

TEST(CsSliceTest, ASpinnerPollsUntilTheCpuEndsIt) {
  Machine m;
  m.memory.put(kData, {0, kOnes});
  m.memory.put(kBatch, kSpin);
  m.context.start_batch(GpuVa(kBatch));
  EXPECT_EQ(slice(m, 2).end, CsSliceEnd::kBudget) << "has not looped yet";
  EXPECT_EQ(m.memory.dword(kData), 0xc0ffeeu);
  EXPECT_EQ(slice(m, 500).end, CsSliceEnd::kPolling);
  EXPECT_EQ(slice(m, 500).steps, 500u);
  m.memory.put(kData + 4, {0});
  EXPECT_EQ(slice(m, 500).end, CsSliceEnd::kDone);
}

/// All options of the spinner (spec/gpu-commands.md 6), on a copy engine. kData: start, end, time
/// stamp, ticks, wait_cond, a copy's source and target.
Dwords spinner_with_everything(std::uint32_t limit_ticks) {
  const std::uint32_t at = kData;
  const Dwords start =
      Dwords{0x150c0001, 0x3a8, 0x600} + Dwords{0x11080001, 0x604, 0} + Dwords{0x10000002, at, 0, 0xc0ffee};
  const auto loop = static_cast<std::uint32_t>(kBatch + start.size() * 4);
  return start + Dwords{0x02800000} + Dwords{0x12080002, 0x3a8, at + 8, 0} + Dwords{0x11080001, 0x60c, 0} +
         Dwords{0x150c0001, 0x3a8, 0x608} +
         // delta = now - start, inverted
         Dwords{0x0d000003, 0x08008001, 0x08008400, 0x10100000, 0x58000431} + Dwords{0x12080002, 0x608, at + 12, 0} +
         Dwords{0x1b200002, ~limit_ticks, at + 12, 0} + Dwords{0x56800008, 3, 0, 0, 0, at + 20, 0, at + 24, 0, 0} +
         Dwords{0x0e00c803, 0, at + 16, 0, 0} + Dwords{0x1b200002, 0, at + 4, 0} + Dwords{0x18800101, loop, 0};
}

TEST(CsSliceTest, ASpinnerWithEverythingEndsAtItsTickLimit) {
  Machine m;
  m.engine.engine_class = CsEngineClass::kCopy;
  m.engine.mmio_base = 0x22000;
  m.memory.put(kData, {0, kOnes, 0, 0, 1, 77, 0});
  m.memory.put(kBatch, spinner_with_everything(1000));
  m.context.start_batch(GpuVa(kBatch));
  EXPECT_EQ(slice(m, 200, ~0ull, 500).end, CsSliceEnd::kYield) << "wait_cond is not 0";
  EXPECT_EQ(m.memory.dword(kData), 0xc0ffeeu);
  EXPECT_EQ(m.memory.dword(kData + 8), 500u);
  EXPECT_EQ(m.memory.dword(kData + 24), 77u);
  m.memory.put(kData + 16, {0});
  EXPECT_EQ(slice(m, 200, ~0ull, 1499).end, CsSliceEnd::kBudget);
  EXPECT_EQ(m.memory.dword(kData + 12), ~999u);
  EXPECT_EQ(slice(m, 200, ~0ull, 1500).end, CsSliceEnd::kDone);
}

TEST(CsSliceTest, ALoopThatStoresIsNoSpinner) {
  Machine m;
  m.memory.put(kBatch, {0x17800501, kData, 0, 0x18800101, kBatch, 0});
  m.context.start_batch(GpuVa(kBatch));
  EXPECT_EQ(slice(m, 101).end, CsSliceEnd::kBudget);
  EXPECT_EQ(m.memory.dword(kData), 51u);
  EXPECT_EQ(slice(m, 101).end, CsSliceEnd::kBudget) << "wherever in the loop the slice ends";
}

TEST(CsSliceTest, AnEndlessLoopObeysStopAndDeadline) {
  Machine m;
  m.memory.put(kBatch, {0x18800101, kBatch, 0});
  m.context.start_batch(GpuVa(kBatch));
  const std::atomic<bool> stop{true};
  const CsSlice stopped =
      cs_run_slice(m.context, m.memory, m.engine, {.commands_max = 100, .deadline_ns = ~0ull, .run_time_ns = 0}, stop);
  EXPECT_EQ(stopped.end, CsSliceEnd::kBudget);
  EXPECT_EQ(stopped.steps, 0u);
  EXPECT_EQ(slice(m, 100, 0).steps, 0u);
  EXPECT_TRUE(m.context.running);
}

TEST(CsSliceTest, EndsTellWhatHappened) {
  const struct {
    Dwords batch;
    CsSliceEnd end;
  } cases[] = {
      {{kEnd}, CsSliceEnd::kDone},
      {semaphore(0, 0), CsSliceEnd::kYield},
      {{0x18800101, kHole, 0}, CsSliceEnd::kFault},
      {{0x20000000}, CsSliceEnd::kBadCommand},
      {{0x1c800001, kBatch, 0}, CsSliceEnd::kBadCommand},  // a persistent batch
      {{0x72080025}, CsSliceEnd::kUnsupportedShader},
  };
  for (const auto& c : cases) {
    Machine m;
    m.memory.put(kBatch, c.batch);
    m.context.start_batch(GpuVa(kBatch));
    EXPECT_EQ(slice(m, 10).end, c.end);
  }
}

TEST(CsSliceTest, TimestampsCountAtTheReferenceClock) {
  Machine m;
  m.engine.reference_clock_hz = 19'200'000;
  m.clock.advance_ns(5'000'000'000'000 - 1);
  m.memory.put(kBatch, {0x12080002, 0x358, kData, 0, 0x12080002, 0x35c, kData + 4, 0, 0x12080002, 0x3a8, kData + 8, 0,
                        0x12080002, 0x3ac, kData + 12, 0, kEnd});
  m.context.start_batch(GpuVa(kBatch));
  EXPECT_EQ(slice(m, 10, ~0ull, 2'000'000'000).end, CsSliceEnd::kDone);
  const std::uint64_t ring = 5000ull * 19'200'000;
  EXPECT_EQ(m.memory.dword(kData), static_cast<std::uint32_t>(ring));
  EXPECT_EQ(m.memory.dword(kData + 4), ring >> 32);
  EXPECT_EQ(m.memory.dword(kData + 8), 2u * 19'200'000);
  EXPECT_EQ(m.memory.dword(kData + 12), 0u);
}

TEST(CsSliceTest, ContextTimeGoesOnWithinASlice) {
  Machine m;
  m.run(semaphore(0, 0));
  EXPECT_EQ(slice(m, 1, ~0ull, 70).end, CsSliceEnd::kYield);
  m.clock.advance_ns(30);
  m.run({0x12080002, 0x3a8, kData, 0, kEnd});
  EXPECT_EQ(m.memory.dword(kData), 100u);
}

/// The body of the fuzz target over seeded dwords (cs_fuzz.h checks the invariants).
TEST(CsSmoke, RandomDwordsNeverBreakAnInvariant) {
  // Fair headers now and then, so that more than the first command runs.
  const std::uint32_t headers[] = {0,          0x10000002, 0x0d000003, 0x11080003, 0x12080002, 0x14880002,
                                   0x150c0001, 0x17000003, 0x17800501, 0x17840009, 0x18c00101, 0x1b200002,
                                   0x13004003, 0x7a000004, 0x56800008, 0x56c00005, 0x50800008, 0x5040000a};
  Prng random(2024);
  bool seen[7] = {};
  for (int round = 0; round < 300; ++round) {
    std::vector<std::uint8_t> bytes{static_cast<std::uint8_t>(round)};
    for (std::uint32_t at = 0; at < 512; at += 4) {
      auto value = static_cast<std::uint32_t>(random.next());
      if (random.chance(1, 3)) value = headers[random.below(std::size(headers))];
      if (random.chance(1, 3)) value = random.chance(1, 2) ? 0 : kFuzzData;
      for (unsigned shift = 0; shift < 32; shift += 8) bytes.push_back(static_cast<std::uint8_t>(value >> shift));
    }
    seen[static_cast<int>(run_fuzzed_batch(bytes))] = true;
  }
  // A smoke in which nothing but the first command runs would prove nothing.
  for (const CsSliceEnd end : {CsSliceEnd::kFault, CsSliceEnd::kBadCommand}) EXPECT_TRUE(seen[static_cast<int>(end)]);
}

}  // namespace
}  // namespace softxe
