// Arena: memory that belongs to the engine and can never be in VRAM.
//
// The thread that serves CPU faults must not touch a page that is itself missing, nor a lock that a
// thread inside malloc may hold (spec/live-memory.md 4). Everything it reads or writes is allocated
// here: one mapping of the runtime (base/engine_memory.h), usable as far as it is filled, never returned.
#pragma once

#include <cstddef>
#include <cstdint>
#include <new>

#include "base/address.h"
#include "base/engine_memory.h"
#include "base/result.h"

namespace softxe::live {

/// A bump allocator over one mapping. Owner: LiveHostMm, which itself lives inside.
/// Not thread-safe: used during construction and then under the mm lock.
class Arena {
 public:
  static Result<Arena> make(std::uint64_t bytes);
  /// Zeroed memory, aligned to a cache line; null when the arena is used up.
  void* take(std::size_t bytes);
  HostRange range() const { return mapping_.range(); }
  std::uint64_t used_bytes() const { return used_; }

 private:
  EngineMapping mapping_;
  std::uint64_t used_ = 0;
};

/// Objects of one type from an Arena, recycled through a free list. Guarded by its owner's lock.
template <typename T>
class Pool {
 public:
  /// Null when the arena is used up.
  template <typename... Args>
  T* make(Arena& arena, Args&&... args) {
    void* memory = free_;
    if (free_ != nullptr) {
      free_ = free_->next;
    } else {
      memory = arena.take(kBytes);
      if (memory == nullptr) return nullptr;
    }
    return ::new (memory) T(static_cast<Args&&>(args)...);
  }
  void drop(T* object) {
    object->~T();
    free_ = ::new (static_cast<void*>(object)) FreeNode{free_};
  }
  /// Makes sure that `count` calls of make() cannot fail. False when the arena is used up.
  bool reserve(Arena& arena, std::size_t count) {
    std::size_t have = 0;
    for (FreeNode* n = free_; n != nullptr && have < count; n = n->next) ++have;
    for (; have < count; ++have) {
      void* memory = arena.take(kBytes);
      if (memory == nullptr) return false;
      free_ = ::new (memory) FreeNode{free_};
    }
    return true;
  }

 private:
  struct FreeNode {
    FreeNode* next;
  };
  static constexpr std::size_t kBytes = sizeof(T) < sizeof(FreeNode) ? sizeof(FreeNode) : sizeof(T);
  FreeNode* free_ = nullptr;
};

}  // namespace softxe::live
