#include "svm/fault_service.h"

#include "base/log.h"
#include "base/step.h"
#include "svm/self_check.h"

namespace softxe {

Pagemap* resolve_preferred(const Vma& vma, const Svm& svm, unsigned tile) {
  const PreferredLocation& preferred = vma.attr.preferred;
  if (preferred.pagemap) return preferred.pagemap.get();
  if (preferred.devmem_fd != kPreferDefaultDevice) return nullptr;
  const auto& local = svm.config().tile_vram;
  return tile < local.size() ? local[tile] : nullptr;
}

namespace {

/// One run of the inner loop of spec/svm.md 4.5: a mirror fault under a VMA that does not change.
class MirrorFault {
 public:
  /// `mandatory`: the pages must be in VRAM of `pagemap` when the access is repeated, and stay for `timeslice_ns`.
  struct Mandatory {
    Pagemap* pagemap;  ///< null: they need not
    std::uint64_t timeslice_ns;
  };
  /// Whether pages that need not move are moved.
  enum class Optional : std::uint8_t { kMove, kStay };

  MirrorFault(Svm& svm, Vm& vm, const PageFault& fault, Vma& vma, Mandatory mandatory, Optional optional)
      : svm_(svm),
        vm_(vm),
        vma_(vma),
        tile_(fault.engine.tile),
        at_(mirror_of(std::max(fault.page, vma.start()))),
        required_(mandatory.pagemap),
        refused_(fault.cause == FaultCause::kMemory),
        tries_(required_ != nullptr ? 3 : (optional == Optional::kMove ? 1 : 0)),
        slice_ns_(required_ != nullptr ? mandatory.timeslice_ns : 0) {
    rules_.populated_check_bytes = svm.config().tile_vram.empty() ? 0 : k64K;
  }

  /// EAGAIN: VMAs changed. Everything else is the fault's result.
  Status run(std::uint64_t rounds_max) {
    svm_.assert_vm_locked();
    for (std::uint64_t round = 0; round < rounds_max; ++round) {
      if (round != 0) vm_.counters().count({.address = at_.value(), .size = kPageSize, .kind = EventKind::kFaultRetry});
      SX_TRY(CollectOutcome collected, svm_.collect_garbage());
      if (collected == CollectOutcome::kVmasChanged) return fail(EAGAIN, "VMAs changed");
      SX_MARK("svm.fault.after_gc");
      Status status = step();
      if (status || (!again_ && collection_failed_)) add_us(Counter::svm_4K_pagefault_us, begin_ns_);
      if (status) return {};
      if (!again_) return status;
    }
    return fail(EIO, FaultService::kLivelock);
  }

 private:
  Status retry(const Status& because) {
    again_ = true;
    return because;
  }
  Status done(const Status& status) {
    again_ = false;
    return status;
  }

  void add_us(Counter by_size, std::uint64_t begin_ns) {
    vm_.counters().add(counter_for_size(by_size, bytes_), (svm_.host().clock().now_ns() - begin_ns) / 1000);
  }

