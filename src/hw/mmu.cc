#include "hw/mmu.h"

#include <algorithm>

#include "base/log.h"
#include "base/step.h"

namespace softxe {

namespace {

const char* access_text(AccessType access) {
  switch (access) {
    case AccessType::kRead: return "read";
    case AccessType::kWrite: return "write";
    case AccessType::kAtomic: break;
  }
  return "atomic";
}

}  // namespace

Mmu::Mmu(const Config& config)
    : config_(config), slot_(config.domain.register_engine()), section_(config.domain, slot_) {}

Mmu::~Mmu() {
  leave();
  config_.domain.unregister_engine(slot_);
}

void Mmu::bind_vm(const MmuContext& context) {
  leave();
  context_ = context;
}

void Mmu::renew(std::uint64_t bytes) {
  leave();
  epoch_ = TlbEpoch(section_.enter(), context_.asid);
  budget_ = static_cast<std::int64_t>(InvalidationDomain::kSectionBytesMax) - cost_of(bytes);
  SX_ASSERT(budget_ >= 0);
}

namespace {

std::uint32_t rights_of(const Translation& t, const PageTableConfig& config) {
  std::uint32_t rights = kTlbRead;
  if (t.flags.writable) rights |= kTlbWrite;
  const bool atomic = config.atomic_bit == PageTableConfig::AtomicBit::kNo || t.flags.atomic_enable;
  if (t.flags.writable && atomic) rights |= kTlbAtomic;
  if (t.flags.kind == PteKind::kVram || t.flags.kind == PteKind::kEngine) rights |= kTlbPlain;
  return rights;
}

/// Null and scratch pages take every access: writes vanish.
bool checks_rights(PteKind kind) { return kind != PteKind::kScratch && kind != PteKind::kNull; }

}  // namespace

tl::expected<MmuTarget, MmuFault> Mmu::resolve(const Translation& t, GpuVa va, std::uint64_t want_bytes) {
  const std::uint64_t offset = va - t.entry_va;
  const std::uint64_t bytes = std::min(want_bytes, t.entry_bytes - offset);
  if (t.flags.kind == PteKind::kNull || t.flags.kind == PteKind::kScratch) {
    return MmuTarget{t.flags.kind, nullptr, bytes};
  }
  if (t.flags.kind != PteKind::kVram) {
    return MmuTarget{t.flags.kind, reinterpret_cast<std::byte*>(t.address + offset), bytes};
  }
  SX_ASSERT(context_.vram != nullptr);
  const VramMap::Resolved r = context_.vram->resolve(DevPa(t.address + offset), bytes);
  SX_ASSERT(r.host != nullptr);  // an entry beyond the end of VRAM is our own corruption
  return MmuTarget{t.flags.kind, r.host, r.bytes};
}

tl::expected<MmuTarget, MmuFault> Mmu::translate(GpuVa va, std::uint64_t want_bytes, AccessType access) {
  static constexpr std::uint32_t kNeed[] = {kTlbRead, kTlbRead | kTlbWrite, kTlbRead | kTlbWrite | kTlbAtomic};
  const std::uint32_t need = kNeed[static_cast<unsigned>(access)];
  const std::uint64_t to_page_end = kPageSize - (va.value() & (kPageSize - 1));
  const bool small = want_bytes <= to_page_end;
  if (small) {
    if (const TlbEntry* e = tlb_.find(va, epoch_, need)) {
      const PteKind kind = (e->rights & kTlbPlain) ? PteKind::kVram : PteKind::kSystem;
      return MmuTarget{kind, e->host(va), want_bytes};
    }
  }
  if (context_.table == nullptr) {
    return tl::make_unexpected(MmuFault{FaultType::kNotPresent, kPtRootLevel});
  }
  ++walks_;
  const WalkResult walked = context_.table->walk(va);
  if (!walked) {
    return tl::make_unexpected(MmuFault{FaultType::kNotPresent, walked.error().level});
  }
  SX_MARK("hw.mmu.walked");
  const std::uint32_t rights = rights_of(*walked, context_.table->config());
  if (checks_rights(walked->flags.kind) && (rights & need) != need) {
    const bool write = (need & kTlbWrite) != 0 && (rights & kTlbWrite) == 0;
    return tl::make_unexpected(
        MmuFault{write ? FaultType::kWriteViolation : FaultType::kAtomicViolation, walked->level});
  }
  auto target = resolve(*walked, va, want_bytes);
  if (small && target && !target->nothing()) {
    tlb_.fill(va, epoch_, target->host - (va.value() & (kPageSize - 1)), rights);
  }
  return target;
}

Status Mmu::serve_fault(GpuVa va, AccessType access, MmuFault fault, FaultOrigin origin) {
  SX_ASSERT(!section_.inside());
  SX_MARK("hw.mmu.fault");
  ++faults_;
  PageFault report;
  report.page = va.aligned_down(kPageSize);
  report.asid = context_.asid;
  report.access = access;
  report.type = fault.type;
  report.level = fault.level;
  report.cause = fault.cause;
  report.origin = origin;
  report.engine = config_.engine;
  const std::uint64_t now = config_.clock.now_ns();
  if (fault.cause == FaultCause::kMemory) ++attempts_.refused;
  report.attempts = attempts_;
  if (attempts_.answered++ == 0) first_fault_ns_ = now;
  if (attempts_.answered > kFaultRoundsMax || now - first_fault_ns_ > kFaultTimeMaxNs) {
    const std::uint64_t rounds = attempts_.answered - 1;
    SX_ERROR(
        "GPU fault livelock: page {:#x} of ASID {} was made accessible {} times, and each time the {} faulted again",
        report.page.value(), report.asid, rounds, access_text(access));
    attempts_ = {};
    config_.faults.livelock(report, rounds);
    return fail(ETIME, "GPU page fault was answered again and again without a mapping");
  }
  if (config_.faults.page_fault(report) == FaultReply::kRetry) return {};
  attempts_ = {};
  return fail(EFAULT, "GPU page fault could not be served");
}

}  // namespace softxe
