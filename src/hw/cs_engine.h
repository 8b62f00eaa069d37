// What the command streamer knows about the engine it plays: class, register base, clock.
#pragma once

#include <cstdint>
#include <optional>

#include "base/address.h"
#include "base/clock.h"

namespace softxe {

/// Values are those of the uAPI, so that EngineId::engine_class converts by a cast.
enum class CsEngineClass : std::uint8_t {
  kRender = 0,
  kCopy = 1,
  kVideoDecode = 2,
  kVideoEnhance = 3,
  kCompute = 4,
};

/// Facts of one engine; the clock outlives it.
struct EngineInfo {
  CsEngineClass engine_class = CsEngineClass::kCopy;
  std::uint32_t mmio_base = 0x22000;
  std::uint64_t reference_clock_hz = 19'200'000;
  unsigned va_bits = 48;  ///< 48, or 57 on pvc
  const Clock* clock = nullptr;

  bool runs_blits() const { return engine_class == CsEngineClass::kCopy; }
  bool runs_render_pipe() const {
    return engine_class == CsEngineClass::kRender || engine_class == CsEngineClass::kCompute;
  }
  /// Drops the canonical sign copy: only the low va_bits take part in translation.
  GpuVa strip(std::uint64_t address) const {
    return GpuVa(address & ((std::uint64_t{1} << va_bits) - 1));
  }
  std::uint64_t ticks(std::uint64_t ns) const {
    constexpr std::uint64_t kSecond = 1'000'000'000;  // split: the product would overflow in minutes
    return ns / kSecond * reference_clock_hz + ns % kSecond * reference_clock_hz / kSecond;
  }
  /// RING_TIMESTAMP: free running, also while nothing runs.
  std::uint64_t ring_timestamp() const { return ticks(clock->now_ns()); }
};

/// Register base by class and instance (spec/gpu-commands.md 8); nothing when there is no such engine.
std::optional<std::uint32_t> engine_mmio_base(CsEngineClass engine_class, unsigned instance);

}  // namespace softxe
