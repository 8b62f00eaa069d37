// Page tables against the entry rules of spec/svm.md 6 (tables) and against a page-by-page model.
#include "hw/page_table.h"

#include <gtest/gtest.h>
#include <map>
#include <vector>

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wpedantic"  // __int128 in the generator
#include "base/prng.h"
#pragma GCC diagnostic pop
#include "base/step.h"
#include "hw/invalidation.h"

namespace softxe {
namespace {

constexpr std::uint64_t kSmallPool = 4096;

GpuRange gpu(std::uint64_t start, std::uint64_t bytes) { return GpuRange::of(GpuVa(start), bytes); }
PteRun vram(std::uint64_t address, std::uint64_t bytes) {
  return {.kind = PteKind::kVram, .address = address, .bytes = bytes, .writable = true};
}
PteRun sys(std::uint64_t address, std::uint64_t bytes) {
  return {.kind = PteKind::kSystem, .address = address, .bytes = bytes, .writable = true};
}
PteRun null_run(std::uint64_t bytes) { return {.kind = PteKind::kNull, .bytes = bytes}; }

class PageTableTest : public ::testing::Test {
 protected:
  InvalidationDomain domain_;
  TablePool pool_{kSmallPool};

  /// Commits and pays; returns the pages revoked.
  std::uint64_t map(PageTable& pt, GpuRange r, const std::vector<PteRun>& runs, MaxEntry max = MaxEntry::k1GiB) {
    auto update = pt.prepare_map(r, runs, max);
    EXPECT_TRUE(update.has_value());
    return pay(pt.commit(std::move(*update)));
  }
  std::uint64_t pay(PagesAffected&& affected) {
    InvalidationBatch batch(domain_);
    batch.add(std::move(affected));
    return batch.wait().pages;
  }
  /// "2M" or "64Kx32" or "64Kx2 4Kx3": the leaves of a range by size, in order.
  static std::string shape(const PageTable& pt, GpuRange r) {
    std::vector<std::pair<std::string, int>> groups;
    pt.for_each_leaf(r, [&](const Translation& t) {
      const std::string name = t.entry_bytes == k1G    ? "1G"
                               : t.entry_bytes == k2M  ? "2M"
                               : t.entry_bytes == k64K ? "64K"
                                                       : "4K";
      if (groups.empty() || groups.back().first != name) groups.emplace_back(name, 0);
      ++groups.back().second;
    });
    std::string out;
    for (auto& [name, n] : groups) {
      if (!out.empty()) out += ' ';
      out += name;
      if (n > 1) out += 'x' + std::to_string(n);
    }
    return out.empty() ? "none" : out;
  }
};

TEST_F(PageTableTest, EntrySizesFollowAlignmentAndContiguity) {
  struct Case {
    const char* what;
    std::uint64_t va;
    std::vector<PteRun> runs;
    MaxEntry max;
    const char* shape;
    std::uint64_t tables;  ///< below the root
  };
  const std::uint64_t m = 0x1000'0000;  // 2M aligned
  const Case cases[] = {
      {"one page", m, {sys(0x7000, 4096)}, MaxEntry::k1GiB, "4K", 4},
      {"64K aligned both sides", m, {vram(k64K, k64K)}, MaxEntry::k1GiB, "64K", 4},
      {"64K, far side unaligned", m, {vram(4096, k64K)}, MaxEntry::k1GiB, "4Kx16", 4},
      {"64K, near side unaligned", m + 4096, {vram(4096, k64K)}, MaxEntry::k1GiB, "4Kx16", 4},
      {"64K capped", m, {vram(k64K, k64K)}, MaxEntry::k4KiB, "4Kx16", 4},
      {"2M leaf", m, {vram(k2M, k2M)}, MaxEntry::k1GiB, "2M", 3},
      {"2M of two contiguous runs", m, {vram(k2M, k64K), vram(k2M + k64K, k2M - k64K)}, MaxEntry::k1GiB, "2M", 3},
      {"2M, every 64K aligned", m, {vram(k64K, k2M)}, MaxEntry::k1GiB, "64Kx32", 4},
      {"2M capped at 64K", m, {vram(k2M, k2M)}, MaxEntry::k64KiB, "64Kx32", 4},
      {"2M unaligned", m, {sys(4096, k2M)}, MaxEntry::k1GiB, "4Kx512", 4},
      {"2M, one odd page inside",
       m,
       {vram(k2M, k64K), vram(4096, 4096), vram(k2M + k64K + 4096, k2M - k64K - 4096)},
       MaxEntry::k1GiB,
       "64K 4Kx16 64Kx30",
       4},
      {"1G leaf", k1G, {vram(k1G, k1G)}, MaxEntry::k1GiB, "1G", 2},
      {"1G capped", k1G, {vram(k1G, k1G)}, MaxEntry::k2MiB, "2Mx512", 3},
      {"null needs no alignment of memory", k1G, {null_run(k1G + k2M + 4096)}, MaxEntry::k1GiB, "1G 2M 4K", 4},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.what);
    PageTable pt(pool_, {});
    const std::uint64_t before = pool_.in_use();
    std::uint64_t bytes = 0;
    for (const PteRun& r : c.runs) bytes += r.bytes;
    EXPECT_EQ(map(pt, gpu(c.va, bytes), c.runs, c.max), 0u) << "first bind revokes nothing";
    EXPECT_EQ(shape(pt, gpu(c.va, bytes)), c.shape);
    EXPECT_EQ(pool_.in_use() - before, c.tables);
    EXPECT_EQ(pt.present_pages(), bytes / kPageSize);
    pt.check_invariants();
    EXPECT_EQ(pay(pt.unbind(gpu(c.va, bytes))), bytes / kPageSize);
    EXPECT_EQ(pool_.in_use(), before) << "unbind frees every table but the root";
  }
  EXPECT_EQ(pool_.in_use(), 0u);
}

TEST_F(PageTableTest, EntryBitsSurviveEveryLeafLevel) {
  for (const int level : {0, 1, 2}) {
    for (std::uint8_t pat = 0; pat < 32; ++pat) {
      for (const PteKind kind : {PteKind::kSystem, PteKind::kEngine, PteKind::kVram, PteKind::kNull}) {
        const PteFlags f{kind, (pat & 1) != 0, (pat & 2) != 0, pat};
        const std::uint64_t address = kind == PteKind::kNull ? 0 : 5 * k1G;
        const PteWord w = pte_flag_bits(f, level) | address;
        EXPECT_EQ(pte_flags_of(w, level), f);
        EXPECT_EQ(pte_leaf_address(w, level), address);
        EXPECT_TRUE(pte_is_leaf(w, level));
        EXPECT_FALSE(pte_is_table(w, level));
      }
    }
  }
}

TEST_F(PageTableTest, PrepareRefusesWithoutChange) {
  PageTableConfig need64;
  need64.need_64k = PageTableConfig::Need64K::kYes;
  PageTable pt(pool_, need64);
  const std::uint64_t tables = pool_.in_use();
  struct Case {
    const char* what;
    std::uint64_t va, bytes;
    std::vector<PteRun> runs;
    int err;
  };
  const Case cases[] = {
      {"unaligned start", 0x800, 4096, {sys(0, 4096)}, EINVAL},
      {"unaligned size", 0, 100, {sys(0, 4096)}, EINVAL},
      {"outside 48 bits", (1ull << 48) - 4096, 8192, {sys(0, 8192)}, EINVAL},
      {"runs too short", 0, 8192, {sys(0, 4096)}, EINVAL},
      {"runs too long", 0, 4096, {sys(0, 8192)}, EINVAL},
      {"unaligned memory", 0, 4096, {sys(0x10, 4096)}, EINVAL},
      {"memory beyond bit 51", 0, 4096, {sys(1ull << 52, 4096)}, EINVAL},
      {"4K VRAM page on a 64K device", 0, 4096, {vram(0, 4096)}, EINVAL},
      {"64K VRAM page at a 4K address", 4096, k64K, {vram(0, k64K)}, EINVAL},
      {"more tables than the pool has", 0, (kSmallPool + 1) * k2M, {sys(4096, (kSmallPool + 1) * k2M)}, ENOMEM},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.what);
    auto update = pt.prepare_map(gpu(c.va, c.bytes), c.runs);
    ASSERT_FALSE(update.has_value());
    EXPECT_EQ(update.error().err, c.err);
    EXPECT_EQ(pool_.in_use(), tables);
  }
  EXPECT_TRUE(pt.prepare_map(gpu(0, 4096), std::vector{sys(0, 4096)}).has_value());
}