  Status step() {
    svm_.assert_vm_locked();
    Pagemap* target = required_ != nullptr ? required_ : resolve_preferred(vma_, svm_, tile_);
    const OwnerGroup owner = target != nullptr ? svm_.owner() : OwnerGroup::kNobody;
    rules_.owner = owner;
    collection_failed_ = false;
    auto found = svm_.find_or_create(at_, vma_, rules_);
    if (!found) return done(fail(found.error()));
    SvmRange& range = **found;
    bytes_ = range.extent().size();
    vm_.counters().count(event_of(EventKind::kFaultRange, range.extent()));

    // What was collected is not what is there: an unmapped end of a file, a protection changed behind our back.
    if (std::exchange(refused_, false)) svm_.forget_pages(range);
    if (required_ != nullptr && svm_.immovable(range)) required_ = target = nullptr;
    if (required_ != nullptr && range.may_migrate() == MayMigrate::kNo) {
      return done(fail(EACCES, "atomic needs VRAM, memory cannot migrate"));
    }
    const auto bit = static_cast<TileMask>(1u << tile_);
    const SvmRangeState state = svm_.state_of(range);
    if (state.valid_on(bit) && (required_ == nullptr || state.heap() == required_)) {
      vm_.counters().count(event_of(EventKind::kFaultValid, range.extent()));
      return done({});
    }
    if (required_ != nullptr && bytes_ < required_->page_bytes()) return too_small();
    if (--tries_ >= 0 && target != nullptr && wants_move(range, *target)) {
      if (Status moved = move(range, *target); !moved) {
        if (tries_ == 0 && required_ != nullptr) return done(moved);
        // Optional: stay in system memory; tries_ is spent, so the next round collects.
        if (required_ == nullptr) return retry(moved);
      }
    }
    SX_MARK("svm.fault.before_pages");
    const std::uint64_t pages_begin_ns = svm_.host().clock().now_ns();
    if (Status pages = svm_.get_pages(range, vma_, owner, required_); !pages) {
      return after_failed_collection(range, pages);
    }
    add_us(Counter::svm_4K_get_pages_us, pages_begin_ns);
    const std::uint64_t bind_begin_ns = svm_.host().clock().now_ns();
    Status bound = svm_.bind(range, vma_, bit);
    add_us(Counter::svm_4K_bind_us, bind_begin_ns);
    // VRAM pages that lost their neighbours fit no entry of a 64K device: home with them (6.1, REC).
    if (!bound && bound.error().err == EINVAL && svm_.state_of(range).heap() != nullptr && required_ == nullptr) {
      static_cast<void>(svm_.evict(range));
      return --tries_ > -kEvictionsMax ? retry(bound) : done(bound);
    }
    if (!bound && bound.error().err == EAGAIN) {
      slice_ns_ *= 2;
      return retry(bound);
    }
    return done(bound);
  }

  // ONLY_SYSTEM_PAGES forbids moves between devices. Where the pages are is seen by
  // collecting them: a range knows nothing of what others did to its memory.
  bool wants_move(SvmRange& range, const Pagemap& target) {
    svm_.assert_vm_locked();
    if (!svm_.should_migrate(range, target)) return false;
    if (required_ != nullptr || vma_.attr.preferred.policy == MigrationPolicy::kAllPages) return true;
    return !svm_.get_pages(range, vma_, svm_.owner(), nullptr) || svm_.state_of(range).heap() == nullptr;
  }

  // An atomic that must execute in VRAM, in a chunk smaller than a page of that VRAM. Linux tries three
  // times and then answers with a success that changes nothing (4.6); here the chunk grows to a VRAM page
  // when the mappings have room for one, and the fault fails when they have not.
  Status too_small() {
    svm_.assert_vm_locked();
    const auto around = HostRange::block_around(at_, required_->page_bytes());
    if (grown_ || !svm_.fits(around, vma_)) return done(fail(EFAULT, "memory is smaller than a VRAM page"));
    rules_.populated_check_bytes = 0;
    while (SvmRange* in_the_way = svm_.find_range(around)) {
      // Dead since this round's collector pass: it is the next pass's, with its attribute reset.
      if (svm_.state_of(*in_the_way).dead()) return retry(fail(EAGAIN, "a dead range in the way of a VRAM page"));
      svm_.discard(*in_the_way);
    }
    grown_ = true;
    return retry(fail(EAGAIN, "ranges in the way of a VRAM page"));
  }

  Status move(SvmRange& range, Pagemap& target) {
    svm_.assert_vm_locked();
    const std::uint64_t begin_ns = svm_.host().clock().now_ns();
    const EventScope moves(vm_.counters().count(event_of(EventKind::kFaultMove, range.extent())));
    Status moved = svm_.migrate(range, target, slice_ns_, MoveCause::kGpuFault);
    slice_ns_ *= 2;
    add_us(Counter::svm_4K_migrate_us, begin_ns);
    return moved;
  }

