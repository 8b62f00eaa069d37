// Scheduler: the flows of a simulated process as fibers of one thread, and who of them goes on.
//
// It is the Turns of the engine (base/turns.h) and its StepHook at once: every step, every ranked lock that is about to
// be taken and every wait comes here as a point. Outside of search() nothing is chosen: the main flow goes on until it
// sleeps, then the workers do. A run that cannot go on is a finding, told to the observer, which must not come back:
// the fibers that stand somewhere inside the engine can only be left behind, with the process. Next: strategy.h.
#pragma once

#include <boost/context/fiber.hpp>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/flow_locals.h"
#include "base/lock.h"
#include "base/step.h"
#include "base/turns.h"
#include "explore/strategy.h"

namespace softxe::explore {

/// Hears of a run. Called between the engine's instructions: must not call the engine.
class Observer {
 public:
  virtual ~Observer() = default;
  /// A choice was made that is not what goes by itself.
  virtual void chosen(const Choice& choice, const char* place) = 0;
  /// A step was reached while searching.
  virtual void reached(const StepSite&) {}
  /// `actor` goes on at `place`, where it stood.
  virtual void switched(ActorIndex /*to*/, const char* /*place*/) {}
  /// Nobody can go on, or nobody gets anywhere.
  [[noreturn]] virtual void stuck(const std::string& text) = 0;
};

/// Where another flow may be chosen though the one that runs could go on. A race between two steps is found much sooner
/// when locks are no places; one between a lock and the step before it is not found then.
enum class PreemptAt : std::uint8_t { kStepsAndLocks, kSteps };

class Scheduler final : public Turns, public StepHook {
 public:
  struct Config {
    Strategy& strategy;
    Observer& observer;
    StepHook* steps = nullptr;                          ///< asked at every step, after the choice
    std::function<void(std::uint64_t ns)> pass_time{};  ///< simulated time goes on
    std::uint64_t livelock_points = 200'000;            ///< without progress()
    PreemptAt preempt_at = PreemptAt::kStepsAndLocks;
  };
  explicit Scheduler(Config config);
  ~Scheduler() override;
  Scheduler(const Scheduler&) = delete;
  Scheduler& operator=(const Scheduler&) = delete;

  /// Runs `main` as the first actor, to its end; every other actor must have ended then, too.
  void run(std::function<void()> main);

  // --- for actors -----------------------------------------------------------------------------------
  /// What a flow uses: what it takes locks for and memory under them, or whatever it likes (an engine between its
  /// sections): then no order with it is like another.
  enum class Uses : std::uint8_t { kByLocks, kAnything };
  /// A worker may sleep for ever; what others wait for is an end of theirs.
  ActorIndex spawn(std::string name, std::function<void()> body, Uses uses = Uses::kByLocks);
  void join(ActorIndex actor);
  /// From here to `actors`' ends orders are searched; afterwards everybody has come to rest.
  void search(const std::vector<std::pair<std::string, std::function<void()>>>& actors);
  /// Somebody has got something done.
  void progress() { points_at_progress_ = points_; }
  /// No actor but the caller holds a lock: what must hold whenever nobody is at work holds now.
  bool nobody_holds_locks() const;
  /// While it lives the engine runs without points: for looking at it.
  class Pause {
   public:
    Pause();
    ~Pause();
    Pause(const Pause&) = delete;
    Pause& operator=(const Pause&) = delete;

   private:
    Turns* turns_;
    StepHook* steps_;
  };

  ActorIndex current() const { return static_cast<ActorIndex>(current_->index); }
  const std::string& name_of(ActorIndex actor) const { return actors_[actor]->name; }
  std::size_t actor_count() const { return actors_.size(); }
  std::uint64_t points() const { return points_; }

  // --- Turns ----------------------------------------------------------------------------------------
  void before_lock(const void* lock, const char* name, Access access) override;
  void took(const void* lock, const char* name, Access access) override;
  void gave(const void* lock) override;
  void sleep(const void* what, const char* name) override;
  bool sleep_for(const void* what, const char* name, std::uint64_t timeout_ns) override;
  void wake(const void* what, Whom whom) override;
  void until(const std::function<bool()>& holds, const char* name) override;
  // --- StepHook ---------------------------------------------------------------------------------------
  Status on_step(StepSite& site, bool may_fail) override;

 private:
  using Fiber = boost::context::fiber;
  enum class State : std::uint8_t { kReady, kAsleep, kUntil, kEnded };
  struct Actor {
    std::size_t index = 0;
    std::string name{};
    Uses uses = Uses::kByLocks;
    Fiber fiber{};
    State state = State::kReady;
    const char* place = "its begin";
    const void* what = nullptr;                    ///< kAsleep
    const std::function<bool()>* holds = nullptr;  ///< kUntil
    std::optional<std::uint64_t> wakes_ns{};       ///< kAsleep with a limit: in the time of this run
    bool timed_out = false;
    std::uint64_t points = 0;
    // What the thread has of its flow.
    detail::HeldLocks ranks{};
    std::uint64_t cause = 0;
    FlowLocals locals{};

    bool can_go_on() const { return state == State::kReady || (state == State::kUntil && (*holds)()); }
  };
  struct HeldLock {
    const void* lock;
    const char* name;
    ActorIndex holder;
    bool exclusive;
  };

  void rest();
  void point(const char* place, bool can_go_on);
  void count_point(const char* place);
  int failure_at(const char* place);
  /// Who goes on; the caller stays where it is until then.
  ActorIndex choose(const char* place, bool can_go_on);
  void go_on_with(ActorIndex next);
  void take_over(Actor& other);
  void begin_piece(const Actor& actor);
  void collect_ready();
  bool pass_time_to_next_limit();
  [[noreturn]] void nobody_can();
  std::string situation() const;
  std::size_t holders_besides_current() const;

  Config config_;
  std::vector<std::unique_ptr<Actor>> actors_;
  Actor* current_ = nullptr;
  Actor* left_ = nullptr;  ///< who ran before: its fiber is put back by who goes on
  Fiber outside_;
  std::vector<HeldLock> held_;
  std::vector<ActorIndex> ready_;
  std::vector<Touch> touched_;  ///< by the current actor since the last point
  bool searching_ = false;
  bool settling_ = false;  ///< main waits until nobody else can go on
  std::uint64_t points_ = 0;
  std::uint64_t points_at_progress_ = 0;
  std::uint64_t now_ns_ = 0;  ///< passed by time limits
};

}  // namespace softxe::explore
