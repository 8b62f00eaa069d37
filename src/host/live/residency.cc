#include "host/live/residency.h"

namespace softxe::live {
namespace {

std::uint32_t pages_between(HostVa from, HostVa to) { return static_cast<std::uint32_t>((to - from) >> kPageShift); }

}  // namespace

void ResidencyMap::link(Segment& segment) {
  set_.insert(segment);
  segment.next_of_allocation = static_cast<Segment*>(segment.allocation->host_private);
  segment.allocation->host_private = &segment;
}

void ResidencyMap::unlink(Segment& segment) {
  set_.erase(set_.iterator_to(segment));
  auto* at = static_cast<Segment*>(segment.allocation->host_private);
  if (at == &segment) {
    segment.allocation->host_private = segment.next_of_allocation;
    return;
  }
  while (at->next_of_allocation != &segment) at = at->next_of_allocation;
  at->next_of_allocation = segment.next_of_allocation;
}

void ResidencyMap::insert(HostRange range, DevmemAllocation& allocation, std::uint32_t first_page) {
  Segment* segment = pool_.make(arena_, range, allocation, first_page);
  SX_ASSERT(segment != nullptr);
  link(*segment);
  allocation.set_present(first_page, range.pages());
  granules_.count_vram(range, +1);
}

void ResidencyMap::erase(HostRange range) {
  auto at = set_.upper_bound(range.start(), EndsAfter{});
  SX_ASSERT(at != set_.end() && at->range.contains(range));
  Segment& segment = *at;
  DevmemAllocation& allocation = *segment.allocation;
  const HostRange whole = segment.range;
  const std::uint32_t first = segment.first_page;
  unlink(segment);
  pool_.drop(&segment);
  allocation.clear_present(first + pages_between(whole.start(), range.start()), range.pages());
  granules_.count_vram(range, -1);
  auto put_back = [&](HostVa from, HostVa to) {
    if (from == to) return;
    Segment* rest =
        pool_.make(arena_, HostRange::between(from, to), allocation, first + pages_between(whole.start(), from));
    SX_ASSERT(rest != nullptr);
    link(*rest);
  };
  put_back(whole.start(), range.start());
  put_back(range.end(), whole.end());
}

void ResidencyMap::rename(Piece piece, HostVa to) {
  erase(piece.range);
  insert(HostRange::of(to, piece.range.size()), *piece.allocation, piece.first_page);
}

std::optional<Piece> ResidencyMap::first_in(HostRange range) {
  auto at = set_.upper_bound(range.start(), EndsAfter{});
  if (at == set_.end()) return std::nullopt;
  auto part = at->range.intersection(range);
  if (!part) return std::nullopt;
  return Piece{*part, at->allocation, at->first_page + pages_between(at->range.start(), part->start())};
}

std::optional<Piece> ResidencyMap::any_of(const DevmemAllocation& allocation) {
  auto* segment = static_cast<const Segment*>(allocation.host_private);
  if (segment == nullptr) return std::nullopt;
  return Piece{segment->range, segment->allocation, segment->first_page};
}

std::optional<Piece> ResidencyMap::first() const {
  if (set_.empty()) return std::nullopt;
  const Segment& segment = *set_.begin();
  return Piece{segment.range, segment.allocation, segment.first_page};
}

Chunk* ChunkSet::find(HostRange range) {
  auto at = set_.upper_bound(range.start(), EndsAfter{});
  return at != set_.end() && at->range.intersects(range) ? &*at : nullptr;
}

bool ChunkSet::starts_at(HostVa va) { return find(HostRange::of(va, 1)) != nullptr; }

void ChunkSet::add(HostRange range) {
  parts_ = parts_ + 1 - (ends_at(range.start()) ? 1 : 0) - (starts_at(range.end()) ? 1 : 0);
  Chunk* chunk = pool_.make(arena_, range);
  SX_ASSERT(chunk != nullptr);
  set_.insert(*chunk);
  granules_.add_tracked(range);
}

void ChunkSet::remove(Chunk& chunk) {
  if (chunk.idle()) --idle_count_;
  granules_.remove_tracked(chunk.range);
  set_.erase(set_.iterator_to(chunk));
  parts_ = parts_ - 1 + (ends_at(chunk.range.start()) ? 1 : 0) + (starts_at(chunk.range.end()) ? 1 : 0);
  pool_.drop(&chunk);
}

void ChunkSet::insert(HostRange range) {
  SX_ASSERT(range.start().aligned_down(k2M) == (range.end() - 1).aligned_down(k2M));
  erase(range);
  add(range);
  granules_.find(range.start())->was_registered.store(true, std::memory_order_relaxed);
}

void ChunkSet::erase(HostRange range) {
  while (Chunk* chunk = find(range)) {
    const HostRange whole = chunk->range;
    const bool was_idle = chunk->idle();
    remove(*chunk);
    auto put_back = [&](HostVa from, HostVa to) {
      if (from == to) return;
      add(HostRange::between(from, to));
      if (was_idle) mark_idle(HostRange::between(from, to));
    };
    if (whole.start() < range.start()) put_back(whole.start(), range.start());
    if (range.end() < whole.end()) put_back(range.end(), whole.end());
  }
}

std::optional<HostRange> ChunkSet::first_in(HostRange range) {
  Chunk* chunk = find(range);
  if (chunk == nullptr) return std::nullopt;
  return chunk->range.intersection(range);
}

bool ChunkSet::covers(HostRange range) {
  HostVa at = range.start();
  while (at < range.end()) {
    Chunk* chunk = find(HostRange::of(at, kPageSize));
    if (chunk == nullptr) return false;
    at = chunk->range.end();
  }
  return true;
}

std::optional<HostRange> ChunkSet::first() const {
  if (set_.empty()) return std::nullopt;
  return set_.begin()->range;
}

std::optional<HostRange> ChunkSet::last_before(HostVa va) const {
  struct StartsBefore {
    bool operator()(const Chunk& chunk, HostVa at) const { return chunk.range.start() < at; }
  };
  auto at = set_.lower_bound(va, StartsBefore{});
  if (at == set_.begin()) return std::nullopt;
  return (--at)->range;
}

void ChunkSet::mark_idle(HostRange range) {
  Chunk* chunk = find(range);
  if (chunk == nullptr || chunk->idle()) return;
  idle_.push_back(*chunk);
  ++idle_count_;
}

void ChunkSet::mark_busy(HostRange range) {
  Chunk* chunk = find(range);
  if (chunk == nullptr || !chunk->idle()) return;
  idle_.erase(idle_.iterator_to(*chunk));
  --idle_count_;
}

std::optional<HostRange> ChunkSet::oldest_idle_above(std::size_t keep) {
  if (idle_count_ <= keep) return std::nullopt;
  return idle_.front().range;
}

}  // namespace softxe::live
