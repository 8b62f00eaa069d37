// The contestants of the VA-space workload: softxe's VaSpace, and what a C++ programmer would reach
// for.
//
// All of them do the same operations in the same order. std::map and absl::btree_map trim mappings
// in place, the intrusive set trims its nodes; VaSpace takes a split mapping out and puts new ones
// in, because its users need the old one until an unbind is done, and it keeps the lists of the
// backings.
#pragma once

#include <absl/container/btree_map.h>

#include <boost/intrusive/set.hpp>
#include <deque>
#include <map>

#include "bench/va_workload.h"
#include "vm/va_apply.h"
#include "vm/va_ops.h"
#include "vm/va_slab.h"
#include "vm/va_space.h"

namespace softxe::bench {

/// softxe: plan, then apply; nodes come from a slab.
class SoftxeSpace {
 public:
  void map(const Mapping& m, OpsHash& hash) {
    const auto ops = plan_map(space_, {.range = GpuRange::of(GpuVa(m.at.address), m.at.bytes),
                                       .backing = &backings_[m.backing],
                                       .offset_bytes = m.offset});
    carry_out(*ops, hash);
  }
  void unmap(const Piece& piece, OpsHash& hash) {
    const auto ops = plan_unmap(space_, GpuRange::of(GpuVa(piece.address), piece.bytes));
    carry_out(*ops, hash);
  }
  std::uint64_t find(std::uint64_t address) const {
    const VaNode* node = space_.find_covering(GpuVa(address));
    return node == nullptr ? 0 : node->start().value() + number_of(node->backing());
  }
  template <typename Visitor>
  void each(Visitor visit) const {
    for (const VaNode& node : space_) {
      visit(Mapping{{node.start().value(), node.range().size()}, number_of(node.backing()), node.offset_bytes()});
    }
  }
  void clear() {
    OpsHash unused;
    const auto ops = plan_unmap(space_, space_.managed());
    carry_out(*ops, unused);
  }

 private:
  struct Pool {
    VaNode* create(const GpuRange& range, VaBacking* backing, std::uint64_t offset, const VaNode*) {
      return slab.make(range, backing, offset);
    }
    void retire(VaNode& node) { slab.drop(node); }
    VaSlab<VaNode> slab;
  };

  std::uint64_t number_of(const VaBacking* backing) const { return static_cast<std::uint64_t>(backing - backings_); }
  void carry_out(const VaOps& ops, OpsHash& hash) {
    for (const VaOp& op : ops) {
      if (const auto* map = std::get_if<MapOp>(&op)) {
        hash.map(map->range.start().value(), map->range.size());
      } else if (const auto* unmap = std::get_if<UnmapOp>(&op)) {
        hash.unmap(unmap->node->start().value(), unmap->node->range().size());
      } else if (const auto* remap = std::get_if<RemapOp>(&op)) {
        hash.remap({remap->old.start().value(), remap->old.size()}, {remap->hole.start().value(), remap->hole.size()});
      }
    }
    SX_ASSERT(VaApply<Pool>(space_, pool_).run(ops).has_value());
  }

  VaBacking backings_[10];
  VaSpace space_{GpuRange::of(GpuVa(0), 1ull << 57)};
  Pool pool_;
};

/// A mapping under the key of its start.
struct MappedValue {
  std::uint64_t end;
  std::uint64_t offset;
  std::uint32_t backing;
  std::uint32_t attributes;
};

/// std::map and absl::btree_map.
template <typename Map>
class OrderedMap {
 public:
  void map(const Mapping& m, OpsHash& hash) {
    auto hint = make_room(m.at, hash);
    hash.map(m.at.address, m.at.bytes);
    map_.emplace_hint(hint, m.at.address,
                      MappedValue{m.at.address + m.at.bytes, m.offset, static_cast<std::uint32_t>(m.backing), 0});
  }
  void unmap(const Piece& piece, OpsHash& hash) { make_room(piece, hash); }
  std::uint64_t find(std::uint64_t address) const {
    auto it = map_.upper_bound(address);
    if (it == map_.begin()) return 0;
    --it;
    return it->second.end > address ? it->first + it->second.backing : 0;
  }
  template <typename Visitor>
  void each(Visitor visit) const {
    for (const auto& [start, m] : map_) visit(Mapping{{start, m.end - start}, m.backing, m.offset});
  }
  void clear() { map_.clear(); }

 private:
  using Iterator = typename Map::iterator;

