// The levels of the fast handlers and the generic way give the same bits.
#include "hw/eu/eu_fast.h"

#include <gtest/gtest.h>

#include <fmt/format.h>

#include <cstdlib>
#include <map>

#include "hw/eu/eu_float_mode.h"
#include "hw/eu/eu_generic.h"
#include "hw/eu/eu_predecode.h"
#include "hw/eu/eu_random_alu_fixture.h"
#include "hw/eu/eu_reference_ops_fixture.h"
#include "hw/eu/eu_text.h"

namespace softxe {
namespace {

using namespace eu_test;

std::uint32_t dword(const EuThread& thread, std::uint64_t at) {
  std::uint32_t value = 0;
  std::memcpy(&value, reinterpret_cast<const std::byte*>(&thread) + at, sizeof value);
  return value;
}

std::string difference(const EuThread& a, const EuThread& b) {
  for (unsigned i = 0; i < sizeof a.grf; i += 4) {
    if (std::memcmp(&a.grf[i], &b.grf[i], 4) != 0) {
      return fmt::format("r{}.{} {:08x} {:08x}", i / 64, i % 64 / 4, get(a, 0, EuType::kUD, i / 4),
                         get(b, 0, EuType::kUD, i / 4));
    }
  }
  for (unsigned i = 0; i < sizeof a.acc; i += 4) {
    const std::uint64_t base = offsetof(EuThread, acc);
    if (std::memcmp(&a.acc[i], &b.acc[i], 4) != 0) {
      return fmt::format("acc{}.{} {:08x} {:08x}", i / 64, i % 64 / 4, dword(a, base + i), dword(b, base + i));
    }
  }
  for (unsigned i = 0; i < 4; ++i) {
    if (a.flag[i] != b.flag[i]) return fmt::format("f{} {:08x} {:08x}", i, a.flag[i], b.flag[i]);
  }
  for (unsigned i = 0; i < a.acc_wide.size(); ++i) {
    if (a.acc_wide[i] != b.acc_wide[i]) return fmt::format("wide {} {:x} {:x}", i, a.acc_wide[i], b.acc_wide[i]);
  }
  return a.a0 == b.a0 && a.cr == b.cr ? "" : "a0 or cr";
}

/// SOFTXE_EU_STEPS: as many as wanted.
unsigned steps_wanted() {
  const char* const asked = std::getenv("SOFTXE_EU_STEPS");
  return asked != nullptr ? static_cast<unsigned>(std::strtoul(asked, nullptr, 10)) : 30000;
}

/// SOFTXE_EU_SEED: other instructions.
std::uint64_t seed_wanted() {
  const char* const asked = std::getenv("SOFTXE_EU_SEED");
  return asked != nullptr ? std::strtoul(asked, nullptr, 10) : 20;
}

class EuFastLevels : public testing::TestWithParam<EuLevel> {};

TEST_P(EuFastLevels, AgreeWithTheGenericWay) {
  if (GetParam() > eu_host_level()) GTEST_SKIP() << "this processor does not have the level";
  const unsigned steps = steps_wanted();
  RandomEu random(seed_wanted());
  const auto generic = std::make_unique<EuThread>();
  const auto fast = std::make_unique<EuThread>();
  unsigned handled = 0;
  for (unsigned step = 0; step < steps; ++step) {
    if (step % 16 == 0) {
      random.fill(*generic);
      std::memcpy(static_cast<void*>(fast.get()), generic.get(), sizeof(EuThread));
    }
    const EuInst made = random.next(*generic);
    const EuFloatMode mode = EuFloatMode::of(generic->cr[0]);
    const auto record = std::make_unique<EuRecord>();
    eu_predecode(made, 0, GetParam(), *record);
    const bool careful = record->minds & eu_minds(mode);
    const HostFloatScope scope(host_float_control(mode.rounding, mode.f));
    eu_generic(*generic, made);
    if (careful) {
      eu_generic(*fast, made);
    } else {
      record->run(*fast, *record);
    }
    handled += record->fast.all != 0 ? 1 : 0;
    ASSERT_EQ(difference(*generic, *fast), "") << "step " << step << ": " << eu_text(made).view();
  }
  EXPECT_GT(handled, steps / 5);
}

TEST(EuReference, AgreesWithTheGenericWay) {
  const unsigned steps = steps_wanted();
  RandomEu random(seed_wanted() + 1);
  const auto generic = std::make_unique<EuThread>();
  const auto plain = std::make_unique<EuThread>();
  for (unsigned step = 0; step < steps; ++step) {
    if (step % 16 == 0) {
      random.fill(*generic);
      std::memcpy(static_cast<void*>(plain.get()), generic.get(), sizeof(EuThread));
    }
    const EuInst made = random.next(*generic);
    const std::uint32_t mode = generic->cr[0];
    eu_generic(*generic, made);
    Reference(*plain).step(made);
    ASSERT_EQ(difference(*plain, *generic), "")
        << "step " << step << ", cr0 " << std::hex << mode << ": " << eu_text(made).view();
  }
}

TEST(EuTouched, EveryRegisterThatChangesIsAmongThem) {
  const unsigned steps = steps_wanted();
  RandomEu random(seed_wanted() + 2);
  const auto thread = std::make_unique<EuThread>();
  const auto before = std::make_unique<EuThread>();
  for (unsigned step = 0; step < steps; ++step) {
    if (step % 16 == 0) random.fill(*thread);
    const EuInst made = random.next(*thread);
    std::memcpy(static_cast<void*>(before.get()), thread.get(), sizeof(EuThread));
    eu_generic(*thread, made);
    const EuTouched touched = eu_touched_by(made);
    for (unsigned reg = 0; reg < 256; ++reg) {
      const bool changed =
          std::memcmp(&thread->grf[reg * kEuGrfBytes], &before->grf[reg * kEuGrfBytes], kEuGrfBytes) != 0;
      ASSERT_TRUE(!changed || (touched.grf[reg / 64] >> reg % 64 & 1) != 0)
          << "r" << reg << ": " << eu_text(made).view();
    }
    const bool changed = thread->acc != before->acc || thread->acc_wide != before->acc_wide;
    ASSERT_TRUE(!changed || touched.acc) << "step " << step << ": " << eu_text(made).view();
  }
}

INSTANTIATE_TEST_SUITE_P(All, EuFastLevels, testing::Values(EuLevel::kPlain, EuLevel::kAvx2, EuLevel::kAvx512));

}  // namespace
}  // namespace softxe