// Clearing is left out for tables that come back unused; a used one must be cleared.
TEST(TablePool, EveryTableIsHandedOutZeroed) {
  TablePool pool(4);
  auto all_zero = [&] {
    const auto list = *pool.take(4);
    bool zero = true;
    for (PtTable* t = list.head; t != nullptr; t = pool.info(*t).next) {
      for (auto& entry : t->entry) zero = zero && entry.load() == 0;
    }
    pool.give_back(list, TablePool::Content::kStillZero);
    return zero;
  };
  EXPECT_TRUE(all_zero());
  const auto written = *pool.take(2);
  written.head->entry[7] = 1;
  pool.give_back(written, TablePool::Content::kWritten);
  EXPECT_TRUE(all_zero());
  EXPECT_TRUE(all_zero());
  const auto linked = *pool.take(1);
  linked.head->entry[9] = 2;  // no table: nothing hangs below
  pool.free_subtrees(linked);
  EXPECT_TRUE(all_zero());
}

TEST_F(PageTableTest, EveryAllocationOfPrepareMayFail) {
  PageTable pt(pool_, {});
  const std::uint64_t tables = pool_.in_use();
  std::vector<PteRun> runs;  // enough odd runs to need pages for them
  for (std::uint64_t i = 0; i < 300; ++i) runs.push_back(sys((2 * i + 1) * 4096, 4096));
  std::uint64_t failures = 0;
  for (std::uint64_t nth = 1;; ++nth) {
    FailNth hook("hw.pt.alloc", nth, ENOMEM);
    StepHook* old = set_step_hook(&hook);
    {
      auto update = pt.prepare_map(gpu(0, 300ull * 4096), runs);
      if (update) {
        set_step_hook(old);
        EXPECT_EQ(pay(pt.commit(std::move(*update))), 0u);
        break;
      }
      EXPECT_EQ(update.error().err, ENOMEM);
    }
    set_step_hook(old);
    EXPECT_EQ(pool_.in_use(), tables);
    ++failures;
  }
  EXPECT_EQ(failures, 4u) << "three pages of runs and one reserve";
  for (std::uint64_t i = 0; i < 300; ++i) {
    const WalkResult r = pt.walk(GpuVa(i * 4096));
    ASSERT_TRUE(r.has_value());
    EXPECT_EQ(r->address, (2 * i + 1) * 4096);
  }
}

