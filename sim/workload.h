// Random work, drawn ahead of time from a seed: a list of operations that can be run, shrunk and
// printed as a scenario file. Every operation is legal in every state; what it must end with is the
// model's business. Next: runner.h (runs a list on the engine and on the model).
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "drv/profile.h"
#include "sim/model.h"

namespace softxe::sim {

/// What a seed's machine is made of.
struct Config {
  const DeviceProfile* profile = &kProfileBmg;
  ResetMode reset = ResetMode::kFlag;
  std::uint64_t vram_bytes = 64ull << 20;
  bool autoreset = true;  ///< of the first bind
  bool failures = false;  ///< some operations have a step that fails
  unsigned devices = 1;   ///< 2: VM 1 is on the second
  unsigned vms = 1;       ///< all mirror the same memory
  unsigned device_of(unsigned vm) const { return devices == 2 ? vm % 2 : 0; }
};
Config config_for(std::uint64_t seed);

/// Buffer objects of the first device: system or VRAM; VRAM only; system only.
inline constexpr unsigned kBos = 3;
struct BoPlaces {
  bool system, vram;
};
inline constexpr BoPlaces kBoPlaces[kBos] = {{true, true}, {false, true}, {true, false}};

struct Op {
  enum class Kind : std::uint8_t {
    kMmap,
    kMunmap,
    kMremap,
    kMprotect,
    kDontneed,
    kFree,
    kRemove,
    kPageout,
    kReclaim,
    kBrk,
    kFork,
    kExit,
    kCpuRead,
    kCpuWrite,
    kGpuRead,
    kGpuWrite,
    kGpuAtomic,
    kAtomicAdvice,
    kPreferAdvice,
    kPatAdvice,
    kPrefetch,
    kBind,
    kBindNull,
    kBindBo,
    kUnbind,
    kReopen,
    kEvict,
    kEvictAll,
    kCollect,
    kEnd,
  };
  Kind kind = Kind::kCollect;
  Span span{};              ///< an access: one word
  std::uint64_t to = 0;     ///< mremap; the new break; the offset in the object
  std::uint64_t value = 0;  ///< stored, added; the attribute; the PAT index
  unsigned process = 0;     ///< of CPU accesses and kExit; 0 is the mirrored one
  unsigned vm = 0, tile = 0, bo = 0;
  MemoryKind memory = MemoryKind::kAnon;
  bool readable = true, writable = true, dont_unmap = false, vram = false, autoreset = false, read_only = false;
  bool by_kernel = false;  ///< a GPU access: by a thread of the execution units
  /// The operation before which, inside the engine, at this step, `inner` happens (GPU accesses
  /// only).
  const char* step = nullptr;
  std::vector<Op> inner{};
  /// The n-th step of the operation fails with `fail_err`; 0: none does.
  unsigned fail_nth = 0;
  int fail_err = 0;
  bool fail_forever = false;

  bool gpu_access() const { return kind == Kind::kGpuRead || kind == Kind::kGpuWrite || kind == Kind::kGpuAtomic; }
};

std::vector<Op> draw(const Config& config, std::uint64_t seed, std::uint64_t steps);

/// The step that failed in an operation: its name, and which of its executions since the operation
/// began.
struct FiredStep {
  std::string name;
  std::uint64_t nth = 0;
};
/// What an operation did that its line in a scenario file must say.
struct Happened {
  std::vector<FiredStep> failed{};
  bool interleaved = false;
  std::function<void(const Happened&)> tell{};  ///< called at every change
};
/// One or more lines of a scenario file.
std::string scenario_line(const Config& config, const Op& op, const Happened* happened = nullptr);
std::string scenario_head(const Config& config, const std::string& why);

}  // namespace softxe::sim
