#include "vm/vm.h"

#include "base/log.h"
#include "vm/vm_transaction.h"

namespace softxe {

Vm::Vm(const VmConfig& config, TablePool& tables, InvalidationDomain& invalidations, CounterSet& counters)
    : config_(config),
      invalidations_(invalidations),
      counters_(counters),
      space_(GpuRange::of(GpuVa(0), 1ull << config.va_bits)) {
  for (unsigned tile = 0; tile < config_.tile_count; ++tile) {
    PageTableConfig table = config_.page_table;
    table.va_bits = config_.va_bits;
    table.scratch = config_.modes.scratch ? PageTableConfig::Scratch::kYes : PageTableConfig::Scratch::kNo;
    tables_.push_back(std::make_unique<PageTable>(tables, table));
  }
}

Vm::~Vm() { SX_ASSERT(space_.empty()); }

Status Vm::check_usable() const {
  if (closed()) return fail(ENOENT, "VM is closed");
  if (banned()) return fail(ENOENT, "VM is banned");
  return {};
}

void Vm::kill(const char* why) {
  if (banned_.exchange(true)) return;
  counters_.count({.kind = EventKind::kVmKilled});
  SX_ERROR("VM with ASID {} killed: {}", config_.asid, why);
}

void Vm::close() {
  Guard hold(lock);
  life_.store(VmLife::kClosed, std::memory_order_release);
  clear_ptes(space_.managed());
  while (!space_.empty()) {
    auto* vma = static_cast<Vma*>(space_.find_first(space_.managed()));
    space_.remove(*vma);
    unlink_backing(*vma);
    delete vma;
  }
  // The objects go outside the lock: their destructors are not ours to know.
  std::map<const Bo*, std::unique_ptr<VmBo>> objects;
  Guard hold_bos(bo_lock_);
  objects.swap(vm_bos_);
}

Vma* Vm::find(GpuVa va) {
  if (banned() || va.value() >= size_bytes()) return nullptr;
  return static_cast<Vma*>(space_.find_covering(va));
}

Vma* Vm::find_at_or_above(GpuVa va) {
  if (va.value() >= size_bytes()) return nullptr;
  return static_cast<Vma*>(space_.find_first(GpuRange::between(va, space_.managed().end())));
}

std::vector<Vma*> Vm::vmas_in(GpuRange range) {
  std::vector<Vma*> result;
  for (VaNode& node : space_.overlapping(range)) result.push_back(static_cast<Vma*>(&node));
  return result;
}

Vm::VmBo* Vm::vm_bo(const std::shared_ptr<Bo>& bo) {
  Guard hold(bo_lock_);
  auto& slot = vm_bos_[bo.get()];
  if (!slot) {
    slot = std::make_unique<VmBo>();
    slot->bo = bo;
  }
  return slot.get();
}

void Vm::link_backing(Vma& vma) {
  if (vma.backing() == nullptr) return;
  Guard hold(bo_lock_);
  vma.backing()->link(vma);
}

void Vm::unlink_backing(Vma& vma) {
  if (vma.backing() == nullptr) return;
  Guard hold(bo_lock_);
  vma.backing()->unlink(vma);
}

Vm::VmBo* Vm::find_vm_bo(const Bo& bo) {
  Guard hold(bo_lock_);
  auto it = vm_bos_.find(&bo);
  return it == vm_bos_.end() ? nullptr : it->second.get();
}

Result<bool> Vm::need_vram(const Vma& vma, bool atomic_access) const {
  if (!atomic_access) return false;
  const AtomicAccess access = vma.kind() == VmaKind::kBo ? vma.bo()->atomic_access() : vma.attr.atomic;
  // The attribute test precedes the device test: integrated + CPU is -EACCES here.
  if (access == AtomicAccess::kCpu) return fail(EACCES, "GPU atomic on memory advised for CPU atomics");
  if (!config_.discrete) return false;
  if (access == AtomicAccess::kDevice) return !config_.smem_atomics;
  return true;
}

bool Vm::atomic_enable(const Vma& vma, bool in_vram) const {
  const AtomicAccess access = vma.kind() == VmaKind::kBo ? vma.bo()->atomic_access() : vma.attr.atomic;
  if (access == AtomicAccess::kCpu) return false;
  if (in_vram) return true;
  if (!config_.smem_atomics) return false;
  if (access == AtomicAccess::kDevice) return true;
  if (!config_.discrete || !config_.modes.lr) return true;
  // An atomic on system memory faults, so that the object moves to VRAM. One that cannot is used where it is.
  return vma.kind() == VmaKind::kBo && vma.bo()->has_one_placement();
}

void Vm::record_fault(const FaultRecord& record) {
  Guard hold(faults_lock_);
  if (faults_.size() < kFaultRecordsMax) faults_.push_back(record);
}

std::vector<FaultRecord> Vm::fault_records() const {
  Guard hold(faults_lock_);
  return faults_;
}

}  // namespace softxe
