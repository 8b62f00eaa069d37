#include "host/live/registration.h"

#include <sys/mman.h>

#include "base/raw_syscall.h"
#include "base/step.h"

namespace softxe::live {

/// A block cannot be registered: a neighbour of `range` only looks alike (droppable memory, as glibc has
/// it for random numbers; memory of another userfaultfd). What is left are the kernel's own mappings there.
Result<HostRange> Registration::without_neighbours(HostRange block, HostRange range) {
  note_real_borders(block);
  SX_TRY(RawVma first, res_.maps.at_or_above(std::max(block.start(), range.start())));
  SX_TRY(RawVma last, res_.maps.at_or_above(std::min(block.end(), range.end()) - 1));
  const auto part = block.intersection(first.range.hull(last.range));
  if (!part || *part == block) return fail(EBUSY, "the mapping cannot be registered");
  return *part;
}

/// `block`, or where no more parts may stand alone all from there to the nearest registered neighbour in `vma`.
Result<HostRange> Registration::widened(HostRange block, HostRange vma) {
  constexpr std::uint64_t kFarthest = k1G;
  if (chunks_.touches(block) || budget_.allows(chunks_.parts(), res_.maps)) return block;
  const auto before = chunks_.last_before(block.start());
  const auto after = chunks_.first_in(HostRange::between(block.end(), HostVa(1ULL << GranuleMap::kAddressBits)));
  std::optional<HostRange> best;
  auto consider = [&](HostVa start, HostVa end) {
    const auto bridge = HostRange::between(start, end);
    if (!vma.contains(bridge) || bridge.size() > kFarthest || (best && best->size() <= bridge.size())) return;
    if (res_.pins.free_around(res_.granules, bridge, block) == bridge) best = bridge;
  };
  if (before) consider(before->end(), block.end());
  if (after) consider(block.start(), after->start());
  if (!best) return fail(EBUSY, "too many parts of memory are mirrored one by one (vm.max_map_count)");
  return *best;
}

/// Both as one call of the kernel, so that no more borders come to be than the ends.
int Registration::register_part(HostRange part) {
  const int err = res_.client.register_missing(part);
  if (err != 0) return err;
  for (HostVa at = part.start(); at < part.end();) {
    const auto block = *HostRange::block_around(at, k2M).intersection(part);
    chunks_.insert(block);
    at = block.end();
  }
  res_.counters.registered.fetch_add(1, std::memory_order_relaxed);
  return 0;
}

/// Registers the 2 MiB blocks of `range`, clamped to the mapping and to what is not pinned: an engine
/// thread that meets a hole in its own memory, with the mm lock held, would wait for the reader and the
/// reader for the lock.
Status Registration::register_blocks(HostRange range, HostRange vma) {
  if (chunks_.covers(range)) return {};
  SX_TRY_VOID(SX_STEP("live.migrate.register"));
  if (!chunks_.reserve(range)) return fail(ENOMEM, "the arena is used up");
  for (HostVa at = range.start(); at < range.end();) {
    const auto whole = *HostRange::block_around(at, k2M).intersection(vma);
    auto block = res_.pins.free_around(res_.granules, whole, *whole.intersection(range));
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

bool Registration::unregister_range(HostRange range) {
  bool all = true;
  for (HostVa at = range.start(); at < range.end();) {
    const auto part = chunks_.first_in(HostRange::between(at, range.end()));
    if (!part) break;
    at = part->end();
    const int err = res_.client.unregister(*part);
    if (err == EPERM || err == EACCES || err == ENOMEM) {
      all = false;
      continue;
    }
    // Any other error: a raw call has unmapped it already.
    const bool reserved = chunks_.reserve(*part);
    SX_ASSERT(reserved);
    res_.counters.unregistered.fetch_add(1, std::memory_order_relaxed);
    chunks_.erase(*part);
  }
  return all;
}

bool Registration::is_registered(HostVa page) {
  if (!res_.unreadable) return false;  // rung none
  std::uint32_t turns = 0;
  for (;;) {
    const int err = res_.client.ask(page, res_.unreadable.range().start());
    if (err != EAGAIN) return err != ENOENT;
    if (!mover_.wait_turn(turns)) return true;
  }
}

/// A part cut out of the middle of a registered stretch leaves two.
bool Registration::may_cut_out(HostRange part) {
  return !chunks_.surrounds(part) || budget_.allows(chunks_.parts(), res_.maps);
}

void Registration::note_idle(HostRange range) {
  // Kept registered for the next migration, up to a number; the oldest goes.
  constexpr std::size_t kIdleKept = 64;
  for (HostVa at = range.start(); at < range.end(); at = at.aligned_down(k2M) + k2M) {
    const auto part = chunks_.first_in(HostRange::of(at.aligned_down(kPageSize), kPageSize));
    if (!part) continue;
    const auto block = HostRange::block_around(at, k2M);
    if (!has_vram_pages(block)) chunks_.mark_idle(*part);
  }
  while (auto oldest = chunks_.oldest_idle_above(kIdleKept)) {
    if (!may_cut_out(*oldest)) {
      chunks_.mark_busy(*oldest);  // it stays
    } else if (!unregister_range(*oldest)) {
      break;
    }
  }
}

void Registration::unregister_idle(HostRange range) {
  for (HostVa at = range.start(); at < range.end();) {
    const auto part = chunks_.first_in(HostRange::between(at, range.end()));
    if (!part) return;
    const auto block = HostRange::block_around(part->start(), k2M);
    at = part->end();
    while (!has_vram_pages(block)) {
      const auto whole = chunks_.first_in(block);
      if (!whole || !may_cut_out(*whole) || !unregister_range(*whole)) break;
    }
  }
}

bool Registration::note_real_borders(HostRange range) {
  if (!res_.granules.prepare(arena_, range)) return false;
  res_.granules.any(range, [](Granule& g) { return g.real_borders.store(true), false; });
  return true;
}

void Registration::note_busy(HostRange range) {
  for (HostVa at = range.start(); at < range.end(); at = at.aligned_down(k2M) + k2M) {
    chunks_.mark_busy(HostRange::of(at.aligned_down(kPageSize), kPageSize));
  }
}

bool Registration::has_vram_pages(HostRange block) const {
  return res_.granules.any(block, [](const Granule& g) { return g.vram_pages.load() != 0; });
}

void Registration::forget(HostRange range) {
  const bool reserved = chunks_.reserve(range);
  SX_ASSERT(reserved);
  chunks_.erase(range);
}

void Registration::follow(HostRange from, HostVa to) {
  for (HostVa at = from.start(); at < from.end();) {
    const auto part = chunks_.first_in(HostRange::between(at, from.end()));
    if (!part) return;
    at = part->end();
    const auto moved = HostRange::of(to + (part->start() - from.start()), part->size());
    for (HostVa a = moved.start(); a < moved.end(); a = a.aligned_down(k2M) + k2M) {
      const auto piece = *HostRange::block_around(a, k2M).intersection(moved);
      const bool reserved = chunks_.reserve(piece);
      SX_ASSERT(reserved);
      chunks_.insert(piece);
    }
    chunks_.erase(*part);
  }
}

}  // namespace softxe::live
