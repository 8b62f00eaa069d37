// The recorded traces of the reference implementation, replayed.
#include "cli/va_replay.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

namespace softxe {
namespace {

namespace fs = std::filesystem;

std::vector<std::string> vector_files() {
  std::vector<std::string> files;
  for (const auto& entry : fs::directory_iterator(SOFTXE_SOURCE_DIR "/tests/data/gpuvm")) {
    if (entry.path().extension() == ".jsonl") files.push_back(entry.path().string());
  }
  std::sort(files.begin(), files.end());
  return files;
}

struct Replayed {
  int status;
  std::string output;
};
Replayed replay(const std::vector<std::string>& files, ReplayMode mode) {
  std::FILE* out = std::tmpfile();
  const int status = va_replay(files, mode, out);
  std::string text(static_cast<std::size_t>(std::ftell(out)), '\0');
  std::rewind(out);
  text.resize(std::fread(text.data(), 1, text.size(), out));
  std::fclose(out);
  return {status, text};
}
std::string content(const std::string& file) {
  std::stringstream text;
  text << std::ifstream(file).rdbuf();
  return text.str();
}

/// A trace in a file of its own, gone at the end of the test.
class TraceFile {
 public:
  explicit TraceFile(const std::string& text)
      : name_(testing::TempDir() + "va_replay_" + testing::UnitTest::GetInstance()->current_test_info()->name() +
              ".jsonl") {
    std::ofstream(name_) << text;
  }
  ~TraceFile() { std::remove(name_.c_str()); }
  const std::string& name() const { return name_; }

 private:
  std::string name_;
};

const char kTrace[] =
    "{\"t\":\"x\",\"unit\":4096,\"vm\":[0,64,0,0]}\n"
    "{\"q\":[\"m\",5,5,1,105],\"x\":[[\"m\",5,5,1,105]],\"h\":\"64492741\",\"s\":[[5,5,1,105,0]]}\n"
    "{\"q\":[\"u\",60,5],\"e\":-22,\"h\":\"64492741\"}\n"
    "{\"q\":[\"f\",0,6],\"r\":[5,5],\"h\":\"64492741\"}\n"
    "{\"end\":[[5,5,1,105,0]]}\n";

TEST(VaReplay, AllVectorsPass) {
  const std::vector<std::string> files = vector_files();
  ASSERT_GE(files.size(), 12u);
  const Replayed result = replay(files, ReplayMode::kCheck);
  EXPECT_EQ(result.status, 0);
  EXPECT_EQ(result.output, "14278 passed, 0 failed\n");
}

TEST(VaReplay, PrintingRepeatsCorrectFilesByteForByte) {
  for (const std::string& file : vector_files()) {
    const Replayed result = replay({file}, ReplayMode::kPrint);
    EXPECT_EQ(result.status, 0);
    EXPECT_TRUE(result.output == content(file)) << file;
  }
}

TEST(VaReplay, EveryFieldIsCompared) {
  struct Row {
    const char* name;
    const char* right;
    const char* wrong;
  };
  const Row rows[] = {
      {"operations", "[[\"m\",5,5,1,105]]", "[[\"m\",5,5,1,106]]"},
      {"refusal", "\"e\":-22", "\"e\":-12"},
      {"refused at all", "\"e\":-22", "\"x\":[]"},
      {"found", "\"r\":[5,5]", "\"r\":0"},
      {"hash", "\"h\":\"64492741\",\"s\"", "\"h\":\"64492742\",\"s\""},
      {"state", "\"s\":[[5,5,1,105,0]]", "\"s\":[[5,5,1,105,1]]"},
      {"end", "{\"end\":[[5,5,1,105,0]]}", "{\"end\":[]}"},
  };
  {
    const TraceFile file(kTrace);
    EXPECT_EQ(replay({file.name()}, ReplayMode::kCheck).output, "4 passed, 0 failed\n");
  }
  for (const Row& row : rows) {
    std::string trace = kTrace;
    const std::size_t at = trace.find(row.right);
    ASSERT_NE(at, std::string::npos) << row.name;
    const TraceFile file(trace.replace(at, std::string(row.right).size(), row.wrong));
    const Replayed checked = replay({file.name()}, ReplayMode::kCheck);
    EXPECT_EQ(checked.status, 1) << row.name;
    EXPECT_NE(checked.output.find("\n3 passed, 1 failed\n"), std::string::npos) << checked.output;
    // Printing puts the engine's own result in place of the wrong one.
    EXPECT_EQ(replay({file.name()}, ReplayMode::kPrint).output, kTrace) << row.name;
  }
}

TEST(VaReplay, MalformedInputFailsAndIsNamed) {
  const char* traces[] = {
      "nonsense\n",
      "[1,2]\n",
      "{\"q\":[\"u\",0,1],\"x\":[]}\n",  // no header
      "{\"t\":\"x\",\"unit\":0,\"vm\":[0,64,0,0]}\n",
      "{\"t\":\"x\",\"unit\":4096,\"vm\":[0,64]}\n",
      "{\"t\":\"x\",\"unit\":4096,\"vm\":[0,64,60,8]}\n",
      "{\"t\":\"x\",\"unit\":1,\"vm\":[0,64,0,0]}\n{\"q\":[\"k\",0,1],\"x\":[]}\n",
      "{\"t\":\"x\",\"unit\":1,\"vm\":[0,64,0,0]}\n{\"q\":[\"u\",-1,1],\"x\":[]}\n",
      "{\"t\":\"x\",\"unit\":1,\"vm\":[0,64,0,0]}\n{\"q\":[],\"x\":[]}\n",
      "{\"t\":\"x\",\"unit\":1,\"vm\":[0,64,0,0]}\n{\"h\":\"0\"}\n",
  };
  for (const char* trace : traces) {
    const TraceFile file(trace);
    const Replayed result = replay({file.name()}, ReplayMode::kCheck);
    EXPECT_EQ(result.status, 1) << trace;
    EXPECT_NE(result.output.find(file.name() + ":"), std::string::npos) << trace;
    EXPECT_NE(result.output.find("0 passed, 1 failed\n"), std::string::npos) << trace;
  }
  EXPECT_EQ(replay({"/nonexistent/file.jsonl"}, ReplayMode::kCheck).status, 1);
}

}  // namespace
}  // namespace softxe
