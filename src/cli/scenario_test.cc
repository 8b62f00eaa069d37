#include <fmt/format.h>
#include <fmt/ranges.h>
#include <gtest/gtest.h>
#include <algorithm>
#include <filesystem>
#include <set>

#include "cli/scenario_fake_world.h"
#include "cli/scenario_parser.h"
#include "cli/scenario_runner.h"
#include "cli/scenario_text.h"

namespace softxe::scenario {
namespace {

struct NumberCase {
  const char* text;
  std::optional<std::uint64_t> value;
};
const NumberCase kNumbers[] = {
    {"0", 0},
    {"4096", 4096},
    {"4K", 4096},
    {"8M", 8u << 20},
    {"2G", 2ull << 30},
    {"256T", 1ull << 48},
    {"0x10", 16},
    {"0xffffffffffffffff", ~0ull},
    {"1M+0x10", 0x100010},
    {"", {}},
    {"K", {}},
    {"0x", {}},
    {"4k", {}},
    {"-1", {}},
    {"1+", {}},
    {"17179869184G", {}},
    {"0xffffffffffffffff+1", {}},
};

TEST(ScenarioText, Numbers) {
  for (const NumberCase& c : kNumbers) EXPECT_EQ(parse_number(c.text), c.value) << c.text;
}

// --- one line of each verb, as the world receives it -----------------------------------------------------

struct CallCase {
  const char* line;
  const char* call;
};
const CallCase kCalls[] = {
    {"device bmg vram=64M autoreset=always name=g1", "device g1 bmg autoreset=always vram=64M"},
    {"vm v lr fault", "vm v LF"},
    {"vm v lr fault scratch no_overcommit", "vm v LFSN"},
    {"destroy v", "destroy v"},
    {"bo b 64K vram system", "bo b 0x10000 VS"},
    {"bo b 64K", "bo b 0x10000 S"},
    {"bind v mirror 0 256T", "bind v mirror 0x0+0x1000000000000  0x0 pat=-1 "},
    {"bind v mirror 0 256T autoreset readonly dumpable immediate pat=3",
     "bind v mirror 0x0+0x1000000000000  0x0 pat=3 ARDI"},
    {"bind v bo b 0x10000 8K offset=4K", "bind v bo 0x10000+0x2000 b 0x1000 pat=-1 "},
    {"bind v userptr 0x7000 0x10000 4K", "bind v userptr 0x10000+0x1000  0x7000 pat=-1 "},
    {"bind v null 0 4K", "bind v null 0x0+0x1000  0x0 pat=-1 "},
    {"unbind v 0 4K", "bind v unbind 0x0+0x1000  0x0 pat=-1 "},
    {"madvise v 0 4K atomic=device preferred=vram0", "madvise v 0x0+0x1000 atomic=1 preferred=2 policy=-1 pat=-1"},
    {"madvise v 0 4K atomic=cpu preferred=system policy=system pat=4",
     "madvise v 0x0+0x1000 atomic=3 preferred=1 policy=1 pat=4"},
    {"prefetch v 0 2M vram0", "prefetch v 0x0+0x200000 2"},
    {"prefetch v 0 2M advice", "prefetch v 0x0+0x200000 -1"},
    {"cpu mmap 0x10000000 8M", "mmap  0x10000000+0x800000 0 2 false"},
    {"cpu mmap 0x10000000 8M file size=4K shared prot=r", "mmap  0x10000000+0x800000 2 1 true"},
    {"cpu munmap 0x1000+8K 4K", "munmap  0x3000+0x1000"},
    {"cpu:kid munmap 0 4K", "munmap kid 0x0+0x1000"},
    {"cpu mremap 0 4K 8K to=0x8000 dontunmap", "mremap  0x0+0x1000 0x2000 0x8000 true"},
    {"cpu mprotect 0 4K r", "mprotect  0x0+0x1000 1"},
    {"cpu madvise 0 4K dontneed", "cpu_madvise  0x0+0x1000 dontneed"},
    {"cpu mlock 0 4K", "mlock  0x0+0x1000"},
    {"cpu munlock 0 4K", "munlock  0x0+0x1000"},
    {"cpu fork kid", "fork  kid"},
    {"cpu exit", "exit "},
    {"cpu pin 0x1000", "pin 0x1000"},
    {"cpu unpin 0x1000", "unpin 0x1000"},
    {"cpu write 0x1000 u64 7", "cpu_write  0x1000 8 7"},
    {"cpu fill 0x1000 4K 0xAB", "cpu_fill  0x1000+0x1000 171"},
    {"cpu read 0x1000", "cpu_read  0x1000 4"},
    {"cpu read 0x1000 u8 0", "cpu_read  0x1000 1"},
    {"gpu write v 0x1000 u32 7", "gpu_write v.0 0x1000 4 7"},
    {"gpu write v tile=1 0x1000 u32 7", "gpu_write v.1 0x1000 4 7"},
    {"gpu read v 0x1000 u64 0", "gpu_read v.0 0x1000 8"},
    {"gpu atomic v 0x1000 u32 add 3 old=0", "gpu_atomic v.0 0x1000 4 3"},
    {"gpu copy v 0x2000 0x1000 4K", "gpu_copy v 0x2000 0x1000+0x1000"},
    {"gpu fill v 0x1000 4K 1", "gpu_fill v 0x1000+0x1000 1"},
    {"gpu kernel v code=0x1000", "gpu_kernel v.0 0x1000 code=0 groups=1,1,1 simd=16 items=16 slm=0 args=0x0,0x0"},
    {"gpu kernel v tile=1 code=4K groups=4,3 simd=32 items=40 slm=1K args=0x10,2K {\n  # ends\n  eot r0\n}",
     "gpu_kernel v.1 0x1000 code=16 groups=4,3,1 simd=32 items=40 slm=1024 args=0x10,0x800"},
    {"gpu kernel v code=0 simd=32 { # the end\nend: add r1:d r1:d 1:d {sb:0x9}  // one\n eot r0\n}",
     "gpu_kernel v.0 0x0 code=32 groups=1,1,1 simd=32 items=32 slm=0 args=0x0,0x0"},
    {"evict all", "evict all"},
    {"evict 0x1000 8K", "evict 0x1000+0x2000"},
    {"evict 0x1000", "evict 0x1000+0x1"},
    {"gc v", "gc v"},
    {"sleep_us 5", "sleep 5000"},
};

Verdict run_text(std::string_view text, FakeScript& script, RunOptions options = {}) {
  auto file = parse_scenario("test.softxe", text);
  if (!file) return {Verdict::Kind::kFailed, file.error().text};
  return run_scenario(
      file->path, file->scenarios.front(), [&script] { return std::make_unique<FakeWorld>(script); }, options);
}

TEST(ScenarioRunner, EveryVerbReachesTheWorld) {
  for (const CallCase& c : kCalls) {
    FakeScript script;
    EXPECT_EQ(run_text(c.line, script).text, "");
    EXPECT_EQ(script.calls, std::vector<std::string>{c.call}) << c.line;
  }
}

// --- mistakes ------------------------------------------------------------------------------------------

struct MistakeCase {
  const char* text;
  const char* error;
};
const MistakeCase kMistakes[] = {
    {"fly v", "test.softxe:1: there is no verb 'fly'"},
    {"\n\nvm", "test.softxe:3: the VM's name is missing"},
    {"vm v lr flaut", "test.softxe:1: 'flaut' is not understood here"},
    {"bind v mirror 0 256X", "test.softxe:1: a size is not a number: '256X'"},
    {"bind v miror 0 4K", "test.softxe:1: 'miror' cannot be bound: mirror, null, bo or userptr"},
    {"gc v w", "test.softxe:1: 'w' is not understood here"},
    {"gc v -> EWHAT", "test.softxe:1: 'EWHAT' is no errno name"},
    {"madvise v 0 4K", "test.softxe:1: atomic=, preferred=, policy= or pat= is expected"},
    {"madvise v 0 4K atomic=maybe", "test.softxe:1: atomic is undefined, device, global or cpu, not 'maybe'"},
    {"madvise v 0 4K preferred=vram9", "test.softxe:1: 'vram9' is no memory region"},
    {"parallel {\n gc v\n", "test.softxe:3: '}' is expected where the line ends"},
    {"parallel { }", "test.softxe:1: the block is empty"},
    {"at svm.x do gpu read v 0",
     "test.softxe:1: only cpu verbs may run at a step: the engine holds its "
     "locks there"},
    {"gpu kernel v", "test.softxe:1: code=ADDRESS is missing"},
    {"gpu kernel v code=0 args=1,2,3,4,5", "test.softxe:1: args are 4 numbers at most"},
    {"gpu kernel v code=0 threads=4", "test.softxe:1: 'threads=4' is not understood here"},
    {"gpu kernel v code=0 {\n eot r0", "test.softxe:2: '}' is expected where the line ends"},
    {"gc v\ngpu kernel v code=0 {\n\n  frobnicate r1\n}", "test.softxe:4: no such operation"},
    {"fail svm.x 0", "test.softxe:1: executions are counted from 1"},
    {"fail svm.x 1 ok", "test.softxe:1: 'ok' is no errno name"},
    {"expect vmas v { [0 default] }", "test.softxe:1: an interval is A+SIZE, A..B or A.., not '0'"},
    {"expect vmas v { [0..4K purple] }", "test.softxe:1: 'purple' is no attribute"},
    {"expect ranges v { [0+4K sleepy] }", "test.softxe:1: 'sleepy' is no state of a range"},
    {"expect ptes v 0 4K", "test.softxe:1: none, present, vram, system, rw, ro or entry= is expected"},
    {"expect page 0 at vram0", "test.softxe:1: 'in' is expected where 'at' stands"},
    {"# only a comment\n", "test.softxe:2: there is no statement in this file"},
};

TEST(ScenarioParser, MistakesNameFileLineAndWord) {
  for (const MistakeCase& c : kMistakes) {
    auto file = parse_scenario("test.softxe", c.text);
    ASSERT_FALSE(file) << c.text;
    EXPECT_EQ(file.error().text, c.error) << c.text;
  }
}

TEST(ScenarioParser, SeveralScenariosInOneFile) {
  auto file = parse_scenario("f", "gc a\nscenario the second one\ngc b\ngc c; gc d\n");
  ASSERT_TRUE(file);
  ASSERT_EQ(file->scenarios.size(), 2u);
  EXPECT_EQ(file->scenarios[0].name, "");
  EXPECT_EQ(file->scenarios[1].name, "the second one");
  EXPECT_EQ(file->scenarios[1].body.size(), 3u);
  EXPECT_EQ(file->scenarios[1].body[2].line, 4);
}

// --- outcomes and expectations ---------------------------------------------------------------------------

struct VerdictCase {
  const char* name;
  const char* text;
  const char* verdict;  ///< empty: passes
};
// The fake: bind fails with EBUSY; one default VMA [0,2^48), one of [2M,4M) when asked; see below.
const VerdictCase kVerdicts[] = {
    {"expected errno", "bind v null 0 4K -> EBUSY", ""},
    {"one of several", "bind v null 0 4K -> ok|EBUSY", ""},
    {"any", "bind v null 0 4K -> any\ngc v -> any", ""},
    {"unexpected errno", "gc v\nbind v null 0 4K", "t:2: expected ok, found EBUSY: scripted"},
    {"errno missing", "gc v -> EINVAL", "t:1: expected EINVAL, found ok"},
    {"value", "gpu write v 0 u32 7\ncpu read 0 u32 7", ""},
    {"wrong value", "gpu write v 0 u32 7\ncpu read 0 u32 8", "t:2: value at 0x0: expected 8 (0x8), found 7 (0x7)"},
    {"atomic", "gpu atomic v 0 u32 add 2 old=0\ngpu atomic v 0 u32 add 2 old=2\ngpu read v 0 u32 4", ""},
    {"vmas", "expect vmas v { [0+2M default] [2M+2M atomic=device preferred=vram0] [4M.. default] }", ""},
    {"vmas over lines, with flags",
     "expect vmas v {\n [0x0..2M default +autoreset -readonly]\n [2M..4M atomic=device preferred=vram0]\n"
     " [4M..256T]\n}",
     ""},
    {"vmas differ", "expect vmas v { [0..2M] [2M.. default] }",
     "t:1: VMAs differ\n"
     "  expected:\n    [0x0..0x200000 default]\n    [0x200000..0x1000000000000 default]\n"
     "  actual:\n    [0x0..0x200000 default +autoreset]\n"
     "    [0x200000..0x400000 atomic=device preferred=vram0]\n    [0x400000..0x1000000000000 default]"},
    {"vma flag differs", "expect attrs v 0 +readonly",
     "t:1: attributes differ\n  expected: [0x0..0x200000 default +readonly]\n"
     "  actual:   [0x0..0x200000 default +autoreset]"},
    {"vma attribute differs", "expect attrs v 3M atomic=device",
     "t:1: attributes differ\n  expected: [0x200000..0x400000 atomic=device]\n"
     "  actual:   [0x200000..0x400000 atomic=device preferred=vram0]"},
    {"vma count", "expect vmas v count = 3\nexpect vmas v count <= 3", ""},
    {"vma count differs", "expect vmas v count <= 2", "t:1: VMAs of v: expected at most 2, found 3"},
    {"ranges", "expect ranges v { [2M+2M live mapped vram] [8M+64K dead unmapped system] }", ""},
    {"ranges within", "expect ranges v in 4M 16M { [8M+64K] }\nexpect ranges v in 64M 4K {}", ""},
    {"ranges differ", "expect ranges v in 8M 4K { [8M+64K live] }",
     "t:1: ranges differ\n  expected:\n    [0x800000+0x10000 live]\n"
     "  actual:\n    [0x800000+0x10000 dead unmapped system]"},
    {"ptes", "expect ptes v 0 8K vram rw entry=2M\nexpect ptes v tile=0 0 4K present", ""},
    {"ptes differ", "expect ptes v 0 4K none",
     "t:1: the PTE of 0x0 differs\n  expected: none\n  actual:   vram rw entry=0x200000"},
    {"pages", "expect page 0 in vram0\nexpect pages 0 64K in vram0", ""},
    {"pages differ", "expect pages 0x1000 8K in system", "t:1: page 0x1000: expected in system, found in vram0"},
    {"counter", "expect counter looks = 0\nexpect counter looks >= 1", ""},
    {"counter since mark", "mark\nexpect counter looks +1\nexpect counter looks +2", ""},
    {"counter differs", "mark\nexpect counter looks +5", "t:2: counter looks: expected 5, found 1"},
    {"no such counter", "expect counter nobody = 1", "t:1: expected ok, found ENOENT: no such counter"},
    {"vm state", "expect vm v banned", ""},
    {"vm state differs", "expect vm v open", "t:1: VM v: expected open, found banned"},
    {"fail", "fail fake.call 2 EIO\ngc v\ngc v -> EIO\ngc v", ""},
    {"fail for ever", "fail fake.call 1 forever\ngc v -> ENOMEM\ngc v -> ENOMEM", ""},
    {"fail never reached", "gc v\nfail other.step 1", "t:2: the step other.step was not reached"},
    {"fail at a mark never happens", "fail fake.mark 1\ngc v", "t:1: the step fake.mark was not reached"},
    {"stops at the first failure", "gc v -> EIO\ngc v -> EIO", "t:1: expected EIO, found ok"},
};

TEST(ScenarioRunner, Verdicts) {
  for (const VerdictCase& c : kVerdicts) {
    FakeScript script;
    script.errors["bind"] = EBUSY;
    Place vram{Place::Kind::kVram, 0, ""};
    script.vmas = {
        VmaInfo{.span = {0, 2 << 20}, .pat = 2, .default_pat = 2, .autoreset = true},
        VmaInfo{.span = {2 << 20, 2 << 20}, .atomic = AtomicAccess::kDevice, .preferred = vram},
        VmaInfo{.span = {4 << 20, (1ull << 48) - (4 << 20)}},
    };
    script.ranges = {RangeInfo{{2 << 20, 2 << 20}, false, true, true},
                     RangeInfo{{8 << 20, 64 << 10}, true, false, false}};
    script.pte = PteInfo{true, true, true, 2 << 20};
    script.page = "vram0";
    script.vm_state = "banned";
    script.counters["looks"] = 0;
    auto file = parse_scenario("t", c.text);
    ASSERT_TRUE(file) << c.name << ": " << file.error().text;
    Verdict verdict =
        run_scenario("t", file->scenarios.front(), [&] { return std::make_unique<FakeWorld>(script); }, {});
    EXPECT_EQ(verdict.text, c.verdict) << c.name;
    EXPECT_EQ(verdict.kind == Verdict::Kind::kPassed, c.verdict[0] == '\0') << c.name;
  }
}

TEST(ScenarioRunner, BrokenInvariantsFail) {
  FakeScript script;
  script.invariants_hold = false;
  EXPECT_EQ(run_text("gc v", script).text, "test.softxe:1: an invariant is broken: the fake says so");
  EXPECT_EQ(run_text("gc v", script, {.checks = ScenarioWorld::Checks::kOff}).text, "");
}

TEST(ScenarioRunner, OnlySkipsOnOtherBackends) {
  FakeScript script;
  EXPECT_EQ(run_text("only live\ngc v -> EIO", script).kind, Verdict::Kind::kSkipped);
  EXPECT_EQ(run_text("only sim\ngc v", script).kind, Verdict::Kind::kPassed);
  EXPECT_EQ(script.calls.size(), 1u);
}

// --- blocks and steps --------------------------------------------------------------------------------------

TEST(ScenarioRunner, RepeatAndSequence) {
  FakeScript script;
  EXPECT_EQ(run_text("repeat 3 { gc a; seq { gc b } }", script).text, "");
  EXPECT_EQ(fmt::format("{}", fmt::join(script.calls, ",")), "gc a,gc b,gc a,gc b,gc a,gc b");
}

TEST(ScenarioRunner, InterleavingFollowsTheSeedAndKeepsEachActorsOrder) {
  const char* text = "parallel {\n repeat 8 { gc a; gc b }\n repeat 8 { gc c }\n gc d\n}";
  std::set<std::string> orders;
  for (std::uint64_t seed = 1; seed <= 8; ++seed) {
    FakeScript once, again;
    EXPECT_EQ(run_text(text, once, {.seed = seed}).text, "");
    EXPECT_EQ(run_text(text, again, {.seed = seed}).text, "");
    EXPECT_EQ(once.calls, again.calls);
    EXPECT_EQ(once.calls.size(), 25u);
    std::string first_actor;
    for (const std::string& call : once.calls) {
      if (call == "gc a" || call == "gc b") first_actor += call.back();
    }
    EXPECT_EQ(first_actor, "abababababababab");
    orders.insert(fmt::format("{}", fmt::join(once.calls, ",")));
  }
  EXPECT_GT(orders.size(), 4u);
}

TEST(ScenarioRunner, ThreadedWorldsRunEachActorOnAThread) {
  FakeScript script;
  script.parallel = ScenarioWorld::Parallel::kThreads;
  EXPECT_EQ(run_text("parallel {\n repeat 50 { gc a }\n repeat 50 { gc b }\n}\ngc end", script).text, "");
  EXPECT_EQ(script.calls.size(), 101u);
  EXPECT_EQ(script.calls.back(), "gc end");
  EXPECT_EQ(run_text("at fake.call do cpu exit", script).text,
            "test.softxe:1: 'at' needs the simulated memory: say 'only sim' first");
}

TEST(ScenarioRunner, AtRunsInsideTheStep) {
  FakeScript script;
  EXPECT_EQ(run_text("at fake.call nth=2 times=2 do { cpu munmap 0 4K }\ngc a; gc b; gc c; gc d", script).text, "");
  EXPECT_EQ(fmt::format("{}", fmt::join(script.calls, ",")),
            "gc a,munmap  0x0+0x1000,gc b,munmap  0x0+0x1000,gc c,gc d");
  script.errors["munmap"] = EFAULT;
  EXPECT_EQ(run_text("at fake.call do cpu munmap 0 4K\ngc a", script).text, "test.softxe:1: expected ok, found EFAULT");
  EXPECT_EQ(run_text("at fake.call do cpu munmap 0 4K -> EFAULT\ngc a", script).text, "");
}

// --- the scenario files of the tree ------------------------------------------------------------------------

TEST(ScenarioFiles, AllParse) {
  unsigned scenarios = 0;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(SOFTXE_SOURCE_DIR "/tests/scenarios")) {
    if (entry.path().extension() != ".softxe") continue;
    auto file = parse_scenario_file(entry.path().string());
    EXPECT_TRUE(file) << file.error().text;
    if (file) scenarios += static_cast<unsigned>(file->scenarios.size());
  }
  EXPECT_GT(scenarios, 20u);
}

TEST(ScenarioFiles, SummaryCountsScenariosAndUnreadableFiles) {
  FakeScript script;
  Summary summary =
      run_scenario_files({"/nonexistent/a.softxe"}, [&] { return std::make_unique<FakeWorld>(script); }, {});
  EXPECT_EQ(summary.last_line(), "0 passed, 1 failed");
  EXPECT_EQ(summary.messages, std::vector<std::string>{"/nonexistent/a.softxe: cannot be read"});
}

}  // namespace
}  // namespace softxe::scenario
