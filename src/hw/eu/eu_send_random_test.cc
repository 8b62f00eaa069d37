// Descriptors nobody meant: any words at all end in one of the ways a message may end, and touch only what they may.
#include <gtest/gtest.h>

#include <array>

#include "hw/eu/eu_send_rig.h"

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wpedantic"  // __int128 in the generator
#include "base/prng.h"
#pragma GCC diagnostic pop

namespace softxe {
namespace {

TEST(EuSendRandom, AnyWordsEndInOneOfTheWaysAMessageMayEnd) {
  Prng random(11);
  std::array<unsigned, 5> ends{};
  for (unsigned round = 0; round < 40; ++round) {
    EuSendRig rig(static_cast<std::uint32_t>(random.below(3) * 1024));
    rig.memory.map(EuSendRig::kSurfaces, kPageSize);
    rig.memory.map(EuSendRig::kBindless, kPageSize);
    rig.memory.map(EuSendRig::kTable, kPageSize);
    rig.memory.map(0x10000, 16 * kPageSize);
    for (auto& [page, bytes] : rig.memory.pages) {
      for (std::byte& b : bytes) b = static_cast<std::byte>(random.below(4) == 0 ? random.next() : 0);
    }
    for (unsigned step = 0; step < 5000; ++step) {
      EuThread& t = rig.thread();
      for (unsigned i = 0; i < 8; ++i) {
        // Numbers that are addresses here and there, in all widths.
        const std::uint64_t value = random.chance(1, 2) ? 0x10000 + random.below(16 * kPageSize) : random.next();
        std::memcpy(t.grf.data() + random.below(t.grf.size() - 8), &value, sizeof value);
      }
      t.large_grf = random.chance(1, 2);
      t.mask = static_cast<std::uint32_t>(random.next());
      t.hw_id = static_cast<std::uint16_t>(random.below(512));
      for (std::uint16_t& word : t.a0) word = static_cast<std::uint16_t>(random.next());
      EuInst inst = EuSendRig::inst({.sfid = static_cast<EuSfid>(random.below(16)),
                                     .desc = static_cast<std::uint32_t>(random.next()),
                                     .ext_desc = static_cast<std::uint32_t>(random.next()),
                                     .channels = 1u << random.below(6),
                                     .dst = static_cast<int>(random.below(257)) - 1,
                                     .src0 = static_cast<int>(random.below(257)) - 1,
                                     .src1 = static_cast<int>(random.below(257)) - 1});
      if (random.chance(2, 3)) inst.send.sfid = random.chance(1, 2) ? EuSfid::kUgm : EuSfid::kSlm;
      if (random.chance(1, 2)) inst.send.desc &= 0x6000'7FBF;  // mostly operations that exist
      inst.send.desc_in_a0 = random.chance(1, 8);
      inst.send.ext_desc_in_a0 = random.chance(1, 2);
      inst.send.ext_desc_a0 = static_cast<std::uint8_t>(random.below(8));
      inst.send.end_of_thread = random.chance(1, 8);
      const std::uint64_t ip = t.ip;
      const std::uint64_t effects = rig.memory.effects;
      const EuSendResult result = rig.send(inst);
      ++ends[static_cast<unsigned>(result.kind)];
      ASSERT_EQ(t.ip, ip);
      if (result.kind >= EuSendKind::kFault) {
        ASSERT_NE(result.reason[0], '\0');
      }
      if (result.kind >= EuSendKind::kIllegal) {
        ASSERT_EQ(rig.memory.effects, effects);
      }
      if (result.kind == EuSendKind::kEnded) {
        ASSERT_TRUE(inst.send.end_of_thread);
      }
      t.message_done = 0;
    }
  }
  for (const unsigned count : ends) EXPECT_GT(count, 300u);
}

}  // namespace
}  // namespace softxe
