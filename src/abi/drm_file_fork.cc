// What a fork child has of an open file of its parent: file_image.h.
#include <algorithm>

#include "abi/drm_device.h"
#include "abi/file_image.h"
#include "base/log.h"

namespace softxe {

FileImage DrmFile::image(ForkSyncs& syncs) {
  FileImage image;
  image.auth = device_.masters().image(auth_);
  for (const DrmVmPtr& vm : vms_.slots()) {
    image.vms.emplace_back();
    if (vm)
      image.vms.back() = {
          .vm = &vm->context->vm, .exec = vm->exec, .image = take_vm_image(device_.device(), *vm->context)};
  }
  image.objects = bos_.slots();
  image.queues = queues_.slots();
  for (const SyncobjPtr& object : syncobjs_.slots()) image.syncobjs.push_back(syncs.copy(object));
  for (unsigned index = 0; index < process_.device_count(); ++index) {
    Device& device = process_.device(index).device();
    for (unsigned tile = 0; tile < device.vram_tiles(); ++tile)
      image.regions.push_back({device.pagemap(tile), index, tile});
  }
  return image;
}

namespace {

std::shared_ptr<Pagemap> region_in(DrmProcess& process, const FileImage& image, const Pagemap& parents) {
  const auto at = std::find_if(image.regions.begin(), image.regions.end(),
                               [&](const auto& region) { return region.pagemap.get() == &parents; });
  if (at == image.regions.end() || at->device >= process.device_count()) return nullptr;
  return process.device(at->device).device().pagemap(at->tile);
}

}  // namespace

// Empty VMs come first: private objects name theirs, mappings name objects.
std::size_t DrmFile::inherit(const FileImage& image) {
  device_.masters().inherit(auth_, image.auth);
  std::map<const void*, const void*> vm_of;
  const auto inherited_object = [&](const std::shared_ptr<GemBo>& parents) -> Result<std::shared_ptr<GemBo>> {
    const auto owner = vm_of.find(parents->private_to());
    auto mine = device_.inherited(parents, owner == vm_of.end() ? parents->private_to() : owner->second);
    if (!mine) SX_ERROR("a buffer object is lost in a fork child: {}", mine.error().why);
    return mine;
  };
  std::size_t lost = vms_.inherit(image.vms, [&](const auto& entry) { return inherited_vm(*entry, vm_of); });
  lost += bos_.inherit(image.objects, [&](const std::shared_ptr<GemBo>& parents) {
    return inherited_object(parents).value_or(nullptr);
  });
  const VmaTranslation translate{.object = [&](const std::shared_ptr<Bo>& parents) -> Result<std::shared_ptr<Bo>> {
                                   return inherited_object(std::static_pointer_cast<GemBo>(parents));
                                 },
                                 .region = [&](const Pagemap& parents) { return region_in(process_, image, parents); }};
  std::map<const ExecVm*, ExecVmPtr> exec_of;
  for (const auto& [id, vm] : vms_.all()) {
    const FileImage::VmEntry& entry = *image.vms[id - 1];
    exec_of[entry.exec.get()] = vm->exec;
    if (const Status done = restore_vm(device_.device(), *vm->context, entry.image, translate); !done)
      SX_ERROR("VM {} is banned in a fork child: {} ({})", id, done.error().why, done.error().err);
  }
  DeviceExec::InheritedGroups groups;
  lost += queues_.inherit(image.queues, [&](const ExecQueuePtr& parents) -> ExecQueuePtr {
    const auto vm = exec_of.find(parents->vm().get());
    ExecVmPtr mine = vm == exec_of.end() ? closed_vm(*parents) : vm->second;
    return mine ? device_.exec().inherit_queue(*parents, std::move(mine), groups) : nullptr;
  });
  syncobjs_.inherit(image.syncobjs);
  return lost;
}

DrmVmPtr DrmFile::inherited_vm(const FileImage::VmEntry& entry, std::map<const void*, const void*>& vm_of) {
  auto context = device_.device().create_vm(entry.image.request, MirrorOf::kParentOfFork);
  if (!context) {
    SX_ERROR("a VM is lost in a fork child: {}", context.error().why);
    return nullptr;
  }
  vm_of[entry.vm] = &(*context)->vm;
  return make_vm(device_, entry.image.request.mode(), std::move(*context), device_.exec().make_bind_queue());
}

// A queue outlives its VM's id: EXEC on it says so.
ExecVmPtr DrmFile::closed_vm(const ExecQueue& parents) {
  const Vm& vm = static_cast<const ContextVm&>(*parents.vm()).context().vm;
  auto context = device_.device().create_vm(request_for(vm.config().modes));
  if (!context) return nullptr;
  device_.device().close_vm(*context);
  return std::make_shared<ContextVm>(parents.vm()->mode(), std::move(*context));
}

}  // namespace softxe
