#include "abi/runtime_pm.h"

#include <algorithm>

namespace softxe {

namespace {
constexpr std::uint64_t kNsPerMs = 1'000'000;
}

void RuntimePm::settle() {
  const std::uint64_t now = clock_.now_ns();
  if (state_ == PowerState::kActive && may_sleep()) {
    const std::uint64_t due = idle_since_ns_ + static_cast<std::uint64_t>(settings_.delay_ms) * kNsPerMs;
    if (now >= due) {
      const std::uint64_t asleep = std::max(due, since_ns_);
      active_ns_ += asleep - since_ns_;
      since_ns_ = asleep;
      state_ = PowerState::kSuspended;
    }
  }
  (state_ == PowerState::kActive ? active_ns_ : suspended_ns_) += now - since_ns_;
  since_ns_ = now;
}

void RuntimePm::wake() {
  if (state_ == PowerState::kActive) return;
  state_ = PowerState::kActive;
  active_ns_ += kResumeNs;
  idle_since_ns_ = since_ns_;
}

void RuntimePm::get() {
  Guard hold(lock_);
  settle();
  wake();
  ++uses_;
}

void RuntimePm::put() {
  Guard hold(lock_);
  SX_ASSERT(uses_ != 0);
  settle();
  if (--uses_ == 0) idle_since_ns_ = since_ns_;
}

PowerSettings RuntimePm::settings() {
  Guard hold(lock_);
  return settings_;
}

void RuntimePm::set(const PowerSettings& settings) {
  Guard hold(lock_);
  settle();
  settings_ = settings;
  if (settings_.control == PowerControl::kOn || settings_.delay_ms < 0) wake();
}

RuntimePm::Now RuntimePm::now() {
  Guard hold(lock_);
  settle();
  return {.state = state_,
          .usage = uses_ + (settings_.control == PowerControl::kOn ? 1 : 0) + (settings_.delay_ms < 0 ? 1 : 0),
          .active_ms = active_ns_ / kNsPerMs,
          .suspended_ms = suspended_ns_ / kNsPerMs};
}

}  // namespace softxe
