// Moving a range to VRAM and back (spec/svm.md 4.8, 5.1, 5.3, 5.4).
#include "base/log.h"
#include "base/step.h"
#include "svm/svm.h"

namespace softxe {

bool Svm::should_migrate(const SvmRange& range, const Pagemap& target) const {
  if (range.may_migrate() == MayMigrate::kNo) return false;
  if (range.extent().size() < target.page_bytes()) return false;
  return state_of(range).heap() != &target;
}

Status Svm::evict(SvmRange& range) {
  const EventScope evicts(vm_.counters().count(event_of(EventKind::kEvictRange, range.extent())));
  return config_.host.migrate_to_system(range.extent(), MoveCause::kRangeEvict, Residency::kHonour);
}

// Swapped-out pages come back; the error of a page that cannot is the migration's to find.
Status Svm::fault_in(HostRange range, CollectRequest::Intent intent) {
  return config_.host.collect(range, {.intent = intent, .owner = OwnerGroup::kNobody}, homes_);
}

namespace {

// One try: a block, then the move. All or nothing: on failure the block goes back.
Result<MigrateCounts> populate(HostMm& host, SvmRange& range, Pagemap& target, std::uint64_t residency_ns) {
  SX_TRY_VOID(SX_STEP("svm.migrate.alloc"));
  SX_TRY(DevmemAllocation * allocation, target.allocate(range.extent().size(), VramEffort::kMayEvict));
  SX_MARK("svm.migrate.allocated");
  Result<MigrateCounts> moved = [&]() -> Result<MigrateCounts> {
    SX_TRY_VOID(SX_STEP("svm.migrate.move"));
    return host.migrate_to_device(range.extent(), *allocation, residency_ns);
  }();
  if (!moved) target.release(*allocation);
  return moved;
}

}  // namespace

Status Svm::migrate(SvmRange& range, Pagemap& target, std::uint64_t residency_ns, MoveCause cause) {
  // Another VM moved them, or a part of the mapping around them has gone: they are where they should be (5.3).
  if (config_.host.stands_in(range.extent(), target)) return {};
  const std::uint64_t bytes = range.extent().size();
  const std::uint64_t begin_ns = config_.host.clock().now_ns();

  Result<MigrateCounts> moved = [&] {
    ReadGuard hold(config_.migrate_lock);
    return populate(config_.host, range, target, residency_ns);
  }();
  if (!moved && moved.error().err == EBUSY) {
    // Swapped-out, shared or half-migrated pages: bring all home and try once more, alone (5.3).
    Guard hold(config_.migrate_lock);
    static_cast<void>(evict(range));
    static_cast<void>(fault_in(range.extent(), CollectRequest::Intent::kRead));
    moved = populate(config_.host, range, target, residency_ns);
  }
  if (!moved) {
    Event refused = event_of(EventKind::kMigrate, range.extent());
    refused.cause = event_cause(cause);
    refused.err = static_cast<std::uint16_t>(moved.error().err);
    vm_.counters().count(refused);
    SX_DEBUG("migration of [{:#x}, +{:#x}) to VRAM refused: {}", range.extent().start().value(), bytes,
             moved.error().why);
    return fail(moved.error());
  }
  const std::uint64_t us = (config_.host.clock().now_ns() - begin_ns) / 1000;
  Event done = event_of(EventKind::kMigrate, range.extent());
  done.word = us;
  done.cause = event_cause(cause);
  done.from = EventPlace::kSystem;
  done.to = vram_of_tile(target.tile());
  vm_.counters().count(done);
  return {};
}

}  // namespace softxe
