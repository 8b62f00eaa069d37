// NotifierSet: who hears of changes to the client's memory.
#pragma once

#include <boost/intrusive/set.hpp>

#include "host/host_mm.h"
#include "host/live/named_ranges.h"

namespace softxe::live {

/// Guarded by the mm lock of its owner, which is held while notifiers are told.
class NotifierSet {
 public:
  explicit NotifierSet(NamedRanges& names) : names_(names) {}

  void insert(IntervalNotifier& notifier);
  void erase(IntervalNotifier& notifier) { set_.erase(set_.iterator_to(notifier)); }
  void clear() { set_.clear(); }
  /// On return no GPU reaches `range` by an old translation. What is unmapped loses its names, too.
  void tell(HostRange range, HostEvent kind);

 private:
  NamedRanges& names_;
  boost::intrusive::multiset<IntervalNotifier> set_;
  std::uint64_t widest_window_ = 0;
};

}  // namespace softxe::live
