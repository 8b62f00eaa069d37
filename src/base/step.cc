#include "base/step.h"

#include <cstring>

namespace softxe {
namespace detail {

std::atomic<StepHook*> step_hook{nullptr};

Status run_step(StepSite& site, StepHook& hook, bool may_fail) {
  site.hits.fetch_add(1, std::memory_order_relaxed);
  Status status = hook.on_step(site, may_fail);
  if (!may_fail) return {};
  return status;
}

}  // namespace detail

StepHook* set_step_hook(StepHook* hook) { return detail::step_hook.exchange(hook); }

Status FailNth::on_step(StepSite& site, bool may_fail) {
  if (!may_fail) return {};
  if (name_[0] != '\0' && std::strcmp(name_, site.name) != 0) return {};
  std::uint64_t index = seen_.fetch_add(1) + 1;
  bool hit = repeat_ == Repeat::kForever ? index >= nth_ : index == nth_;
  if (!hit) return {};
  fired_.store(true);
  return fail(err_, site.name);
}

}  // namespace softxe
