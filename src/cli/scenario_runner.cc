#include "cli/scenario_runner.h"

#include <fmt/format.h>
#include <algorithm>
#include <fstream>
#include <thread>

#include "base/event_ring.h"
#include "base/prng.h"
#include "cli/scenario_check.h"
#include "cli/scenario_names.h"
#include "cli/scenario_parser.h"
#include "cli/scenario_show.h"
#include "cli/scenario_text.h"
#include "cli/trace_text.h"

namespace softxe::scenario {
namespace {

template <typename... F>
struct Overloaded : F... {
  using F::operator()...;
};
template <typename... F>
Overloaded(F...) -> Overloaded<F...>;

/// Calls `each` for every statement, blocks and step actions included.
template <typename Each>
void walk(const std::vector<Statement>& body, Each each) {
  for (const Statement& statement : body) {
    each(statement);
    if (const auto* block = std::get_if<Block>(&statement.command)) walk(block->body, each);
    if (const auto* at = std::get_if<AtStep>(&statement.command)) walk(at->action, each);
  }
}

/// The statements of one actor in order, with repetitions written out.
void flatten(const Statement& statement, std::vector<const Statement*>& into) {
  const auto* block = std::get_if<Block>(&statement.command);
  if (block == nullptr || block->kind == Block::Kind::kParallel) {
    into.push_back(&statement);
    return;
  }
  std::uint64_t rounds = block->kind == Block::Kind::kRepeat ? block->number : 1;
  for (std::uint64_t i = 0; i < rounds; ++i) {
    for (const Statement& child : block->body) flatten(child, into);
  }
}

}  // namespace

// --- outcomes -----------------------------------------------------------------------------------------

bool Outcome::accepts(int err) const { return any || std::find(allowed.begin(), allowed.end(), err) != allowed.end(); }

std::string Outcome::text() const {
  if (any) return "any";
  std::string text;
  for (int err : allowed) {
    if (!text.empty()) text += '|';
    text += errno_name(err);
  }
  return text;
}

Runner::Answer Runner::from(const Status& status) {
  if (status) return {};
  return Answer{status.error().err, status.error().why, {}};
}

Runner::Answer Runner::checked(const Access& access, const Result<std::uint64_t>& got,
                               const std::optional<std::uint64_t>& expected) {
  if (!got) return Answer{got.error().err, got.error().why, {}};
  if (!expected || *got == *expected) return {};
  return Answer{0,
                {},
                fmt::format("value at {:#x}: expected {} ({:#x}), found {} ({:#x})", access.address, *expected,
                            *expected, *got, *got)};
}

// --- running ------------------------------------------------------------------------------------------

void Runner::fail_at(int line, const std::string& text) {
  std::lock_guard lock(failures_mutex_);
  if (failures_.empty()) failed_line_ = line;
  failures_.push_back(fmt::format("{}:{}: {}", path_, line, text));
}

bool Runner::failed() {
  std::lock_guard lock(failures_mutex_);
  return !failures_.empty();
}

Verdict Runner::run(const Scenario& scenario) {
  walk(scenario.body, [this](const Statement& statement) {
    if (const auto* counter = std::get_if<ExpectCounter>(&statement.command)) marked_[counter->name] = 0;
  });
  run_body(scenario.body);
  if (skipped_) {
    return {Verdict::Kind::kSkipped, fmt::format("{}:{}: not for {}", path_, scenario.line, world_.backend()), {}};
  }
  if (auto unfired = steps_.unfired(); !failed() && unfired.line != 0) {
    fail_at(unfired.line, fmt::format("the step {} was not reached", unfired.step));
  }
  if (Status sound = world_.check_at_rest(); !sound && !failed()) {
    fail_at(scenario.line, fmt::format("an invariant is broken: {}", sound.error().why));
  }
  pass_events_on();
  std::lock_guard lock(failures_mutex_);
  if (failures_.empty()) return {};
  return {Verdict::Kind::kFailed, failures_.front(), story()};
}

bool Runner::run_body(const std::vector<Statement>& body) {
  for (const Statement& statement : body) {
    if (!run_statement(statement) || skipped_) return false;
  }
  return true;
}

bool Runner::run_statement(const Statement& statement) {
  if (const auto* block = std::get_if<Block>(&statement.command)) return run_block(*block);
  if (const auto* only = std::get_if<Only>(&statement.command)) {
    skipped_ = only->backend != world_.backend();
    return true;
  }
  if (const auto* failure = std::get_if<FailStep>(&statement.command)) {
    steps_.add_failure(*failure, statement.line);
    return true;
  }
  if (const auto* at = std::get_if<AtStep>(&statement.command)) {
    if (world_.parallel() == ScenarioWorld::Parallel::kThreads) {
      fail_at(statement.line, "'at' needs the simulated memory: say 'only sim' first");
      return false;
    }
    steps_.add_action(*at, statement.line, *this);
    return true;
  }
  Answer answer = execute(statement);
  const bool forgiven = in_flows_ && options_.forgives && options_.forgives(answer.err);
  if (!answer.mismatch.empty()) {
    fail_at(statement.line, answer.mismatch);
  } else if (!statement.outcome.accepts(answer.err) && !forgiven) {
    fail_at(statement.line, fmt::format("expected {}, found {}{}{}", statement.outcome.text(), errno_name(answer.err),
                                        answer.why.empty() ? "" : ": ", answer.why));
  } else if (in_flows_) {
    const std::string broken = options_.look ? options_.look() : std::string();
    if (!broken.empty()) fail_at(statement.line, broken);
    return !failed();
  } else if (Status sound = check_world(); !sound) {
    fail_at(statement.line, fmt::format("an invariant is broken: {}", sound.error().why));
  }
  if (world_.parallel() == ScenarioWorld::Parallel::kInterleave) {
    say_statement(statement, answer);
    pass_events_on();
  }
  return !failed();
}

/// No invariant check here: the engine is in the middle of something.
void Runner::run_at_step(const std::vector<Statement>& actions) {
  for (const Statement& action : actions) {
    Answer answer = execute(action);
    if (!answer.mismatch.empty()) {
      fail_at(action.line, answer.mismatch);
    } else if (!action.outcome.accepts(answer.err)) {
      fail_at(action.line, fmt::format("expected {}, found {}", action.outcome.text(), errno_name(answer.err)));
    }
  }
}

bool Runner::run_block(const Block& block) {
  switch (block.kind) {
    case Block::Kind::kSequence: return run_body(block.body);
    case Block::Kind::kRepeat:
      for (std::uint64_t i = 0; i < block.number; ++i) {
        if (!run_body(block.body)) return false;
      }
      return true;
    case Block::Kind::kParallel: break;
  }
  if (options_.run_flows && !in_flows_) return run_flows(block);
  if (block.names_actors()) return run_body(block.body);
  bool threads = world_.parallel() == ScenarioWorld::Parallel::kThreads;
  return threads ? run_threads(block) : run_interleaved(block);
}

bool Runner::run_flows(const Block& block) {
  std::vector<RunOptions::Flow> flows;
  for (const Statement& statement : block.body) {
    const auto* named = std::get_if<Block>(&statement.command);
    const bool has_name = named != nullptr && !named->actor.empty();
    flows.push_back({has_name ? named->actor : fmt::format("line {}", statement.line),
                     [this, &statement] { run_statement(statement); }});
  }
  in_flows_ = true;
  options_.run_flows(std::move(flows));
  in_flows_ = false;
  if (Status sound = world_.check_invariants(); !sound && !failed()) {
    fail_at(block.body.front().line, fmt::format("an invariant is broken at rest: {}", sound.error().why));
  }
  pass_events_on();
  return !failed();
}

/// The next statement always comes from an actor drawn by the seed.
bool Runner::run_interleaved(const Block& block) {
  struct Actor {
    std::vector<const Statement*> statements;
    std::size_t next = 0;
  };
  std::vector<Actor> actors;
  for (const Statement& statement : block.body) {
    Actor actor;
    flatten(statement, actor.statements);
    if (!actor.statements.empty()) actors.push_back(std::move(actor));
  }
  Prng prng(block.number != 0 ? block.number : options_.seed);
  while (!actors.empty()) {
    std::size_t drawn = prng.below(actors.size());
    Actor& actor = actors[drawn];
    if (!run_statement(*actor.statements[actor.next++])) return false;
    if (actor.next == actor.statements.size()) {
      actors.erase(actors.begin() + static_cast<std::ptrdiff_t>(drawn));
    }
  }
  return true;
}

bool Runner::run_threads(const Block& block) {
  std::vector<std::thread> threads;
  for (const Statement& statement : block.body) {
    threads.emplace_back([this, &statement] { run_statement(statement); });
  }
  for (std::thread& thread : threads) thread.join();
  return !failed();
}

Status Runner::check_world() {
  if (options_.checks_now && !options_.checks_now()) return {};
  return options_.checks == ScenarioWorld::Checks::kOn ? world_.check_invariants() : Status{};
}

std::string Runner::source_line(int line) {
  if (source_.empty()) {
    std::ifstream file(path_);
    for (std::string text; std::getline(file, text);) source_.push_back(text);
  }
  const auto at = static_cast<std::size_t>(line);
  return at >= 1 && at <= source_.size() ? source_[at - 1] : "";
}

void Runner::say_statement(const Statement& statement, const Answer& answer) {
  if (!options_.say) return;
  options_.say(fmt::format("{}:{}: {}", path_, statement.line, source_line(statement.line)));
  if (answer.err != 0) options_.say(fmt::format("  -> {}: {}", errno_name(answer.err), answer.why));
}

std::string Runner::story() {
  const std::string statement = source_line(failed_line_);
  std::string text = statement.empty() ? "" : fmt::format("  the statement: {}\n", statement);
  text += fmt::format("  the last events (seed {}):\n", options_.seed);
  each_last_event(kEventsOfStory, [&text](const std::string& line) { text += "    " + line + '\n'; });
  return text;
}

void Runner::each_last_event(std::size_t count, const std::function<void(const std::string& line)>& take) const {
  const std::size_t shown = std::min(last_events_.size(), count);
  for (std::size_t i = last_events_.size() - shown; i < last_events_.size(); ++i) {
    take(trace::line_of(0, last_events_[i], {}));
  }
}

void Runner::pass_events_on() {
  const std::vector<Event> events = world_.take_events();
  if (options_.on_events) options_.on_events(events);
  for (const Event& event : events) {
    if (options_.say) options_.say("    " + trace::line_of(0, event, {}));
    if (last_events_.size() == kEventsKept) last_events_.pop_front();
    last_events_.push_back(event);
  }
}

// --- commands -----------------------------------------------------------------------------------------

/// Whatever happens now happens because the file says so.
Runner::Answer Runner::execute(const Statement& statement) {
  const EventScope doing(emit({.word = static_cast<std::uint64_t>(statement.line), .kind = EventKind::kStatement}));
  return execute(statement.command);
}

Runner::Answer Runner::execute(const Command& command) {
  return std::visit(
      Overloaded{
          [&](const DeviceSpec& c) { return from(world_.device(c)); },
          [&](const VmSpec& c) { return from(world_.vm_create(c)); },
          [&](const VmDestroy& c) { return from(world_.vm_destroy(c.vm)); },
          [&](const BoSpec& c) { return from(world_.bo_create(c)); },
          [&](const BindSpec& c) { return from(world_.bind(c)); },
          [&](const Madvise& c) { return from(world_.madvise(c.vm, c.span, c.attrs)); },
          [&](const Prefetch& c) { return from(world_.prefetch(c.vm, c.span, c.where)); },
          [&](const CpuCall& c) { return execute_cpu(c); },
          [&](const GpuRead& c) { return checked(c.access, world_.gpu_read(c.gpu, c.access), c.expected); },
          [&](const GpuWrite& c) { return from(world_.gpu_write(c.gpu, c.access)); },
          [&](const GpuAtomic& c) { return checked(c.access, world_.gpu_atomic(c.gpu, c.access), c.expected); },
          [&](const GpuCopy& c) { return from(world_.gpu_copy(c.gpu, c.to, c.from)); },
          [&](const GpuFill& c) { return from(world_.gpu_fill(c.gpu, c.span, c.value)); },
          [&](const GpuKernel& c) { return from(world_.gpu_kernel(c.kernel)); },
          [&](const QueueSpec& c) { return from(world_.queue_create(c)); },
          [&](const QueueDestroy& c) { return from(world_.queue_destroy(c.queue)); },
          [&](const QueuePriorityChange& c) { return from(world_.queue_priority(c.queue, c.rank)); },
          [&](const ExecSpec& c) { return from(world_.exec(c)); },
          [&](const RunEngines& c) { return from(world_.run(c.slices)); },
          [&](const WaitJob& c) { return from(world_.wait(c.job)); },
          [&](const Evict& c) { return from(world_.evict(c.span)); },
          [&](const Gc& c) { return from(world_.gc(c.vm)); },
          [&](const Sleep& c) { return from(world_.sleep_ns(c.ns)); },
          [&](const Mark&) {
            mark();
            return Answer{};
          },
          [&](const Show& c) { return execute_show(c); },
          [&](const auto&) { return execute_expect(command); },
      },
      command);
}

Runner::Answer Runner::execute_cpu(const CpuCall& call) {
  const std::string& p = call.process;
  return std::visit(Overloaded{
                        [&](const CpuMmap& c) { return from(world_.cpu_mmap(p, c)); },
                        [&](const CpuMunmap& c) { return from(world_.cpu_munmap(p, c.span)); },
                        [&](const CpuMremap& c) { return from(world_.cpu_mremap(p, c)); },
                        [&](const CpuMprotect& c) { return from(world_.cpu_mprotect(p, c.span, c.prot)); },
                        [&](const CpuMadvise& c) { return from(world_.cpu_madvise(p, c)); },
                        [&](const CpuMlock& c) { return from(world_.cpu_mlock(p, c.span)); },
                        [&](const CpuMunlock& c) { return from(world_.cpu_munlock(p, c.span)); },
                        [&](const CpuFork& c) { return from(world_.cpu_fork(p, c.child)); },
                        [&](const CpuExit&) { return from(world_.cpu_exit(p)); },
                        [&](const CpuPin& c) { return from(world_.cpu_pin(c.address)); },
                        [&](const CpuUnpin& c) { return from(world_.cpu_unpin(c.address)); },
                        [&](const CpuWrite& c) { return from(world_.cpu_write(p, c.access)); },
                        [&](const CpuFill& c) { return from(world_.cpu_fill(p, c.span, c.value)); },
                        [&](const CpuRead& c) { return checked(c.access, world_.cpu_read(p, c.access), c.expected); },
                    },
                    call.call);
}

Runner::Answer Runner::execute_show(const Show& what) {
  if (!options_.show) return {};
  if (what.what == Show::What::kEvents) {
    pass_events_on();
    each_last_event(what.count, [this](const std::string& line) { options_.show("  " + line); });
    return {};
  }
  const auto lines = show_world(world_, what);
  if (!lines) return Answer{lines.error().err, lines.error().why, {}};
  for (const std::string& line : *lines) options_.show("  " + line);
  return {};
}

// --- expectations ---------------------------------------------------------------------------------------

namespace {

// A place has two names where a plain vramN means a device that has a name: the world answers with the short one.
std::string short_name(std::string where, const std::string& plain_device) {
  if (!plain_device.empty() && where.starts_with(plain_device + '/')) where.erase(0, plain_device.size() + 1);
  return where;
}

VmaPattern short_names(VmaPattern pattern, const std::string& plain_device) {
  auto& preferred = pattern.attrs.preferred;
  if (preferred && preferred->device == plain_device) preferred->device.clear();
  return pattern;
}

}  // namespace

Runner::Answer Runner::execute_expect(const Command& command) {
  auto unknown = [](const Error& error) { return Answer{error.err, error.why, {}}; };
  if (const auto* e = std::get_if<ExpectVmas>(&command)) {
    auto vmas = world_.vmas(e->vm);
    auto size = world_.vm_size(e->vm);
    if (!vmas) return unknown(vmas.error());
    if (!size) return unknown(size.error());
    std::vector<VmaPattern> expected;
    for (const VmaPattern& vma : e->vmas) expected.push_back(short_names(vma, world_.plain_device(e->vm)));
    return Answer{0, {}, check_vmas(expected, *vmas, *size)};
  }
  if (const auto* e = std::get_if<ExpectVmaCount>(&command)) {
    auto vmas = world_.vmas(e->vm);
    if (!vmas) return unknown(vmas.error());
    const std::string wrong = check_number(e->relation, e->count, vmas->size());
    return Answer{0, {}, wrong.empty() ? wrong : fmt::format("VMAs of {}: {}", e->vm, wrong)};
  }
  if (const auto* e = std::get_if<ExpectAttrs>(&command)) {
    auto vmas = world_.vmas(e->vm);
    if (!vmas) return unknown(vmas.error());
    ExpectAttrs expected = *e;
    expected.pattern = short_names(e->pattern, world_.plain_device(e->vm));
    return Answer{0, {}, check_attrs(expected, *vmas)};
  }
  if (const auto* e = std::get_if<ExpectRanges>(&command)) {
    auto ranges = world_.ranges(e->vm);
    if (!ranges) return unknown(ranges.error());
    return Answer{0, {}, check_ranges(*e, *ranges)};
  }
  if (const auto* e = std::get_if<ExpectPages>(&command)) {
    for (std::uint64_t at = e->span.start; at < e->span.end(); at += 4096) {
      auto where = world_.page(e->process, at);
      if (!where) return unknown(where.error());
      if (*where != short_name(e->where, world_.plain_device({}))) {
        return Answer{0, {}, fmt::format("page {:#x}: expected in {}, found in {}", at, e->where, *where)};
      }
    }
    return {};
  }
  if (const auto* e = std::get_if<ExpectPtes>(&command)) {
    for (std::uint64_t at = e->span.start; at < e->span.end(); at += 4096) {
      auto pte = world_.pte(e->gpu, at);
      if (!pte) return unknown(pte.error());
      if (std::string text = check_pte(*e, at, *pte); !text.empty()) return Answer{0, {}, text};
    }
    return {};
  }
  if (const auto* e = std::get_if<ExpectCounter>(&command)) return expect_counter(*e);
  if (const auto* e = std::get_if<ExpectQueue>(&command))
    return is_state("queue " + e->queue, e->state, world_.queue_state(e->queue));
  if (const auto* e = std::get_if<ExpectJob>(&command))
    return is_state("job " + e->job, e->state, world_.job_state(e->job));
  const auto& e = std::get<ExpectVm>(command);
  return is_state("VM " + e.vm, e.state, world_.vm_state(e.vm));
}

Runner::Answer Runner::is_state(const std::string& what, const std::string& expected,
                                const Result<std::string>& state) {
  if (!state) return Answer{state.error().err, state.error().why, {}};
  if (*state == expected) return {};
  return Answer{0, {}, fmt::format("{}: expected {}, found {}", what, expected, *state)};
}

Runner::Answer Runner::expect_counter(const ExpectCounter& expect) {
  auto value = world_.counter(expect.name);
  if (!value) return Answer{value.error().err, value.error().why, {}};
  std::uint64_t base = expect.since_mark ? marked_[expect.name] : 0;
  std::string text = check_number(expect.relation, expect.value, *value - base);
  if (text.empty()) return {};
  return Answer{0, {}, fmt::format("counter {}: {}", expect.name, text)};
}

void Runner::mark() {
  for (auto& [name, value] : marked_) value = world_.counter(name).value_or(0);
}

// --- files ----------------------------------------------------------------------------------------------

bool is_wanted(const std::string& path, const Scenario& scenario, const std::string& filter) {
  return path.find(filter) != std::string::npos || scenario.name.find(filter) != std::string::npos;
}

Verdict run_scenario(const std::string& path, const Scenario& scenario, const WorldFactory& factory,
                     const RunOptions& options) {
  // The hook goes in before the world starts threads and out after they have ended.
  StepScript steps;
  StepHook* before = set_step_hook(&steps);
  Verdict verdict;
  {
    auto world = factory();
    world->set_checks(options.checks);
    Runner runner(path, *world, steps, options);
    verdict = runner.run(scenario);
    steps.disarm();
  }
  set_step_hook(before);
  return verdict;
}

Summary run_scenario_files(const std::vector<std::string>& paths, const WorldFactory& factory,
                           const RunOptions& options) {
  Summary summary;
  for (const std::string& path : paths) {
    auto file = parse_scenario_file(path);
    if (const std::string wrong = file ? unknown_name(*file) : file.error().text; !wrong.empty()) {
      ++summary.failed;
      summary.messages.push_back(wrong);
      if (options.on_end) options.on_end(path, {}, {Verdict::Kind::kFailed, wrong, {}});
      continue;
    }
    for (const Scenario& scenario : file->scenarios) {
      if (!is_wanted(path, scenario, options.filter)) continue;
      if (options.on_begin) options.on_begin(path, scenario);
      Verdict verdict = run_scenario(path, scenario, factory, options);
      if (options.on_end) options.on_end(path, scenario, verdict);
      switch (verdict.kind) {
        case Verdict::Kind::kPassed: ++summary.passed; break;
        case Verdict::Kind::kFailed: ++summary.failed; break;
        case Verdict::Kind::kSkipped: ++summary.skipped; break;
      }
      if (verdict.kind == Verdict::Kind::kPassed) continue;
      std::string name = scenario.name.empty() ? "" : fmt::format(" ({})", scenario.name);
      bool skip = verdict.kind == Verdict::Kind::kSkipped;
      summary.messages.push_back((skip ? "skipped: " : "") + verdict.text + name);
      if (!verdict.story.empty()) summary.messages.back() += '\n' + verdict.story;
    }
  }
  return summary;
}

std::string Summary::last_line() const {
  std::string text = fmt::format("{} passed, {} failed", passed, failed);
  return skipped == 0 ? text : text + fmt::format(", {} skipped", skipped);
}

}  // namespace softxe::scenario
