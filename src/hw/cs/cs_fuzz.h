// The body shared by the fuzz target (cs_fuzz.cc) and the seeded smoke in cs_streamer_test.cc.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <span>
#include <vector>

#include "hw/cs/cs_fake_memory.h"
#include "hw/cs/cs_streamer.h"
#include "hw/eu/eu_fake_worker.h"

namespace softxe {

inline constexpr std::uint32_t kFuzzBatch = 0x10000;
inline constexpr std::uint32_t kFuzzData = 0x20000;
inline constexpr std::uint32_t kFuzzBatchBytesMax = 2 * kPageSize;

/// Runs the bytes as a batch: the first one picks the engine, the rest are dwords. Batch, data and
/// nothing else is mapped. Checks what must hold after any batch; returns how the slice ended.
inline CsSliceEnd run_fuzzed_batch(std::span<const std::uint8_t> input) {
  constexpr std::uint32_t kSteps = 200;
  if (input.empty()) return CsSliceEnd::kDone;
  const auto bytes = input.subspan(1, std::min<std::size_t>(input.size() - 1, kFuzzBatchBytesMax));
  std::vector<std::uint32_t> dwords((bytes.size() + 3) / 4);
  if (!bytes.empty()) std::memcpy(dwords.data(), bytes.data(), bytes.size());

  ManualClock clock;
  FakeCsMemory memory;
  memory.map(kFuzzBatch, kFuzzBatchBytesMax);
  memory.map(kFuzzData, 4 * kPageSize);
  memory.put(kFuzzBatch, dwords);
  CsEngine engine;
  engine.engine_class = static_cast<CsEngineClass>(input[0] % 5);
  engine.va_bits = input[0] / 5 % 2 == 0 ? 48 : 57;
  engine.clock = &clock;
  EuThreadIds ids;
  // Kernels whose threads use up a turn each.
  EuUnits units(fake_units(ids, [](EuThread& thread, EuGroup&, std::uint64_t most) -> EuStop {
    thread.instructions += most;
    return {.kind = EuStopKind::kEnded};
  }));
  engine.units = &units;
  CsContext context;
  context.start_batch(GpuVa(kFuzzBatch));

  const std::atomic<bool> stop{false};
  const CsSlice slice = cs_run_slice(
      context, memory, engine, {.commands_max = kSteps, .deadline_ns = ~std::uint64_t{0}, .run_time_ns = 0}, stop);
  SX_ASSERT(slice.steps <= kSteps);
  SX_ASSERT(context.depth < CsContext::kLevelsMax);
  SX_ASSERT(context.pc.value() < std::uint64_t{1} << engine.va_bits);
  SX_ASSERT(memory.longest() <= k2M);
  if (slice.end == CsSliceEnd::kBadCommand) SX_ASSERT(slice.last.reason[0] != '\0');
  return slice.end;
}

}  // namespace softxe
