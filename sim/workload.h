// Random work, drawn ahead of time from a seed: a list of operations that can be run, shrunk and printed as a
// scenario file. Every operation is legal in every state; what it must end with is the model's business.
// Next: runner.h (runs a list on the engine and on the model).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "sim/model.h"

namespace softxe::sim {

/// The memory all work happens in: 4.5 MiB across a border of two notifier windows.
inline constexpr std::uint64_t kSpaceStart = 0x1fe00000;
inline constexpr std::uint64_t kSpaceBytes = 2 * k2M + k2M / 4;
inline constexpr Span kSpace{kSpaceStart, kSpaceStart + kSpaceBytes};

struct Config {
  ResetMode reset = ResetMode::kFlag;
  std::uint64_t vram_bytes = 64ull << 20;
  bool autoreset = true;  ///< of the first bind
};
Config config_for(std::uint64_t seed);

struct Op {
  enum class Kind : std::uint8_t {
    kMmap, kMunmap, kMremap, kMprotect, kDontneed, kPageout, kFork, kExit,
    kCpuRead, kCpuWrite,
    kGpuRead, kGpuWrite, kGpuAtomic,
    kAtomicAdvice, kPreferAdvice, kPatAdvice, kPrefetch, kBind, kUnbind, kEvict, kEvictAll, kCollect,
    kEnd,
  };
  Kind kind = Kind::kCollect;
  Span span{};                 ///< an access: one word
  std::uint64_t to = 0;      ///< mremap
  std::uint64_t value = 0;   ///< stored, added; the attribute; the PAT index
  unsigned process = 0;      ///< of CPU accesses and kExit; 0 is the mirrored one
  bool shmem = false, readable = true, writable = true, dont_unmap = false, vram = false, autoreset = false;
  /// The operation before which, inside the engine, at this step, `inner` happens (GPU accesses only).
  const char* step = nullptr;
  std::vector<Op> inner{};
};

std::vector<Op> draw(std::uint64_t seed, std::uint64_t steps);
/// One or two lines of a scenario file.
std::string scenario_line(const Op& op);
std::string scenario_text(const Config& config, const std::vector<Op>& ops, const std::string& why);

}  // namespace softxe::sim
