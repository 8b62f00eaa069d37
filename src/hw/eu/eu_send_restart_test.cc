// Messages that fault: every page of an access in turn, and nothing is done twice or half.
#include <gtest/gtest.h>

#include "hw/eu/eu_send_rig.h"

namespace softxe {
namespace {

constexpr std::uint64_t kVa = 0x7F00'0000'0000;
constexpr unsigned kPages = 8;

class EuRestartTest : public ::testing::Test {
 protected:
  EuRestartTest() {
    rig_.memory.map(kVa, kPages * kPageSize);
    for (std::uint64_t i = 0; i < kPages * kPageSize; i += 4)
      rig_.memory.put<std::uint32_t>(kVa + i, static_cast<std::uint32_t>(i));
  }
  /// 16 addresses of which every second one lies over the edge between two pages.
  void straddling() {
    for (unsigned k = 0; k < 16; ++k) {
      const std::uint64_t page = kVa + (k % (kPages - 1)) * kPageSize;
      rig_.put<std::uint64_t>(1, k, k % 2 == 0 ? page + kPageSize - 4 : page + 16 * k);
    }
  }
  /// Sends until it is done, and counts the faults.
  unsigned send_until_done(const EuInst& inst) {
    for (unsigned faults = 0; faults < 1000; ++faults) {
      const auto registers = rig_.thread().grf;
      const std::uint64_t effects = rig_.memory.effects;
      const EuSendResult result = rig_.send(inst);
      if (result.kind == EuSendKind::kDone) return faults;
      EXPECT_EQ(result.kind, EuSendKind::kFault);
      if (rig_.thread().message_done == 0) {
        EXPECT_TRUE(rig_.thread().grf == registers) << "a fault leaves registers alone";
        EXPECT_EQ(rig_.memory.effects, effects) << "a fault stores nothing";
      }
    }
    return 1000;
  }

