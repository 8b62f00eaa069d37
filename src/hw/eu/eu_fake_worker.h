// FakeEuWorker: a worker whose threads do what a function says, for tests of everything above the instructions.
#pragma once

#include <functional>
#include <utility>

#include "hw/eu/eu_units.h"

namespace softxe {

class FakeEuWorker final : public EuWorker {
 public:
  using Script = std::function<EuStop(EuThread& thread, EuGroup& group, std::uint64_t instructions_max)>;

  explicit FakeEuWorker(Script script) : script_(std::move(script)) {}
  void enter(const EuWalker&) override {}
  void leave() override {}
  EuStop run(EuThread& thread, EuGroup& group, std::uint64_t instructions_max) override {
    return script_(thread, group, instructions_max);
  }

  /// Every thread is nothing but its end.
  static EuStop end_at_once(EuThread& thread, EuGroup&, std::uint64_t) {
    thread.instructions += 1;
    return {.kind = EuStopKind::kEnded};
  }

 private:
  Script script_;
};

/// One worker, no threads.
inline EuUnits::Config fake_units(EuThreadIds& ids, FakeEuWorker::Script script) {
  return {.ids = ids, .make_worker = [script = std::move(script)](std::uint32_t) {
            return std::make_unique<FakeEuWorker>(script);
          }};
}

}  // namespace softxe
