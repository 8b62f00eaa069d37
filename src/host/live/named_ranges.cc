#include "host/live/named_ranges.h"

#include <algorithm>

namespace softxe::live {

bool NamedRanges::contains(HostRange range) const {
  const auto end = ranges_.begin() + count_;
  return std::any_of(ranges_.begin(), end, [&](const auto& named) { return named->contains(range); });
}

Status NamedRanges::add(HostRange range) {
  forget(range);  // said twice: one entry
  if (count_ == kMax) return fail(ENOMEM, "too many named ranges");
  append(range);
  any_.store(true);
  return {};
}

// What no longer finds a place stays in system memory, which is always correct.
void NamedRanges::forget(HostRange range) {
  for (std::size_t i = count_; i-- > 0;) {
    const HostRange named = *ranges_[i];
    if (!named.intersects(range)) continue;
    ranges_[i] = ranges_[--count_];
    if (named.start() < range.start()) append(HostRange::between(named.start(), range.start()));
    if (range.end() < named.end() && count_ < kMax) append(HostRange::between(range.end(), named.end()));
  }
}

}  // namespace softxe::live
