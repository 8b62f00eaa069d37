// Instructions back to bytes.
#include "hw/eu/eu_encode.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <string>

#include "hw/eu/eu_decode.h"
#include "hw/eu/eu_forms_fixture.h"
#include "hw/eu/eu_random_fixture.h"
#include "hw/eu/eu_text.h"

namespace softxe {
namespace {

TEST(EuEncode, EveryFormOfTheCompilerIsWrittenWithTheSameBytes) {
  for (const EuForm& form : load_eu_forms(SOFTXE_SOURCE_DIR "/tests/data/eu/forms.txt")) {
    const auto inst = eu_decode(form.bytes);
    ASSERT_TRUE(inst) << form.text;
    const auto code = eu_encode(*inst);
    ASSERT_TRUE(code) << form.text << ": " << code.error().why;
    EXPECT_TRUE(std::ranges::equal(code->bytes(), form.bytes)) << form.text;
  }
}

TEST(EuEncode, WhatDecodesIsEncodedToTheSameInstruction) {
  RandomWords words(1);
  int decoded = 0;
  for (int i = 0; i < 1'000'000; ++i) {
    const auto inst = eu_decode(words.next());
    if (!inst) continue;
    ++decoded;
    const auto code = eu_encode(*inst);
    ASSERT_TRUE(code) << eu_text(*inst).view() << ": " << code.error().why;
    ASSERT_EQ(code->bytes().size(), inst->bytes);
    ASSERT_EQ(*eu_decode(code->bytes()), *inst) << eu_text(*inst).view();
  }
  EXPECT_GT(decoded, 200'000);
}

EuInst add() {
  EuInst inst;
  inst.op = EuOp::kAdd;
  inst.exec_size = 16;
  inst.dst = {.file = EuFile::kGrf, .type = EuType::kD, .reg = 1, .region = {0, 1, 1}};
  inst.src[0] = inst.src[1] = {.file = EuFile::kGrf, .type = EuType::kD, .reg = 2, .region = {1, 1, 0}};
  return inst;
}
EuInst mad() {
  EuInst inst = add();
  inst.op = EuOp::kMad;
  inst.src[2] = inst.src[1];
  return inst;
}

TEST(EuEncode, WhatNoWordSaysIsRefusedByName) {
  struct Row {
    const char* why;
    std::function<EuInst()> make;
  };
  const auto changed = [](EuInst (*base)(), auto change) {
    return [base, change] {
      EuInst inst = base();
      change(inst);
      return inst;
    };
  };
  const Row rows[] = {
      {"no such operation", changed(add, [](EuInst& i) { i.op = static_cast<EuOp>(0x30); })},
      {"execution size is 1, 2, 4, 8, 16 or 32", changed(add, [](EuInst& i) { i.exec_size = 3; })},
      {"channels above 31, or not at a multiple of 8", changed(add, [](EuInst& i) { i.channel_offset = 24; })},
      {"flags are f0.0 to f3.1", changed(add, [](EuInst& i) { i.flag = 4; })},
      {"operand is missing", changed(add, [](EuInst& i) { i.src[1].file = EuFile::kNone; })},
      {"width is 1, 2, 4, 8 or 16", changed(add, [](EuInst& i) { i.src[0].region.width = 32; })},
      {"stride is 0, 1, 2 or 4", changed(add, [](EuInst& i) { i.dst.region.horizontal = 3; })},
      {"subregister beyond the register", changed(add, [](EuInst& i) { i.dst.subreg = 64; })},
      {"address offset beyond -1024..1023",
       changed(add, [](EuInst& i) { i.src[0] = {.file = EuFile::kGrf, .indirect = true, .offset = 1024}; })},
      {"immediate is wider than its type", changed(add,
                                                   [](EuInst& i) {
                                                     i.src[1] = {.file = EuFile::kImm, .type = EuType::kW};
                                                     i.imm = 0x10000;
                                                   })},
      {"this operation does not saturate", changed(add,
                                                   [](EuInst& i) {
                                                     i.op = EuOp::kCmp;
                                                     i.saturate = true;
                                                   })},
      {"destination stride of three sources is 1 or 2", changed(mad, [](EuInst& i) { i.dst.region.horizontal = 4; })},
      {"integer and float types in one of three sources", changed(mad, [](EuInst& i) { i.src[1].type = EuType::kF; })},
      {"operands of three sources are direct", changed(mad, [](EuInst& i) { i.src[1].indirect = true; })},
      {"this operand cannot be immediate", changed(mad, [](EuInst& i) { i.src[1].file = EuFile::kImm; })},
      {"no word says this instruction", changed(add, [](EuInst& i) { i.jip = 8; })},
      {"no word says this instruction", changed(add, [](EuInst& i) { i.dst.subreg = 2; })},
      {"this instruction has no compacted form", changed(add,
                                                         [](EuInst& i) {
                                                           i.bytes = 8;
                                                           i.src[0].region = {32, 16, 4};
                                                         })},
      {"this instruction has no compacted form", changed(add, [](EuInst& i) { i.bytes = 12; })},
  };
  EXPECT_TRUE(eu_encode(add()));
  EXPECT_TRUE(eu_encode(mad()));
  for (const Row& row : rows) {
    const auto code = eu_encode(row.make());
    ASSERT_FALSE(code) << row.why;
    EXPECT_EQ(code.error().err, EINVAL);
    EXPECT_STREQ(code.error().why, row.why);
  }
}

}  // namespace
}  // namespace softxe
