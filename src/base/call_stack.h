// Call stacks of the client, recorded beside the events of its calls (docs/TRACE.md 4).
//
// A hook that lets the client into the engine has a CallStack on its stack; EventStream::put() says which event it
// belongs to. Only return addresses are recorded, found by the unwinder of C++ exceptions, which allocates nothing and
// takes no lock; their names are looked up by who prints.
//
// Without a ring a CallStack is one relaxed load. A full ring drops the stack and counts it; nobody waits.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <vector>

#include "base/event_ring.h"

namespace softxe {

inline constexpr std::uint32_t kStackFramesMax = 29;

struct StackRecord {
  std::uint64_t number = 0;  ///< published once it is the claim's plus 1
  std::uint64_t event = 0;   ///< seq of the call
  std::uint32_t depth = 0;   ///< frames that follow
  std::uint32_t reserved = 0;
  /// Innermost first, without those of this library; addresses inside of the call instructions.
  std::array<std::uint64_t, kStackFramesMax> frames{};
};
static_assert(sizeof(StackRecord) == 256);

/// Zero-filled memory is an empty ring. May be shared between processes, hence whole pages.
struct alignas(4096) StackRing {
  static constexpr std::uint64_t kSlots = 4096;

  alignas(64) std::atomic<std::uint64_t> head;     ///< slots ever claimed
  alignas(64) std::atomic<std::uint64_t> tail;     ///< slots ever given back
  alignas(64) std::atomic<std::uint64_t> dropped;  ///< stacks that found the ring full
  alignas(64) std::array<StackRecord, kSlots> slots;
};

/// Where stacks go from here on; null: nowhere. The ring outlives everybody who may put something into it.
void set_stack_ring(StackRing* ring);

/// What is published, in order, as read_ring() does. One reader.
void read_stacks(StackRing& ring, RingWriters writers, std::vector<StackRecord>& stacks);

/// The stack of this thread, where it called the engine. Inside of another one it is none. Made where no lock is held:
/// pages of the stack may have to come home from VRAM.
class CallStack {
 public:
  CallStack() {
    if (ring_now().load(std::memory_order_relaxed) != nullptr) unwind();
  }
  ~CallStack();
  CallStack(const CallStack&) = delete;
  CallStack& operator=(const CallStack&) = delete;

 private:
  friend void note_call(std::uint64_t event);
  static std::atomic<StackRing*>& ring_now();
  void unwind();
  void put(StackRing& ring, std::uint64_t event) const;

  bool outermost_ = false;
  std::uint32_t depth_ = 0;
  std::array<std::uint64_t, kStackFramesMax> frames_;
};

/// This thread's call is that event: the reader finds its stack before the event. Any lock, no allocation.
void note_call(std::uint64_t event);

}  // namespace softxe
