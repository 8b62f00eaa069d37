// Many small accesses as one (EngineMemory::load_items, store_items).
//
// The lanes of a kernel mostly work side by side: in one page, or over the edge into the next. Then one or two
// look-ups give one distance from GPU to host addresses for all of them, and one loop of movs does the rest.
// Otherwise items are cut at pages and every piece is looked up.
#include <algorithm>
#include <cstring>

#include "hw/mmu_memory.h"

namespace softxe {

namespace {

/// A process page refused the access although its entry allowed it: its mapping is gone or changed.
constexpr MmuFault kHostRefused{FaultType::kNotPresent, 0};

std::uint64_t page_of(std::uint64_t va) { return va >> kPageShift; }

/// Bytes of one mov: an element, or as much of small elements as goes at once.
std::uint8_t unit_of(const MemoryItems& items) {
  if (items.element_bytes >= 4) return static_cast<std::uint8_t>(items.element_bytes);
  return static_cast<std::uint8_t>(std::min(8u, items.item_bytes & -items.item_bytes));
}

struct Reach {
  std::uint64_t first = 0;  ///< pages
  std::uint64_t last = 0;
};
Reach reach_of(const MemoryItems& items) {
  std::uint64_t low = items.va[0].value();
  std::uint64_t high = low;
  for (const GpuVa va : items.va) {
    low = std::min(low, va.value());
    high = std::max(high, va.value());
  }
  return {page_of(low), page_of(high + items.item_bytes - 1)};
}

/// What one or two neighbouring pages have in common, when one loop can serve both.
struct Nearby {
  std::uint64_t delta = 0;
  bool plain = false;
  bool found = false;
};
Nearby nearby(const Mmu& mmu, const Reach& reach, std::uint32_t need) {
  if (reach.last - reach.first > 1) return {};
  const TlbEntry* first = mmu.cached(GpuVa(reach.first << kPageShift), need);
  if (first == nullptr) return {};
  const Nearby result{first->delta, (first->rights & kTlbPlain) != 0, true};
  if (reach.last == reach.first) return result;
  const TlbEntry* last = mmu.cached(GpuVa(reach.last << kPageShift), need);
  if (last == nullptr || last->delta != result.delta || ((last->rights & kTlbPlain) != 0) != result.plain) return {};
  return result;
}

}  // namespace

Status EngineMemory::load_items(const MemoryItems& items, std::byte* to) {
  return move_items(items, to, ItemFlow::kLoad);
}
Status EngineMemory::store_items(const MemoryItems& items, const std::byte* from) {
  return move_items(items, const_cast<std::byte*>(from), ItemFlow::kStore);  // kStore only reads
}

Status EngineMemory::move_items(const MemoryItems& items, std::byte* buffer, ItemFlow flow) {
  SX_ASSERT(items.va.size() <= MemoryItems::kItemsMax && items.bytes() <= MemoryItems::kBytesMax);
  if (items.va.empty()) return {};
  static_assert(sizeof(GpuVa) == sizeof(std::uint64_t));
  const std::uint8_t unit = unit_of(items);
  const std::size_t units = items.bytes() / unit;
  std::array<GpuVa, MemoryItems::kItemsMax> spread;
  MemoryItems each{items.va, unit, unit};
  if (units > MemoryItems::kItemsMax) return move_items_slowly(items, buffer, flow);

  mmu_.begin(items.bytes());
  const std::uint32_t need = flow == ItemFlow::kLoad ? kTlbRead : kTlbRead | kTlbWrite;
  const Nearby found = nearby(mmu_, reach_of(items), need);
  if (!found.found) return move_items_slowly(items, buffer, flow);
  if (unit != items.item_bytes) {
    std::size_t n = 0;
    for (const GpuVa va : items.va) {
      for (std::uint32_t at = 0; at < items.item_bytes; at += unit) spread[n++] = va + at;
    }
    each.va = std::span(spread).first(units);
  }
  if (!found.plain) mmu_.leave();
  const GuardedLanes lanes{reinterpret_cast<const std::uint64_t*>(each.va.data()), found.delta, units};
  const std::size_t left =
      flow == ItemFlow::kLoad ? guarded_gather(lanes, buffer, unit) : guarded_scatter(lanes, buffer, unit);
  if (found.plain) mmu_.end();
  if (left != 0) {
    SX_ASSERT(!found.plain);
    const std::size_t done = units - left;
    each.va = each.va.subspan(done);
    return move_items_slowly(each, buffer + done * unit, flow);
  }
  mmu_.progressed();
  return {};
}

// --- page by page ---------------------------------------------------------------------------------

std::size_t EngineMemory::cut_items(const MemoryItems& items, std::byte* buffer) {
  std::size_t count = 0;
  for (const GpuVa va : items.va) {
    for (std::uint32_t done = 0; done < items.item_bytes;) {
      const GpuVa at = va + done;
      const auto to_end = static_cast<std::uint32_t>(kPageSize - (at.value() & (kPageSize - 1)));
      const std::uint32_t bytes = std::min(items.item_bytes - done, to_end);
      // An element that is cut by the page's end is no whole element: its parts go byte by byte.
      const bool whole = (done | bytes) % items.element_bytes == 0;
      pieces_[count++] = {.va = at,
                          .buffer = buffer + done,
                          .target = {},
                          .bytes = static_cast<std::uint16_t>(bytes),
                          .done = 0,
                          .unit = static_cast<std::uint8_t>(whole ? items.element_bytes : 1)};
      done += bytes;
    }
    buffer += items.item_bytes;
  }
  return count;
}

/// Inside a section. Translates everything that is not moved yet; a fault is served outside.
Status EngineMemory::find_pieces(std::span<ItemPiece> pieces, AccessType access) {
  for (std::size_t i = 0; i < pieces.size();) {
    ItemPiece& piece = pieces[i];
    if (i == 0) mmu_.begin(MemoryItems::kBytesMax);
    if (piece.done == piece.bytes) {
      ++i;
      continue;
    }
    const auto target = mmu_.translate(piece.va, piece.bytes, access);
    if (!target) {
      mmu_.leave();
      SX_TRY_VOID(mmu_.serve_fault(piece.va, access, target.error()));
      i = 0;  // what was found before died with the section
      continue;
    }
    piece.target = *target;
    ++i;
  }
  return {};
}

namespace {

/// Moves what is left of a piece; false when its page refused.
template <typename Piece>
bool move_piece(Piece& piece, bool load) {
  while (piece.done != piece.bytes) {
    const auto at = reinterpret_cast<std::uint64_t>(piece.target.host + piece.done);
    const GuardedLanes lane{&at, 0, 1};
    std::byte* buffer = piece.buffer + piece.done;
    const std::size_t left =
        load ? guarded_gather(lane, buffer, piece.unit) : guarded_scatter(lane, buffer, piece.unit);
    if (left != 0) return false;
    piece.done = static_cast<std::uint16_t>(piece.done + piece.unit);
  }
  return true;
}

}  // namespace

Status EngineMemory::move_items_slowly(const MemoryItems& items, std::byte* buffer, ItemFlow flow) {
  const bool load = flow == ItemFlow::kLoad;
  const AccessType access = load ? AccessType::kRead : AccessType::kWrite;
  const std::span<ItemPiece> pieces = std::span(pieces_).first(cut_items(items, buffer));
  for (;;) {
    SX_TRY_VOID(find_pieces(pieces, access));
    bool system = false;
    for (ItemPiece& piece : pieces) {
      if (piece.done == piece.bytes) continue;
      if (piece.target.system()) {
        system = true;
      } else if (piece.target.nothing()) {
        if (load) std::memset(piece.buffer, 0, piece.bytes);
        piece.done = piece.bytes;
      } else {
        const bool moved = move_piece(piece, load);
        SX_ASSERT(moved);
      }
    }
    mmu_.end();
    if (system) mmu_.leave();
    const auto refused = !system ? pieces.end() : std::find_if(pieces.begin(), pieces.end(), [&](ItemPiece& piece) {
      return piece.target.system() && !move_piece(piece, load);
    });
    if (refused == pieces.end()) break;
    SX_TRY_VOID(mmu_.serve_fault(refused->va, access, kHostRefused));
  }
  mmu_.progressed();
  return {};
}

}  // namespace softxe
