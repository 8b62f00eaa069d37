// One line per MI command: what is in the batch, in memory and in registers before, and what after.
#include <gtest/gtest.h>

#include <string>

#include "hw/cs_test_rig.h"

namespace softxe {
namespace {

using Dwords = std::vector<std::uint32_t>;
using Cells = std::vector<std::pair<std::uint32_t, std::uint64_t>>;  // number or address, value

constexpr std::uint32_t D = 0x20000;        // a data address
constexpr std::uint32_t kGpr0 = 0x600;      // engine relative
constexpr std::uint32_t kBase = 0x22000;    // of the first copy engine
constexpr std::uint64_t kOnes = ~std::uint64_t{0};

struct MiCase {
  const char* name;
  Dwords batch;
  Cells memory_before;  // dwords
  Cells gpr_before;
  RunEnd end;
  Cells memory_after;   // dwords
  Cells gpr_after;
  const char* reason = "";  // a part of it, for deadly ends
};

constexpr RunEnd kDone = RunEnd::kBatchDone;
constexpr RunEnd kBad = RunEnd::kBadCommand;
constexpr RunEnd kFault = RunEnd::kPageFault;

void check(const MiCase& c) {
  SCOPED_TRACE(c.name);
  CsRig rig;
  rig.load(c.batch);
  for (auto [at, value] : c.memory_before)
    rig.memory.poke(GpuVa(at), static_cast<std::uint32_t>(value));
  for (auto [n, value] : c.gpr_before) rig.context.gpr[n] = value;
  const RunResult got = rig.run();
  EXPECT_EQ(static_cast<int>(got.end), static_cast<int>(c.end)) << got.culprit.reason;
  EXPECT_NE(std::string(got.culprit.reason).find(c.reason), std::string::npos)
      << got.culprit.reason;
  for (auto [at, value] : c.memory_after)
    EXPECT_EQ(rig.memory.peek<std::uint32_t>(GpuVa(at)), value) << std::hex << at;
  for (auto [n, value] : c.gpr_after) EXPECT_EQ(rig.context.gpr[n], value) << "R" << n;
}

TEST(CsMi, StoresAndCopies) {
  const MiCase cases[] = {
      {"dword", {0x10000002, D, 0, 0xC0FFEE}, {}, {}, kDone, {{D, 0xC0FFEE}, {D + 4, 0}}, {}},
      {"canonical address", {0x10000002, D, 0xffff0000, 7}, {}, {}, kDone, {{D, 7}}, {}},
      {"low address bits", {0x10000002, D + 3, 0, 7}, {}, {}, kDone, {{D, 7}}, {}},
      {"qword", {0x10200003, D, 0, 1, 2}, {}, {}, kDone, {{D, 1}, {D + 4, 2}}, {}},
      {"two qwords", {0x10200005, D, 0, 1, 2, 3, 4}, {}, {}, kDone, {{D, 1}, {D + 12, 4}}, {}},
      {"half a qword", {0x10200004, D, 0, 1, 2, 3}, {}, {}, kBad, {{D, 0}}, {}, "half a qword"},
      {"qword misaligned", {0x10200003, D + 4, 0, 1, 2}, {}, {}, kBad, {{D + 4, 0}}, {}, "aligned"},
      {"three dwords", {0x10000004, D, 0, 1, 2, 3}, {}, {}, kDone, {{D, 1}, {D + 8, 3}}, {}},
      {"no value", {0x10000001, D, 0}, {}, {}, kBad, {}, {}, "shorter"},
      {"GGTT store", {0x10400002, D, 0, 1}, {}, {}, kBad, {{D, 0}}, {}, "global GTT"},
      {"unmapped store", {0x10000002, 0x90000, 0, 1}, {}, {}, kFault, {}, {}},
      {"mem to mem", {0x17000003, D, 0, D + 8, 0}, {{D + 8, 9}}, {}, kDone, {{D, 9}}, {}},
      {"mem to mem, GGTT source", {0x17400003, D, 0, D + 8, 0}, {}, {}, kBad, {}, {}, "GTT"},
      {"mem to mem, GGTT target", {0x17200003, D, 0, D + 8, 0}, {}, {}, kBad, {}, {}, "GTT"},
  };
  for (const MiCase& c : cases) check(c);
}

TEST(CsMi, Registers) {
  const MiCase cases[] = {
      {"LRI relative, both halves", {0x11080003, kGpr0 + 8, 5, kGpr0 + 12, 6}, {}, {}, kDone, {},
       {{1, 0x600000005}}},
      {"LRI absolute", {0x11000001, kBase + kGpr0 + 4, 6}, {}, {{0, 1}}, kDone, {}, {{0, 0x600000001}}},
      {"LRI absolute of another engine", {0x11000001, 0x2600, 6}, {}, {}, kDone, {}, {{0, 0}}},
      {"LRI remapped", {0x11020001, 0x2600, 6}, {}, {}, kDone, {}, {{0, 6}}},
      {"LRI last register", {0x11080001, kGpr0 + 15 * 8, 6}, {}, {}, kDone, {}, {{15, 6}}},
      {"LRI behind the last register", {0x11080001, kGpr0 + 16 * 8, 6}, {}, {}, kDone, {}, {{15, 0}}},
      {"LRI byte disables", {0x11080601, kGpr0, 0xaabbccdd}, {}, {{0, 0x11223344}}, kDone, {},
       {{0, 0xaa2233dd}}},
      {"LRI unknown register", {0x11000001, 0x22200, 0xffff}, {}, {}, kDone, {}, {}},
      {"LRI without value", {0x11000002, 0x22600, 1, 2}, {}, {}, kBad, {}, {}, "without a value"},
      {"SRM relative", {0x12080002, kGpr0 + 4, D, 0}, {}, {{0, 0x700000000}}, kDone, {{D, 7}}, {}},
      {"SRM absolute", {0x12000002, kBase + kGpr0, D, 0}, {}, {{0, 8}}, kDone, {{D, 8}}, {}},
      {"SRM unknown reads 0", {0x12000002, 0x22100, D, 0}, {{D, 3}}, {}, kDone, {{D, 0}}, {}},
      {"SRM GGTT", {0x12400002, kGpr0, D, 0}, {}, {}, kBad, {}, {}, "GTT"},
      {"LRM relative", {0x14880002, kGpr0, D, 0}, {{D, 4}}, {}, kDone, {}, {{0, 4}}},
      {"LRM GGTT", {0x14C00002, kGpr0, D, 0}, {}, {}, kBad, {}, {}, "GTT"},
      {"LRM unmapped", {0x14880002, kGpr0, 0x90000, 0}, {}, {{0, 1}}, kFault, {}, {{0, 1}}},
      {"LRR both relative", {0x150C0001, kGpr0, kGpr0 + 8}, {}, {{0, 9}}, kDone, {}, {{1, 9}}},
      {"LRR source relative", {0x15040001, kGpr0, kBase + kGpr0 + 8}, {}, {{0, 9}}, kDone, {}, {{1, 9}}},
      {"LRR target relative", {0x15080001, kBase + kGpr0, kGpr0 + 8}, {}, {{0, 9}}, kDone, {}, {{1, 9}}},
  };
  for (const MiCase& c : cases) check(c);
}

TEST(CsMi, Atomics) {
  const MiCase cases[] = {
      {"inc", {0x17800501, D, 0}, {{D, 41}}, {{0, 7}}, kDone, {{D, 42}}, {{0, 7}}},
      {"dec wraps in a dword", {0x17800601, D, 0}, {}, {}, kDone, {{D, 0xffffffff}, {D + 4, 0}}, {}},
      {"inc, return old", {0x17810501, D, 0}, {{D, 41}}, {{0, 7}}, kDone, {{D, 42}}, {{0, 41}}},
      {"pre-dec returns new", {0x17810F01, D, 0}, {{D, 0}}, {}, kDone, {}, {{0, 0xffffffff}}},
      {"add from R0", {0x17800701, D, 0}, {{D, 40}}, {{0, 2}}, kDone, {{D, 42}}, {}},
      {"move", {0x17800401, D, 0}, {{D, 40}}, {{0, 2}}, kDone, {{D, 2}}, {}},
      {"and", {0x17800101, D, 0}, {{D, 6}}, {{0, 3}}, kDone, {{D, 2}}, {}},
      {"or", {0x17800201, D, 0}, {{D, 6}}, {{0, 3}}, kDone, {{D, 7}}, {}},
      {"xor", {0x17800301, D, 0}, {{D, 6}}, {{0, 3}}, kDone, {{D, 5}}, {}},
      {"sub", {0x17800801, D, 0}, {{D, 6}}, {{0, 2}}, kDone, {{D, 4}}, {}},
      {"reverse sub", {0x17800901, D, 0}, {{D, 6}}, {{0, 9}}, kDone, {{D, 3}}, {}},
      {"signed max", {0x17800A01, D, 0}, {{D, 0xffffffff}}, {{0, 1}}, kDone, {{D, 1}}, {}},
      {"signed min", {0x17800B01, D, 0}, {{D, 0xffffffff}}, {{0, 1}}, kDone, {{D, 0xffffffff}}, {}},
      {"unsigned max", {0x17800C01, D, 0}, {{D, 0xffffffff}}, {{0, 1}}, kDone, {{D, 0xffffffff}}, {}},
      {"unsigned min", {0x17800D01, D, 0}, {{D, 0xffffffff}}, {{0, 1}}, kDone, {{D, 1}}, {}},
      {"exchange on equal", {0x17800E01, D, 0}, {{D, 5}}, {{0, 5}, {1, 8}}, kDone, {{D, 8}}, {}},
      {"no exchange", {0x17800E01, D, 0}, {{D, 6}}, {{0, 5}, {1, 8}}, kDone, {{D, 6}}, {}},
      {"add qword, size bits set", {0x17882701, D, 0}, {{D, 0xffffffff}}, {{0, 1}}, kDone, {{D, 0}, {D + 4, 1}}, {}},
      {"qword misaligned", {0x17802701, D + 4, 0}, {}, {}, kBad, {}, {}, "aligned"},
      {"inline add", {0x17840709, D, 0, 2, 0, 0, 0, 0, 0, 0, 0}, {{D, 40}}, {}, kDone, {{D, 42}}, {}},
      {"inline exchange, interleaved", {0x17842E09, D, 0, 1, 3, 2, 4, 0, 0, 0, 0},
       {{D, 1}, {D + 4, 2}}, {}, kDone, {{D, 3}, {D + 4, 4}}, {}},
      {"inline operands missing", {0x17840701, D, 0}, {}, {}, kBad, {}, {}, "missing"},
      {"16 bytes", {0x17804701, D, 0}, {}, {}, kBad, {}, {}, "16-byte"},
      {"code 0", {0x17800001, D, 0}, {}, {}, kBad, {}, {}, "meaning"},
      {"GGTT", {0x17C00501, D, 0}, {}, {}, kBad, {{D, 0}}, {}, "GTT"},
      {"unmapped", {0x17800501, 0x90000, 0}, {}, {}, kFault, {}, {}},
  };
  for (const MiCase& c : cases) check(c);
}

constexpr std::uint32_t alu(std::uint32_t opcode, std::uint32_t op1 = 0, std::uint32_t op2 = 0) {
  return opcode << 20 | op1 << 10 | op2;
}
constexpr std::uint32_t A = 0x20, B = 0x21, ACCU = 0x31, ZF = 0x32, CF = 0x33;
constexpr std::uint32_t kLoadA0 = alu(0x080, A, 0), kLoadB1 = alu(0x080, B, 1);

/// R2 = R0 op R1, R3 = ZF, R4 = CF.
Dwords binary(std::uint32_t opcode) {
  return {0x0D000005, kLoadA0,           kLoadB1, alu(opcode), alu(0x180, 2, ACCU),
          alu(0x180, 3, ZF), alu(0x180, 4, CF)};
}

TEST(CsMi, Math) {
  ASSERT_EQ(alu(0x080, A, 1), 0x08008001u);   // the specification's checked words
  ASSERT_EQ(alu(0x101), 0x10100000u);
  ASSERT_EQ(alu(0x180, 1, ACCU), 0x18000431u);
  ASSERT_EQ(alu(0x580, 1, ACCU), 0x58000431u);
  const std::uint64_t top = std::uint64_t{1} << 63;
  const MiCase cases[] = {
      {"add", binary(0x100), {}, {{0, 2}, {1, 3}}, kDone, {}, {{2, 5}, {3, 0}, {4, 0}}},
      {"add carries", binary(0x100), {}, {{0, kOnes}, {1, 1}}, kDone, {}, {{2, 0}, {3, kOnes}, {4, kOnes}}},
      {"sub", binary(0x101), {}, {{0, 5}, {1, 3}}, kDone, {}, {{2, 2}, {3, 0}, {4, 0}}},
      {"sub borrows", binary(0x101), {}, {{0, 3}, {1, 5}}, kDone, {}, {{2, kOnes - 1}, {4, kOnes}}},
      {"and", binary(0x102), {}, {{0, 6}, {1, 3}}, kDone, {}, {{2, 2}}},
      {"or", binary(0x103), {}, {{0, 6}, {1, 3}}, kDone, {}, {{2, 7}}},
      {"xor", binary(0x104), {}, {{0, 6}, {1, 6}}, kDone, {}, {{2, 0}, {3, kOnes}, {4, 0}}},
      {"shl", binary(0x105), {}, {{0, 3}, {1, 32}}, kDone, {}, {{2, 0x300000000}}},
      {"shl by 64", binary(0x105), {}, {{0, 3}, {1, 64}}, kDone, {}, {{2, 0}}},
      {"shr", binary(0x106), {}, {{0, top}, {1, 62}}, kDone, {}, {{2, 2}}},
      {"sar", binary(0x107), {}, {{0, top}, {1, 62}}, kDone, {}, {{2, kOnes - 1}}},
      {"sar by 100", binary(0x107), {}, {{0, top}, {1, 100}}, kDone, {}, {{2, kOnes}}},
      {"unknown operation", binary(0x108), {}, {}, kBad, {}, {}, "ALU operation"},
      {"loadinv, load1, load0",
       {0x0D000007, alu(0x480, A, 0), alu(0x180, 1, A), alu(0x481, B), alu(0x180, 2, B),
        alu(0x081, B), alu(0x180, 3, B), alu(0), alu(1)},
       {}, {{0, 1}, {3, 5}}, kDone, {}, {{1, kOnes - 1}, {2, kOnes}, {3, 0}}},
      {"storeinv", {0x0D000001, alu(0x081, A), alu(0x580, 1, A)}, {}, {}, kDone, {}, {{1, kOnes}}},
      {"bad operand", {0x0D000000, alu(0x080, 0x22, 0)}, {}, {}, kBad, {}, {}, "ALU operand"},
      {"loadind", {0x0D000000, alu(0x082, 1, 0)}, {{D, 5}, {D + 4, 6}}, {{0, D}}, kDone, {},
       {{1, 0x600000005}}},
      {"storeind", {0x0D000000, alu(0x181, 0, 1)}, {}, {{0, D}, {1, 0x600000005}}, kDone,
       {{D, 5}, {D + 4, 6}}, {}},
      {"storeind unmapped", {0x0D000000, alu(0x181, 0, 1)}, {}, {{0, 0x90000}}, kFault, {}, {}},
      {"loadind misaligned", {0x0D000000, alu(0x082, 1, 0)}, {}, {{0, D + 4}}, kBad, {}, {}, "aligned"},
  };
  for (const MiCase& c : cases) check(c);
}

TEST(CsMi, Flushes) {
  const MiCase cases[] = {
      {"flush alone", {0x13000003, 0, 0, 0, 0}, {}, {}, kDone, {}, {}},
      {"flush, dword", {0x13004002, D, 0, 5}, {{D + 4, 1}}, {}, kDone, {{D, 5}, {D + 4, 1}}, {}},
      {"flush, qword", {0x13004003, D, 0, 5, 6}, {}, {}, kDone, {{D, 5}, {D + 4, 6}}, {}},
      {"flush, no data", {0x13004001, D, 0}, {}, {}, kBad, {}, {}, "without data"},
      {"flush, GGTT", {0x13004003, D + 4, 0, 5, 6}, {}, {}, kBad, {}, {}, "GTT"},
      {"flush, status page", {0x13204003, D, 0, 5, 6}, {}, {}, kBad, {}, {}, "status page"},
      {"flush, operation 2", {0x13008003, D, 0, 5, 6}, {}, {}, kBad, {}, {}, "meaning"},
      {"pipe control alone", {0x7A000004, 0x100080, 0, 0, 0, 0}, {}, {}, kDone, {}, {}},
      {"pipe control, short", {0x7A000000, 0x100080}, {}, {}, kDone, {}, {}},
      {"pipe control, qword", {0x7A000004, 0x104000, D, 0, 5, 6}, {}, {}, kDone, {{D, 5}, {D + 4, 6}}, {}},
      {"pipe control, GGTT", {0x7A000004, 0x1004000, D, 0, 5, 6}, {}, {}, kBad, {}, {}, "GTT"},
      {"pipe control, status page", {0x7A000004, 0x204000, D, 0, 5, 6}, {}, {}, kBad, {}, {}, "status"},
      {"pipe control, write without address", {0x7A000000, 0x4000}, {}, {}, kBad, {}, {}, "address"},
      {"pipe control, pixel count", {0x7A000004, 0x8000, D, 0, 0, 0}, {}, {},
       RunEnd::kUnsupportedShader, {}, {}, "pixels"},
      {"pipe control, unmapped", {0x7A000004, 0x4000, 0x90000, 0, 5, 6}, {}, {}, kFault, {}, {}},
  };
  for (const MiCase& c : cases) check(c);
}

TEST(CsMi, WithoutEffectOrRefused) {
  const MiCase cases[] = {
      {"no-ops and hints",
       {0x00000000, 0x00400001, 0x00800003, 0x02800000, 0x04000001, 0x04800003, 0x06000000,
        0x07000000, 0x0D800000, 0xdead, 0x0E800000, 0xbeef, 0x10000002, D, 0, 1},
       {}, {}, kDone, {{D, 1}}, {}},
      {"counter report", {0x14000002, D, 0, 1}, {{D, 9}}, {}, kBad, {{D, 9}}, {}, "observation"},
      {"persistent batch", {0x1C800000, D, 0}, {}, {}, kBad, {}, {}, "persistent"},
      {"unknown opcode", {0x1F800000}, {}, {}, kBad, {}, {}, "undecodable"},
      {"unknown client", {0xdeadbeef}, {}, {}, kBad, {}, {}, "undecodable"},
      {"render state on a copy engine", {0x61010000, 0}, {}, {}, kBad, {}, {}, "without that pipe"},
  };
  for (const MiCase& c : cases) check(c);
}

TEST(CsMi, ComparisonsEndAndWaitInOppositeSense) {
  struct CompareCase {
    std::uint32_t code;
    bool less, equal, greater;  // whether the comparison holds for memory below, at, above the inline
  };
  const CompareCase cases[] = {{0, false, false, true}, {1, false, true, true},
                               {2, true, false, false}, {3, true, true, false},
                               {4, false, true, false}, {5, true, false, true}};
  for (const CompareCase& c : cases) {
    const bool holds[] = {c.less, c.equal, c.greater};
    for (std::uint32_t i = 0; i < 3; ++i) {
      SCOPED_TRACE(testing::Message() << "code " << c.code << " memory case " << i);
      // Above the sign bit, so that a signed comparison would be found out.
      const std::uint32_t values[] = {0x7fffffff, 0x80000000, 0x80000001};
      CsRig rig;
      rig.memory.poke(CsRig::kData, values[i]);
      rig.load({0x1B200002 | c.code << 12, 0x80000000, D, 0, 0x10000002, D + 8, 0, 1});
      EXPECT_EQ(rig.run().end, RunEnd::kBatchDone);
      EXPECT_EQ(rig.memory.peek<std::uint32_t>(GpuVa(D + 8)), holds[i] ? 1u : 0u);

      rig.load({0x0E008002 | c.code << 12, 0x80000000, D, 0});
      EXPECT_EQ(rig.run().end, holds[i] ? RunEnd::kBatchDone : RunEnd::kYield);
    }
  }
}

TEST(CsMi, CompareForms) {
  const MiCase cases[] = {
      {"end without compare bit goes on", {0x1B000002, 1, D, 0, 0x10000002, D + 8, 0, 1}, {}, {},
       kDone, {{D + 8, 1}}, {}},
      {"end with mask", {0x1B280002, 1, D, 0}, {}, {}, kBad, {}, {}, "mask"},
      {"end, GGTT", {0x1B600002, 1, D, 0}, {}, {}, kBad, {}, {}, "GTT"},
      {"end, code 6", {0x1B206002, 1, D, 0}, {}, {}, kBad, {}, {}, "compare code"},
      {"end, unmapped", {0x1B200002, 1, 0x90000, 0}, {}, {}, kFault, {}, {}},
      {"wait, five dwords", {0x0E00C003, 0, D, 0, 0, 0x10000002, D + 8, 0, 1}, {}, {}, kDone,
       {{D + 8, 1}}, {}},
      {"wait on a register", {0x0E01C002, 5, kBase + kGpr0, 0}, {}, {{0, 5}}, kDone, {}, {}},
      {"wait on a register, not yet", {0x0E01C002, 5, kBase + kGpr0, 0}, {}, {{0, 4}},
       RunEnd::kYield, {}, {}},
      {"wait without poll polls", {0x0E004002, 5, D, 0}, {{D, 4}}, {}, RunEnd::kYield, {}, {}},
      {"wait, GGTT", {0x0E408002, 5, D, 0}, {}, {}, kBad, {}, {}, "GTT"},
      {"wait, code 7", {0x0E00F002, 5, D, 0}, {}, {}, kBad, {}, {}, "compare code"},
      {"wait, unmapped", {0x0E00C002, 5, 0x90000, 0}, {}, {}, kFault, {}, {}},
  };
  for (const MiCase& c : cases) check(c);
}

}  // namespace
}  // namespace softxe
