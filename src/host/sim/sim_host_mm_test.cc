#include "host/sim/sim_host_mm.h"

#include <array>

#include "base/step.h"
#include "host/sim/sim_test_machine.h"

namespace softxe::sim_test {
namespace {

// --- events -----------------------------------------------------------------------------------------

struct EventCase {
  const char* name;
  void (*act)(Machine&);
  const char* events;
};

// Pages 0..31 are mapped anonymous and written; 0..15 are one VRAM allocation. The notifier's window
// is pages 0..63.
const EventCase kEventCases[] = {
    {"munmap whole", [](Machine& m) { EXPECT_TRUE(m.mm.cpu_munmap(m.pages(0, 32))); }, "U[0+32]"},
    {"munmap part", [](Machine& m) { EXPECT_TRUE(m.mm.cpu_munmap(m.pages(4, 1))); }, "U[4+1]"},
    {"munmap of nothing", [](Machine& m) { EXPECT_TRUE(m.mm.cpu_munmap(m.pages(40, 4))); }, ""},
    {"munmap past the window", [](Machine& m) { EXPECT_TRUE(m.mm.cpu_munmap(m.pages(30, 100))); }, "U[30+34]"},
    {"mmap fixed over", [](Machine& m) { m.map(8, 4); }, "U[8+4]"},
    {"mmap fixed over nothing", [](Machine& m) { m.map(40, 4); }, ""},
    {"mremap move",
     [](Machine& m) {
       EXPECT_TRUE(m.mm.cpu_mremap({.old = m.pages(0, 16),
                                    .new_size_bytes = 16 * kPageSize,
                                    .move = MremapRequest::Move::kFixed,
                                    .to = HostVa(0x70000000)}));
     },
     "U[0+16]"},
    {"mremap dontunmap",
     [](Machine& m) {
       EXPECT_TRUE(m.mm.cpu_mremap(
           {.old = m.pages(0, 32), .new_size_bytes = 32 * kPageSize, .move = MremapRequest::Move::kDontUnmap}));
     },
     "U[0+32]"},
    {"mremap shrink",
     [](Machine& m) { EXPECT_TRUE(m.mm.cpu_mremap({.old = m.pages(0, 32), .new_size_bytes = 20 * kPageSize})); },
     "U[20+12]"},
    {"mremap grow in place",
     [](Machine& m) { EXPECT_TRUE(m.mm.cpu_mremap({.old = m.pages(0, 32), .new_size_bytes = 40 * kPageSize})); }, ""},
    {"mprotect", [](Machine& m) { EXPECT_TRUE(m.mm.cpu_mprotect(m.pages(2, 3), Prot::kRead)); }, "P[2+3]"},
    {"mprotect to the same", [](Machine& m) { EXPECT_TRUE(m.mm.cpu_mprotect(m.pages(2, 3), Prot::kReadWrite)); }, ""},
    {"madvise dontneed", [](Machine& m) { EXPECT_TRUE(m.mm.cpu_madvise(m.pages(0, 8), CpuAdvice::kDontNeed)); },
     "C[0+8]"},
    {"madvise free", [](Machine& m) { EXPECT_TRUE(m.mm.cpu_madvise(m.pages(16, 8), CpuAdvice::kFree)); }, "C[16+8]"},
    {"madvise pageout", [](Machine& m) { EXPECT_TRUE(m.mm.cpu_madvise(m.pages(16, 8), CpuAdvice::kPageout)); },
     "C[16+8]"},
    {"madvise guard", [](Machine& m) { EXPECT_TRUE(m.mm.cpu_madvise(m.pages(17, 1), CpuAdvice::kGuardInstall)); },
     "C[17+1]"},
    {"madvise cold", [](Machine& m) { EXPECT_TRUE(m.mm.cpu_madvise(m.pages(0, 8), CpuAdvice::kCold)); }, ""},
    {"fork", [](Machine& m) { EXPECT_TRUE(m.mm.cpu_fork()); }, "M[0+16] P[0+32]"},
    {"write after fork",
     [](Machine& m) {
       ASSERT_TRUE(m.mm.cpu_fork());
       m.notifier.log.clear();
       EXPECT_TRUE(m.write(kBase + 3 * kPageSize, 1));
     },
     "C[3+1]"},
    {"migrate to VRAM", [](Machine& m) { EXPECT_TRUE(m.to_device(m.pages(16, 16), m.heap)); }, "M[16+16]"},
    {"CPU touch of VRAM", [](Machine& m) { EXPECT_EQ(m.read(kBase + 5 * kPageSize), 105); }, "M[0+16]"},
    {"evict", [](Machine& m) { EXPECT_TRUE(m.mm.evict(**m.heap.all().begin())); }, "M[0+16]"},
    {"migrate to system",
     [](Machine& m) { EXPECT_TRUE(m.mm.migrate_to_system(m.pages(4, 30), MoveCause::kPrefetch, Residency::kHonour)); },
     "M[4+12]"},
    {"mlock", [](Machine& m) { EXPECT_TRUE(m.mm.cpu_mlock(m.pages(0, 32))); }, "M[0+16]"},
    {"exit", [](Machine& m) { m.mm.cpu_exit(Pid::kMain); }, "R[0+64] U[0+64]"},
};

class SimEvents : public testing::TestWithParam<EventCase> {};

TEST_P(SimEvents, ReachTheNotifierBeforeTheChange) {
  Machine m;
  m.map(0, 32);
  for (std::uint32_t i = 0; i < 32; ++i) ASSERT_TRUE(m.write(kBase + i * kPageSize, 100 + i));
  ASSERT_TRUE(m.to_device(m.pages(0, 16), m.heap));
  m.notifier.log.clear();
  std::uint64_t sequence = m.mm.read_begin(m.notifier);
  GetParam().act(m);
  EXPECT_EQ(m.mm.read_begin(m.notifier) != sequence, GetParam().events[0] != '\0');
  m.expect_events(GetParam().events);
  m.mm.check_invariants();
}
INSTANTIATE_TEST_SUITE_P(All, SimEvents, testing::ValuesIn(kEventCases));

// Not in the order of their addresses, which differ from run to run: a search of orders replays what it has seen.
TEST(SimHostMm, NotifiersOfOneWindowHearInTheOrderInWhichTheyWereWatched) {
  for (std::size_t first : {std::size_t{0}, std::size_t{1}}) {
    Machine m;
    m.map(0, 1);
    std::array<Recorder, 2> notifiers{Recorder(m.pages(0, 64)), Recorder(m.pages(0, 64))};
    std::vector<std::size_t> heard;
    for (std::size_t i : {first, 1 - first}) {
      notifiers[i].on_event = [&heard, i] { heard.push_back(i); };
      ASSERT_TRUE(m.mm.watch(notifiers[i]));
    }
    EXPECT_TRUE(m.mm.cpu_munmap(m.pages(0, 1)));
    EXPECT_EQ(heard, (std::vector<std::size_t>{first, 1 - first}));
    for (Recorder& notifier : notifiers) m.mm.unwatch(notifier);
  }
}

TEST(SimHostMm, LateNotifiersSeePoison) {
  for (NotifyOrder order : {NotifyOrder::kBefore, NotifyOrder::kAfter}) {
    Machine m({.order = order});
    m.map(0, 1);
    ASSERT_TRUE(m.write(kBase, 0x11223344));
    PageHomes homes;
    ASSERT_TRUE(m.mm.collect(m.pages(0, 1), {}, homes));
    const PageHome home = homes[0];
    std::uint64_t generation = m.mm.frame_generation(home.system);
    std::uint32_t seen = 0;
    m.notifier.on_event = [&] { std::memcpy(&seen, home.system, sizeof seen); };
    ASSERT_TRUE(m.mm.cpu_munmap(m.pages(0, 1)));
    EXPECT_EQ(seen, order == NotifyOrder::kBefore ? 0x11223344u : 0xDBDBDBDBu);
    EXPECT_NE(m.mm.frame_generation(home.system), generation);
    EXPECT_EQ(home.system[0], SimFrames::kPoison);
  }
}

// --- pages --------------------------------------------------------------------------------------------

TEST(SimHostMm, MigrationMovesDataExactlyOnceAndPoisonsTheSource) {
  Machine m;
  m.map(0, 16);
  ASSERT_TRUE(m.write(kBase, 7));
  EXPECT_EQ(m.read(kBase + kPageSize), 0);  // page 1 is the zero page, the others are holes
  PageHomes homes;
  ASSERT_TRUE(m.mm.collect(m.pages(0, 1), {}, homes));
  const PageHome home = homes[0];
  auto counts = m.to_device(m.pages(0, 16), m.heap);
  ASSERT_TRUE(counts);
  EXPECT_EQ(counts->pages_moved, 1u);
  EXPECT_EQ(counts->pages_zero_filled, 15u);
  EXPECT_EQ(home.system[0], SimFrames::kPoison);

  ASSERT_TRUE(m.mm.collect(m.pages(0, 16), {.owner = kOurs}, homes));
  EXPECT_EQ(homes[2].where, PageHome::Where::kDevice);
  const std::byte* vram = homes[0].allocation->frame;
  EXPECT_EQ(vram[0], std::byte{7});
  EXPECT_EQ(vram[kPageSize], std::byte{0});
  EXPECT_EQ(m.read(kBase), 7);
  EXPECT_EQ(vram[0], SimFrames::kPoison);
  EXPECT_EQ(m.heap.live(), 0u);
  EXPECT_EQ(m.heap.home_pages, 16u);
  EXPECT_EQ(m.heap.last_cause, MoveCause::kCpuFault);
}

TEST(SimHostMm, CollectBringsForeignPagesHome) {
  Machine m;
  m.map(0, 16);
  ASSERT_TRUE(m.write(kBase, 7));
  ASSERT_TRUE(m.to_device(m.pages(0, 16), m.far));
  EXPECT_FALSE(m.mm.populated(m.pages(0, 16), kOurs));
  EXPECT_TRUE(m.mm.populated(m.pages(0, 16), kTheirs));
  EXPECT_EQ(m.to_device(m.pages(0, 16), m.heap).error().err, EBUSY);
  PageHomes homes;
  ASSERT_TRUE(m.mm.collect(m.pages(0, 16), {.owner = kOurs}, homes));
  EXPECT_EQ(homes[0].system[0], std::byte{7});
  EXPECT_EQ(m.far.live(), 0u);
}

TEST(SimHostMm, SameGroupPagesAreCopiedByTheDevice) {
  Machine m;
  m.map(0, 32);
  ASSERT_TRUE(m.write(kBase + 16 * kPageSize, 9));
  ASSERT_TRUE(m.to_device(m.pages(16, 16), m.heap));
  ASSERT_TRUE(m.to_device(m.pages(0, 32), m.heap));
  EXPECT_EQ(m.heap.live(), 1u);
  EXPECT_EQ(m.read(kBase + 16 * kPageSize), 9);
}

TEST(SimHostMm, ResidencyDeadlineHoldsTheCpuButNotEviction) {
  for (WaitPolicy wait : {WaitPolicy::kAdvanceClock, WaitPolicy::kReport}) {
    Machine m({.wait = wait});
    m.map(0, 16);
    ASSERT_TRUE(m.write(kBase, 7));
    std::uint64_t deadline = m.clock.now_ns() + 5'000'000;
    ASSERT_TRUE(m.to_device(m.pages(0, 16), m.heap, 5'000'000));
    if (wait == WaitPolicy::kReport) {
      EXPECT_EQ(m.read(kBase), -kCpuWaits);
      m.clock.advance_ns(5'000'000);
    }
    EXPECT_EQ(m.read(kBase), 7);
    EXPECT_GE(m.clock.now_ns(), deadline);
    std::uint64_t now = m.clock.now_ns();
    ASSERT_TRUE(m.to_device(m.pages(0, 16), m.heap, 5'000'000));
    ASSERT_TRUE(m.mm.evict(**m.heap.all().begin()));
    EXPECT_EQ(m.clock.now_ns(), now);
    EXPECT_EQ(m.read(kBase), 7);
  }
}

TEST(SimHostMm, CpuFaultStaysWithinTheMappingAndTheAllocation) {
  Machine m;
  m.map(0, 32);
  ASSERT_TRUE(m.to_device(m.pages(0, 16), m.heap));
  ASSERT_TRUE(m.to_device(m.pages(16, 16), m.heap));
  ASSERT_TRUE(m.mm.cpu_mprotect(m.pages(0, 8), Prot::kRead));
  m.notifier.log.clear();
  EXPECT_EQ(m.read(kBase), 0);
  m.expect_events("M[0+8]");
  EXPECT_EQ(m.mm.page_state(kBase + 8 * kPageSize), SimHostMm::PageState::kDevice);
  EXPECT_EQ(m.heap.live(), 2u);
}

struct RefusedCase {
  const char* name;
  void (*prepare)(Machine&);
  int err;
};
const RefusedCase kRefused[] = {
    {"hole at the start", [](Machine& m) { ASSERT_TRUE(m.mm.cpu_munmap(m.pages(0, 1))); }, ENOENT},
    {"spans mappings", [](Machine& m) { ASSERT_TRUE(m.mm.cpu_munmap(m.pages(9, 1))); }, EINVAL},
    {"shmem",
     [](Machine& m) {
       ASSERT_TRUE(m.mm.cpu_mmap({.size_bytes = 16 * kPageSize,
                                  .at = kBase,
                                  .place = MmapRequest::Place::kFixed,
                                  .kind = CpuVma::Kind::kShmem}));
     },
     EBUSY},
    {"hugetlb",
     [](Machine& m) {
       ASSERT_TRUE(m.mm.cpu_mmap({.size_bytes = 16 * kPageSize,
                                  .at = kBase,
                                  .place = MmapRequest::Place::kFixed,
                                  .kind = CpuVma::Kind::kHugetlb}));
     },
     EINVAL},
    {"pinned", [](Machine& m) { ASSERT_TRUE(m.mm.pin(kBase + kPageSize)); }, EBUSY},
    {"swapped out", [](Machine& m) { ASSERT_TRUE(m.mm.cpu_madvise(m.pages(0, 1), CpuAdvice::kPageout)); }, EBUSY},
    {"guard page", [](Machine& m) { ASSERT_TRUE(m.mm.cpu_madvise(m.pages(3, 1), CpuAdvice::kGuardInstall)); }, EBUSY},
    {"locked", [](Machine& m) { ASSERT_TRUE(m.mm.cpu_mlock(m.pages(0, 16))); }, EBUSY},
    {"read-only", [](Machine& m) { ASSERT_TRUE(m.mm.cpu_mprotect(m.pages(0, 16), Prot::kRead)); }, EBUSY},
    {"dead process", [](Machine& m) { m.mm.cpu_exit(Pid::kMain); }, EFAULT},
};

TEST(SimHostMm, RefusesToMigrateAndLeavesEverythingWhereItWas) {
  for (const RefusedCase& c : kRefused) {
    Machine m;
    m.map(0, 16);
    ASSERT_TRUE(m.write(kBase, 7));
    c.prepare(m);
    m.notifier.log.clear();
    auto result = m.to_device(m.pages(0, 16), m.heap);
    ASSERT_FALSE(result) << c.name;
    EXPECT_EQ(result.error().err, c.err) << c.name;
    m.expect_events("");
    m.mm.check_invariants();
  }
}

struct CollectCase {
  const char* name;
  void (*prepare)(Machine&);
  CollectRequest::Intent intent;
  int err;        ///< of collecting pages 0 and 1
  bool writable;  ///< of page 0
};
constexpr auto kR = CollectRequest::Intent::kRead;
constexpr auto kW = CollectRequest::Intent::kWrite;
void file_of_one_page(Machine& m, Share share) {
  auto object = std::make_shared<SimObject>();
  object->size_bytes = kPageSize;
  ASSERT_TRUE(m.mm.cpu_mmap({.size_bytes = 2 * kPageSize,
                             .at = kBase,
                             .place = MmapRequest::Place::kFixed,
                             .kind = CpuVma::Kind::kFile,
                             .share = share,
                             .object = object}));
}
const CollectCase kCollect[] = {
    {"hole, read: zero page", [](Machine&) {}, kR, 0, false},
    {"hole, write: own frame", [](Machine&) {}, kW, 0, true},
    {"written, read", [](Machine& m) { ASSERT_TRUE(m.write(kBase, 1)); }, kR, 0, true},
    {"COW, read",
     [](Machine& m) {
       ASSERT_TRUE(m.write(kBase, 1));
       ASSERT_TRUE(m.mm.cpu_fork());
     },
     kR, 0, false},
    {"COW, write",
     [](Machine& m) {
       ASSERT_TRUE(m.write(kBase, 1));
       ASSERT_TRUE(m.mm.cpu_fork());
     },
     kW, 0, true},
    {"read-only, read", [](Machine& m) { ASSERT_TRUE(m.mm.cpu_mprotect(m.pages(0, 2), Prot::kRead)); }, kR, 0, false},
    {"read-only, write", [](Machine& m) { ASSERT_TRUE(m.mm.cpu_mprotect(m.pages(0, 2), Prot::kRead)); }, kW, EFAULT,
     false},
    {"PROT_NONE", [](Machine& m) { ASSERT_TRUE(m.mm.cpu_mprotect(m.pages(0, 2), Prot::kNone)); }, kR, EFAULT, false},
    {"hole in the mapping", [](Machine& m) { ASSERT_TRUE(m.mm.cpu_munmap(m.pages(1, 1))); }, kR, EFAULT, false},
    {"guard", [](Machine& m) { ASSERT_TRUE(m.mm.cpu_madvise(m.pages(1, 1), CpuAdvice::kGuardInstall)); }, kR, EFAULT,
     false},
    {"swapped",
     [](Machine& m) {
       ASSERT_TRUE(m.write(kBase, 1));
       ASSERT_TRUE(m.mm.cpu_madvise(m.pages(0, 2), CpuAdvice::kPageout));
     },
     kR, 0, true},
    {"beyond end of file", [](Machine& m) { file_of_one_page(m, Share::kShared); }, kR, EFAULT, false},
};

TEST(SimHostMm, CollectTable) {
  for (const CollectCase& c : kCollect) {
    Machine m;
    m.map(0, 2);
    c.prepare(m);
    PageHomes homes;
    auto status = m.mm.collect(m.pages(0, 2), {.intent = c.intent}, homes);
    EXPECT_EQ(status ? 0 : status.error().err, c.err) << c.name;
    if (status) {
      EXPECT_EQ(homes[0].writable, c.writable) << c.name;
    }
    m.mm.check_invariants();
  }
}

TEST(SimHostMm, FilePagesAreSharedPrivateOnesCopiedTruncatedOnesGone) {
  Machine m;
  file_of_one_page(m, Share::kPrivate);
  auto object = std::make_shared<SimObject>();
  object->size_bytes = 2 * kPageSize;
  HostVa shared = *m.mm.cpu_mmap(
      {.size_bytes = 2 * kPageSize, .kind = CpuVma::Kind::kFile, .share = Share::kShared, .object = object});
  HostVa copy = *m.mm.cpu_mmap({.size_bytes = 2 * kPageSize, .kind = CpuVma::Kind::kFile, .object = object});
  ASSERT_TRUE(m.write(shared + kPageSize, 5));
  EXPECT_EQ(m.read(copy + kPageSize), 5);
  ASSERT_TRUE(m.write(copy + kPageSize, 6));
  EXPECT_EQ(m.read(shared + kPageSize), 5);
  EXPECT_EQ(m.read(kBase + kPageSize), -kCpuBus);
  m.mm.cpu_truncate(*object, kPageSize);
  EXPECT_EQ(m.read(shared + kPageSize), -kCpuBus);
  EXPECT_EQ(m.read(copy + kPageSize), -kCpuBus);
  EXPECT_EQ(m.read(shared), 0);
  m.mm.check_invariants();
}

TEST(SimHostMm, ForkIsolatesBothSides) {
  Machine m;
  m.map(0, 16);
  ASSERT_TRUE(m.write(kBase, 1));
  ASSERT_TRUE(m.to_device(m.pages(0, 16), m.heap));
  Pid child = *m.mm.cpu_fork();
  EXPECT_EQ(m.heap.last_cause, MoveCause::kFork);
  ASSERT_TRUE(m.to_device(m.pages(0, 16), m.heap));
  std::memset(m.mm.allocation_at(kBase)->frame, 0x22, 4);  // a GPU store after the fork
  EXPECT_EQ(m.read(kBase, child), 1);
  ASSERT_TRUE(m.write(kBase, 3, child));
  EXPECT_EQ(m.read(kBase), 0x22222222);
  EXPECT_EQ(m.read(kBase, child), 3);
  m.mm.check_invariants();
}

TEST(SimHostMm, PinnedPageStaysWithTheParentAcrossFork) {
  Machine m;
  m.map(0, 1);
  ASSERT_TRUE(m.write(kBase, 1));
  ASSERT_TRUE(m.mm.pin(kBase));
  PageHomes homes;
  ASSERT_TRUE(m.mm.collect(m.pages(0, 1), {}, homes));
  const PageHome before = homes[0];
  Pid child = *m.mm.cpu_fork();
  ASSERT_TRUE(m.write(kBase, 2));
  ASSERT_TRUE(m.mm.collect(m.pages(0, 1), {}, homes));
  const PageHome after = homes[0];
  EXPECT_EQ(before.system, after.system);
  EXPECT_EQ(m.read(kBase, child), 1);
  ASSERT_TRUE(m.mm.cpu_munmap(m.pages(0, 1)));
  EXPECT_EQ(before.system[0], std::byte{2});  // the pin still holds the content
  m.mm.unpin(kBase);
  EXPECT_EQ(before.system[0], SimFrames::kPoison);
}

TEST(SimHostMm, MovedMappingKeepsItsVramPages) {
  Machine m;
  m.map(0, 16);
  ASSERT_TRUE(m.write(kBase + 3 * kPageSize, 33));
  ASSERT_TRUE(m.to_device(m.pages(0, 16), m.heap));
  HostVa to = kBase + 0x1000'3000;  // another alignment than the allocation's
  ASSERT_TRUE(m.mm.cpu_mremap(
      {.old = m.pages(0, 16), .new_size_bytes = 16 * kPageSize, .move = MremapRequest::Move::kFixed, .to = to}));
  EXPECT_EQ(m.mm.page_state(to + 3 * kPageSize), SimHostMm::PageState::kDevice);
  m.mm.check_invariants();
  EXPECT_EQ(m.read(to + 3 * kPageSize), 33);
  EXPECT_EQ(m.mm.page_state(to + 15 * kPageSize), SimHostMm::PageState::kDevice);  // other block
  ASSERT_TRUE(m.mm.evict(*m.mm.allocation_at(to + 15 * kPageSize)));
  EXPECT_EQ(m.heap.live(), 0u);
  EXPECT_EQ(m.read(kBase), -kCpuSegv);
}

TEST(SimHostMm, BrkGrowsAndShrinks) {
  Machine m;
  HostVa base = m.mm.cpu_brk(HostVa(0));
  EXPECT_EQ(m.mm.cpu_brk(base + 5 * kPageSize), base + 5 * kPageSize);
  ASSERT_TRUE(m.write(base + 4 * kPageSize, 1));
  EXPECT_EQ(m.mm.cpu_brk(base + 2 * kPageSize), base + 2 * kPageSize);
  EXPECT_EQ(m.read(base + 4 * kPageSize), -kCpuSegv);
  m.mm.cpu_brk(base + 5 * kPageSize);
  EXPECT_EQ(m.read(base + 4 * kPageSize), 0);
}

TEST(SimHostMm, NeighboursMergeLikeTheKernels) {
  Machine m;
  m.map(0, 4);
  m.map(4, 4);
  EXPECT_EQ(m.mm.find_vma(kBase)->range, m.pages(0, 8));
  ASSERT_TRUE(m.mm.cpu_mprotect(m.pages(2, 2), Prot::kRead));
  EXPECT_EQ(m.mm.find_vma(kBase)->range, m.pages(0, 2));
  ASSERT_TRUE(m.mm.cpu_mprotect(m.pages(2, 2), Prot::kReadWrite));
  EXPECT_EQ(m.mm.find_vma(kBase)->range, m.pages(0, 8));
  EXPECT_EQ(*m.mm.next_mapped(HostRange::of(HostVa(kPageSize), k1G)), kBase);
  EXPECT_EQ(m.mm.next_mapped(m.pages(8, 8)).error().err, ENOENT);
}

// --- failures -------------------------------------------------------------------------------------------

TEST(SimHostMm, EveryFailingStepLeavesDataAndHomesIntact) {
  int fired = 0;
  for (std::uint64_t nth = 1; nth < 60; ++nth) {
    Machine m;
    m.map(0, 16);
    for (std::uint32_t i = 0; i < 8; ++i) ASSERT_TRUE(m.write(kBase + i * kPageSize, 100 + i));
    FailNth hook("", nth, ENOMEM);
    set_step_hook(&hook);
    static_cast<void>(m.to_device(m.pages(0, 16), m.heap));
    static_cast<void>(m.mm.migrate_to_system(m.pages(0, 4), MoveCause::kPrefetch, Residency::kIgnore));
    static_cast<void>(m.mm.cpu_fork());
    static_cast<void>(m.to_device(m.pages(0, 8), m.heap));
    if (auto* allocation = m.mm.allocation_at(kBase)) static_cast<void>(m.mm.evict(*allocation));
    static_cast<void>(m.mm.cpu_madvise(m.pages(0, 8), CpuAdvice::kPageout));
    PageHomes homes;
    static_cast<void>(m.mm.collect(m.pages(0, 8), {}, homes));
    set_step_hook(nullptr);
    fired += hook.fired() ? 1 : 0;
    m.mm.check_invariants();
    for (std::uint32_t i = 0; i < 16; ++i) {
      EXPECT_EQ(m.read(kBase + i * kPageSize), i < 8 ? 100 + i : 0) << "nth " << nth;
    }
  }
  EXPECT_GT(fired, 10);
}

TEST(SimHostMm, OutOfRamIsAnErrorAndLosesNothing) {
  Machine m({.ram_bytes = 24 * kPageSize});
  m.map(0, 32);
  for (std::uint32_t i = 0; i < 16; ++i) ASSERT_TRUE(m.write(kBase + i * kPageSize, 100 + i));
  ASSERT_TRUE(m.to_device(m.pages(0, 16), m.heap));
  for (std::uint32_t i = 16; i < 32; ++i) ASSERT_TRUE(m.write(kBase + i * kPageSize, 100 + i));
  EXPECT_EQ(m.mm.evict(**m.heap.all().begin()).error().err, ENOMEM);
  EXPECT_EQ(m.read(kBase), -kCpuBus);
  ASSERT_TRUE(m.mm.cpu_munmap(m.pages(16, 16)));
  for (std::uint32_t i = 0; i < 16; ++i) EXPECT_EQ(m.read(kBase + i * kPageSize), 100 + i);
}

}  // namespace
}  // namespace softxe::sim_test
