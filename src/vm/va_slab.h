// VaSlab: where nodes of a VA space come from when there are many of them.
//
// A request cuts and replaces mappings all the time; one malloc for each costs more than the change
// of the tree, and scatters the nodes. A slab hands out the place that was given back last, out of
// chunks.
#pragma once

#include <cstddef>
#include <new>
#include <utility>

#include "base/result.h"

namespace softxe {

/// Owns the memory, not the nodes: every node is dropped before the slab goes. Not thread-safe; one
/// per space, under its lock. Memory is given back with the slab.
template <typename Node>
class VaSlab {
 public:
  VaSlab() = default;
  VaSlab(const VaSlab&) = delete;
  VaSlab& operator=(const VaSlab&) = delete;
  ~VaSlab() {
    SX_ASSERT(alive_ == 0);
    while (chunks_ != nullptr) {
      Chunk* next = chunks_->next;
      delete chunks_;
      chunks_ = next;
    }
  }

  /// Null without memory.
  template <typename... Args>
  Node* make(Args&&... args) {
    Place* place = free_;
    if (place != nullptr) {
      free_ = place->next;
    } else {
      if (unused_ == unused_end_ && !grow()) return nullptr;
      place = unused_++;
    }
    ++alive_;
    return ::new (static_cast<void*>(place)) Node(std::forward<Args>(args)...);
  }
  void drop(Node& node) {
    node.~Node();
    Place* place = ::new (static_cast<void*>(&node)) Place;
    place->next = free_;
    free_ = place;
    --alive_;
  }
  std::size_t alive() const { return alive_; }

 private:
  static constexpr std::size_t kNodes = 960 / sizeof(Node);
  union Place {
    Place() {}
    ~Place() {}
    Place* next;
    alignas(Node) std::byte bytes[sizeof(Node)];
  };
  struct Chunk {
    Place places[kNodes];
    Chunk* next;
  };

  bool grow() {
    auto* chunk = new (std::nothrow) Chunk;
    if (chunk == nullptr) return false;
    chunk->next = chunks_;
    chunks_ = chunk;
    unused_ = chunk->places;
    unused_end_ = unused_ + kNodes;
    return true;
  }

  Place* free_ = nullptr;
  Place* unused_ = nullptr;  // of the newest chunk: handed out in address order, untouched until then
  Place* unused_end_ = nullptr;
  Chunk* chunks_ = nullptr;
  std::size_t alive_ = 0;
};

}  // namespace softxe
