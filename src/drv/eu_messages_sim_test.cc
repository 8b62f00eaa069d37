// Messages of kernels over the simulated process: pages come and go at the worst moments, and nothing is lost or
// done twice.
#include <gtest/gtest.h>

#include "drv/sim_device_fixture.h"
#include "hw/eu/eu_engine_memory.h"
#include "hw/eu/eu_send_rig.h"

namespace softxe {
namespace {

constexpr std::uint64_t kBase = 0x1000'0000;
constexpr unsigned kPages = 8;
constexpr std::uint64_t kApart = k2M;  // every page is a range of its own

class EuMessagesSim : public ::testing::Test {
 protected:
  static void SetUpTestSuite() { guarded_install_handler(); }
  EuMessagesSim() : memory_(*d_.engine), env_(rig_.env_over(memory_)) {
    SX_ASSERT(d_.bind_everything().has_value());
    for (unsigned p = 0; p < kPages; ++p) d_.map_at(page(p), kPageSize);
    rig_.thread().large_grf = true;
  }
  static std::uint64_t page(unsigned p) { return kBase + p * kApart; }

  /// Within a burst, as threads run.
  EuSendKind send(const EuSendRig::Send& s) {
    const Mmu::Burst hold(d_.engine->mmu());
    return rig_.send(EuSendRig::inst(s), env_).kind;
  }
  /// Lane k works in page k % kPages, at 4 * (k / kPages).
  void scattered(std::uint64_t canonical = 0) {
    for (unsigned k = 0; k < 32; ++k) rig_.put<std::uint64_t>(1, k, (page(k % kPages) + k / kPages * 4) | canonical);
  }
  void store_numbers() {
    scattered();
    for (unsigned k = 0; k < 32; ++k) rig_.put<std::uint32_t>(20, k, 500 + k);
    ASSERT_EQ(send({.desc = op(4), .channels = 32, .src1 = 20}), EuSendKind::kDone);
  }
  void fresh_pages() {
    for (unsigned p = 0; p < kPages; ++p) {
      ASSERT_TRUE(d_.unmap(page(p), kPageSize));
      d_.map_at(page(p), kPageSize);
    }
    d_.device->flush_collector(*d_.vm);
  }
  static std::uint32_t op(unsigned code) { return LscFields{.op = code}.word(); }

