#include "base/call_stack.h"

#include <unwind.h>

#include <algorithm>
#include <span>

#include "base/shared_ring.h"

// Of the library or program that this is linked into.
extern "C" {
[[gnu::visibility("hidden")]] extern const char __ehdr_start[];  // NOLINT(bugprone-reserved-identifier): the linker's
[[gnu::visibility("hidden")]] extern const char etext[];
}

namespace softxe {

namespace {

constinit std::atomic<StackRing*> ring{nullptr};
constinit thread_local const CallStack* current = nullptr;

bool is_own(std::uint64_t address) {
  return address >= reinterpret_cast<std::uint64_t>(__ehdr_start) && address < reinterpret_cast<std::uint64_t>(etext);
}

struct Walk {
  std::array<std::uint64_t, kStackFramesMax>& frames;
  std::uint32_t depth = 0;
};

_Unwind_Reason_Code take_frame(_Unwind_Context* context, void* argument) {
  auto& walk = *static_cast<Walk*>(argument);
  int at_instruction = 0;
  const std::uint64_t ip = _Unwind_GetIPInfo(context, &at_instruction);
  if (ip == 0) return _URC_END_OF_STACK;
  const std::uint64_t address = at_instruction != 0 ? ip : ip - 1;
  if (is_own(address)) return _URC_NO_REASON;
  walk.frames[walk.depth++] = address;
  return walk.depth == kStackFramesMax ? _URC_END_OF_STACK : _URC_NO_REASON;
}

}  // namespace

void set_stack_ring(StackRing* to) { ring.store(to, std::memory_order_release); }

std::atomic<StackRing*>& CallStack::ring_now() { return ring; }

void CallStack::unwind() {
  if (current != nullptr) return;
  Walk walk{frames_};
  _Unwind_Backtrace(take_frame, &walk);
  depth_ = walk.depth;
  outermost_ = true;
  current = this;
}

CallStack::~CallStack() {
  if (outermost_) current = nullptr;
}

void CallStack::put(StackRing& to, std::uint64_t event) const {
  const std::optional<std::uint64_t> claim = claim_slot(to);
  if (!claim) return;
  StackRecord& slot = to.slots[*claim % StackRing::kSlots];
  slot.event = event;
  slot.depth = depth_;
  std::copy_n(frames_.begin(), depth_, slot.frames.begin());
  publish_slot(slot.number, *claim);
}

void note_call(std::uint64_t event) {
  if (current == nullptr) return;
  if (StackRing* to = ring.load(std::memory_order_acquire); to != nullptr) current->put(*to, event);
}

void read_stacks(StackRing& from, RingWriters writers, std::vector<StackRecord>& stacks) {
  const std::size_t before = stacks.size();
  read_slots(from, &StackRecord::number, writers, stacks);
  for (StackRecord& stack : std::span(stacks).subspan(before)) stack.depth = std::min(stack.depth, kStackFramesMax);
}

}  // namespace softxe
