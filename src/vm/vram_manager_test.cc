// Eviction order, protection, claims and accounting of the VRAM manager (spec/svm.md 5.8, vm.md 2.9).
#include "vm/vram_manager.h"

#include <gtest/gtest.h>
#include <atomic>
#include <deque>
#include <memory>
#include <thread>
#include <vector>

#include "base/step.h"

namespace softxe {
namespace {

using ReleaseResult = VramManager::ReleaseResult;

/// Frees what it is told to evict, unless told to refuse.
struct Client final : VramClient {
  explicit Client(VramManager*& m) : manager(m) {}
  Status evict_block(VramBlock& block) override {
    evicted.push_back(&block);
    if (on_evict) on_evict(block);
    for (VramBlock* b : busy) {
      if (b == &block) return fail(EBUSY, "refused by the test");
    }
    EXPECT_EQ(manager->release(block), ReleaseResult::kClaimed);
    return {};
  }
  void block_unclaimed(VramBlock& block) override { unclaimed.push_back(&block); }

  VramManager*& manager;
  std::vector<VramBlock*> evicted, unclaimed, busy;
  std::function<void(VramBlock&)> on_evict;
};

class VramManagerTest : public ::testing::Test {
 protected:
  static constexpr std::uint64_t kBytes = 8 * k2M;

  void TearDown() override {
    for (auto& b : blocks_) EXPECT_EQ(manager_.release(*b), ReleaseResult::kDone);
    manager_.check_invariants();
    EXPECT_EQ(manager_.usage().used_bytes, 0u);
  }
  VramBlock& block() {
    blocks_.push_back(std::make_unique<VramBlock>(client_));
    return *blocks_.back();
  }
  VramBlock& full(std::uint64_t bytes = k2M, const AllocPolicy& policy = {}) {
    VramBlock& b = block();
    EXPECT_TRUE(manager_.allocate(b, bytes, policy));
    return b;
  }

