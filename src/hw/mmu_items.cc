// Many small accesses as one (EngineMemory::load_items, store_items).
//
// The lanes of a kernel mostly work side by side: in one page, or over the edge into the next. Then one or two
// look-ups give one distance from GPU to host addresses for all of them, and one loop of movs does the rest.
// Otherwise items are cut at pages and every piece is looked up.
#include <algorithm>
#include <cstring>

#include "base/step.h"
#include "hw/mmu_memory.h"

namespace softxe {

namespace {

/// A process page refused the access although its entry allowed it: its mapping is gone or changed.
constexpr MmuFault kHostRefused{FaultType::kNotPresent, 0};

std::uint64_t page_of(std::uint64_t va) { return va >> kPageShift; }

/// The same addresses as plain numbers, for loops that the compiler can do several at a time.
const std::uint64_t* numbers(std::span<const GpuVa> va) {
  static_assert(sizeof(GpuVa) == sizeof(std::uint64_t));
  return reinterpret_cast<const std::uint64_t*>(va.data());
}

bool all_aligned(const MemoryItems& items, std::uint64_t alignment) {
  const std::uint64_t* const va = numbers(items.va);
  std::uint64_t bits = 0;
  for (std::size_t n = 0; n < items.va.size(); ++n) bits |= va[n];
  return is_aligned(bits, alignment);
}

/// Bytes of one mov: an element, or several. An aligned mov of 8 bytes is atomic, and so are its dwords.
std::uint8_t unit_of(const MemoryItems& items) {
  const std::uint32_t most = std::min(8u, items.item_bytes & -items.item_bytes);
  if (items.element_bytes == 4 && most == 8) return all_aligned(items, 8) ? 8 : 4;
  return static_cast<std::uint8_t>(items.element_bytes >= 4 ? items.element_bytes : most);
}

/// Addresses of every mov; written before they are read.
struct UnitAddresses {
  UnitAddresses() {}  // NOLINT(modernize-use-equals-default): a default one would clear them
  union {
    std::uint64_t at[MemoryItems::kItemsMax];
  };
};

/// Where items are, when one loop of movs can reach all of them.
struct Reached {
  const std::uint64_t* at = nullptr;  ///< null: not that simple
  std::uint64_t delta = 0;
  bool plain = false;
};

bool is_plain(const TlbEntry& entry) { return (entry.rights & kTlbPlain) != 0; }

/// One or two neighbouring pages at one distance from their host addresses: an entry with it; else null.
const TlbEntry* find_nearby(const Mmu& mmu, const MemoryItems& items, std::uint32_t need) {
  const std::uint64_t* const va = numbers(items.va);
  const std::size_t count = items.va.size();
  const std::uint64_t start = va[0];
  const std::uint64_t to_last = items.item_bytes - 1;
  std::uint64_t starts = 0;
  std::uint64_t ends = 0;
  for (std::size_t n = 0; n < count; ++n) starts |= va[n] ^ start;
  for (std::size_t n = 0; n < count; ++n) ends |= (va[n] + to_last) ^ start;
  if (page_of(starts | ends) == 0) return mmu.cached(GpuVa(start), need);
  std::uint64_t low = start;
  std::uint64_t high = start;
  for (std::size_t n = 0; n < count; ++n) {
    low = std::min(low, va[n]);
    high = std::max(high, va[n]);
  }
  high += to_last;
  if (page_of(high) - page_of(low) != 1) return nullptr;
  const TlbEntry* first = mmu.cached(GpuVa(low), need);
  if (first == nullptr) return nullptr;
  const TlbEntry* second = mmu.cached(GpuVa(high), need);
  const bool alike = second != nullptr && second->delta == first->delta && is_plain(*second) == is_plain(*first);
  return alike ? first : nullptr;
}

/// Looks every item up; all must be of one sort, and none may lie over the edge of a page.
Reached find_each(const Mmu& mmu, const MemoryItems& items, std::uint32_t need, UnitAddresses& hosts) {
  Reached result;
  std::size_t n = 0;
  for (const GpuVa va : items.va) {
    const TlbEntry* entry = mmu.cached(va, need);
    if (entry == nullptr || page_of(va.value()) != page_of(va.value() + (items.item_bytes - 1))) return {};
    if (n == 0) result.plain = is_plain(*entry);
    if (is_plain(*entry) != result.plain) return {};
    hosts.at[n++] = va.value() + entry->delta;
  }
  result.at = hosts.at;
  return result;
}

Reached find(const Mmu& mmu, const MemoryItems& items, std::uint32_t need, UnitAddresses& hosts) {
  const TlbEntry* nearby = find_nearby(mmu, items, need);
  if (nearby == nullptr) return find_each(mmu, items, need, hosts);
  return {numbers(items.va), nearby->delta, is_plain(*nearby)};
}

/// From addresses of items to those of movs, from the last to the first: in place.
void spread(const std::uint64_t* from, std::size_t items, std::size_t units_each, std::uint8_t unit,
            UnitAddresses& to) {
  for (std::size_t i = items; i-- > 0;) {
    const std::uint64_t start = from[i];
    for (std::size_t u = units_each; u-- > 0;) to.at[i * units_each + u] = start + u * unit;
  }
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
  const std::uint8_t unit = unit_of(items);
  const std::size_t each = items.item_bytes / unit;
  const std::size_t units = items.va.size() * each;
  if (units > MemoryItems::kItemsMax) return move_items_slowly(items, {buffer, flow, 0});

  mmu_.begin(items.bytes());
  const std::uint32_t need = flow == ItemFlow::kLoad ? kTlbRead : kTlbRead | kTlbWrite;
  UnitAddresses hosts;
  Reached reached = find(mmu_, items, need, hosts);
  if (reached.at == nullptr) return move_items_slowly(items, {buffer, flow, 0});
  if (each != 1) {
    spread(reached.at, items.va.size(), each, unit, hosts);
    reached.at = hosts.at;
  }
  if (!reached.plain) mmu_.leave();
  const GuardedLanes lanes{reached.at, reached.delta, units};
  const std::size_t left =
      flow == ItemFlow::kLoad ? guarded_gather(lanes, buffer, unit) : guarded_scatter(lanes, buffer, unit);
  if (left != 0) {
    SX_ASSERT(!reached.plain);
    SX_MARK("hw.items.refused");
    return move_items_slowly(items, {buffer, flow, (units - left) * unit});
  }
  if (reached.plain) mmu_.end();
  mmu_.progressed();
  return {};
}

// --- page by page ---------------------------------------------------------------------------------

std::size_t EngineMemory::cut_items(const MemoryItems& items, const ItemsUnderWay& way) {
  std::size_t count = 0;
  std::size_t at_byte = 0;  // of the buffer
  for (const GpuVa va : items.va) {
    for (std::uint32_t done = 0; done < items.item_bytes;) {
      const GpuVa at = va + done;
      const auto to_end = static_cast<std::uint32_t>(kPageSize - (at.value() & (kPageSize - 1)));
      const std::uint32_t bytes = std::min(items.item_bytes - done, to_end);
      // An element that is cut by the page's end is no whole element: its parts go byte by byte.
      const bool whole = (done | bytes) % items.element_bytes == 0;
      pieces_[count++] = {
          .va = at,
          .buffer = way.buffer + at_byte,
          .target = {},
          .bytes = static_cast<std::uint16_t>(bytes),
          .done = static_cast<std::uint16_t>(std::clamp<std::size_t>(way.done, at_byte, at_byte + bytes) - at_byte),
          .unit = static_cast<std::uint8_t>(whole ? items.element_bytes : 1)};
      done += bytes;
      at_byte += bytes;
    }
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

Status EngineMemory::move_items_slowly(const MemoryItems& items, const ItemsUnderWay& way) {
  const bool load = way.flow == ItemFlow::kLoad;
  const AccessType access = load ? AccessType::kRead : AccessType::kWrite;
  const std::span<ItemPiece> pieces = std::span(pieces_).first(cut_items(items, way));
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

// --- atomics --------------------------------------------------------------------------------------

namespace {

inline bool guarded_load(const void* at, std::uint32_t& v) { return guarded_load32(at, v); }
inline bool guarded_load(const void* at, std::uint64_t& v) { return guarded_load64(at, v); }
inline bool guarded_cas(void* at, std::uint32_t& e, std::uint32_t d) { return guarded_cmpxchg32(at, e, d); }
inline bool guarded_cas(void* at, std::uint64_t& e, std::uint64_t d) { return guarded_cmpxchg64(at, e, d); }

/// Engine memory, inside the section: stops at a word that others keep changing.
template <typename T>
std::size_t plain_atomics(const EngineMemory::AtomicItems<T>& items, const Reached& reached) {
  constexpr int kRoundsMax = 64;
  int rounds = 0;
  for (std::size_t n = 0; n < items.va.size(); ++n) {
    auto* word = reinterpret_cast<T*>(reached.at[n] + reached.delta);
    T found = __atomic_load_n(word, __ATOMIC_ACQUIRE);
    while (!__atomic_compare_exchange_n(word, &found, items.apply(found, items.operand[n], items.compare[n]), false,
                                        __ATOMIC_SEQ_CST, __ATOMIC_ACQUIRE)) {
      if (++rounds == kRoundsMax) return n;
    }
    items.found[n] = found;
  }
  return items.va.size();
}

/// Process memory, outside: stops at a word that cannot be reached.
template <typename T>
std::size_t system_atomics(const EngineMemory::AtomicItems<T>& items, const Reached& reached) {
  for (std::size_t n = 0; n < items.va.size(); ++n) {
    auto* word = reinterpret_cast<T*>(reached.at[n] + reached.delta);
    T found = 0;
    if (!guarded_load(word, found)) return n;
    for (;;) {
      const T expected = found;
      if (!guarded_cas(word, found, items.apply(expected, items.operand[n], items.compare[n]))) return n;
      if (found == expected) break;
    }
    items.found[n] = found;
  }
  return items.va.size();
}

}  // namespace

template <typename T>
Status EngineMemory::atomics(const AtomicItems<T>& items, std::size_t& done) {
  done = 0;
  if (items.va.empty()) return {};
  const MemoryItems words{items.va, sizeof(T), sizeof(T)};
  SX_ASSERT(words.va.size() <= MemoryItems::kItemsMax && words.bytes() <= MemoryItems::kBytesMax);
  mmu_.begin(words.bytes());
  UnitAddresses hosts;
  const Reached reached = find(mmu_, words, kTlbRead | kTlbWrite | kTlbAtomic, hosts);
  if (reached.at != nullptr) {
    if (!reached.plain) mmu_.leave();
    done = reached.plain ? plain_atomics(items, reached) : system_atomics(items, reached);
    mmu_.end();
  }
  for (; done < items.va.size(); ++done) {
    const AtomicOp<T> op{items.apply, items.operand[done], items.compare[done]};
    if constexpr (sizeof(T) == 4) {
      SX_TRY(items.found[done], atomic32(items.va[done], op));
    } else {
      SX_TRY(items.found[done], atomic64(items.va[done], op));
    }
  }
  mmu_.progressed();
  return {};
}

Status EngineMemory::atomic_items(const AtomicItems<std::uint32_t>& items, std::size_t& done) {
  return atomics(items, done);
}
Status EngineMemory::atomic_items(const AtomicItems<std::uint64_t>& items, std::size_t& done) {
  return atomics(items, done);
}

}  // namespace softxe
