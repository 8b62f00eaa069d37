#include "host/live/notifier_set.h"

#include <algorithm>

namespace softxe::live {

void NotifierSet::insert(IntervalNotifier& notifier) {
  set_.insert(notifier);
  widest_window_ = std::max(widest_window_, notifier.window().size());
}

void NotifierSet::tell(HostRange range, HostEvent kind) {
  struct StartsBefore {
    bool operator()(const IntervalNotifier& n, HostVa va) const { return n.window().start() < va; }
  };
  if (kind == HostEvent::kUnmap && names_.any()) names_.forget(range);
  const std::uint64_t from = range.start().value() > widest_window_ ? range.start().value() - widest_window_ : 0;
  for (auto at = set_.lower_bound(HostVa(from), StartsBefore{}); at != set_.end(); ++at) {
    if (at->window().start() >= range.end()) break;
    const auto part = at->window().intersection(range);
    if (!part) continue;
    at->advance_sequence();
    at->invalidate(*part, kind);
  }
}

}  // namespace softxe::live
