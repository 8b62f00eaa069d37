#include "drv/vm_image.h"

#include "drv/vm_ops.h"
#include "vm/vm_transaction.h"

namespace softxe {

VmCreateRequest request_for(const VmModes& modes) {
  return {.scratch = modes.scratch,
          .long_running = modes.lr,
          .fault_mode = modes.fault,
          .no_overcommit = modes.no_overcommit};
}

VmImage take_vm_image(Device& device, VmContext& context) {
  device.flush_collector(context);
  VmImage image;
  Vm& vm = context.vm;
  image.request = request_for(vm.config().modes);
  image.faults = vm.fault_records();
  ReadGuard hold(vm.lock);
  image.banned = vm.banned();
  if (vm.closed()) return image;
  image.vmas.reserve(vm.vma_count());
  for (const Vma* vma : vm.vmas_in(vm.space().managed())) {
    image.vmas.push_back({.range = vma->range(),
                          .kind = vma->kind(),
                          .flags = vma->flags(),
                          .attr = vma->attr,
                          .object = vma->bo(),
                          .offset_bytes = vma->offset_bytes()});
  }
  return image;
}

namespace {

Result<VmaTemplate> template_of(Device& device, VmContext& context, const VmaImage& image,
                                const VmaTranslation& translate) {
  VmaTemplate what{.kind = image.kind, .flags = image.flags, .attr = image.attr};
  what.offset_bytes = image.offset_bytes;
  if (image.attr.preferred.pagemap) what.attr.preferred.pagemap = translate.region(*image.attr.preferred.pagemap);
  if (image.kind == VmaKind::kBo) {
    SX_TRY(what.bo, translate.object(image.object));
  }
  if (context.vm.config().modes.fault) return what;
  what.timing = BindTiming::kAtExec;
  if (image.kind == VmaKind::kUserptr) {
    SX_TRY(what.backing_guard, watch_userptr(device, context, HostVa(image.offset_bytes), image.range.size()));
  }
  return what;
}

Status restore_vmas(Device& device, VmContext& context, const VmImage& image, const VmaTranslation& translate) {
  Guard hold(context.vm.lock);
  VmTransaction change(context.vm);
  for (const VmaImage& vma : image.vmas) {
    SX_TRY(const VmaTemplate what, template_of(device, context, vma, translate));
    SX_TRY_VOID(change.map(vma.range, what, SvmRanges::kMayStay));
  }
  SX_TRY_VOID(change.prepare_ptes(VmLocalEviction::kForbidden));
  change.commit();
  return {};
}

}  // namespace

Status restore_vm(Device& device, VmContext& context, const VmImage& image, const VmaTranslation& translate) {
  for (const FaultRecord& fault : image.faults) context.vm.record_fault(fault);
  const Status done = restore_vmas(device, context, image, translate);
  if (!done) {
    context.vm.kill("what the parent of a fork mapped cannot be mapped again");
  } else if (image.banned) {
    context.vm.kill("the parent's was banned at the fork");
  }
  return done;
}

}  // namespace softxe
