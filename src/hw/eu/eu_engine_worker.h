// EngineEuWorker: a worker over an engine's MMU: decoded code, messages, and the faults they cause.
#pragma once

#include <optional>
#include <utility>

#include "hw/eu/eu_engine_memory.h"
#include "hw/eu/eu_program.h"
#include "hw/eu/eu_trace.h"
#include "hw/eu/eu_units.h"
#include "hw/mmu_memory.h"

namespace softxe {

/// Borrows the memory; the one of worker 0 is the command streamer's, too. What was decoded is kept between walkers and
/// checked at each (eu_program.h).
class EngineEuWorker final : public EuWorker {
 public:
  explicit EngineEuWorker(EngineMemory& memory, EuPrefetch prefetch = EuPrefetch::kIgnored)
      : memory_(memory), messages_(memory, prefetch) {}

  void enter(const EuWalker& walker) override {
    faults_before_ = memory_.mmu().faults();
    burst_.emplace(memory_.mmu());
    program_.start(walker.instruction_base);
  }
  void leave() override {
    burst_.reset();
    faults_ += memory_.mmu().faults() - faults_before_;
  }
  void rest() override { memory_.mmu().leave(); }
  EuStop run(EuThread& thread, EuGroup& group, std::uint64_t instructions_max) override {
    EuEnv env{.program = program_, .group = group, .memory = messages_};
    if (thread.traced != 0) {
      burst_.reset();  // lines are written in between
      const EuStop stop = eu_trace_thread(thread, env, instructions_max);
      burst_.emplace(memory_.mmu());
      return stop;
    }
    return eu_run_thread(thread, env, instructions_max);
  }

  /// Of kernels, since this was asked last. Between slices.
  std::uint64_t take_faults() { return std::exchange(faults_, 0); }

 private:
  EngineMemory& memory_;
  EngineEuMemory messages_;
  EuProgram program_;
  /// Within a slice one section serves many messages: whatever may block leaves it first (rest()).
  std::optional<Mmu::Burst> burst_;
  std::uint64_t faults_before_ = 0;
  std::uint64_t faults_ = 0;
};

}  // namespace softxe
