// Text of instructions: every form of the compiler, and forms it was not seen to make.
#include "hw/eu/eu_text.h"

#include <gtest/gtest.h>

#include <set>
#include <string>

#include "hw/eu/eu_decode.h"
#include "hw/eu/eu_forms_fixture.h"
#include "hw/eu/eu_opcodes.h"

namespace softxe {
namespace {

constexpr const char* kCompiler = SOFTXE_SOURCE_DIR "/tests/data/eu/forms.txt";
constexpr const char* kOthers = SOFTXE_SOURCE_DIR "/tests/data/eu/other_forms.txt";

std::string text_of(const EuForm& form, EuTextStyle style = EuTextStyle::kCanonical) {
  const auto inst = eu_decode(form.bytes);
  return inst ? std::string(eu_text(*inst, style).view()) : inst.error().why;
}

TEST(EuText, EveryFormOfTheCompilerReadsAsGiven) {
  const auto forms = load_eu_forms(kCompiler);
  ASSERT_EQ(forms.size(), 1591U);
  for (const EuForm& form : forms) EXPECT_EQ(text_of(form), form.text);
}

TEST(EuText, OtherFormsReadAsGiven) {
  for (const EuForm& form : load_eu_forms(kOthers)) EXPECT_EQ(text_of(form), form.text);
}

TEST(EuText, EveryOperationIsAmongTheForms) {
  std::set<EuOp> seen;
  for (const char* file : {kCompiler, kOthers})
    for (const EuForm& form : load_eu_forms(file)) seen.insert(eu_decode(form.bytes)->op);
  for (std::uint8_t opcode = 0; opcode < 128; ++opcode) {
    const EuOpInfo* info = eu_find_op(opcode);
    if (info != nullptr) {
      EXPECT_TRUE(seen.contains(info->op)) << info->name;
    }
  }
}

TEST(EuText, CompleteStyleAddsWhatTheAssemblerNeeds) {
  const EuForm rows[] = {
      {bytes_of_hex("401ba0ae12c62010"),
       "add (32|M0) r18.0<1>:d (abs)r198.0<1;1,0>:d -r16.0<1;1,0>:d {Compacted,sb:0x1B}"},
      {bytes_of_hex("61810080410486021403000000000000"), "(W) mov (1|M0) r2.32<2>:b r3.4<0;1,0>:b {Atomic,sb:0x81}"},
      {bytes_of_hex("312b1104800026290c06f8211407e002"),
       "(f0.0) send.smpl (16|M0) r41 r6 r7:2 a0.0 0x024B80FC {sb:0x12B}"},
      {bytes_of_hex("31200180040000000cff203000000000"),
       "(W) send.gtwy (1|M0) null r255 null:0 0x0 0x02000010 EOT {sb:0x120}"},
      {bytes_of_hex("60000000000000000000000000000000"), "nop"},
  };
  for (const EuForm& row : rows) EXPECT_EQ(text_of(row, EuTextStyle::kComplete), row.text);
}

/// Nothing that an EuInst can hold makes the text longer than its room.
TEST(EuText, LongestTextFits) {
  EuOperand operand{.file = EuFile::kGrf,
                    .type = EuType::kTF32,
                    .reg = 255,
                    .region = {32, 16, 4},
                    .neg = true,
                    .abs = true,
                    .indirect = true,
                    .a0 = 15,
                    .offset = -1024};
  EuInst inst;
  inst.op = EuOp::kSend;
  inst.exec_size = 32;
  inst.channel_offset = 24;
  inst.no_mask = true;
  inst.pred = EuPred::kAny;
  inst.pred_inverted = true;
  inst.cond = EuCond::kUn;
  inst.saturate = true;
  inst.bytes = 8;
  inst.atomic = inst.breakpoint = true;
  inst.scoreboard = 0x3FF;
  inst.dst = operand;
  inst.src = {operand, operand, operand};
  for (std::uint8_t opcode = 0; opcode < 128; ++opcode) {
    if (eu_find_op(opcode) == nullptr) continue;
    inst.op = static_cast<EuOp>(opcode);
    EXPECT_TRUE(eu_text(inst, EuTextStyle::kComplete).view().ends_with('}')) << unsigned{opcode};
  }
}

}  // namespace
}  // namespace softxe
