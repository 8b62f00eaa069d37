// The split planner: a table of pictures, every small case against the cell model, and random runs.
#include "vm/va_ops.h"

#include <gtest/gtest.h>

#include <cctype>
#include <string>

#include "base/step.h"
#include "vm/va_test_model.h"

namespace softxe::test {
namespace {

// Pictures: one character per page, '.' is a hole, a capital is the first page of a mapping.
//   a b  backing 1, 2, at offset page + 10         c  backing 1 at offset page + 30
//   n    no backing, offset page + 10              z  no backing, offset counted from 0
struct Ink {
  unsigned backing;
  std::uint64_t shift;
};
Ink ink_of(char letter) {
  switch (std::tolower(letter)) {
    case 'a': return {1, 10};
    case 'b': return {2, 10};
    case 'c': return {1, 30};
    default: return {0, 10};
  }
}
char letter_of(unsigned backing, std::uint64_t first, std::uint64_t offset) {
  if (backing == 0) return offset == 0 ? 'z' : 'n';
  if (backing == 2) return 'b';
  return offset - first == 30 ? 'c' : 'a';
}

void draw(TestSpace& t, const std::string& picture) {
  for (std::size_t i = 0; i < picture.size();) {
    std::size_t end = i + 1;
    while (end < picture.size() && std::islower(picture[end])) ++end;
    if (picture[i] != '.') {
      const Ink ink = ink_of(picture[i]);
      ASSERT_TRUE(t.map(pages(i, end - i), ink.backing, i + ink.shift));
    }
    i = end;
  }
}
std::string picture(TestSpace& t, std::size_t page_count) {
  std::string out(page_count, '.');
  for (const VaNode& node : t.space) {
    const auto id = node.backing() == nullptr ? 0 : node.backing() - t.backings;
    const std::uint64_t first = node.start().value() >> kPageShift;
    const char letter = letter_of(static_cast<unsigned>(id), first, node.offset_bytes() >> kPageShift);
    for (std::uint64_t i = 0; i < node.range().pages(); ++i) out[first + i] = letter;
    out[first] = static_cast<char>(std::toupper(letter));
  }
  return out;
}

enum class Ask { kMap, kUnmap, kMadvise, kMadviseCarried, kPrefetch };

struct Case {
  const char* name;
  Ask ask;
  const char* before;
  const char* request;  // the letter says what is mapped, '#' that nothing is
  const char* after;
  const char* ops;
};

using enum Ask;
// clang-format off
const Case kCases[] = {
  // The nine relations of an old mapping [a,b) to a request [s,e) (spec/vm.md 1.3).
  {"map_exactly",                kMap, "..Aa..", "  bb  ", "..Bb..", "unmap map"},
  {"map_same_start_past_end",    kMap, "..Aa..", "  bbb ", "..Bbb.", "unmap map"},
  {"map_over_the_head",          kMap, "..Aaa.", "  bb  ", "..BbA.", "remap(next) map"},
  {"map_over_the_tail",          kMap, ".Aaa..", "  bb  ", ".ABb..", "remap(prev) map"},
  {"map_over_the_tail_and_past", kMap, ".Aaa..", "  bbb ", ".ABbb.", "remap(prev) map"},
  {"map_into_the_middle",        kMap, ".Aaaa.", "  bb  ", ".ABbA.", "remap(prev,next) map"},
  {"map_before_same_end",        kMap, "...A..", "  bb  ", "..Bb..", "unmap map"},
  {"map_all_around",             kMap, "...A..", "  bbb ", "..Bbb.", "unmap map"},
  {"map_before_over_the_head",   kMap, "...Aa.", "  bb  ", "..BbA.", "remap(next) map"},

  {"unmap_exactly",                kUnmap, "..Aa..", "  ##  ", "......", "unmap"},
  {"unmap_same_start_past_end",    kUnmap, "..Aa..", "  ### ", "......", "unmap"},
  {"unmap_the_head",               kUnmap, "..Aaa.", "  ##  ", "....A.", "remap(next)"},
  {"unmap_the_tail",               kUnmap, ".Aaa..", "  ##  ", ".A....", "remap(prev)"},
  {"unmap_the_tail_and_past",      kUnmap, ".Aaa..", "  ### ", ".A....", "remap(prev)"},
  {"unmap_the_middle",             kUnmap, ".Aaaa.", "  ##  ", ".A..A.", "remap(prev,next)"},
  {"unmap_before_same_end",        kUnmap, "...A..", "  ##  ", "......", "unmap"},
  {"unmap_all_around",             kUnmap, "...A..", "  ### ", "......", "unmap"},
  {"unmap_before_and_the_head",    kUnmap, "...Aa.", "  ##  ", "....A.", "remap(next)"},

  {"madvise_exactly",              kMadvise, "..Nn..", "  ##  ", "..Nn..", ""},
  {"madvise_same_start_past_end",  kMadvise, "..Nn..", "  ### ", "..Nn..", ""},
  {"madvise_the_head",             kMadvise, "..Nnn.", "  ##  ", "..ZzN.", "remap(next) map"},
  {"madvise_the_tail",             kMadvise, ".Nnn..", "  ##  ", ".NZz..", "remap(prev) map"},
  {"madvise_the_tail_and_past",    kMadvise, ".Nnn..", "  ### ", ".NZz..", "remap(prev) map"},
  {"madvise_the_middle",           kMadvise, ".Nnnn.", "  ##  ", ".NZzN.", "remap(prev,next) map"},
  {"madvise_before_same_end",      kMadvise, "...N..", "  ##  ", "...N..", ""},
  {"madvise_all_around",           kMadvise, "...N..", "  ### ", "...N..", ""},
  {"madvise_before_and_the_head",  kMadvise, "...Nn.", "  ##  ", "...ZN.", "remap(next) map"},

  // keep: old and new translate their common addresses alike.
  {"keep_identical",               kMap, "..Aa..", "  aa  ", "..Aa..", "unmap(keep) map"},
  {"keep_grow_both_ends",          kMap, "...A..", "  aaa ", "..Aaa.", "unmap(keep) map"},
  {"keep_head",                    kMap, "..Aaa.", "  aa  ", "..AaA.", "remap(next,keep) map"},
  {"keep_tail",                    kMap, ".Aaa..", "  aaa ", ".AAaa.", "remap(prev,keep) map"},
  {"keep_middle",                  kMap, ".Aaaa.", "  aa  ", ".AAaA.", "remap(prev,next,keep) map"},
  {"keep_before",                  kMap, "...Aa.", "  aa  ", "..AaA.", "remap(next,keep) map"},
  {"no_keep_other_offset",         kMap, ".Aaaa.", "  cc  ", ".ACcA.", "remap(prev,next) map"},
  {"no_keep_without_backing",      kMap, ".Nnnn.", "  nn  ", ".NNnN.", "remap(prev,next) map"},

  // Several mappings, holes, neighbours.
  {"map_fills_hole",               kMap, "Aa..Aa", "  aa  ", "AaAaAa", "map"},
  {"map_in_empty",                 kMap, "......", "bbbbbb", "Bbbbbb", "map"},
  {"map_across_three",             kMap, "AaBbAa", " cccc ", "ACcccA",
      "remap(prev) unmap remap(next) map"},
  {"unmap_hole",                   kUnmap, "Aa..Aa", "  ##  ", "Aa..Aa", ""},
  {"unmap_across_hole",            kUnmap, "Aa..Bb", " #### ", "A....B", "remap(prev) remap(next)"},
  {"madvise_skips_backed",         kMadvise, ".Aaaa.", "  ##  ", ".Aaaa.", ""},
  {"madvise_both_borders",         kMadvise, "NnAaNn", " #### ", "NZAaZN",
      "remap(prev) map remap(next) map"},
  {"madvise_one_border_backed",    kMadvise, "AaNnNn", " #### ", "AaNnZN", "remap(next) map"},
  {"madvise_carries_offset",       kMadviseCarried, ".Nnnn.", "  ##  ", ".NNnN.",
      "remap(prev,next) map"},
  {"prefetch_whole_mappings",      kPrefetch, "AaB.Nn", " #### ", "AaB.Nn",
      "prefetch prefetch prefetch"},
};
// clang-format on

GpuRange requested(const std::string& request) {
  const std::size_t first = request.find_first_not_of(' ');
  const std::size_t last = request.find_last_not_of(' ');
  return pages(first, last - first + 1);
}

Result<VaOps> plan(TestSpace& t, const Case& c) {
  const GpuRange range = requested(c.request);
  switch (c.ask) {
    case kMap: {
      const Ink ink = ink_of(c.request[range.start().value() >> kPageShift]);
      const std::uint64_t offset_bytes = range.start().value() + ink.shift * kPageSize;
      return plan_map(t.space, {range, t.backing(ink.backing), offset_bytes});
    }
    case kUnmap: return plan_unmap(t.space, range);
    case kMadvise: return plan_madvise_split(t.space, range, SplitOffset::kZero);
    case kMadviseCarried: return plan_madvise_split(t.space, range, SplitOffset::kCarried);
    case kPrefetch: return plan_prefetch(t.space, range);
  }
  return fail(EINVAL, "no such request");
}

class VaOpsCase : public testing::TestWithParam<Case> {};

TEST_P(VaOpsCase, Holds) {
  const Case& c = GetParam();
  TestSpace t(6);
  draw(t, c.before);
  Result<VaOps> ops = plan(t, c);
  ASSERT_TRUE(ops);
  EXPECT_EQ(picture(t, 6), c.before) << "planning changed the space";
  EXPECT_EQ(text(*ops), c.ops);
  ASSERT_TRUE(t.apply(ops));
  EXPECT_EQ(picture(t, 6), c.after);
  t.space.validate();
}
INSTANTIATE_TEST_SUITE_P(Table, VaOpsCase, testing::ValuesIn(kCases),
                         [](const auto& param) { return std::string(param.param.name); });

// --- every small case ---------------------------------------------------------------------------

constexpr unsigned kPages = 6;

/// What one page of a small state is: a hole, more of the mapping before, or the start of one.
enum class Mark { kHole, kMore, kStartA, kStartB, kStartNone, kCount };

struct SmallState {
  Mark mark[kPages];
  bool legal() const {
    for (unsigned i = 0; i < kPages; ++i) {
      if (mark[i] == Mark::kMore && (i == 0 || mark[i - 1] == Mark::kHole)) return false;
    }
    return true;
  }
};

/// Builds a state in both worlds, offsets linear in the address so that keep occurs.
void build(const SmallState& state, TestSpace& t, CellModel& model) {
  for (unsigned i = 0; i < kPages;) {
    unsigned end = i + 1;
    while (end < kPages && state.mark[end] == Mark::kMore) ++end;
    if (state.mark[i] != Mark::kHole) {
      const unsigned id = state.mark[i] == Mark::kStartA ? 1 : state.mark[i] == Mark::kStartB ? 2 : 0;
      ASSERT_TRUE(t.map(pages(i, end - i), id, i + 10));
      model.map(i, end - i, id, i + 10);
    }
    i = end;
  }
}

bool same(TestSpace& t, const CellModel& model, std::size_t page_count) {
  std::size_t page = 0;
  for (const VaNode& node : t.space) {
    const std::uint64_t first = node.start().value() >> kPageShift;
    for (; page < first; ++page) {
      if (model[page].serial != 0) return false;
    }
    const unsigned serial = model[page].serial;
    if (serial == 0 || (page > 0 && model[page - 1].serial == serial)) return false;
    for (std::uint64_t i = 0; i < node.range().pages(); ++i, ++page) {
      if (model[page].serial != serial || t.backing(model[page].backing) != node.backing() ||
          model[page].offset != (node.offset_bytes() >> kPageShift) + i) {
        return false;
      }
    }
    if (page < page_count && model[page].serial == serial) return false;
  }
  for (; page < page_count; ++page) {
    if (model[page].serial != 0) return false;
  }
  return true;
}

/// The rules that hold for any list: order, bounds, and keep by comparing page for page.
void check_list(const VaOps& ops, const MapRequest* map) {
  unsigned remaps = 0;
  unsigned maps = 0;
  for (const VaOp& op : ops) {
    const auto* unmap = std::get_if<UnmapOp>(&op);
    const auto* remap = std::get_if<RemapOp>(&op);
    remaps += remap != nullptr ? 1 : 0;
    maps += std::holds_alternative<MapOp>(op) ? 1 : 0;
    if (unmap == nullptr && remap == nullptr) continue;
    const VaNode& node = unmap != nullptr ? *unmap->node : *remap->node;
    bool keep = map != nullptr && node.backing() != nullptr && node.backing() == map->backing;
    for (GpuVa a = node.start(); keep && a < node.end(); a += kPageSize) {
      if (!map->range.contains(a)) continue;
      keep = node.offset_bytes() + (a - node.start()) == map->offset_bytes + (a - map->range.start());
    }
    EXPECT_EQ((unmap != nullptr ? unmap->keep : remap->keep) == Keep::kYes, keep);
  }
  EXPECT_LE(remaps, 2u);
  if (map == nullptr) return;
  EXPECT_EQ(maps, 1u);
  ASSERT_TRUE(std::holds_alternative<MapOp>(ops[ops.size() - 1]));
  EXPECT_EQ(std::get<MapOp>(ops[ops.size() - 1]).range, map->range);
}

struct Request {
  enum Kind { kMapA, kMapAShifted, kMapB, kMapNone, kUnmapIt, kMadviseIt, kKinds } kind;
  unsigned first;
  unsigned count;
};

void run_both(const Request& r, TestSpace& t, CellModel& model) {
  const GpuRange range = pages(r.first, r.count);
  if (r.kind == Request::kUnmapIt) {
    model.unmap(r.first, r.count);
    Result<VaOps> ops = plan_unmap(t.space, range);
    check_list(*ops, nullptr);
    ASSERT_TRUE(t.apply(ops));
  } else if (r.kind == Request::kMadviseIt) {
    model.madvise(r.first, r.count);
    Result<VaOps> ops = plan_madvise_split(t.space, range, SplitOffset::kZero);
    check_list(*ops, nullptr);
    ASSERT_TRUE(t.apply(ops));
  } else {
    const unsigned id = r.kind == Request::kMapB ? 2 : r.kind == Request::kMapNone ? 0 : 1;
    const unsigned offset = r.first + (r.kind == Request::kMapAShifted ? 11 : 10);
    model.map(r.first, r.count, id, offset);
    const MapRequest map{range, t.backing(id), offset * kPageSize};
    Result<VaOps> ops = plan_map(t.space, map);
    check_list(*ops, &map);
    ASSERT_TRUE(t.apply(ops));
  }
}

TEST(VaOpsExhaustive, EverySmallStateAndRequestAgreesWithTheCellModel) {
  constexpr unsigned kMarks = static_cast<unsigned>(Mark::kCount);
  unsigned states = 1;
  for (unsigned i = 0; i < kPages; ++i) states *= kMarks;
  std::size_t runs = 0;
  for (unsigned n = 0; n < states; ++n) {
    SmallState state;
    for (unsigned i = 0, rest = n; i < kPages; ++i, rest /= kMarks) {
      state.mark[i] = static_cast<Mark>(rest % kMarks);
    }
    if (!state.legal()) continue;
    for (unsigned first = 0; first < kPages; ++first) {
      for (unsigned end = first + 1; end <= kPages; ++end) {
        for (int kind = 0; kind < Request::kKinds; ++kind, ++runs) {
          TestSpace t(kPages);
          CellModel model(kPages);
          build(state, t, model);
          run_both({static_cast<Request::Kind>(kind), first, end - first}, t, model);
          ASSERT_TRUE(same(t, model, kPages))
              << "state " << n << " request kind " << kind << " [" << first << "," << end << ")\n"
              << "space " << text(t) << "\nmodel " << model.text();
        }
      }
    }
  }
  EXPECT_GT(runs, 500000u);
}

// --- random runs --------------------------------------------------------------------------------

class VaOpsRandom : public testing::TestWithParam<unsigned> {};

TEST_P(VaOpsRandom, LongRunAgreesWithTheCellModel) {
  constexpr std::size_t kSpacePages = 2000;
  Prng prng(GetParam());
  TestSpace t(kSpacePages);
  CellModel model(kSpacePages);
  for (int step = 0; step < 1500; ++step) {
    if (prng.chance(1, 100)) {
      const auto id = static_cast<unsigned>(1 + prng.below(2));
      model.unmap_backing(id);
      ASSERT_TRUE(t.apply(plan_unmap_backing(*t.backing(id))));
      EXPECT_EQ(t.backing(id)->size(), 0u);
    } else {
      const std::uint64_t longest = prng.chance(1, 20) ? 1000 : 12;
      const auto count = static_cast<unsigned>(1 + prng.below(longest));
      const auto first = static_cast<unsigned>(prng.below(kSpacePages - count + 1));
      // Unmapping is rare, so that some hundred mappings live at a time.
      const auto kind = prng.chance(1, 8) ? Request::kUnmapIt : static_cast<Request::Kind>(prng.below(Request::kKinds));
      run_both({kind, first, count}, t, model);
    }
    t.space.validate();
    for (const VaBacking& backing : t.backings) backing.validate();
    ASSERT_TRUE(same(t, model, kSpacePages)) << "seed " << GetParam() << " step " << step;
  }
  EXPECT_GT(t.space.size(), 20u);
}
INSTANTIATE_TEST_SUITE_P(Seeds, VaOpsRandom, testing::Range(1u, 5u));

// --- the rest -----------------------------------------------------------------------------------

TEST(VaOps, PiecesOfASplitAreNewInTheListOfTheirBacking) {
  TestSpace t(20);
  ASSERT_TRUE(t.map(pages(0, 6), 1, 0));
  ASSERT_TRUE(t.map(pages(10, 2), 1, 50));
  ASSERT_TRUE(t.map(pages(2, 2), 2, 0));  // cuts the first: its pieces are now the newest
  Result<VaOps> ops = plan_unmap_backing(*t.backing(1));
  ASSERT_EQ(ops->size(), 3u);
  EXPECT_EQ(std::get<UnmapOp>((*ops)[0]).node->range(), pages(10, 2));
  EXPECT_EQ(std::get<UnmapOp>((*ops)[1]).node->range(), pages(0, 2));
  EXPECT_EQ(std::get<UnmapOp>((*ops)[2]).node->range(), pages(4, 2));
  ASSERT_TRUE(t.apply(ops));
  EXPECT_EQ(text(t), "2+2:2@0 ");
}

TEST(VaOps, RefusesRangesOutsideTheSpaceAndInTheWindow) {
  TestSpace t(20);
  ASSERT_TRUE(t.space.set_reserved_window(pages(8, 4)));
  for (const GpuRange& bad : {pages(19, 2), pages(20, 1), pages(8, 1), pages(7, 2), pages(0, 20)}) {
    EXPECT_EQ(plan_map(t.space, {bad}).error().err, EINVAL);
    EXPECT_EQ(plan_unmap(t.space, bad).error().err, EINVAL);
    EXPECT_EQ(plan_madvise_split(t.space, bad, SplitOffset::kZero).error().err, EINVAL);
  }
  Result<VaOps> seen = plan_prefetch(t.space, pages(0, 20));
  ASSERT_EQ(seen->size(), 1u);  // the window, as in Linux
  EXPECT_TRUE(t.space.is_reserved(*std::get<PrefetchOp>((*seen)[0]).node));
}

TEST(VaOps, LongListsMoveAndGrow) {
  TestSpace t(100);
  for (std::uint64_t i = 0; i < 50; ++i) ASSERT_TRUE(t.map(pages(2 * i, 1), 1, i));
  Result<VaOps> few = plan_unmap(t.space, pages(0, 10));
  Result<VaOps> many = plan_unmap(t.space, pages(0, 100));
  ASSERT_EQ(few->size(), 5u);
  ASSERT_EQ(many->size(), 50u);
  VaOps moved = std::move(*many);
  EXPECT_TRUE(many->empty());
  EXPECT_EQ(std::get<UnmapOp>(moved[49]).node->range(), pages(98, 1));
  moved = std::move(*few);
  EXPECT_EQ(moved.size(), 5u);
  EXPECT_EQ(std::get<UnmapOp>(moved[4]).node->range(), pages(8, 1));
}

TEST(VaOps, RunningOutOfMemoryChangesNothing) {
  for (std::uint64_t nth = 1;; ++nth) {
    ASSERT_LT(nth, 20u);
    TestSpace t(400);
    for (std::uint64_t i = 0; i < 29; ++i) ASSERT_TRUE(t.map(pages(8 * i, 6), 1, 8 * i));
    const std::string before = text(t);
    FailNth failure("", nth, ENOMEM, FailNth::Repeat::kForever);
    StepHook* old = set_step_hook(&failure);
    const Status status = t.apply(plan_map(t.space, {pages(1, 150), t.backing(2), 0}));
    set_step_hook(old);
    if (status) break;  // needed fewer steps than nth
    EXPECT_EQ(status.error().err, ENOMEM);
    EXPECT_EQ(text(t), before);
    EXPECT_EQ(t.pool.alive, 29u);
    EXPECT_EQ(t.backing(1)->size(), 29u);
  }
}

TEST(VaOps, FailingToMakeANodeChangesNothing) {
  for (std::size_t made = 0; made < 3; ++made) {
    TestSpace t(20);
    ASSERT_TRUE(t.map(pages(0, 20), 1, 0));
    t.pool.fail_after = made;
    EXPECT_EQ(t.map(pages(5, 5), 2, 0).error().err, ENOMEM);
    t.pool.fail_after = ~std::size_t{0};
    EXPECT_EQ(text(t), "0+20:1@0 ");
    EXPECT_EQ(t.pool.alive, 1u);
  }
}

}  // namespace
}  // namespace softxe::test
