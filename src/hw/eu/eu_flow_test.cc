// Random programs with branches, loops and calls, against what every channel alone would do.
//
// A program is a tree. It is written as code in both ways that compilers have, goto and join as IGC does and
// structured as others do, and carried out on sixteen channels; the tree itself is carried out for each channel.
#include "hw/eu/eu_flow.h"

#include <gtest/gtest.h>

#include <array>
#include <memory>
#include <string>
#include <vector>

#include "base/prng.h"
#include "hw/eu/eu_exec_rig.h"

namespace softxe {
namespace {

using namespace eu_test;

constexpr unsigned kVariables = 4;
constexpr unsigned kDepthMax = 4;
using Variables = std::array<std::uint32_t, kVariables>;

/// Two bits of a variable decide: true with chance 1/2 or so, differently in every channel.
struct Condition {
  unsigned variable;
  std::uint32_t mask;
  bool of(const Variables& v) const { return (v[variable] & mask) != 0; }
};

struct Node {
  enum class Kind : std::uint8_t { kChange, kIf, kLoop, kBreak, kContinue, kCall };
  Kind kind = Kind::kChange;
  unsigned variable = 0;
  unsigned other = 0;
  std::uint32_t constant = 0;
  Condition condition{0, 1};
  std::vector<Node> then;
  std::vector<Node> otherwise;
};

class Maker {
 public:
  explicit Maker(std::uint64_t seed) : prng_(seed) {}

  std::vector<Node> block(unsigned depth, bool in_loop) {
    std::vector<Node> nodes;
    for (std::uint64_t n = 1 + prng_.below(4); n > 0; --n) nodes.push_back(node(depth, in_loop));
    return nodes;
  }

 private:
  Node node(unsigned depth, bool in_loop) {
    Node made;
    made.variable = static_cast<unsigned>(prng_.below(kVariables));
    made.other = static_cast<unsigned>(prng_.below(kVariables));
    made.constant = static_cast<std::uint32_t>(prng_.next());
    made.condition = {static_cast<unsigned>(prng_.below(kVariables)), 1u << prng_.below(8)};
    if (prng_.chance(1, 4)) made.condition.mask |= 1u << prng_.below(8);
    const std::uint64_t what = prng_.below(10);
    if (depth < kDepthMax && what < 3) {
      made.kind = Node::Kind::kIf;
      made.then = block(depth + 1, in_loop);
      if (prng_.chance(1, 2)) made.otherwise = block(depth + 1, in_loop);
    } else if (depth < kDepthMax && what < 5) {
      made.kind = Node::Kind::kLoop;
      made.then = block(depth + 1, true);
    } else if (in_loop && what < 7) {
      made.kind = what == 5 ? Node::Kind::kBreak : Node::Kind::kContinue;
    } else if (what == 7) {
      made.kind = Node::Kind::kCall;
    }
    return made;
  }

  Prng prng_;
};

// ---- what one channel does

enum class Way : std::uint8_t { kOn, kBreak, kContinue };

void change(Variables& v, const Node& n) { v[n.variable] = (v[n.variable] ^ n.constant) * 5 + v[n.other]; }
void function(Variables& v) { v[0] = (v[1] & 4) != 0 ? v[0] + 77 : v[0] ^ 0x5555; }

Way carry_out(const std::vector<Node>& block, Variables& v) {
  for (const Node& n : block) {
    switch (n.kind) {
      case Node::Kind::kChange: change(v, n); break;
      case Node::Kind::kCall: function(v); break;
      case Node::Kind::kBreak:
        if (n.condition.of(v)) return Way::kBreak;
        break;
      case Node::Kind::kContinue:
        if (n.condition.of(v)) return Way::kContinue;
        break;
      case Node::Kind::kIf:
        if (const Way way = carry_out(n.condition.of(v) ? n.then : n.otherwise, v); way != Way::kOn) return way;
        break;
      case Node::Kind::kLoop:
        for (std::uint32_t left = v[n.variable] & 3;; --left) {
          if (carry_out(n.then, v) == Way::kBreak || left == 0) break;
        }
        break;
    }
  }
  return Way::kOn;
}

// ---- code

enum class Style : std::uint8_t { kGoto, kStructured };

class Writer {
 public:
  explicit Writer(Style style) : style_(style) {}