  VramManager manager_{{.bytes = kBytes, .visible_bytes = kBytes}};
  VramManager* self_ = &manager_;
  Client client_{self_};
  std::vector<std::unique_ptr<VramBlock>> blocks_;
};

TEST_F(VramManagerTest, RefusalsChangeNothing) {
  AllocPolicy no_evict;
  no_evict.evict = AllocPolicy::Evict::kNo;
  full(kBytes / 2);
  struct Case {
    const char* what;
    std::uint64_t bytes;
    AllocPolicy policy;
    int err;
  };
  const Case cases[] = {
      {"nothing", 0, {}, EINVAL},
      {"more than there is", kBytes + 1, {}, E2BIG},
      {"no space, no eviction", kBytes, no_evict, ENOSPC},
  };
  VramBlock& b = block();
  for (const Case& c : cases) {
    SCOPED_TRACE(c.what);
    const Status status = manager_.allocate(b, c.bytes, c.policy);
    ASSERT_FALSE(status.has_value());
    EXPECT_EQ(status.error().err, c.err);
    EXPECT_EQ(manager_.usage().used_bytes, kBytes / 2);
    EXPECT_TRUE(client_.evicted.empty());
  }
  FailNth hook("vm.vram.alloc", 1, ENOMEM);
  StepHook* old = set_step_hook(&hook);
  EXPECT_EQ(manager_.allocate(b, k2M, {}).error().err, ENOMEM);
  set_step_hook(old);
}

TEST_F(VramManagerTest, EvictsOldestFirstAndTouchMakesYoung) {
  std::vector<VramBlock*> b;
  b.reserve(8);
  for (int i = 0; i < 8; ++i) b.push_back(&full());
  manager_.touch(*b[0]);
  manager_.pin(*b[1]);
  full();
  EXPECT_EQ(client_.evicted, (std::vector<VramBlock*>{b[2]}));
  EXPECT_EQ(client_.unclaimed, client_.evicted);
  client_.busy = {b[3]};
  full();
  EXPECT_EQ(client_.evicted, (std::vector<VramBlock*>{b[2], b[3], b[4]})) << "busy: the next victim";
  EXPECT_EQ(manager_.usage().evictions, 2u);
  manager_.unpin(*b[1]);
  EXPECT_EQ(manager_.usage().used_bytes, kBytes);
}

TEST_F(VramManagerTest, PinnedBlocksAreNeverAsked) {
  VramBlock& oldest = full();
  VramBlock& later = full();
  manager_.pin(oldest);
  manager_.pin(later);
  std::vector<VramBlock*> rest;
  rest.reserve(6);
  for (int i = 0; i < 6; ++i) rest.push_back(&full());
  manager_.touch(oldest);
  manager_.touch(later);
  EXPECT_EQ(manager_.allocate(block(), 7 * k2M, {}).error().err, ENOSPC) << "rounded up to all there is";
  EXPECT_EQ(client_.evicted, rest);
  EXPECT_TRUE(manager_.evict_all({}));
  EXPECT_EQ(client_.evicted, rest);
  EXPECT_EQ(manager_.usage().used_bytes, 2 * k2M);
  manager_.unpin(later);
  manager_.unpin(oldest);
  rest.push_back(&later);
  rest.push_back(&oldest);
  EXPECT_TRUE(manager_.evict_all({}));
  EXPECT_EQ(client_.evicted, rest);
}

TEST_F(VramManagerTest, PredicateProtectsVmLocalBlocks) {
  const int vm_a = 0, vm_b = 0;
  AllocPolicy of_a;
  of_a.vm_tag = &vm_a;
  AllocPolicy of_b;
  of_b.vm_tag = &vm_b;
  std::vector<VramBlock*> a, b;
  for (int i = 0; i < 4; ++i) a.push_back(&full(k2M, of_a));
  for (int i = 0; i < 4; ++i) b.push_back(&full(k2M, of_b));
  of_a.may_evict = [&](const VramBlock& v) { return v.vm_tag() != &vm_a; };
  for (int i = 0; i < 4; ++i) full(k2M, of_a);
  EXPECT_EQ(client_.evicted, b);
  VramBlock& extra = block();
  EXPECT_EQ(manager_.allocate(extra, k2M, of_a).error().err, ENOSPC);
  EXPECT_EQ(client_.evicted, b) << "nothing of the protected VM was asked";
}

TEST_F(VramManagerTest, ScatteredUsesHolesContiguousDoesNot) {
  std::vector<VramBlock*> b;
  b.reserve(8);
  for (int i = 0; i < 8; ++i) b.push_back(&full());
  for (int i = 0; i < 8; i += 2) ASSERT_EQ(manager_.release(*b[i]), ReleaseResult::kDone);
  AllocPolicy policy;
  policy.evict = AllocPolicy::Evict::kNo;
  VramBlock& big = block();
  EXPECT_EQ(manager_.allocate(big, 2 * k2M, policy).error().err, ENOSPC);
  policy.shape = AllocPolicy::Shape::kScattered;
  ASSERT_TRUE(manager_.allocate(big, 3 * k2M + kPageSize, policy));
  EXPECT_EQ(big.bytes(), 3 * k2M + kPageSize);
  std::vector<DevRange> extents;
  manager_.for_each_extent(big, [&](DevRange r) { extents.push_back(r); });
  ASSERT_EQ(extents.size(), 4u);
  EXPECT_EQ(extents[0].start(), big.start());
  EXPECT_EQ(extents[3].size(), kPageSize);
  EXPECT_EQ(manager_.usage().used_bytes, 7 * k2M + kPageSize);
}

TEST_F(VramManagerTest, QuotaCountsBeforeSpace) {
  VramManager limited({.bytes = kBytes, .visible_bytes = kBytes}, 2 * k2M);
  VramManager* self = &limited;
  Client client(self);
  VramBlock a(client), b(client), c(client);
  ASSERT_TRUE(limited.allocate(a, k2M, {}));
  ASSERT_TRUE(limited.allocate(b, k2M, {}));
  ASSERT_TRUE(limited.allocate(c, k2M, {}));
  EXPECT_EQ(client.evicted, (std::vector<VramBlock*>{&a}));
  EXPECT_EQ(limited.release(b), ReleaseResult::kDone);
  EXPECT_EQ(limited.release(c), ReleaseResult::kDone);
}

TEST_F(VramManagerTest, OwnerMayFreeOrRefillUnderTheClaim) {
  std::vector<VramBlock*> b;
  b.reserve(8);
  for (int i = 0; i < 8; ++i) b.push_back(&full());
  // The owner frees the block itself while the evictor is at work: the evictor finds nothing to do.
  client_.busy = {b[0], b[1]};
  client_.on_evict = [&](VramBlock& v) {
    if (&v != b[0]) return;
    EXPECT_EQ(manager_.release(v), ReleaseResult::kClaimed);
    EXPECT_TRUE(client_.unclaimed.empty()) << "still claimed";
  };
  full();
  EXPECT_EQ(client_.unclaimed, (std::vector<VramBlock*>{b[0]}));
  // Freed and filled again at once: not gone, so nobody is told, and another victim is needed.
  client_.on_evict = [&](VramBlock& v) {
    if (&v != b[1]) return;
    EXPECT_EQ(manager_.release(v), ReleaseResult::kClaimed);
    AllocPolicy policy;
    policy.evict = AllocPolicy::Evict::kNo;
    EXPECT_TRUE(manager_.allocate(v, k2M, policy));
  };
  full();
  EXPECT_EQ(client_.unclaimed, (std::vector<VramBlock*>{b[0], b[2]}));
}

TEST_F(VramManagerTest, EvictAllReportsTheFirstErrorAfterTryingAll) {
  std::vector<VramBlock*> b;
  b.reserve(4);
  for (int i = 0; i < 4; ++i) b.push_back(&full());
  client_.busy = {b[1]};
  const Status status = manager_.evict_all({});
  ASSERT_FALSE(status.has_value());
  EXPECT_EQ(status.error().err, EBUSY);
  EXPECT_EQ(client_.evicted, b);
  EXPECT_EQ(manager_.usage().used_bytes, k2M);
}

// Threads that allocate, evict each other and free; every block is told exactly once that it is free.
TEST_F(VramManagerTest, ThreadsEvictEachOther) {
  struct Owner final : VramClient {
    explicit Owner(VramManager& m) : manager(m) {}
    Status evict_block(VramBlock& block) override {
      if (manager.release(block) == ReleaseResult::kDone) ADD_FAILURE() << "an evictor holds a claim";
      return {};
    }
    void block_unclaimed(VramBlock&) override { gone.fetch_add(1); }
    VramManager& manager;
    std::atomic<std::uint64_t> gone{0};
  };
  Owner owner(manager_);
  auto work = [&](std::uint64_t seed) {
    std::deque<VramBlock> mine;
    for (std::uint64_t i = 0; i < 300; ++i) {
      VramBlock& b = mine.emplace_back(owner);
      const std::uint64_t bytes = kPageSize << ((seed + i) % 10);
      if (!manager_.allocate(b, bytes, {})) continue;  // all victims were claimed by the other thread
      if (i % 3 == 0) (void)manager_.release(b);
    }
    for (VramBlock& b : mine) {
      while (manager_.release(b) == ReleaseResult::kClaimed) std::this_thread::yield();
    }
  };
  std::thread other(work, 1);
  work(5);
  other.join();
  EXPECT_EQ(owner.gone.load() > 0, manager_.usage().evictions > 0);
}

}  // namespace
}  // namespace softxe
