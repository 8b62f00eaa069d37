// GranuleMap: one word of facts for each 2 MiB block of the process's 47-bit address space.
//
// It answers in a few instructions, without a lock, the question that every hooked system call asks:
// does softxe care about these addresses at all? Most calls of a client do not touch mirrored memory.
// Writers hold the mm lock; readers hold nothing. Tables are made on demand in the arena and never freed.
#pragma once

#include <atomic>
#include <cstdint>

#include "base/address.h"
#include "host/live/arena.h"

namespace softxe::live {

struct Granule {
  std::atomic<std::uint32_t> tracked{0};     ///< watchers and registered chunks
  std::atomic<std::uint16_t> vram_pages{0};  ///< 0..512 pages of this block are in VRAM
  std::atomic<bool> was_registered{false};   ///< our registration may have split a mapping here
  std::atomic<bool> has_pins{false};         ///< some page of this block was pinned once
  std::atomic<bool> real_borders{false};     ///< mappings here may differ in what maps does not tell
  std::atomic<bool> may_have_table{false};   ///< of a device window: small pages were in this frame
};

class GranuleMap {
 public:
  static constexpr unsigned kAddressBits = 47;

  static bool addressable(HostRange range) { return range.end().value() <= 1ull << kAddressBits; }

  /// False when the arena is used up.
  bool init(Arena& arena) {
    root_ = static_cast<std::atomic<Granule*>*>(arena.take(kRoots * sizeof(std::atomic<Granule*>)));
    return root_ != nullptr;
  }
  /// Makes the words of `range` exist. False when the arena is used up. Under the mm lock.
  bool prepare(Arena& arena, HostRange range) {
    for (std::uint64_t g = range.start().value() >> kRootShift; g <= last(range) >> kRootShift; ++g) {
      if (root_[g].load(std::memory_order_relaxed) != nullptr) continue;
      auto* leaf = static_cast<Granule*>(arena.take(kLeaves * sizeof(Granule)));
      if (leaf == nullptr) return false;
      root_[g].store(leaf, std::memory_order_release);
    }
    return true;
  }
  /// Null when nothing was ever prepared there.
  Granule* find(HostVa va) const {
    Granule* leaf = root_[va.value() >> kRootShift].load(std::memory_order_acquire);
    return leaf == nullptr ? nullptr : leaf + ((va.value() >> kLeafShift) % kLeaves);
  }
  /// Calls `fn(Granule&)` for each existing word of `range` until it returns true; then true.
  template <typename Fn>
  bool any(HostRange range, Fn fn) const {
    for (std::uint64_t a = range.start().value(); a <= last(range);) {
      Granule* granule = find(HostVa(a));
      if (granule == nullptr) {
        a = align_down(a, k1G) + k1G;
        continue;
      }
      if (fn(*granule)) return true;
      a = align_down(a, k2M) + k2M;
    }
    return false;
  }
  bool tracked(HostRange range) const {
    return any(range, [](const Granule& g) { return g.tracked.load() != 0; });
  }
  /// Under the mm lock, so that only readers race. The exchange at the end is the barrier: a call hooked from here
  /// on sees the new count.
  void add_tracked(HostRange range) {
    any(range, [](Granule& g) { return count(g.tracked, 1u), false; });
    barrier_.exchange(true, std::memory_order_seq_cst);
  }
  void remove_tracked(HostRange range) {
    any(range, [](Granule& g) { return count(g.tracked, ~0u), false; });
  }
  /// `range` entered or left VRAM.
  void count_vram(HostRange range, int sign) {
    for (std::uint64_t a = range.start().value(); a <= last(range);) {
      const std::uint64_t next = align_down(a, k2M) + k2M;
      const std::uint64_t end = next < range.end().value() ? next : range.end().value();
      const auto pages = static_cast<std::uint16_t>((end - a) >> kPageShift);
      Granule* granule = find(HostVa(a));
      SX_ASSERT(granule != nullptr);  // what is in VRAM was registered, so its words are there
      auto& count = granule->vram_pages;
      sign > 0 ? count.fetch_add(pages) : count.fetch_sub(pages);
      a = next;
    }
  }

 private:
  // 256 words for the window of a notifier: without the bus lock, which nobody needs.
  static void count(std::atomic<std::uint32_t>& word, std::uint32_t change) {
    word.store(word.load(std::memory_order_relaxed) + change, std::memory_order_release);
  }

  static constexpr unsigned kLeafShift = 21;
  static constexpr unsigned kRootShift = 30;
  static constexpr std::uint64_t kLeaves = 1ull << (kRootShift - kLeafShift);
  static constexpr std::uint64_t kRoots = 1ull << (kAddressBits - kRootShift);
  static std::uint64_t last(HostRange range) { return range.end().value() - 1; }

  std::atomic<Granule*>* root_ = nullptr;
  std::atomic<bool> barrier_{false};  ///< means nothing; ThreadSanitizer knows no fences
};

}  // namespace softxe::live