  std::string program(const std::vector<Node>& nodes) {
    block(nodes, "end", 0);
    line("jmpi out");
    label("function");
    condition({1, 4}, "");
    line("(f0.0) add (16|M0) r10.0<1>:d r10.0<1;1,0>:d 77:d");
    line("(~f0.0) xor (16|M0) r10.0<1>:d r10.0<1;1,0>:d 0x5555:d");
    line("ret (16|M0) r5.0");
    label("out");
    if (style_ == Style::kGoto) {
      label("end");
      line("join (16|M0) last");
    } else {
      label("end");
    }
    label("last");
    line("nop");
    return text_;
  }

 private:
  struct Loop {
    std::string again;
    std::string exit;
  };

  void line(const std::string& text) { text_ += "  " + text + "\n"; }
  void label(const std::string& name) { text_ += name + ":\n"; }
  std::string fresh(const char* name) { return name + std::to_string(++labels_); }

  void condition(const Condition& c, const std::string&) {
    line("and (16|M0) (ne)f0.0 null:d r" + std::to_string(10 + c.variable) + ".0<1;1,0>:d " + std::to_string(c.mask) +
         ":d");
  }

  /// `next`: where channels may wait that have nothing to do here.
  void block(const std::vector<Node>& nodes, const std::string& next, unsigned depth) {
    for (const Node& n : nodes) {
      switch (n.kind) {
        case Node::Kind::kChange: change_code(n); break;
        case Node::Kind::kCall: line("call (16|M0) r5.0 function"); break;
        case Node::Kind::kIf: style_ == Style::kGoto ? goto_if(n, next, depth) : structured_if(n, next, depth); break;
        case Node::Kind::kLoop: loop(n, next, depth); break;
        case Node::Kind::kBreak: leave("break", loops_.back().exit, n, next); break;
        case Node::Kind::kContinue: leave("cont", loops_.back().again, n, next); break;
      }
    }
  }

  void change_code(const Node& n) {
    const std::string x = "r" + std::to_string(10 + n.variable) + ".0";
    const std::string y = "r" + std::to_string(10 + n.other) + ".0";
    line("mov (16|M0) r30.0<1>:d " + y + "<1;1,0>:d");
    if (n.other == n.variable) {
      // The sum takes the old value.
      line("mov (16|M0) r30.0<1>:d " + x + "<1;1,0>:d");
    }
    line("xor (16|M0) " + x + "<1>:d " + x + "<1;1,0>:d " + std::to_string(static_cast<std::int32_t>(n.constant)) +
         ":d");
    line("mul (16|M0) " + x + "<1>:d " + x + "<1;1,0>:d 5:w");
    line("add (16|M0) " + x + "<1>:d " + x + "<1;1,0>:d r30.0<1;1,0>:d");
  }

  void goto_if(const Node& n, const std::string& next, unsigned depth) {
    const std::string no = fresh("no"), end = fresh("fi");
    condition(n.condition, "");
    line("(~f0.0) goto (16|M0) " + no + " " + no);
    block(n.then, no, depth + 1);
    line("goto (16|M0) " + no + " " + end);
    label(no);
    line("join (16|M0) " + end);
    block(n.otherwise, end, depth + 1);
    label(end);
    line("join (16|M0) " + next);
  }

  void structured_if(const Node& n, const std::string& next, unsigned depth) {
    const std::string no = fresh("no"), end = fresh("fi");
    condition(n.condition, "");
    if (n.otherwise.empty()) {
      line("(f0.0) if (16|M0) " + end + " " + end);
      block(n.then, end, depth + 1);
    } else {
      line("(f0.0) if (16|M0) " + no + " " + end);
      block(n.then, no, depth + 1);
      line("else (16|M0) " + end + " " + end);
      label(no);
      block(n.otherwise, end, depth + 1);
    }
    label(end);
    line("endif (16|M0) " + next);
  }

