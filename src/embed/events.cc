// EventReader: the events of a process, for whoever embeds it.
#include "embed/impl.h"

namespace softxe::api {

/// Keeps the process, and with it the recording, alive.
struct EventReader::Impl {
  std::shared_ptr<Process::Impl> process;
};

namespace {

PageState place_of(EventPlace place) {
  if (place == EventPlace::kNone) return PageState::kUnmapped;
  return place == EventPlace::kSystem ? PageState::kSystem : PageState::kVram;
}

Event to_api(const softxe::Event& from) {
  Event event;
  event.seq = from.seq;
  event.parent = from.parent;
  event.time_ns = from.time_ns;
  event.address = from.address;
  event.bytes = from.size;
  event.word = from.word;
  event.thread = from.thread;
  event.asid = from.asid;
  event.err = from.err;
  event.device = from.device;
  event.kind = name_of(from.kind);
  event.cause = name_of(from.cause);
  event.from = place_of(from.from);
  event.to = place_of(from.to);
  return event;
}

}  // namespace

Result<EventReader> Process::events() {
  const EngineCall call;
  if (!impl_->events) {
    if (events_on()) return Error{EBUSY, "the events of another process of this program are recorded"};
    const auto threads = impl_->sim ? EventStream::Threads::kUnnumbered : EventStream::Threads::kNumbered;
    impl_->events = std::make_unique<EventTap>(impl_->clock(), threads);
  }
  return EventReader(std::make_shared<EventReader::Impl>(EventReader::Impl{impl_}));
}

std::vector<Event> EventReader::read() {
  const EngineCall call;
  EventTap& tap = *impl_->process->events;
  tap.drain();
  std::vector<Event> events;
  for (const softxe::Event& event : tap.take()) events.push_back(to_api(event));
  return events;
}

std::uint64_t EventReader::lost() const { return impl_->process->events->dropped(); }

Result<std::uint64_t> EventReader::counted(const char* name, unsigned device) const {
  if (device >= EventCheck::kDevicesMax) return Error{ENOENT, "no device of that number"};
  for (std::size_t i = 0; i < kCounterCount; ++i) {
    const auto counter = static_cast<Counter>(i);
    if (std::string_view(name) != kCounterNames[i]) continue;
    if (!is_carried_by_events(counter)) return Error{ENOENT, "no event carries that counter"};
    return impl_->process->events->check().sum(device, counter);
  }
  return Error{ENOENT, "no counter of that name"};
}

}  // namespace softxe::api
