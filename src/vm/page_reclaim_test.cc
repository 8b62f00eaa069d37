// The page reclaim list: spec/multi-queue.md 5, row by row, and against a model that looks at every page.
#include "vm/page_reclaim.h"

#include <gtest/gtest.h>

#include <vector>

#include "base/prng.h"

namespace softxe {
namespace {

constexpr std::uint64_t k1G = 1ull << 30;
using Kind = ReclaimedPart::Kind;
using End = PageReclaim::End;

ReclaimedPart part(std::uint64_t start, std::uint64_t bytes, std::uint64_t offset = 0, Kind kind = Kind::kObject) {
  return {GpuRange::of(GpuVa(start), bytes), offset, kind};
}

std::vector<ReclaimedPart> side_by_side(std::uint64_t start,
                                        const std::vector<std::pair<unsigned, std::uint64_t>>& of) {
  std::vector<ReclaimedPart> parts;
  for (const auto& [count, bytes] : of)
    for (unsigned i = 0; i < count; ++i, start += bytes) parts.push_back(part(start, bytes));
  return parts;
}

TEST(PageReclaim, Rows) {
  struct Row {
    const char* claim;
    std::vector<ReclaimedPart> parts;
    PageReclaim list;
  };
  const Row rows[] = {
      {"nothing with entries went", {}, {0, 0, 0, End::kNone}},
      {"leaves of three sizes",
       side_by_side(0x40000000, {{2, k2M}, {31, k64K}, {16, kPageSize}}),
       {16, 31, 2, End::kIssued}},
      {"511 leaves are the most", {part(k1G + kPageSize, 511 * kPageSize)}, {511, 0, 0, End::kIssued}},
      {"the 512th gives the list up, once",
       {part(k1G + kPageSize, 512 * kPageSize), part(4 * k1G, kPageSize)},
       {511, 0, 0, End::kAborted}},
      {"a whole GiB gives it up before its leaves",
       {part(2 * k1G, k1G), part(4 * k1G, kPageSize)},
       {0, 0, 0, End::kAborted}},
      {"nothing is listed behind that",
       {part(0, kPageSize), part(2 * k1G, k1G), part(4 * k1G, k2M)},
       {1, 0, 0, End::kAborted}},
      {"a GiB that is not aligned is many leaves",
       {part(k1G + 512 * k64K, k1G - k2M, 512 * k64K)},
       {0, 0, 511, End::kIssued}},
      {"a whole table of small leaves gives it up", {part(k2M, k2M, kPageSize)}, {0, 0, 0, End::kAborted}},
      {"2 MiB across two tables are small leaves", {part(k2M + k64K, k2M - k64K, k64K)}, {0, 31, 0, End::kIssued}},
      {"64K needs the object's offset aligned, too", {part(k2M + k64K, k64K, kPageSize)}, {16, 0, 0, End::kIssued}},
      {"64K needs the whole page", {part(k2M, k64K - kPageSize)}, {15, 0, 0, End::kIssued}},
      {"userptrs are 4K", {part(k2M, k64K, 0, Kind::kUserptr)}, {16, 0, 0, End::kIssued}},
      {"a userptr's whole table gives it up", {part(k2M, k2M, 0, Kind::kUserptr)}, {0, 0, 0, End::kAborted}},
      {"what is never cached counts as an unbind", {part(0, k1G, 0, Kind::kNothing)}, {0, 0, 0, End::kIssued}},
      {"and hurts nobody", {part(0, 512 * k1G, 0, Kind::kNothing), part(k1G, k2M)}, {0, 0, 1, End::kIssued}},
  };
  for (const Row& row : rows) EXPECT_EQ(count_reclaim(row.parts), row.list) << row.claim;
}

/// Page by page, without any step larger than 4 KiB.
PageReclaim model(const std::vector<ReclaimedPart>& parts) {
  PageReclaim list;
  unsigned listed = 0;
  bool valid = true;
  for (const ReclaimedPart& p : parts) {
    if (p.kind == Kind::kNothing || !valid) continue;
    const std::uint64_t start = p.range.start().value();
    const std::uint64_t end = p.range.end().value();
    const auto leaf = [&](std::uint64_t at, std::uint64_t bytes) {
      return p.kind == Kind::kObject && at % bytes == 0 && (p.offset_bytes + at - start) % bytes == 0 &&
             at + bytes <= end;
    };
    for (std::uint64_t at = start; at < end; at += kPageSize) {
      if (at % k1G == 0 && at + k1G <= end) valid = false;
      if (at % k2M == 0 && at + k2M <= end && !leaf(at, k2M)) valid = false;
    }
    std::uint64_t covered = start;  // up to here a larger leaf has it
    for (std::uint64_t at = start; at < end && valid; at += kPageSize) {
      if (at < covered) continue;
      if (listed++ == kReclaimLeavesMax) {
        valid = false;
        break;
      }
      const std::uint64_t bytes = leaf(at, k2M) ? k2M : leaf(at, k64K) ? k64K : kPageSize;
      (bytes == k2M ? list.leaves_2m : bytes == k64K ? list.leaves_64k : list.leaves_4k) += 1;
      covered = at + bytes;
    }
  }
  if (!parts.empty()) list.end = valid ? End::kIssued : End::kAborted;
  return list;
}

TEST(PageReclaim, AgreesWithThePageByPageModel) {
  Prng prng(1);
  for (int i = 0; i < 3000; ++i) {
    std::vector<ReclaimedPart> parts;
    std::uint64_t at = k1G - 4 * k2M;
    for (std::uint64_t count = prng.below(5); count != 0; --count) {
      const std::uint64_t unit = prng.chance(1, 3) ? k2M : prng.chance(1, 2) ? k64K : kPageSize;
      at = align_up(at + prng.below(4) * kPageSize, unit);
      const std::uint64_t bytes = (1 + prng.below(40)) * unit;
      const std::uint64_t offset = prng.chance(1, 4) ? prng.below(64) * kPageSize : at;
      const Kind kind = prng.chance(1, 6) ? Kind::kUserptr : prng.chance(1, 8) ? Kind::kNothing : Kind::kObject;
      parts.push_back(part(at, bytes, offset, kind));
      at += bytes;
    }
    ASSERT_EQ(count_reclaim(parts), model(parts)) << "program " << i;
  }
}

}  // namespace
}  // namespace softxe
