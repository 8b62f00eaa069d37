#include "sim/kernel_access.h"

#include <array>
#include <cstring>
#include <vector>

#include "hw/eu/eu_asm.h"
#include "hw/eu/eu_exec.h"
#include "hw/eu/eu_start.h"

namespace softxe::sim {
namespace {

constexpr unsigned kVaBits = 48;
constexpr std::uint64_t kCode = 1ull << 46;  // the space of a workload ends far below
constexpr std::uint64_t kApart = 4096;       // code of one kind from that of the next
constexpr unsigned kResult = 20;             // register

/// r1 has the address and the value.
constexpr const char* kTexts[] = {
    "load.ugm.d64.a64 r20 r1\n eot r0\n",
    "(W) mov (1|M0) r3.0:q r1.1:q\n store.ugm.d64.a64 r1 r3\n eot r0\n",
    "(W) mov (1|M0) r3.0:q r1.1:q\n atomic_add.ugm.d64.a64 r20 r1 r3\n eot r0\n",
};

const std::vector<std::byte>& code_of(std::uint64_t kind) {
  static const auto all = [] {
    std::array<std::vector<std::byte>, std::size(kTexts)> codes;
    for (std::size_t i = 0; i < codes.size(); ++i) codes[i] = eu_assemble(kTexts[i]).value();
    return codes;
  }();
  return all[kind];
}

}  // namespace

Status KernelAccess::Memory::load(const MemoryItems& items, std::byte* to) {
  if (items.va.size() != 1 || items.va[0].value() < kCode) return engine_.load(items, to);
  const std::uint64_t at = items.va[0].value() - kCode;
  const std::vector<std::byte>& code = code_of(at / kApart);
  for (std::uint32_t i = 0; i < items.item_bytes; ++i) {
    const std::uint64_t byte = at % kApart + i;
    to[i] = byte < code.size() ? code[byte] : std::byte{0};
  }
  return {};
}

Status KernelAccess::run(Kind kind, GpuVa va, std::uint64_t value, std::uint64_t& result) {
  EuWalker walker;
  walker.kernel = GpuVa(kCode + static_cast<std::uint64_t>(kind) * kApart);
  walker.last_mask = 1;
  walker.has_inline_data = true;
  const std::uint64_t arguments[] = {va.value(), value};
  std::memcpy(walker.inline_data.data(), arguments, sizeof arguments);
  const EuBases bases{.va_bits = kVaBits};
  group_.restart(bases);
  EuThread& thread = group_.threads()[0];
  eu_start_thread(thread, walker, {});
  program_.start(walker.kernel);
  EuEnv env{.program = program_, .group = group_, .memory = memory_};
  const EuStop stop = eu_run_thread(thread, env, 16);
  if (stop.kind == EuStopKind::kFault) return fail(EFAULT, stop.reason);
  SX_ASSERT(stop.kind == EuStopKind::kEnded);
  std::memcpy(&result, thread.grf.data() + kResult * kEuGrfBytes, sizeof result);
  return {};
}

Status KernelAccess::load(GpuVa va, std::uint64_t& value) { return run(Kind::kLoad, va, 0, value); }

Status KernelAccess::store(GpuVa va, std::uint64_t value) {
  std::uint64_t nothing = 0;
  return run(Kind::kStore, va, value, nothing);
}

Status KernelAccess::add(GpuVa va, std::uint64_t value, std::uint64_t& before) {
  return run(Kind::kAdd, va, value, before);
}

}  // namespace softxe::sim
