// Messages as kernels use them, one by one: what they read, where it lands, how they end.
#include "hw/eu/eu_send.h"

#include <gtest/gtest.h>

#include <functional>
#include <string>

#include "hw/eu/eu_send_rig.h"

namespace softxe {
namespace {

using Send = EuSendRig::Send;

class EuSendTest : public ::testing::Test {
 protected:
  static constexpr std::uint64_t kVa = 0x7F00'0000'1000;

  EuSendTest() {
    rig_.memory.map(kVa, 2 * kPageSize);
    for (std::uint64_t i = 0; i < 2 * kPageSize; ++i)
      rig_.memory.at(kVa + i) = static_cast<std::byte>(i * 37 + i / 256);
  }
  std::uint8_t byte(std::uint64_t offset) { return rig_.memory.get<std::uint8_t>(kVa + offset); }
  /// Consecutive addresses of every channel.
  void addresses(unsigned reg, std::uint64_t start, std::uint64_t step) {
    for (unsigned k = 0; k < 32; ++k) rig_.put<std::uint64_t>(reg, k, start + k * step);
  }
  /// Little-endian value of `bytes` bytes at an offset.
  std::uint64_t value(std::uint64_t offset, unsigned bytes) {
    std::uint64_t v = 0;
    for (unsigned b = 0; b < bytes; ++b) v |= std::uint64_t{byte(offset + b)} << (8 * b);
    return v;
  }
  EuSendKind send(const Send& s) { return rig_.send(EuSendRig::inst(s)).kind; }
  std::string reason(const EuInst& inst) {
    const EuSendResult result = rig_.send(inst);
    static constexpr const char* kKinds[] = {"done", "ended", "fault", "illegal", "unsupported"};
    const std::string kind = kKinds[static_cast<unsigned>(result.kind)];
    return result.kind < EuSendKind::kFault ? kind : kind + ": " + result.reason;
  }

