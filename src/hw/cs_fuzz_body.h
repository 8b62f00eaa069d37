// The body shared by the fuzz target (cs_fuzz.cc) and the seeded smoke in cs_random_test.cc.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <cstring>
#include <span>

#include "hw/cs_fake_memory.h"
#include "hw/cs_streamer.h"

namespace softxe {

/// Runs `bytes` as a batch on an engine chosen by the first byte, for at most a few thousand steps.
/// Memory is 16 pages, one of them read-only, one null; everything else faults. Returns how it ended.
inline RunEnd run_fuzz_batch(std::span<const std::uint8_t> bytes) {
  constexpr GpuVa kBatch(0x10000);
  constexpr std::uint64_t kBatchBytes = 8 * kPageSize;
  constexpr std::uint64_t kStepsMax = 2000;
  constexpr CsEngineClass kClasses[] = {CsEngineClass::kRender, CsEngineClass::kCopy,
                                        CsEngineClass::kCompute, CsEngineClass::kVideoDecode};
  ManualClock clock;
  const std::size_t pick = bytes.empty() ? 0 : bytes[0] % std::size(kClasses);
  const EngineInfo engine{.engine_class = kClasses[pick],
                          .mmio_base = *engine_mmio_base(kClasses[pick], 0),
                          .clock = &clock};
  FakeGpuMemory memory;
  memory.map(GpuVa(0), 6 * kPageSize);
  memory.map(GpuVa(6 * kPageSize), kPageSize, FakePage::kReadOnly);
  memory.map(GpuVa(7 * kPageSize), kPageSize, FakePage::kNull);
  memory.map(kBatch, kBatchBytes);
  if (!bytes.empty()) bytes = bytes.subspan(1);
  bytes = bytes.first(std::min<std::size_t>(bytes.size(), kBatchBytes));
  for (std::size_t i = 0; i < bytes.size(); ++i) memory.poke(kBatch + i, bytes[i]);

  CsContext context;
  context.start_batch(kBatch);
  const std::atomic<bool> kill{false};
  return run_slice(context, memory, engine, {.commands = kStepsMax}, kill).end;
}

}  // namespace softxe
