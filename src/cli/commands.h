// The verbs of the softxe command, one file each. What they may be asked is a plain struct, filled
// from the command line by main.cc alone, so that the argument parser (a header of 200,000 lines
// when expanded) is compiled once.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "cli/refusal.h"

namespace softxe::cli {

/// What must hold for a run, or its report, to be good.
struct TestOptions {
  std::vector<std::string> expect;  ///< COUNTER OP NUMBER
  std::string rung{};               ///< of every process; empty: any
  std::string junit;                ///< file; empty: none
};

struct RunOptions {
  unsigned devices = 1;
  std::string profile = "bmg";
  std::string vram;
  std::string visible;
  std::string autoreset = "flag";
  std::string dma = "move";
  unsigned eu_threads = 0;  ///< 0: one per processor
  bool deterministic = false;
  std::string report;
  std::string root;
  bool summary = false;
  std::string trace;    ///< file for the events; empty: none
  bool stacks = false;  ///< events of calls are recorded with the client's call stack
  TestOptions tests;
  int error_exitcode = 1;  ///< when a test does not hold and the program itself has ended with 0
  std::vector<std::string> program;
};

struct DoctorOptions {
  bool json = false;
};

struct ReportOptions {
  std::string file;
  bool check = false;
  TestOptions tests;
};

struct ScenarioOptions {
  std::vector<std::string> files;
  std::uint64_t seed = 1;
  bool live = false;
  std::string trace;   ///< file for the events; empty: none
  std::string filter;  ///< of names and files; empty: all
  bool list = false;
  bool steps = false;
  bool verbose = false;
  bool check = true;
  std::string junit;     ///< file; empty: none
  std::string schedule;  ///< file; empty: none is replayed
};

struct ExploreOptions {
  std::vector<std::string> files;
  std::string strategy = "random";
  unsigned depth = 3;
  std::string points = "all";
  std::uint64_t budget = 0;  ///< 0: without limit
  double seconds = 0;        ///< likewise
  std::uint64_t seed = 1;
  std::string part = "1/1";  ///< I/N, I from 1 on
  std::uint64_t shard = 0;   ///< of `part`, from 0 on
  std::uint64_t shards = 1;
  unsigned processes = 1;
  unsigned failures = 0;
  std::string filter;
  std::string out = "softxe.schedule";
  bool small = false;
  bool verbose = false;
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

struct TraceOptions {
  std::string file;  ///< empty: `run` is run, and printed while it runs
  RunOptions run;
  std::string kinds;
  std::string address;
  std::optional<std::uint32_t> asid;
  std::optional<double> since;
  std::optional<double> until;
  std::string out;  ///< empty: standard output, or the error stream of a run
  enum class Form : std::uint8_t { kText, kCsv, kJsonLines, kSummary } form = Form::kText;
  std::string sqlite;    ///< database to make; empty: none
  std::string perfetto;  ///< file to make; empty: none
  bool stacks = false;   ///< print call stacks, too
  bool check = false;
};

struct ExplainOptions {
  std::string file;
  std::string address;
  std::optional<double> at;  ///< seconds of the run
  enum class Theme : std::uint8_t { kAddress, kReset, kMoved, kFailed } theme = Theme::kAddress;
};

struct ViewOptions {
  std::string file;
  std::string out;
};

struct RootOptions {
  std::string action;  ///< make
  std::string folder;
  enum class Content : std::uint8_t { kTests, kDrivers, kPrograms } content = Content::kTests;
  bool force = false;  ///< make it again
};

struct ConformanceOptions {
  std::string root;  ///< empty: the usual place
  std::string tests;
  std::string profile;
  std::string shard;  ///< I/N
  std::string junit;
  bool list = false;
};

struct DiffOptions {
  std::string first;
  std::string second;
  std::vector<std::string> tolerances;  ///< COUNTER=PERCENT, or PERCENT for all
};

/// Prints "softxe VERB: WHY" on the error stream.
void complain(const char* verb, const std::string& why);
/// The same; the status to end with.
int give_up(const char* verb, const Refusal& refusal);

// Each runs its verb and says with which status the command ends.
int run(RunOptions options);
int doctor(const DoctorOptions& options);
int trace_run_or_file(TraceOptions options);
int explain(const ExplainOptions& options);
int view(const ViewOptions& options);
int diff(const DiffOptions& options);
// These two become a program of conformance/ and return only when that cannot be started.
int make_root(const RootOptions& options);
int conformance(const ConformanceOptions& options);
int show_report(const ReportOptions& options);
int run_scenarios(const ScenarioOptions& options);
int explore(const ExploreOptions& options);
/// Prints who ran when and what happened.
int replay_schedule(const std::string& schedule_file, const std::string& scenario_file);
int disassemble(const DisasmOptions& options);
int assemble(const AsmOptions& options);

// Exit statuses of softxe itself, the last three as env(1) and timeout(1) use them; the table of softxe(1).
inline constexpr int kExitNo = 1;           ///< the verb has done its work and the answer is no
inline constexpr int kExitUsage = 125;      ///< softxe failed: wrong usage, a file that cannot be read or written ...
inline constexpr int kExitCannotRun = 126;  ///< the program cannot be run under softxe, or not on this machine
inline constexpr int kExitNotFound = 127;   ///< there is no such program

}  // namespace softxe::cli
