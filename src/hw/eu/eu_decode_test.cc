// Bytes to instructions: the tables are those of the specification, what means nothing decodes to nothing, and what
// is no instruction is refused with a reason.
#include "hw/eu/eu_decode.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "hw/eu/eu_forms_fixture.h"
#include "hw/eu/eu_names.h"
#include "hw/eu/eu_opcodes.h"
#include "hw/eu/eu_text.h"
#include "hw/eu/eu_word.h"

namespace softxe {
namespace {

#include "hw/eu/eu_compaction_tables.inc"

using nlohmann::json;

json specification() {
  std::ifstream file(SOFTXE_SOURCE_DIR "/docs/spec/eu-isa.json");
  return json::parse(file);
}

EuInst decoded(const std::string& hex) {
  const auto inst = eu_decode(bytes_of_hex(hex));
  EXPECT_TRUE(inst) << hex << ": " << inst.error().why;
  return inst.value_or(EuInst{});
}

/// The instruction with one field of its bytes replaced.
std::vector<std::byte> with_bits(const std::string& hex, EuField field, std::uint64_t value) {
  std::vector<std::byte> bytes = bytes_of_hex(hex);
  const auto all = std::span(bytes).first<16>();
  EuWord word = EuWord::load(all);
  word.set(field, value);
  word.store(all);
  return bytes;
}

constexpr const char* kAdd = "400014002002052c0429100604121000";
constexpr const char* kAddImmediate = "40190080208205ff04ff000200000000";
constexpr const char* kMov = "61001400600605115403000000000000";
constexpr const char* kMovImmediate = "61001400204105500000000000000000";
constexpr const char* kMovIndirect = "61111000600605930000710000000000";
constexpr const char* kMad = "5b001400a802042b04412a0200220438";
constexpr const char* kMadImmediate = "5b19008060860401840105060402d4fe";
constexpr const char* kMadm = "5d001000b00b142b453d830b45160523";
constexpr const char* kMath = "38001400a00a0518040c107000000000";
constexpr const char* kDpas = "59c31000601e072904295404041d0416";
constexpr const char* kGoto = "2e00140400c000008004000080040000";
constexpr const char* kJmpi = "20004084004000000000000070020000";
constexpr const char* kRet = "2d091000000000000405000000000000";
constexpr const char* kSend = "31c2008000c202000c7e08fa14403884";
constexpr const char* kSync = "0100008000420100000000e000000000";

TEST(EuDecode, EveryFormOfTheCompilerDecodes) {
  const std::vector<EuForm> forms = load_eu_forms(SOFTXE_SOURCE_DIR "/tests/data/eu/forms.txt");
  ASSERT_EQ(forms.size(), 1591U);
  for (const EuForm& form : forms) {
    const auto inst = eu_decode(form.bytes);
    ASSERT_TRUE(inst) << form.text << ": " << inst.error().why;
    EXPECT_EQ(inst->bytes, form.bytes.size()) << form.text;
  }
}

TEST(EuDecode, OperationsAreThoseOfTheSpecification) {
  const json spec = specification();
  EXPECT_EQ(spec["opcodes"].size(), 64U);
  for (const auto& [name, number] : spec["opcodes"].items()) {
    const EuOpInfo* info = eu_find_op(std::string_view(name));
    ASSERT_NE(info, nullptr) << name;
    EXPECT_EQ(static_cast<int>(info->op), std::stoi(number.get<std::string>(), nullptr, 16)) << name;
    EXPECT_EQ(eu_find_op(static_cast<std::uint8_t>(info->op)), info) << name;
  }
  for (unsigned opcode = 0; opcode < 256; ++opcode) {
    const EuOpInfo* info = eu_find_op(static_cast<std::uint8_t>(opcode));
    if (info != nullptr) {
      EXPECT_TRUE(spec["opcodes"].contains(std::string(info->name))) << opcode;
    }
  }
}

TEST(EuDecode, WhatOperationsIgnoreIsWhatTheSpecificationLists) {
  const json ignored = specification()["ignored"];
  const auto listed = [&](const char* what, std::string_view name) {
    return std::ranges::find(ignored[what], json(std::string(name))) != ignored[what].end();
  };
  for (std::uint8_t opcode = 0; opcode < 128; ++opcode) {
    const EuOpInfo* info = eu_find_op(opcode);
    if (info == nullptr) continue;
    EXPECT_EQ(info->ignores.modifiers, listed("modifiers", info->name)) << info->name;
    EXPECT_EQ(info->ignores.saturate, listed("saturate", info->name)) << info->name;
    EXPECT_EQ(info->ignores.cond, listed("cond", info->name)) << info->name;
    EXPECT_EQ(info->ignores.pred, listed("pred", info->name)) << info->name;
  }
}

TEST(EuDecode, CompactionTablesAreThoseOfTheSpecification) {
  const json tables = specification()["compaction"];
  const auto same = [&](const char* name, const auto& table) {
    EXPECT_EQ(tables[name]["values"].get<std::vector<std::uint64_t>>(),
              std::vector<std::uint64_t>(table.begin(), table.end()))
        << name;
  };
  same("control", kControl);
  same("datatype_reg", kDatatype);
  same("subreg", kSubreg);
  same("src0", kSource0);
  same("src1", kSource1);
  same("control3", kControl3);
  same("control3_dpas", kControl3Dpas);
  same("source3", kSource3);
  same("source3_dpas", kSource3Dpas);
  same("subreg3", kSubreg3);
  for (std::size_t i = 0; i < kDatatype.size(); ++i)  // no table of its own for immediates
    EXPECT_EQ(tables["datatype_imm"]["values"][i].get<std::uint64_t>(), kDatatype[i] & 0x7FFFF);
}

TEST(EuDecode, NamesAreThoseOfTheSpecification) {
  const json spec = specification();
  const auto same = [&](const char* table, const auto& names, auto type) {
    for (const auto& [number, name] : spec[table].items())
      EXPECT_EQ(eu_name_of(names, static_cast<decltype(type)>(std::stoi(number))), name.template get<std::string>())
          << table;
  };
  same("types_reg", kEuTypeNames, EuType());
  same("cond_modifier", kEuCondNames, EuCond());
  same("sfid", kEuSfidNames, EuSfid());
  same("math_fc", kEuMathNames, EuMath());
  same("sync_fc", kEuSyncNames, std::uint8_t());
}

TEST(EuDecode, AllPartsOfAnInstructionAreThere) {
  EuInst add;
  add.op = EuOp::kAdd;
  add.exec_size = 32;
  add.dst = {.file = EuFile::kGrf, .type = EuType::kUD, .reg = 44, .region = {0, 1, 1}};
  add.src[0] = {.file = EuFile::kGrf, .type = EuType::kUD, .reg = 41, .region = {1, 1, 0}};
  add.src[1] = {.file = EuFile::kGrf, .type = EuType::kD, .reg = 18, .region = {1, 1, 0}};
  EXPECT_EQ(decoded(kAdd), add);
}

TEST(EuDecode, ThirdOfThreeSourcesHasTheRegionOfTheOthers) {
  const EuInst mad = decoded(kMad);
  EXPECT_EQ(mad.src[0].region, (EuRegion{1, 1, 0}));
  EXPECT_EQ(mad.src[2].region, (EuRegion{0, 1, 0}));
  EXPECT_EQ(decoded("6b001000200a0532062e629a06010608").src[0].region, (EuRegion{4, 2, 2}));
  EXPECT_EQ(decoded("6b001000200a0532062e629a06010608").src[2].region, (EuRegion{2, 1, 0}));
}

TEST(EuDecode, CompactedAndNativeFormsAreTheSameInstruction) {
  EuInst compacted = decoded("401ba0ae12c62010");
  EXPECT_EQ(compacted.bytes, 8);
  compacted.bytes = 16;
  EXPECT_EQ(compacted, decoded("401b14006016051204c6100604101002"));
}

struct Change {
  const char* claim;
  const char* hex;
  EuField field;
  std::uint64_t value;
};

TEST(EuDecode, BitsThatMeanNothingChangeNothing) {
  const Change changes[] = {
      {"modifier of lzd", "4a1a0080200235038402000000000000", {45, 44}, 3},
      {"modifier of dp4a", "588414006c06041d041a0e06040d0514", {85, 84}, 3},
      {"saturate of cmp", "7000108060820100741e003101000100", eu_bit(34), 1},
      {"saturate of and", "65001000608601220022100507000700", eu_bit(34), 1},
      {"condition of mach", "490010006002056a0456100204b61000", {95, 92}, 1},
      {"condition of cbit", "4d000080200235010030000000000000", {95, 92}, 1},
      {"predicate of sync", kSync, {27, 26}, 1},
      {"channels of sync", kSync, {20, 18}, 4},
      {"predicate of dpas", kDpas, {27, 26}, 1},
      {"region of dpas", kDpas, {65, 64}, 2},
      {"region of madm", kMadm, {65, 64}, 2},
      {"indirect destination of math", kMath, eu_bit(35), 1},
      {"indirect source of math", kMath, eu_bit(80), 1},
      {"subregister of null", "7000108060820100741e003101000100", {55, 51}, 3},
      {"number of null", "7000108060820100741e003101000100", {59, 56}, 3},
      {"flag that nothing names", kAdd, {23, 21}, 5},
      {"inversion of no predicate", kAdd, eu_bit(28), 1},
      {"second source of one", kMov, {127, 96}, 0xFFFF'FFFF},
      {"upper half of a 16-bit immediate", kMovImmediate, {127, 112}, 0xFFFF},
      {"UIP of a branch without one", "2f001000004000000000000058000000", {95, 64}, 77},
      {"bit 7", kAdd, eu_bit(7), 1},
      {"all of nop", "60000000000000000000000000000000", {127, 64}, ~std::uint64_t{0}},
  };
  for (const Change& change : changes) {
    const auto inst = eu_decode(with_bits(change.hex, change.field, change.value));
    ASSERT_TRUE(inst) << change.claim << ": " << inst.error().why;
    EXPECT_EQ(*inst, decoded(change.hex)) << change.claim << ": " << eu_text(*inst).view();
  }
}

TEST(EuDecode, WhatIsNoInstructionIsRefusedByName) {
  struct Row {
    Change change;
    const char* why;
  };
  const Row rows[] = {
      {{"", kAdd, {6, 0}, 0x30}, "no such opcode"},
      {{"", kAdd, {20, 18}, 6}, "execution size is reserved"},
      {{"", kAdd, {25, 24}, 1}, "channels above 31"},
      {{"", kJmpi, {20, 18}, 4}, "jmpi is scalar"},
      {{"", kAdd, {95, 92}, 7}, "conditional modifier is reserved"},
      {{"", kAdd, {39, 36}, 12}, "operand type is reserved"},
      {{"", kAdd, {83, 81}, 5}, "region width is reserved"},
      {{"", kAdd, {86, 84}, 7}, "an address per row needs an indirect operand"},
      {{"", kAdd, {71, 67}, 1}, "subregister is not aligned to its type"},
      {{"", kAdd, eu_bit(46), 1}, "the first of two sources cannot be immediate"},
      {{"", kMov, {79, 66}, 0x60 << 6}, "no such architecture register"},
      {{"", kAddImmediate, {91, 88}, 3}, "no room for a 64-bit immediate"},
      {{"", kMovImmediate, {43, 40}, 14}, "no immediate has this type"},
      {{"", kMadImmediate, {82, 80}, 2}, "immediates of three sources have 16 bits"},
      {{"", kMadm, eu_bit(47), 1}, "madm takes no immediate"},
      {{"", kMadm, {54, 51}, 9}, "math-macro register is reserved"},
      {{"", kMath, {95, 92}, 8}, "no such math function"},
      {{"", kSync, {95, 92}, 1}, "no such sync function"},
      {{"", kDpas, {87, 86}, 3}, "precision of a dpas source is reserved"},
      {{"", kGoto, eu_bit(46), 0}, "this branch takes no register"},
      {{"", kGoto, eu_bit(47), 0}, "this branch takes no register"},
      {{"", kRet, eu_bit(46), 1}, "ret takes a register"},
      {{"", kSend, {95, 92}, 9}, "no such shared function"},
      {{"", kSend, {79, 66}, 0x20 << 6}, "payload of a send is no GRF"},
  };
  for (const Row& row : rows) {
    const auto inst = eu_decode(with_bits(row.change.hex, row.change.field, row.change.value));
    ASSERT_FALSE(inst) << eu_text(*inst).view();
    EXPECT_EQ(inst.error().err, EILSEQ);
    EXPECT_STREQ(inst.error().why, row.why);
  }
}

TEST(EuDecode, CompactedFormsThatDoNotExistAreRefused) {
  for (const char* hex : {"3100002000000000", "2e00002000000000", "3800002000000000", "6000002000000000"}) {
    const auto inst = eu_decode(bytes_of_hex(hex));
    ASSERT_FALSE(inst) << hex;
    EXPECT_STREQ(inst.error().why, "this operation has no compacted form");
  }
}

TEST(EuDecode, BytesThatEndWithinAnInstructionAreNotRead) {
  const std::vector<std::byte> native = bytes_of_hex(kAdd);
  for (std::size_t size = 0; size < 16; ++size) {
    const auto inst = eu_decode(std::span(native).first(size));
    ASSERT_FALSE(inst);
    EXPECT_EQ(inst.error().err, ENODATA);
  }
  const std::vector<std::byte> compacted = bytes_of_hex("401ba0ae12c62010");
  EXPECT_TRUE(eu_decode(compacted));
  EXPECT_FALSE(eu_decode(std::span(compacted).first(7)));
}

TEST(EuDecode, ImmediatesOf64BitsHaveTheirUpperHalfFirst) {
  std::vector<std::byte> bytes = with_bits(kMovImmediate, {43, 40}, 3);
  const auto all = std::span(bytes).first<16>();
  EuWord word = EuWord::load(all);
  word.set({95, 64}, 0x11223344);
  word.set({127, 96}, 0x55667788);
  word.store(all);
  const auto inst = eu_decode(bytes);
  ASSERT_TRUE(inst);
  EXPECT_EQ(inst->imm, 0x1122'3344'5566'7788U);
  EXPECT_EQ(inst->cond, EuCond::kNone);
}

TEST(EuDecode, AddressOffsetsAreSigned) {
  auto inst = eu_decode(with_bits(kMovIndirect, {75, 66}, 0x3F8));
  ASSERT_TRUE(inst);
  EXPECT_EQ(inst->src[0].offset, -16);
  EXPECT_EQ(inst->src[0].region.vertical, EuRegion::kVxH);
}

}  // namespace
}  // namespace softxe
