// What is written is read, and no damage is believed.
#include <gtest/gtest.h>
#include <unistd.h>

#include <array>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "cli/trace_check.h"
#include "cli/trace_reader.h"
#include "cli/trace_writer.h"

namespace softxe::trace {
namespace {

namespace fs = std::filesystem;

constexpr std::array<std::uint16_t, 2> kProcesses{0, 1};

class TraceFile : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = fs::temp_directory_path() / ("softxe-trace-test-" + std::to_string(getpid()));
    fs::create_directories(folder_);
    path_ = (folder_ / "run.sxt").string();
  }
  void TearDown() override { fs::remove_all(folder_); }

  static Event event(std::uint64_t seq) {
    return {.seq = seq, .time_ns = 1000 * seq, .address = seq * 4096, .size = 4096, .kind = EventKind::kFaultBegin};
  }
  /// `count` events of each of two processes, in blocks of ten.
  void write(std::uint64_t count) {
    auto writer = TraceWriter::create(path_, {{"command", {"prog"}}, {"started_ns", 0}});
    ASSERT_TRUE(writer);
    (*writer)->inform(0, {{"pid", 10}, {"exe", "/bin/prog"}});
    for (std::uint64_t seq = 1; seq <= count; ++seq) {
      for (const std::uint16_t process : kProcesses) {
        const Event one = event(seq);
        (*writer)->take(process, std::span(&one, 1));
      }
      if (seq % 10 == 0) (*writer)->flush();
    }
    (*writer)->inform(kAboutRun, {{"exit_status", 0}});
    ASSERT_TRUE((*writer)->finish());
  }
  std::string bytes() const {
    std::ifstream in(path_, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
  }
  void put(const std::string& bytes) const { std::ofstream(path_, std::ios::binary | std::ios::trunc) << bytes; }
  static std::vector<std::uint64_t> numbers(TraceReader& reader, std::uint16_t process) {
    std::vector<std::uint64_t> result;
    reader.for_each([&](const NumberedEvent& e) {
      if (e.process == process) result.push_back(e.event.seq);
      return true;
    });
    return result;
  }

  fs::path folder_;
  std::string path_;
};

TEST_F(TraceFile, OneWithoutAnEndIsCheckedForWhatItHas) {
  auto writer = TraceWriter::create(path_, {{"started_ns", 0}});
  ASSERT_TRUE(writer);
  const std::array<Event, 2> sound{Event{.seq = 1, .kind = EventKind::kIoctl},
                                   Event{.seq = 2, .parent = 1, .kind = EventKind::kExec}};
  (*writer)->take(0, sound);
  (*writer)->flush();
  EXPECT_EQ(check_trace(**TraceReader::open(path_)), "");
  const Event orphan{.seq = 3, .kind = EventKind::kExec};
  (*writer)->take(0, std::span(&orphan, 1));
  (*writer)->flush();
  EXPECT_NE(check_trace(**TraceReader::open(path_)), "");
}

TEST_F(TraceFile, ComesBackAsItWasWritten) {
  write(25);
  auto reader = TraceReader::open(path_);
  ASSERT_TRUE(reader);
  EXPECT_EQ((*reader)->cut_off(), "");
  EXPECT_EQ((*reader)->event_count(), 50u);
  EXPECT_EQ((*reader)->head().at("command").at(0), "prog");
  EXPECT_EQ((*reader)->ending().at("exit_status"), 0);
  EXPECT_EQ((*reader)->processes().at(0).pid, 10u);
  std::uint64_t last_ns = 0;
  (*reader)->for_each([&](const NumberedEvent& e) {
    EXPECT_GE(e.event.time_ns, last_ns);
    last_ns = e.event.time_ns;
    EXPECT_EQ(e.event.address, e.event.seq * 4096);
    return true;
  });
  std::uint64_t expected = 25;
  (*reader)->for_each_backwards(1, [&](const Event& e) {
    EXPECT_EQ(e.seq, expected--);
    return true;
  });
  EXPECT_EQ(expected, 0u);
}

TEST_F(TraceFile, CallStacksComeBackByEventAndChangeNothingElse) {
  auto writer = TraceWriter::create(path_, {{"started_ns", 0}});
  ASSERT_TRUE(writer);
  std::array<StackRecord, 2> stacks{StackRecord{.event = 1, .depth = 2}, StackRecord{.event = 3, .depth = 0}};
  stacks[0].frames[0] = 0x401000;
  stacks[0].frames[1] = 0x402000;
  const std::array<Event, 3> events{event(1), event(2), event(3)};
  (*writer)->take_stacks(0, stacks);
  (*writer)->take(0, events);
  ASSERT_TRUE((*writer)->finish());
  auto reader = TraceReader::open(path_);
  ASSERT_TRUE(reader);
  EXPECT_TRUE((*reader)->has_stacks());
  EXPECT_EQ((*reader)->event_count(), 3u);
  EXPECT_EQ(numbers(**reader, 0), (std::vector<std::uint64_t>{1, 2, 3}));
  const TraceReader::Stacks read = (*reader)->stacks_of(0);
  ASSERT_EQ(read.size(), 2u);
  EXPECT_EQ(read.at(1), (std::vector<std::uint64_t>{0x401000, 0x402000}));
  EXPECT_TRUE(read.at(3).empty());
  EXPECT_TRUE((*reader)->stacks_of(1).empty());
}

TEST_F(TraceFile, CutAnywhereIsReadUpToTheLastWholeBlockAndSaysSo) {
  write(30);
  const std::string whole = bytes();
  std::size_t known = 0;
  for (std::size_t size = 0; size < whole.size(); size += 23) {
    put(whole.substr(0, size));
    auto reader = TraceReader::open(path_);
    if (!reader) {
      EXPECT_EQ(known, 0u) << "a longer part of the file could be read, one of " << size << " bytes cannot";
      continue;
    }
    EXPECT_NE((*reader)->cut_off(), "") << size;
    const auto first = numbers(**reader, 0);
    EXPECT_EQ(first.size() % 10, 0u);
    EXPECT_GE(first.size(), known) << size;
    for (std::size_t i = 0; i < first.size(); ++i) EXPECT_EQ(first[i], i + 1);
    known = first.size();
  }
  EXPECT_EQ(known, 30u);
}

TEST_F(TraceFile, AWrongBitEndsWhatIsBelieved) {
  write(20);
  const std::string whole = bytes();
  for (std::size_t at = 0; at < whole.size(); at += 41) {
    std::string damaged = whole;
    damaged[at] = static_cast<char>(damaged[at] ^ 0x10);
    put(damaged);
    auto reader = TraceReader::open(path_);
    if (!reader) continue;
    for (const std::uint16_t process : kProcesses) {
      const auto read = numbers(**reader, process);
      for (std::size_t i = 1; i < read.size(); ++i) EXPECT_LT(read[i - 1], read[i]) << "byte " << at;
    }
  }
}

TEST_F(TraceFile, WhatIsNoTraceIsRefused) {
  for (const std::string& text : {std::string(), std::string("hello"), std::string(4096, '\0')}) {
    put(text);
    EXPECT_FALSE(TraceReader::open(path_));
  }
  EXPECT_FALSE(TraceReader::open(path_ + ".not"));
  write(1);
  std::string newer = bytes();
  newer[8] = 2;
  put(newer);
  EXPECT_FALSE(TraceReader::open(path_));
}

}  // namespace
}  // namespace softxe::trace
