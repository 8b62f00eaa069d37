// DEVICE_QUERY: the eleven tables, made from a profile and a few live numbers (spec/uapi.md section 3).
#pragma once

#include <cstdint>
#include <ctime>

#include "abi/decode.h"
#include "abi/user_copy.h"
#include "drv/profile.h"

namespace softxe {

struct RegionUse {
  std::uint64_t used_bytes = 0;
  std::uint64_t visible_used_bytes = 0;  ///< VRAM only
};
/// One reading of an engine's counter beside a CPU clock.
struct CycleSample {
  std::uint64_t cycles = 0;            ///< at the GT's reference clock
  std::uint64_t cpu_timestamp_ns = 0;  ///< taken just before
  std::uint64_t cpu_delta_ns = 0;      ///< spent reading
};

/// What a query needs to know about the running device. Called without locks held.
class QueryInputs {
 public:
  virtual ~QueryInputs() = default;
  /// Region 0 is system memory, 1 + t the VRAM of tile t.
  virtual RegionUse region_use(std::uint32_t region) const = 0;
  virtual std::uint64_t system_total_bytes() const = 0;
  virtual Privilege privilege() const = 0;
  virtual CycleSample sample_cycles(const EngineFact& engine, clockid_t clock) const = 0;
};

/// Serves one query: the size protocol, the table, the copy. The value is what belongs in `size`.
Result<std::uint32_t> answer_device_query(const DeviceConfig& device, const DeviceQueryRequest& request,
                                          const QueryInputs& inputs, UserMemory& memory);

/// Counter value a clock at `hz` shows after `ns`.
constexpr std::uint64_t cycles_at(std::uint64_t ns, std::uint32_t hz) {
  return ns / 1'000'000'000u * hz + ns % 1'000'000'000u * hz / 1'000'000'000u;
}

}  // namespace softxe
