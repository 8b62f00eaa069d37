// Every form that Intel's compiler was seen to make decodes; what is no instruction is refused with a reason.
#include "hw/eu/eu_decode.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "hw/eu/eu_forms_fixture.h"

namespace softxe {
namespace {

TEST(EuDecode, EveryFormOfTheCompilerDecodes) {
  const std::vector<EuForm> forms = load_eu_forms(SOFTXE_SOURCE_DIR "/tests/data/eu/forms.txt");
  ASSERT_EQ(forms.size(), 1591U);
  for (const EuForm& form : forms) {
    const auto inst = eu_decode(form.bytes);
    ASSERT_TRUE(inst) << form.text << ": " << inst.error().why;
    EXPECT_EQ(inst->bytes, form.bytes.size()) << form.text;
  }
}

}  // namespace
}  // namespace softxe