TEST_F(PageTableTest, ZapHidesAtTheHighestOwnedLevelAndRebindReusesTables) {
  struct Case {
    const char* what;
    std::vector<PteRun> runs;
    std::uint64_t zap_start, zap_bytes;
    int level;                     ///< of the fault afterwards
    std::uint64_t rebind_revokes;  ///< pages whose entry changed shape by the zap and back
  };
  const Case cases[] = {
      {"2M leaf", {vram(k2M, k2M)}, 0, k2M, 1, 0},
      {"4K table as a whole", {sys(4096, k2M)}, 0, k2M, 1, 0},
      {"compact table as a whole", {vram(k64K, k2M)}, 0, k2M, 1, 0},
      {"one page of a 4K table", {sys(4096, k2M)}, 8192, 4096, 0, 0},
      {"one page of a 64K block", {vram(0, k64K)}, 8192, 4096, 0, 15},
      {"one page of a compact table", {vram(k64K, k2M)}, 8192, 4096, 0, 511},
      {"one page of a 2M leaf", {vram(k2M, k2M)}, 8192, 4096, 0, 511},
      {"wider than the mapping", {vram(k2M, k2M)}, 0, k1G, 2, 0},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.what);
    PageTable pt(pool_, {});
    std::uint64_t bytes = 0;
    for (const PteRun& r : c.runs) bytes += r.bytes;
    map(pt, gpu(0, bytes), c.runs);
    const std::uint64_t revoked = std::min(bytes, c.zap_bytes) / kPageSize;
    const std::uint64_t tables = pool_.in_use();
    EXPECT_EQ(pay(pt.zap(gpu(c.zap_start, c.zap_bytes))), revoked);
    pt.check_invariants();
    EXPECT_GE(pool_.in_use(), tables) << "zap keeps tables";
    const WalkResult r = pt.walk(GpuVa(c.zap_start));
    ASSERT_FALSE(r.has_value());
    EXPECT_EQ(r.error().level, c.level);
    EXPECT_EQ(pt.present_pages(), bytes / kPageSize - revoked);
    {
      PagesAffected again = pt.zap(gpu(c.zap_start, c.zap_bytes));
      EXPECT_FALSE(again.owed()) << "zapping what is gone is a no-op";
    }
    EXPECT_EQ(map(pt, gpu(0, bytes), c.runs), c.rebind_revokes);
    EXPECT_EQ(pt.present_pages(), bytes / kPageSize);
    pt.check_invariants();
  }
}

