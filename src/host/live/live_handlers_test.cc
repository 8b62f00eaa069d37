// A userfaultfd of the client's own, on memory that is or was in VRAM; and pages that cannot come home.
#include "base/raw_syscall.h"
#include "base/step.h"
#include "host/live/live_test_support.h"

namespace softxe::live {
namespace {

class LiveHandlers : public LiveCalls {
 protected:
  void SetUp() override {
    LiveCalls::SetUp();
    if (IsSkipped()) return;
    auto theirs = Uffd::open(UffdAccess::kKernelAndUser, UffdFeature::kMove);
    ASSERT_TRUE(theirs.has_value());
    theirs_ = std::move(*theirs);
  }
  /// The request as the client makes it; `words` is its argument.
  long request(unsigned long number, std::array<std::uint64_t, 5> words) {
    return mm_->hook_syscall(SYS_ioctl, {theirs_.fd(), static_cast<long>(number),
                                         static_cast<long>(reinterpret_cast<std::uint64_t>(words.data()))});
  }
  long register_memory(std::byte* at) { return request(0xc020aa00, {u(at), k64K, 1}); }

  Uffd theirs_;
};

TEST_F(LiveHandlers, MemoryThatIsOrWasInVramCanBeRegistered) {
  std::byte* away = map_filled(k64K, 1);
  std::byte* back = map_filled(k64K, 1);
  migrate(away, k64K);
  migrate(back, k64K);
  expect_filled(back, 16, 1);
  for (std::byte* at : {away, back}) {
    EXPECT_EQ(register_memory(at), 0);
    expect_filled(at, 16, 1);
    EXPECT_EQ(migrate_error(at, k64K), EBUSY) << "it is theirs now";
    EXPECT_EQ(request(0x8010aa01, {u(at), k64K}), 0);
    migrate(at, k64K);
    expect_filled(at, 16, 1);
  }
}

TEST_F(LiveHandlers, PagesTakenOutOfVramArriveWithTheirData) {
  for (std::uint64_t mode : {0ull, 2ull /* ALLOW_SRC_HOLES */}) {
    std::byte* from = map_filled(k64K, 1);
    std::byte* to = map(k64K);
    Apart<Diary> diary(range_at(from, k64K));
    ASSERT_TRUE(mm_->watch(*diary));
    ASSERT_EQ(register_memory(to), 0);
    migrate(from, k64K);
    ASSERT_EQ(request(0xc028aa05, {u(to), u(from), k64K, mode}), 0);
    expect_filled(to, 16, 1);
    for (std::uint64_t i = 0; i < 16; ++i) EXPECT_EQ(word(from, i), 0u);
    EXPECT_TRUE(diary->saw(HostEvent::kClear));
    mm_->unwatch(*diary);
  }
}

// The kernel asks whether the memory is registered, not with whom.
TEST_F(LiveHandlers, MemoryThatIsNotTheirsCannotBeFilled) {
  struct Fill {
    const char* name;
    unsigned long number;
    std::array<std::uint64_t, 5> words;  ///< relative to the memory, where it is an address
  };
  std::byte* data = map_filled(k64K, 50);
  const Fill fills[] = {{"copy", 0xc028aa03, {0, u(data), k64K}}, {"zero", 0xc020aa04, {0, k64K}}};
  for (const Fill& fill : fills) {
    std::byte* at = map_filled(k64K, 1);
    migrate(at, k64K);
    std::array<std::uint64_t, 5> words = fill.words;
    words[0] = u(at);
    EXPECT_EQ(request(fill.number, words), -ENOENT) << fill.name;
    expect_filled(at, 16, 1);
  }
}

// By a raw request it can; what was filled counts, and nothing else is lost.
TEST_F(LiveHandlers, PageFilledBehindOurBackIsSurvived) {
  std::byte* at = map_filled(k64K, 1);
  migrate(at, k64K);
  ASSERT_EQ(theirs_.zero(range_at(at + 2 * kPageSize, kPageSize)).err, 0);
  EXPECT_EQ(word(at, 0), 1u);
  EXPECT_EQ(word(at, 2), 0u);
  EXPECT_EQ(word(at, 3), 4u);
  EXPECT_EQ(released(), 1u);
  doubled_expected_ = 1;
}

TEST_F(LiveHandlers, CopyOutOfVram) {
  std::byte* from = map_filled(k64K, 1);
  std::byte* to = map(k64K);
  ASSERT_EQ(register_memory(to), 0);
  migrate(from, k64K);
  ASSERT_EQ(request(0xc028aa03, {u(to), u(from), k64K}), 0);
  expect_filled(to, 16, 1);
  expect_filled(from, 16, 1);
}

TEST_F(LiveHandlers, ArgumentThatCannotBeReadIsEfault) {
  for (unsigned long number : {0xc020aa00ul, 0x8010aa01ul, 0xc028aa03ul, 0xc028aa05ul}) {
    EXPECT_EQ(mm_->hook_syscall(SYS_ioctl, {theirs_.fd(), static_cast<long>(number), 0x1000}), -EFAULT);
  }
}

// --- no way home ----------------------------------------------------------------------------------

/// No page comes home while this lives.
class Stuck {
 public:
  Stuck() { set_step_hook(&fail_); }
  ~Stuck() { set_step_hook(nullptr); }
  Stuck(const Stuck&) = delete;
  Stuck& operator=(const Stuck&) = delete;

 private:
  FailNth fail_{"live.home.move", 1, ENOMEM, FailNth::Repeat::kForever};
};

TEST_F(LiveCalls, PagesThatCannotComeHomeAreReportedAndStay) {
  std::byte* at = map_filled(k64K, 1);
  std::byte* to = map_filled(k64K, 70);
  Apart<Diary> diary(range_at(at, k2M));
  ASSERT_TRUE(mm_->watch(*diary));
  DevmemAllocation& allocation = migrate(at, k64K);
  {
    const Stuck stuck;
    EXPECT_EQ(mm_->hook_mprotect(u(at), k64K, PROT_READ), -ENOMEM);
    EXPECT_EQ(mm_->hook_mlock(u(at), k64K, 0), -ENOMEM);
    EXPECT_EQ(mm_->hook_madvise(u(at), k64K, MADV_PAGEOUT), -ENOMEM);
    EXPECT_EQ(mm_->hook_mremap({u(at), k64K, 2 * k64K, MREMAP_MAYMOVE, 0}), -ENOMEM);
    EXPECT_EQ(mm_->hook_mremap({u(at), k64K, k64K, MREMAP_MAYMOVE | MREMAP_FIXED, u(to)}), -ENOMEM);
  }
  EXPECT_EQ(allocation.present_count(), 16u);
  EXPECT_FALSE(diary->saw(HostEvent::kUnmap));
  EXPECT_TRUE(mm_->find_vma(HostVa(u(at)))->writable);
  expect_filled(at, 16, 1);
  expect_filled(to, 16, 70);
  mm_->unwatch(*diary);
}

TEST_F(LiveCalls, DiscardsNeedNoWayHome) {
  std::byte* at = map_filled(k64K, 1);
  migrate(at, k64K);
  const Stuck stuck;
  EXPECT_EQ(mm_->hook_madvise(u(at), k64K, MADV_DONTNEED), 0);
  EXPECT_EQ(word(at, 0), 0u);
  migrate(at, k64K);
  EXPECT_EQ(mm_->hook_munmap(u(at), k64K), 0);
  EXPECT_EQ(released(), 2u);
}

}  // namespace
}  // namespace softxe::live
