// Runtime power management of one card: whether it sleeps, since when, and what decides it.
//
// The kernel's rules (Documentation/power/runtime_pm.rst): whoever uses the card holds a reference; without one it
// sleeps after the autosuspend delay, unless power/control says "on". Nothing is switched off here: the state is worked
// out from the clock when somebody asks. Users: every request, jobs of dma-fence VMs until they are done, long-running
// VMs, open forcewake files.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/lock.h"
#include "base/result.h"

namespace softxe {

enum class PowerControl : std::uint8_t { kAuto, kOn };
enum class PowerState : std::uint8_t { kActive, kSuspended };

/// What the client has written. A fork child begins with its parent's.
struct PowerSettings {
  PowerControl control = PowerControl::kAuto;
  PowerControl bridge_control = PowerControl::kAuto;
  std::int32_t delay_ms = 1000;  ///< below 0: never sleeps
  bool d3cold_allowed = true;
  std::uint32_t d3cold_threshold_mib = 300;  ///< with less VRAM in use than this the card may lose its power
};

/// Thread-safe. Lives as long as the card; users give back what they took before it goes.
class RuntimePm {
 public:
  /// Linux waits so long for a card that comes back from D3hot (PCI). It is not waited for here, but booked as active
  /// time: a card that was woken shows it.
  static constexpr std::uint64_t kResumeNs = 10'000'000;

  explicit RuntimePm(const Clock& clock) : clock_(clock), since_ns_(clock.now_ns()), idle_since_ns_(since_ns_) {}
  RuntimePm(const RuntimePm&) = delete;
  RuntimePm& operator=(const RuntimePm&) = delete;

  /// Takes a reference, and wakes the card.
  void get();
  void put();
  /// A reference as long as it lives.
  class Use {
   public:
    explicit Use(RuntimePm& pm) : pm_(pm) { pm_.get(); }
    ~Use() { pm_.put(); }
    Use(const Use&) = delete;
    Use& operator=(const Use&) = delete;

   private:
    RuntimePm& pm_;
  };

  PowerSettings settings();
  void set(const PowerSettings& settings);

  struct Now {
    PowerState state = PowerState::kActive;
    std::uint64_t usage = 0;  ///< references, one more where power/control keeps it awake
    std::uint64_t active_ms = 0;
    std::uint64_t suspended_ms = 0;
  };
  Now now();

 private:
  bool may_sleep() const SX_REQUIRES(lock_) {
    return uses_ == 0 && settings_.control == PowerControl::kAuto && settings_.delay_ms >= 0;
  }
  /// Books the time up to now, and lets the card fall asleep where that was due.
  void settle() SX_REQUIRES(lock_);
  void wake() SX_REQUIRES(lock_);

  const Clock& clock_;
  LeafMutex lock_{"RuntimePm"};
  PowerSettings settings_ SX_GUARDED_BY(lock_);
  std::uint64_t uses_ SX_GUARDED_BY(lock_) = 0;
  PowerState state_ SX_GUARDED_BY(lock_) = PowerState::kActive;
  std::uint64_t since_ns_ SX_GUARDED_BY(lock_);  ///< booked up to here
  std::uint64_t idle_since_ns_ SX_GUARDED_BY(lock_);
  std::uint64_t active_ns_ SX_GUARDED_BY(lock_) = 0;
  std::uint64_t suspended_ns_ SX_GUARDED_BY(lock_) = 0;
};

}  // namespace softxe
