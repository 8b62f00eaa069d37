// Random programs of queues, groups, semaphores, priorities, bans and destructions: which queue runs at each slice and
// what becomes of each job is what a naive model says (spec/multi-queue.md 1.4 and 2).
#include <gtest/gtest.h>

#include <algorithm>
#include <deque>

#include "base/prng.h"
#include "drv/exec/group_test_rig.h"

namespace softxe::exec_test {
namespace {

/// Who may run now, who runs next, who falls with whom: lists and loops, nothing remembered that could be looked up.
/// A group is a set of queues with a name; a queue without one is a group of its own that switches at every slice.
class Model {
 public:
  static constexpr int kPending = -1;
  struct Batch {
    std::string program;
    std::size_t next = 0;
    bool started = false;
    int result = kPending;
  };
  struct Queue {
    int group = -1;
    bool primary = false;
    bool high = false;  ///< inside its group
    int of_queue = 1;   ///< priority among contexts
    std::size_t engine = 0;
    bool alive = true;
    std::vector<Batch> batches;
    bool in_vain = false;
    bool got_on = false;  ///< since it has the engine
    unsigned passed = 0;
  };

  bool in_same_group(unsigned a, unsigned b) const {
    return queues[a].group >= 0 && queues[a].group == queues[b].group;
  }

  Batch* front(unsigned q) {
    for (Batch& batch : queues[q].batches)
      if (batch.result == kPending) return &batch;
    return nullptr;
  }

  void submit(unsigned q, const std::string& program) {
    const bool idle = front(q) == nullptr;
    queues[q].batches.push_back({program});
    if (idle) line[queues[q].engine].push_back(q);
  }

  /// A member that has begun and has not come to the end of its batch or to a semaphore.
  std::optional<unsigned> holder(unsigned q) const {
    for (unsigned other = 0; other < queues.size(); ++other)
      if ((other == q || in_same_group(q, other)) && holds[other]) return other;
    return std::nullopt;
  }

  bool waits_for_a_better_one(unsigned q) {
    const auto urgent = [this](unsigned member) { return queues[member].high && !queues[member].in_vain; };
    for (unsigned other : line[queues[q].engine])
      if (in_same_group(q, other) && urgent(other) && !urgent(q)) return true;
    return false;
  }

  bool may_run(unsigned q) {
    const auto by = holder(q);
    if (queues[q].group < 0) return true;
    return by ? *by == q : !waits_for_a_better_one(q);
  }

  /// Of an engine; none when nothing may run there.
  std::optional<unsigned> next_on(std::size_t engine) {
    if (paused) return std::nullopt;
    std::vector<unsigned> able;
    for (unsigned q : line[engine])
      if (may_run(q)) able.push_back(q);
    if (able.empty()) return std::nullopt;
    const unsigned best = *std::max_element(
        able.begin(), able.end(), [&](unsigned a, unsigned b) { return queues[a].of_queue < queues[b].of_queue; });
    const bool aged = best != able.front() && ++queues[able.front()].passed > 8;
    return aged ? able.front() : best;
  }

  /// The engines look in turn.
  std::optional<unsigned> next() {
    for (std::size_t i = 0; i < line.size(); ++i)
      if (const auto q = next_on(turn++ % line.size())) return q;
    return std::nullopt;
  }

  void run(unsigned q) {
    Queue& queue = queues[q];
    std::erase(line[queue.engine], q);
    queue.passed = 0;
    if (queue.in_vain && !holds[q]) look_again(q);
    if (!holds[q]) queue.got_on = false;
    holds[q] = queue.group >= 0;
    Batch& batch = *front(q);
    batch.started = true;
    const char letter = batch.next < batch.program.size() ? batch.program[batch.next++] : '.';
    if (letter == 'b' || letter == 'W') queue.got_on = true;
    switch (letter) {
      case 'b':
      case 'p': line[queue.engine].push_back(q); return;
      case 'w':
      case 'W':
        if (queue.got_on) look_again(q);
        queue.in_vain = true;
        release(q);
        line[queue.engine].push_back(q);
        return;
      case 'f':
      case 'c':
        release(q);
        ban(q, EIO);
        return;
      default:
        look_again(q);
        release(q);
        batch.result = 0;
        if (front(q) != nullptr) line[queue.engine].push_back(q);
    }
  }

  void look_again(unsigned q) {
    for (unsigned other = 0; other < queues.size(); ++other)
      if (other == q || in_same_group(q, other)) queues[other].in_vain = false;
  }

  /// Another member may go; the group has had its turn.
  void release(unsigned q) {
    if (!holds[q]) return;
    holds[q] = false;
    std::deque<unsigned> reordered;
    for (unsigned other : line[queues[q].engine])
      if (!in_same_group(q, other)) reordered.push_back(other);
    for (unsigned other : line[queues[q].engine])
      if (in_same_group(q, other)) reordered.push_back(other);
    line[queues[q].engine] = reordered;
  }

