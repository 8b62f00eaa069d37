// What Intel's runtime sends to an engine (tests/data/dispatch): every command has the length of its header, and the
// walkers decode, over the state that came before them, to what the logs say.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "hw/cs/cs_fake_memory.h"
#include "hw/cs/cs_parser.h"
#include "hw/cs/cs_streamer.h"
#include "hw/eu/eu_fake_worker.h"

namespace softxe {
namespace {

namespace fs = std::filesystem;

constexpr std::uint64_t kVaMask = (std::uint64_t{1} << 48) - 1;

/// The words behind `name` in a line of a WALKER block, in base 16 or 10.
std::vector<std::uint64_t> words_behind(const std::string& line, const std::string& name, int base, std::size_t count) {
  std::vector<std::uint64_t> words;
  const std::size_t at = line.find(name + " ");
  if (at == std::string::npos) return words;
  std::istringstream rest(line.substr(at + name.size()));
  std::string word;
  while (words.size() < count && rest >> word) words.push_back(std::stoull(word, nullptr, base));
  return words;
}

/// One engine of a log: runs its state commands and walkers, each where it stood.
class Replay {
 public:
  explicit Replay(const std::string& name) : name_(name) {
    engine_.clock = &clock_;
    engine_.units = &units_;
    engine_.engine_class = CsEngineClass::kCompute;
    engine_.mmio_base = 0x1A000;
  }

  void command(std::uint64_t at, const std::vector<std::uint32_t>& dwords) {
    const CsHeader header = parse_cs_header(dwords[0]);
    ASSERT_EQ(header.dwords, dwords.size()) << name_ << " " << std::hex << at << ": " << dwords[0];
    ASSERT_NE(header.kind, CsKind::kUnknown) << name_ << " " << std::hex << at << ": " << dwords[0];
    if (header.client != CsClient::kRender && header.client != CsClient::kBarrier) return;
    if (header.kind == CsKind::kPipeControl) return;
    memory_.map(at & kVaMask, dwords.size() * 4);
    memory_.put(at & kVaMask, dwords);
    context_.start_batch(GpuVa(at & kVaMask));
    if (header.kind == CsKind::kComputeWalker) {
      // Its post-sync is looked at in other tests; here it has nowhere to go.
      pending_walker_ = at & kVaMask;
      return;
    }
    const CsStep step = cs_step(context_, memory_, engine_);
    EXPECT_EQ(step.kind, CsStepKind::kContinue) << name_ << " " << std::hex << at << ": " << step.reason;
  }

  void dispatch_dims(const std::vector<std::uint64_t>& dims) {
    for (unsigned i = 0; i < 3; ++i) context_.compute.indirect_groups[i] = static_cast<std::uint32_t>(dims[i]);
  }

  EuWalker walker() {
    std::array<std::uint32_t, kEuWalkerDwords> dwords{};
    for (unsigned i = 0; i < dwords.size(); ++i) dwords[i] = memory_.dword(pending_walker_ + 4 * i);
    const Result<EuWalker> decoded = eu_decode_walker(dwords, context_.compute, 48);
    EXPECT_TRUE(decoded) << name_ << ": " << (decoded ? "" : decoded.error().why);
    return decoded.value_or(EuWalker{});
  }
  const EuState& state() const { return context_.compute; }