TEST_F(PageTableTest, PartOfAHiddenTableComesBackAlone) {
  PageTable pt(pool_, {});
  map(pt, gpu(0, k2M), {sys(4096, k2M)});
  pay(pt.zap(gpu(0, k2M)));
  map(pt, gpu(3ull * 4096, 4096), {sys(0x50000, 4096)});
  EXPECT_EQ(pt.present_pages(), 1u) << "stale entries of the hidden table stay revoked";
  EXPECT_EQ(pt.walk(GpuVa(3ull * 4096))->address, 0x50000u);
  EXPECT_FALSE(pt.walk(GpuVa(4ull * 4096)).has_value());
  pt.check_invariants();
}

TEST_F(PageTableTest, ZapWithoutATableToSplitRevokesTheWholeLeaf) {
  PageTable pt(pool_, {});
  map(pt, gpu(0, k2M), {vram(k2M, k2M)});
  FailNth hook("hw.pt.split", 1, ENOMEM, FailNth::Repeat::kForever);
  StepHook* old = set_step_hook(&hook);
  EXPECT_EQ(pay(pt.zap(gpu(4096, 4096))), 512u);
  set_step_hook(old);
  EXPECT_EQ(pt.present_pages(), 0u);
}

TEST_F(PageTableTest, UnlinkedTablesLiveUntilTheInvalidation) {
  PageTable pt(pool_, {});
  map(pt, gpu(0, 4096), {sys(4096, 4096)});
  const std::uint64_t tables = pool_.in_use();
  InvalidationBatch batch(domain_);
  batch.add(pt.unbind(gpu(0, 4096)));
  EXPECT_EQ(pool_.in_use(), tables);
  const std::uint64_t generation = domain_.generation();
  const InvalidationCount count = batch.wait();
  EXPECT_EQ(count.invalidations, 1u);
  EXPECT_EQ(count.pages, 1u);
  EXPECT_EQ(domain_.generation(), generation + 1);
  EXPECT_EQ(pool_.in_use(), 1u) << "the root stays";
}

TEST_F(PageTableTest, FiveLevelsAndFaultLevels) {
  PageTable pt48(pool_, {});
  PageTableConfig c57;
  c57.va_bits = 57;
  PageTable pt57(pool_, c57);
  EXPECT_EQ(pt48.walk(GpuVa(0)).error().level, 4);
  EXPECT_EQ(pt48.walk(GpuVa(1ull << 48)).error().level, 4);
  map(pt57, gpu((1ull << 57) - 4096, 4096), {sys(4096, 4096)});
  EXPECT_TRUE(pt57.walk(GpuVa((1ull << 57) - 4096)).has_value());
  EXPECT_EQ(pt57.walk(GpuVa((1ull << 57) - 8192)).error().level, 0);
  EXPECT_EQ(pt57.walk(GpuVa((1ull << 57) - k2M - 1)).error().level, 1);
  EXPECT_EQ(pt57.walk(GpuVa((1ull << 57) - k1G - 1)).error().level, 2);
  EXPECT_EQ(pt57.walk(GpuVa((1ull << 57) - 512 * k1G - 1)).error().level, 3);
  EXPECT_EQ(pt57.walk(GpuVa(0)).error().level, 4);
}