  EuSendRig rig_;
};

TEST_F(EuSendTest, EveryDataSizeLandsInItsPartOfTheRegister) {
  static constexpr struct {
    unsigned data_size;
    unsigned memory_bytes;
    unsigned register_bytes;
    unsigned shift;
  } kRows[] = {{0, 1, 1, 0}, {1, 2, 2, 0}, {2, 4, 4, 0}, {3, 8, 8, 0}, {4, 1, 4, 0}, {5, 2, 4, 0}, {6, 2, 4, 16}};
  for (const auto& row : kRows) {
    SCOPED_TRACE(row.data_size);
    addresses(1, kVa + 3, 9);  // unaligned is allowed
    const std::uint32_t load = LscFields{.op = 0, .data_size = row.data_size}.word();
    ASSERT_EQ(send({.desc = load, .channels = 32, .dst = 10}), EuSendKind::kDone);
    for (unsigned k = 0; k < 32; ++k) {
      std::uint64_t got = 0;
      std::memcpy(&got, rig_.thread().grf.data() + 640 + k * row.register_bytes, row.register_bytes);
      EXPECT_EQ(got, value(3 + k * 9, row.memory_bytes) << row.shift) << k;
    }
    // Back to somewhere else.
    addresses(1, kVa + kPageSize + 3, 9);
    const std::uint32_t store = LscFields{.op = 4, .data_size = row.data_size}.word();
    ASSERT_EQ(send({.desc = store, .channels = 32, .src1 = 10}), EuSendKind::kDone);
    for (unsigned k = 0; k < 32; ++k) {
      EXPECT_EQ(value(kPageSize + 3 + k * 9, row.memory_bytes), value(3 + k * 9, row.memory_bytes)) << k;
    }
  }
}

TEST_F(EuSendTest, VectorsStandInRowsOrTransposedSideBySide) {
  addresses(1, kVa, 16);
  ASSERT_EQ(send({.desc = LscFields{.vector = 3}.word(), .channels = 16, .dst = 20}), EuSendKind::kDone);
  for (unsigned j = 0; j < 4; ++j) {
    for (unsigned k = 0; k < 16; ++k) EXPECT_EQ(rig_.get<std::uint32_t>(20 + j, k), value(k * 16 + j * 4, 4));
  }
  ASSERT_EQ(send({.desc = LscFields{.vector = 7, .transposed = 1}.word(), .channels = 1, .dst = 30}),
            EuSendKind::kDone);
  for (unsigned j = 0; j < 64; ++j) EXPECT_EQ(rig_.get<std::uint32_t>(30, j), value(j * 4, 4));
  // Components x and z of a quad: two rows, the second from offset 8.
  ASSERT_EQ(send({.desc = LscFields{.op = 2, .vector = 5}.word(), .channels = 16, .dst = 40}), EuSendKind::kDone);
  for (unsigned k = 0; k < 16; ++k) {
    EXPECT_EQ(rig_.get<std::uint32_t>(40, k), value(k * 16, 4));
    EXPECT_EQ(rig_.get<std::uint32_t>(41, k), value(k * 16 + 8, 4));
  }
  // A pitch of 12 bytes from one address.
  rig_.put<std::uint32_t>(1, 2, 12);
  ASSERT_EQ(send({.desc = LscFields{.op = 1}.word(), .channels = 16, .dst = 50}), EuSendKind::kDone);
  for (unsigned k = 0; k < 16; ++k) EXPECT_EQ(rig_.get<std::uint32_t>(50, k), value(k * 12, 4));
}

/// As the lengths in descriptors of one channel have it: two registers for a row of qwords.
TEST_F(EuSendTest, RowsHaveRoomForSixteenChannelsHoweverFewThereAre) {
  addresses(1, kVa, 16);
  ASSERT_EQ(send({.desc = LscFields{.data_size = 3, .vector = 1}.word(), .channels = 1, .dst = 20}), EuSendKind::kDone);
  EXPECT_EQ(rig_.get<std::uint64_t>(20, 0), value(0, 8));
  EXPECT_EQ(rig_.get<std::uint64_t>(22, 0), value(8, 8));
  rig_.put<std::uint64_t>(30, 0, value(0, 8));
  rig_.put<std::uint64_t>(32, 0, 0x1234);
  const LscFields compare_and_swap{.op = 0x12, .data_size = 3};
  ASSERT_EQ(send({.desc = compare_and_swap.word(), .channels = 1, .dst = 40, .src1 = 30}), EuSendKind::kDone);
  EXPECT_EQ(value(0, 8), 0x1234u);
  EXPECT_EQ(send({.desc = compare_and_swap.word(), .channels = 1, .dst = 127, .src1 = 30}), EuSendKind::kIllegal)
      << "the second register of the result does not exist";
}

TEST_F(EuSendTest, ChannelsThatTakeNoPartTouchNothing) {
  struct Row {
    const char* what;
    std::function<void(EuInst&, EuThread&)> set;
    std::uint32_t channels;
  };
  const Row rows[] = {
      {"mask", [](EuInst&, EuThread& t) { t.mask = 0x00F5; }, 0x00F5},
      {"upper half", [](EuInst& i, EuThread& t) { i.channel_offset = 16, t.mask = 0x0A50'FFFF; }, 0x0A50},
      {"NoMask", [](EuInst& i, EuThread& t) { i.no_mask = true, t.mask = 0; }, 0xFFFF},
      {"predicate", [](EuInst& i, EuThread& t) { i.pred = EuPred::kChannel, t.flag[0] = 0x1234'0F0F; }, 0x0F0F},
      {"inverted predicate of f2.1",
       [](EuInst& i, EuThread& t) {
         i.pred = EuPred::kChannel, i.pred_inverted = true, i.flag = 2, i.flag_sub = 1, t.flag[2] = 0xFF0F'0000;
       },
       0x00F0},
      {"any of none", [](EuInst& i, EuThread& t) { i.pred = EuPred::kAny, t.flag[0] = 0; }, 0},
      {"any", [](EuInst& i, EuThread& t) { i.pred = EuPred::kAny, t.flag[0] = 4; }, 0xFFFF},
      {"all but one", [](EuInst& i, EuThread& t) { i.pred = EuPred::kAll, t.flag[0] = 0xFFFE; }, 0},
  };
  for (const Row& row : rows) {
    SCOPED_TRACE(row.what);
    EuInst inst = EuSendRig::inst({.desc = LscFields{}.word(), .channels = 16, .dst = 10});
    rig_.thread().mask = ~0u;
    row.set(inst, rig_.thread());
    addresses(1, 0, 0);  // a page that is not there
    for (unsigned k = 0; k < 16; ++k) {
      if ((row.channels >> k & 1) != 0) rig_.put<std::uint64_t>(1, k, kVa + 4 * k);
      rig_.put<std::uint32_t>(10, k, 0xDEAD);
    }
    ASSERT_EQ(reason(inst), "done");
    for (unsigned k = 0; k < 16; ++k) {
      EXPECT_EQ(rig_.get<std::uint32_t>(10, k), (row.channels >> k & 1) != 0 ? value(4 * k, 4) : 0xDEAD) << k;
    }
  }
}

TEST_F(EuSendTest, ArgumentsComeFromTheGeneralStateBase) {
  rig_.memory.map(EuSendRig::kGeneral + 0xFFB0'0000, kPageSize);
  for (unsigned i = 0; i < 16; ++i) rig_.memory.put<std::uint32_t>(EuSendRig::kGeneral + 0xFFB0'0040 + 4 * i, 100 + i);
  rig_.put<std::uint32_t>(2, 0, 0xFFB0'0000);
  EuInst inst = EuSendRig::inst({.desc = 0x6219D500, .ext_desc = 0xFF040000, .channels = 1, .dst = 5, .src0 = 2});
  ASSERT_EQ(reason(inst), "done");
  for (unsigned i = 0; i < 16; ++i) EXPECT_EQ(rig_.get<std::uint32_t>(5, i), 100 + i);
}

TEST_F(EuSendTest, ScratchIsReachedThroughItsSurfaceStateAndTheThreadsId) {
  // The state of spec/compute-dispatch.md 8: 512 parts of 8 KiB, base canonical; a spill as compilers write it.
  constexpr std::uint64_t kBase = 0xFFFF'D000'0000;
  rig_.memory.map(EuSendRig::kSurfaces, kPageSize);
  const std::uint32_t state[16] = {0xC7FDC200, 0, 0x0003007F, 0x00001FFF, 0, 0x00020000, 0, 0, 0xD0000000, 0xFFFFFFFF};
  for (unsigned i = 0; i < 16; ++i) rig_.memory.put<std::uint32_t>(EuSendRig::kSurfaces + 0x140 + 4 * i, state[i]);
  rig_.memory.map(kBase + 37 * 8192, 2 * kPageSize);
  rig_.thread().hw_id = 37;
  rig_.thread().a0[4] = 0x140;  // a0.2:ud
  rig_.thread().a0[5] = 0;
  rig_.put<std::uint32_t>(2, 0, 0x10000);
  for (unsigned i = 0; i < 16; ++i) rig_.put<std::uint32_t>(9, i, 7000 + i);
  EuInst store = EuSendRig::inst({.desc = 0x4200D504, .channels = 1, .src0 = 2, .src1 = 9});
  store.send.ext_desc_in_a0 = true;
  store.send.ext_desc_a0 = 2;
  store.send.ext_desc = 0x80420000;  // -0x10000 + 0x80; bits 18:16 are the register
  ASSERT_EQ(reason(store), "done");
  for (unsigned i = 0; i < 16; ++i)
    EXPECT_EQ(rig_.memory.get<std::uint32_t>(kBase + 37 * 8192 + 0x80 + 4 * i), 7000 + i);
  // Past the thread's own part nothing is stored, and zero is read.
  rig_.put<std::uint32_t>(2, 0, 0x10000 + 8192 - 0x80 - 32);
  ASSERT_EQ(reason(store), "done");
  EuInst load = store;
  load.send.desc = 0x4210D500;
  load.dst = EuSendRig::grf(11);
  ASSERT_EQ(reason(load), "done");
  for (unsigned i = 0; i < 16; ++i) EXPECT_EQ(rig_.get<std::uint32_t>(11, i), i < 8 ? 7000 + i : 0);
  // A thread that the surface has no part for has nothing.
  rig_.put<std::uint32_t>(2, 0, 0x10000 - 0x80);
  rig_.thread().hw_id = 512;
  const std::uint64_t effects = rig_.memory.effects;
  ASSERT_EQ(reason(store), "done");
  EXPECT_EQ(rig_.memory.effects, effects);
}

TEST_F(EuSendTest, LocalMemoryDropsTheUpperBitsAndKnowsItsSize) {
  for (unsigned k = 0; k < 16; ++k) {
    rig_.put<std::uint32_t>(1, k, 0xF000'0000u + EuSendRig::kSlmBytes - 32 + 4 * k);  // the upper half is outside
    rig_.put<std::uint32_t>(5, k, 50 + k);
  }
  const Send store{
      .sfid = EuSfid::kSlm, .desc = LscFields{.op = 4, .address_size = 2}.word(), .channels = 16, .src1 = 5};
  ASSERT_EQ(send(store), EuSendKind::kDone);
  ASSERT_EQ(send({.sfid = EuSfid::kSlm, .desc = LscFields{.address_size = 2}.word(), .channels = 16, .dst = 6}),
            EuSendKind::kDone);
  for (unsigned k = 0; k < 16; ++k) EXPECT_EQ(rig_.get<std::uint32_t>(6, k), k < 8 ? 50 + k : 0);
  // An atomic outside returns zero and changes nothing.
  ASSERT_EQ(
      send({.sfid = EuSfid::kSlm, .desc = LscFields{.op = 8, .address_size = 2}.word(), .channels = 16, .dst = 7}),
      EuSendKind::kDone);
  for (unsigned k = 0; k < 16; ++k) EXPECT_EQ(rig_.get<std::uint32_t>(7, k), k < 8 ? 50 + k : 0);
  std::uint32_t word = 0;
  std::memcpy(&word, rig_.group.slm().data() + EuSendRig::kSlmBytes - 4, 4);
  EXPECT_EQ(word, 58u);
}

TEST_F(EuSendTest, AtomicsOfOneAddressGoChannelByChannel) {
  addresses(1, kVa + 64, 0);
  rig_.memory.put<std::uint32_t>(kVa + 64, 1000);
  for (unsigned k = 0; k < 32; ++k) rig_.put<std::uint32_t>(20, k, k + 1);
  ASSERT_EQ(send({.desc = 0x0420058C, .channels = 32, .dst = 1, .src1 = 20}), EuSendKind::kDone);  // over its addresses
  std::uint32_t sum = 1000;
  for (unsigned k = 0; k < 32; ++k) {
    EXPECT_EQ(rig_.get<std::uint32_t>(1, k), sum) << k;
    sum += k + 1;
  }
  EXPECT_EQ(rig_.memory.get<std::uint32_t>(kVa + 64), sum);
}

TEST_F(EuSendTest, APrefetchNeverFaultsAndAsksNobody) {
  addresses(1, 0x1000, 4096);
  for (const std::uint32_t desc : {LscFields{}.word(), LscFields{.vector = 7, .transposed = 1}.word(), 0x02000203u}) {
    EXPECT_EQ(send({.desc = desc, .channels = 1}), EuSendKind::kDone);
  }
  EXPECT_TRUE(rig_.memory.faults.empty());
}

TEST_F(EuSendTest, ThreadsEndAtTheBitAndBarriersCount) {
  EuInst end = EuSendRig::inst({.sfid = EuSfid::kGtwy, .desc = 0x02000010, .channels = 1, .src0 = 127});
  EXPECT_EQ(reason(end), "illegal: end of thread message without the end of thread bit");
  end.send.end_of_thread = true;
  EXPECT_EQ(reason(end), "ended");
  // The bit may stand in a store, which is done first.
  addresses(1, kVa, 4);
  rig_.put<std::uint32_t>(5, 0, 77);
  EuInst store = EuSendRig::inst({.desc = LscFields{.op = 4}.word(), .channels = 1, .src1 = 5});
  store.send.end_of_thread = true;
  EXPECT_EQ(reason(store), "ended");
  EXPECT_EQ(rig_.memory.get<std::uint32_t>(kVa), 77u);
  // One thread of one: the barrier is complete at once.
  rig_.put<std::uint32_t>(3, 2, 1u << 24 | 1u << 16 | 1u << 8);
  const EuInst barrier = EuSendRig::inst({.sfid = EuSfid::kGtwy, .desc = 0x02000004, .channels = 1, .src0 = 3});
  EXPECT_EQ(reason(barrier), "done");
  EXPECT_EQ(*rig_.group.wait_barrier(rig_.thread(), 0), EuGroup::Wait::kPass);
  rig_.put<std::uint32_t>(3, 2, 3u << 14);
  EXPECT_EQ(rig_.send(barrier).kind, EuSendKind::kIllegal) << "a reserved role";
}

TEST_F(EuSendTest, WhatCannotBeDoneSaysWhyAndChangesNothing) {
  static constexpr struct {
    Send send;
    const char* reason;
  } kRows[] = {
      {{.desc = 0x580, .channels = 32, .dst = 127}, "illegal: message with registers that the thread does not have"},
      {{.desc = 0x580, .channels = 32, .dst = 10, .src0 = 125},
       "illegal: message with registers that the thread does not have"},
      {{.desc = 0x584, .channels = 32, .src1 = 127}, "illegal: message with registers that the thread does not have"},
      {{.desc = 0x584, .channels = 32}, "illegal: message with registers that the thread does not have"},
      {{.desc = 0x7784, .channels = 32, .src1 = 10}, "illegal: message with more data than registers"},
      {{.desc = 0x58C, .channels = 1, .src0 = 2, .src1 = 9}, "illegal: atomic message that is not naturally aligned"},
      {{.desc = 0x580, .channels = 1, .dst = 9, .src0 = 3}, "illegal: message across the end of the address space"},
      {{.desc = 0x580, .channels = 1, .dst = 9, .src0 = 4}, "fault: test: page is not there"},
      {{.desc = 0x58C, .channels = 1, .dst = 9, .src0 = 4, .src1 = 9}, "fault: test: page is not there"},
      {{.desc = 0x203, .channels = 1, .dst = 9, .src0 = 6}, "fault: test: page is not there"},
      {{.sfid = EuSfid::kTgm, .desc = 0x2400050C, .channels = 1, .dst = 9}, "unsupported: image message: typed atomic"},
      {{.sfid = EuSfid::kGtwy, .desc = 4, .channels = 1, .src0 = EuSendRig::kNull},
       "illegal: barrier message with a register that does not exist"},
  };
  addresses(1, kVa, 4);
  rig_.put<std::uint64_t>(2, 0, kVa + 2);
  rig_.put<std::uint64_t>(3, 0, 0xFFFF'FFFF'FFFE);
  rig_.put<std::uint64_t>(4, 0, 0x5000);
  rig_.put<std::uint64_t>(6, 0, 0x5000);
  rig_.put<std::uint32_t>(6, 2, 63);
  const auto before = rig_.thread().grf;
  for (const auto& row : kRows) EXPECT_EQ(reason(EuSendRig::inst(row.send)), row.reason);
  EXPECT_EQ(rig_.memory.effects, 0u);
  EXPECT_TRUE(rig_.thread().grf == before);
}

TEST_F(EuSendTest, FencesAreDoneAtOnce) {
  for (const EuSfid sfid : {EuSfid::kUgm, EuSfid::kSlm, EuSfid::kTgm}) {
    EXPECT_EQ(send({.sfid = sfid, .desc = 0x0210261F, .channels = 1, .dst = 11}), EuSendKind::kDone);
  }
}

TEST_F(EuSendTest, SurfacesThatAreNoBuffersAreNamed) {
  rig_.memory.map(EuSendRig::kSurfaces, kPageSize);
  static constexpr struct {
    std::uint32_t word;
    const char* reason;
  } kRows[] = {{1u << 29, "unsupported: untyped message to an image"},
               {4u << 29 | 0xC7u << 18, "unsupported: untyped message to a typed buffer"},
               {5u << 29, "unsupported: untyped message to a structured buffer"},
               {7u << 29, "done"}};
  EuInst inst =
      EuSendRig::inst({.desc = LscFields{.address_size = 2, .address_type = 2}.word(), .channels = 1, .dst = 9});
  inst.send.ext_desc_in_a0 = true;
  for (const auto& row : kRows) {
    rig_.memory.put<std::uint32_t>(EuSendRig::kSurfaces, row.word);
    EXPECT_EQ(reason(inst), row.reason);
  }
  EXPECT_EQ(rig_.get<std::uint32_t>(9, 0), 0u) << "a null surface reads zero";
}

}  // namespace
}  // namespace softxe
