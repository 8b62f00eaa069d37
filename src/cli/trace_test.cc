// Questions to traces made by hand: filters, sentences, stories, differences, timelines; and a run's tests.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <protozero/pbf_reader.hpp>

#include "base/address.h"
#include "cli/expect.h"
#include "cli/trace_check.h"
#include "cli/trace_diff.h"
#include "cli/trace_explain.h"
#include "cli/trace_options.h"
#include "cli/trace_perfetto.h"
#include "cli/trace_reader.h"
#include "cli/trace_text.h"
#include "cli/trace_view.h"
#include "cli/trace_writer.h"

namespace softxe::trace {
namespace {

namespace fs = std::filesystem;
using K = EventKind;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr std::uint64_t kBlock = 0x7f0000200000;

class Traces : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = fs::temp_directory_path() / ("softxe-traces-" + std::to_string(getpid()));
    fs::create_directories(folder_);
  }
  void TearDown() override { fs::remove_all(folder_); }

  /// Numbers and times the events; parents are given.
  std::unique_ptr<TraceReader> trace(std::vector<Event> events, const nlohmann::json& ending = {{"total", nullptr}}) {
    const std::string path = (folder_ / std::to_string(made_++)).string();
    auto writer = TraceWriter::create(path, {{"started_ns", 0}});
    for (std::size_t i = 0; i < events.size(); ++i) {
      events[i].seq = i + 1;
      events[i].time_ns = 1'000'000 * (i + 1);
    }
    (*writer)->inform(0, {{"pid", 42}, {"exe", "/bin/prog"}});
    (*writer)->take(0, events);
    if (!ending.at("total").is_null()) (*writer)->inform(kAboutRun, ending);
    EXPECT_TRUE((*writer)->finish());
    return std::move(*TraceReader::open(path));
  }
  /// A page that goes to VRAM, is unmapped, and whose attributes go back.
  static std::vector<Event> morning() {
    return {
        {.kind = K::kIoctl},  // 1
        {.parent = 1,
         .address = kBlock,
         .size = k2M,
         .word = 1,
         .kind = K::kAdvice,
         .cause = EventCause::kAtomicAccess},
        {.kind = K::kIoctl},                                                                                  // 3
        {.parent = 3, .address = 0x1000, .word = 1, .kind = K::kExec},                                        // 4
        {.parent = 4, .address = 0x1000, .word = event_word(1, 0), .kind = K::kJobBegin},                     // 5
        {.parent = 5, .address = kBlock, .size = 4096, .kind = K::kFaultBegin, .cause = EventCause::kWrite},  // 6
        {.parent = 6, .address = kBlock, .size = k2M, .kind = K::kFaultMove},                                 // 7
        {.parent = 7,
         .address = kBlock,
         .size = k2M,
         .word = 9,
         .kind = K::kMigrate,
         .cause = EventCause::kGpuFault,
         .from = EventPlace::kSystem,
         .to = EventPlace::kVram0},                                                                                // 8
        {.parent = 6, .address = kBlock, .size = 4096, .kind = K::kFaultEnd},                                      // 9
        {.parent = 5, .word = 5, .kind = K::kJobEnd},                                                              // 10
        {.address = kBlock, .size = k2M, .word = SYS_munmap, .kind = K::kCall},                                    // 11
        {.parent = 11, .address = kBlock, .size = k2M, .kind = K::kUnmap},                                         // 12
        {.parent = 12, .address = kBlock, .size = k2M, .kind = K::kRangeDie, .cause = EventCause::kWhole},         // 13
        {.parent = 5, .address = kBlock + k2M, .size = 4096, .kind = K::kFaultBegin, .cause = EventCause::kRead},  // 14
        {.parent = 14, .kind = K::kPass},                                                                          // 15
        {.parent = 13, .address = kBlock, .size = k2M, .word = 15, .kind = K::kRangeCollect},                      // 16
        {.parent = 16, .address = kBlock, .size = k2M, .word = 1ull << 32, .kind = K::kReset},                     // 17
        {.parent = 14, .address = kBlock + k2M, .size = 4096, .kind = K::kFaultAgain},                             // 18
    };
  }

  fs::path folder_;
  int made_ = 0;
};

TEST_F(Traces, AStoryGoesBackToTheCallOfTheClient) {
  const auto reader = trace(morning());
  const std::string text = explain_address(*reader, {.address = kBlock + 4096});
  EXPECT_THAT(text, HasSubstr("nowhere that the GPU has used since it was unmapped"));
  EXPECT_THAT(text, HasSubstr("attributes: the bind's, since the reset at 0.017000"));
  EXPECT_THAT(text, HasSubstr("      <- the collector takes the range 0x7f0000200000+2M\n"
                              "      <- the range 0x7f0000200000+2M dies (whole)\n"
                              "      <- notifiers hear: 0x7f0000200000+2M is unmapped\n"
                              "      <- munmap(0x7f0000200000+2M)\n"));
  EXPECT_THAT(text, HasSubstr("in the pass that ran in: GPU fault: read of 0x7f0000400000 by rcs0"));
  // The fault that looked again did so because of this: it belongs to the story of the other page, too.
  EXPECT_THAT(text, HasSubstr("the fault looks for its VMA again"));
}

