// Life of a LiveHostMm, looking at mappings, notifiers, device windows, pins.
#include "host/live/live_host_mm.h"

#include <link.h>
#include <sys/eventfd.h>
#include <sys/mman.h>

#include <cstring>

#include "base/log.h"
#include "host/live/futex.h"
#include "host/live/raw_syscall.h"

extern "C" {
// The library's own zero-initialised data: an anonymous tail of a file mapping, so it could migrate.
extern char sx_bss_start[] __asm__("__bss_start") __attribute__((visibility("hidden")));
extern char sx_bss_end[] __asm__("_end") __attribute__((visibility("hidden")));
}

namespace softxe::live {
namespace {

std::atomic<std::uint64_t> next_instance{1};
constexpr std::uint64_t kReaderStackBytes = 256ULL * 1024;

/// An upper bound of what lies below every thread's thread pointer: the TLS of all loaded modules.
std::uint64_t static_tls_bytes() {
  std::uint64_t total = 0;
  dl_iterate_phdr(
      [](dl_phdr_info* info, std::size_t, void* sum) {
        for (int i = 0; i < info->dlpi_phnum; ++i) {
          const auto& header = info->dlpi_phdr[i];
          if (header.p_type != PT_TLS) continue;
          *static_cast<std::uint64_t*>(sum) += header.p_memsz + header.p_align;
        }
        return 0;
      },
      &total);
  return total;
}

}  // namespace

// --- life ---------------------------------------------------------------------------------------

Result<LiveHostMm::Owner> LiveHostMm::create(const LiveOptions& options) SX_NO_THREAD_SAFETY_ANALYSIS {
  SX_TRY(Arena arena, Arena::make(options.arena_bytes));
  void* memory = arena.take(sizeof(LiveHostMm));
  if (memory == nullptr) return fail(ENOMEM, "the arena is too small");
  Owner mm(::new (memory) LiveHostMm(std::move(arena), options));
  SX_TRY_VOID(mm->open_kernel_resources());
  SX_TRY_VOID(mm->start_reader());
  mm->static_tls_bytes_ = static_tls_bytes();
  const auto bss = number_of(sx_bss_start);
  mm->pin(
      HostRange::between(HostVa(align_down(bss, kPageSize)), HostVa(align_up(number_of(sx_bss_end) + 1, kPageSize))));
  return mm;
}

void LiveHostMm::Destroy::operator()(LiveHostMm* mm) const SX_NO_THREAD_SAFETY_ANALYSIS {
  mm->shut_down();
  const Arena arena = std::move(mm->arena_);  // outlives the object, which lies in it
  mm->~LiveHostMm();
}

LiveHostMm::LiveHostMm(Arena arena, const LiveOptions& options)
    : options_(options),
      instance_(next_instance.fetch_add(1)),
      arena_(std::move(arena)),
      residency_(arena_, granules_),
      chunks_(arena_, granules_) {}

void LiveHostMm::shut_down() SX_NO_THREAD_SAFETY_ANALYSIS {
  if (!disabled() && client_) {
    Locked lock(*this);
    if (!evict_everything(MoveCause::kTeardown)) log(LogLevel::kError, "pages stay in VRAM, which goes away");
    notify(HostRange::of(HostVa(0), 1ull << GranuleMap::kAddressBits), HostEvent::kRelease);
  }
  stop_reader();
  notifiers_.clear();
  client_.close();
  if (!disabled()) windows_.close();
  if (kick_fd_ >= 0) raw_syscall(SYS_close, kick_fd_);
}

Status LiveHostMm::open_kernel_resources() SX_NO_THREAD_SAFETY_ANALYSIS {
  if (!granules_.init(arena_) || !pump_.init(arena_) || !pins_.init(arena_)) {
    return fail(ENOMEM, "the arena is too small");
  }
  SX_TRY(maps_, ProcMaps::open(options_.maps));
  budget_.init();
  const LadderReport ladder = probe(DefectProbe::kSkip);
  if (ladder.lacked_descriptors) return fail(EMFILE, "no free descriptor for userfaultfd");
  rung_ = std::min(ladder.rung, options_.highest_rung);
  if (options_.arena_lock == ArenaLock::kMlock) {
    raw_syscall(SYS_mlock2, arena_.range().start().value(), arena_.range().size(), 1 /* MLOCK_ONFAULT */);
  }
  SX_TRY(pagemap_, PageMap::open());
  start_brk_ = start_of_break();
  if (rung_ == Rung::kNone) return {};
  const auto access = rung_ == Rung::kFull ? UffdAccess::kKernelAndUser : UffdAccess::kUserOnly;
  UffdFeature wanted = UffdFeature::kMove;
  if (options_.events == ClientEvents::kAsAvailable) {
    if (ladder.has_events) {
      wanted = wanted | UffdFeature::kEventUnmap | UffdFeature::kEventRemap | UffdFeature::kEventRemove;
    }
    if (ladder.has_fork_event) wanted = wanted | UffdFeature::kEventFork;
  }
  SX_TRY(unreadable_, EngineMapping::reserve({.bytes = kPageSize}));
  SX_TRY(client_, Uffd::open(access, wanted));
  SX_TRY_VOID(windows_.open(access));
  if (options_.dma == DmaMode::kCopy) {
    SX_TRY(std::byte * slots, make_window(Staging::kSlots * Staging::kSlotBytes));
    const HostRange staging = range_at(slots, Staging::kSlots * Staging::kSlotBytes);
    pages_of_frame(staging.start())->set(staging);
    staging_.init(slots);
  }
  return {};
}

Status LiveHostMm::start_reader() SX_NO_THREAD_SAFETY_ANALYSIS {
  if (rung_ == Rung::kNone) return {};
  const long fd = raw_syscall(SYS_eventfd2, 0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (int err = errno_of(fd)) return fail(err, "eventfd refused");
  kick_fd_ = static_cast<int>(fd);
  // A page of slack so that the stack can be aligned; its thread-local storage lies at its top.
  auto stack = static_cast<std::byte*>(arena_.take(kReaderStackBytes + kPageSize));
  if (stack == nullptr) return fail(ENOMEM, "the arena is too small");
  stack = reinterpret_cast<std::byte*>(align_up(number_of(stack), kPageSize));
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setstack(&attributes, stack, kReaderStackBytes);
  const std::uint64_t mask = block_signals();
  const int err = pthread_create(&reader_, &attributes, reader_main, this);
  restore_signals(mask);
  pthread_attr_destroy(&attributes);
  if (err != 0) return fail(err, "the fault thread cannot be started");
  reader_runs_ = true;
  // A new thread reads the locale's data, which are on the client's heap once it has called setlocale():
  // nothing may move before the reader is past that, for only the reader brings pages home.
  wait_while(reader_at_work_, 0);
  return {};
}

void LiveHostMm::stop_reader() {
  if (!reader_runs_ || disabled()) return;
  stop_.store(true);
  kick_reader();
  pthread_join(reader_, nullptr);
  reader_runs_ = false;
}

LiveHostMm::Locked::Locked(LiveHostMm& mm) : mm_(mm), section_(mm) {
  mm_.mm_lock_.lock();
  mm_.drain_events();
}

LiveHostMm::Locked::~Locked() { mm_.unlock(); }

void LiveHostMm::unlock() {
  mm_lock_.unlock();
  // Dekker with reader_work(): either it sees the lock free or this sees that it waits.
  std::atomic_thread_fence(std::memory_order_seq_cst);
  if (reader_waits_for_lock_.load(std::memory_order_relaxed)) kick_reader();
}

// --- looking ------------------------------------------------------------------------------------

// The kernel may show memory of the runtime and the client's as one mapping, so the table of what is the runtime's
// (base/engine_memory.h) cuts its answer.
Result<CpuVma> LiveHostMm::logical_vma(HostVa va, HostRange reach) const {
  SX_TRY(RawVma here, maps_.at_or_above(va));
  const auto clients = client_part(va, HostRange::of(HostVa(0), 1ULL << GranuleMap::kAddressBits));
  if (here.range.start() > va || !clients) return fail(ENOENT, "nothing is mapped there");
  const HostRange own = *here.range.intersection(*clients);
  CpuVma out{own, maps_.kind_of(here, options_.is_device_mapping), here.readable, here.writable};
  if (out.kind != CpuVma::Kind::kAnonPrivate) return out;
  // A boundary in a block that was ever registered may be of our making (design decision 15). Where memory
  // is locked or droppable it is a real one: nothing but smaps tells, and it cannot move.
  auto ours = [this](HostVa boundary) {
    auto is = [&](std::atomic<bool> Granule::*fact) {
      auto at = [&](HostVa there) {
        const Granule* g = granules_.find(there);
        return g != nullptr && (g->*fact).load(std::memory_order_relaxed);
      };
      return at(boundary) || at(boundary - 1);
    };
    return is(&Granule::was_registered) && !is(&Granule::real_borders) &&
           !locked_everywhere_.load(std::memory_order_relaxed);
  };
  auto same = [&](const RawVma& other) {
    return other.anonymous() && other.readable == here.readable && other.writable == here.writable &&
           other.executable == here.executable &&
           maps_.kind_of(other, options_.is_device_mapping) == CpuVma::Kind::kAnonPrivate;
  };
  while (out.range.end() < reach.end() && out.range.end() < clients->end() && ours(out.range.end())) {
    auto next = maps_.at_or_above(out.range.end());
    if (!next || next->range.start() != out.range.end() || !same(*next)) break;
    out.range = out.range.hull(*next->range.intersection(*clients));
  }
  while (out.range.start() > reach.start() && out.range.start() > clients->start() && ours(out.range.start())) {
    auto before = maps_.at_or_above(out.range.start() - 1);
    if (!before || before->range.end() != out.range.start() || !same(*before)) break;
    out.range = out.range.hull(*before->range.intersection(*clients));
  }
  return out;
}

Result<CpuVma> LiveHostMm::vma_within(HostVa va, HostRange reach) {
  if (disabled()) return fail(EFAULT, "the address space belongs to the parent of a fork");
  if (va.value() >> GranuleMap::kAddressBits != 0) return fail(ENOENT, "not a user address");
  EngineSection section(*this);
  return logical_vma(va, reach);
}

Result<HostVa> LiveHostMm::next_mapped(HostRange range) {
  if (disabled()) return fail(EFAULT, "the address space belongs to the parent of a fork");
  EngineSection section(*this);
  for (HostVa at = range.start(); at < range.end();) {
    const auto vma = maps_.at_or_above(at);
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
  if (!granules_.prepare(arena_, window)) return fail(ENOMEM, "the arena is used up");
  notifiers_.insert(notifier);
  widest_window_ = std::max(widest_window_, notifier.window().size());
  granules_.add_tracked(window);
  return {};
}

void LiveHostMm::unwatch(IntervalNotifier& notifier) {
  if (disabled()) return;
  Locked lock(*this);
  notifiers_.erase(notifiers_.iterator_to(notifier));
  granules_.remove_tracked(clamp_to_user(notifier.window()));
}

std::uint64_t LiveHostMm::read_begin(IntervalNotifier& notifier) {
  if (disabled()) return notifier.sequence();
  Locked lock(*this);  // an event holds the lock from its callbacks to its end
  return notifier.sequence();
}

void LiveHostMm::notify(HostRange range, HostEvent kind) {
  struct StartsBefore {
    bool operator()(const IntervalNotifier& n, HostVa va) const { return n.window().start() < va; }
  };
  if (kind == HostEvent::kUnmap && any_named_.load()) forget_named(range);
  const std::uint64_t from = range.start().value() > widest_window_ ? range.start().value() - widest_window_ : 0;
  for (auto at = notifiers_.lower_bound(HostVa(from), StartsBefore{}); at != notifiers_.end(); ++at) {
    if (at->window().start() >= range.end()) break;
    auto part = at->window().intersection(range);
    if (!part) continue;
    at->advance_sequence();
    at->invalidate(*part, kind);
  }
}

// --- device windows -----------------------------------------------------------------------------

Result<std::byte*> LiveHostMm::make_window(std::uint64_t bytes) {
  if (disabled()) return fail(EFAULT, "the address space belongs to the parent of a fork");
  Locked lock(*this);
  return windows_.make(bytes, arena_, granules_);
}

void LiveHostMm::drop_window(std::byte* window) {
  if (disabled()) return;
  Locked lock(*this);
  if (const Status dropped = windows_.drop(window); !dropped) {
    log(LogLevel::kError, "{}: its address space stays taken", dropped.error().why);
  }
}

// --- pins ---------------------------------------------------------------------------------------

HostRange LiveHostMm::clamp_to_stack(HostRange window, HostVa stack_pointer) const {
  const auto vma = maps_.at_or_above(stack_pointer);
  if (!vma || !vma->range.contains(stack_pointer)) return window;
  // The main stack grows down on demand: its mapping does not tell how far down it may go.
  const bool grows = std::strcmp(vma->name, "[stack]") == 0;
  return HostRange::between(grows ? window.start() : std::max(window.start(), vma->range.start()),
                            std::min(window.end(), vma->range.end()));
}

void LiveHostMm::pin(HostRange range) {
  if (disabled() || !GranuleMap::addressable(range)) return;
  const std::uint32_t slot = pins_.announce(range);
  const bool absent = granules_.any(range, [](const Granule& g) { return g.vram_pages.load() != 0; });
  if (absent) {
    // Nothing takes these pages any more; bring home what was taken. Holes answer with an error.
    for (std::uint64_t at = range.start().value(); at < range.end().value(); at += kPageSize) {
      raw_syscall(SYS_madvise, at, kPageSize, MADV_POPULATE_READ);
    }
  }
  mm_lock_.lock();
  const bool entered = pins_.add(arena_, granules_, range);
  if (!residency_.first_in(range)) unregister_range(range);  // see register_blocks()
  unlock();
  pins_.retract(slot);
  SX_ASSERT(entered);
}

bool LiveHostMm::is_named(HostRange range) const {
  return std::any_of(allowed_.begin(), allowed_.begin() + allowed_count_,
                     [&](const Window& named) { return range_at(named.base, named.bytes).contains(range); });
}

bool LiveHostMm::can_move(HostRange range) {
  if (rung_ != Rung::kUserOnly) return rung_ == Rung::kFull;
  Locked lock(*this);
  return is_named(range);
}

Status LiveHostMm::allow_migration(HostRange range) {
  if (rung_ != Rung::kUserOnly || disabled()) return {};
  Locked lock(*this);
  SX_TRY(CpuVma vma, logical_vma(range.start(), range));
  if (vma.kind != CpuVma::Kind::kAnonPrivate || !vma.range.contains(range))
    return fail(EINVAL, "not a part of one anonymous mapping");
  forget_named(range);  // said twice: one entry
  if (allowed_count_ == kAllowedMax) return fail(ENOMEM, "too many named ranges");
  add_named(range);
  any_named_.store(true);
  return {};
}

void LiveHostMm::add_named(HostRange range) {
  allowed_[allowed_count_++] = Window{reinterpret_cast<std::byte*>(range.start().value()), range.size()};
}

// What no longer finds a place stays in system memory, which is always correct.
void LiveHostMm::forget_named(HostRange range) {
  for (std::size_t i = allowed_count_; i-- > 0;) {
    const HostRange named = range_at(allowed_[i].base, allowed_[i].bytes);
    if (!named.intersects(range)) continue;
    allowed_[i] = allowed_[--allowed_count_];
    if (named.start() < range.start()) add_named(HostRange::between(named.start(), range.start()));
    if (range.end() < named.end() && allowed_count_ < kAllowedMax)
      add_named(HostRange::between(range.end(), named.end()));
  }
}

bool LiveHostMm::event_unread_since(std::uint64_t read_before) const {
  return pump_.events_read() == read_before && client_.event_in_flight();
}

void LiveHostMm::submission_probe() {
  if (rung_ == Rung::kNone || disabled()) return;
  EngineSection section(*this);
  // A call that is in flight has not posted its event yet, or waits for the read. One that began
  // before this probe is read by the time another event has been; later ones are not waited for.
  constexpr std::uint32_t kTurnsMax = 100'000;
  const std::uint64_t read_before = pump_.events_read();
  for (std::uint32_t turns = 0; turns < kTurnsMax && event_unread_since(read_before); ++turns) {
    pump_for_reader();
    if (turns > 16) raw_syscall(SYS_sched_yield);
  }
  Locked lock(*this);  // deals with what was read but not yet handled
}

}  // namespace softxe::live
