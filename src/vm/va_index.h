// The ordered index under VaSpace: a B+ tree from start address to node.
//
// Why not a tree of hooks inside the nodes: from some 10^4 mappings on, cache misses decide. Here a
// look-up touches one 512-byte block per factor of about 20, and a walk knows the addresses of the
// nodes ahead, so it can prefetch them. Next: va_space.h, which adds the rules of the VA space.
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>

#include "base/result.h"
#include "vm/va_node.h"

namespace softxe {

/// Index of disjoint nodes by start address. Owns its blocks, not the nodes.
///
/// Blocks are of one kind: a leaf holds (start, VaNode*), an inner block (separator, Block*).
/// Invariants:
///   - unused keys are ~0, so a search compares all keys and never reads `count`;
///   - key 0 of an inner block is 0 and stands for "minus infinity";
///   - a separator is <= every start in its subtree and > every start to the left of it;
///   - only the root may be an empty leaf.
/// Const members may run in parallel; the rest needs the VM's lock for writing.
class VaIndex {
 public:
  static constexpr unsigned kSlots = 29;  // fills 512 bytes together with the padded keys
  static constexpr unsigned kKeys = 32;
  static constexpr std::uint64_t kInfinity = ~std::uint64_t{0};

  struct alignas(64) Block {
    std::uint64_t keys[kKeys];
    void* slots[kSlots];
    Block* prev;  // neighbours, of leaves only
    Block* next;
    unsigned count;

    VaNode* node(unsigned slot) const { return static_cast<VaNode*>(slots[slot]); }
    Block* child(unsigned slot) const { return static_cast<Block*>(slots[slot]); }
  };
  static_assert(sizeof(Block) == 512);

  /// Where a look-up ended: spares the change that follows a search. It is checked before use, so
  /// one that is out of date costs no more than that search.
  struct Hint {
    Block* leaf = nullptr;
    unsigned slot = 0;
    std::uint64_t lo = 0;  // starts in [lo, hi) belong to the leaf
    std::uint64_t hi = 0;
    std::uint64_t shape = 0;
  };

  /// Neighbours in address order.
  struct Run {
    VaNode* first = nullptr;
    VaNode* last = nullptr;
    std::size_t count = 0;

    void add(VaNode& node) {
      if (count++ == 0) first = &node;
      last = &node;
    }
  };
  /// What takes the place of a run.
  class Fresh {
   public:
    static constexpr unsigned kMax = 3;  // what is left on both sides, and what is mapped
    /// In any order.
    void add(VaNode& node) {
      SX_ASSERT(count_ < kMax);
      unsigned at = count_++;
      for (; at > 0 && nodes_[at - 1]->start() > node.start(); --at) nodes_[at] = nodes_[at - 1];
      nodes_[at] = &node;
    }
    unsigned count() const { return count_; }
    bool empty() const { return count_ == 0; }
    VaNode& operator[](unsigned i) const { return *nodes_[i]; }
    const VaNode& first() const { return *nodes_[0]; }
    const VaNode& last() const { return *nodes_[count_ - 1]; }

   private:
    VaNode* nodes_[kMax];
    unsigned count_ = 0;
  };

  /// A place in address order. Invalid after any change of the index.
  class Iterator {
   public:
    Iterator() = default;
    Iterator(const Block* leaf, unsigned slot) : leaf_(leaf), slot_(slot) {}
    VaNode& operator*() const { return *leaf_->node(slot_); }
    VaNode* operator->() const { return leaf_->node(slot_); }
    VaNode* get() const { return leaf_ == nullptr ? nullptr : leaf_->node(slot_); }
    /// True for a node that starts below `end`; does not touch the node.
    bool is_below(std::uint64_t end) const { return leaf_ != nullptr && leaf_->keys[slot_] < end; }
    Iterator& operator++() { return advance(kInfinity); }
    /// The same when nobody cares for nodes from `end` on: those are not fetched ahead.
    Iterator& advance(std::uint64_t end) {
      if (++slot_ == leaf_->count) {
        enter(leaf_->next, end);
      } else if (slot_ + kAhead < leaf_->count && leaf_->keys[slot_ + kAhead] < end) {
        __builtin_prefetch(leaf_->slots[slot_ + kAhead]);
      }
      return *this;
    }
    friend bool operator==(const Iterator&, const Iterator&) = default;

