#include "cli/output_file.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <iterator>

namespace softxe::cli {
namespace {

namespace fs = std::filesystem;

class OutputFileTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = fs::temp_directory_path() / "softxe-output-XXXXXX";
    folder_ = mkdtemp(pattern.data());
  }
  void TearDown() override { fs::remove_all(folder_); }

  std::string at(const char* name) const { return folder_ / name; }
  static void put(const std::string& path, const char* text) { std::ofstream(path) << text; }
  static std::string get(const std::string& path) {
    std::ifstream in(path);
    return {std::istreambuf_iterator<char>(in), {}};
  }
  std::size_t files() const {
    return static_cast<std::size_t>(std::distance(fs::directory_iterator(folder_), fs::directory_iterator()));
  }

  fs::path folder_;
};

TEST_F(OutputFileTest, AFileIsNotTouchedBeforeItsNewContentIsComplete) {
  put(at("r.json"), "old");
  {
    auto file = OutputFile::open(at("r.json"));
    ASSERT_TRUE(file);
    EXPECT_EQ(get(at("r.json")), "old");
    EXPECT_EQ(files(), 1u);  // a run that is killed leaves nothing
  }
  EXPECT_EQ(get(at("r.json")), "old");
  auto file = OutputFile::open(at("r.json"));
  ASSERT_TRUE(file && file->write("new"));
  EXPECT_EQ(get(at("r.json")), "new");
  EXPECT_EQ(files(), 1u);
}

TEST_F(OutputFileTest, PermissionsOfAnOldFileStay) {
  put(at("r.json"), "old");
  chmod(at("r.json").c_str(), 0640);
  auto file = OutputFile::open(at("r.json"));
  ASSERT_TRUE(file && file->write("new"));
  struct stat info {};
  ASSERT_EQ(stat(at("r.json").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 07777u, 0640u);
}

TEST_F(OutputFileTest, ALinkStaysAndItsTargetIsWritten) {
  put(at("target"), "something longer than what comes");
  ASSERT_EQ(symlink("target", at("link").c_str()), 0);
  auto file = OutputFile::open(at("link"));
  ASSERT_TRUE(file && file->write("new"));
  EXPECT_TRUE(fs::is_symlink(at("link")));
  EXPECT_EQ(get(at("target")), "new");
}

TEST_F(OutputFileTest, FilesOfOthersAreLeftAlone) {
  put(at("r.json.tmp"), "mine");
  const std::string taken = ".r.json.softxe-" + std::to_string(getpid()) + "-0";
  put(at(taken.c_str()), "mine");
  auto file = OutputFile::open(at("r.json"));
  ASSERT_TRUE(file && file->write("new"));
  EXPECT_EQ(get(at("r.json.tmp")), "mine");
  EXPECT_EQ(get(at(taken.c_str())), "mine");
}

TEST_F(OutputFileTest, WhatCannotBeWrittenIsRefusedBeforeTheWorkBegins) {
  EXPECT_FALSE(OutputFile::open(at("nowhere/r.json")));
  EXPECT_FALSE(OutputFile::open(folder_));
  put(at("plain"), "");
  EXPECT_FALSE(OutputFile::open(at("plain/r.json")));
  EXPECT_FALSE(OutputFile::open(""));
}

TEST_F(OutputFileTest, AFullDeviceIsAFailureOfTheWrite) {
  auto file = OutputFile::open("/dev/full");
  ASSERT_TRUE(file);
  const auto written = file->write("text");
  ASSERT_FALSE(written);
  EXPECT_EQ(written.error().why, "cannot write /dev/full: No space left on device");
}

TEST_F(OutputFileTest, AStreamArrivesWhenItIsFinished) {
  put(at("t.txt"), "old");
  {
    auto file = OutputFile::open(at("t.txt"));
    ASSERT_TRUE(file);
    auto stream = file->stream(OutputFile::Arrival::kWhenWhole);
    ASSERT_TRUE(stream);
    std::fputs("half", *stream);
    std::fflush(*stream);
    EXPECT_EQ(get(at("t.txt")), "old");
  }
  EXPECT_EQ(get(at("t.txt")), "old");
  EXPECT_EQ(files(), 1u);
  auto file = OutputFile::open(at("t.txt"));
  auto stream = file->stream(OutputFile::Arrival::kWhenWhole);
  std::fputs("new", *stream);
  ASSERT_TRUE(file->finish());
  EXPECT_EQ(get(at("t.txt")), "new");
  EXPECT_EQ(files(), 1u);
}

TEST_F(OutputFileTest, AStreamThatIsWatchedGrowsAtOnce) {
  auto file = OutputFile::open(at("t.txt"));
  auto stream = file->stream(OutputFile::Arrival::kAtOnce);
  ASSERT_TRUE(stream);
  std::fputs("half", *stream);
  std::fflush(*stream);
  EXPECT_EQ(get(at("t.txt")), "half");
  ASSERT_TRUE(file->finish());
}

TEST_F(OutputFileTest, AStreamToAFullDeviceIsNotFinished) {
  auto file = OutputFile::open("/dev/full");
  auto stream = file->stream(OutputFile::Arrival::kWhenWhole);
  ASSERT_TRUE(stream);
  std::fputs("text", *stream);
  const auto finished = file->finish();
  ASSERT_FALSE(finished);
  EXPECT_NE(finished.error().why.find("No space left"), std::string::npos);
}

}  // namespace
}  // namespace softxe::cli
