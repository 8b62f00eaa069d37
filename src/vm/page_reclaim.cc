#include "vm/page_reclaim.h"

#include <algorithm>

namespace softxe {

namespace {

constexpr std::uint64_t k1G = std::uint64_t{1} << 30;

/// The list under construction.
class List {
 public:
  void take(const ReclaimedPart& part) {
    if (part.kind == ReclaimedPart::Kind::kNothing || aborted_) return;
    // A page table that goes as a whole is not looked into: its leaves stay unknown.
    aborted_ = drops_tables(part);
    const std::uint64_t end = part.range.end().value();
    for (std::uint64_t at = part.range.start().value(); at < end && !aborted_;) at += add_leaf(part, at);
  }
  PageReclaim result(bool any_part) const {
    PageReclaim result = counts_;
    if (any_part) result.end = aborted_ ? PageReclaim::End::kAborted : PageReclaim::End::kIssued;
    return result;
  }

 private:
  static bool covers_aligned(const GpuRange& range, std::uint64_t bytes) {
    return align_up(range.start().value(), bytes) + bytes <= range.end().value();
  }
  static bool drops_tables(const ReclaimedPart& part) {
    if (covers_aligned(part.range, k1G)) return true;
    return covers_aligned(part.range, k2M) && !is_leaf(part, align_up(part.range.start().value(), k2M), k2M);
  }
  /// Address and place in the object are aligned, and the whole page is inside.
  static bool is_leaf(const ReclaimedPart& part, std::uint64_t at, std::uint64_t bytes) {
    const std::uint64_t offset = part.offset_bytes + (at - part.range.start().value());
    return part.kind == ReclaimedPart::Kind::kObject && is_aligned(at, bytes) && is_aligned(offset, bytes) &&
           at + bytes <= part.range.end().value();
  }
  /// Its size.
  std::uint64_t add_leaf(const ReclaimedPart& part, std::uint64_t at) {
    if (listed_ == kReclaimLeavesMax) {
      aborted_ = true;
      return kPageSize;
    }
    listed_ += 1;
    if (is_leaf(part, at, k2M)) return counts_.leaves_2m += 1, k2M;
    if (is_leaf(part, at, k64K)) return counts_.leaves_64k += 1, k64K;
    return counts_.leaves_4k += 1, kPageSize;
  }

  PageReclaim counts_;
  std::uint32_t listed_ = 0;
  bool aborted_ = false;
};

}  // namespace

PageReclaim count_reclaim(std::span<const ReclaimedPart> parts) {
  List list;
  for (const ReclaimedPart& part : parts) list.take(part);
  return list.result(!parts.empty());
}

}  // namespace softxe
