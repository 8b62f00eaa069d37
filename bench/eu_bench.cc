// What an instruction, a message, a barrier and a group of the execution units cost (docs/BENCH.md): kernels in
// assembly on one host thread, run over VRAM of this process. A row is the difference to the same kernel without it.
#include <fmt/format.h>

#include <cstdio>
#include <string>

#include "bench/live_machine.h"
#include "bench/report.h"
#include "hw/eu/eu_asm.h"
#include "hw/eu/eu_launch.h"

namespace softxe::bench {
namespace {

constexpr unsigned kRounds = 40;
constexpr unsigned kCopies = 200;
constexpr unsigned kGroups = 64;
constexpr std::uint64_t kDataBytes = 4ull << 20;

void expect(const Status& status, const char* what) {
  if (status) return;
  fmt::print(stderr, "{}: {} ({})\n", what, status.error().why, status.error().err);
  std::exit(2);
}

/// Lane numbers, addresses, values: what the measured instructions work on. `.simd` stands before it.
constexpr const char* kPrologue = R"(
        mov (16|M0)   r10:d   r1.0<1;1,0>:uw               // lanes
        mov (16|M16)  r11:d   r1.16<1;1,0>:uw
        mov (16|M0)   r12:f   r10:d
        mov (16|M16)  r13:f   r11:d
        mov (16|M0)   r14:f   0x3F800001:f
        mov (16|M16)  r15:f   0x3F800001:f
        mov (16|M0)   r16:f   0x3F000001:f
        mov (16|M16)  r17:f   0x3F000001:f
        shl (16|M0)   r20:d   r10:d   2:w                  // side by side
        shl (16|M16)  r21:d   r11:d   2:w
        mul (16|M0)   r22:d   r10:d   20:w                 // in a page, not side by side
        mul (16|M16)  r23:d   r11:d   20:w
        mul (16|M0)   r24:d   r10:d   0x11044:d            // a page each
        mul (16|M16)  r25:d   r11:d   0x11044:d
        add (16|M0)   r30:q   r20:d   r2.0<0;1,0>:q
        add (16|M16)  r32:q   r21:d   r2.0<0;1,0>:q
        add (16|M0)   r34:q   r22:d   r2.0<0;1,0>:q
        add (16|M16)  r36:q   r23:d   r2.0<0;1,0>:q
        add (16|M0)   r38:q   r24:d   r2.0<0;1,0>:q
        add (16|M16)  r40:q   r25:d   r2.0<0;1,0>:q
        cmp (16|M0)  (lt)f0.0 null:d  r10:d   16:w
        cmp (16|M16) (lt)f0.0 null:d  r11:d   16:w
(W) and (1|M0)  r80.2:ud  r0.2:ud    0xFF000000:ud
(W) shr (1|M0)  r81.0:ud  r80.2:ud   8:w
(W) or  (1|M0)  r80.2:ud  r80.2:ud   r81.0:ud
(W) or  (1|M0)  r80.2:ud  r80.2:ud   0x100:uw
)";

struct Case {
  const char* name;
  const char* text;  ///< one copy
  double goal = 0;   ///< ns; 0: none
  unsigned items = 32;
};

constexpr Case kCases[] = {
    {"f add, SIMD32", "add (32|M0) r50:f r12:f r14:f", 8},
    {"f mad, SIMD32", "mad (32|M0) r50:f r12:f r14:f r16:f", 8},
    {"f mad with one element for all, SIMD32", "mad (32|M0) r50:f r12:f r14:f r16.1<0>:f", 0},
    {"f add, SIMD16", "add (16|M0) r50:f r12:f r14:f", 0, 16},
    {"f mad, SIMD16", "mad (16|M0) r50:f r12:f r14:f r16:f", 0, 16},
    {"f add, one channel", "(W) add (1|M0) r50:f r12.0:f r14.0:f"},
    {"mov, SIMD32", "mov (32|M0) r50:d r10:d"},
    {"64-bit add, SIMD16", "add (16|M0) r50:q r30:q r34:q", 0, 16},
    {"64-bit add of 32 bits and one element, SIMD16", "add (16|M0) r50:q r20:d r2.0<0;1,0>:q", 0, 16},
    {"cmp, SIMD32", "cmp (32|M0) (lt)f1.0 null:d r10:d r20:d"},
    {"f add, half of the channels by predicate, SIMD32", "(f0.0) add (32|M0) r50:f r12:f r14:f"},
    {"f add, no mask (W), SIMD32", "(W) add (32|M0) r50:f r12:f r14:f"},
    {"load, 32 lanes side by side", "load.ugm.d32.a64 (32|M0) r60 r30", 60},
    {"load, 32 lanes in one page", "load.ugm.d32.a64 (32|M0) r60 r34", 60},
    {"load, 32 lanes in 32 pages", "load.ugm.d32.a64 (32|M0) r60 r38"},
    {"load, 16 lanes side by side", "load.ugm.d32.a64 (16|M0) r60 r30", 0, 16},
    {"store, 32 lanes side by side", "store.ugm.d32.a64 (32|M0) r30 r50"},
    {"store, 32 lanes in one page", "store.ugm.d32.a64 (32|M0) r34 r50"},
    {"store, 32 lanes in 32 pages", "store.ugm.d32.a64 (32|M0) r38 r50"},
    {"local load, 32 lanes side by side", "load.slm.d32.a32 (32|M0) r60 r20"},
    {"local store, 32 lanes side by side", "store.slm.d32.a32 (32|M0) r20 r50"},
    {"atomic add, 32 lanes side by side", "atomic_add.ugm.d32.a64 (32|M0) r60 r30 r50"},
    {"local atomic add, 32 lanes side by side", "atomic_add.slm.d32.a32 (32|M0) r60 r20 r50"},
    {"barrier, of one of 8 threads", "barrier r80", 0, 256},
};

class Machine {
 public:
  Machine()
      : code_(k64K, Memory::Pages::kSmall),
        data_(kDataBytes, Memory::Pages::kSmall),
        launcher_(live_.engine(), clock_) {
    live_.advise_device_atomics(data_.range());
    for (std::uint64_t at = 0; at < kDataBytes; at += k2M) {
      expect(live_.engine().store(GpuVa(data_.at() + at), std::uint64_t{1}), "store");
    }
  }