TEST_F(Traces, AStoryUpToATimeKnowsNothingOfLater) {
  const auto reader = trace(morning());
  const std::string text = explain_address(*reader, {.address = kBlock, .until_ns = 10'500'000});
  EXPECT_THAT(text, HasSubstr("is in: VRAM of tile 0"));
  EXPECT_THAT(text, HasSubstr("last set at 0.002000: MADVISE 0x7f0000200000+2M: atomic access device"));
  EXPECT_THAT(text, Not(HasSubstr("munmap")));
}

TEST_F(Traces, ThemesAreGroupedByWhatTheClientDid) {
  const auto reader = trace(morning());
  EXPECT_THAT(explain_theme(*reader, Theme::kReset), HasSubstr("1 x reset, because of: munmap (2M)"));
  EXPECT_THAT(explain_theme(*reader, Theme::kMoved), HasSubstr("1 x migrate, gpu-fault, because of: ioctl"));
  EXPECT_EQ(explain_theme(*reader, Theme::kFailed), "nothing of this sort happened\n");
}

struct FilterRow {
  const char* claim;
  FilterText text;
  std::size_t passes;  ///< of morning()
};

TEST_F(Traces, FiltersLetThroughWhatTheySay) {
  const FilterRow rows[] = {
      {"everything", {}, 18},
      {"kinds", {.kinds = "reset,migrate", .address = ""}, 2},
      {"an address", {.kinds = "", .address = "0x7f0000200000"}, 10},
      {"an interval that ends before", {.kinds = "", .address = "0x7f0000100000+1M"}, 0},
      {"since", {.kinds = "", .address = "", .since = 0.0175}, 1},
      {"until", {.kinds = "", .address = "", .until = 0.0015}, 1},
      {"a VM that nothing happened in", {.kinds = "", .address = "", .asid = 3}, 0},
  };
  const auto reader = trace(morning());
  for (const FilterRow& row : rows) {
    const auto filter = Filter::parse(row.text);
    ASSERT_TRUE(filter) << row.claim;
    std::size_t passed = 0;
    reader->for_each([&](const NumberedEvent& e) {
      passed += filter->wants(e.event, 0) ? 1 : 0;
      return true;
    });
    EXPECT_EQ(passed, row.passes) << row.claim;
  }
  EXPECT_THAT(Filter::parse({.kinds = "rest", .address = ""}).error(), HasSubstr("did you mean 'reset'?"));
  EXPECT_FALSE(Filter::parse({.kinds = "", .address = "here"}));
}

TEST_F(Traces, EveryKindHasASentenceOfItsOwn) {
  for (std::size_t kind = 1; kind < static_cast<std::size_t>(EventKind::kEnd); ++kind) {
    const std::string text = sentence_of({.address = 4096, .size = 4096, .kind = static_cast<EventKind>(kind)});
    EXPECT_THAT(text, Not(HasSubstr("event of kind"))) << name_of(static_cast<EventKind>(kind));
    EXPECT_EQ(kind_named(name_of(static_cast<EventKind>(kind))), static_cast<EventKind>(kind));
  }
}

TEST_F(Traces, ACheckComparesWithTheReport) {
  const std::vector<Event> events = {{.kind = K::kIoctl}, {.parent = 1, .kind = K::kExec}};
  EXPECT_EQ(check_trace(*trace(events, {{"total", {{"exec_count", 1}}}})), "");
  EXPECT_THAT(check_trace(*trace(events, {{"total", {{"exec_count", 2}}}})), HasSubstr("exec_count is 2"));
  EXPECT_EQ(check_trace(*trace(events, {{"total", {{"exec_count", 2}}}, {"signal", 9}})), "");
  EXPECT_THAT(check_trace(*trace({{.kind = K::kExec}}, {{"total", {{"exec_count", 1}}}})), HasSubstr("no cause"));
}

TEST_F(Traces, DifferencesAreFoundModuloAddressesAndTime) {
  const auto first = trace(morning());
  std::vector<Event> elsewhere = morning();
  for (Event& event : elsewhere) {
    if (event.address >= kBlock) event.address += 64 * k2M;
  }
  EXPECT_EQ(diff_traces(*first, *trace(elsewhere)), "");
  elsewhere[16].address += k2M;  // the reset is of another block than the range
  EXPECT_THAT(diff_traces(*first, *trace(elsewhere)), HasSubstr("event 17 differs"));
  elsewhere = morning();
  elsewhere.pop_back();
  EXPECT_THAT(diff_traces(*first, *trace(elsewhere)), HasSubstr("(no more events)"));
}

