// Buddy allocator over device-physical addresses (spec/svm.md 5.4).
//
// Blocks are powers of two from the region's page size up, naturally aligned. With a small BAR the
// region has two zones, CPU visible [0, visible) and not; a block never spans both. Records live in a
// NORESERVE mapping made at construction: no allocation later. Not thread-safe; vm/vram_manager.h locks.
#pragma once

#include <array>
#include <cstdint>

#include "base/address.h"
#include "base/engine_memory.h"
#include "base/result.h"

namespace softxe {

enum class VramPlacement : std::uint8_t {
  kPreferInvisible,  ///< leave the BAR to those who need it
  kAny,              ///< as kPreferInvisible on a small BAR; reads better for large-BAR callers
  kVisibleOnly,      ///< CPU mappable
};

class VramBuddy {
 public:
  static constexpr unsigned kOrdersMax = 40;
  struct Config {
    std::uint64_t bytes = 0;               ///< multiple of page_bytes
    std::uint64_t visible_bytes = 0;       ///< <= bytes
    std::uint64_t page_bytes = kPageSize;  ///< 4K or 64K
  };

  explicit VramBuddy(const Config& config);
  VramBuddy(const VramBuddy&) = delete;
  VramBuddy& operator=(const VramBuddy&) = delete;
  Status ready() const;

  std::uint64_t total_bytes() const { return config_.bytes; }
  std::uint64_t visible_bytes() const { return config_.visible_bytes; }
  std::uint64_t page_bytes() const { return config_.page_bytes; }
  std::uint64_t free_bytes() const { return free_bytes_[0] + free_bytes_[1]; }
  std::uint64_t free_visible_bytes() const { return free_bytes_[0]; }

  /// One block; bytes is rounded up to a power of two >= page_bytes. ENOSPC.
  Result<DevRange> take(std::uint64_t bytes, VramPlacement placement);
  /// The largest free block that is not larger than `bytes` rounded down to a power of two.
  Result<DevRange> take_at_most(std::uint64_t bytes, VramPlacement placement);
  /// Returns a block made by take(), whole; merges with its free buddies. Aborts on a double free.
  void give_back(DevRange block);

  /// Chains allocated blocks without memory of their own: one link per block, by its first page.
  void set_link(DevPa block, std::uint32_t next_page) { nodes_[page_of(block)].next = next_page; }
  std::uint32_t link(DevPa block) const { return nodes_[page_of(block)].next; }
  /// The allocated block that begins at `start`.
  DevRange block_at(DevPa start) const;
  std::uint32_t page_of(DevPa pa) const { return static_cast<std::uint32_t>(pa.value() / config_.page_bytes); }
  DevPa address_of(std::uint32_t page) const { return DevPa(page * config_.page_bytes); }
  static constexpr std::uint32_t kNoPage = 0xffffffff;

  /// Aborts when free lists, states and byte counts disagree.
  void check_invariants() const;

 private:
  enum class State : std::uint8_t { kInside, kFree, kTaken };  ///< kInside: not the first page of a block
  struct Node {
    std::uint32_t next = 0;
    std::uint32_t prev = 0;
    std::uint8_t order = 0;
    State state = State::kInside;
  };
  unsigned order_for(std::uint64_t bytes) const;
  unsigned zone_of(std::uint32_t page) const { return page < visible_pages_ ? 0 : 1; }
  std::uint32_t zone_end(unsigned zone) const { return zone == 0 ? visible_pages_ : pages_; }
  std::uint32_t zone_begin(unsigned zone) const { return zone == 0 ? 0 : visible_pages_; }
  void push(unsigned zone, std::uint32_t page, unsigned order);
  void remove(unsigned zone, std::uint32_t page);
  Result<DevRange> take_order(unsigned order, unsigned zone);

  const Config config_;
  std::uint32_t pages_ = 0;
  std::uint32_t visible_pages_ = 0;
  Node* nodes_ = nullptr;
  EngineMapping memory_;
  std::array<std::array<std::uint32_t, kOrdersMax>, 2> free_head_{};
  std::array<std::uint64_t, 2> order_mask_{};  ///< bit o: free_head_[zone][o] is not empty
  std::array<std::uint64_t, 2> free_bytes_{};
};

}  // namespace softxe
