// A parsed scenario file: scenarios of statements, each with its line and its expected outcome.
// Grammar: docs/SCENARIOS.md. Next: scenario_parser.h (text to this), scenario_runner.h (this to calls).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "cli/scenario_world.h"

namespace softxe::scenario {

/// What a statement may end with: errno values, 0 for success.
struct Outcome {
  std::vector<int> allowed = {0};
  bool any = false;
  bool accepts(int err) const;
  std::string text() const;
};

// --- commands ---------------------------------------------------------------------------------------
// clang-format off

struct VmDestroy { std::string vm; };
struct Madvise { std::string vm; Span span; Attrs attrs; };
struct Prefetch { std::string vm; Span span; std::optional<Place> where; };

struct CpuMunmap { Span span; };
struct CpuMprotect { Span span; Protection prot; };
struct CpuMlock { Span span; };
struct CpuMunlock { Span span; };
struct CpuFork { std::string child; };
struct CpuExit {};
struct CpuPin { std::uint64_t address; };
struct CpuUnpin { std::uint64_t address; };
struct CpuWrite { Access access; };
struct CpuFill { Span span; std::uint8_t value; };
/// With `expected` the value is checked, else the page is only touched.
struct CpuRead { Access access; std::optional<std::uint64_t> expected; };
struct CpuCall {
  std::string process;
  std::variant<CpuMmap, CpuMunmap, CpuMremap, CpuMprotect, CpuMadvise, CpuMlock, CpuMunlock, CpuFork,
               CpuExit, CpuPin, CpuUnpin, CpuWrite, CpuFill, CpuRead>
      call;
};

struct GpuRead { GpuTarget gpu; Access access; std::optional<std::uint64_t> expected; };
struct GpuWrite { GpuTarget gpu; Access access; };
struct GpuAtomic { GpuTarget gpu; Access access; std::optional<std::uint64_t> expected; };
struct GpuCopy { GpuTarget gpu; std::uint64_t to; Span from; };
struct GpuFill { GpuTarget gpu; Span span; std::uint8_t value; };

struct GpuKernel { KernelSpec kernel; };

struct QueueDestroy { std::string queue; };
struct QueuePriorityChange { std::string queue; QueueRank rank; };
struct RunEngines { std::optional<std::uint64_t> slices; };
struct WaitJob { std::string job; };

struct Evict { std::optional<Span> span; };
struct Gc { std::string vm; };
struct Sleep { std::uint64_t ns; };
struct Only { std::string backend; };
/// Remembers every counter named later in the scenario by `expect counter NAME +N`.
struct Mark {};
struct FailStep { std::string step; std::uint64_t nth; int err; bool forever; };
// clang-format on

// --- expectations -----------------------------------------------------------------------------------

/// What an expected VMA must look like. Attributes that are not named must be the defaults; flags that
/// are not named are not compared.
struct VmaPattern {
  std::uint64_t start = 0;
  std::optional<std::uint64_t> end;  ///< none: the end of the VM
  VmaInfo::Kind kind = VmaInfo::Kind::kMirror;
  Attrs attrs;
  std::optional<bool> read_only, autoreset, dumpable;
};
struct RangePattern {
  Span span;
  std::optional<bool> dead, mapped, vram;
};
enum class Relation : std::uint8_t { kEqual, kAtLeast, kAtMost };

// clang-format off
struct ExpectVmas { std::string vm; std::vector<VmaPattern> vmas; };
struct ExpectAttrs { std::string vm; std::uint64_t address; VmaPattern pattern; };
struct ExpectVmaCount { std::string vm; Relation relation; std::uint64_t count; };
struct ExpectRanges { std::string vm; std::optional<Span> within; std::vector<RangePattern> ranges; };
struct ExpectPages { std::string process; Span span; std::string where; };
struct ExpectPtes {
  GpuTarget gpu;
  Span span;
  std::optional<bool> present, writable, vram;
  std::optional<std::uint64_t> entry_bytes;
};
struct ExpectCounter { std::string name; Relation relation; std::uint64_t value; bool since_mark; };
struct ExpectVm { std::string vm; std::string state; };
struct ExpectQueue { std::string queue; std::string state; };
struct ExpectJob { std::string job; std::string state; };
/// Prints; changes nothing. `text` is a part of counters' names, `count` a number of events.
struct Show {
  enum class What : std::uint8_t { kVmas, kRanges, kPages, kPtes, kCounters, kEvents } what = What::kVmas;
  GpuTarget gpu{};
  std::optional<Span> span{};
  std::string process{};
  std::string text{};
  std::uint64_t count = 10;
};
// clang-format on

// --- structure --------------------------------------------------------------------------------------

struct Statement;
/// `seq { }`, `repeat N { }`, `parallel [seed=N] { }`; of a parallel block each statement is an actor. `actor NAME { }`
/// there is a sequence with a name.
struct Block {
  enum class Kind : std::uint8_t { kSequence, kRepeat, kParallel };
  Kind kind = Kind::kSequence;
  std::uint64_t number = 1;  ///< repetitions, or the seed
  std::vector<Statement> body;
  std::string actor{};  ///< name; empty: it has none

  /// Actors with names take turns only where orders are searched; else they run as they are written.
  bool names_actors() const;
};
/// `at STEP [nth=N] [times=N] do cpu ...` or `... do { cpu ...; cpu ... }`: runs inside the engine when
/// it reaches the step.
struct AtStep {
  std::string step;
  std::uint64_t nth = 1;
  std::uint64_t times = 1;
  std::vector<Statement> action;  ///< CPU calls only
};

using Command = std::variant<DeviceSpec, VmSpec, VmDestroy, BoSpec, BindSpec, Madvise, Prefetch, CpuCall, GpuRead,
                             GpuWrite, GpuAtomic, GpuCopy, GpuFill, GpuKernel, QueueSpec, QueueDestroy,
                             QueuePriorityChange, ExecSpec, RunEngines, WaitJob, Evict, Gc, Sleep, Only, Mark, FailStep,
                             ExpectVmas, ExpectAttrs, ExpectVmaCount, ExpectRanges, ExpectPages, ExpectPtes,
                             ExpectCounter, ExpectVm, ExpectQueue, ExpectJob, Show, Block, AtStep>;

struct Statement {
  int line = 0;
  Command command;
  Outcome outcome;
};

inline bool Block::names_actors() const {
  for (const Statement& statement : body) {
    const auto* block = std::get_if<Block>(&statement.command);
    if (block != nullptr && !block->actor.empty()) return true;
  }
  return false;
}

/// Runs in a world of its own.
struct Scenario {
  std::string name;
  int line = 1;
  std::vector<Statement> body;
};

struct ScenarioFile {
  std::string path;
  std::vector<Scenario> scenarios;
};

}  // namespace softxe::scenario
