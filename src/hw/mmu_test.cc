// The engine's view of memory: every kind of page, faults, rights, livelock, and stale translations.
#include "hw/mmu_memory.h"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <cstring>
#include <functional>
#include <thread>
#include <vector>

#include "hw/mmu_fixture.h"

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wpedantic"  // __int128 in the generator
#include "base/prng.h"
#pragma GCC diagnostic pop

namespace softxe {
namespace {

class MmuKinds : public MmuTest, public ::testing::WithParamInterface<PteKind> {};

TEST_P(MmuKinds, BytesWordsFillsAndAtomicsReachTheMemory) {
  const PteKind kind = GetParam();
  map(kVa, run(kind, 0, k2M));
  std::byte* host = bytes_of(kind);
  std::vector<std::byte> data(70'000);
  for (std::size_t i = 0; i < data.size(); ++i) data[i] = static_cast<std::byte>(i * 7);
  ASSERT_TRUE(memory_.write_bytes(GpuVa(kVa + 4093), data.data(), data.size()));
  std::vector<std::byte> back(data.size(), std::byte{0xee});
  ASSERT_TRUE(memory_.read_bytes(GpuVa(kVa + 4093), back.data(), back.size()));
  const bool real = host != nullptr;
  EXPECT_EQ(back, real ? data : std::vector<std::byte>(data.size()));
  if (real) {
    EXPECT_EQ(std::memcmp(host + 4093, data.data(), data.size()), 0);
  }

  for (const std::uint64_t va : {kVa + 64, kVa + 65, kVa + 4092}) {  // aligned, odd, across pages
    SCOPED_TRACE(va);
    std::uint64_t word = 1;
    ASSERT_TRUE(memory_.store(GpuVa(va), std::uint64_t{0x1122334455667788}));
    ASSERT_TRUE(memory_.load(GpuVa(va), word));
    EXPECT_EQ(word, real ? 0x1122334455667788u : 0u);
    ASSERT_TRUE(memory_.load(GpuVa(va), word));  // now from the TLB
    EXPECT_EQ(word, real ? 0x1122334455667788u : 0u);
  }
  const std::uint32_t pattern = 0xa1b2c3d4;
  ASSERT_TRUE(memory_.fill_bytes(GpuVa(kVa + 8192), {&pattern, 4}, 100'002));
  for (const std::uint64_t at : {0u, 4u, 65'536u, 99'996u}) {
    std::uint32_t word = 1;
    ASSERT_TRUE(memory_.load(GpuVa(kVa + 8192 + at), word));
    EXPECT_EQ(word, real ? pattern : 0u);
  }
  const EngineMemory::AtomicOp<std::uint32_t> add{
      [](std::uint32_t found, std::uint32_t operand, std::uint32_t) { return found + operand; }, 3};
  for (std::uint32_t i = 0; i < 3; ++i) {
    auto found = memory_.atomic32(GpuVa(kVa + k64K * 4), add);
    ASSERT_TRUE(found.has_value());
    EXPECT_EQ(*found, real ? 3 * i : 0u);
  }
  EXPECT_EQ(memory_.atomic32(GpuVa(kVa + 2), add).error().err, EINVAL);
  EXPECT_TRUE(sink_.seen.empty());
  EXPECT_FALSE(memory_.mmu().inside());
}

INSTANTIATE_TEST_SUITE_P(Kind, MmuKinds,
                         ::testing::Values(PteKind::kVram, PteKind::kEngine, PteKind::kSystem, PteKind::kNull));

TEST_F(MmuTest, CopiesBetweenEveryPairOfKinds) {
  const PteKind kinds[] = {PteKind::kVram, PteKind::kEngine, PteKind::kSystem, PteKind::kNull};
  Prng prng(7);
  for (const PteKind from : kinds) {
    for (const PteKind to : kinds) {
      SCOPED_TRACE(::testing::Message() << static_cast<int>(from) << " to " << static_cast<int>(to));
      const std::uint64_t va_from = kVa, va_to = kVa + 64 * k2M;
      map(va_from, run(from, 0, k2M), static_cast<MaxEntry>(prng.below(3)));
      map(va_to, run(to, k2M, k2M), static_cast<MaxEntry>(prng.below(3)));
      std::vector<std::byte> data(300'000);
      for (auto& b : data) b = static_cast<std::byte>(prng.next());
      const std::uint64_t a = prng.below(5000), b = prng.below(5000);
      ASSERT_TRUE(memory_.write_bytes(GpuVa(va_from + a), data.data(), data.size()));
      ASSERT_TRUE(memory_.copy_bytes({GpuVa(va_to + b), GpuVa(va_from + a), data.size()}));
      if (to == PteKind::kNull) continue;
      if (from == PteKind::kNull) data.assign(data.size(), std::byte{0});
      EXPECT_EQ(std::memcmp(bytes_of(to) + k2M + b, data.data(), data.size()), 0);
    }
  }
  EXPECT_TRUE(sink_.seen.empty());
}

TEST_F(MmuTest, VramOverridesTakeTheirOwnMemory) {
  // Device addresses [64K, 128K) are a BO elsewhere, at an unrelated place.
  vram_map_.set_override(DevRange::of(DevPa(k64K), k64K), engine_.base() + 5 * kPageSize);
  map(kVa, run(PteKind::kVram, 0, k2M));
  std::vector<std::byte> data(3 * k64K);
  for (std::size_t i = 0; i < data.size(); ++i) data[i] = static_cast<std::byte>(i / 251);
  ASSERT_TRUE(memory_.write_bytes(GpuVa(kVa), data.data(), data.size()));
  EXPECT_EQ(std::memcmp(window_.base(), data.data(), k64K), 0);
  EXPECT_EQ(std::memcmp(engine_.base() + 5 * kPageSize, data.data() + k64K, k64K), 0);
  EXPECT_EQ(std::memcmp(window_.base() + 2 * k64K, data.data() + 2 * k64K, k64K), 0);
  EXPECT_EQ(window_.base()[k64K + 100], std::byte{0}) << "the window under a BO stays empty";
  vram_map_.clear_override(DevRange::of(DevPa(k64K), k64K));
  EXPECT_EQ(vram_map_.resolve(DevPa(0), k2M).bytes, k2M);
  EXPECT_EQ(vram_map_.resolve(DevPa(kVramBytes), 1).host, nullptr);
}

TEST_F(MmuTest, FaultsNameWhatHardwareWouldName) {
  struct Case {
    const char* what;
    bool mapped, writable, atomic_enable;
    AccessType access;
    FaultType type;
    std::uint8_t level;
    bool faults;
  };
  using A = AccessType;
  using T = FaultType;
  const Case cases[] = {
      {"read of nothing", false, false, false, A::kRead, T::kNotPresent, 4, true},
      {"read of read-only", true, false, false, A::kRead, T::kNotPresent, 0, false},
      {"write to read-only", true, false, true, A::kWrite, T::kWriteViolation, 0, true},
      {"atomic to read-only", true, false, true, A::kAtomic, T::kWriteViolation, 0, true},
      {"atomic without AE", true, true, false, A::kAtomic, T::kAtomicViolation, 0, true},
      {"atomic with AE", true, true, true, A::kAtomic, T::kNotPresent, 0, false},
      {"write without AE", true, true, false, A::kWrite, T::kNotPresent, 0, false},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.what);
    PageTable table(pool_, {});
    memory_.mmu().bind_vm({.asid = 9, .table = &table, .vram = &vram_map_});
    PteRun r = run(PteKind::kVram, 4096, 4096);
    r.writable = c.writable;
    r.atomic_enable = c.atomic_enable;
    if (c.mapped) {
      auto update = table.prepare_map(GpuRange::of(GpuVa(kVa), 4096), std::span(&r, 1));
      pay(table.commit(std::move(*update)));
    }
    sink_.seen.clear();
    std::uint64_t word = 0;
    Status status;
    for (int twice = 0; twice < 2; ++twice) {  // the second time past a TLB entry, if there is one
      if (c.access == A::kRead) status = memory_.load(GpuVa(kVa + 8), word);
      if (c.access == A::kWrite) status = memory_.store(GpuVa(kVa + 8), word);
      if (c.access == A::kAtomic) {
        auto found =
            memory_.atomic64(GpuVa(kVa + 8), {[](std::uint64_t f, std::uint64_t, std::uint64_t) { return f; }});
        status = found ? Status{} : Status(fail(found.error()));
      }
    }
    ASSERT_EQ(!status.has_value(), c.faults);
    ASSERT_EQ(sink_.seen.size(), c.faults ? 2u : 0u);
    if (c.faults) {
      const PageFault& f = sink_.seen[0];
      EXPECT_EQ(status.error().err, EFAULT);
      EXPECT_EQ(f.page, GpuVa(kVa));
      EXPECT_EQ(f.asid, 9u);
      EXPECT_EQ(f.access, c.access);
      EXPECT_EQ(f.type, c.type);
      EXPECT_EQ(f.level, c.level);
      EXPECT_EQ(f.engine, (EngineId{3, 1, 0, 0}));
    }
    memory_.mmu().unbind_vm();
    pay(table.unbind(GpuRange::of(GpuVa(kVa), 4096)));
  }
}

TEST_F(MmuTest, AServedFaultRepeatsTheSameAccess) {
  sink_.answer = [&](const PageFault& f) {
    EXPECT_FALSE(memory_.mmu().inside()) << "engines park outside sections";
    map(f.page.value(), run(PteKind::kVram, f.page.value() - kVa, kPageSize));
    return FaultReply::kRetry;
  };
  std::vector<std::byte> data(10 * kPageSize, std::byte{0x5a});
  ASSERT_TRUE(memory_.write_bytes(GpuVa(kVa + 100), data.data(), data.size()));
  EXPECT_EQ(sink_.seen.size(), 11u) << "one per page";
  EXPECT_EQ(std::memcmp(window_.base() + 100, data.data(), data.size()), 0);
}

TEST_F(MmuTest, AVanishedProcessPageIsReportedByItsOwnAddress) {
  struct Case {
    const char* what;
    std::uint64_t hole;  ///< page of system_
    std::function<Status(MmuTest&, EngineMemory&)> access;
    AccessType type;
    std::uint64_t fault_va;
  };
  const std::uint64_t vram_va = kVa + 64 * k2M;
  std::vector<std::byte> buffer(8 * kPageSize, std::byte{1});
  const Case cases[] = {
      {"read", 3, [&](MmuTest&, EngineMemory& m) { return m.read_bytes(GpuVa(kVa), buffer.data(), buffer.size()); },
       AccessType::kRead, kVa + 3 * kPageSize},
      {"write", 3, [&](MmuTest&, EngineMemory& m) { return m.write_bytes(GpuVa(kVa), buffer.data(), buffer.size()); },
       AccessType::kWrite, kVa + 3 * kPageSize},
      {"copy from", 5,
       [&](MmuTest&, EngineMemory& m) {
         return m.copy_bytes({GpuVa(vram_va), GpuVa(kVa), 8 * kPageSize});
       },
       AccessType::kRead, kVa + 5 * kPageSize},
      {"copy to", 5,
       [&](MmuTest&, EngineMemory& m) {
         return m.copy_bytes({GpuVa(kVa), GpuVa(vram_va), 8 * kPageSize});
       },
       AccessType::kWrite, kVa + 5 * kPageSize},
      {"copy within, destination", 12,
       [&](MmuTest&, EngineMemory& m) {
         return m.copy_bytes({GpuVa(kVa + 8 * kPageSize), GpuVa(kVa), 8 * kPageSize});
       },
       AccessType::kWrite, kVa + 12 * kPageSize},
      {"atomic", 0,
       [&](MmuTest&, EngineMemory& m) {
         auto found = m.atomic32(GpuVa(kVa), {[](std::uint32_t f, std::uint32_t, std::uint32_t) { return f + 1; }});
         return found ? Status{} : Status(fail(found.error()));
       },
       AccessType::kAtomic, kVa},
  };
  map(kVa, run(PteKind::kSystem, 0, k2M));
  map(vram_va, run(PteKind::kVram, 0, k2M));
  for (const Case& c : cases) {
    SCOPED_TRACE(c.what);
    std::byte* hole = system_.base() + c.hole * kPageSize;
    ASSERT_EQ(mprotect(hole, kPageSize, PROT_NONE), 0);
    sink_.seen.clear();
    sink_.answer = [&](const PageFault&) {
      EXPECT_EQ(mprotect(hole, kPageSize, PROT_READ | PROT_WRITE), 0);
      return FaultReply::kRetry;
    };
    EXPECT_TRUE(c.access(*this, memory_));
    ASSERT_EQ(sink_.seen.size(), 1u);
    EXPECT_EQ(sink_.seen[0].page, GpuVa(c.fault_va));
    EXPECT_EQ(sink_.seen[0].access, c.type);
  }
}

TEST_F(MmuTest, AnswersWithoutAMappingAreALivelock) {
  sink_.answer = [&](const PageFault&) {
    clock_.advance_ns(1'000'000'000);
    return FaultReply::kRetry;
  };
  std::uint32_t word = 0;
  Status status = memory_.load(GpuVa(kVa), word);
  ASSERT_FALSE(status.has_value());
  EXPECT_EQ(status.error().err, ETIME);
  EXPECT_EQ(sink_.livelock_rounds, 11u);
  // A copy whose two sides push each other out makes no progress either.
  map(kVa, run(PteKind::kVram, 0, kPageSize));
  const std::uint64_t other = kVa + kPageSize;
  sink_.answer = [&](const PageFault& f) {
    clock_.advance_ns(1'000'000'000);
    zap(f.page.value() == kVa ? other : kVa, kPageSize);
    map(f.page.value(), run(PteKind::kVram, 0, kPageSize));
    return FaultReply::kRetry;
  };
  status = memory_.copy_bytes({GpuVa(other), GpuVa(kVa), 64});
  ASSERT_FALSE(status.has_value());
  EXPECT_EQ(status.error().err, ETIME);
}

TEST_F(MmuTest, ACopyWhoseSidesPushEachOtherOutIsDoneOneAfterTheOther) {
  const std::uint64_t other = kVa + kPageSize;
  map(kVa, run(PteKind::kVram, 0, kPageSize));
  std::memset(window_.base(), 0x5a, 64);
  // One page of VRAM is all there is; the clock stands still, as in the simulator.
  sink_.answer = [&](const PageFault& f) {
    const bool first = f.page.value() == kVa;
    zap(first ? other : kVa, kPageSize);
    map(f.page.value(), run(PteKind::kVram, first ? 0 : kPageSize, kPageSize));
    return FaultReply::kRetry;
  };
  ASSERT_TRUE(memory_.copy_bytes({GpuVa(other), GpuVa(kVa), 64}));
  EXPECT_EQ(std::memcmp(window_.base() + kPageSize, window_.base(), 64), 0);
  EXPECT_LT(sink_.seen.size(), 100u);
}

TEST_F(MmuTest, TheRoundsAreBoundedWhereTheClockStandsStill) {
  sink_.answer = [](const PageFault&) { return FaultReply::kRetry; };
  std::uint32_t word = 0;
  const Status status = memory_.load(GpuVa(kVa), word);
  ASSERT_FALSE(status.has_value());
  EXPECT_EQ(status.error().err, ETIME);
  EXPECT_EQ(sink_.livelock_rounds, Mmu::kFaultRoundsMax);
}

TEST_F(MmuTest, AFaultTellsWhatHasBeenTriedSinceAnAccessGotThrough) {
  map(kVa, run(PteKind::kSystem, 0, k2M));
  ASSERT_EQ(mprotect(system_.base(), kPageSize, PROT_READ), 0);
  int refusals = 3;
  sink_.answer = [&](const PageFault&) {
    const int rights = --refusals == 0 ? PROT_READ | PROT_WRITE : PROT_READ;
    EXPECT_EQ(mprotect(system_.base(), kPageSize, rights), 0);
    return FaultReply::kRetry;
  };
  ASSERT_TRUE(memory_.store(GpuVa(kVa), std::uint32_t{1}));
  ASSERT_EQ(sink_.seen.size(), 3u);
  for (std::uint32_t i = 0; i < 3; ++i) {
    EXPECT_EQ(sink_.seen[i].cause, FaultCause::kMemory);
    EXPECT_EQ(sink_.seen[i].attempts.answered, i);
    EXPECT_EQ(sink_.seen[i].attempts.refused, i + 1);
  }
  EXPECT_EQ(memory_.mmu().attempts().answered, 0u) << "an access got through";
}

TEST_F(MmuTest, SectionsAreBoundedEvenInABurst) {
  map(kVa, run(PteKind::kVram, 0, k2M));
  EngineSlot& slot = domain_.register_engine();  // the slot after the engine's own
  const EngineSlot& engine_slot = *(&slot - 1);
  domain_.unregister_engine(slot);
  const std::uint64_t before = engine_slot.active.load();
  {
    Mmu::Burst burst(memory_.mmu());
    std::uint64_t word = 0;
    for (int i = 0; i < 1024; ++i) ASSERT_TRUE(memory_.load(GpuVa(kVa), word));
    EXPECT_TRUE(memory_.mmu().inside());
    const std::uint64_t sections = (engine_slot.active.load() - before + 1) / 2;
    EXPECT_GE(sections, 1024 / InvalidationDomain::kSectionAccessesMax);
    EXPECT_LE(sections, 8u) << "a burst shares sections";
  }
  EXPECT_FALSE(memory_.mmu().inside());
}

TEST_F(MmuTest, TlbKeysAreVmAndMoment) {
  PageTable second(pool_, {});
  const PteRun r = run(PteKind::kVram, k2M, kPageSize);
  auto update = second.prepare_map(GpuRange::of(GpuVa(kVa), kPageSize), std::span(&r, 1));
  pay(second.commit(std::move(*update)));
  map(kVa, run(PteKind::kVram, 0, kPageSize));
  ASSERT_TRUE(memory_.store(GpuVa(kVa), std::uint32_t{1}));
  memory_.mmu().bind_vm({.asid = 6, .table = &second, .vram = &vram_map_});
  ASSERT_TRUE(memory_.store(GpuVa(kVa), std::uint32_t{2}));
  memory_.mmu().bind_vm({.asid = 5, .table = &table_, .vram = &vram_map_});
  std::uint32_t word = 0;
  ASSERT_TRUE(memory_.load(GpuVa(kVa), word));
  EXPECT_EQ(word, 1u);
  const std::uint64_t walks = memory_.mmu().walks();
  ASSERT_TRUE(memory_.load(GpuVa(kVa), word));
  EXPECT_EQ(memory_.mmu().walks(), walks) << "a hit does not walk";
  domain_.invalidate_all();
  ASSERT_TRUE(memory_.load(GpuVa(kVa), word));
  EXPECT_EQ(memory_.mmu().walks(), walks + 1);
  memory_.mmu().unbind_vm();
  pay(second.unbind(GpuRange::of(GpuVa(kVa), kPageSize)));
}

// After zap + wait no store of a running engine reaches the old block, whatever its TLB held.
TEST_F(MmuTest, AStaleTranslationIsNeverUsedAfterTheWait) {
  struct Locked final : FaultSink {
    std::atomic<bool> unmapped{false};
    FaultReply page_fault(const PageFault&) override {
      // Answered when the page is there: retries are bounded, and the mapper may not get a processor for long.
      while (unmapped.load()) std::this_thread::yield();
      return FaultReply::kRetry;
    }
    void livelock(const PageFault&, std::uint64_t) override { ADD_FAILURE(); }
  } sink;
  std::atomic<bool> stop{false};
  std::atomic<std::uint64_t> stores{0};
  map(kVa, run(PteKind::kVram, 0, kPageSize));
  std::thread engine([&] {
    EngineMemory memory({domain_, sink, clock_, EngineId{}});
    memory.mmu().bind_vm({.asid = 5, .table = &table_, .vram = &vram_map_});
    for (std::uint64_t value = 1; !stop.load(std::memory_order_relaxed);) {
      Mmu::Burst burst(memory.mmu());
      for (int i = 0; i < 300; ++i, ++value) {
        if (!memory.store(GpuVa(kVa + 8), value)) return;
        stores.fetch_add(1, std::memory_order_relaxed);
      }
    }
  });
  auto word = [&](std::uint64_t block) {
    return __atomic_load_n(reinterpret_cast<std::uint64_t*>(window_.base() + block * kPageSize + 8), __ATOMIC_RELAXED);
  };
  auto await_stores = [&](std::uint64_t n) {
    const std::uint64_t target = stores.load() + n;
    while (stores.load() < target) std::this_thread::yield();
  };
  for (std::uint64_t round = 0; round < 100; ++round) {
    const std::uint64_t old_block = round % 8, new_block = (round + 1) % 8;
    await_stores(50);
    sink.unmapped.store(true);
    pay(table_.zap(GpuRange::of(GpuVa(kVa), kPageSize)));
    const std::uint64_t frozen = word(old_block);
    map(kVa, run(PteKind::kVram, new_block * kPageSize, kPageSize));
    sink.unmapped.store(false);
    await_stores(50);
    const std::uint64_t now = word(old_block);
    EXPECT_EQ(now, frozen) << "round " << round;
    if (now != frozen) break;
  }
  const bool all_rounds = !HasFailure();
  stop.store(true);
  engine.join();
  if (all_rounds) {
    EXPECT_EQ(domain_.invalidations(), 100u);
  }
}

TEST_F(MmuTest, AtomicsOfTwoEnginesAddUp) {
  const std::uint64_t system_va = kVa + 64 * k2M;
  map(kVa, run(PteKind::kVram, 0, kPageSize));
  map(system_va, run(PteKind::kSystem, 0, kPageSize));
  constexpr int kAdds = 5000;
  auto work = [&] {
    EngineMemory memory({domain_, sink_, clock_, EngineId{}});
    memory.mmu().bind_vm({.asid = 5, .table = &table_, .vram = &vram_map_});
    const EngineMemory::AtomicOp<std::uint64_t> increment{
        [](std::uint64_t f, std::uint64_t, std::uint64_t) { return f + 1; }};
    for (int i = 0; i < kAdds; ++i) {
      ASSERT_TRUE(memory.atomic64(GpuVa(kVa + 16), increment).has_value());
      ASSERT_TRUE(memory.atomic64(GpuVa(system_va + 16), increment).has_value());
    }
  };
  std::thread other(work);
  work();
  other.join();
  std::uint64_t word = 0;
  ASSERT_TRUE(memory_.load(GpuVa(kVa + 16), word));
  EXPECT_EQ(word, 2u * kAdds);
  ASSERT_TRUE(memory_.load(GpuVa(system_va + 16), word));
  EXPECT_EQ(word, 2u * kAdds);
}

}  // namespace
}  // namespace softxe
