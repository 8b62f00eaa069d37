#include "host/live/logical_mappings.h"

namespace softxe::live {

Result<CpuVma> LogicalMappings::at(HostVa va, HostRange reach) const {
  SX_TRY(RawVma here, res_.maps.at_or_above(va));
  const auto clients = client_part(va, HostRange::of(HostVa(0), 1ULL << GranuleMap::kAddressBits));
  if (here.range.start() > va || !clients) return fail(ENOENT, "nothing is mapped there");
  const HostRange own = *here.range.intersection(*clients);
  CpuVma out{own, res_.maps.kind_of(here, res_.options.is_device_mapping), here.readable, here.writable};
  if (out.kind != CpuVma::Kind::kAnonPrivate) return out;
  // A boundary in a block that was ever registered may be of our making. Where memory
  // is locked or droppable it is a real one: nothing but smaps tells, and it cannot move.
  auto ours = [this](HostVa boundary) {
    auto is = [&](std::atomic<bool> Granule::*fact) {
      auto at = [&](HostVa there) {
        const Granule* g = res_.granules.find(there);
        return g != nullptr && (g->*fact).load(std::memory_order_relaxed);
      };
      return at(boundary) || at(boundary - 1);
    };
    return is(&Granule::was_registered) && !is(&Granule::real_borders) &&
           !res_.locked_everywhere.load(std::memory_order_relaxed);
  };
  auto same = [&](const RawVma& other) {
    return other.anonymous() && other.readable == here.readable && other.writable == here.writable &&
           other.executable == here.executable &&
           res_.maps.kind_of(other, res_.options.is_device_mapping) == CpuVma::Kind::kAnonPrivate;
  };
  while (out.range.end() < reach.end() && out.range.end() < clients->end() && ours(out.range.end())) {
    auto next = res_.maps.at_or_above(out.range.end());
    if (!next || next->range.start() != out.range.end() || !same(*next)) break;
    out.range = out.range.hull(*next->range.intersection(*clients));
  }
  while (out.range.start() > reach.start() && out.range.start() > clients->start() && ours(out.range.start())) {
    auto before = res_.maps.at_or_above(out.range.start() - 1);
    if (!before || before->range.end() != out.range.start() || !same(*before)) break;
    out.range = out.range.hull(*before->range.intersection(*clients));
  }
  return out;
}

}  // namespace softxe::live
