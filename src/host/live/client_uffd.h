// ClientUffd: would a fault on the client's memory be the client's own to serve?
//
// Memory that the client has registered with a userfaultfd of its own is filled by a handler of the client, which may
// well use the VM whose fault it is. Whoever faults such a page in for the GPU must not wait for it with locks held:
// Linux does not wait either, its driver gets EFAULT for a page that is missing or write-protected there.
#pragma once

#include <array>
#include <atomic>

#include "host/host_mm.h"
#include "host/live/proc_maps.h"

namespace softxe::live {

/// What was ever registered is remembered, as a hint to look closely: the kernel knows what still is.
class ClientUffd {
 public:
  /// The client has registered `range`. Callers are serialised by the mm lock.
  void note(HostRange range);
  /// The same before there was an engine: from now on every range is worth a look.
  static void note_early();
  /// True when a page of `range` waits for the client's handler now. Takes no lock; reads /proc only when some
  /// of the range was ever registered.
  bool would_wait(HostRange range, CollectRequest::Intent intent, const PageMap& pages) const;

 private:
  bool noted(HostRange range) const;

  static constexpr std::size_t kMax = 64;
  std::array<std::atomic<std::uint64_t>, kMax> starts_{};
  std::array<std::atomic<std::uint64_t>, kMax> ends_{};
  std::atomic<std::size_t> count_{0};  ///< more than kMax: everything is worth a look
};

}  // namespace softxe::live
