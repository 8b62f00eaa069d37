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
    if (free_ == nullptr && !grow()) return nullptr;
    Place* place = free_;
    free_ = place->next;
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
  static constexpr std::size_t kNodes = 64;
  union Place {
    Place() : next(nullptr) {}
    ~Place() {}
    Place* next;
    alignas(Node) std::byte bytes[sizeof(Node)];
  };
  struct Chunk {
    Place places[kNodes];
    Chunk* next;
  };

  /// New places are handed out in address order.
  bool grow() {
    auto* chunk = new (std::nothrow) Chunk;
    if (chunk == nullptr) return false;
    chunk->next = chunks_;
    chunks_ = chunk;
    for (std::size_t i = kNodes; i-- > 0;) {
      chunk->places[i].next = free_;
      free_ = &chunk->places[i];
    }
    return true;
  }

  Place* free_ = nullptr;
  Chunk* chunks_ = nullptr;
  std::size_t alive_ = 0;
};

}  // namespace softxe
