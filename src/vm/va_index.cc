#include "vm/va_index.h"

#include <algorithm>
#include <cstring>
#include <new>

#include "base/step.h"

namespace softxe {
namespace {

using Block = VaIndex::Block;
constexpr unsigned kSlots = VaIndex::kSlots;
constexpr unsigned kHalf = kSlots / 2;
// Merging far below a full block keeps a space that breathes around one size from splitting and
// merging in turns.
constexpr unsigned kTooFew = kSlots / 4;
constexpr unsigned kMergedMax = kSlots * 3 / 4;

/// The number of keys <= key. Two rounds of independent compares: no branch to mispredict.
inline unsigned count_not_above(const Block& block, std::uint64_t key) {
  const std::uint64_t* k = block.keys;
  const unsigned group = 8 * (unsigned{k[7] <= key} + unsigned{k[15] <= key} + unsigned{k[23] <= key});
  const std::uint64_t* g = k + group;
  return group + unsigned{g[0] <= key} + unsigned{g[1] <= key} + unsigned{g[2] <= key} + unsigned{g[3] <= key} +
         unsigned{g[4] <= key} + unsigned{g[5] <= key} + unsigned{g[6] <= key};
}

/// The lines of a block that a search reads last. Asked for as soon as the block is known, they
/// arrive together with the first ones instead of after them.
inline void prefetch_rest(const Block& block) {
  __builtin_prefetch(&block.keys[24]);
  for (unsigned i = 0; i < kSlots; i += 8) __builtin_prefetch(&block.slots[i]);
}

/// Moves the entries from `from` on so that they begin at `to`.
inline void move_entries(Block& block, unsigned from, unsigned to) {
  if (from == block.count) return;  // at the end, as ascending requests are: no call
  const std::size_t bytes = std::size_t{block.count - from} * 8;
  std::memmove(&block.keys[to], &block.keys[from], bytes);
  std::memmove(&block.slots[to], &block.slots[from], bytes);
}

inline void open_slot(Block& block, unsigned slot, std::uint64_t key, void* value) {
  move_entries(block, slot, slot + 1);
  block.keys[slot] = key;
  block.slots[slot] = value;
  ++block.count;
}

inline void close_slot(Block& block, unsigned slot) {
  move_entries(block, slot + 1, slot);
  --block.count;
  block.keys[block.count] = VaIndex::kInfinity;
}

/// Moves the entries from `from` on to the empty block `right`.
void move_tail(Block& left, unsigned from, Block& right) {
  right.count = left.count - from;
  std::copy_n(&left.keys[from], right.count, right.keys);
  std::copy_n(&left.slots[from], right.count, right.slots);
  std::fill_n(&left.keys[from], right.count, VaIndex::kInfinity);
  left.count = from;
}

void append_all(Block& left, const Block& right) {
  std::copy_n(right.keys, right.count, &left.keys[left.count]);
  std::copy_n(right.slots, right.count, &left.slots[left.count]);
  left.count += right.count;
}

}  // namespace

VaIndex::~VaIndex() {
  SX_ASSERT(size_ == 0 && promised_ == 0);
  delete root_;  // a leaf: an empty tree has no other block
  while (spare_ != nullptr) {
    Block* next = spare_->next;
    delete spare_;
    spare_ = next;
  }
}

VaIndex::Iterator VaIndex::begin() const {
  if (size_ == 0) return {};
  const Block* block = root_;
  for (unsigned level = height_; level > 0; --level) block = block->child(0);
  return {block, 0};
}

/// Where `key` belongs: behind all that start at it or below.
inline std::pair<Block*, unsigned> VaIndex::place_of(std::uint64_t key) const {
  Block* block = root_;
  for (unsigned level = height_; level > 0; --level) {
    block = block->child(count_not_above(*block, key) - 1);
    prefetch_rest(*block);
  }
  return {block, count_not_above(*block, key)};
}

/// The leaf where `key` is or belongs, and what else belongs there.
inline VaIndex::Finger VaIndex::bounded_leaf_of(std::uint64_t key) const {
  Finger at{root_, 0, kInfinity};
  for (unsigned level = height_; level > 0; --level) {
    const unsigned above = count_not_above(*at.leaf, key);
    at.lo = std::max(at.lo, at.leaf->keys[above - 1]);
    at.hi = std::min(at.hi, at.leaf->keys[above]);
    at.leaf = at.leaf->child(above - 1);
    prefetch_rest(*at.leaf);
  }
  return at;
}

inline VaIndex::Iterator VaIndex::iterator_at(const Block& leaf, unsigned slot) {
  if (slot < leaf.count) return {&leaf, slot};
  return leaf.next == nullptr ? Iterator() : Iterator(leaf.next, 0);
}

/// Whether the node before the first one of the leaf ends after `va`.
inline bool VaIndex::reaches_back(const Block& leaf, GpuVa va) {
  return leaf.prev != nullptr && leaf.prev->node(leaf.prev->count - 1)->end() > va;
}

VaIndex::Iterator VaIndex::first_ending_after(GpuVa va) const {
  if (size_ == 0) return {};
  auto [leaf, slot] = place_of(va.value());
  if (slot == 0) {
    if (reaches_back(*leaf, va)) return {leaf->prev, leaf->prev->count - 1};
  } else if (leaf->node(slot - 1)->end() > va) {
    --slot;
  }
  return iterator_at(*leaf, slot);
}

/// Branches where the look-up computes: requests are of one kind for a while, and guessing right
/// lets the change begin before the node has been read.
VaIndex::Iterator VaIndex::first_to_change(GpuVa va, Hint& hint) const {
  if (size_ == 0) return {};
  const Block& last = *last_leaf_;
  if (last.keys[last.count - 1] <= va.value()) {  // ascending requests need no search
    hint = {last_leaf_, last.count, last.keys[0], kInfinity, shape_};
  } else {
    const Finger at = bounded_leaf_of(va.value());
    hint = {at.leaf, count_not_above(*at.leaf, va.value()), at.lo, at.hi, shape_};
  }
  if (hint.slot == 0) {
    if (reaches_back(*hint.leaf, va)) {
      Block* prev = hint.leaf->prev;
      hint = {prev, prev->count - 1, prev->keys[0], hint.lo, shape_};
      return {prev, hint.slot};
    }
  } else if (__builtin_expect(hint.leaf->node(hint.slot - 1)->end() > va, 1)) {
    --hint.slot;
    return {hint.leaf, hint.slot};
  }
  return iterator_at(*hint.leaf, hint.slot);
}

VaNode* VaIndex::before(GpuVa start) const {
  if (size_ == 0 || start.value() == 0) return nullptr;
  const std::uint64_t key = start.value() - 1;
  const Block* block = root_;
  for (unsigned level = height_; level > 0; --level) {
    block = block->child(count_not_above(*block, key) - 1);
  }
  const unsigned slot = count_not_above(*block, key);
  if (slot > 0) return block->node(slot - 1);
  return block->prev == nullptr ? nullptr : block->prev->node(block->prev->count - 1);
}

/// The leaf where `key` is or belongs; leaves the finger there.
Block* VaIndex::locate(std::uint64_t key) {
  if (finger_.leaf != nullptr && finger_.lo <= key && key < finger_.hi) return finger_.leaf;
  finger_ = bounded_leaf_of(key);
  return finger_.leaf;
}

void VaIndex::descend(std::uint64_t key, Path& path) const {
  Block* block = root_;
  for (unsigned level = height_; level > 0; --level) {
    path.block[level] = block;
    path.slot[level] = count_not_above(*block, key) - 1;
    block = block->child(path.slot[level]);
  }
  path.block[0] = block;
  path.slot[0] = count_not_above(*block, key);
}

unsigned VaIndex::slot_of(const Block& leaf, const VaNode& node) const {
  const unsigned above = count_not_above(leaf, node.start().value());
  SX_ASSERT(above > 0 && leaf.slots[above - 1] == &node);
  return above - 1;
}

void VaIndex::assert_free(const Block& leaf, unsigned slot, const VaNode& node) const {
  const VaNode* left = nullptr;
  if (slot > 0) {
    left = leaf.node(slot - 1);
  } else if (leaf.prev != nullptr) {
    left = leaf.prev->node(leaf.prev->count - 1);
  }
  std::uint64_t right_start = kInfinity;
  if (slot < leaf.count) {
    right_start = leaf.keys[slot];
  } else if (leaf.next != nullptr) {
    right_start = leaf.next->keys[0];
  }
  SX_ASSERT((left == nullptr || left->end() <= node.start()) && node.end().value() <= right_start);
}

void VaIndex::insert(VaNode& node) {
  SX_ASSERT(promised_ > 0 && root_ != nullptr);
  Block* leaf = locate(node.start().value());
  const unsigned slot = count_not_above(*leaf, node.start().value());
  assert_free(*leaf, slot, node);
  if (leaf->count < kSlots) {
    open_slot(*leaf, slot, node.start().value(), &node);
  } else {
    insert_split(node);
  }
  --promised_;
  ++size_;
}

/// Inserts into a full leaf: splits blocks from the leaf upwards until one has room.
void VaIndex::insert_split(VaNode& node) {
  Path path;
  descend(node.start().value(), path);
  std::uint64_t key = node.start().value();
  void* value = &node;
  // Ascending insertion leaves full blocks behind instead of half-full ones.
  const bool appends = path.block[0]->next == nullptr && path.slot[0] == kSlots;
  unsigned level = 0;
  for (; level <= height_; ++level) {
    Block* left = path.block[level];
    const unsigned slot = level == 0 ? path.slot[0] : path.slot[level] + 1;
    if (left->count < kSlots) {
      open_slot(*left, slot, key, value);
      break;
    }
    Block* right = take_block();
    if (appends) {
      open_slot(*right, 0, key, value);
    } else {
      move_tail(*left, kHalf, *right);
      if (slot <= kHalf) {
        open_slot(*left, slot, key, value);
      } else {
        open_slot(*right, slot - kHalf, key, value);
      }
    }
    key = right->keys[0];
    value = right;
    if (level == 0) {
      right->prev = left;
      right->next = left->next;
      (right->next != nullptr ? right->next->prev : last_leaf_) = right;
      left->next = right;
    } else {
      right->keys[0] = 0;
    }
  }
  if (level > height_) {
    SX_ASSERT(height_ + 1 < kHeightMax);
    Block* root = take_block();
    open_slot(*root, 0, 0, root_);
    open_slot(*root, 1, key, value);
    root_ = root;
    ++height_;
  }
  changed_shape();
}

void VaIndex::erase(VaNode& node) {
  SX_ASSERT(size_ > 0);
  Block* leaf = locate(node.start().value());
  close_slot(*leaf, slot_of(*leaf, node));
  --size_;
  if (leaf->count < kTooFew && height_ > 0) rebalance(node.start().value());
}

/// Merges the leaf where `key` belongs with a sibling if both are small, and so on upwards.
void VaIndex::rebalance(std::uint64_t key) {
  Path path;
  descend(key, path);
  for (unsigned level = 0; level < height_; ++level) {
    Block* block = path.block[level];
    if (block->count >= kTooFew) return;
    Block* parent = path.block[level + 1];
    unsigned slot = path.slot[level + 1];
    if (parent->count > 1) {
      if (slot + 1 == parent->count) --slot;
      Block* left = parent->child(slot);
      Block* right = parent->child(slot + 1);
      const unsigned merged = left->count + right->count;
      if (merged > kMergedMax && block->count > 0) return;
      if (level > 0 && right->count > 0) right->keys[0] = parent->keys[slot + 1];
      append_all(*left, *right);
      // A left block that was empty has taken over the right one's first separator.
      if (level > 0) left->keys[0] = 0;
      block = right;
      ++slot;
    } else if (block->count > 0) {
      return;
    }
    if (level == 0) {
      if (block->prev != nullptr) block->prev->next = block->next;
      (block->next != nullptr ? block->next->prev : last_leaf_) = block->prev;
    }
    SX_ASSERT(slot > 0 || parent->count == 1);  // key 0 stays minus infinity
    close_slot(*parent, slot);
    give_block(block);
    changed_shape();
  }
  while (height_ > 0 && root_->count == 1) {
    Block* root = root_;
    root_ = root->child(0);
    --height_;
    give_block(root);
    changed_shape();
  }
}

void VaIndex::splice(const Hint& hint, const Run& gone, const Fresh& fresh) {
  SX_ASSERT(promised_ >= fresh.count());
  if (is_leaf_of(hint, gone, fresh)) return splice_in_leaf(*hint.leaf, hint.slot, gone, fresh);
  if (!splice_in_two(hint, gone, fresh)) splice_one_by_one(gone, fresh);
}

/// With one move of what stands behind.
inline void VaIndex::splice_in_leaf(Block& leaf, unsigned slot, const Run& gone, const Fresh& fresh) {
  const unsigned before = leaf.count;
  const unsigned end = slot + static_cast<unsigned>(gone.count);
  const unsigned after = before + fresh.count() - (end - slot);
  const std::uint64_t key = leaf.keys[slot];
  if (after != before) move_entries(leaf, end, slot + fresh.count());
  for (unsigned i = 0; i < fresh.count(); ++i) {
    leaf.keys[slot + i] = fresh[i].start().value();
    leaf.slots[slot + i] = &fresh[i];
  }
  leaf.count = after;
  promised_ -= fresh.count();
  size_ = size_ + after - before;
  if (after >= before) return;
  leaf.keys[after] = kInfinity;
  for (unsigned i = after + 1; i < before; ++i) leaf.keys[i] = kInfinity;
  if (after < kTooFew && height_ > 0) rebalance(key);
}

/// Whether the hint is right, and the leaf is the only one concerned and has room. Aborts when a
/// fresh node overlaps what stays.
bool VaIndex::is_leaf_of(const Hint& hint, const Run& gone, const Fresh& fresh) const {
  if (hint.shape != shape_) return false;
  const Block& leaf = *hint.leaf;
  const unsigned slot = hint.slot;
  if (slot > leaf.count || gone.count > leaf.count - slot) return false;
  const unsigned end = slot + static_cast<unsigned>(gone.count);
  // First and last of neighbours in their places: so are those between.
  if (slot < end && (leaf.slots[slot] != gone.first || leaf.slots[end - 1] != gone.last)) {
    return false;
  }
  if (fresh.empty()) return true;
  if (leaf.count - (end - slot) + fresh.count() > kSlots) return false;
  const std::uint64_t start = fresh.first().start().value();
  if (start < hint.lo || fresh.last().start().value() >= hint.hi) return false;
  if (start < leaf.keys[slot]) {
    if (slot > 0) {
      if (leaf.keys[slot - 1] >= start) return false;
      SX_ASSERT(leaf.node(slot - 1)->end().value() <= start);
    } else if (leaf.prev != nullptr) {
      SX_ASSERT(leaf.prev->node(leaf.prev->count - 1)->end().value() <= start);
    }
  } else if (slot == end) {
    return false;
  }  // else it begins where a node that goes does, or behind: nothing to see on the left
  const std::uint64_t fresh_end = fresh.last().end().value();
  if (end < leaf.count) {
    SX_ASSERT(fresh_end <= leaf.keys[end]);
  } else if (leaf.next != nullptr) {
    SX_ASSERT(fresh_end <= leaf.next->keys[0]);
  }
  return true;
}

/// A run that ends in the next leaf: what goes there, then this leaf, then what belongs there now.
/// False when it is not such a run. Merging blocks in between only costs the hints their use.
bool VaIndex::splice_in_two(const Hint& hint, const Run& gone, const Fresh& fresh) {
  if (hint.shape != shape_ || hint.slot >= hint.leaf->count) return false;
  Block& leaf = *hint.leaf;
  Block* next = leaf.next;
  const std::size_t here = leaf.count - hint.slot;
  if (next == nullptr || gone.count <= here || gone.count - here > next->count) return false;
  const std::size_t there = gone.count - here;
  if (leaf.slots[hint.slot] != gone.first || next->slots[there - 1] != gone.last) return false;
  Fresh first_part, second_part;
  for (unsigned i = 0; i < fresh.count(); ++i) {
    (fresh[i].start().value() < hint.hi ? first_part : second_part).add(fresh[i]);
  }
  const Hint right{next, 0, hint.hi, next->keys[next->count - 1], shape_};
  VaNode* last_here = leaf.node(leaf.count - 1);
  splice(right, {next->node(0), gone.last, there}, {});
  splice(hint, {gone.first, last_here, here}, first_part);
  if (!second_part.empty()) splice(right, {}, second_part);
  return true;
}

void VaIndex::splice_one_by_one(const Run& gone, const Fresh& fresh) {
  constexpr std::size_t kBatch = 16;  // nodes whose successors are known before the first goes
  VaNode* nodes[kBatch];
  std::size_t left = gone.count;
  GpuVa start = left > 0 ? gone.first->start() : GpuVa(0);
  while (left > 0) {
    const std::size_t count = std::min(left, kBatch);
    Iterator it = first_ending_after(start);
    for (std::size_t i = 0; i < count; it.advance(0)) nodes[i++] = it.get();
    start = nodes[count - 1]->end();
    for (std::size_t i = 0; i < count; ++i) erase(*nodes[i]);
    left -= count;
  }
  for (unsigned i = 0; i < fresh.count(); ++i) insert(fresh[i]);
}

/// How many blocks `inserts` insertions can use up; the smaller of two bounds. By path: each
/// insertion splits at most one block per level. By shape: each block of today splits once, after
/// that both halves take kHalf entries before they are full; only an append leaves a full block
/// behind, one per level, that can split again. Both: a new root takes a block, rarely. Erasing in
/// between changes neither: a merge gives back the block that a later split of its result needs.
std::size_t VaIndex::blocks_needed(std::size_t inserts) const {
  if (inserts == 0) return 0;
  const std::size_t later = 2 * inserts / kHalf + 1;
  return std::min(inserts * (height_ + 1), blocks_ + blocks_ / 8 + height_ + 2) + later;
}

Status VaIndex::promise_more(std::size_t inserts) {
  const std::size_t needed = blocks_needed(promised_ + inserts);
  while (spare_count_ < needed || root_ == nullptr) {
    SX_TRY_VOID(SX_STEP("vm.va_index.grow"));
    Block* block = new (std::nothrow) Block;
    if (block == nullptr) return fail(ENOMEM, "no memory for the index of the VA space");
    block->next = spare_;
    spare_ = block;
    ++spare_count_;
    if (root_ == nullptr) root_ = last_leaf_ = take_block();
  }
  promised_ += inserts;
  covered_ = promised_;
  return {};
}

Block* VaIndex::take_block() {
  SX_ASSERT(spare_ != nullptr);
  Block* block = spare_;
  spare_ = block->next;
  --spare_count_;
  ++blocks_;
  covered_ = 0;
  std::fill_n(block->keys, kKeys, kInfinity);
  std::fill_n(block->slots, kSlots, nullptr);
  block->prev = block->next = nullptr;
  block->count = 0;
  return block;
}

/// Keeps what is promised and some blocks for the next promise.
void VaIndex::give_block(Block* block) {
  --blocks_;
  if (spare_count_ > blocks_needed(promised_ + 4)) {
    delete block;
    return;
  }
  block->next = spare_;
  spare_ = block;
  ++spare_count_;
}

void VaIndex::changed_shape() {
  ++shape_;
  finger_ = {};
}

void VaIndex::validate() const {
  if (root_ == nullptr) {
    SX_ASSERT(size_ == 0 && height_ == 0 && blocks_ == 0);
    return;
  }
  const Block* last_leaf = nullptr;
  const std::size_t blocks = validate_block(*root_, height_, 0, kInfinity, &last_leaf);
  SX_ASSERT(blocks == blocks_ && last_leaf->next == nullptr && last_leaf == last_leaf_);
  std::size_t nodes = 0;
  const VaNode* last = nullptr;
  for (Iterator it = begin(); const VaNode* node = it.get(); ++it, ++nodes) {
    SX_ASSERT(last == nullptr || last->end() <= node->start());
    last = node;
  }
  SX_ASSERT(nodes == size_);
}

/// Returns the number of blocks in this subtree, whose starts must be in [lo, hi).
std::size_t VaIndex::validate_block(const Block& block, unsigned height, std::uint64_t lo, std::uint64_t hi,
                                    const Block** last_leaf) const {
  SX_ASSERT(block.count <= kSlots && (block.count > 0 || &block == root_));
  for (unsigned i = block.count; i < kKeys; ++i) SX_ASSERT(block.keys[i] == kInfinity);
  for (unsigned i = 1; i < block.count; ++i) SX_ASSERT(block.keys[i - 1] < block.keys[i]);
  if (height == 0) {
    for (unsigned i = 0; i < block.count; ++i) {
      SX_ASSERT(lo <= block.keys[i] && block.keys[i] < hi);
      SX_ASSERT(block.keys[i] == block.node(i)->start().value());
    }
    SX_ASSERT(block.prev == *last_leaf && (*last_leaf == nullptr || (*last_leaf)->next == &block));
    *last_leaf = &block;
    return 1;
  }
  SX_ASSERT(block.keys[0] == 0);
  std::size_t blocks = 1;
  for (unsigned i = 0; i < block.count; ++i) {
    const std::uint64_t child_lo = i == 0 ? lo : block.keys[i];
    const std::uint64_t child_hi = i + 1 == block.count ? hi : block.keys[i + 1];
    SX_ASSERT(lo <= child_lo && child_lo < child_hi && child_hi <= hi);
    blocks += validate_block(*block.child(i), height - 1, child_lo, child_hi, last_leaf);
  }
  return blocks;
}

}  // namespace softxe