  void end(unsigned q, int error_of_started) {
    if (!queues[q].alive) return;
    queues[q].alive = false;
    std::erase(line[queues[q].engine], q);
    release(q);
    bool first = true;
    for (Batch& batch : queues[q].batches) {
      if (batch.result != kPending) continue;
      batch.result = first && batch.started ? error_of_started : ECANCELED;
      first = false;
    }
  }

  void ban(unsigned q, int error) {
    end(q, error);
    for (unsigned other = 0; other < queues.size(); ++other)
      if (in_same_group(q, other)) end(other, ECANCELED);
  }

  void destroy(unsigned q) {
    if (queues[q].primary && queues[q].alive) return ban(q, ECANCELED);
    end(q, ECANCELED);
  }

  void reset_gt() {
    std::vector<unsigned> hit;
    for (unsigned q = 0; q < queues.size(); ++q)
      if (const Batch* batch = front(q); queues[q].alive && batch != nullptr && batch->started) hit.push_back(q);
    std::vector<unsigned> all = hit;
    for (unsigned q : hit)
      for (unsigned other = 0; other < queues.size(); ++other)
        if (in_same_group(q, other)) all.push_back(other);
    for (unsigned q : all) end(q, EIO);
  }

  std::vector<Queue> queues;
  std::deque<bool> holds;
  std::vector<std::deque<unsigned>> line{std::size(kGroupEngines)};
  bool paused = false;
  std::size_t turn = 0;
};

/// One random program, done to both.
class Program {
 public:
  explicit Program(std::uint64_t seed) : prng_(seed), rig_(prng_.chance(1, 2) ? VmMode::kFault : VmMode::kDmaFence) {}

  /// Empty, or what differs.
  const std::string& operations() const { return done_; }
  std::string run() {
    for (int i = 0; i < 3; ++i) make_queue();
    const std::uint64_t operations = 10 + prng_.below(25);
    for (std::uint64_t i = 0; i < operations; ++i) {
      operate();
      if (const std::string what = compare(); !what.empty()) return what;
    }
    pause_.reset();
    model_.paused = false;
    for (int i = 0; i < 400; ++i) {
      if (const std::string what = slice(); !what.empty()) return what;
    }
    return compare();
  }

 private:
  static constexpr unsigned kQueuesMax = 9;

  void make_queue() {
    if (rig_.queues.size() == kQueuesMax) return;
    constexpr QueuePlace kPlaces[] = {{EngineClass::kCopy, 1}, {EngineClass::kCopy, 2}, {EngineClass::kCompute, 1}};
    Model::Queue queue;
    GroupRig::Make make;
    make.in_group = static_cast<QueuePriority>(prng_.below(3));
    make.of_queue = prng_.chance(1, 4) ? static_cast<QueuePriority>(prng_.below(3)) : QueuePriority::kNormal;
    queue.engine = prng_.chance(2, 3) ? 0 : prng_.below(3);
    std::vector<unsigned> primaries;
    for (unsigned q = 0; q < model_.queues.size(); ++q)
      if (model_.queues[q].primary) primaries.push_back(q);
    const std::uint64_t kind = prng_.below(5);
    if (kind >= 2 && !primaries.empty()) {
      make.role = GroupRole::kSecondary;
      make.primary = primaries[prng_.below(primaries.size())];
      const Model::Queue& primary = model_.queues[make.primary];
      queue.group = primary.group;
      queue.engine = primary.engine;
      queue.alive = primary.alive;
      queue.of_queue = primary.of_queue;
    } else {
      queue.of_queue = static_cast<int>(make.of_queue);
      if (kind >= 1) {
        make.role = GroupRole::kPrimary;
        queue.primary = true;
        queue.group = static_cast<int>(model_.queues.size());
      }
    }
    if (make.role == GroupRole::kNone) make.in_group = QueuePriority::kNormal;
    queue.high = make.in_group == QueuePriority::kHigh;
    make.place = kPlaces[queue.engine];
    EXPECT_TRUE(rig_.make(make));
    done_ += fmt::format("queue {} group {} engine {} in_group {} of_queue {}; ", model_.queues.size(), queue.group,
                         queue.engine, static_cast<int>(make.in_group), queue.of_queue);
    model_.queues.push_back(queue);
    model_.holds.push_back(false);
    fences_.emplace_back();
  }

  unsigned any_queue() { return static_cast<unsigned>(prng_.below(rig_.queues.size())); }

  void submit() {
    const unsigned q = any_queue();
    const bool alive = model_.queues[q].alive;
    EXPECT_EQ(rig_.exec.check_submit(*rig_.queues[q]).has_value(), alive);
    if (!alive) return;
    std::string program;
    const std::uint64_t length = prng_.below(5);
    for (std::uint64_t i = 0; i < length; ++i) program += "bbbpwwwW"[prng_.below(8)];
    program += prng_.chance(1, 25) ? (prng_.chance(1, 2) ? 'f' : 'c') : '.';
    done_ += fmt::format("submit {} {}; ", q, program);
    fences_[q].push_back(rig_.start(q, program));
    model_.submit(q, program);
  }

