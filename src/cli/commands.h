// The verbs of the softxe command, one file each. What they may be asked is a plain struct, filled
// from the command line by main.cc alone, so that the argument parser (a header of 200,000 lines
// when expanded) is compiled once.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace softxe::cli {

struct RunOptions {
  unsigned devices = 1;
  std::string profile = "bmg";
  std::string vram;
  std::string visible;
  std::string autoreset = "flag";
  std::string dma = "move";
  unsigned eu_threads = 0;  ///< 0: one per processor
  std::string report;
  std::string root;
  bool summary = false;
  std::vector<std::string> program;
};

struct DoctorOptions {
  bool json = false;
};

struct ReportOptions {
  std::string file;
  bool check = false;
};

struct ScenarioOptions {
  std::vector<std::string> files;
  std::uint64_t seed = 1;
  bool live = false;
};

struct VaReplayOptions {
  std::vector<std::string> files;
  bool check = false;
};

struct DisasmOptions {
  std::string file;
  bool hex = false;
  bool full = false;
};

struct AsmOptions {
  std::string file;
  std::string out;
  bool hex = false;
};

/// Prints "softxe VERB: WHY" on the error stream.
void complain(const char* verb, const std::string& why);

// Each runs its verb and says with which status the command ends.
int run(RunOptions options);
int doctor(const DoctorOptions& options);
int show_report(const ReportOptions& options);
int run_scenarios(const ScenarioOptions& options);
int disassemble(const DisasmOptions& options);
int assemble(const AsmOptions& options);

// Exit statuses of softxe itself, the last three as env(1) and timeout(1) use them; the table of softxe(1).
inline constexpr int kExitNo = 1;           ///< the verb has done its work and the answer is no
inline constexpr int kExitUsage = 125;      ///< softxe failed: wrong usage, a file that cannot be read or written ...
inline constexpr int kExitCannotRun = 126;  ///< the program cannot be run under softxe, or not on this machine
inline constexpr int kExitNotFound = 127;   ///< there is no such program

}  // namespace softxe::cli