   private:
    static constexpr unsigned kAhead = 8;
    void enter(const Block* leaf, std::uint64_t end) {
      leaf_ = leaf;
      slot_ = 0;
      if (leaf == nullptr || leaf->keys[0] >= end) return;
      for (unsigned i = 0; i <= kAhead && i < leaf->count; ++i) __builtin_prefetch(leaf->slots[i]);
      if (leaf->next == nullptr) return;
      for (unsigned i = 0; i < kSlots; i += 8) __builtin_prefetch(&leaf->next->slots[i]);
    }
    const Block* leaf_ = nullptr;
    unsigned slot_ = 0;
  };

  VaIndex() = default;
  VaIndex(const VaIndex&) = delete;
  VaIndex& operator=(const VaIndex&) = delete;
  ~VaIndex();

  std::size_t size() const { return size_; }
  Iterator begin() const;
  Iterator end() const { return {}; }
  /// The first node that ends after `va`.
  Iterator first_ending_after(GpuVa va) const;
  /// The same for a change, which will be at `hint`.
  Iterator first_to_change(GpuVa va, Hint& hint) const;
  /// The last node that starts below `start`, or null.
  VaNode* before(GpuVa start) const;

  /// Makes sure that `inserts` more insertions need no memory. ENOMEM leaves all as it was.
  Status promise(std::size_t inserts) {
    if (promised_ + inserts > covered_) return promise_more(inserts);
    promised_ += inserts;
    return {};
  }
  /// Gives unused promises back.
  void forgive(std::size_t inserts) {
    SX_ASSERT(inserts <= promised_);
    promised_ -= inserts;
  }
  std::size_t promised() const { return promised_; }

  /// Uses up one promise. Aborts when the node overlaps another.
  void insert(VaNode& node);
  void erase(VaNode& node);
  /// Takes `gone` out and puts `fresh` in, which uses up one promise per node. Aborts when one
  /// overlaps what stays. Those that go are still alive.
  void splice(const Hint& hint, const Run& gone, const Fresh& fresh);

  /// Aborts when an invariant does not hold. Linear.
  void validate() const;
  std::size_t memory_bytes() const { return (blocks_ + spare_count_) * sizeof(Block); }

 private:
  static constexpr unsigned kHeightMax = 16;
  struct Path {
    Block* block[kHeightMax];
    unsigned slot[kHeightMax];
  };

  /// A leaf and the starts [lo, hi) that belong to it: spares the next change a descent. Reset when
  /// the tree's shape changes.
  struct Finger {
    Block* leaf = nullptr;
    std::uint64_t lo = 0;
    std::uint64_t hi = 0;
  };

  Status promise_more(std::size_t inserts);
  std::pair<Block*, unsigned> place_of(std::uint64_t key) const;
  Finger bounded_leaf_of(std::uint64_t key) const;
  static bool reaches_back(const Block& leaf, GpuVa va);
  static Iterator iterator_at(const Block& leaf, unsigned slot);
  bool is_leaf_of(const Hint& hint, const Run& gone, const Fresh& fresh) const;
  void splice_in_leaf(Block& leaf, unsigned slot, const Run& gone, const Fresh& fresh);
  bool splice_in_two(const Hint& hint, const Run& gone, const Fresh& fresh);
  void splice_one_by_one(const Run& gone, const Fresh& fresh);
  Block* locate(std::uint64_t key);
  unsigned slot_of(const Block& leaf, const VaNode& node) const;
  void insert_split(VaNode& node);
  void descend(std::uint64_t key, Path& path) const;
  void rebalance(std::uint64_t key);
  std::size_t blocks_needed(std::size_t inserts) const;
  void assert_free(const Block& leaf, unsigned slot, const VaNode& node) const;
  Block* take_block();
  void give_block(Block* block);
  void changed_shape();
  std::size_t validate_block(const Block& block, unsigned height, std::uint64_t lo, std::uint64_t hi,
                             const Block** last_leaf) const;

  Block* root_ = nullptr;
  Block* last_leaf_ = nullptr;
  unsigned height_ = 0;  // inner levels above the leaves
  std::size_t size_ = 0;
  std::size_t blocks_ = 0;  // in the tree
  Finger finger_;
  std::uint64_t shape_ = 1;  // changes whenever a block comes or goes
  Block* spare_ = nullptr;   // linked through next
  std::size_t spare_count_ = 0;
  std::size_t promised_ = 0;
  std::size_t covered_ = 0;  // so many promises the spare blocks are known to be enough for
};

}  // namespace softxe
