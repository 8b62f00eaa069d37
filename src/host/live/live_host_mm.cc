// Life of a LiveHostMm, looking at mappings, notifiers, device windows, pins.
#include "host/live/live_host_mm.h"

#include <sys/mman.h>

#include <cstring>

#include "base/event_ring.h"
#include "base/log.h"
#include "base/raw_syscall.h"
#include "host/live/client_call.h"
#include "host/live/engine_stack.h"
#include "host/live/logical_mappings.h"

extern "C" {
// The library's own zero-initialised data: an anonymous tail of a file mapping, so it could migrate.
extern char sx_bss_start[] __asm__("__bss_start") __attribute__((visibility("hidden")));
extern char sx_bss_end[] __asm__("_end") __attribute__((visibility("hidden")));
}

namespace softxe::live {
namespace {

std::atomic<std::uint64_t> next_instance{1};

}  // namespace

// --- life ---------------------------------------------------------------------------------------

Result<LiveHostMm::Owner> LiveHostMm::create(const LiveOptions& options) {
  SX_TRY(Arena arena, Arena::make(options.arena_bytes));
  void* memory = arena.take(sizeof(LiveHostMm));
  if (memory == nullptr) return fail(ENOMEM, "the arena is too small");
  Owner mm(::new (memory) LiveHostMm(std::move(arena), options));
  mm->nobody_else_knows_it();
  SX_TRY_VOID(mm->open_kernel_resources());
  if (mm->res_.rung != Rung::kNone) SX_TRY_VOID(mm->reader_.start(mm->memory_.arena));
  mm->static_tls_bytes_ = static_tls_bytes();
  const auto bss = number_of(sx_bss_start);
  mm->pin(
      HostRange::between(HostVa(align_down(bss, kPageSize)), HostVa(align_up(number_of(sx_bss_end) + 1, kPageSize))));
  return mm;
}

void LiveHostMm::Destroy::operator()(LiveHostMm* mm) const {
  mm->shut_down();
  mm->nobody_else_knows_it();
  const Arena arena = std::move(mm->memory_.arena);  // outlives the object, which lies in it
  mm->~LiveHostMm();
}

LiveHostMm::LiveHostMm(Arena arena, const LiveOptions& options)
    : instance_(next_instance.fetch_add(1)),
      res_(options),
      memory_(std::move(arena), res_),
      reader_(res_, mm_lock_, memory_) {}

void LiveHostMm::shut_down() {
  if (!disabled() && res_.client) {
    Locked lock(*this);
    const EventScope ends(emit({.kind = EventKind::kTask, .cause = EventCause::kTeardown}));
    if (!evict_everything(MoveCause::kTeardown)) log(LogLevel::kError, "pages stay in VRAM, which goes away");
    memory_.notifiers.tell(HostRange::of(HostVa(0), 1ull << GranuleMap::kAddressBits), HostEvent::kRelease);
  }
  reader_.stop();
  nobody_else_knows_it();  // nor did any thread but the reader, in a fork child
  memory_.notifiers.clear();
  res_.client.close();
  if (!disabled()) res_.windows.close();
  reader_.close();
}

Status LiveHostMm::open_kernel_resources() {
  nobody_else_knows_it();
  if (!res_.granules.init(memory_.arena) || !res_.pump.init(memory_.arena) || !res_.pins.init(memory_.arena)) {
    return fail(ENOMEM, "the arena is too small");
  }
  SX_TRY(res_.maps, ProcMaps::open(res_.options.maps));
  const LadderReport ladder = probe(DefectProbe::kSkip);
  if (ladder.lacked_descriptors) return fail(EMFILE, "no free descriptor for userfaultfd");
  res_.rung = std::min(ladder.rung, res_.options.highest_rung);
  if (res_.options.arena_lock == ArenaLock::kMlock) {
    raw_syscall(SYS_mlock2, memory_.arena.range().start().value(), memory_.arena.range().size(), 1 /* MLOCK_ONFAULT */);
  }
  SX_TRY(res_.pagemap, PageMap::open());
  res_.start_of_break = start_of_break();
  return res_.rung == Rung::kNone ? Status{} : open_userfaultfds(ladder);
}

Status LiveHostMm::open_userfaultfds(const LadderReport& ladder) {
  nobody_else_knows_it();
  const auto access = res_.rung == Rung::kFull ? UffdAccess::kKernelAndUser : UffdAccess::kUserOnly;
  UffdFeature wanted = UffdFeature::kMove;
  if (res_.options.events == ClientEvents::kAsAvailable) {
    if (ladder.has_events) {
      wanted = wanted | UffdFeature::kEventUnmap | UffdFeature::kEventRemap | UffdFeature::kEventRemove;
    }
    if (ladder.has_fork_event) wanted = wanted | UffdFeature::kEventFork;
  }
  SX_TRY(res_.unreadable, EngineMapping::reserve({.bytes = kPageSize}));
  SX_TRY(res_.client, Uffd::open(access, wanted));
  SX_TRY_VOID(res_.windows.open(access));
  if (res_.options.dma == DmaMode::kCopy) {
    SX_TRY(std::byte * slots, make_window(Staging::kSlots * Staging::kSlotBytes));
    const HostRange staging = range_at(slots, Staging::kSlots * Staging::kSlotBytes);
    memory_.mover.pages_of_frame(staging.start())->set(staging);
    memory_.mover.init_staging(slots);
  }
  return {};
}

LiveHostMm::Locked::Locked(LiveHostMm& mm) : mm_(mm), section_(mm) {
  mm_.mm_lock_.lock();
  mm_.memory_.missed.drain();
}

LiveHostMm::Locked::~Locked() { mm_.unlock(); }

void LiveHostMm::unlock() {
  mm_lock_.unlock();
  reader_.lock_is_free();
}

/// In the place of the reader, which waits for the lock: the caller is called with it held.
void LiveHostMm::serve_touches() {
  if (!disabled() && res_.rung != Rung::kNone) reader_.serve_touches();
}

// --- looking ------------------------------------------------------------------------------------

Result<CpuVma> LiveHostMm::vma_within(HostVa va, HostRange reach) {
  if (disabled()) return fail(EFAULT, "the address space belongs to the parent of a fork");
  if (va.value() >> GranuleMap::kAddressBits != 0) return fail(ENOENT, "not a user address");
  EngineSection section(*this);
  return LogicalMappings(res_).at(va, reach);
}

Result<HostVa> LiveHostMm::next_mapped(HostRange range) {
  if (disabled()) return fail(EFAULT, "the address space belongs to the parent of a fork");
  EngineSection section(*this);
  for (HostVa at = range.start(); at < range.end();) {
    const auto vma = res_.maps.at_or_above(at);
    if (!vma || vma->range.start() >= range.end()) break;
    at = std::max(vma->range.start(), at);
    const auto runtimes = engine_memory_at_or_above(at);
    if (!runtimes || !runtimes->contains(at)) return at;
    at = runtimes->end();
  }
  return fail(ENOENT, "nothing is mapped there");
}

// --- notifiers ----------------------------------------------------------------------------------

namespace {
HostRange clamp_to_user(HostRange range) {
  const std::uint64_t limit = 1ull << GranuleMap::kAddressBits;
  const std::uint64_t end = std::min(range.end().value(), limit);
  return HostRange::between(HostVa(std::min(range.start().value(), end - 1)), HostVa(end));
}
}  // namespace

Status LiveHostMm::watch(IntervalNotifier& notifier) {
  if (disabled()) return fail(EFAULT, "the address space belongs to the parent of a fork");
  Locked lock(*this);
  const HostRange window = clamp_to_user(notifier.window());
  if (!res_.granules.prepare(memory_.arena, window)) return fail(ENOMEM, "the arena is used up");
  memory_.notifiers.insert(notifier);
  res_.granules.add_tracked(window);
  return {};
}

void LiveHostMm::unwatch(IntervalNotifier& notifier) {
  if (disabled()) return;
  Locked lock(*this);
  memory_.notifiers.erase(notifier);
  res_.granules.remove_tracked(clamp_to_user(notifier.window()));
}

std::uint64_t LiveHostMm::read_begin(IntervalNotifier& notifier) {
  if (disabled()) return notifier.sequence();
  Locked lock(*this);  // an event holds the lock from its callbacks to its end
  return notifier.sequence();
}

// --- device windows -----------------------------------------------------------------------------

Result<std::byte*> LiveHostMm::make_window(std::uint64_t bytes) {
  if (disabled()) return fail(EFAULT, "the address space belongs to the parent of a fork");
  Locked lock(*this);
  return res_.windows.make(bytes, memory_.arena, res_.granules);
}

void LiveHostMm::drop_window(std::byte* window) {
  if (disabled()) return;
  Locked lock(*this);
  if (const Status dropped = res_.windows.drop(window); !dropped) {
    log(LogLevel::kError, "{}: its address space stays taken", dropped.error().why);
  }
}

// --- pins ---------------------------------------------------------------------------------------

HostRange LiveHostMm::clamp_to_stack(HostRange window, HostVa stack_pointer) const {
  const auto vma = res_.maps.at_or_above(stack_pointer);
  if (!vma || !vma->range.contains(stack_pointer)) return window;
  // The main stack grows down on demand: its mapping does not tell how far down it may go.
  const bool grows = std::strcmp(vma->name, "[stack]") == 0;
  return HostRange::between(grows ? window.start() : std::max(window.start(), vma->range.start()),
                            std::min(window.end(), vma->range.end()));
}

void LiveHostMm::pin(HostRange range) {
  if (disabled() || !GranuleMap::addressable(range)) return;
  const std::uint32_t slot = res_.pins.announce(range);
  const bool absent = res_.granules.any(range, [](const Granule& g) { return g.vram_pages.load() != 0; });
  if (absent) {
    // Nothing takes these pages any more; bring home what was taken. Holes answer with an error.
    for (std::uint64_t at = range.start().value(); at < range.end().value(); at += kPageSize) {
      raw_syscall(SYS_madvise, at, kPageSize, MADV_POPULATE_READ);
    }
  }
  mm_lock_.lock();
  const bool entered = res_.pins.add(memory_.arena, res_.granules, range);
  if (!memory_.residents.first_in(range)) memory_.registration.unregister_range(range);  // see register_blocks()
  unlock();
  res_.pins.retract(slot);
  SX_ASSERT(entered);
}

void LiveHostMm::submission_probe() {
  if (res_.rung == Rung::kNone || disabled()) return;
  EngineSection section(*this);
  // A call that is in flight has not posted its event yet, or waits for the read. One that began
  // before this probe is read by the time another event has been; later ones are not waited for.
  constexpr std::uint32_t kTurnsMax = 100'000;
  const std::uint64_t read_before = res_.pump.events_read();
  for (std::uint32_t turns = 0; turns < kTurnsMax && res_.pump.unread_since(res_.client, read_before); ++turns) {
    res_.pump.pump_for_reader(res_.client);
    if (turns > 16) raw_syscall(SYS_sched_yield);
  }
  Locked lock(*this);  // deals with what was read but not yet handled
}

}  // namespace softxe::live
