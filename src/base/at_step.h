// AtStep, for tests: an action at a step of the engine.
#pragma once

#include <atomic>
#include <functional>
#include <string_view>
#include <utility>

#include "base/step.h"

namespace softxe {

/// Runs an action every time a step is reached, a limited number of times; not for steps inside the action. Installed
/// while it lives. Other threads may reach steps meanwhile.
class AtStep final : public StepHook {
 public:
  /// `action` gets the number of times that are left.
  AtStep(const char* name, int times, std::function<void(int)> action)
      : name_(name), left_(times), action_(std::move(action)) {
    set_step_hook(this);
  }
  ~AtStep() override { set_step_hook(nullptr); }
  Status on_step(StepSite& site, bool) override {
    if (left_ == 0 || std::string_view(site.name) != name_ || inside_.exchange(true)) return {};
    action_(--left_);
    inside_ = false;
    return {};
  }
  int left() const { return left_; }

 private:
  const char* name_;
  std::atomic<int> left_;
  std::atomic<bool> inside_{false};
  std::function<void(int)> action_;
};

}  // namespace softxe
