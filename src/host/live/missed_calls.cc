#include "host/live/missed_calls.h"

#include "base/event_ring.h"

namespace softxe::live {

void MissedCalls::drain(const CallPlan* own) {
  UffdMessage message;
  while (res_.pump.pop_event(message)) deal_with(message, own);
}

void MissedCalls::deal_with(const UffdMessage& message, const CallPlan* own) {
  is_dealing_ = true;
  const auto gone = message.range_gone();
  const auto kind = message.event == UffdMessage::kUnmap ? HostEvent::kUnmap : HostEvent::kClear;
  const bool known = gone && own != nullptr && own->tells(*gone, kind);
  if (!known) res_.counters.events.fetch_add(1, std::memory_order_relaxed);
  const EventScope called(known ? kNoEvent : emit({.kind = EventKind::kCall, .cause = EventCause::kUnseen}));
  if (gone && !known) notifiers_.tell(*gone, kind);
  switch (message.event) {
    case UffdMessage::kUnmap:
      // A call that fails may have raised it all the same: mmap() for lack of memory, after it had looked.
      if (!known) forget_unmapped(*gone);
      break;
    case UffdMessage::kRemove: residents_.drop(*gone); break;
    case UffdMessage::kRemap:
      on_remap(HostRange::of(HostVa(message.arg[0]), message.arg[2]), HostVa(message.arg[1]));
      break;
    case UffdMessage::kFork: on_fork(static_cast<int>(message.arg[0] & 0xffffffff)); break;
    default: break;
  }
  is_dealing_ = false;
}

void MissedCalls::forget(HostRange range) {
  residents_.drop(range);
  registration_.forget(range);
  res_.pins.remove(res_.granules, range);
}

void MissedCalls::forget_unmapped(HostRange range) {
  for (HostVa at = range.start(); at < range.end();) {
    const auto rest = HostRange::between(at, range.end());
    const auto vma = res_.maps.at_or_above(at);
    const auto part = vma ? vma->range.intersection(rest) : std::nullopt;
    const HostVa gap_end = part ? part->start() : rest.end();
    if (at < gap_end) forget(HostRange::between(at, gap_end));
    if (!part) return;
    const auto chunk = registration_.first_in(*part);
    if (!chunk || !registration_.is_registered(chunk->start())) forget(*part);
    at = part->end();
  }
}

/// A raw fork: the child's copies of pages in VRAM are holes behind a descriptor of its own.
void MissedCalls::on_fork(int fd) {
  Uffd child = Uffd::adopt(fd);
  const auto everything = HostRange::of(HostVa(0), 1ull << GranuleMap::kAddressBits);
  for (HostVa at(0); at < everything.end();) {
    const auto piece = residents_.first_in(HostRange::between(at, everything.end()));
    if (!piece) break;
    mover_.copy_run(child, {piece->range.start().value(), number_of(piece->frame()), piece->range.size()});
    at = piece->range.end();
  }
  notifiers_.tell(everything, HostEvent::kProtect);
}  // closing the descriptor releases the child's faults

/// The mapping has gone to another place and took its registration along.
void MissedCalls::on_remap(HostRange from, HostVa to) {
  notifiers_.tell(from, HostEvent::kUnmap);
  registration_.follow(from, to);
  residents_.follow(from, to);
  residents_.bring_range_home(HostRange::of(to, from.size()), MoveCause::kMapping);
}

}  // namespace softxe::live
