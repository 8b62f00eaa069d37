#include "host/live/client_calls.h"

#include <linux/ioctl.h>
#include <sys/mman.h>

#include "base/event_ring.h"
#include "base/raw_syscall.h"
#include "base/step.h"
#include "host/live/client_memory.h"
#include "host/live/engine_calls.h"
#include "host/live/lock_all.h"
#include "host/live/logical_mappings.h"
#include "host/live/resize_in_pieces.h"

namespace softxe::live {
namespace {

bool ok(long result) { return errno_of(result) == 0; }

}  // namespace

/// Lock-free: whether a call on `range` may run past us. While this lives nothing there goes to VRAM.
class ClientCalls::Passing {
 public:
  Passing(LiveHostMm& mm, std::optional<HostRange> range) : calls_(mm.res_.passing) {
    // Nothing of ours can be there, now or later.
    if (!range || mm.disabled() || !GranuleMap::addressable(*range)) return;
    slot_ = calls_.announce(*range);
    held_up_ = slot_ == PassingCalls::kNone || mm.tracked(*range);
  }
  ~Passing() {
    if (slot_ != PassingCalls::kNone) calls_.retract(slot_);
  }
  Passing(const Passing&) = delete;
  Passing& operator=(const Passing&) = delete;

  bool may() const { return !held_up_; }