TEST_F(Traces, ReportsDifferByMoreThanTheirTolerance) {
  const nlohmann::json a = {{"total", {{"exec_count", 100}, {"svm_bind_us", 7}, {"madvise_count", 1}}}};
  const nlohmann::json b = {{"total", {{"exec_count", 104}, {"svm_bind_us", 9}, {"madvise_count", 1}}}};
  EXPECT_THAT(diff_reports(a, b, {}), HasSubstr("exec_count"));
  EXPECT_THAT(diff_reports(a, b, {}), Not(HasSubstr("svm_bind_us")));
  EXPECT_EQ(diff_reports(a, b, {.all = 5, .of_counter = {}}), "");
  EXPECT_THAT(diff_reports(a, b, {.all = 5, .of_counter = {{"exec_count", 1}}}), HasSubstr("exec_count"));
}

TEST_F(Traces, ATimelineNests) {
  const auto reader = trace(morning());
  const std::string bytes = perfetto_bytes(*reader);
  std::map<std::uint64_t, int> depth;
  std::map<std::uint64_t, std::uint64_t> last_ns;
  std::size_t slices = 0;
  protozero::pbf_reader file(bytes);
  while (file.next(1)) {
    protozero::pbf_reader packet = file.get_message();
    std::uint64_t time_ns = 0;
    while (packet.next()) {
      if (packet.tag() == 8) {
        time_ns = packet.get_uint64();
      } else if (packet.tag() == 11) {
        protozero::pbf_reader event = packet.get_message();
        std::int32_t type = 0;
        std::uint64_t track = 0;
        while (event.next()) {
          if (event.tag() == 9) {
            type = event.get_enum();
          } else if (event.tag() == 11) {
            track = event.get_uint64();
          } else {
            event.skip();
          }
        }
        EXPECT_GE(time_ns, last_ns[track]);
        last_ns[track] = time_ns;
        depth[track] += type == 1 ? 1 : type == 2 ? -1 : 0;
        slices += type == 1 ? 1 : 0;
        EXPECT_GE(depth[track], 0);
      } else {
        packet.skip();
      }
    }
  }
  EXPECT_EQ(slices, 3u);  // a job and two faults, the second of which never ended
  for (const auto& [track, left] : depth) EXPECT_EQ(left, 0);
}

TEST_F(Traces, APageHoldsItsDataAndNothingFromElsewhere) {
  const std::string path = (folder_ / "page.html").string();
  ASSERT_TRUE(write_view(*trace(morning()), path));
  std::ifstream in(path);
  const std::string page{std::istreambuf_iterator<char>(in), {}};
  EXPECT_THAT(page, HasSubstr("const DATA = \""));
  EXPECT_THAT(page, HasSubstr("</html>"));
  for (const char* reach : {"http://", "https://", "src=", "import "}) EXPECT_THAT(page, Not(HasSubstr(reach)));
}

// --- a run as a test ------------------------------------------------------------------------------------------------

struct ExpectRow {
  const char* text;
  bool holds;  ///< of a report with exec_count 100
};

TEST(Expectations, HoldOrNot) {
  const nlohmann::json report = {{"total", {{"exec_count", 100}}}, {"processes", nlohmann::json::array()}};
  const ExpectRow rows[] = {{"exec_count == 100", true},  {"exec_count=100", true},    {"exec_count != 100", false},
                            {"exec_count < 100", false},  {"exec_count <= 100", true}, {"exec_count > 99", true},
                            {"exec_count >= 101", false}, {" exec_count<1K ", true},   {"madvise_count == 0", true}};
  for (const ExpectRow& row : rows) {
    const auto one = cli::Expectation::parse(row.text);
    ASSERT_TRUE(one) << row.text;
    EXPECT_EQ(cli::judge(report, {.expectations = {*one}, .rung = ""}).at(0).holds, row.holds) << row.text;
  }
}

TEST(Expectations, MistakesAreSaidWithWhatWasMeant) {
  EXPECT_THAT(cli::Expectation::parse("exec_cuont == 1").error(), HasSubstr("did you mean 'exec_count'?"));
  EXPECT_THAT(cli::Expectation::parse("exec_count").error(), HasSubstr("COUNTER OP NUMBER"));
  EXPECT_THAT(cli::Expectation::parse("exec_count == many").error(), HasSubstr("number"));
}

TEST(Expectations, ARungIsOfEveryProcessAndOfAtLeastOne) {
  const auto judged = [](const nlohmann::json& processes) {
    return cli::judge({{"total", nlohmann::json::object()}, {"processes", processes}},
                      {.expectations = {}, .rung = "full"})
        .at(0)
        .holds;
  };
  EXPECT_FALSE(judged(nlohmann::json::array()));
  EXPECT_TRUE(judged({{{"pid", 1}, {"rung", "full"}}}));
  EXPECT_FALSE(judged({{{"pid", 1}, {"rung", "full"}}, {{"pid", 2}, {"rung", "none"}}}));
}

}  // namespace
}  // namespace softxe::trace