  /// The kernel's time on all its groups, the least of several.
  double ns(const std::string& text, unsigned items, unsigned groups) {
    const auto code = eu_assemble(text);
    if (!code) {
      fmt::print(stderr, "line {}: {}\n{}\n", code.error().line, code.error().why, text.substr(0, 4000));
      std::exit(2);
    }
    expect(live_.engine().write_bytes(GpuVa(code_.at()), code->data(), code->size()), "code");
    live_.engine().mmu().leave();
    EuLaunch launch{.code = GpuVa(code_.at()),
                    .groups = {groups, 1, 1},
                    .group_items = items,
                    .lanes = items < 32 ? 16u : 32u,
                    .slm_bytes = 4096};
    launch.arguments[0] = static_cast<std::uint32_t>(data_.at());
    launch.arguments[1] = static_cast<std::uint32_t>(data_.at() >> 32);
    Best best;
    for (unsigned round = 0; round < kRounds; ++round) {
      expect(launcher_.begin(launch, live_.vm().vm.config().va_bits), "begin");
      const std::uint64_t begin = now_ns();
      expect(launcher_.run(~0ull), "run");
      best.add(now_ns() - begin);
    }
    return best.ns();
  }

 private:
  LiveMachine live_;
  Memory code_;
  Memory data_;
  SteadyClock clock_;
  EuLauncher launcher_;
};

std::string kernel(const Case& c, unsigned copies) {
  std::string text = std::string(".simd 16\n") + kPrologue;
  for (unsigned i = 0; i < copies; ++i) text += std::string(c.text) + "\n";
  return text + "eot r0\n";
}

void run(Report& report) {
  Machine machine;
  for (const Case& c : kCases) {
    const double ns = machine.ns(kernel(c, kCopies), c.items, kGroups) - machine.ns(kernel(c, 0), c.items, kGroups);
    const unsigned threads = (c.items + 31) / 32;
    report.add({.path = c.name,
                .against = "",
                .ours = ns / (double{kCopies} * kGroups * threads),
                .goal = c.goal,
                .judge = c.goal > 0 ? Judge::kAtMost : Judge::kShown});
  }
  const auto empty = [&](unsigned items, unsigned groups) { return machine.ns("eot r0\n", items, groups); };
  report.add({.path = "group of one thread that ends at once",
              .against = "",
              .ours = (empty(32, 4000) - empty(32, 1000)) / 3000,
              .judge = Judge::kShown});
  report.add({.path = "one thread more in such a group",
              .against = "",
              .ours = (empty(256, 1000) - empty(32, 1000)) / 7000,
              .judge = Judge::kShown});
}

}  // namespace
}  // namespace softxe::bench

int main(int argc, char** argv) {
  softxe::bench::Report report(argc, argv);
  if (report.wanted("eu")) softxe::bench::run(report);
  return 0;
}