 private:
  PassingCalls& calls_;
  PassingCalls::Slot slot_ = PassingCalls::kNone;
  bool held_up_ = false;
};

/// Makes the call without the lock, unless there is something of ours in what it changes: then nothing.
std::optional<long> ClientCalls::run_past(const CallPlan& plan) {
  const auto parts = plan.affected();
  std::optional<HostRange> also;
  for (const Affected& part : parts.subspan(1)) also = also ? also->hull(part.range) : part.range;
  const Passing first(mm_, parts[0].range);
  const Passing second(mm_, also);
  if (!first.may() || !second.may()) return std::nullopt;
  SX_MARK("live.hook.passing");
  return plan.unlocked ? plan.unlocked->make() : plan.call.make();
}

/// The lock-free filter may have looked before another thread began to mirror this memory.
void ClientCalls::notify_late(const CallPlan& plan, long result) {
  for (const Affected& part : plan.affected()) {
    // In place: nothing but what was cut off has changed, and that is told below.
    const bool stayed = plan.call.number == SYS_mremap && result == plan.call.args[0];
    const std::uint64_t kept = stayed ? align_up(plan.call.word(2), kPageSize) : 0;
    if (!part.event || kept >= part.range.size()) continue;
    const auto changed = HostRange::between(part.range.start() + kept, part.range.end());
    if (!mm_.tracked(changed)) continue;
    const LiveHostMm::Locked lock(mm_);
    const EventScope called(emit(event_of_call(plan.call.number, part.range)));
    mm_.memory_.notifiers.tell(changed, *part.event);
  }
}

long ClientCalls::planned(const ClientCall& call) {
  if (res_.is_disabled()) return call.make();
  const CallPlanner planner(res_.maps, res_.start_of_break);
  auto plan = planner.plan(call, CallPlanner::Detail::kWidest);
  if (!plan) return call.make();
  if (const auto result = run_past(*plan)) {
    if (plan->call.succeeded(*result)) notify_late(*plan, *result);
    // Blocks may still be registered after their last notifier has gone: to mremap() the borders of what is registered
    // are borders of mappings, which it does not cross.
    const bool crossed = call.number == SYS_mremap && errno_of(*result) == EFAULT;
    if (!crossed) return *result;
  }
  if (plan->is_widest) plan = planner.plan(call, CallPlanner::Detail::kExact);
  if (!plan) return call.make();
  const auto result = carry_out(planner, *plan);
  if (!result) return -result.error().err;
  return plan->unlocked ? plan->unlocked->make() : *result;
}

/// An error: the call was not made, and nothing has happened.
Result<long> ClientCalls::carry_out(const CallPlanner& planner, const CallPlan& plan) {
  const LiveHostMm::Locked lock(mm_);
  const EventScope calls(emit(event_of_call(plan.call.number, plan.parts[0].range)));
  SX_TRY_VOID(prepare_home(plan));
  if (plan.in_place) {
    const long grown = make_whole(*plan.in_place);
    if (errno_of(grown) != ENOMEM) return grown;
  }
  if (const auto refused = planner.refusal(plan)) return *refused;
  if (plan.call.number == SYS_ioctl) {  // theirs and ours differ, although the kernel shows no difference
    for (const Affected& part : plan.affected()) mm_.memory_.registration.note_real_borders(part.range);
  }
  for (const Affected& part : plan.affected()) {
    if (part.event) mm_.memory_.notifiers.tell(part.range, *part.event);
  }
  const bool away = !leave_unregistered(planner, plan);
  if (away && plan.walk == Walk::kEachMapping) return call_each_mapping(plan);
  const long result = make_whole(plan.call);
  settle(plan, result);
  return result;
}

/// Where registration has left cuts that the kernel does not join again, an mremap() goes piece by piece.
long ClientCalls::make_whole(const ClientCall& call) const {
  const long result = call.make();
  if (call.number != SYS_mremap || errno_of(result) != EFAULT) return result;
  return resize_in_pieces(res_, call).value_or(result);
}

/// Also undoes splits of the mapping, which mremap() does not accept.
Status ClientCalls::prepare_home(const CallPlan& plan) {
  for (const Affected& part : plan.affected()) {
    if (part.pages == VramPages::kComeHome) SX_TRY_VOID(mm_.insist_home(part.range));
  }
  for (const Affected& part : plan.affected()) {
    if (part.pages == VramPages::kComeHome) mm_.memory_.registration.unregister_range(part.range);
  }
  return {};
}

/// As the kernel walks: what a mapping refuses ends the call, what came before is done; holes are reported last.
long ClientCalls::call_each_mapping(const CallPlan& plan) {
  const HostRange range = plan.parts[0].range;
  long result = 0;
  bool hole = false;
  for (HostVa at = range.start(); at < range.end();) {
    const auto vma = res_.maps.at_or_above(at);
    const auto part = vma ? vma->range.intersection(HostRange::between(at, range.end())) : std::nullopt;
    hole = hole || !part || part->start() != at;
    if (!part) break;
    at = part->end();
    const ClientCall call = plan.call.on(*part);
    const long got = call.make();
    if (ok(got)) mm_.memory_.residents.drop(*part);
    mm_.memory_.missed.drain(&plan);
    if (!ok(got)) return got;
    result += got;
  }
  return hole ? -ENOMEM : result;
}

/// Records follow what the kernel did. The event that the call itself has raised is no news.
void ClientCalls::settle(const CallPlan& plan, long result) {
  const bool done = plan.call.succeeded(result);
  for (const Affected& part : plan.affected()) {
    if (part.event != HostEvent::kUnmap) continue;
    if (done) {
      mm_.memory_.missed.forget(part.range);
    } else {
      mm_.memory_.missed.forget_unmapped(part.range);
      register_again(part.range);
    }
  }
  mm_.memory_.missed.drain(&plan);
}

/// Without registration the call raises no event. Not under pages that are away, unless the call cannot fail: others
/// would find nothing, and a failing call would have lost them. False: there are some.
bool ClientCalls::leave_unregistered(const CallPlanner& planner, const CallPlan& plan) {
  bool all = true;
  for (const Affected& part : plan.affected()) {
    if (mm_.memory_.residents.first_in(part.range) && !planner.cannot_fail(plan)) {
      all = false;
    } else {
      mm_.memory_.registration.unregister_range(part.range);
    }
  }
  return all;
}

/// A call that was certain to unmap has failed (sealed since we looked): pages in VRAM need their chunks again.
void ClientCalls::register_again(HostRange range) {
  for (HostVa at = range.start(); at < range.end();) {
    const auto piece = mm_.memory_.residents.first_in(HostRange::between(at, range.end()));
    if (!piece) return;
    at = piece->range.end();
    if (mm_.memory_.registration.covers(piece->range)) continue;  // could not be unregistered
    // A thread that touched a page while it was unregistered got a fresh one; VRAM has the data.
    // Before the registration: after it the call would raise an event.
    for (HostVa page = piece->range.start(); page < at; page += kPageSize) {
      if (res_.pagemap.occupied(page)) {
        raw_syscall(SYS_madvise, page.value(), kPageSize, MADV_DONTNEED);
      }
    }
    const auto vma = LogicalMappings(res_).at(piece->range.start(), HostRange::block_around(piece->range.start(), k2M));
    if (!vma || !vma->range.contains(piece->range) ||
        !mm_.memory_.registration.register_blocks(piece->range, vma->range)) {
      mm_.memory_.residents.drop(piece->range);  // the failed call has unmapped it all the same
      continue;
    }
    mm_.memory_.registration.note_busy(piece->range);
  }
}

// --- calls with a side to them that the plan does not have --------------------------------------------

void ClientCalls::note_real_borders(HostRange range) {
  if (res_.is_disabled() || !GranuleMap::addressable(range)) return;
  const LiveHostMm::Locked lock(mm_);
  mm_.memory_.registration.note_real_borders(range);
}

long ClientCalls::map(const ClientCall& call) {
  const long result = planned(call);
  if ((call.args[3] & MAP_LOCKED) != 0 && ok(result)) {
    note_real_borders(*pages_of(static_cast<std::uint64_t>(result), call.word(1)));
  }
  return result;
}

/// A growing break, the common case, costs no look at anything.
long ClientCalls::set_break(const ClientCall& call) {
  const std::uint64_t last = res_.last_break.load(std::memory_order_relaxed);
  const bool shrinks = call.word(0) != 0 && (last == 0 || call.word(0) < last);
  const long result = shrinks ? planned(call) : call.make();
  res_.last_break.store(static_cast<std::uint64_t>(result), std::memory_order_relaxed);
  return result;
}

long ClientCalls::lock_pages(const ClientCall& call) {
  const std::uint64_t start = align_down(call.word(0), kPageSize);
  if (const auto range = pages_of(start, call.word(1) + (call.word(0) - start))) note_real_borders(*range);
  return planned(call);
}

long ClientCalls::lock_everything(int flags) {
  if (res_.is_disabled()) return lock_client_memory(flags);
  if ((flags & MCL_CURRENT) != 0) {
    res_.locked_everywhere.store(true);
    const LiveHostMm::Locked lock(mm_);
    const EventScope calls(emit({.word = SYS_mlockall, .kind = EventKind::kCall}));
    if (!mm_.evict_everything(MoveCause::kMapping)) return -ENOMEM;
  }
  if ((flags & MCL_FUTURE) != 0) res_.locked_everywhere.store(true);
  return lock_all(flags, res_.maps);
}

/// A request of the client's own userfaultfd. The kernel gets a copy of the argument: the client's may be in VRAM, and
/// the request may be made under the lock.
long ClientCalls::handle_faults(const ClientCall& call) {
  constexpr unsigned kType = 0xAA;
  std::array<std::uint64_t, 8> argument{};
  const std::size_t bytes = _IOC_SIZE(call.word(1));
  const HostVa clients(call.word(2));
  if (_IOC_TYPE(call.word(1)) != kType || bytes == 0 || bytes > sizeof argument) return call.make();
  if (!read_client(argument.data(), clients, bytes)) return call.make();
  constexpr unsigned long kRegister = 0xc020aa00;
  if (const auto range = pages_of(argument[0], argument[1]); range && call.word(1) == kRegister) {
    const LiveHostMm::Locked lock(mm_);
    res_.client_uffd.note(*range);  // before it is so: a fault may come in between
  }
  ClientCall own = call;
  own.args[2] = static_cast<long>(number_of(argument.data()));
  const long result = planned(own);
  return write_client(clients, argument.data(), bytes) ? result : -EFAULT;
}

long LiveHostMm::hook_syscall(long number, const std::array<long, 6>& args) {
  return ClientCalls(*this).make(number, args);
}

long ClientCalls::make(long number, const std::array<long, 6>& args) {
  if (const auto reach = reach_into_engine_memory(number, args)) {
    return call_around_engine_memory(*reach, [&](HostRange part) {
      std::array<long, 6> rest = args;
      rest[0] = static_cast<long>(part.start().value());
      rest[1] = static_cast<long>(part.size());
      return make(number, rest);
    });
  }
  const ClientCall call{number, args};
  switch (number) {
    case SYS_mmap: return map(call);
    case SYS_brk: return set_break(call);
    case SYS_process_madvise: return advise_vector(call);
    case SYS_mlock:
    case SYS_mlock2: return lock_pages(call);
    case SYS_ioctl: return handle_faults(call);
    case SYS_mlockall: return lock_everything(static_cast<int>(args[0]));
    default: return planned(call);
  }
}

}  // namespace softxe::live
