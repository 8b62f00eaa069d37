// The naive model of one VM: what must be true of VMAs, attributes and ranges, one by one.
//
// It is written to be checked against the specification by eye, not to be fast: VMAs are a sorted
// vector, every rule is a loop. It knows nothing of page tables, notifiers, locks or migration.
// Numbers in comments are sections of spec/vm.md (vm) and spec/svm.md (svm).
//
// Three things it is told instead of predicting them, because they are policy: whether an access
// faulted at all, which pages were populated before, and where pages stand. sim/checker.cc holds
// those against the rules. Next: workload.h (what is done), checker.cc (what is compared).
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <vector>

#include "sim/model_memory.h"
#include "vm/vm.h"

namespace softxe::sim {

inline constexpr std::uint64_t kBoBytes = 2 * k64K + k2M / 2;

/// A buffer object of the client's: the followed words of each page, and where it may live.
struct ModelBo {
  bool system = true, vram = true;
  AtomicAccess atomic = AtomicAccess::kUndefined;
  bool in_vram = false;  ///< where the engine has it before the step: eviction is no part of this model
  std::vector<Words> pages = std::vector<Words>(kBoBytes / kPageSize);
};

struct ModelVma {
  Span span{};
  VmaKind kind = VmaKind::kMirror;
  bool autoreset = false;
  bool read_only = false;
  AtomicAccess atomic = AtomicAccess::kUndefined;
  bool prefer_system = false;
  unsigned pat = 0;
  unsigned default_pat = 0;
  const void* bo = nullptr;  ///< identity; engine and model use the model's object
  std::uint64_t offset = 0;  ///< into the object
  bool mirror() const { return kind == VmaKind::kMirror; }
  bool is_default() const { return atomic == AtomicAccess::kUndefined && !prefer_system && pat == default_pat; }
  friend bool operator==(const ModelVma&, const ModelVma&) = default;
};

struct ModelRange {
  Span span{};
  bool may_migrate = false;
  bool dead = false;
};

enum class Access : std::uint8_t { kRead, kWrite, kAtomic };

/// Device facts the rules depend on.
struct ModelDevice {
  unsigned tiles = 1;
  bool discrete = true;
  bool smem_atomics = true;
  std::uint64_t vram_page_bytes = kPageSize;
};

class Model {
 public:
  Model(ModelClient& client, ModelDevice device, ResetMode reset, std::uint64_t vm_bytes)
      : client_(client), device_(device), reset_(reset), vm_bytes_(vm_bytes) {}

  // --- requests; 0, or the errno ----------------------------------------------------------------------------------
  /// MAP of anything: `what` without its span.
  int map(Span span, const ModelVma& what);
  int unmap(Span span);
  int set_atomic(Span span, AtomicAccess access);
  void set_preferred(Span span, bool system);
  void set_pat(Span span, unsigned pat);
  /// `tile` of VRAM; none: system memory.
  int prefetch(Span span, std::optional<unsigned> tile);
  /// One pass of the collector (vm 7.3).
  void collect();
  /// An UNMAP event: every range it touches is dead, whole or not (svm 2.1 step 6).
  void cpu_unmapped(Span span);

  // --- GPU accesses -----------------------------------------------------------------------------------------------
  struct GpuFault {
    std::uint64_t at = 0;
    Access access = Access::kRead;
    unsigned tile = 0;
  };
  /// Was the page there before?
  using Populated = std::function<bool(std::uint64_t page)>;
  static constexpr int kUnsure = -1;  ///< the model does not say how it ends and what it leaves
  int fault(const GpuFault& fault, const Populated& populated);
  /// Must the access find the page in VRAM (svm 4.9)? EACCES: never.
  Result<bool> needs_vram(const ModelVma& vma, Access access) const;

  // --- looking ----------------------------------------------------------------------------------------------------
  const ModelVma* vma_at(std::uint64_t at) const;
  const std::vector<ModelVma>& vmas() const { return vmas_; }
  const std::map<std::uint64_t, ModelRange>& ranges() const { return ranges_; }
  bool garbage() const { return !garbage_.empty() || !unmapped_.empty(); }
  /// Takes over what the engine did where the model does not follow it (interleaved and failing
  /// steps).
  void adopt_vmas(std::vector<ModelVma> vmas) { vmas_ = std::move(vmas); }
  void adopt_ranges(std::map<std::uint64_t, ModelRange> ranges);

 private:
  const ModelRange* range_at(std::uint64_t at) const;
  void cut(std::uint64_t at);
  void cut_for_advice(Span span);
  void advise(Span span, const std::function<void(ModelVma&)>& change);
  void replace(Span span, const ModelVma& fresh);
  Span extended(Span span, const ModelVma& like) const;
  void reset_attributes(Span span);
  void forget_range(std::uint64_t start);
  bool any_range(Span span) const;
  std::uint64_t find_or_create(std::uint64_t at, const ModelVma& vma, const Populated& populated,
                               std::uint64_t largest);
  bool accessible(std::uint64_t at, const ModelVma& vma) const;
  int serve_owned(const GpuFault& fault, const ModelVma& vma, bool needs_vram) const;
  int serve(const GpuFault& fault, const ModelVma& vma, bool needs_vram, const Populated& populated);

  ModelClient& client_;
  const ModelDevice device_;
  const ResetMode reset_;
  const std::uint64_t vm_bytes_;
  std::vector<ModelVma> vmas_;
  std::map<std::uint64_t, ModelRange> ranges_;  ///< by start
  std::vector<std::uint64_t> garbage_;          ///< starts of dead ranges, oldest first
  std::vector<Span> unmapped_;                  ///< mode exact, youngest last
  std::optional<Span> watched_;                 ///< mode exact: hull of what has something to reset
};

}  // namespace softxe::sim