TEST_F(PageTableTest, DeathOfAnUnpaidReceipt) {
  PageTable pt(pool_, {});
  map(pt, gpu(0, 4096), {sys(4096, 4096)});
  EXPECT_DEATH({ PagesAffected dropped = pt.zap(gpu(0, 4096)); }, "owed");
}

// --- random operations against a model --------------------------------------------------------------

struct ModelPage {
  enum class State { kHole, kFaulting, kMapped } state = State::kHole;
  PteFlags flags;
  std::uint64_t address = 0;
};

/// One entry per 4K page of [base, base + pages).
struct Model {
  std::uint64_t base;
  std::vector<ModelPage> pages;
  PageTableConfig::Scratch scratch;
  bool is_scratch() const { return scratch == PageTableConfig::Scratch::kYes; }

  std::uint64_t revoke(GpuRange r, ModelPage::State mapped_becomes, ModelPage::State hole_becomes) {
    std::uint64_t n = 0;
    for (std::uint64_t va = r.start().value(); va < r.end().value(); va += 4096) {
      ModelPage& p = pages[(va - base) / 4096];
      const bool was = p.state == ModelPage::State::kMapped;
      n += was;
      if (was)
        p.state = mapped_becomes;
      else if (hole_becomes != ModelPage::State::kMapped)
        p.state = hole_becomes;
    }
    return n;
  }
};

class RandomPageTable : public PageTableTest, public ::testing::WithParamInterface<PageTableConfig::Scratch> {
 protected:
  static constexpr std::uint64_t kPages = 4ULL * 512 + 64;
  static constexpr std::uint64_t kBase = k1G - 2 * k2M;  // the 1G boundary lies inside

  GpuRange random_range(Prng& prng) {
    static constexpr std::uint64_t kUnits[] = {1, 16, 512};
    const std::uint64_t unit = kUnits[prng.below(3)];
    const std::uint64_t count = kPages / unit;
    const std::uint64_t first = prng.below(count);
    const std::uint64_t n = 1 + prng.below(std::min<std::uint64_t>(count - first, 40));
    return gpu(kBase + first * unit * 4096, n * unit * 4096);
  }

  std::vector<PteRun> random_runs(Prng& prng, GpuRange r) {
    static constexpr std::uint64_t kAlign[] = {4096, k64K, k2M};
    const bool few = prng.chance(1, 2);
    std::vector<PteRun> runs;
    for (GpuVa va = r.start(); va < r.end();) {
      PteRun run;
      run.kind = static_cast<PteKind>(prng.below(4));
      // The same offset within the block on both sides gives large entries a chance.
      const std::uint64_t a = kAlign[prng.below(3)];
      run.address = run.kind == PteKind::kNull ? 0 : prng.below(64) * k2M + va.value() % a;
      run.bytes = few ? r.end() - va : std::min<std::uint64_t>(r.end() - va, (1 + prng.below(100)) * 4096);
      run.writable = prng.chance(1, 2);
      run.atomic_enable = prng.chance(1, 2);
      run.pat_index = static_cast<std::uint8_t>(prng.below(32));
      runs.push_back(run);
      va += run.bytes;
    }
    return runs;
  }

