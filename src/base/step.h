// SX_STEP: one macro, four uses.
//
//   fault point          a StepHook may make the step fail ("fail the n-th svm.migrate.alloc")
//   interleaving point   the simulator may run another actor here
//   coverage mark        a test may ask whether the step was ever reached
//   trace event          the hook sees every step in order
//
// `SX_STEP("svm.migrate.alloc")` is an expression of type Status: use it where failing is legal
// (`SX_TRY_VOID(SX_STEP("..."))`). `SX_MARK("...")` is the same without the right to fail, for commit
// paths. Without a hook either costs one relaxed load. Names are layer.file.event, in lower case.
#pragma once

#include <atomic>
#include <cstdint>

#include "base/result.h"

namespace softxe {

/// One per SX_STEP in the source, made on first execution; lives for ever.
struct StepSite {
  const char* name;
  std::atomic<std::uint64_t> hits{0};
};

/// Installed by tests and by the simulator. Called with arbitrary engine locks held: the
/// implementation must not take ranked locks and must not allocate on the live backend.
class StepHook {
 public:
  virtual ~StepHook() = default;
  /// A failing Status makes the step fail; it is ignored at a mark.
  virtual Status on_step(StepSite& site, bool may_fail) = 0;
};

namespace detail {
extern std::atomic<StepHook*> step_hook;
Status run_step(StepSite& site, StepHook& hook, bool may_fail);
}  // namespace detail

/// Installs a hook (or none) and returns the one before. Not to be called while steps run elsewhere.
StepHook* set_step_hook(StepHook* hook);

/// Fails the n-th (1-based) execution of the step called `name`; with `forever` every later one too.
/// An empty name matches every step.
class FailNth final : public StepHook {
 public:
  enum class Repeat { kOnce, kForever };
  FailNth(const char* name, std::uint64_t nth, int err, Repeat repeat = Repeat::kOnce)
      : name_(name), nth_(nth), err_(err), repeat_(repeat) {}
  Status on_step(StepSite& site, bool may_fail) override;
  bool fired() const { return fired_.load(); }

 private:
  const char* name_;
  std::uint64_t nth_;
  int err_;
  Repeat repeat_;
  std::atomic<std::uint64_t> seen_{0};
  std::atomic<bool> fired_{false};
};

}  // namespace softxe

#define SX_STEP_IMPL_(step_name, may_fail)                                                     \
  ([]() -> ::softxe::Status {                                                                  \
    ::softxe::StepHook* sx_hook = ::softxe::detail::step_hook.load(std::memory_order_relaxed); \
    if (__builtin_expect(sx_hook == nullptr, 1)) return {};                                    \
    static ::softxe::StepSite sx_site{step_name};                                              \
    return ::softxe::detail::run_step(sx_site, *sx_hook, may_fail);                            \
  }())
#define SX_STEP(step_name) SX_STEP_IMPL_(step_name, true)
#define SX_MARK(step_name) static_cast<void>(SX_STEP_IMPL_(step_name, false))
