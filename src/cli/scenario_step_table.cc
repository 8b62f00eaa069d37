#include "cli/scenario_step_table.h"

#include <algorithm>
#include <array>

namespace softxe::scenario {

namespace {

using Kind = StepInfo::Kind;

constexpr std::array kSteps{
    StepInfo{"abi.exec_queue.id", Kind::kStep, "EXEC_QUEUE_CREATE: the queue gets its number"},
    StepInfo{"abi.sync.parse", Kind::kStep, "VM_BIND, EXEC: one sync entry is read"},
    StepInfo{"drv.bind.execute", Kind::kStep, "VM_BIND: every operation is planned, none is carried out"},
    StepInfo{"drv.bind.pin_userptr", Kind::kStep, "VM_BIND: the pages of a userptr are looked up"},
    StepInfo{"drv.bind.prefetch", Kind::kStep, "VM_BIND: one prefetch begins"},
    StepInfo{"drv.bind.run", Kind::kStep, "VM_BIND: all entries are prepared, none is written"},
    StepInfo{"drv.bo.wait_for_pins", Kind::kMark, "a buffer object that engines use has to leave VRAM"},
    StepInfo{"drv.bo.wait_settled", Kind::kMark, "somebody else moves the buffer object just now"},
    StepInfo{"drv.exec.create_bind_queue", Kind::kStep, "a bind queue is made, a VM's own too"},
    StepInfo{"drv.exec.create_queue", Kind::kStep, "a queue is made"},
    StepInfo{"drv.exec.join_engines", Kind::kStep, "a new queue joins those of its engines"},
    StepInfo{"drv.exec.join_vm", Kind::kStep, "a new queue joins its preempt-fence VM"},
    StepInfo{"drv.exec.slice", Kind::kMark, "an engine begins to run a job for a while"},
    StepInfo{"drv.exec.submit", Kind::kStep, "a job is handed to the scheduler"},
    StepInfo{"drv.exec.submitted", Kind::kMark, "EXEC: the job is with the scheduler, the VM has its fence"},
    StepInfo{"drv.exec.validated", Kind::kMark, "EXEC: all objects and userptrs of the VM are in place"},
    StepInfo{"drv.gem.create", Kind::kStep, "a buffer object is made"},
    StepInfo{"drv.gem.place", Kind::kStep, "a buffer object enters VRAM"},
    StepInfo{"drv.gem.purge.map", Kind::kStep, "a purged buffer object gets zeroes for contents"},
    StepInfo{"drv.vm.create", Kind::kStep, "VM_CREATE: everything is checked, nothing is made"},
    StepInfo{"drv.vm.root_tables", Kind::kStep, "VM_CREATE: the root page tables are made"},
    StepInfo{"drv.vm.scratch", Kind::kStep, "VM_CREATE: the scratch tables are made"},
    StepInfo{"drv.vram.released", Kind::kMark, "the block of an allocation went back to the VRAM manager"},
    StepInfo{"drv.vram.svm_alloc", Kind::kStep, "an SVM range asks for VRAM"},
    StepInfo{"drv.vram.wait_for_records", Kind::kMark, "a device that goes waits for its last allocations"},
    StepInfo{"host.patch.map_stubs", Kind::kStep, "live: memory for the code that system calls are sent through"},
    StepInfo{"host.patch.open_writer", Kind::kStep, "live: /proc/self/mem is opened for the patches"},
    StepInfo{"host.patch.write_jump", Kind::kStep, "live: one system call of libc is patched"},
    StepInfo{"host.sim.collect.enter", Kind::kStep, "simulated: the pages of an interval are collected for the GPU"},
    StepInfo{"host.sim.cpu_atomic", Kind::kMark, "simulated: the CPU does an atomic"},
    StepInfo{"host.sim.cpu_read", Kind::kMark, "simulated: the CPU loads"},
    StepInfo{"host.sim.cpu_write", Kind::kMark, "simulated: the CPU stores"},
    StepInfo{"host.sim.evict.enter", Kind::kStep, "simulated: an allocation has to leave VRAM"},
    StepInfo{"host.sim.exit.enter", Kind::kMark, "simulated: a process ends"},
    StepInfo{"host.sim.fault.alloc", Kind::kStep, "simulated: a CPU fault wants a page of memory"},
    StepInfo{"host.sim.find_vma", Kind::kStep, "simulated: the engine looks a CPU mapping up"},
    StepInfo{"host.sim.fork.enter", Kind::kStep, "simulated: fork begins"},
    StepInfo{"host.sim.madvise.enter", Kind::kStep, "simulated: madvise(2) begins"},
    StepInfo{"host.sim.migrate.collect", Kind::kStep, "simulated: the pages that migrate are taken from the CPU"},
    StepInfo{"host.sim.migrate.copy", Kind::kStep, "simulated: the pages that migrate are copied to VRAM"},
    StepInfo{"host.sim.migrate.enter", Kind::kStep, "simulated: a migration to VRAM begins"},
    StepInfo{"host.sim.mlock.enter", Kind::kStep, "simulated: mlock begins"},
    StepInfo{"host.sim.mmap.enter", Kind::kStep, "simulated: mmap begins"},
    StepInfo{"host.sim.mprotect.enter", Kind::kStep, "simulated: mprotect begins"},
    StepInfo{"host.sim.mremap.enter", Kind::kStep, "simulated: mremap begins"},
    StepInfo{"host.sim.munmap.enter", Kind::kStep, "simulated: munmap begins"},
    StepInfo{"host.sim.page_out.alloc", Kind::kStep, "simulated: a page is about to be swapped out"},
    StepInfo{"host.sim.swap_in.alloc", Kind::kStep, "simulated: a swapped page wants memory"},
    StepInfo{"host.sim.to_system.alloc", Kind::kStep, "simulated: pages that come home want memory"},
    StepInfo{"host.sim.to_system.enter", Kind::kStep, "simulated: pages are to come home"},
    StepInfo{"host.sim.truncate.enter", Kind::kMark, "simulated: a file gets shorter"},
    StepInfo{"host.sim.watch", Kind::kStep, "simulated: a notifier is registered"},
    StepInfo{"host.sim.window", Kind::kStep, "simulated: a device gets its window of VRAM"},
    StepInfo{"hw.items.refused", Kind::kMark, "a gather or scatter met a page that has just gone"},
    StepInfo{"hw.mmu.fault", Kind::kMark, "an engine has no translation and is about to fault"},
    StepInfo{"hw.mmu.walked", Kind::kMark, "an engine has walked the page tables and not yet used what it found"},
    StepInfo{"hw.pt.alloc", Kind::kStep, "page tables are allocated for an update"},
    StepInfo{"hw.pt.commit", Kind::kMark, "prepared entries are written into the page table"},
    StepInfo{"hw.pt.split", Kind::kStep, "a large entry is split into a table of its own"},
    StepInfo{"hw.pt.unbind", Kind::kMark, "entries are removed, and tables that are empty then"},
    StepInfo{"hw.pt.zap", Kind::kMark, "entries are cleared, tables stay"},
    StepInfo{"hw.tlb.invalidate", Kind::kMark, "TLBs drop translations, and engines that use them are waited for"},
    StepInfo{"live.collect.begin", Kind::kStep, "live: the pages of an interval are collected for the GPU"},
    StepInfo{"live.home.move", Kind::kStep, "live: one piece of an allocation comes home"},
    StepInfo{"live.hook.passing", Kind::kMark, "live: notifiers have been told, the system call is about to be made"},
    StepInfo{"live.migrate.admit", Kind::kStep, "live: may this memory migrate at all"},
    StepInfo{"live.migrate.move", Kind::kStep, "live: one run of pages moves to VRAM"},
    StepInfo{"live.migrate.register", Kind::kStep, "live: a block is registered with userfaultfd"},
    StepInfo{"preload.fd.locked", Kind::kMark, "live: the object behind a descriptor is locked"},
    StepInfo{"svm.bind.before_commit", Kind::kMark,
             "entries of a range are prepared; nothing has compared sequences yet"},
    StepInfo{"svm.bind.prepare", Kind::kStep, "entries of a range are to be prepared"},
    StepInfo{"svm.event.enter", Kind::kMark, "a notifier hears of a change of CPU memory"},
    StepInfo{"svm.event.leave", Kind::kMark, "a notifier has done with a change of CPU memory"},
    StepInfo{"svm.fault.after_gc", Kind::kMark, "a fault has run the collector; VMAs have not changed"},
    StepInfo{"svm.fault.again", Kind::kMark, "VMAs have changed: the fault looks its VMA up again"},
    StepInfo{"svm.fault.before_pages", Kind::kMark, "a fault has its range, migrated or not, and will collect pages"},
    StepInfo{"svm.fault.done", Kind::kMark, "a fault has its answer"},
    StepInfo{"svm.gc.removed", Kind::kMark,
             "the collector has removed a dead range; attributes are still as they were"},
    StepInfo{"svm.gc.unbind", Kind::kStep, "the collector unbinds a dead range"},
    StepInfo{"svm.madvise.enter", Kind::kStep, "MADVISE: everything is checked, the VM is locked"},
    StepInfo{"svm.migrate.alloc", Kind::kStep, "a migration asks for VRAM"},
    StepInfo{"svm.migrate.allocated", Kind::kMark, "a migration has its VRAM, no page has moved"},
    StepInfo{"svm.migrate.move", Kind::kStep, "a migration moves its pages"},
    StepInfo{"svm.pages.collect", Kind::kStep, "the pages of a range are to be collected"},
    StepInfo{"svm.pages.collected", Kind::kMark, "the pages of a range are collected, and may be stale already"},
    StepInfo{"svm.prefetch.item", Kind::kStep, "a prefetch takes the next range"},
    StepInfo{"svm.range.before_remove", Kind::kMark, "a range is about to leave its notifier's window"},
    StepInfo{"svm.range.create", Kind::kStep, "a range is made"},
    StepInfo{"svm.window.create", Kind::kStep, "a notifier's window is made"},
    StepInfo{"vm.bind.commit", Kind::kMark, "VM_BIND: all is prepared, from here on nothing fails"},
    StepInfo{"vm.bind.plan", Kind::kStep, "VM_BIND: what happens to the VMAs is planned"},
    StepInfo{"vm.bind.prepare_ptes", Kind::kStep, "VM_BIND: page-table entries are prepared"},
    StepInfo{"vm.bind.reserve", Kind::kStep, "VM_BIND: memory for all changes is set aside"},
    StepInfo{"vm.fault.prepare_ptes", Kind::kStep, "a fault in a VMA with entries of its own prepares them"},
    StepInfo{"vm.madvise.plan", Kind::kStep, "MADVISE: which VMAs are split is planned"},
    StepInfo{"vm.reset.carve", Kind::kStep, "a reset cuts the interval out of its VMA"},
    StepInfo{"vm.va_index.grow", Kind::kStep, "the index of VMAs wants memory"},
    StepInfo{"vm.va_ops.grow", Kind::kStep, "a plan of more operations than fit wants memory"},
    StepInfo{"vm.vram.alloc", Kind::kStep, "a block of VRAM is allocated"},
    StepInfo{"vm.vram.evict", Kind::kMark, "a block is chosen to leave VRAM"},
    StepInfo{"vm.vram.evicted", Kind::kMark, "a block has left VRAM, or has refused to"},
};
static_assert(std::ranges::is_sorted(kSteps, {}, &StepInfo::name));

}  // namespace

std::span<const StepInfo> all_steps() { return kSteps; }

bool in_simulation(const StepInfo& step) {
  constexpr std::string_view kElsewhere[] = {"abi.", "host.patch.", "live.", "preload."};
  return std::ranges::none_of(kElsewhere, [&](std::string_view layer) { return step.name.starts_with(layer); });
}

const StepInfo* find_step(std::string_view name) {
  const auto* found = std::ranges::lower_bound(kSteps, name, {}, &StepInfo::name);
  return found != kSteps.end() && found->name == name ? found : nullptr;
}

}  // namespace softxe::scenario
