#include "cli/explore_run.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <optional>

#include "base/event_ring.h"
#include "cli/explore_world.h"
#include "cli/scenario_runner.h"
#include "cli/scenario_text.h"
#include "cli/trace_text.h"
#include "explore/fingerprint.h"
#include "svm/self_check.h"

namespace softxe::scenario {

void RunRecord::begin(std::uint64_t schedule) {
  number.store(schedule, std::memory_order_relaxed);
  count.store(0, std::memory_order_relaxed);
  text[0] = '\0';
}

void RunRecord::say(const std::string& why) {
  const std::size_t bytes = std::min(why.size(), kTextMax - 1);
  std::memcpy(text.data(), why.data(), bytes);
  text[bytes] = '\0';
}

std::vector<explore::Choice> RunRecord::all() const {
  const std::size_t known = std::min<std::size_t>(count.load(), kChoicesMax);
  return {choices.begin(), choices.begin() + static_cast<std::ptrdiff_t>(known)};
}

namespace {

/// A line of the story that is not an event: what came in before the event of that number.
struct Remark {
  std::uint64_t before;
  std::string text;
};

class Listener final : public explore::Observer {
 public:
  explicit Listener(const RunSettings& settings) : settings_(settings) {}

  void attach(const explore::Scheduler& scheduler) { scheduler_ = &scheduler; }

  void chosen(const explore::Choice& choice, const char* place) override {
    RunRecord& record = *settings_.record;
    const std::uint64_t at = record.count.load(std::memory_order_relaxed);
    if (at < RunRecord::kChoicesMax) record.choices[at] = choice;
    record.count.store(at + 1, std::memory_order_relaxed);
    if (choice.err != 0) failed_.push_back(choice.err);
    if (!settings_.say) return;
    const std::string& who = scheduler_->name_of(choice.actor);
    remark(choice.err != 0 ? fmt::format("* {}: at its point {}, {} fails with {}", who, choice.point, place,
                                         errno_name(choice.err))
                           : fmt::format("* {}: at its point {}, before {}, {} goes on", who, choice.point, place,
                                         scheduler_->name_of(choice.next)));
  }
  void reached(const StepSite& site) override {
    if (settings_.on_step) settings_.on_step(site);
  }
  void switched(explore::ActorIndex to, const char* place) override {
    if (settings_.say) remark(fmt::format("--- {} (at {})", scheduler_->name_of(to), place));
  }
  [[noreturn]] void stuck(const std::string& text) override {
    settings_.record->say(text);
    if (settings_.say) {
      tell({});
      settings_.say(text);
    }
    std::fflush(nullptr);
    _exit(kStuckStatus);
  }

  /// Statements may end with the errors that were put in.
  bool forgives(int err) const { return std::find(failed_.begin(), failed_.end(), err) != failed_.end(); }

  void take(std::span<const Event> events) {
    for (const Event& event : events) mix(event);
    if (settings_.say) tell(events);
  }
  std::uint64_t orders() const { return orders_.value(); }

 private:
  void mix(const Event& e) {
    for (std::uint64_t value :
         {e.address, e.size, e.word, static_cast<std::uint64_t>(e.asid), static_cast<std::uint64_t>(e.kind),
          static_cast<std::uint64_t>(e.cause), static_cast<std::uint64_t>(e.err)}) {
      orders_.add(value);
    }
  }
  void remark(const std::string& text) {
    EventStream* stream = softxe::detail::event_stream.load(std::memory_order_relaxed);
    remarks_.push_back({stream == nullptr ? 0 : stream->ring().head.load(std::memory_order_relaxed) + 1, text});
  }
  void tell(std::span<const Event> events) {
    std::size_t told = 0;
    for (const Event& event : events) {
      for (; told < remarks_.size() && remarks_[told].before <= event.seq; ++told) settings_.say(remarks_[told].text);
      settings_.say("    " + trace::line_of(0, event, {}));
    }
    for (; told < remarks_.size(); ++told) settings_.say(remarks_[told].text);
    remarks_.clear();
  }

  const RunSettings& settings_;
  const explore::Scheduler* scheduler_ = nullptr;
  std::vector<Remark> remarks_;
  std::vector<int> failed_;
  explore::Fingerprint orders_;
};

/// The body of the main flow: the world lives and dies in here.
RunEnd run_in_flow(const RunSettings& settings, explore::Scheduler& scheduler, StepScript& steps, Listener& listener,
                   ExploreWorld*& world_now) {
  ExploreWorld world(scheduler);
  world_now = &world;
  RunOptions options;
  const bool known = settings.begin == RunSettings::Begin::kKnown;
  if (known) world.set_checks(ScenarioWorld::Checks::kOff);
  bool searched = false;
  options.checks_now = [&] { return !known || searched; };
  options.on_events = [&](std::span<const Event> events) {
    listener.take(events);
    world.heard(events);
  };
  options.run_flows = [&](std::vector<RunOptions::Flow> flows) {
    std::vector<std::pair<std::string, std::function<void()>>> actors;
    for (auto& flow : flows) actors.emplace_back(std::move(flow.name), std::move(flow.body));
    // The engine's own looks are as many points, and no more is seen than by ours.
    set_self_check(SelfCheck::kOff);
    scheduler.search(actors);
    searched = true;
    set_self_check(SelfCheck::kOn);
    world.rests();
  };
  options.look = [&] {
    scheduler.progress();
    return world.look();
  };
  options.forgives = [&](int err) { return listener.forgives(err); };
  Runner runner(settings.path, world, steps, options);
  const Verdict verdict = runner.run(*settings.scenario);
  steps.disarm();
  RunEnd end;
  if (verdict.kind == Verdict::Kind::kFailed) end.why = verdict.text;
  if (verdict.kind == Verdict::Kind::kSkipped) end.why = "the scenario is not for the simulated memory";
  if (end.why.empty()) end.why = world.unexplained();
  if (end.why.empty()) end.why = world.lost_reset();
  end.state = world.fingerprint();
  if (end.why.empty()) end.why = world.leak();
  world_now = nullptr;
  return end;
}

}  // namespace

RunEnd explore_once(const RunSettings& settings) {
  StepScript steps;
  Listener listener(settings);
  ExploreWorld* world = nullptr;
  const auto pass_time = [&world](std::uint64_t ns) {
    if (world != nullptr) world->pass_time(ns);
  };
  explore::Scheduler scheduler({.strategy = *settings.strategy,
                                .observer = listener,
                                .steps = &steps,
                                .pass_time = pass_time,
                                .preempt_at = settings.preempt_at});
  listener.attach(scheduler);
  RunEnd end;
  scheduler.run([&] { end = run_in_flow(settings, scheduler, steps, listener, world); });
  end.points = scheduler.points();
  end.orders = listener.orders();
  if (!end.why.empty()) settings.record->say(end.why);
  return end;
}

}  // namespace softxe::scenario