  Status after_failed_collection(SvmRange& range, const Status& why) {
    svm_.assert_vm_locked();
    const int err = why.error().err;
    collection_failed_ = true;
    slice_ns_ *= 2;
    if (err == EBUSY || err == ENOMEM) return ++busy_rounds_ < 3 ? retry(why) : done(why);
    if (err != EOPNOTSUPP && err != EFAULT && err != EPERM) return done(why);
    // Moved, and taken away again: the access faults once more and begins anew (4.6). What cannot be moved at all
    // has failed with the migration.
    if (required_ != nullptr && tries_ <= 0) return done({});
    if (err == EOPNOTSUPP || svm_.state_of(range).dead()) return retry(why);
    // Same chunk, same answer, no event in between: the chunk holds a page that never comes (E39).
    const std::uint64_t sequence = range.notifier->sequence();
    if (bad_extent_start_ == range.extent().start() && bad_sequence_ == sequence) {
      if (bytes_ == kPageSize) return done(fail(EFAULT, "page cannot be collected"));
      rules_.max_bytes = bytes_ == k2M ? k64K : kPageSize;
      svm_.discard(range);
      return retry(why);
    }
    bad_extent_start_ = range.extent().start();
    bad_sequence_ = sequence;
    return retry(why);
  }

  Svm& svm_;
  Vm& vm_;
  Vma& vma_;
  unsigned tile_;
  HostVa at_;
  Pagemap* required_;
  bool refused_;  ///< by memory, under a valid range; dealt with in the first round
  int tries_;
  std::uint64_t slice_ns_;
  static constexpr int kEvictionsMax = 8;  ///< deadlines and pins may keep a page in VRAM for a while

