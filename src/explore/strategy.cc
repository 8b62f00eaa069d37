#include "explore/strategy.h"

#include <algorithm>
#include <cerrno>

namespace softxe::explore {

namespace {

bool is_ready(const Point& point, ActorIndex actor) {
  return std::find(point.ready.begin(), point.ready.end(), actor) != point.ready.end();
}

/// Every schedule of a search has chances of its own.
Prng chances(std::uint64_t seed, std::uint64_t number) { return Prng(Prng(seed).next() ^ Prng(number).next()); }

}  // namespace

// --- replay ---------------------------------------------------------------------------------------------

Replay::Replay(std::span<const Choice> choices) {
  for (const Choice& c : choices) {
    if (c.err != 0) {
      fail_[{c.actor, c.point}] = c.err;
    } else {
      next_[{c.actor, c.point}] = c.next;
    }
  }
}

/// A choice that is not possible any more, since another was taken away, is none.
ActorIndex Replay::next(const Point& point) {
  const auto found = next_.find({point.actor, point.number});
  if (found == next_.end() || !is_ready(point, found->second)) return point.by_itself();
  return found->second;
}

int Replay::failure(const Point& point) {
  const auto found = fail_.find({point.actor, point.number});
  return found == fail_.end() ? 0 : found->second;
}

// --- failures -------------------------------------------------------------------------------------------

int Failures::draw(Prng& prng) {
  static constexpr int kErrors[] = {ENOMEM, EAGAIN, EBUSY};
  static constexpr std::uint64_t kOneIn = 16;
  if (left_ == 0 || !prng.chance(1, kOneIn)) return 0;
  --left_;
  return kErrors[prng.below(std::size(kErrors))];
}

// --- random ---------------------------------------------------------------------------------------------

void RandomWalk::begin(std::uint64_t number) {
  static constexpr std::uint64_t kOneIn[] = {2, 4, 16, 64};
  prng_ = chances(seed_, number);
  one_in_ = kOneIn[prng_.below(std::size(kOneIn))];
  failures_.begin();
}

ActorIndex RandomWalk::next(const Point& point) {
  if (point.ready.size() == 1) return point.ready.front();
  if (point.can_go_on && !prng_.chance(1, one_in_)) return point.actor;
  return point.ready[prng_.below(point.ready.size())];
}

// --- pct ------------------------------------------------------------------------------------------------

void Pct::begin(std::uint64_t number) {
  prng_ = chances(seed_, number);
  priorities_.clear();
  changes_.clear();
  changed_ = 0;
  changed_to_.clear();
  for (unsigned i = 1; i < depth_; ++i) changes_.push_back(1 + prng_.below(length_));
  std::sort(changes_.begin(), changes_.end());
  // In an order of its own: flows take turns when a later change goes below an earlier one.
  for (std::uint64_t i = 0; i < changes_.size(); ++i) {
    changed_to_.push_back(i);
    std::swap(changed_to_[i], changed_to_[prng_.below(i + 1)]);
  }
  failures_.begin();
}

std::uint64_t Pct::priority_of(ActorIndex actor) {
  // Above all that a change gives.
  while (priorities_.size() <= actor) priorities_.push_back(depth_ + prng_.below(1u << 20));
  return priorities_[actor];
}

ActorIndex Pct::next(const Point& point) {
  for (; changed_ < changes_.size() && changes_[changed_] <= point.total; ++changed_) {
    static_cast<void>(priority_of(point.actor));
    priorities_[point.actor] = changed_to_[changed_];
  }
  ActorIndex best = point.ready.front();
  for (ActorIndex actor : point.ready) {
    if (priority_of(actor) > priority_of(best)) best = actor;
  }
  return best;
}

// --- exhaustive -----------------------------------------------------------------------------------------

bool conflict(std::span<const Touch> one, std::span<const Touch> other) {
  const auto anything = [](const Touch& touch) { return touch.name == kEverything; };
  if (std::ranges::any_of(one, anything) || std::ranges::any_of(other, anything)) return true;
  for (const Touch& a : one) {
    for (const Touch& b : other) {
      if (a.name == b.name && (a.exclusive || b.exclusive)) return true;
    }
  }
  return false;
}

void Exhaustive::begin(std::uint64_t) {
  at_ = 0;
  counted_ = 0;
  asleep_.clear();
  last_fork_.reset();
  repeats_ = false;
}

bool Exhaustive::sleeps(ActorIndex actor) const {
  return std::any_of(asleep_.begin(), asleep_.end(), [actor](const Sleeper& s) { return s.actor == actor; });
}

/// The piece of code that has just ended wakes those that conflict with it.
void Exhaustive::note_touches(const Point& point) {
  if (last_fork_) forks_[*last_fork_].touches.assign(point.touched.begin(), point.touched.end());
  last_fork_.reset();
  std::erase_if(asleep_,
                [&](const Sleeper& s) { return s.actor == point.actor || conflict(s.touches, point.touched); });
}

ActorIndex Exhaustive::next(const Point& point) {
  if (!limit_) note_touches(point);
  if (point.ready.size() == 1 || repeats_) {
    if (sleeps(point.by_itself())) repeats_ = true;
    return point.by_itself();
  }
  if (at_ == forks_.size()) {
    const bool counts_all = limit_ && limit_->counts == Counts::kChoices;
    Fork fork{.free = !point.can_go_on && !counts_all, .counted = counted_};
    if (!sleeps(point.by_itself())) fork.options.push_back(point.by_itself());
    for (ActorIndex actor : point.ready) {
      if (actor != point.by_itself() && !sleeps(actor)) fork.options.push_back(actor);
    }
    if (fork.options.empty()) {
      repeats_ = true;
      return point.by_itself();
    }
    forks_.push_back(std::move(fork));
  }
  last_fork_ = at_;
  const Fork& fork = forks_[at_++];
  asleep_.insert(asleep_.end(), fork.done.begin(), fork.done.end());
  if (fork.taken != 0 && !fork.free) ++counted_;
  return fork.options[fork.taken];
}

/// Which part has the schedules whose first choice is this one.
bool Exhaustive::mine(std::size_t fork, std::size_t option) const {
  return (fork + option) % part_.shards == part_.shard;
}

/// The next answer at one point; false: there is none that may be tried.
bool Exhaustive::advance(std::size_t at) {
  Fork& fork = forks_[at];
  if (!affordable(fork)) return false;
  const bool first_choice = std::all_of(forks_.begin(), forks_.begin() + static_cast<std::ptrdiff_t>(at),
                                        [](const Fork& before) { return before.taken == 0; });
  if (!limit_) fork.done.push_back({fork.options[fork.taken], std::move(fork.touches)});
  fork.touches = {};
  while (++fork.taken < fork.options.size()) {
    if (!first_choice || mine(at, fork.taken)) return true;
  }
  return false;
}

bool Exhaustive::end(std::uint64_t) {
  // A run may end before the points of its predecessor: what it did not meet is done.
  if (repeats_) ++repeated_;
  forks_.resize(at_);
  while (!forks_.empty()) {
    if (advance(forks_.size() - 1)) return true;
    forks_.pop_back();
  }
  return false;
}

}  // namespace softxe::explore