  void loop(const Node& n, const std::string& next, unsigned depth) {
    const std::string top = fresh("top"), again = fresh("again"), exit = fresh("exit");
    const std::string counter = "r" + std::to_string(20 + depth) + ".0";
    line("and (16|M0) " + counter + "<1>:d r" + std::to_string(10 + n.variable) + ".0<1;1,0>:d 3:d");
    label(top);
    loops_.push_back({again, exit});
    block(n.then, again, depth + 1);
    loops_.pop_back();
    // The structured continue waits at the while itself, so the count is in its flag, taken in every round.
    if (style_ == Style::kGoto) {
      label(again);
      line("join (16|M0) " + exit);
      line("add (16|M0) (ge)f0.0 " + counter + "<1>:d " + counter + "<1;1,0>:d -1:d");
      line("(f0.0) goto.b (16|M0) " + exit + " " + top);
      label(exit);
      line("join (16|M0) " + next);
      return;
    }
    label(again);
    line("add (16|M0) (ge)f0.0 " + counter + "<1>:d " + counter + "<1;1,0>:d -1:d");
    line("(f0.0) while (16|M0) " + top);
    label(exit);
  }

  void leave(const char* op, const std::string& target, const Node& n, const std::string& next) {
    condition(n.condition, "");
    const std::string name = style_ == Style::kGoto ? "goto" : op;
    line("(f0.0) " + name + " (16|M0) " + next + " " + target);
  }

  const Style style_;
  std::string text_;
  unsigned labels_ = 0;
  std::vector<Loop> loops_;
};

class EuFlowPrograms : public testing::TestWithParam<Style> {};

TEST_P(EuFlowPrograms, EveryChannelDoesWhatItWouldDoAlone) {
  EuExecRig rig(eu_host_level());
  rig.memory_.map(kCode, 64 * kPageSize);
  for (std::uint64_t seed = 1; seed <= 150; ++seed) {
    const std::vector<Node> program = Maker(seed).block(0, false);
    rig.restart();
    std::vector<Variables> expected(16);
    for (unsigned k = 0; k < 16; ++k) {
      for (unsigned i = 0; i < kVariables; ++i) {
        expected[k][i] = static_cast<std::uint32_t>((k + 1) * 0x9E3779B9u * (i + 1));
        put(rig.thread(), 10 + i, EuType::kUD, expected[k][i], k);
      }
      carry_out(program, expected[k]);
    }
    const std::string text = Writer(GetParam()).program(program);
    rig.load(".simd 16\n" + text + kEnd);
    ASSERT_FALSE(HasFatalFailure()) << "seed " << seed;
    const EuStop stop = rig.run(1000000);
    ASSERT_EQ(stop.kind, EuStopKind::kEnded) << "seed " << seed << ": " << stop.reason << "\n" << text;
    EXPECT_EQ(rig.thread().mask, 0xFFFFu) << "seed " << seed;
    for (unsigned i = 0; i < kVariables; ++i) {
      ASSERT_EQ(rig.row(10 + i), each([&](std::uint32_t k) { return expected[k][i]; }))
          << "seed " << seed << ", variable " << i << "\n"
          << text;
    }
  }
}

TEST_P(EuFlowPrograms, ThreadsGoOnUnderWorkersThatHaveNotSeenTheirPast) {
  EuExecRig rig(eu_host_level());
  rig.memory_.map(kCode, 64 * kPageSize);
  for (std::uint64_t seed = 1; seed <= 40; ++seed) {
    const std::vector<Node> program = Maker(seed).block(0, false);
    rig.load(".simd 16\n" + Writer(GetParam()).program(program) + kEnd);
    ASSERT_FALSE(HasFatalFailure()) << "seed " << seed;
    std::array<std::vector<std::uint32_t>, 2> results;
    for (unsigned way = 0; way < 2; ++way) {
      rig.restart();
      for (unsigned k = 0; k < 16; ++k) put(rig.thread(), 10, EuType::kUD, (k + 1) * 0x9E3779B9u, k);
      EuStop stop = rig.run(way == 0 ? 1000000 : 3);
      while (stop.kind == EuStopKind::kBudget) {
        EuProgram fresh(eu_host_level());
        fresh.start(GpuVa(kBase));
        stop = rig.run_on(fresh, 3);
      }
      ASSERT_EQ(stop.kind, EuStopKind::kEnded) << "seed " << seed << ": " << stop.reason;
      for (unsigned i = 0; i < kVariables; ++i) {
        for (const std::uint32_t value : rig.row(10 + i)) results[way].push_back(value);
      }
    }
    ASSERT_EQ(results[0], results[1]) << "seed " << seed;
  }
}

INSTANTIATE_TEST_SUITE_P(Styles, EuFlowPrograms, testing::Values(Style::kGoto, Style::kStructured));

}  // namespace
}  // namespace softxe
