// PREFETCH of mirror VMAs: enumerate, move, bind (spec/svm.md 7).
//
// Best effort and synchronous: when run() returns, data has moved. What cannot be moved is skipped
// without an error (7.4); unlike Linux 7.2 the rest of the array is not affected (quirks Q7, Q9).
#pragma once

#include <vector>

#include "svm/svm.h"

namespace softxe {

/// Where a PREFETCH operation wants the pages.
struct PrefetchTarget {
  enum class Kind : std::uint8_t { kSystem, kTileVram, kConsultAdvice } kind = Kind::kSystem;
  unsigned tile = 0;  ///< kTileVram
};

/// One PREFETCH operation over the mirror VMAs of an interval. Vm lock (w) held for its whole life:
/// the ranges it remembers stay alive because only the collector and madvise remove ranges.
class SvmPrefetch {
 public:
  SvmPrefetch(Svm& svm, Vm& vm) : svm_(svm), vm_(vm) {}

  /// Phase 1. ENOENT holes are skipped; EPERM, EIO, EINVAL, ENOMEM, EFAULT end the ioctl.
  Status enumerate(GpuRange range, PrefetchTarget target);
  /// Phase 2 alone: move and collect, for a call that can still be taken back. EBUSY, ENOMEM.
  Status move();
  /// Phases 2 and 3: move what has not been moved, collect, bind on all tiles. EBUSY, ENOMEM, unless
  /// move() ran before: then nothing can fail any more, what races is skipped.
  Status run();
  /// The call is taken back: removes the ranges that nobody has bound.
  void forget();

  bool empty() const { return work_.empty(); }

 private:
  // The caller holds it; the analysis cannot follow a lock through a reference member.
  void assert_locked() const SX_ASSERT_CAPABILITY(vm_.lock) { vm_.lock.assert_held(); }

  struct Item {
    SvmRange* range;
    HostRange extent;
    Vma* vma;
    Pagemap* target;  ///< null: system
  };
  enum class Outcome : std::uint8_t { kGoOn, kEnd };
  Result<Outcome> move_one(const Item& item);
  Status collect(const Item& item);
  Status enumerate_vma(Vma& vma, GpuRange part, PrefetchTarget target);

  Svm& svm_;
  Vm& vm_;
  std::vector<Item> work_;
  bool moved_ = false;
  std::size_t bind_end_ = 0;  ///< items up to here are bound; a migration that failed ended the rest
};

}  // namespace softxe
