// Which blocks of the process are registered with the client's userfaultfd.
#include <sys/mman.h>

#include "base/step.h"
#include "host/live/live_host_mm.h"
#include "host/live/raw_syscall.h"

namespace softxe::live {

/// A block cannot be registered: a neighbour of `range` only looks alike (droppable memory, as glibc has
/// it for random numbers; memory of another userfaultfd). What is left are the kernel's own mappings there.
Result<HostRange> LiveHostMm::without_neighbours(HostRange block, HostRange range) {
  note_real_borders(block);
  SX_TRY(RawVma first, maps_.at_or_above(std::max(block.start(), range.start())));
  SX_TRY(RawVma last, maps_.at_or_above(std::min(block.end(), range.end()) - 1));
  const auto part = block.intersection(first.range.hull(last.range));
  if (!part || *part == block) return fail(EBUSY, "the mapping cannot be registered");
  return *part;
}

/// `block`, or where no more parts may stand alone all from there to the nearest registered neighbour in `vma`.
Result<HostRange> LiveHostMm::widened(HostRange block, HostRange vma) {
  constexpr std::uint64_t kFarthest = k1G;
  if (chunks_.touches(block) || budget_.allows(chunks_.parts(), maps_)) return block;
  const auto before = chunks_.last_before(block.start());
  const auto after = chunks_.first_in(HostRange::between(block.end(), HostVa(1ULL << GranuleMap::kAddressBits)));
  std::optional<HostRange> best;
  auto consider = [&](HostVa start, HostVa end) {
    const auto bridge = HostRange::between(start, end);
    if (!vma.contains(bridge) || bridge.size() > kFarthest || (best && best->size() <= bridge.size())) return;
    if (pins_.free_around(granules_, bridge, block) == bridge) best = bridge;
  };
  if (before) consider(before->end(), block.end());
  if (after) consider(block.start(), after->start());
  if (!best) return fail(EBUSY, "too many parts of memory are mirrored one by one (vm.max_map_count)");
  return *best;
}

/// Both as one call of the kernel, so that no more borders come to be than the ends.
int LiveHostMm::register_part(HostRange part) {
  const int err = client_.register_missing(part);
  if (err != 0) return err;
  for (HostVa at = part.start(); at < part.end();) {
    const auto block = *HostRange::block_around(at, k2M).intersection(part);
    chunks_.insert(block);
    at = block.end();
  }
  counters_.registered.fetch_add(1, std::memory_order_relaxed);
  return 0;
}

/// Registers the 2 MiB blocks of `range`, clamped to the mapping and to what is not pinned: an engine
/// thread that meets a hole in its own memory, with the mm lock held, would wait for the reader and the
/// reader for the lock.
Status LiveHostMm::register_blocks(HostRange range, HostRange vma) {
  if (chunks_.covers(range)) return {};
  SX_TRY_VOID(SX_STEP("live.migrate.register"));
  if (!chunks_.reserve(range)) return fail(ENOMEM, "the arena is used up");
  for (HostVa at = range.start(); at < range.end();) {
    const auto whole = *HostRange::block_around(at, k2M).intersection(vma);
    auto block = pins_.free_around(granules_, whole, *whole.intersection(range));
    if (!chunks_.covers(block)) {
      SX_TRY(const HostRange part, widened(block, vma));
      if (!chunks_.reserve_blocks(part)) return fail(ENOMEM, "the arena is used up");
      int err = register_part(part);
      if (err == EINVAL || err == EBUSY) {
        SX_TRY(block, without_neighbours(block, range));
        err = register_part(block);
      }
      if (err == ENOMEM) return fail(ENOMEM, "no memory to register the mapping");
      if (err != 0) return fail(EBUSY, "the mapping cannot be registered (another userfaultfd?)");
      note_idle(block);  // what else was registered with it stays
    }
    at = whole.end();
  }
  return {};
}

/// False: a part stays registered, because this thread may not do that any more (a sandbox), or the kernel has no
/// room for one mapping more.
bool LiveHostMm::unregister_range(HostRange range) {
  bool all = true;
  for (HostVa at = range.start(); at < range.end();) {
    const auto part = chunks_.first_in(HostRange::between(at, range.end()));
    if (!part) break;
    at = part->end();
    const int err = client_.unregister(*part);
    if (err == EPERM || err == EACCES || err == ENOMEM) {
      all = false;
      continue;
    }
    // Any other error: a raw call has unmapped it already.
    const bool reserved = chunks_.reserve(*part);
    SX_ASSERT(reserved);
    counters_.unregistered.fetch_add(1, std::memory_order_relaxed);
    chunks_.erase(*part);
  }
  return all;
}

/// Whether the memory at `page` is still what was registered. When the kernel has no time to say: yes.
bool LiveHostMm::is_registered(HostVa page) {
  std::uint32_t turns = 0;
  for (;;) {
    const int err = client_.ask(page, unreadable_.range().start());
    if (err != EAGAIN) return err != ENOENT;
    if (!wait_turn(turns)) return true;
  }
}

/// A call that was certain to unmap has failed (sealed since we looked): pages in VRAM need their chunks again.
void LiveHostMm::restore_registration(HostRange range) {
  for (HostVa at = range.start(); at < range.end();) {
    const auto piece = residency_.first_in(HostRange::between(at, range.end()));
    if (!piece) return;
    at = piece->range.end();
    if (chunks_.covers(piece->range)) continue;  // could not be unregistered
    // A thread that touched a page while it was unregistered got a fresh one; VRAM has the data.
    // Before the registration: after it the call would raise an event.
    for (HostVa page = piece->range.start(); page < at; page += kPageSize) {
      if (pagemap_.occupied(page)) {
        raw_syscall(SYS_madvise, page.value(), kPageSize, MADV_DONTNEED);
      }
    }
    auto vma = logical_vma(piece->range.start(), HostRange::block_around(piece->range.start(), k2M));
    if (!vma || !vma->range.contains(piece->range) || !register_blocks(piece->range, vma->range)) {
      drop_pages(piece->range);  // the failed call has unmapped it all the same
      continue;
    }
    chunks_.mark_busy(piece->range);
  }
}

/// A part cut out of the middle of a registered stretch leaves two.
bool LiveHostMm::may_cut_out(HostRange part) {
  return !chunks_.surrounds(part) || budget_.allows(chunks_.parts(), maps_);
}

void LiveHostMm::note_idle(HostRange range) {
  // Kept registered for the next migration, up to a number; the oldest goes.
  constexpr std::size_t kIdleKept = 64;
  for (HostVa at = range.start(); at < range.end(); at = at.aligned_down(k2M) + k2M) {
    const auto part = chunks_.first_in(HostRange::of(at.aligned_down(kPageSize), kPageSize));
    if (!part) continue;
    const auto block = HostRange::block_around(at, k2M);
    if (!residency_.first_in(block)) chunks_.mark_idle(*part);
  }
  while (auto oldest = chunks_.oldest_idle_above(kIdleKept)) {
    if (!may_cut_out(*oldest)) {
      chunks_.mark_busy(*oldest);  // it stays
    } else if (!unregister_range(*oldest)) {
      break;
    }
  }
}

/// Gives chunks without VRAM pages back to the kernel's own fault handler.
void LiveHostMm::unregister_idle(HostRange range) {
  for (HostVa at = range.start(); at < range.end();) {
    const auto part = chunks_.first_in(HostRange::between(at, range.end()));
    if (!part) return;
    const auto block = HostRange::block_around(part->start(), k2M);
    at = part->end();
    while (!residency_.first_in(block)) {
      const auto whole = chunks_.first_in(block);
      if (!whole || !may_cut_out(*whole) || !unregister_range(*whole)) break;
    }
  }
}

}  // namespace softxe::live
