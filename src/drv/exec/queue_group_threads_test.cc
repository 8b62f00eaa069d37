// Multi-queue groups with real workers: one member at a time whatever engines and clients do, and nothing stays behind.
#include <gtest/gtest.h>

#include <thread>

#include "base/prng.h"
#include "drv/exec/exec_test_rig.h"

namespace softxe::exec_test {
namespace {

constexpr unsigned kMembers = 12;
constexpr int kNobody = -1;

/// What the batches of one group see of each other.
struct Watch {
  std::atomic<int> holder{kNobody};
  std::atomic<unsigned> broken{0};
  std::array<std::atomic<bool>, kMembers> killed{};  ///< or about to be: it may leave in the middle
  std::array<unsigned, kMembers> slices{};           ///< of the batch under way; one member's batches do not overlap
};

/// Three slices without a point where another may go, then a semaphore, then the end.
Program batch_of(Watch& watch, int member) {
  return [&watch, member](const SliceView&) {
    const int before = watch.holder.exchange(member);
    const bool left = before == kNobody || before == member || watch.killed[static_cast<unsigned>(before)].load();
    if (!left) watch.broken.fetch_add(1);
    unsigned& slices = watch.slices[static_cast<unsigned>(member)];
    const SliceEnd end = ++slices < 4 ? SliceEnd::kBudget : slices == 4 ? SliceEnd::kYield : SliceEnd::kDone;
    if (end == SliceEnd::kDone) slices = 0;
    if (end != SliceEnd::kBudget) watch.holder.store(kNobody);
    return end;
  };
}

TEST(QueueGroupThreads, OneMemberAtATimeAndNothingStaysBehind) {
  Rig rig(ExecPolicy::kThreads, kProfileCri);
  constexpr unsigned kGroups = 4;
  std::array<Watch, kGroups> watches;
  for (unsigned g = 0; g < kGroups; ++g)
    for (unsigned m = 0; m < kMembers; ++m)
      rig.hw.programs[0x1000 * (g * kMembers + m + 1)] = batch_of(watches[g], static_cast<int>(m));
  const auto client = [&](unsigned g) {
    Prng prng(g + 1);
    const auto vm = make_vm(VmMode::kFault);
    ExecQueueCreateRequest request;
    request.width = 1;
    // Two of the groups may go to any of three engines, and so meet the others.
    request.placement = EnginePlacement{EngineClass::kCopy, g % 2 == 0 ? 0b111u : 1u};
    std::vector<ExecQueuePtr> members;
    for (unsigned m = 0; m < kMembers; ++m) {
      ExecQueueProperties properties;
      properties.group_primary = m == 0;
      properties.group_priority = static_cast<QueuePriority>(m % 3);
      members.push_back(*rig.exec.create_queue(request, properties, vm, m == 0 ? nullptr : members.front()));
    }
    std::vector<FencePtr> jobs;
    for (unsigned i = 0; i < 300; ++i) {
      const unsigned m = static_cast<unsigned>(prng.below(kMembers));
      if (rig.submit(members[m], 0x1000 * (g * kMembers + m + 1)))
        jobs.push_back(rig.exec.scheduler().last_fence(*members[m]));
      if (prng.chance(1, 40)) {
        const std::size_t victim = 1 + prng.below(kMembers - 1);
        watches[g].killed[victim].store(true);
        rig.exec.destroy_queue(members[victim]);
      }
      if (prng.chance(1, 20)) {
        ExecQueue& any = *members[prng.below(kMembers)];
        EXPECT_TRUE(rig.exec.scheduler().set_group_priority(any, static_cast<QueuePriority>(prng.below(3))));
      }
    }
    if (g == 3) {
      for (auto& killed : watches[g].killed) killed.store(true);
      rig.exec.destroy_queue(members.front());
    }
    WaitContext context{rig.steady, {}};
    for (const FencePtr& job : jobs) EXPECT_TRUE(job->wait(context, Deadline::never()));
  };
  std::vector<std::thread> clients;
  for (unsigned g = 0; g < kGroups; ++g) clients.emplace_back(client, g);
  for (std::thread& thread : clients) thread.join();
  for (const Watch& watch : watches) EXPECT_EQ(watch.broken.load(), 0u);
  rig.exec.shut_down();
}

}  // namespace
}  // namespace softxe::exec_test
