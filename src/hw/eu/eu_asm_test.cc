// Assembly text to code: the way back from the decoder's text, sources as people write them, and their mistakes.
#include "hw/eu/eu_asm.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <set>
#include <string>

#include "hw/eu/eu_decode.h"
#include "hw/eu/eu_encode.h"
#include "hw/eu/eu_forms_fixture.h"
#include "hw/eu/eu_random_fixture.h"
#include "hw/eu/eu_text.h"

namespace softxe {
namespace {

constexpr const char* kData = SOFTXE_SOURCE_DIR "/tests/data/eu/";

std::string listing(std::span<const std::byte> code) {
  std::string text;
  while (!code.empty()) {
    const auto inst = eu_decode(code);
    if (!inst) return text + inst.error().why;
    text += std::string(eu_text(*inst, EuTextStyle::kComplete).view()) + "\n";
    code = code.subspan(inst->bytes);
  }
  return text;
}

/// The listing of what `source` assembles to, or the error as LINE:COLUMN: why.
std::string assembled(std::string_view source) {
  const auto code = eu_assemble(source);
  if (code) return listing(*code);
  return std::to_string(code.error().line) + ":" + std::to_string(code.error().column) + ": " + code.error().why;
}

std::set<std::string> forms_without_length() {
  std::set<std::string> texts;
  std::ifstream file(std::string(kData) + "forms_without_length.txt");
  for (std::string line; std::getline(file, line);)
    if (line[0] != '#') texts.insert(line.substr(line.find(": ", line.find(": ") + 1) + 2));
  return texts;
}

TEST(EuAsm, CanonicalTextOfEveryFormGivesTheSameBytes) {
  const std::set<std::string> without_length = forms_without_length();
  EXPECT_EQ(without_length.size(), 5U);
  for (const EuForm& form : load_eu_forms(std::string(kData) + "forms.txt")) {
    auto inst = eu_parse_instruction(form.text);
    if (without_length.contains(form.text)) {
      ASSERT_FALSE(inst) << form.text;
      EXPECT_STREQ(inst.error().why, "the length of the second payload is given as rN:length");
      continue;
    }
    ASSERT_TRUE(inst) << form.text << ": " << inst.error().column << ": " << inst.error().why;
    // What canonical text leaves out.
    const auto given = eu_decode(form.bytes);
    inst->bytes = given->bytes;
    inst->scoreboard = given->scoreboard;
    inst->atomic = given->atomic;
    const auto code = eu_encode(*inst);
    ASSERT_TRUE(code) << form.text << ": " << code.error().why;
    EXPECT_TRUE(std::ranges::equal(code->bytes(), form.bytes)) << form.text;
  }
}

TEST(EuAsm, CompleteTextOfEveryFormGivesTheSameBytes) {
  for (const char* file : {"forms.txt", "other_forms.txt"}) {
    for (const EuForm& form : load_eu_forms(std::string(kData) + file)) {
      const auto inst = eu_decode(form.bytes);
      ASSERT_TRUE(inst) << form.text;
      const EuText text = eu_text(*inst, EuTextStyle::kComplete);
      const auto again = eu_parse_instruction(text.view());
      ASSERT_TRUE(again) << text.view() << ": " << again.error().column << ": " << again.error().why;
      EXPECT_EQ(*again, *inst) << text.view();
    }
  }
}

TEST(EuAsm, ShortFormsMeanTheLongOnes) {
  struct Row {
    const char* source;
    const char* meant;
  };
  const Row rows[] = {
      // Subregister 0, packed regions, the first element for one channel.
      {"add (16|M0) r1:f r2:f r3:f", "add (16|M0) r1.0<1>:f r2.0<1;1,0>:f r3.0<1;1,0>:f\n"},
      {"(W) add (1|M0) r1.5:f r2:f r3.2:f", "(W) add (1|M0) r1.5<1>:f r2.0<0;1,0>:f r3.2<0;1,0>:f\n"},
      {"mad (16|M0) r1:f r2:f r3:f r4:f", "mad (16|M0) r1.0<1>:f r2.0<1;0>:f r3.0<1;0>:f r4.0<1>:f\n"},
      {"mad (1|M0) r1:f r2:f r3:f r4:f", "mad (1|M0) r1.0<1>:f r2.0<0;0>:f r3.0<0;0>:f r4.0<0>:f\n"},
      {"mov (16|M0) r[a0.1,32]:d r2:d", "mov (16|M0) r[a0.1,32]<1>:d r2.0<1;1,0>:d\n"},
      {"mov (16) r1:d r2:d", "mov (16|M0) r1.0<1>:d r2.0<1;1,0>:d\n"},
      {".simd 32\nmov r1:d r2:d", "mov (32|M0) r1.0<1>:d r2.0<1;1,0>:d\n"},
      // Numbers.
      {"mov (1) r1:d -3:w", "mov (1|M0) r1.0<1>:d 0xFFFD:w\n"},
      {"mov (1) r1:d 65535:w", "mov (1|M0) r1.0<1>:d 0xFFFF:w\n"},
      {"mov (1) r1:f 1.5:f", "mov (1|M0) r1.0<1>:f 0x3FC00000:f\n"},
      {"mov (1) r1:f -1e-3:f", "mov (1|M0) r1.0<1>:f 0xBA83126F:f\n"},
      {"mov (1) r1:df 2:df", "mov (1|M0) r1.0<1>:df 0x4000000000000000:df\n"},
      {"mov (1) r1:q -1:q", "mov (1|M0) r1.0<1>:q 0xFFFFFFFFFFFFFFFF:q\n"},
      {"mov (1) r1:uq 0xFFFFFFFFFFFFFFFF:uq", "mov (1|M0) r1.0<1>:uq 0xFFFFFFFFFFFFFFFF:uq\n"},
      // Names, comments, blanks.
      {".reg sum r20 // here\n\n\tadd (16|M0) sum:f sum.0:f r3:f  // there",
       "add (16|M0) r20.0<1>:f r20.0<1;1,0>:f r3.0<1;1,0>:f\n"},
      {"", ""},
      // As iga64 prints it.
      {"(W)     add (16|M0)   (eq)f0.0   (sat)r1.0<1>:f    r2.0<1;1,0>:f     3:f   {I@4,$2.dst} // note",
       "(W) add (16|M0) (eq)f0.0 (sat) r1.0<1>:f r2.0<1;1,0>:f 0x40400000:f\n"},
      {"(W) send.gtwy (1|M0) null r255 null:0 0x0 0x02000010 {EOT,I@1}",
       "(W) send.gtwy (1|M0) null r255 null:0 0x0 0x02000010 EOT\n"},
      {"(W) sync.bar 0x0:ud", "(W) sync.bar 0x0:ud\n"},
      // Bytes as they stand.
      {".data 60000000000000000000000000000000\nnop", "nop\nnop\n"},
  };
  for (const Row& row : rows) {
    EXPECT_EQ(assembled(row.source), row.meant) << row.source;
  }
}

TEST(EuAsm, LabelsStandForDistances) {
  EXPECT_EQ(assembled("      jmpi over\n"
                      "back: nop\n"
                      "over: (f0.0) goto.b (16|M0) join back\n"
                      "      mov (32|M0) r15.0<1>:f r19.0<1;1,0>:f {Compacted}\n"
                      "join: join (16|M0) end\n"
                      "      call (16|M0) r5.4 back\n"
                      "end:\n"),
            "jmpi 32\nnop\n(f0.0) goto.b (16|M0) 24 -16\nmov (32|M0) r15.0<1>:f r19.0<1;1,0>:f {Compacted}\n"
            "join (16|M0) 32\ncall (16|M0) r5.4 -56\n");
}

TEST(EuAsm, MessagesByName) {
  struct Row {
    const char* source;
    const char* meant;
  };
  const Row rows[] = {
      // The second column is of the compiler's own code, but for registers.
      {"load.ugm.d32.a64 (16|M0) r10 r4", "send.ugm (16|M0) r10 r4 null:0 0x0 0x04100580"},
      {"load.ugm.d32.a64 (32|M0) r10 r4", "send.ugm (32|M0) r10 r4 null:0 0x0 0x08200580"},
      {"load.ugm.d32x3.a64 (32|M0) r32 r26", "send.ugm (32|M0) r32 r26 null:0 0x0 0x08602580"},
      {"load.ugm.d64x2.a64 (16|M0) r9 r18+16", "send.ugm (16|M0) r9 r18 null:0 0x10000 0x04401780"},
      {"load.ugm.d32.a64 (16|M0) r10 r4-4", "send.ugm (16|M0) r10 r4 null:0 0xFFFFC000 0x04100580"},
      {"load.ugm.d8u32.a64 (1|M0) r4 r4+4", "send.ugm (1|M0) r4 r4 null:0 0x4000 0x04100980"},
      {"load.ugm.d32x8t.a64 r15 r16", "(W) send.ugm (1|M0) r15 r16 null:0 0x0 0x0210C580"},
      {"load.ugm.d32x16t.a32.bti[255] r8 r1", "(W) send.ugm (1|M0) r8 r1 null:0 0xFF000000 0x6210D500"},
      {"load.ugm.d32x16t.a32.ss[a0.2]-4 r123 r254", "1:1: [index] is missing"},
      {"load.ugm.d32x16t.a32.ss[a0.2] r123 r254-65152",
       "(W) send.ugm (1|M0) r123 r254 null:0 0x80C00000:a0.2 0x4210D500"},
      {"store.ugm.d32x32t.a32.ss[a0.2] r126-65152 r64",
       "(W) send.ugm (1|M0) null r126 r64:2 0x80C00000:a0.2 0x4200E504"},
      {"store.slm.d32.a32 (32|M0) r28 r38", "send.slm (32|M0) null r28 r38:2 0x0 0x04000504"},
      {"store.ugm.d32x4.a64 (16|M0) r28 r38", "send.ugm (16|M0) null r28 r38:4 0x0 0x04003584"},
      {"load.ugm.d32.a64 (16|M0) null r4", "send.ugm (16|M0) null r4 null:0 0x0 0x04000580"},
      {"load_quad.tgm.d32.xyzw.a32.bss[a0.0] (16|M0) r44 r42:2", "send.tgm (16|M0) r44 r42 null:0 a0.0 0x2440F502"},
      {"store_quad.tgm.d32.xyzw.a32.bss[a0.0] (16|M0) r44:1 r6", "send.tgm (16|M0) null r44 r6:4 a0.0 0x2200F506"},
      {"atomic_add.ugm.d32.a64 (16|M0) null r4 r10", "send.ugm (16|M0) null r4 r10:1 0x0 0x0400058C"},
      {"atomic_add.ugm.d64.a64 (1|M0) r14 r6 r12", "send.ugm (1|M0) r14 r6 r12:2 0x0 0x0420078C"},
      {"atomic_icas.ugm.d32.a64 (16|M0) r2 r4 r10", "send.ugm (16|M0) r2 r4 r10:2 0x0 0x04100592"},
      {"atomic_inc.slm.d32.a32 (16|M0) r2 r4", "send.slm (16|M0) r2 r4 null:0 0x0 0x02100508"},
      {"load_block2d.ugm.d16v.a64 r5:8 r13", "(W) send.ugm (1|M0) r5 r13 null:0 0x0 0x02800283"},
      {"load_block2d.ugm.d32t.a64 r5:8 r13", "(W) send.ugm (1|M0) r5 r13 null:0 0x0 0x02808403"},
      {"store_block2d.ugm.d32.a64 r23 r5:8", "(W) send.ugm (1|M0) null r23 r5:8 0x0 0x02000407"},
      {"fence.ugm.gpu.evict r11 r4", "(W) send.ugm (1|M0) r11 r4 null:0 0x0 0x0210161F"},
      {"fence.slm r11 r4", "(W) send.slm (1|M0) r11 r4 null:0 0x0 0x0210001F"},
      {"barrier.signal r13", "(W) send.gtwy (1|M0) null r13 null:0 0x0 0x02000004"},
      {"barrier.wait", "(W) sync.bar 0x0:ud"},
      {"barrier r13", "(W) send.gtwy (1|M0) null r13 null:0 0x0 0x02000004\n(W) sync.bar 0x0:ud"},
      {"eot r255", "(W) send.gtwy (1|M0) null r255 null:0 0x0 0x02000010 EOT"},
      {"(f0.1) store.ugm.d32.a64 (16|M16) r4 r10", "(f0.1) send.ugm (16|M16) null r4 r10:1 0x0 0x04000584"},
      // Their mistakes.
      {"load.ugm.d32 (16|M0) r10 r4", "1:1: address size such as .a64 is missing"},
      {"load.gtwy.d32.a64 r10 r4", "1:1: memory is .ugm, .slm, .tgm or .ugml"},
      {"load.ugm.d33.a64 r10 r4", "1:1: data is d8, d16, d32, d64, d8u32, d16u32 or d16u32h"},
      {"load.ugm.d32x5.a64 r10 r4", "1:1: vectors have 1, 2, 3, 4, 8, 16, 32 or 64 elements"},
      {"load_block2d.ugm.d32.a64 r5 r13", "1:32: registers of a 2D block are given as rN:length"},
      {"load.ugm.d32.a64 r10 r4+524288", "1:31: offset does not fit"},
      {"store.ugm.d32.a64 (16|M0) r10", "1:30: no such register"},
  };
  for (const Row& row : rows) {
    std::string text = assembled(row.source);
    if (text.ends_with('\n')) text.pop_back();
    EXPECT_EQ(text, row.meant) << row.source;
  }
}

TEST(EuAsm, ExampleOfTheDocumentationAssembles) {
  std::ifstream file(std::string(kData) + "saxpy.s");
  const std::string source((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  const std::string text = assembled(source);
  EXPECT_EQ(std::ranges::count(text, '\n'), 13) << text;
  EXPECT_TRUE(text.starts_with("mad (16|M0) r10.0<1>:d r1.0<1;0>:uw r0.1<0;0>:d r2.12<0>:uw\n")) << text;
  EXPECT_TRUE(text.ends_with("EOT\n")) << text;
}

TEST(EuAsm, MistakesAreNamedWithTheirPlace) {
  struct Row {
    const char* source;
    const char* error;
  };
  const Row rows[] = {
      {"frob (16|M0) r1:f r2:f", "1:1: no such operation"},
      {"nop\nnop\n  addd (16|M0) r1:f", "3:3: no such operation"},
      {"add r1:f r2:f r3:f", "1:5: channels such as (16|M0) are missing"},
      {"add (17|M0) r1:f r2:f r3:f", "1:1: execution size is 1, 2, 4, 8, 16 or 32"},
      {"add (16|M0) r1 r2:f r3:f", "1:16: a type such as :ud is missing"},
      {"add (16|M0) r1:g r2:f r3:f", "1:16: no such type"},
      {"add (16|M0) r256:f r2:f r3:f", "1:13: registers are r0 to r255"},
      {"add (16|M0) x1:f r2:f r3:f", "1:13: no such register"},
      {"add (16|M0) r1:f r2<1;1>:f r3:f", "1:24: , is missing in a region"},
      {"add (16|M0) r1:f r2:f", "1:22: no such register"},
      {"add (16|M0) r1:f r2:f r3:f r4:f", "1:28: this is not expected here"},
      {"mov (16|M0) r1:d 70000:w", "1:18: the number does not fit its type"},
      {"mov (16|M0) r1:hf 1.5:hf", "1:19: an immediate of this type is given as its bits, 0x..."},
      {"(f4.0) nop", "1:2: flags are f0.0 to f3.1"},
      {"add (16|M0) (xx)f0.0 r1:f r2:f r3:f", "1:13: no such condition"},
      {"math.foo (16|M0) r1:f r2:f", "1:1: no such math function"},
      {"math.invm (16|M0) r1.mme0:f r2.nomme:f r3.nomme:f", "1:19: (eo) and its flag are missing"},
      {"jmpi nowhere", "1:6: there is no such label"},
      {"a: nop\na: nop", "2:1: this label is there already"},
      {"send.smpl (16|M0) r1 r2 r3 a0.0 0x0", "1:27: the length of the second payload is given as rN:length"},
      {"send.ugm (16|M0) r1 r2 r3:32 0x0 0x0", "1:29: a payload has 31 registers at most"},
      {"mov (16|M0) r1:d r2:d {Compact}", "1:24: no such option"},
      {"add (16|M0) r1:d r2<8;16,4>:d r3:d {Compacted}", "1:1: this instruction has no compacted form"},
      {".bss", "1:1: directives are .simd, .reg and .data"},
      {".simd 17", "1:9: channels are 1, 2, 4, 8, 16 or 32"},
      {".data 1234", "1:7: data is whole groups of 16 hexadecimal digits"},
  };
  for (const Row& row : rows) EXPECT_EQ(assembled(row.source), row.error) << row.source;
}

}  // namespace
}  // namespace softxe
