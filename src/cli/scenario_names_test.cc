// Scenarios that talk: names that stand for nothing, what `show` prints, what a failure says.
#include <gtest/gtest.h>

#include <cstdio>
#include <fstream>

#include "cli/scenario_names.h"
#include "cli/scenario_parser.h"
#include "cli/scenario_runner.h"
#include "cli/scenario_sim_world.h"
#include "cli/scenario_step_table.h"

namespace softxe::scenario {
namespace {

std::string unknown_in(const char* text) {
  const auto file = parse_scenario("f", text);
  return file ? unknown_name(*file) : file.error().text;
}

struct NameCase {
  const char* text;
  const char* wrong;  ///< empty: all names stand for something
};
constexpr NameCase kNames[] = {
    {"vm v lr fault\ngc v", ""},
    {"vm kilo\ngc kiol", "f:2: there is no VM 'kiol': did you mean 'kilo'?"},
    {"vm v\ngpu write w 0 u32 1", "f:2: there is no VM 'w': did you mean 'v'?"},
    {"vm v\ngpu kernel w code=0", "f:2: there is no VM 'w': did you mean 'v'?"},
    {"gc v", "f:1: there is no VM 'v'"},
    {"gc v -> ENOENT", ""},
    {"vm v\nparallel { gc v; gc x }", "f:2: there is no VM 'x': did you mean 'v'?"},
    {"scenario a\nvm v\nscenario b\ngc v", "f:4: there is no VM 'v'"},
    {"expect counter vma_splitt_count = 1",
     "f:1: there is no counter 'vma_splitt_count': did you mean 'vma_split_count'?"},
    {"expect counter vma_split_count = 1", ""},
    {"fail svm.migrate.aloc 1", "f:1: there is no step 'svm.migrate.aloc': did you mean 'svm.migrate.alloc'?"},
    {"at svm.fault.after_gx do cpu munmap 0 4K",
     "f:1: there is no step 'svm.fault.after_gx': did you mean 'svm.fault.after_gc'?"},
    {"vm v\nbind v bo b 0 4K", "f:2: there is no buffer object 'b'"},
    {"vm v\nqueue q v copy\nexec p j at=0", "f:3: there is no queue 'p': did you mean 'q'?"},
    {"wait j", "f:1: there is no job 'j'"},
    {"cpu:kid munmap 0 4K", "f:1: there is no process 'kid'"},
    {"cpu fork kid\ncpu:kid munmap 0 4K", ""},
    {"vm v\nshow vmas w", "f:2: there is no VM 'w': did you mean 'v'?"},
    {"show purple", "f:1: 'purple' cannot be shown: vmas, ranges, pages, ptes, counters or events"},
};

TEST(ScenarioNames, WhatNothingMakesIsAMistakeOfTheFile) {
  for (const NameCase& c : kNames) EXPECT_EQ(unknown_in(c.text), c.wrong) << c.text;
}

TEST(ScenarioNames, EveryStepHasAMeaning) {
  for (const StepInfo& step : all_steps()) {
    EXPECT_FALSE(step.meaning.empty()) << step.name;
    EXPECT_EQ(find_step(step.name), &step);
  }
  EXPECT_EQ(find_step("svm.no.such"), nullptr);
}

/// Runs the text as a file, and collects what is shown.
Verdict run_on_sim(const std::string& text, std::vector<std::string>& shown, RunOptions options = {}) {
  const std::string path = testing::TempDir() + "talks.softxe";
  std::ofstream(path) << text;
  auto file = parse_scenario_file(path);
  if (!file) return {Verdict::Kind::kFailed, file.error().text, {}};
  options.show = [&](const std::string& line) { shown.push_back(line); };
  Verdict verdict = run_scenario(
      path, file->scenarios.front(), [] { return std::make_unique<SimWorld>(); }, options);
  std::remove(path.c_str());
  return verdict;
}

constexpr const char* kStart =
    "device bmg vram=64M\nvm v lr fault\nbind v mirror 0 256T\ncpu mmap 0x10000000 4M\n"
    "madvise v 0x10000000 2M atomic=device\ngpu write v 0x10200000 u32 7\n";

TEST(ScenarioShow, SaysWhatIsThere) {
  const std::pair<const char*, std::vector<std::string>> cases[] = {
      {"show vmas v",
       {"  [0x0..0x10000000 default]", "  [0x10000000..0x10200000 atomic=device]",
        "  [0x10200000..0x1000000000000 default]"}},
      {"show ranges v", {"  [0x10200000+0x200000 live mapped vram]"}},
      {"show ranges v in 0x10000000 2M", {}},
      {"show pages 0x101ff000 12K", {"  [0x101ff000..0x10200000 hole]", "  [0x10200000..0x10202000 vram0]"}},
      {"show ptes v 0x101ff000 8K",
       {"  [0x101ff000..0x10200000 none]", "  [0x10200000..0x10201000 vram rw entry=0x200000]"}},
      {"show counters svm_range",
       {"  svm_range_created_count = 1", "  svm_range_collected_count = 0", "  svm_range_removed_count = 0",
        "  svm_range_evict_count = 0"}},
  };
  for (const auto& [statement, lines] : cases) {
    std::vector<std::string> shown;
    EXPECT_EQ(run_on_sim(kStart + std::string(statement), shown).text, "");
    EXPECT_EQ(shown, lines) << statement;
  }
}

TEST(ScenarioShow, EventsAreTheLastOnes) {
  std::vector<std::string> shown;
  EXPECT_EQ(run_on_sim(kStart + std::string("show events 2"), shown).text, "");
  ASSERT_EQ(shown.size(), 2u);
  EXPECT_NE(shown[0].find("the fault is answered"), std::string::npos) << shown[0];
  EXPECT_NE(shown[1].find("statement in line 7"), std::string::npos) << shown[1];
}

TEST(ScenarioRunner, AFailureSaysTheStatementBothValuesTheEventsAndTheSeed) {
  std::vector<std::string> shown;
  const Verdict verdict = run_on_sim(kStart + std::string("cpu read 0x10200000 u32 8"), shown, {.seed = 5});
  EXPECT_NE(verdict.text.find(":7: value at 0x10200000: expected 8 (0x8), found 7 (0x7)"), std::string::npos);
  EXPECT_NE(verdict.story.find("the statement: cpu read 0x10200000 u32 8\n"), std::string::npos) << verdict.story;
  EXPECT_NE(verdict.story.find("the last events (seed 5):\n"), std::string::npos) << verdict.story;
  EXPECT_NE(verdict.story.find("the CPU touches 0x10200000"), std::string::npos) << verdict.story;
  EXPECT_EQ(std::count(verdict.story.begin(), verdict.story.end(), '\n'), 12);  // statement, head, ten events
}

TEST(ScenarioRunner, WithoutChecksEventsAreTheSame) {
  std::vector<std::string> shown;
  for (const auto checks : {ScenarioWorld::Checks::kOn, ScenarioWorld::Checks::kOff}) {
    std::vector<Event> events;
    RunOptions options{
        .on_events = [&](std::span<const Event> more) { events.insert(events.end(), more.begin(), more.end()); },
        .checks = checks};
    EXPECT_EQ(run_on_sim(kStart, shown, options).text, "");
    EXPECT_GT(events.size(), 15u);
    EXPECT_EQ(events.back().seq, events.size());
  }
}

}  // namespace
}  // namespace softxe::scenario
