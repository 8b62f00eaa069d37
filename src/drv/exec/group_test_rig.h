// For tests of multi-queue groups: programs of queues as lines of letters, one letter for each slice.
//
//   b  goes on at the next slice      p  the same, as a spinner
//   w  waits in vain                  W  did something, then waits
//   .  the batch ends                 f  page fault        c  bad command
//
// A letter is used up by its slice: "w." waits once and is satisfied when it is looked at again. The order in which
// slices ran is a string with one digit for each: the number of the queue.
#pragma once

#include <string>
#include <vector>

#include "drv/exec/exec_test_rig.h"

namespace softxe::exec_test {

/// One copy engine, or two, and one compute engine; groups on both classes. Cheap to make.
inline constexpr GtFact kGroupGts[1] = {};  // a main GT
inline constexpr EngineFact kGroupEngines[] = {
    {EngineClass::kCopy, 0, 0}, {EngineClass::kCopy, 1, 0}, {EngineClass::kCompute, 0, 0}};
constexpr DeviceProfile make_group_profile() {
  DeviceProfile p = {};
  p.va_bits = 48;
  p.gts = kGroupGts;
  p.engines = kGroupEngines;
  return p;
}
inline constexpr DeviceProfile kGroupProfile = make_group_profile();

struct QueuePlace {
  EngineClass cls = EngineClass::kCopy;
  unsigned mask = 1;
};

/// Queues by number. Each of their batches has an address of its own.
class GroupRig : public Rig {
 public:
  explicit GroupRig(VmMode mode = VmMode::kFault) : Rig(ExecPolicy::kManual, kGroupProfile), vm(make_vm(mode)) {}
  ~GroupRig() { exec.shut_down(); }

  struct Make {
    GroupRole role = GroupRole::kNone;
    unsigned primary = 0;  ///< of a secondary: number of the queue
    QueuePriority in_group = QueuePriority::kNormal;
    QueuePriority of_queue = QueuePriority::kNormal;
    QueuePlace place{};
  };
  /// The number of the new queue.
  Result<unsigned> make(const Make& what) {
    ExecQueueCreateRequest request;
    request.placement = EnginePlacement{what.place.cls, what.place.mask};
    ExecQueueProperties properties;
    properties.priority = what.of_queue;
    properties.group_priority = what.in_group;
    properties.group_primary = what.role == GroupRole::kPrimary;
    ExecQueuePtr primary;
    if (what.role == GroupRole::kSecondary) {
      primary = queues[what.primary];
      properties.group_of = QueueId{1};
    }
    SX_TRY(ExecQueuePtr made, exec.create_queue(request, properties, vm, primary));
    queues.push_back(std::move(made));
    return static_cast<unsigned>(queues.size() - 1);
  }

  /// EXEC of a batch with that program; its fence.
  FencePtr start(unsigned queue, const std::string& program) {
    const std::uint64_t at = 0x1000 * ++batches_;
    hw.programs[at] = [this, queue, program, next = std::size_t{0}](const SliceView& slice) mutable {
      ran.push_back(queue);
      ran_on.push_back(slice.engine.engine_class * 10u + slice.engine.instance);
      const char letter = next < program.size() ? program[next++] : '.';
      if (letter != 'w' && letter != 'p') ++slice.progress;
      switch (letter) {
        case 'b': return SliceEnd::kBudget;
        case 'p': return SliceEnd::kPolling;
        case 'w':
        case 'W': return SliceEnd::kYield;
        case 'f': return SliceEnd::kFault;
        case 'c': return SliceEnd::kBadCommand;
        default: return SliceEnd::kDone;
      }
    };
    return run(queues[queue], at);
  }

  std::string order() const {
    std::string text;
    for (const unsigned queue : ran) text += static_cast<char>('0' + queue);
    return text;
  }

  std::shared_ptr<FakeVm> vm;
  std::vector<ExecQueuePtr> queues;
  std::vector<unsigned> ran;     ///< by slice: the queue
  std::vector<unsigned> ran_on;  ///< by slice: class * 10 + instance of the engine

 private:
  std::uint64_t batches_ = 0;
};

}  // namespace softxe::exec_test
