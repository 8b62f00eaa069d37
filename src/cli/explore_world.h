// The simulated world as an exploration uses it: its collectors are flows of the scheduler, and every load and store of
// the client's memory is noted. Next: explore/history.h, explore_run.h.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "cli/scenario_sim_world.h"
#include "explore/fingerprint.h"
#include "explore/history.h"
#include "explore/scheduler.h"

namespace softxe::scenario {

/// Lives inside the scheduler's main flow; used by its flows only, of which one runs at a time: no lock.
class ExploreWorld final : public SimWorld {
 public:
  explicit ExploreWorld(explore::Scheduler& scheduler) : scheduler_(scheduler) {}

  Status bind(const BindSpec& spec) override;
  Status cpu_mmap(const std::string& process, const CpuMmap& call) override;
  Status cpu_munmap(const std::string& process, Span span) override;
  Status cpu_mremap(const std::string& process, const CpuMremap& call) override;
  Status cpu_madvise(const std::string& process, const CpuMadvise& call) override;
  Result<std::uint64_t> cpu_read(const std::string& process, const Access& access) override;
  Status cpu_write(const std::string& process, const Access& access) override;
  Status cpu_fill(const std::string& process, Span span, std::uint8_t value) override;
  Result<std::uint64_t> gpu_read(const GpuTarget& gpu, const Access& access) override;
  Status gpu_write(const GpuTarget& gpu, const Access& access) override;
  Result<std::uint64_t> gpu_atomic(const GpuTarget& gpu, const Access& access) override;
  Status gpu_copy(const GpuTarget& gpu, std::uint64_t to, Span from) override;
  Status gpu_fill(const GpuTarget& gpu, Span span, std::uint8_t value) override;
  Status gpu_kernel(const KernelSpec& kernel) override;
  Status exec(const ExecSpec& spec) override;

  /// After a statement of a flow: what is broken of that which must hold whenever nobody is at work; empty: nothing, or
  /// somebody is.
  std::string look();
  /// All flows have come to rest: what a collector has been woken for must be done.
  void rests();
  /// What happened since it was asked last: ranges that die are remembered, and what is advised beside that or later.
  void heard(std::span<const Event> events);
  /// With nobody at work: attributes that a dead range has left; empty: none.
  std::string lost_reset();
  /// With nobody at work: a load that no store explained, or memory that none explains now; empty: none.
  std::string unexplained();
  /// Ends everything but the devices. What is in use then; empty: nothing. Once, as the last.
  std::string leak();
  /// What VMs and memory are now, as a number.
  std::uint64_t fingerprint();
  /// Adds what passes while everybody sleeps.
  void pass_time(std::uint64_t ns) { time().advance_ns(ns); }

 private:
  using Uses = explore::Scheduler::Uses;
  ThreadStarter collectors() override { return flows_named("collector", Uses::kByLocks); }
  ThreadStarter engines() override { return flows_named("engine", Uses::kAnything); }
  ThreadStarter flows_named(const std::string& kind, Uses uses);
  void note_stores(const ExecSpec& spec);
  template <typename Do>
  Status storing(const std::string& process, const explore::History::Store& store, Do call);
  template <typename Do>
  Result<std::uint64_t> loading(const std::string& process, const Access& access, Do call);
  void stores_anything() { anything_ = true; }
  struct PeekedWord {
    SimHostMm::PageState page;
    std::uint32_t value = 0;  ///< where there is no page, too
  };
  /// Without a touch.
  PeekedWord peek_word(std::uint64_t at);

  explore::Scheduler& scheduler_;
  explore::History history_;
  bool anything_ = false;     ///< an engine stores what is not known, or elsewhere: no load is judged any more
  bool has_objects_ = false;  ///< pages of files stay with the machine
  std::string unexplained_;
  struct Died {
    std::uint32_t asid;
    Span span;
    std::vector<Span> advised;
  };
  std::vector<Died> died_;
  std::map<std::string, unsigned> made_;                        ///< flows, by kind
  std::map<std::uint64_t, std::vector<BatchCommand>> batches_;  ///< by address
};

}  // namespace softxe::scenario
