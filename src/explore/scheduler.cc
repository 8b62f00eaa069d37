#include "explore/scheduler.h"

#include <fmt/format.h>
#include <sys/mman.h>

#include <algorithm>
#include <cstdlib>
#include <string_view>
#include <utility>

#include "base/event_ring.h"

namespace softxe::explore {

namespace {

constexpr std::size_t kStackBytes = 512 * 1024;

/// Stacks that are used again and again: making one costs more than a short run.
class StackPool {
 public:
  using traits_type = boost::context::stack_traits;

  boost::context::stack_context allocate() {
    auto& free = free_stacks();
    boost::context::stack_context context;
    context.size = kStackBytes;
    if (!free.empty()) {
      context.sp = free.back();
      free.pop_back();
      return context;
    }
    void* base = mmap(nullptr, kStackBytes + kPageSize, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    SX_ASSERT(base != MAP_FAILED);
    SX_ASSERT(mprotect(base, kPageSize, PROT_NONE) == 0);
    context.sp = static_cast<char*>(base) + kPageSize + kStackBytes;
    return context;
  }
  void deallocate(boost::context::stack_context& context) { free_stacks().push_back(context.sp); }

 private:
  static constexpr std::size_t kPageSize = 4096;
  static std::vector<void*>& free_stacks() {
    static std::vector<void*> stacks;
    return stacks;
  }
};

}  // namespace

Scheduler::Scheduler(Config config) : config_(std::move(config)) {}
Scheduler::~Scheduler() = default;

// --- actors ---------------------------------------------------------------------------------------------

ActorIndex Scheduler::spawn(std::string name, std::function<void()> body, Uses uses) {
  auto made = std::make_unique<Actor>();
  Actor* actor = made.get();
  actor->index = actors_.size();
  actor->name = std::move(name);
  actor->uses = uses;
  actor->cause = kNoEvent;
  actor->fiber = Fiber(std::allocator_arg, StackPool(), [this, actor, body = std::move(body)](Fiber&& from) {
    (left_ != nullptr ? left_->fiber : outside_) = std::move(from);
    body();
    actor->state = State::kEnded;
    wake(actor, Whom::kAll);
    if (actor->index == 0) {
      current_ = nullptr;
      return std::move(outside_);
    }
    Actor& next = *actors_[choose("its end", false)];
    take_over(next);
    return std::move(next.fiber);
  });
  actors_.push_back(std::move(made));
  return static_cast<ActorIndex>(actor->index);
}

void Scheduler::run(std::function<void()> main) {
  Turns* const turns_before = set_turns(this);
  StepHook* const steps_before = set_step_hook(this);
  spawn("main", std::move(main));
  current_ = actors_.front().get();
  left_ = nullptr;
  const detail::HeldLocks ranks = detail::held_locks();
  detail::held_locks() = {};
  static_cast<void>(std::move(current_->fiber).resume());
  detail::held_locks() = ranks;
  detail::event_cause = kNoEvent;
  set_turns(turns_before);
  set_step_hook(steps_before);
  for (const auto& actor : actors_) SX_ASSERT(actor->state == State::kEnded);
}

void Scheduler::join(ActorIndex actor) {
  while (actors_[actor]->state != State::kEnded) sleep(actors_[actor].get(), "the end of another");
}

void Scheduler::search(const std::vector<std::pair<std::string, std::function<void()>>>& actors) {
  rest();
  std::vector<ActorIndex> started;
  for (const auto& [name, body] : actors) started.push_back(spawn(name, body));
  points_at_progress_ = points_;
  searching_ = true;
  for (ActorIndex actor : started) join(actor);
  // Orders of what is left matter as well: a collector that was woken last.
  rest();
  searching_ = false;
}

/// Until nobody else can go on.
void Scheduler::rest() {
  settling_ = true;
  const std::function<bool()> all_rest = [this] {
    return std::none_of(actors_.begin() + 1, actors_.end(), [](const auto& actor) { return actor->can_go_on(); });
  };
  until(all_rest, "everybody's rest");
  settling_ = false;
}

bool Scheduler::nobody_holds_locks() const { return holders_besides_current() == 0; }

std::size_t Scheduler::holders_besides_current() const {
  return static_cast<std::size_t>(std::count_if(
      held_.begin(), held_.end(), [this](const HeldLock& held) { return held.holder != current_->index; }));
}

Scheduler::Pause::Pause() : turns_(set_turns(nullptr)), steps_(set_step_hook(nullptr)) {}

Scheduler::Pause::~Pause() {
  set_turns(turns_);
  set_step_hook(steps_);
}

// --- points ---------------------------------------------------------------------------------------------

void Scheduler::collect_ready() {
  ready_.clear();
  for (const auto& actor : actors_) {
    if (actor->can_go_on()) ready_.push_back(static_cast<ActorIndex>(actor->index));
  }
}

void Scheduler::point(const char* place, bool can_go_on) {
  if (!searching_ && can_go_on) return;
  const ActorIndex next = choose(place, can_go_on);
  if (next != current_->index) go_on_with(next);
}

void Scheduler::count_point(const char* place) {
  ++points_;
  ++current_->points;
  current_->place = place;
}

ActorIndex Scheduler::choose(const char* place, bool can_go_on) {
  Actor& me = *current_;
  count_point(place);
  collect_ready();
  while (ready_.empty() && pass_time_to_next_limit()) collect_ready();
  if (ready_.empty()) nobody_can();
  if (points_ - points_at_progress_ > config_.livelock_points) {
    config_.observer.stuck(
        fmt::format("livelock: {} points without any progress\n{}", config_.livelock_points, situation()));
  }
  const auto self = static_cast<ActorIndex>(me.index);
  const Point here{.actor = self,
                   .number = me.points,
                   .total = points_,
                   .can_go_on = can_go_on,
                   .ready = ready_,
                   .touched = touched_};
  const ActorIndex next = searching_ ? config_.strategy.next(here) : here.by_itself();
  if (searching_ && next != here.by_itself()) config_.observer.chosen({self, me.points, next, 0}, place);
  if (searching_) begin_piece(*actors_[next]);
  return next;
}

namespace {

// What locks do not tell apart: the process's memory, what of it is mapped for engines, and what engines do with it
// outside of locks, between an access's begin and end.
constexpr const char* kMemory = "memory";
constexpr const char* kSleep = "sleep";

const char* thing_of(const char* lock) {
  static constexpr std::string_view kOfMemory[] = {"sim mm", "Svm::notifier_lock", "PageTable", "scenario engine"};
  const bool memory = std::find(std::begin(kOfMemory), std::end(kOfMemory), lock) != std::end(kOfMemory);
  return memory ? kMemory : lock;
}

}  // namespace

/// What an actor holds it may use.
void Scheduler::begin_piece(const Actor& actor) {
  touched_.clear();
  if (actor.uses == Uses::kAnything) touched_.push_back({kEverything, true});
  for (const HeldLock& held : held_) {
    if (held.holder == actor.index) touched_.push_back({thing_of(held.name), held.exclusive});
  }
}

void Scheduler::take_over(Actor& other) {
  Actor& me = *current_;
  if (searching_) config_.observer.switched(static_cast<ActorIndex>(other.index), other.place);
  me.ranks = detail::held_locks();
  me.cause = detail::event_cause;
  me.locals = std::exchange(flow_locals(), other.locals);
  detail::held_locks() = other.ranks;
  detail::event_cause = other.cause;
  left_ = &me;
  current_ = &other;
}

void Scheduler::go_on_with(ActorIndex next) {
  Actor& other = *actors_[next];
  take_over(other);
  Fiber from = std::move(other.fiber).resume();
  left_->fiber = std::move(from);
}

/// Time passes only where nobody can go on: to the next limit of a wait.
bool Scheduler::pass_time_to_next_limit() {
  Actor* first = nullptr;
  for (const auto& actor : actors_) {
    if (!actor->wakes_ns || actor->state != State::kAsleep) continue;
    if (first == nullptr || *actor->wakes_ns < *first->wakes_ns) first = actor.get();
  }
  // Limits of workers that rest are no reason for others to go on.
  if (first == nullptr || settling_) return false;
  if (config_.pass_time && *first->wakes_ns > now_ns_) config_.pass_time(*first->wakes_ns - now_ns_);
  now_ns_ = std::max(now_ns_, *first->wakes_ns);
  first->timed_out = true;
  first->wakes_ns.reset();
  first->state = State::kReady;
  return true;
}

Status Scheduler::on_step(StepSite& site, bool may_fail) {
  if (current_ == nullptr) return {};
  if (searching_) config_.observer.reached(site);
  point(site.name, true);
  if (searching_ && may_fail) {
    if (const int err = failure_at(site.name); err != 0) return fail(err, site.name);
  }
  return config_.steps != nullptr ? config_.steps->on_step(site, may_fail) : Status();
}

int Scheduler::failure_at(const char* place) {
  const auto self = static_cast<ActorIndex>(current_->index);
  ready_.assign(1, self);
  const Point here{
      .actor = self, .number = current_->points, .total = points_, .can_go_on = true, .ready = ready_, .touched = {}};
  const int err = config_.strategy.failure(here);
  if (err != 0) config_.observer.chosen({self, current_->points, 0, err}, place);
  return err;
}

// --- locks and waits --------------------------------------------------------------------------------------

void Scheduler::before_lock(const void*, const char* name, Access) {
  if (current_ == nullptr) return;
  if (config_.preempt_at == PreemptAt::kStepsAndLocks) return point(name, true);
  // Counted all the same: a schedule names the same places whatever it was found with.
  if (searching_) count_point(name);
}

void Scheduler::took(const void* lock, const char* name, Access access) {
  if (current_ == nullptr) return;
  const bool exclusive = access == Access::kExclusive;
  held_.push_back({lock, name, static_cast<ActorIndex>(current_->index), exclusive});
  if (searching_) touched_.push_back({thing_of(name), exclusive});
}

void Scheduler::gave(const void* lock) {
  if (current_ == nullptr) return;
  const auto mine = std::find_if(held_.rbegin(), held_.rend(), [&](const HeldLock& held) {
    return held.lock == lock && held.holder == current_->index;
  });
  if (mine != held_.rend()) held_.erase(std::next(mine).base());
  wake(lock, Whom::kAll);
}

void Scheduler::sleep(const void* what, const char* name) {
  SX_ASSERT(current_ != nullptr);
  if (searching_) touched_.push_back({kSleep, true});
  current_->state = State::kAsleep;
  current_->what = what;
  point(name, false);
}

bool Scheduler::sleep_for(const void* what, const char* name, std::uint64_t timeout_ns) {
  Actor& me = *current_;
  me.wakes_ns = now_ns_ + timeout_ns;
  me.timed_out = false;
  sleep(what, name);
  me.wakes_ns.reset();
  return !me.timed_out;
}

void Scheduler::wake(const void* what, Whom whom) {
  for (const auto& actor : actors_) {
    if (actor->state != State::kAsleep || actor->what != what) continue;
    actor->state = State::kReady;
    if (searching_) touched_.push_back({kSleep, true});
    if (whom == Whom::kOne) return;
  }
}

void Scheduler::until(const std::function<bool()>& holds, const char* name) {
  SX_ASSERT(current_ != nullptr);
  if (holds()) return;
  Actor& me = *current_;
  if (searching_) touched_.push_back({kMemory, true});
  me.state = State::kUntil;
  me.holds = &holds;
  point(name, false);
  me.state = State::kReady;
  me.holds = nullptr;
}

// --- findings ---------------------------------------------------------------------------------------------

std::string Scheduler::situation() const {
  std::string text;
  for (const auto& actor : actors_) {
    if (actor->state == State::kEnded) continue;
    text += fmt::format("  {} {} {}", actor->name, actor->state == State::kReady ? "is at" : "waits for", actor->place);
    for (const HeldLock& held : held_) {
      if (actor->state == State::kAsleep && held.lock == actor->what) {
        text += fmt::format(", which {} holds", actors_[held.holder]->name);
      }
    }
    std::string has;
    for (const HeldLock& held : held_) {
      if (held.holder == actor->index) has += (has.empty() ? "; it holds " : ", ") + std::string(held.name);
    }
    text += has + '\n';
  }
  return text;
}

void Scheduler::nobody_can() {
  config_.observer.stuck("deadlock: nobody can go on\n" + situation());
  std::abort();
}

}  // namespace softxe::explore
