// The registers of a thread at its start, against the table of spec/compute-dispatch.md 6.1 and the dispatches that an
// emulator ran with right results (its section 14).
#include "hw/eu/eu_start.h"

#include <gtest/gtest.h>

#include <cstring>
#include <memory>

namespace softxe {
namespace {

class StartedThread {
 public:
  StartedThread(const EuWalker& walker, const EuThreadPlace& place) : thread_(std::make_unique<EuThread>()) {
    std::memset(static_cast<void*>(thread_.get()), 0xAA, sizeof(EuThread));
    thread_->touched = EuTouched::everything();
    eu_start_thread(*thread_, walker, place);
  }
  std::uint32_t ud(unsigned reg, unsigned dword) const { return at<std::uint32_t>(reg, dword); }
  std::uint16_t uw(unsigned reg, unsigned word) const { return at<std::uint16_t>(reg, word); }
  const EuThread& operator*() const { return *thread_; }
  const EuThread* operator->() const { return thread_.get(); }

 private:
  template <typename T>
  T at(unsigned reg, unsigned element) const {
    T value{};
    std::memcpy(&value, thread_->grf.data() + reg * kEuGrfBytes + element * sizeof(T), sizeof value);
    return value;
  }
  std::unique_ptr<EuThread> thread_;
};

EuWalker walker_3d() {
  EuWalker w;
  w.kernel = GpuVa(0x8000'fff9'00c0);
  w.simd = 32;
  w.threads = 2;
  w.last_mask = ~0u;
  w.indirect_data = 0xffb00000;
  w.scratch = 0x800;
  w.bases.samplers = 0x1040;
  w.rounding = 3;
  w.has_inline_data = true;
  for (std::uint32_t i = 0; i < 8; ++i) w.inline_data[i] = 0x100 + i;
  w.local_ids = {.emitted = 7, .size = {8, 4, 2}};
  w.groups = {4, 2, 2};
  return w;
}

TEST(EuStart, R0SaysWhichThreadOfWhichGroup) {
  const StartedThread t(walker_3d(), {.group = {3, 1, 0}, .thread = 1, .hw_id = 0x1b5});
  EXPECT_EQ(t.ud(0, 0), 0xffb00000u) << "indirect data";
  EXPECT_EQ(t.ud(0, 1), 3u) << "group x";
  EXPECT_EQ(t.ud(0, 2), 0x02000001u) << "threads of the group, number of this one";
  EXPECT_EQ(t.ud(0, 3), 0x1040u) << "samplers";
  EXPECT_EQ(t.ud(0, 5), 0x800u | 0x1b5u) << "scratch, FFTID";
  EXPECT_EQ(t.ud(0, 6), 1u) << "group y";
  EXPECT_EQ(t.ud(0, 7), 0u) << "group z";
  for (unsigned dword : {4u, 8u, 9u, 15u}) EXPECT_EQ(t.ud(0, dword), 0u) << dword;
}

TEST(EuStart, ControlAndStateRegisters) {
  const StartedThread t(walker_3d(), {.thread = 1, .hw_id = 0x1b5});
  EXPECT_EQ(t->cr[0], 0x30u) << "rounding; denormal bits clear";
  // 0x1b5: thread 5 of EU 6 in sub-slice 6, which is sub-slice 2 of slice 1.
  EXPECT_EQ(t->sr[0], 5u | 6u << 4 | 2u << 8 | 1u << 11);
  EXPECT_EQ(t->msg[0], 6u);
  EXPECT_EQ((t->msg[0] & 0xff) << 6 | (t->sr[0] >> 4 & 7) << 3 | (t->sr[0] & 7), 0x1b5u) << "as kernels compute it";
  EXPECT_EQ(t->sr[2], ~0u);
  EXPECT_EQ(t->mask, ~0u);
  EXPECT_EQ(t->call_mask, ~0u);
  EXPECT_EQ(t->ip, 0x8000'fff9'00c0u);
  EXPECT_EQ(t->hw_id, 0x1b5);
  EXPECT_EQ(t->number, 1);
  EXPECT_EQ(t->simd, 32);
  EXPECT_EQ(t->state, EuThreadState::kReady);
  EXPECT_EQ(t->instructions, 0u);
  EXPECT_EQ(t->message_done, 0u);
  for (std::uint32_t flag : t->flag) EXPECT_EQ(flag, 0u);
  for (std::int64_t wide : t->acc_wide) EXPECT_EQ(wide, 0);
  EXPECT_EQ(t->waiting.begin(), t->waiting.end());
}

TEST(EuStart, EmittedIdsComeBeforeInlineData) {
  const StartedThread t(walker_3d(), {.thread = 1});
  for (unsigned lane = 0; lane < 32; ++lane) {
    const unsigned n = 32 + lane;
    EXPECT_EQ(t.uw(1, lane), n % 8) << lane;
    EXPECT_EQ(t.uw(2, lane), n / 8 % 4) << lane;
    EXPECT_EQ(t.uw(3, lane), n / 32) << lane;
  }
  for (unsigned i = 0; i < 8; ++i) EXPECT_EQ(t.ud(4, i), 0x100 + i);
  EXPECT_EQ(t.ud(4, 8), 0u);
  EXPECT_EQ(t.ud(5, 0), 0u);
}

TEST(EuStart, WithoutIdsInlineDataIsInR1) {
  EuWalker w = walker_3d();
  w.local_ids.emitted = 0;
  const StartedThread t(w, {});
  EXPECT_EQ(t.ud(1, 0), 0x100u);
  EXPECT_EQ(t.ud(2, 0), 0u);
}

TEST(EuStart, With16LanesEachDimensionTakesAWholeRegister) {
  EuWalker w = walker_3d();
  w.simd = 16;
  w.threads = 4;
  w.last_mask = 0xffff;
  w.local_ids.emitted = 3;
  const StartedThread t(w, {.thread = 2});
  EXPECT_EQ(t.uw(1, 15), 7u);
  EXPECT_EQ(t.uw(1, 16), 0u) << "the upper half";
  EXPECT_EQ(t.uw(2, 0), 0u);
  EXPECT_EQ(t.uw(2, 8), 1u);
  EXPECT_EQ(t.ud(3, 1), 0x101u);
  EXPECT_EQ(t->mask, 0xffffu);
}

/// The id of lane 1 in sizes 2, 3, 4 tells the order: the fastest dimension has moved.
struct Order {
  std::array<std::uint8_t, 3> order;
  EuTriple lane1;
  EuTriple lane6;
};

TEST(EuStart, IdsWalkInTheOrderOfTheWalker) {
  for (const Order& c : {Order{{0, 1, 2}, {1, 0, 0}, {0, 0, 1}}, Order{{0, 2, 1}, {1, 0, 0}, {0, 0, 3}},
                         Order{{1, 0, 2}, {0, 1, 0}, {0, 0, 1}}, Order{{2, 0, 1}, {0, 0, 1}, {1, 0, 2}},
                         Order{{1, 2, 0}, {0, 1, 0}, {0, 0, 2}}, Order{{2, 1, 0}, {0, 0, 1}, {0, 1, 2}}}) {
    EuWalker w = walker_3d();
    w.local_ids = {.emitted = 7, .order = c.order, .size = {2, 3, 4}};
    const StartedThread t(w, {});
    for (unsigned d = 0; d < 3; ++d) {
      EXPECT_EQ(t.uw(1 + d, 1), c.lane1[d]) << int{c.order[0]} << int{c.order[1]} << int{c.order[2]};
      EXPECT_EQ(t.uw(1 + d, 6), c.lane6[d]) << int{c.order[0]} << int{c.order[1]} << int{c.order[2]};
    }
  }
}

TEST(EuStart, OnlyTheLastThreadOfAGroupIsMasked) {
  EuWalker w = walker_3d();
  w.threads = 4;
  w.last_mask = 0xf;
  EXPECT_EQ(StartedThread(w, {.thread = 2})->sr[2], ~0u);
  const StartedThread last(w, {.thread = 3});
  EXPECT_EQ(last->sr[2], 0xfu);
  EXPECT_EQ(last->mask, 0xfu);
  EXPECT_EQ(last->ce[0], 0xfu);
}

TEST(EuStart, LargeRegisterModeClearsTheUpperHalf) {
  EuWalker w = walker_3d();
  w.large_grf = true;
  const StartedThread t(w, {});
  EXPECT_EQ(t->grf_count(), 256u);
  EXPECT_EQ(t.ud(255, 15), 0u);
}

}  // namespace
}  // namespace softxe