 private:
  std::string name_;
  ManualClock clock_;
  FakeCsMemory memory_;
  EuThreadIds ids_;
  EuUnits units_{fake_units(ids_, FakeEuWorker::end_at_once)};
  CsEngine engine_;
  CsContext context_;
  std::uint64_t pending_walker_ = 0;
};

/// Compares one line of a WALKER block with the decoded walker.
void expect_line(const std::string& line, const EuWalker& w, const EuState& state) {
  const auto hex = [&](const char* name) { return words_behind(line, name, 16, 1).at(0); };
  const auto dec3 = [&](const char* name) {
    const auto words = words_behind(line, name, 10, 3);
    return EuTriple{static_cast<std::uint32_t>(words[0]), static_cast<std::uint32_t>(words[1]),
                    static_cast<std::uint32_t>(words[2])};
  };
  if (line.find("   heaps ") == 0) {
    EXPECT_EQ(w.bases.general_state.value(), hex("gen") & kVaMask);
    EXPECT_EQ(w.bases.surface_state.value(), hex("ssh") & kVaMask);
    EXPECT_EQ(w.bases.bindless_surface_state.value(), hex("bindless") & kVaMask);
    EXPECT_EQ(state.dynamic_state.value(), hex("dyn") & kVaMask);
    EXPECT_EQ(state.instruction.value(), hex("instr") & kVaMask);
    EXPECT_EQ(state.binding_table_pool.value(), hex("btpool") & kVaMask);
  } else if (line.find("   cfe ") == 0) {
    EXPECT_EQ(w.scratch, words_behind(line, "cfe", 16, 2).at(1) & 0xFFFFFC00);
    EXPECT_EQ(w.large_grf, (words_behind(line, "scm", 16, 2).at(1) >> 15 & 1) != 0);
  } else if (line.find("   indirect ") == 0) {
    EXPECT_EQ((w.bases.general_state + w.indirect_data).value(), words_behind(line, "at", 16, 1).at(0) & kVaMask);
    EXPECT_EQ(w.simd, 16 * words_behind(line, "simd", 10, 1).at(0));
    EXPECT_EQ(w.local_ids.emitted, words_behind(line, "emit", 10, 1).at(0));
    EXPECT_EQ(w.has_inline_data, words_behind(line, "inline", 10, 1).at(0) == 1);
    EXPECT_EQ(w.last_mask, hex("mask"));
    const EuTriple most = dec3("max");
    for (unsigned i = 0; i < 3; ++i) EXPECT_EQ(w.local_ids.size[i], most[i] + 1);
    if (dec3("groups") != EuTriple{}) {
      EXPECT_EQ(w.groups, dec3("groups"));
    }
    EXPECT_EQ(w.first, dec3("start"));
  } else if (line.find("   idd ") == 0) {
    EXPECT_EQ(w.kernel.value(), hex("ksp") & kVaMask);
    EXPECT_EQ(w.bases.samplers, hex("dw3") & 0xFFFFFFE0);
    EXPECT_EQ(w.bases.binding_table.value(), (state.binding_table_pool + (hex("dw4") & 0x1FFFE0)).value());
  } else if (line.find("   threads/group ") == 0) {
    EXPECT_EQ(w.threads, words_behind(line, "threads/group", 10, 1).at(0));
    constexpr std::array<std::uint32_t, 8> kKib = {0, 1, 2, 4, 8, 16, 32, 64};
    EXPECT_EQ(w.slm_bytes, kKib.at(words_behind(line, "slm", 10, 1).at(0)) << 10);
  } else if (line.find("   postsync ") == 0) {
    EXPECT_EQ(static_cast<std::uint64_t>(w.post_sync.kind), hex("postsync") & 3);
    EXPECT_EQ(w.post_sync.address.value(), hex("dst") & kVaMask);
    EXPECT_EQ(w.post_sync.immediate, hex("imm"));
  } else if (line.find("   inline ") == 0) {
    const auto words = words_behind(line, "inline", 16, 8);
    for (unsigned i = 0; i < 8; ++i) EXPECT_EQ(w.inline_data[i], words.at(i));
  }
}

void replay(const fs::path& path) {
  std::ifstream file(path);
  Replay replay(path.stem());
  std::string line;
  EuWalker walker;
  while (std::getline(file, line)) {
    if (line[0] == 'C') {
      std::istringstream in(line);
      std::string engine, context, at, word;
      in >> engine >> context >> at;
      std::vector<std::uint32_t> dwords;
      while (in >> word) dwords.push_back(static_cast<std::uint32_t>(std::stoul(word, nullptr, 16)));
      replay.command(std::stoull(at, nullptr, 16), dwords);
    } else if (line.find("WALKER") == 0) {
      walker = replay.walker();
    } else if (line.find("   dispatch dims ") == 0) {
      replay.dispatch_dims(words_behind(line, "dims", 10, 3));
      walker = replay.walker();
    } else {
      SCOPED_TRACE(path.stem().string() + ": " + line);
      expect_line(line, walker, replay.state());
    }
  }
}

TEST(CsDispatchLogs, WalkersDecodeToWhatTheRuntimeMeant) {
  unsigned logs = 0;
  for (const auto& entry : fs::directory_iterator(SOFTXE_SOURCE_DIR "/tests/data/dispatch")) {
    if (entry.path().extension() != ".log") continue;
    ++logs;
    replay(entry.path());
  }
  EXPECT_EQ(logs, 12u);
}

}  // namespace
}  // namespace softxe
