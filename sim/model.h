// The naive model: what must be true of VMAs, attributes, ranges and memory, page by page.
//
// It is written to be checked against the specification by eye, not to be fast: VMAs are a sorted vector,
// memory is one entry per page, every rule is a loop. It knows nothing of page tables, notifiers, locks or
// migration. Numbers in comments are sections of spec/vm.md (vm) and spec/svm.md (svm).
//
// Three things it is told instead of predicting them, because they are policy: whether an access faulted at
// all, which pages were populated before, and where pages stand. sim/checker.h holds those against the rules.
// Next: workload.h (what is done), checker.h (what is compared).
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <vector>

#include "vm/vm.h"

namespace softxe::sim {

/// Words of a page the model follows: its first and its last eight bytes.
inline constexpr std::array<std::uint64_t, 2> kWordOffsets = {0, kPageSize - 8};

/// Half-open, in bytes.
struct Span {
  std::uint64_t start = 0;
  std::uint64_t end = 0;
  bool contains(std::uint64_t at) const { return start <= at && at < end; }
  bool contains(Span o) const { return start <= o.start && o.end <= end; }
  bool intersects(Span o) const { return start < o.end && o.start < end; }
  friend bool operator==(const Span&, const Span&) = default;
};

struct ModelVma {
  Span span{};
  bool autoreset = false;
  AtomicAccess atomic = AtomicAccess::kUndefined;
  bool prefer_system = false;
  unsigned pat = 0;
  unsigned default_pat = 0;
  bool is_default() const {
    return atomic == AtomicAccess::kUndefined && !prefer_system && pat == default_pat;
  }
  friend bool operator==(const ModelVma&, const ModelVma&) = default;
};

struct ModelRange {
  Span span{};
  bool may_migrate = false;
  bool dead = false;
};

enum class MemoryKind : std::uint8_t { kAnon, kShmem };
enum class Access : std::uint8_t { kRead, kWrite, kAtomic };

struct ModelPage {
  MemoryKind kind = MemoryKind::kAnon;
  bool writable = true;
  bool readable = true;
  std::uint64_t object = 0;      ///< of shared memory
  std::uint64_t born_page = 0;   ///< page number at birth, or the page's number in the object
  std::shared_ptr<std::array<std::uint64_t, 2>> words;  ///< shared memory: by all who map the page
};

/// Memory of one process, by page address.
using ModelMemory = std::map<std::uint64_t, ModelPage>;

class Model {
 public:
  Model(ResetMode reset, std::uint64_t vm_bytes) : reset_(reset), vm_bytes_(vm_bytes) {}

  // --- the client (svm 2.2); process 0 is the mirrored one ------------------------------------------
  struct Mapping {
    Span span;
    MemoryKind kind = MemoryKind::kAnon;
    bool writable = true;
  };
  void mmap(const Mapping& mapping);
  void munmap(Span span);
  /// False: the kernel refuses (not one mapping).
  bool mremap(Span old, std::uint64_t to, bool dont_unmap);
  bool mprotect(Span span, bool readable, bool writable);
  void dontneed(Span span);
  std::size_t fork();
  ModelMemory& memory(std::size_t process) { return processes_[process]; }
  const ModelPage* page(std::uint64_t at, std::size_t process = 0) const;
  /// The mapping around `at`: a run of pages that the kernel shows as one.
  Span mapping_around(std::uint64_t at) const;
  bool one_mapping(Span span) const;

  // --- the driver -----------------------------------------------------------------------------------
  /// 0, or the errno of VM_BIND.
  int bind_mirror(Span span, bool autoreset, unsigned pat);
  int unbind(Span span);
  void madvise(Span span, const std::function<void(ModelVma&)>& change);
  /// One pass of the collector (vm 7.3).
  void collect();

  /// What a GPU fault at `at` ends with, and the ranges it leaves. `populated`: was the page there before?
  using Populated = std::function<bool(std::uint64_t page)>;
  static constexpr int kSomeError = -1;  ///< fails, the model does not say how
  int fault(std::uint64_t at, Access access, const Populated& populated);
  int prefetch(Span span);

  // --- looking --------------------------------------------------------------------------------------
  const ModelVma* vma_at(std::uint64_t at) const;
  const ModelRange* range_at(std::uint64_t at) const;
  const std::vector<ModelVma>& vmas() const { return vmas_; }
  const std::map<std::uint64_t, ModelRange>& ranges() const { return ranges_; }
  bool garbage() const { return !garbage_.empty() || !unmapped_.empty(); }
  /// Takes over what the engine did where the model does not follow it (interleaved steps).
  void adopt(std::vector<ModelVma> vmas, std::map<std::uint64_t, ModelRange> ranges);

 private:
  void cpu_unmapped(Span span);
  void cut(std::uint64_t at);
  void replace(Span span, const ModelVma& fresh);
  Span extended(Span span, const ModelVma& like) const;
  void reset_attributes(Span span);
  void forget_range(std::uint64_t start);
  bool any_range(Span span) const;
  std::uint64_t find_or_create(std::uint64_t at, const ModelVma& vma, const Populated& populated,
                               std::uint64_t largest);
  int serve(std::uint64_t at, const ModelVma& vma, bool needs_vram, const Populated& populated);

  const ResetMode reset_;
  const std::uint64_t vm_bytes_;
  std::vector<ModelMemory> processes_{1};
  std::uint64_t objects_ = 0;
  std::vector<ModelVma> vmas_;
  std::map<std::uint64_t, ModelRange> ranges_;  ///< by start
  std::vector<std::uint64_t> garbage_;          ///< starts of dead ranges, oldest first
  std::vector<Span> unmapped_;                  ///< mode exact, youngest last
  std::optional<Span> watched_;                 ///< mode exact: hull of what has something to reset
};

}  // namespace softxe::sim