  EuSendRig rig_;
};

TEST_F(EuRestartTest, ALoadFaultsAtAnyPageAndIsWholeAfterwards) {
  for (unsigned bad = 0; bad < kPages; ++bad) {
    SCOPED_TRACE(bad);
    straddling();
    rig_.memory.refusals[(kVa >> 12) + bad] = 2;
    // Over its own addresses, which a second try needs.
    const EuInst load = EuSendRig::inst({.desc = LscFields{.data_size = 3}.word(), .channels = 16, .dst = 1});
    EXPECT_EQ(send_until_done(load), 2u);
    for (unsigned k = 0; k < 16; ++k) {
      const std::uint64_t page = kVa + (k % (kPages - 1)) * kPageSize;
      const std::uint64_t va = k % 2 == 0 ? page + kPageSize - 4 : page + 16 * k;
      EXPECT_EQ(rig_.get<std::uint64_t>(1, k), rig_.memory.get<std::uint64_t>(va)) << k;
    }
  }
}

TEST_F(EuRestartTest, AStoreFaultsAtAnyPageBeforeItsFirstByte) {
  for (unsigned bad = 0; bad < kPages; ++bad) {
    SCOPED_TRACE(bad);
    straddling();
    for (unsigned k = 0; k < 16; ++k) rig_.put<std::uint64_t>(10, k, 0x1111'0000'0000 * (k + 1) + bad);
    rig_.memory.refusals[(kVa >> 12) + bad] = 1;
    const std::uint64_t effects = rig_.memory.effects;
    EXPECT_EQ(send_until_done(
                  EuSendRig::inst({.desc = LscFields{.op = 4, .data_size = 3}.word(), .channels = 16, .src1 = 10})),
              1u);
    EXPECT_EQ(rig_.memory.effects, effects + 16);
  }
}

TEST_F(EuRestartTest, ABlockFaultsAtAnyRow) {
  const std::uint32_t words[] = {255, kPages - 1, kPageSize - 1, 0, 0, 15 | (kPages - 1) << 8};
  for (unsigned bad = 0; bad < kPages; ++bad) {
    SCOPED_TRACE(bad);
    rig_.put<std::uint64_t>(1, 0, kVa);
    for (unsigned i = 0; i < 6; ++i) rig_.put<std::uint32_t>(1, 2 + i, words[i]);
    rig_.memory.refusals[(kVa >> 12) + bad] = 1;
    EXPECT_EQ(send_until_done(EuSendRig::inst({.desc = 3 | 2 << 9, .channels = 1, .dst = 1})), 1u);  // over its payload
    for (unsigned y = 0; y < kPages; ++y) {
      EXPECT_EQ(rig_.get<std::uint32_t>(1 + y, 5), rig_.memory.get<std::uint32_t>(kVa + y * kPageSize + 20));
    }
  }
}

TEST_F(EuRestartTest, EveryAtomicHappensOnceWhateverPageFaults) {
  for (unsigned bad = 0; bad < kPages; ++bad) {
    for (const int dst : {EuSendRig::kNull, 1, 20, 30}) {  // none, the addresses, the operands, elsewhere
      SCOPED_TRACE(bad * 100 + static_cast<unsigned>(dst + 1));
      for (unsigned page = 0; page < kPages; ++page)
        rig_.memory.put<std::uint32_t>(kVa + page * kPageSize, 1000 * page);
      for (unsigned k = 0; k < 16; ++k) {
        rig_.put<std::uint64_t>(1, k, kVa + (k % kPages) * kPageSize);
        rig_.put<std::uint32_t>(20, k, k + 1);
      }
      rig_.memory.refusals[(kVa >> 12) + bad] = 3;
      const std::uint64_t effects = rig_.memory.effects;
      EXPECT_EQ(send_until_done(
                    EuSendRig::inst({.desc = LscFields{.op = 0xC}.word(), .channels = 16, .dst = dst, .src1 = 20})),
                3u);
      EXPECT_EQ(rig_.memory.effects, effects + 16);
      EXPECT_EQ(rig_.thread().message_done, 0u) << "the next message begins anew";
      for (unsigned k = 0; k < 16; ++k) {
        const unsigned page = k % kPages;
        const unsigned first = 1000 * page;
        if (dst != EuSendRig::kNull) {
          EXPECT_EQ(rig_.get<std::uint32_t>(static_cast<unsigned>(dst), k), k < kPages ? first : first + page + 1) << k;
        }
        EXPECT_EQ(rig_.memory.get<std::uint32_t>(kVa + page * kPageSize), first + 2 * page + kPages + 2);
      }
    }
  }
}

TEST_F(EuRestartTest, AtomicsThatAreDoneAreRemembered) {
  for (unsigned k = 0; k < 16; ++k) rig_.put<std::uint64_t>(1, k, kVa + (k / 4) * kPageSize + 4 * k);
  rig_.memory.refusals[(kVa >> 12) + 2] = 1;
  const EuInst inc = EuSendRig::inst({.desc = LscFields{.op = 8}.word(), .channels = 16});
  EXPECT_EQ(rig_.send(inc).kind, EuSendKind::kFault);
  EXPECT_EQ(rig_.thread().message_done, 0xFFu);
  EXPECT_EQ(rig_.memory.effects, 8u);
  rig_.memory.refusals[(kVa >> 12) + 3] = 1;
  EXPECT_EQ(rig_.send(inc).kind, EuSendKind::kFault);
  EXPECT_EQ(rig_.thread().message_done, 0xFFFu) << "channels of both tries";
  EXPECT_EQ(rig_.send(inc).kind, EuSendKind::kDone);
  EXPECT_EQ(rig_.memory.effects, 16u);
}

TEST_F(EuRestartTest, SurfaceStatesFaultBeforeAnythingElse) {
  constexpr std::uint64_t kHeap = EuSendRig::kSurfaces >> 12;
  EuInst store = EuSendRig::inst(
      {.desc = LscFields{.op = 4, .address_size = 2, .address_type = 2}.word(), .channels = 1, .src1 = 10});
  store.send.ext_desc_in_a0 = true;
  rig_.memory.map(EuSendRig::kSurfaces, kPageSize);
  rig_.memory.put<std::uint32_t>(EuSendRig::kSurfaces, 4u << 29 | 0x1FFu << 18);
  rig_.memory.put<std::uint32_t>(EuSendRig::kSurfaces + 8, 127);  // 128 bytes
  rig_.memory.put<std::uint64_t>(EuSendRig::kSurfaces + 32, kVa);
  rig_.put<std::uint32_t>(1, 0, 64);
  rig_.put<std::uint32_t>(10, 0, 4711);
  rig_.memory.refusals[kHeap] = 2;
  EXPECT_EQ(send_until_done(store), 2u);
  EXPECT_EQ(rig_.memory.get<std::uint32_t>(kVa + 64), 4711u);
  EXPECT_EQ(rig_.memory.faults, (std::vector<std::uint64_t>{kHeap, kHeap}));
}

}  // namespace
}  // namespace softxe
