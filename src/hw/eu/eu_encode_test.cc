// EuInst back to bytes.
#include "hw/eu/eu_encode.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>

#include "hw/eu/eu_decode.h"
#include "hw/eu/eu_forms_fixture.h"
#include "hw/eu/eu_random_fixture.h"
#include "hw/eu/eu_text.h"

namespace softxe {
namespace {

TEST(EuEncode, WhatDecodesIsEncodedToTheSameInstruction) {
  RandomWords words(1);
  int decoded = 0;
  for (int i = 0; i < 1'000'000; ++i) {
    const auto bytes = words.next();
    auto inst = eu_decode(bytes);
    if (!inst) continue;
    ++decoded;
    const auto code = eu_encode(*inst);
    if (code) continue;
    // Only a table row that says things its format ignores cannot be found again.
    ASSERT_EQ(inst->bytes, 8) << eu_text(*inst).view() << ": " << code.error().why;
    inst->bytes = 16;
    ASSERT_TRUE(eu_encode(*inst)) << eu_text(*inst).view();
    printf("%s\n", std::string(eu_text(*inst).view()).c_str());
  }
  printf("%d\n", decoded);
  EXPECT_GT(decoded, 200'000);
}

}  // namespace
}  // namespace softxe
