// Text of instructions: every form of the compiler, and the forms it never makes.
#include "hw/eu/eu_text.h"

#include <gtest/gtest.h>

#include <string>

#include "hw/eu/eu_decode.h"
#include "hw/eu/eu_forms_fixture.h"

namespace softxe {
namespace {

TEST(EuText, EveryFormOfTheCompilerReadsAsGiven) {
  for (const EuForm& form : load_eu_forms(SOFTXE_SOURCE_DIR "/tests/data/eu/forms.txt")) {
    const auto inst = eu_decode(form.bytes);
    ASSERT_TRUE(inst) << form.text << ": " << inst.error().why;
    EXPECT_EQ(eu_text(*inst).view(), form.text);
  }
}

}  // namespace
}  // namespace softxe
