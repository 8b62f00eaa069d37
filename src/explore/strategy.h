// Strategies: who goes on at a point. All are deterministic: the same number gives the same schedule.
//
//   replay       carries out the choices of a schedule
//   random       now and then another actor, how often is drawn for each schedule
//   pct          random priorities, changed at `depth` - 1 places: finds a race of that depth with known odds
//   exhaustive   every order with at most `depth` preemptions, one after the other; with depth 0 every order, but of
//                those that differ only in the order of steps that have nothing to do with each other mostly one
//   delays       every order with at most `depth` choices of somebody else than goes on by itself, preemption or not
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "base/prng.h"
#include "explore/schedule.h"

namespace softxe::explore {

/// What the code between two points has used, as far as locks tell. Equal names are taken for one thing.
struct Touch {
  const char* name;
  bool exclusive;
};
/// Of a piece that may use anything: its order matters beside every other.
inline constexpr const char* kEverything = "everything";
/// Whether the order of two pieces of code matters.
bool conflict(std::span<const Touch> one, std::span<const Touch> other);

/// A place where somebody may be chosen.
struct Point {
  ActorIndex actor;                   ///< who has come here
  std::uint64_t number;               ///< his points so far, this one included
  std::uint64_t total;                ///< everybody's
  bool can_go_on;                     ///< else he sleeps here, or has ended
  std::span<const ActorIndex> ready;  ///< ascending, not empty; with `actor` when that can go on
  std::span<const Touch> touched;     ///< since the point before this one, by `actor`

  ActorIndex by_itself() const { return can_go_on ? actor : ready.front(); }
};

class Strategy {
 public:
  virtual ~Strategy() = default;
  /// A run begins: the number of the schedule among all of this search.
  virtual void begin(std::uint64_t number) = 0;
  /// One of `ready`.
  virtual ActorIndex next(const Point& point) = 0;
  /// Whether the step fails, at one where failing is legal; 0: no. Asked behind its next().
  virtual int failure(const Point&) { return 0; }
  /// The run has ended after so many points. False: there are no more schedules.
  virtual bool end(std::uint64_t points) = 0;
  /// Runs that repeated the order of another one, but for steps that have nothing to do with each other.
  virtual std::uint64_t repeated() const { return 0; }
};

class Replay final : public Strategy {
 public:
  explicit Replay(std::span<const Choice> choices);
  void begin(std::uint64_t) override {}
  ActorIndex next(const Point& point) override;
  int failure(const Point& point) override;
  bool end(std::uint64_t) override { return false; }

 private:
  using Place = std::pair<ActorIndex, std::uint64_t>;
  std::map<Place, ActorIndex> next_;
  std::map<Place, int> fail_;
};

/// Draws failures of steps: at most `max` in a run.
class Failures {
 public:
  explicit Failures(unsigned max) : max_(max) {}
  void begin() { left_ = max_; }
  int draw(Prng& prng);

 private:
  unsigned max_;
  unsigned left_ = 0;
};

class RandomWalk final : public Strategy {
 public:
  RandomWalk(std::uint64_t seed, unsigned failures) : seed_(seed), failures_(failures) {}
  void begin(std::uint64_t number) override;
  ActorIndex next(const Point& point) override;
  int failure(const Point&) override { return failures_.draw(prng_); }
  bool end(std::uint64_t) override { return true; }

 private:
  std::uint64_t seed_;
  Prng prng_{1};
  std::uint64_t one_in_ = 1;
  Failures failures_;
};

class Pct final : public Strategy {
 public:
  /// `depth` at least 1.
  Pct(std::uint64_t seed, unsigned depth, unsigned failures) : seed_(seed), depth_(depth), failures_(failures) {}
  void begin(std::uint64_t number) override;
  ActorIndex next(const Point& point) override;
  int failure(const Point&) override { return failures_.draw(prng_); }
  bool end(std::uint64_t) override { return true; }
  /// Of how many points a run is, about. Before the first begin().
  void expect(std::uint64_t points) { length_ = points == 0 ? 1 : points; }

 private:
  std::uint64_t priority_of(ActorIndex actor);

  std::uint64_t seed_;
  unsigned depth_;
  Prng prng_{1};
  std::uint64_t length_ = 1000;            ///< of a run, about
  std::vector<std::uint64_t> priorities_;  ///< by actor; higher goes first
  std::vector<std::uint64_t> changes_;     ///< at these points of the run, ascending
  std::vector<std::uint64_t> changed_to_;  ///< the priority that each gives to who runs there: below all others, drawn
  std::size_t changed_ = 0;
  Failures failures_;
};

/// Depth first. A part of it (`shard` of `shards`) has the schedules whose first choice is its own; the parts together
/// have all of them, none twice.
class Exhaustive final : public Strategy {
 public:
  struct Part {
    std::uint64_t shard = 0;
    std::uint64_t shards = 1;
  };
  /// What counts against the limit: preemptions, or every choice of somebody else than goes on by itself.
  enum class Counts : std::uint8_t { kPreemptions, kChoices };
  struct Limit {
    unsigned max = 0;
    Counts counts = Counts::kPreemptions;
  };
  /// Without a limit (none): sleep sets leave out what an order before has shown.
  Exhaustive(std::optional<Limit> limit, Part part) : limit_(limit), part_(part) {}
  void begin(std::uint64_t) override;
  ActorIndex next(const Point& point) override;
  bool end(std::uint64_t) override;
  std::uint64_t repeated() const override { return repeated_; }

 private:
  using Touches = std::vector<Touch>;
  /// An actor whose next piece of code was tried first elsewhere: it need not go on before something that conflicts.
  struct Sleeper {
    ActorIndex actor;
    Touches touches;
  };
  /// One point with more than one answer.
  struct Fork {
    std::vector<ActorIndex> options{};  ///< the one that it takes by itself first
    std::size_t taken = 0;
    bool free = false;            ///< another answer does not count against the limit
    unsigned counted = 0;         ///< against the limit, before this one
    std::vector<Sleeper> done{};  ///< answers tried to their end
    Touches touches{};            ///< of the answer under way
  };
  bool affordable(const Fork& fork) const { return !limit_ || fork.free || fork.counted < limit_->max; }
  bool sleeps(ActorIndex actor) const;
  void note_touches(const Point& point);
  bool mine(std::size_t fork, std::size_t option) const;
  bool advance(std::size_t at);

  std::optional<Limit> limit_;
  Part part_;
  std::vector<Fork> forks_;
  std::vector<Sleeper> asleep_;
  std::optional<std::size_t> last_fork_;  ///< whose answer is under way
  bool repeats_ = false;                  ///< the run under way shows nothing new any more
  std::uint64_t repeated_ = 0;
  std::size_t at_ = 0;    ///< forks met in this run
  unsigned counted_ = 0;  ///< against the limit, in this run
};

}  // namespace softxe::explore
