// Memory as an engine sees it: loads, stores, atomics and copies at GPU addresses, with page faults.
//
// Every access translates, checks rights, and repeats after a fault until it gets through or the fault
// is refused. Engine memory (VRAM, BOs) is touched inside a section, process memory outside, guarded.
// A copy between the two goes through a 64 KiB bounce buffer: a guarded access inside a section could
// block on a CPU fault whose service waits for the section, and a VRAM pointer outside is stale.
// Read next: mmu.h for the protocol.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <type_traits>

#include "base/guarded.h"
#include "hw/mmu.h"
#include "hw/mmu_items.h"

namespace softxe {

/// One per engine; used by the engine's thread. Errors of all accesses: EFAULT (a fault was refused),
/// ETIME (livelock), EINVAL (misaligned atomic). After an error an access may have been done in part.
class EngineMemory {
 public:
  explicit EngineMemory(const Mmu::Config& config);
  ~EngineMemory();

  Mmu& mmu() { return mmu_; }

  Status read_bytes(GpuVa va, void* to, std::uint64_t bytes);
  Status write_bytes(GpuVa va, const void* from, std::uint64_t bytes);
  /// Repeats a pattern of 1, 2, 4, 8 or 16 bytes; `bytes` need not be a multiple.
  struct Pattern {
    const void* data;
    std::uint32_t bytes;
  };
  Status fill_bytes(GpuVa va, Pattern pattern, std::uint64_t bytes);
  struct CopySpan {
    GpuVa to;
    GpuVa from;
    std::uint64_t bytes;
  };
  /// Forward; overlapping spans give what a forward copy in 64K steps gives.
  Status copy_bytes(const CopySpan& span);

  /// Single-copy-atomic and acquire when naturally aligned (T is 32 or 64 bits).
  template <typename T>
  Status load(GpuVa va, T& value) {
    static_assert(std::is_same_v<T, std::uint32_t> || std::is_same_v<T, std::uint64_t>);
    if (va.is_aligned(sizeof(T))) {
      mmu_.begin(sizeof(T));
      if (const TlbEntry* e = mmu_.cached(va, kTlbRead | kTlbPlain)) {
        value = __atomic_load_n(reinterpret_cast<const T*>(e->host(va)), __ATOMIC_ACQUIRE);
        mmu_.end();
        return {};
      }
    }
    return load_slow(va, value);
  }
  /// Single-copy-atomic and release when naturally aligned.
  template <typename T>
  Status store(GpuVa va, T value) {
    static_assert(std::is_same_v<T, std::uint32_t> || std::is_same_v<T, std::uint64_t>);
    if (va.is_aligned(sizeof(T))) {
      mmu_.begin(sizeof(T));
      if (const TlbEntry* e = mmu_.cached(va, kTlbRead | kTlbWrite | kTlbPlain)) {
        __atomic_store_n(reinterpret_cast<T*>(e->host(va)), value, __ATOMIC_RELEASE);
        mmu_.end();
        return {};
      }
    }
    return store_slow(va, value);
  }

  /// Many small accesses as one: all pages are found first, then everything is moved, each element once; a page
  /// that vanishes between the two is waited for. Item n is at `n * item_bytes` of the buffer.
  Status load_items(const MemoryItems& items, std::byte* to);
  Status store_items(const MemoryItems& items, const std::byte* from);
  /// Asks for the page as a load would, once: served as any fault is, or dropped. Reads nothing.
  void prefetch(GpuVa va);

  /// What an atomic does with the value it finds. `apply` must be pure: it may run several times.
  template <typename T>
  struct AtomicOp {
    T (*apply)(T found, T operand, T compare);
    T operand = 0;
    T compare = 0;
  };
  /// Returns what was there before. EINVAL when not naturally aligned.
  Result<std::uint32_t> atomic32(GpuVa va, const AtomicOp<std::uint32_t>& op);
  Result<std::uint64_t> atomic64(GpuVa va, const AtomicOp<std::uint64_t>& op);
  /// One operation on many naturally aligned words, one after the other; the arrays are as long as `va`. `done` is
  /// how many happened, each once, also after an error.
  template <typename T>
  struct AtomicItems {
    std::span<const GpuVa> va;
    T (*apply)(T found, T operand, T compare);
    const T* operand;
    const T* compare;
    T* found;  ///< what was there before
  };
  Status atomic_items(const AtomicItems<std::uint32_t>& items, std::size_t& done);
  Status atomic_items(const AtomicItems<std::uint64_t>& items, std::size_t& done);

 private:
  enum class Care : std::uint8_t { kWhole, kByPage };  ///< kByPage: find out which page is bad
  enum class Got : std::uint8_t { kDone, kRefused };

  Status load_slow(GpuVa va, std::uint32_t& value);
  Status load_slow(GpuVa va, std::uint64_t& value);
  Status store_slow(GpuVa va, std::uint32_t value);
  Status store_slow(GpuVa va, std::uint64_t value);
  template <typename Visitor>
  Status each_piece(GpuVa va, std::uint64_t bytes, AccessType access, Visitor& visitor);
  template <typename T>
  Result<T> atomic(GpuVa va, const AtomicOp<T>& op);
  template <typename T>
  Status atomics(const AtomicItems<T>& items, std::size_t& done);

  /// An item's part within one page.
  struct ItemPiece {
    GpuVa va{};
    std::byte* buffer = nullptr;
    MmuTarget target{};
    std::uint16_t bytes = 0;
    std::uint16_t done = 0;  ///< bytes that are moved and will not be moved again
    std::uint8_t unit = 1;   ///< bytes of one mov
  };
  enum class ItemFlow : std::uint8_t { kLoad, kStore };
  Status move_items(const MemoryItems& items, std::byte* buffer, ItemFlow flow);
  struct ItemsUnderWay {
    std::byte* buffer;
    ItemFlow flow;
    std::size_t done;  ///< bytes of the buffer that are moved already
  };
  Status move_items_slowly(const MemoryItems& items, const ItemsUnderWay& way);
  std::size_t cut_items(const MemoryItems& items, const ItemsUnderWay& way);
  Status find_pieces(std::span<ItemPiece> pieces, AccessType access);

  struct CopyPiece {
    MmuTarget from;
    MmuTarget to;
    std::uint64_t bytes;
  };
  Result<std::optional<CopyPiece>> begin_copy_piece(const CopySpan& span, Care care);
  /// Ends the section. kRefused: a guarded access failed.
  Result<Got> do_copy_piece(const CopySpan& span, const CopyPiece& piece);
  /// Returns the bytes copied, at most a section's worth.
  Result<std::uint64_t> copy_apart(const CopySpan& span);
  Status serve_refused_copy(const CopySpan& span, const CopyPiece& piece);

  Mmu mmu_;
  /// Part of the object, so that it lives in engine memory: it is touched inside sections.
  alignas(64) std::byte bounce_[InvalidationDomain::kSectionBytesMax];
  std::array<ItemPiece, 2 * std::size_t{MemoryItems::kItemsMax}> pieces_;  ///< of the items under way
};

}  // namespace softxe