  void operate() {
    switch (prng_.below(16)) {
      case 0: return make_queue();
      case 1: {
        const unsigned q = any_queue();
        if (prng_.chance(1, 2)) return;
        done_ += fmt::format("destroy {}; ", q);
        rig_.exec.destroy_queue(rig_.queues[q]);
        return model_.destroy(q);
      }
      case 2: {
        const unsigned q = any_queue();
        const auto priority = static_cast<QueuePriority>(prng_.below(3));
        done_ += fmt::format("priority {} {}; ", q, static_cast<int>(priority));
        const Status set = rig_.exec.scheduler().set_group_priority(*rig_.queues[q], priority);
        EXPECT_EQ(set.has_value(), model_.queues[q].group >= 0);
        if (model_.queues[q].group >= 0 && model_.queues[q].alive)
          model_.queues[q].high = priority == QueuePriority::kHigh;
        return;
      }
      case 3:
        if (model_.paused || !prng_.chance(1, 4)) {
          pause_.reset();
        } else {
          pause_.emplace(rig_.exec, rig_.vm);
        }
        model_.paused = pause_.has_value();
        done_ += model_.paused ? "pause; " : "resume; ";
        return;
      case 4:
        if (!prng_.chance(1, 6)) return;
        done_ += "reset; ";
        rig_.exec.reset_gt(0);
        return model_.reset_gt();
      case 5:
      case 6:
      case 7:
      case 8:
      case 9: return submit();
      default:
        if (const std::string what = slice(); !what.empty()) differs_ = what;
    }
  }

  std::string slice() {
    const auto expected = model_.next();
    const std::size_t before = rig_.ran.size();
    const bool ran = rig_.exec.run_once();
    if (ran != expected.has_value()) return fmt::format("something ran: {}, expected {}", ran, expected.has_value());
    if (!ran) return {};
    if (rig_.ran.size() != before + 1) return "not one slice";
    if (rig_.ran.back() != *expected) return fmt::format("queue {} ran, expected {}", rig_.ran.back(), *expected);
    done_ += fmt::format("{} runs; ", *expected);
    model_.run(*expected);
    return {};
  }

  std::string compare() {
    if (!differs_.empty()) return differs_;
    for (unsigned q = 0; q < model_.queues.size(); ++q) {
      if (rig_.queues[q]->reset() == model_.queues[q].alive) return fmt::format("queue {} is reset, or is not", q);
      for (std::size_t i = 0; i < fences_[q].size(); ++i) {
        const int result = model_.queues[q].batches[i].result;
        const int seen = fences_[q][i]->signalled() ? fences_[q][i]->error() : Model::kPending;
        if (seen != result) return fmt::format("batch {} of queue {}: {}, expected {}", i, q, seen, result);
      }
    }
    return {};
  }

  std::string done_;  ///< the operations, for a message
  Prng prng_;
  GroupRig rig_;
  Model model_;
  std::vector<std::vector<FencePtr>> fences_;
  std::optional<DeviceExec::VmPause> pause_;
  std::string differs_;
};

TEST(QueueGroupModel, AgreesOverAHundredThousandRandomPrograms) {
  for (std::uint64_t seed = 1; seed <= 100'000; ++seed) {
    Program program(seed);
    ASSERT_EQ(program.run(), "") << "seed " << seed << ": " << program.operations();
  }
}

/// Virtual groups: where a member runs is the scheduler's choice; that one runs at a time, to a point where another may
/// go, and that a high one goes first is not.
TEST(QueueGroupModel, VirtualGroupsKeepTheRules) {
  for (std::uint64_t seed = 1; seed <= 5000; ++seed) {
    Prng prng(seed);
    GroupRig rig;
    std::vector<std::string> programs;
    for (unsigned i = 0; i < 5; ++i) {
      const bool high = i != 0 && prng.chance(1, 3);
      ASSERT_TRUE(rig.make({.role = i == 0 ? GroupRole::kPrimary : GroupRole::kSecondary,
                            .in_group = high ? QueuePriority::kHigh : QueuePriority::kNormal,
                            .place = {EngineClass::kCopy, 0b11}}));
      std::string program;
      for (std::uint64_t k = prng.below(5); k != 0; --k) program += "bbw"[prng.below(3)];
      programs.push_back(program + ".");
      rig.start(i, programs.back());
    }
    // One without a group keeps one of the engines busy.
    ASSERT_TRUE(rig.make({.place = {EngineClass::kCopy, 1}}));
    rig.start(5, "bbbbbb.");
    rig.drain();
    std::vector<std::size_t> at(5, 0);
    std::optional<unsigned> holder;
    for (const unsigned q : rig.ran) {
      if (q == 5) continue;
      ASSERT_TRUE(!holder || *holder == q) << "seed " << seed << ": " << rig.order();
      const char letter = programs[q][at[q]++];
      holder = letter == 'b' ? std::optional(q) : std::nullopt;
    }
    for (unsigned q = 0; q < 5; ++q) ASSERT_EQ(at[q], programs[q].size()) << "seed " << seed << ": not all of " << q;
  }
}

}  // namespace
}  // namespace softxe::exec_test
