// One thread with its code in memory, to be carried out by the product.
#pragma once

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "hw/eu/eu_alu_test_support.h"
#include "hw/eu/eu_asm.h"
#include "hw/eu/eu_exec.h"
#include "hw/eu/eu_group.h"
#include "hw/eu/eu_program.h"
#include "hw/eu/fake_eu_memory.h"

namespace softxe::eu_test {

inline constexpr std::uint64_t kBase = 0x100000;
inline constexpr std::uint64_t kCode = 0x120000;
inline constexpr const char* kEnd = "\n  send.gtwy (1|M0) null r127 null 0x0 0x02000000 EOT\n";

/// Sixteen channels are active; r1 holds their numbers, every other register zero.
class EuExecRig {
 public:
  explicit EuExecRig(EuLevel level) : group_({.threads = 1, .slm_bytes = 0}), program_(level) {
    memory_.map(kCode, 4 * kPageSize);
    restart();
  }

  void restart() {
    group_.restart({});
    program_.start(GpuVa(kBase));
    EuThread& t = thread();
    t = EuThread{};  // a group leaves registers as they are
    t.ip = kCode;
    t.mask = t.call_mask = 0xFFFF;
    t.cr = {kCr0};
    for (unsigned k = 0; k < 16; ++k) put(t, 1, EuType::kUD, k, k);
  }

  EuThread& thread() { return group_.threads()[0]; }

  void load(const std::string& text, std::uint64_t at = kCode) {
    const auto code = eu_assemble(text);
    ASSERT_TRUE(code) << "line " << code.error().line << ": " << code.error().why << "\n" << text;
    for (std::size_t i = 0; i < code->size(); ++i) memory_.at(at + i) = (*code)[i];
  }
  EuStop run(std::uint64_t instructions_max = 100000) { return run_on(program_, instructions_max); }
  EuStop run_on(EuProgram& program, std::uint64_t instructions_max) {
    EuEnv env{.program = program, .group = group_, .memory = memory_};
    return eu_run_thread(thread(), env, instructions_max);
  }
  void run_to_end(const std::string& text) {
    load(".simd 16\n" + text + kEnd);
    const EuStop stop = run();
    ASSERT_EQ(stop.kind, EuStopKind::kEnded) << stop.reason << " at " << stop.ip.value() - kCode;
  }
  std::vector<std::uint32_t> row(unsigned reg) {
    std::vector<std::uint32_t> values;
    for (unsigned k = 0; k < 16; ++k) values.push_back(static_cast<std::uint32_t>(get(thread(), reg, EuType::kUD, k)));
    return values;
  }

  FakeEuMemory memory_;
  EuGroup group_;
  EuProgram program_;
};

/// A row of what every channel should have.
template <typename Of>
std::vector<std::uint32_t> each(Of of) {
  std::vector<std::uint32_t> values;
  for (std::uint32_t k = 0; k < 16; ++k) values.push_back(of(k));
  return values;
}

}  // namespace softxe::eu_test
