// Assembly text to code, and the way back.
#include "hw/eu/eu_asm.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>

#include "hw/eu/eu_decode.h"
#include "hw/eu/eu_encode.h"
#include "hw/eu/eu_forms_fixture.h"
#include "hw/eu/eu_random_fixture.h"
#include "hw/eu/eu_text.h"

namespace softxe {
namespace {

TEST(EuAsm, CompleteTextOfWhatDecodesIsReadBack) {
  RandomWords words(2);
  for (int i = 0; i < 1'000'000; ++i) {
    const auto inst = eu_decode(words.next());
    if (!inst) continue;
    const EuText text = eu_text(*inst, EuTextStyle::kComplete);
    const auto again = eu_parse_instruction(text.view());
    ASSERT_TRUE(again) << text.view() << ": " << again.error().column << ": " << again.error().why;
    ASSERT_EQ(*again, *inst) << text.view() << "\n" << eu_text(*again, EuTextStyle::kComplete).view();
  }
}

TEST(EuAsm, FormsCanonical) {
  for (const EuForm& form : load_eu_forms(SOFTXE_SOURCE_DIR "/tests/data/eu/forms.txt")) {
    auto inst = eu_decode(form.bytes);
    inst->scoreboard = 0;
    inst->atomic = false;
    inst->bytes = 16;
    const auto again = eu_parse_instruction(form.text);
    if (!again) {
      ADD_FAILURE() << form.text << ": " << again.error().column << ": " << again.error().why;
      continue;
    }
    EXPECT_EQ(*again, *inst) << form.text << "\n"
                             << eu_text(*again, EuTextStyle::kComplete).view() << "\n"
                             << eu_text(*inst, EuTextStyle::kComplete).view();
  }
}

}  // namespace
}  // namespace softxe