  /// Cuts and erases what intersects; returns where a mapping at piece.address belongs.
  Iterator make_room(const Piece& piece, OpsHash& hash) {
    const std::uint64_t end = piece.address + piece.bytes;
    auto it = map_.lower_bound(piece.address);
    if (it != map_.begin()) {
      auto left = std::prev(it);
      MappedValue& m = left->second;
      if (m.end > piece.address) {
        const std::uint64_t old_end = m.end;
        const std::uint64_t hole_end = std::min(old_end, end);
        hash.remap({left->first, old_end - left->first}, {piece.address, hole_end - piece.address});
        MappedValue tail = m;
        tail.offset += end - left->first;
        m.end = piece.address;
        if (old_end > end) return map_.emplace_hint(it, end, tail);
      }
    }
    while (it != map_.end() && it->first < end) {
      MappedValue& m = it->second;
      if (m.end > end) {
        hash.remap({it->first, m.end - it->first}, {it->first, end - it->first});
        MappedValue tail = m;
        tail.offset += end - it->first;
        it = map_.erase(it);
        return map_.emplace_hint(it, end, tail);
      }
      hash.unmap(it->first, m.end - it->first);
      it = map_.erase(it);
    }
    return it;
  }

  Map map_;
};
using StdMap = OrderedMap<std::map<std::uint64_t, MappedValue>>;
using AbslMap = OrderedMap<absl::btree_map<std::uint64_t, MappedValue>>;

/// boost::intrusive::set of heap nodes.
class IntrusiveSet {
 public:
  void map(const Mapping& m, OpsHash& hash) {
    const auto hint = make_room(m.at, hash);
    hash.map(m.at.address, m.at.bytes);
    set_.insert_before(
        hint,
        *new Node{{}, m.at.address, m.at.address + m.at.bytes, m.offset, static_cast<std::uint32_t>(m.backing), 0});
  }
  void unmap(const Piece& piece, OpsHash& hash) { make_room(piece, hash); }
  std::uint64_t find(std::uint64_t address) const {
    auto it = set_.upper_bound(address);
    if (it == set_.begin()) return 0;
    --it;
    return it->end > address ? it->start + it->backing : 0;
  }
  template <typename Visitor>
  void each(Visitor visit) const {
    for (const Node& m : set_) visit(Mapping{{m.start, m.end - m.start}, m.backing, m.offset});
  }
  void clear() {
    set_.clear_and_dispose([](Node* node) { delete node; });
  }

 private:
  struct Node : boost::intrusive::set_base_hook<boost::intrusive::link_mode<boost::intrusive::normal_link>,
                                                boost::intrusive::optimize_size<true>> {
    Node(const boost::intrusive::set_base_hook<boost::intrusive::link_mode<boost::intrusive::normal_link>,
                                               boost::intrusive::optimize_size<true>>&,
         std::uint64_t s, std::uint64_t e, std::uint64_t o, std::uint32_t b, std::uint32_t a)
        : start(s), end(e), offset(o), backing(b), attributes(a) {}
    std::uint64_t start;
    std::uint64_t end;
    std::uint64_t offset;
    std::uint32_t backing;
    std::uint32_t attributes;
  };
  struct StartOf {
    using type = std::uint64_t;
    std::uint64_t operator()(const Node& node) const { return node.start; }
  };
  using Set =
      boost::intrusive::set<Node, boost::intrusive::key_of_value<StartOf>, boost::intrusive::constant_time_size<false>>;

  Set::iterator make_room(const Piece& piece, OpsHash& hash) {
    const std::uint64_t end = piece.address + piece.bytes;
    auto it = set_.lower_bound(piece.address);
    if (it != set_.begin()) {
      auto left = std::prev(it);
      if (left->end > piece.address) {
        const std::uint64_t old_end = left->end;
        hash.remap({left->start, old_end - left->start}, {piece.address, std::min(old_end, end) - piece.address});
        left->end = piece.address;
        if (old_end > end) {
          return set_.insert_before(it,
                                    *new Node{{}, end, old_end, left->offset + (end - left->start), left->backing, 0});
        }
      }
    }
    while (it != set_.end() && it->start < end) {
      if (it->end > end) {
        hash.remap({it->start, it->end - it->start}, {it->start, end - it->start});
        it->offset += end - it->start;
        it->start = end;  // keeps its place: nothing lies between
        return it;
      }
      hash.unmap(it->start, it->end - it->start);
      it = set_.erase_and_dispose(it, [](Node* node) { delete node; });
    }
    return it;
  }

  Set set_;
};

}  // namespace softxe::bench