  const std::uint64_t begin_ns_ = svm_.host().clock().now_ns();
  std::uint64_t bytes_ = 0;  ///< of the range of this round
  ChunkRules rules_;
  bool again_ = false;
  bool collection_failed_ = false;  ///< in this round
  bool grown_ = false;              ///< too_small() has made room once
  int busy_rounds_ = 0;
  HostVa bad_extent_start_{~0ull};
  std::uint64_t bad_sequence_ = 0;
};

}  // namespace

FaultReply FaultService::page_fault(const PageFault& fault) {
  return serve_and_record(fault) ? FaultReply::kRetry : FaultReply::kFail;
}

Status FaultService::serve_and_record(const PageFault& fault) {
  // Looked up once: the record belongs to the VM of the fault, whoever has its ASID afterwards.
  const auto context = config_.vms.find(fault.asid);
  Status status = serve_in(context.get(), fault);
  if (status) return status;
  if (fault.origin == FaultOrigin::kPrefetch) {  // the engine drops it: counted, and nobody is told
    SX_DEBUG("prefetch fault dropped: ASID {} address {:#x}: {}", fault.asid, fault.page.value(), status.error().why);
    return status;
  }
  SX_INFO("GPU fault failed: ASID {} address {:#x} access {} type {} level {} class {}: {} ({})", fault.asid,
          fault.page.value(), static_cast<int>(fault.access), static_cast<int>(fault.type), fault.level,
          fault.engine.engine_class, status.error().why, status.error().err);
  if (context) record(*context, fault);
  return status;
}

void FaultService::record(VmContext& context, const PageFault& fault) {
  const unsigned shift = 64 - context.vm.config().va_bits;
  const auto canonical = static_cast<std::uint64_t>(static_cast<std::int64_t>(fault.page.value() << shift) >> shift);
  context.vm.record_fault({.page_address = canonical,
                           .access = static_cast<std::uint8_t>(fault.access),
                           .type = static_cast<std::uint8_t>(fault.type),
                           .level = fault.level});
}

void FaultService::livelock(const PageFault& fault, std::uint64_t rounds) {
  SX_ERROR("GPU livelock: ASID {} address {:#x}: {} ({} times)", fault.asid, fault.page.value(), kLivelock, rounds);
  if (const auto context = config_.vms.find(fault.asid)) record(*context, fault);
}

Status FaultService::serve(const PageFault& fault) {
  const auto context = config_.vms.find(fault.asid);
  return serve_in(context.get(), fault);
}

namespace {

EventCause cause_of(AccessType access) {
  switch (access) {
    case AccessType::kRead: return EventCause::kRead;
    case AccessType::kWrite: return EventCause::kWrite;
    case AccessType::kAtomic: break;
  }
  return EventCause::kAtomic;
}

Event begin_of(const PageFault& fault) {
  const std::uint64_t what = static_cast<std::uint64_t>(fault.type) | std::uint64_t{fault.level} << 8;
  const EngineId& engine = fault.engine;
  const std::uint64_t who = std::uint64_t{engine.engine_class} | std::uint64_t{engine.instance} << 8 |
                            std::uint64_t{engine.gt} << 16 | std::uint64_t{engine.tile} << 24;
  return {.address = fault.page.value(),
          .size = kPageSize,
          .word = event_word(what, who),
          .asid = fault.asid,
          .kind = EventKind::kFaultBegin,
          .cause = cause_of(fault.access)};
}

Event end_of(const PageFault& fault, const Status& status) {
  Event end{.address = fault.page.value(), .size = kPageSize, .asid = fault.asid, .kind = EventKind::kFaultEnd};
  if (status) return end;
  end.err = static_cast<std::uint16_t>(status.error().err);
  if (fault.origin == FaultOrigin::kPrefetch) end.cause = EventCause::kPrefetch;
  return end;
}

}  // namespace

Status FaultService::serve_in(VmContext* found, const PageFault& fault) {
  if (found == nullptr) {
    // Of a VM that was closed meanwhile: a fault like any other, counted by the device alone.
    Status unknown = fail(EINVAL, "no VM with this ASID");
    const EventScope serves(config_.counters.count(begin_of(fault)));
    config_.counters.count(end_of(fault, unknown));
    return unknown;
  }
  const EventScope serves(found->counters.count(begin_of(fault)));
  Status status = serve_known(*found, fault);
  found->counters.count(end_of(fault, status));
  return status;
}

Status FaultService::serve_known(VmContext& context, const PageFault& fault) {
  if (!context.vm.config().modes.fault) return fail(EINVAL, "VM is not in fault mode");

  Guard hold(context.vm.lock);
  if (context.vm.closed()) return fail(ENOENT, "VM is closed");
  Vma* vma = context.vm.find(fault.page);
  if (vma == nullptr) return fail(EINVAL, "no VMA at the faulting address");
  // The prefetch bit is not part of the access here (quirk Q26 is fixed).
  if (vma->flags().read_only && fault.access != AccessType::kRead) {
    return fail(EPERM, "write to a READONLY VMA");
  }
  if (fault.attempts.refused > kRefusalsMax) {
    return fail(EFAULT, "memory refuses the access again and again, although its mapping allows it");
  }
  Status status = vma->is_mirror() ? serve_mirror(context, fault, vma) : serve_owned(context, fault, *vma);
  SX_MARK("svm.fault.done");
  self_check(context, "GPU fault");
  return status;
}

namespace {

Event look_of(const Vma& vma) {
  Event look = event_of(EventKind::kFaultLook, vma.range());
  look.word = vma.attr.as_word();
  return look;
}

// Says once why pages that should be in VRAM stay where they are.
void give_way(const Svm& svm, const PageFault& fault) {
  const auto& local = svm.config().tile_vram;
  const Pagemap* vram = fault.engine.tile < local.size() ? local[fault.engine.tile] : nullptr;
  if (vram == nullptr) return;
  SX_INFO(
      "ASID {} address {:#x} stays where it is: what one access needs evicts each other ({} KiB of VRAM), or the "
      "process takes it back at once",
      fault.asid, fault.page.value(), vram->size_bytes() / 1024);
}

}  // namespace

Status FaultService::serve_mirror(VmContext& context, const PageFault& fault, Vma* vma) {
  Vm& vm = context.vm;
  if (!context.svm) return fail(EINVAL, "mirror VMA without SVM");
  Svm& svm = *context.svm;
  vm.lock.assert_held();
  const auto optional =
      fault.attempts.answered < kGivesWayAfter ? MirrorFault::Optional::kMove : MirrorFault::Optional::kStay;
  if (fault.attempts.answered == kGivesWayAfter) give_way(svm, fault);
  for (;;) {
    SX_TRY(bool need, vm.need_vram(*vma, fault.access == AccessType::kAtomic));
    Pagemap* required = nullptr;
    if (need) {
      const auto& local = svm.config().tile_vram;
      SX_ASSERT(fault.engine.tile < local.size());  // only a device with VRAM says that it is needed
      required = local[fault.engine.tile];
    }
    vm.counters().count(look_of(*vma));
    const MirrorFault::Mandatory mandatory{required, config_.atomic_timeslice_ns.load(std::memory_order_relaxed)};
    Status status = MirrorFault(svm, vm, fault, *vma, mandatory, optional).run(kRoundsMax);
    // Each EAGAIN consumed a collector entry, and entries come only from new CPU unmaps: the loop ends
    // unless the process unmaps for ever, and then the fault must wait (spec/vm.md 7.2).
    if (status || status.error().err != EAGAIN) return status;
    vm.counters().count({.address = fault.page.value(), .size = kPageSize, .kind = EventKind::kFaultAgain});
    SX_MARK("svm.fault.again");
    vma = vm.find(fault.page);
    if (vma == nullptr) return fail(EINVAL, "no VMA at the faulting address after collection");
    if (!vma->is_mirror()) return serve_owned(context, fault, *vma);
  }
}

// BO, null and userptr VMAs (spec/svm.md 4.4).
Status FaultService::serve_owned(VmContext& context, const PageFault& fault, Vma& vma) {
  Vm& vm = context.vm;
  vm.lock.assert_held();
  vm.counters().count(event_of(EventKind::kFaultOwned, vma.range()));
  const bool atomic = fault.access == AccessType::kAtomic;
  SX_TRY(bool need, vm.need_vram(vma, atomic));
  if (need && vma.kind() == VmaKind::kUserptr) return fail(EACCES, "atomic on a userptr needs VRAM");
  const auto bit = static_cast<TileMask>(1u << fault.engine.tile);
  if (vma.kind() == VmaKind::kUserptr && fault.cause == FaultCause::kMemory && context.svm) {
    const HostVa at = vma.userptr_start() + (fault.page - vma.start());
    const auto intent =
        fault.access == AccessType::kRead ? CollectRequest::Intent::kRead : CollectRequest::Intent::kWrite;
    context.svm->assert_vm_locked();
    return context.svm->fault_in(HostRange::of(at.aligned_down(kPageSize), kPageSize), intent);
  }
  if ((vma.tile_present & ~vma.tile_invalidated & bit) != 0 && !atomic) return {};
  if (vma.kind() == VmaKind::kBo) {
    SX_TRY_VOID(vma.bo()->make_resident({.vm = &vm,
                                         .eviction = VmLocalEviction::kAllowed,
                                         .place = need ? BoPlace::kTileVram : BoPlace::kAllowed,
                                         .tile = fault.engine.tile,
                                         .accept_purgeable = vm.config().modes.scratch}));
  }
  Status bound = vm.bind_ptes(vma, bit);
  if (vma.kind() == VmaKind::kBo) vma.bo()->unpin();
  return bound;
}

}  // namespace softxe