  void check(const PageTable& pt, const Model& model) {
    pt.check_invariants();
    std::uint64_t mapped = 0;
    for (std::uint64_t i = 0; i < kPages; ++i) {
      const ModelPage& want = model.pages[i];
      const GpuVa va(kBase + i * 4096);
      const WalkResult got = pt.walk(va);
      if (want.state == ModelPage::State::kMapped) {
        ++mapped;
        ASSERT_TRUE(got.has_value()) << "page " << i;
        ASSERT_EQ(got->flags, want.flags) << "page " << i;
        if (want.flags.kind == PteKind::kNull) continue;
        ASSERT_EQ(got->address + (va - got->entry_va), want.address) << "page " << i;
      } else if (want.state == ModelPage::State::kHole && model.is_scratch()) {
        ASSERT_TRUE(got.has_value()) << "page " << i;
        ASSERT_EQ(got->flags.kind, PteKind::kScratch) << "page " << i;
      } else {
        ASSERT_FALSE(got.has_value()) << "page " << i;
      }
    }
    ASSERT_EQ(pt.present_pages(), mapped);
  }

  void map_random(Prng& prng, PageTable& pt, Model& model, GpuRange r) {
    const std::vector<PteRun> runs = random_runs(prng, r);
    const auto max = static_cast<MaxEntry>(prng.below(4));
    std::uint64_t changed = 0, overlapped = 0;
    std::uint64_t page = (r.start().value() - kBase) / 4096;
    for (const PteRun& run : runs) {
      for (std::uint64_t off = 0; off < run.bytes; off += 4096, ++page) {
        ModelPage& p = model.pages[page];
        const std::uint64_t address = run.kind == PteKind::kNull ? 0 : run.address + off;
        const bool was = p.state == ModelPage::State::kMapped;
        overlapped += was;
        changed += was && (p.flags != run.flags() || p.address != address);
        p = ModelPage{ModelPage::State::kMapped, run.flags(), address};
      }
    }
    const std::uint64_t revoked = map(pt, r, runs, max);
    ASSERT_GE(revoked, changed);
    ASSERT_LE(revoked, overlapped);
  }
};

TEST_P(RandomPageTable, AgreesWithTheModel) {
  using State = ModelPage::State;
  for (std::uint64_t seed = 1; seed <= 12; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Prng prng(seed);
    PageTableConfig config;
    config.scratch = GetParam();
    config.compact_64k = prng.chance(1, 2) ? PageTableConfig::Compact64K::kYes : PageTableConfig::Compact64K::kNo;
    PageTable pt(pool_, config);
    Model model{kBase, std::vector<ModelPage>(kPages), GetParam()};
    const State zapped = model.is_scratch() ? State::kFaulting : State::kHole;
    for (int step = 0; step < 120; ++step) {
      const GpuRange r = random_range(prng);
      switch (prng.below(6)) {
        case 0:
        case 1: map_random(prng, pt, model, r); break;
        case 2: {
          const std::uint64_t want = model.revoke(r, zapped, State::kMapped);
          ASSERT_EQ(pay(pt.zap(r)), want);
          break;
        }
        case 3: ASSERT_EQ(pay(pt.unbind(r)), model.revoke(r, State::kHole, State::kHole)); break;
        case 4: {
          auto update = pt.prepare_unbind(r);
          ASSERT_TRUE(update.has_value());
          ASSERT_EQ(pay(pt.commit(std::move(*update))), model.revoke(r, State::kHole, State::kHole));
          break;
        }
        case 5: {
          auto update = pt.prepare_non_present(r);
          ASSERT_TRUE(update.has_value());
          ASSERT_EQ(pay(pt.commit(std::move(*update))), model.revoke(r, zapped, zapped));
          break;
        }
      }
      ASSERT_NO_FATAL_FAILURE(check(pt, model)) << "step " << step;
    }
    pay(pt.unbind(gpu(0, 1ull << 48)));
    EXPECT_EQ(pool_.in_use(), 1u) << "only the root is left";
  }
}

INSTANTIATE_TEST_SUITE_P(Holes, RandomPageTable,
                         ::testing::Values(PageTableConfig::Scratch::kNo, PageTableConfig::Scratch::kYes),
                         [](const auto& param) {
                           return param.param == PageTableConfig::Scratch::kYes ? "Scratch" : "Plain";
                         });

}  // namespace
}  // namespace softxe
