// LogicalMappings: the client's mappings as it made them.
//
// Registering single blocks cuts mappings for the kernel, and it may show memory of the runtime and the client's as
// one. Neither is the client's doing, and nobody who asks here sees it.
#pragma once

#include "host/live/live_resources.h"

namespace softxe::live {

/// Takes no lock.
class LogicalMappings {
 public:
  explicit LogicalMappings(const LiveResources& res) : res_(res) {}
  /// The mapping around `va`, followed as far as `reach`. ENOENT: nothing of the client is mapped there.
  Result<CpuVma> at(HostVa va, HostRange reach) const;

 private:
  const LiveResources& res_;
};

}  // namespace softxe::live