  SimDevice d_;
  EuSendRig rig_;
  EngineEuMemory memory_;
  EuEnv env_;
};

TEST_F(EuMessagesSim, LanesReachProcessMemoryAndBringPagesIn) {
  for (unsigned p = 0; p < kPages; ++p) ASSERT_TRUE(d_.cpu_write(page(p) + 4, 100 + p));
  scattered(0xFFFF'0000'0000'0000);
  ASSERT_EQ(send({.desc = op(0), .channels = 32, .dst = 10}), EuSendKind::kDone);
  for (unsigned k = 0; k < 32; ++k) EXPECT_EQ(rig_.get<std::uint32_t>(10, k), k / kPages == 1 ? 100 + k % kPages : 0);
  EXPECT_EQ(d_.engine->mmu().faults(), kPages) << "one fault for each page";
  for (unsigned p = 0; p < kPages; ++p) EXPECT_TRUE(d_.in_vram(page(p))) << p;
  // What a kernel stores is what the CPU finds.
  for (unsigned k = 0; k < 32; ++k) rig_.put<std::uint32_t>(20, k, 7000 + k);
  ASSERT_EQ(send({.desc = op(4), .channels = 32, .src1 = 20}), EuSendKind::kDone);
  for (unsigned k = 0; k < 32; ++k) EXPECT_EQ(*d_.cpu_read(page(k % kPages) + k / kPages * 4), 7000 + k);
}

TEST_F(EuMessagesSim, PrefetchesBringPagesInOrAreDroppedWhereTheDeviceFaultsForThem) {
  EngineEuMemory faulting(*d_.engine, EuPrefetch::kFaults);
  EuEnv env = rig_.env_over(faulting);
  const auto prefetch = [&](EuEnv& through, std::uint32_t desc, unsigned channels) {
    const Mmu::Burst hold(d_.engine->mmu());
    return rig_.send(EuSendRig::inst({.desc = desc, .channels = channels, .dst = EuSendRig::kNull}), through).kind;
  };
  scattered();
  ASSERT_EQ(prefetch(env_, op(0), 32), EuSendKind::kDone);
  EXPECT_EQ(d_.engine->mmu().faults(), 0u) << "a device without prefetch faults";
  ASSERT_EQ(prefetch(env, op(0), 32), EuSendKind::kDone);
  EXPECT_EQ(d_.engine->mmu().faults(), kPages);
  for (unsigned p = 0; p < kPages; ++p) EXPECT_TRUE(d_.in_vram(page(p))) << p;
  EXPECT_EQ(d_.count(Counter::invalid_prefetch_pagefault_count), 0u);
  // Where nothing is mapped it is dropped: one for each page that the message asks for.
  for (unsigned k = 0; k < 32; ++k) rig_.put<std::uint64_t>(1, k, page(kPages + k / 16) + 4 * k);
  ASSERT_EQ(prefetch(env, op(0), 32), EuSendKind::kDone);
  EXPECT_EQ(d_.count(Counter::invalid_prefetch_pagefault_count), 2u);
  ASSERT_EQ(prefetch(env, LscFields{.vector = 7, .transposed = 1}.word(), 1), EuSendKind::kDone);
  EXPECT_EQ(d_.count(Counter::invalid_prefetch_pagefault_count), 3u);
  EXPECT_TRUE(d_.vm->vm.fault_records().empty());
}

struct Event {
  const char* what;
  const char* step;
  int times;
  void (*act)(SimDevice&, int left);
};
void evict(SimDevice& d, int) { static_cast<void>(d.device->vram(0).evict_all({})); }
/// A page that no lane has reached yet: the last one.
void replace_last(SimDevice& d, int) {
  const std::uint64_t at = kBase + (kPages - 1) * kApart;
  static_cast<void>(d.unmap(at, kPageSize));
  d.map_at(at, kPageSize);
}
void take_home(SimDevice& d, int left) {
  static_cast<void>(d.cpu_read(kBase + static_cast<unsigned>(left) % kPages * kApart));
}
const Event kEvents[] = {
    {"eviction as a fault begins", "hw.mmu.fault", 3, evict},
    {"eviction after each fault", "svm.fault.done", 5, evict},
    {"CPU reads as a fault begins", "hw.mmu.fault", 5, take_home},
    {"CPU reads after each fault", "svm.fault.done", 7, take_home},
    {"munmap as the first fault begins", "hw.mmu.fault", 1, replace_last},
    {"munmap before pages are collected", "svm.fault.before_pages", 1, replace_last},
};

TEST_F(EuMessagesSim, AtomicsHappenOnceWhateverHappensToTheirPages) {
  for (const Event& event : kEvents) {
    SCOPED_TRACE(event.what);
    fresh_pages();
    AtStep at(event.step, event.times, [&](int left) { event.act(d_, left); });
    for (unsigned round = 0; round < 4; ++round) {
      for (unsigned k = 0; k < 32; ++k) rig_.put<std::uint64_t>(1, k, page(k % kPages));
      ASSERT_EQ(send({.desc = op(8), .channels = 32, .dst = 10}), EuSendKind::kDone);
      for (unsigned k = 0; k < 32; ++k) EXPECT_EQ(rig_.get<std::uint32_t>(10, k), 4 * round + k / kPages) << k;
    }
    EXPECT_EQ(at.left(), 0);
    for (unsigned p = 0; p < kPages; ++p) EXPECT_EQ(*d_.cpu_read(page(p)), 16u) << p;
  }
}

TEST_F(EuMessagesSim, StoresArriveWhateverHappensToTheirPages) {
  for (const Event& event : kEvents) {
    SCOPED_TRACE(event.what);
    fresh_pages();
    AtStep at(event.step, event.times, [&](int left) { event.act(d_, left); });
    store_numbers();
    for (unsigned k = 0; k < 32; ++k) EXPECT_EQ(*d_.cpu_read(page(k % kPages) + k / kPages * 4), 500 + k) << k;
  }
}

TEST_F(EuMessagesSim, LoadsAreOfTheirTimeWhateverHappensToTheirPages) {
  for (const Event& event : kEvents) {
    SCOPED_TRACE(event.what);
    fresh_pages();
    store_numbers();
    evict(d_, 0);
    AtStep at(event.step, event.times, [&](int left) { event.act(d_, left); });
    scattered();
    ASSERT_EQ(send({.desc = op(0), .channels = 32, .dst = 10}), EuSendKind::kDone);
    for (unsigned k = 0; k < 32; ++k) {
      const bool replaced = event.act == replace_last && at.left() == 0 && k % kPages == kPages - 1;
      EXPECT_EQ(rig_.get<std::uint32_t>(10, k), replaced ? 0 : 500 + k) << k;
    }
  }
}

TEST_F(EuMessagesSim, ATranslationThatWasUsedIsForgottenWhenItsPageMoves) {
  store_numbers();
  scattered();
  ASSERT_EQ(send({.desc = op(0), .channels = 32, .dst = 10}), EuSendKind::kDone);
  ASSERT_TRUE(d_.in_vram(page(3)));
  for (unsigned p = 0; p < kPages; ++p) ASSERT_TRUE(d_.cpu_write(page(p), 9000 + p));  // they come home for this
  ASSERT_EQ(send({.desc = op(0), .channels = 32, .dst = 10}), EuSendKind::kDone);
  for (unsigned k = 0; k < kPages; ++k) EXPECT_EQ(rig_.get<std::uint32_t>(10, k), 9000 + k) << k;
}

/// Within one burst: what a kernel's thread may do between two shares of its instructions.
TEST_F(EuMessagesSim, NothingIsHeldAfterARest) {
  store_numbers();
  scattered();
  const Mmu::Burst hold(d_.engine->mmu());
  for (unsigned round = 0; round < 3; ++round) {
    ASSERT_EQ(rig_.send(EuSendRig::inst({.desc = op(0), .channels = 32, .dst = 10}), env_).kind, EuSendKind::kDone);
    EXPECT_TRUE(d_.engine->mmu().inside());
    memory_.rest();
    EXPECT_FALSE(d_.engine->mmu().inside());
    ASSERT_TRUE(d_.cpu_write(page(0), round));
  }
}

TEST_F(EuMessagesSim, AnUnmappedLaneEndsTheMessageAndStoresNothing) {
  ASSERT_TRUE(d_.unmap(page(5), kPageSize));
  scattered();
  for (unsigned k = 0; k < 32; ++k) rig_.put<std::uint32_t>(20, k, 1);
  EXPECT_EQ(send({.desc = op(4), .channels = 32, .src1 = 20}), EuSendKind::kFault);
  for (unsigned p = 0; p < kPages; ++p) {
    if (p == 5) continue;
    EXPECT_EQ(*d_.cpu_read(page(p)), 0u) << p;
  }
  const auto before = rig_.thread().grf;
  EXPECT_EQ(send({.desc = op(0), .channels = 32, .dst = 1}), EuSendKind::kFault);
  EXPECT_TRUE(rig_.thread().grf == before);
  // A prefetch of the same lanes asks nobody.
  const std::uint64_t faults = d_.engine->mmu().faults();
  EXPECT_EQ(send({.desc = op(0), .channels = 32}), EuSendKind::kDone);
  EXPECT_EQ(d_.engine->mmu().faults(), faults);
}

TEST_F(EuMessagesSim, AtomicsOfEverySizeAndTheCpuSeeEachOther) {
  for (unsigned k = 0; k < 32; ++k) rig_.put<std::uint64_t>(1, k, page(0) + 2 * k);
  for (unsigned k = 0; k < 32; ++k) rig_.put<std::uint32_t>(20, k, 0xFFFF'0000 + k);  // the upper half means nothing
  ASSERT_EQ(send({.desc = LscFields{.op = 0xC, .data_size = 5}.word(), .channels = 32, .dst = 10, .src1 = 20}),
            EuSendKind::kDone);
  ASSERT_EQ(send({.desc = LscFields{.op = 0xC, .data_size = 5}.word(), .channels = 32, .dst = 10, .src1 = 20}),
            EuSendKind::kDone);
  for (unsigned k = 0; k < 32; k += 2) {
    EXPECT_EQ(rig_.get<std::uint32_t>(10, k), k);
    EXPECT_EQ(*d_.cpu_read(page(0) + 2 * k), 2 * k | (2 * k + 2) << 16);
  }
  for (unsigned k = 0; k < 16; ++k) {
    rig_.put<std::uint64_t>(1, k, page(1) + 8 * k);
    rig_.put<std::uint64_t>(20, k, 0x1'0000'0000 * k);
  }
  ASSERT_EQ(send({.desc = LscFields{.op = 0x19, .data_size = 3}.word(), .channels = 16, .dst = 10, .src1 = 20}),
            EuSendKind::kDone);
  for (unsigned k = 0; k < 16; ++k) EXPECT_EQ(*d_.cpu_read(page(1) + 8 * k + 4), k);
}

}  // namespace
}  // namespace softxe
