#include "embed/hooks.h"

#include <array>
#include <atomic>

#include "host/live/live_host_mm.h"
#include "host/patch/patcher.h"

namespace softxe::api {
namespace {

constinit std::atomic<live::LiveHostMm*> target{nullptr};
thread_local constinit int calls_depth = 0;

long on_call(patch::SyscallArgs& call) {
  live::LiveHostMm* mm = target.load(std::memory_order_acquire);
  if (mm == nullptr || calls_depth > 0) return patch::raw_syscall(call);
  const EngineCall scope;
  std::array<long, 6> arguments;
  for (std::size_t i = 0; i < arguments.size(); ++i) arguments[i] = static_cast<long>(call.a[i]);
  return mm->hook_syscall(call.nr, arguments);
}

void before_fork(unsigned long) {
  if (live::LiveHostMm* mm = target.load(); mm != nullptr) mm->fork_before();
}
void after_fork_parent(long) {
  if (live::LiveHostMm* mm = target.load(); mm != nullptr) mm->fork_after_parent();
}
void after_fork_child() {
  if (live::LiveHostMm* mm = target.exchange(nullptr); mm != nullptr) mm->fork_after_child();
  patch::deactivate();
}

}  // namespace

EngineCall::EngineCall() { ++calls_depth; }
EngineCall::~EngineCall() { --calls_depth; }

softxe::Status patch_libc() {
  patch::HookTable hooks;
  hooks.call = on_call;
  hooks.fork = {.before = before_fork, .after_parent = after_fork_parent, .after_child = after_fork_child};
  const patch::PatchReport& report = patch::install(hooks);
  if (report.rung == patch::Rung::kEventsOnly) return softxe::fail(ENOTSUP, report.why);
  return {};
}

softxe::Status aim_hooks(live::LiveHostMm* mm) {
  live::LiveHostMm* nobody = nullptr;
  if (mm != nullptr && !target.compare_exchange_strong(nobody, mm)) {
    return softxe::fail(EBUSY, "another process object has the hooks");
  }
  if (mm == nullptr) {
    patch::deactivate();
    target.store(nullptr);
  } else {
    patch::activate();
  }
  return {};
}

}  // namespace softxe::api
