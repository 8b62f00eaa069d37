#include "kit.h"

#include <sys/mman.h>

#include <cstdlib>
#include <cstring>

namespace kit {

namespace {
constexpr uint64_t kPatience = 120'000'000'000;  // nanoseconds
constexpr size_t kPage = 4096;
}  // namespace

void check(ze_result_t result, const char* what) {
  if (result != ZE_RESULT_SUCCESS) fail("%s: %#x", what, static_cast<unsigned>(result));
}

World::World() {
  check(zeInit(ZE_INIT_FLAG_GPU_ONLY), "zeInit");
  uint32_t one = 1;
  check(zeDriverGet(&one, &driver), "zeDriverGet");
  one = 1;
  check(zeDeviceGet(driver, &one, &device), "zeDeviceGet");
  const ze_context_desc_t wanted = {ZE_STRUCTURE_TYPE_CONTEXT_DESC, nullptr, 0};
  check(zeContextCreate(driver, &wanted, &context), "zeContextCreate");
  ze_command_queue_group_properties_t groups[16] = {};
  uint32_t count = 16;
  for (auto& group : groups) group.stype = ZE_STRUCTURE_TYPE_COMMAND_QUEUE_GROUP_PROPERTIES;
  check(zeDeviceGetCommandQueueGroupProperties(device, &count, groups), "queue groups");
  bool copies_found = false;
  for (uint32_t i = count; i-- > 0;) {
    if ((groups[i].flags & ZE_COMMAND_QUEUE_GROUP_PROPERTY_FLAG_COMPUTE) != 0) {
      compute = i;
    } else if ((groups[i].flags & ZE_COMMAND_QUEUE_GROUP_PROPERTY_FLAG_COPY) != 0) {
      copies = i;
      copies_found = true;
    }
  }
  if (!copies_found) fail("no group of queues that only copy");
}

World::~World() { zeContextDestroy(context); }

Module::Module(World& w, const std::string& source, const char* flags, Form form) {
  const std::vector<uint8_t> code = compiled(source, form);
  ze_module_desc_t wanted = {};
  wanted.stype = ZE_STRUCTURE_TYPE_MODULE_DESC;
  wanted.format = form == Form::kSpirv ? ZE_MODULE_FORMAT_IL_SPIRV : ZE_MODULE_FORMAT_NATIVE;
  wanted.inputSize = code.size();
  wanted.pInputModule = code.data();
  wanted.pBuildFlags = flags;
  check(zeModuleCreate(w.context, w.device, &wanted, &module_, nullptr), "zeModuleCreate");
}

Module::Module(World& w, ze_context_handle_t context, const std::string& source) {
  const std::vector<uint8_t> code = compiled(source, Form::kSpirv);
  ze_module_desc_t wanted = {};
  wanted.stype = ZE_STRUCTURE_TYPE_MODULE_DESC;
  wanted.format = ZE_MODULE_FORMAT_IL_SPIRV;
  wanted.inputSize = code.size();
  wanted.pInputModule = code.data();
  check(zeModuleCreate(context, w.device, &wanted, &module_, nullptr), "zeModuleCreate");
}

Kernel::Kernel(const Module& module, const char* name) {
  const ze_kernel_desc_t wanted = {ZE_STRUCTURE_TYPE_KERNEL_DESC, nullptr, 0, name};
  check(zeKernelCreate(module.get(), &wanted, &kernel_), "zeKernelCreate");
}

void* allocate(World& w, ze_context_handle_t context, Memory memory, size_t bytes) {
  const ze_device_mem_alloc_desc_t device = {ZE_STRUCTURE_TYPE_DEVICE_MEM_ALLOC_DESC, nullptr, 0, 0};
  const ze_host_mem_alloc_desc_t host = {ZE_STRUCTURE_TYPE_HOST_MEM_ALLOC_DESC, nullptr, 0};
  void* data = nullptr;
  switch (memory) {
    case Memory::kHost: check(zeMemAllocHost(context, &host, bytes, kPage, &data), "host memory"); break;
    case Memory::kDevice: check(zeMemAllocDevice(context, &device, bytes, kPage, w.device, &data), "device memory"); return data;
    case Memory::kShared:
      check(zeMemAllocShared(context, &device, &host, bytes, kPage, w.device, &data), "shared memory");
      break;
    case Memory::kMalloc: data = std::malloc(bytes); break;
    case Memory::kMmap:
      data = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
      if (data == MAP_FAILED) data = nullptr;
      break;
  }
  if (data == nullptr) fail("%zu bytes of memory", bytes);
  std::memset(data, 0, bytes);
  return data;
}

void release(ze_context_handle_t context, Memory memory, void* data, size_t bytes) {
  switch (memory) {
    case Memory::kMalloc: std::free(data); break;
    case Memory::kMmap: munmap(data, bytes); break;
    default: zeMemFree(context, data);
  }
}

Commands::Commands(World& w, ze_context_handle_t context, Kind kind, uint32_t ordinal) : kind_(kind) {
  ze_command_queue_desc_t queue = {};
  queue.stype = ZE_STRUCTURE_TYPE_COMMAND_QUEUE_DESC;
  queue.ordinal = ordinal;
  queue.mode = ZE_COMMAND_QUEUE_MODE_ASYNCHRONOUS;
  if (kind == Kind::kRegular) {
    const ze_command_list_desc_t list = {ZE_STRUCTURE_TYPE_COMMAND_LIST_DESC, nullptr, ordinal, 0};
    check(zeCommandQueueCreate(context, w.device, &queue, &queue_), "queue");
    check(zeCommandListCreate(context, w.device, &list, &list_), "list");
    return;
  }
  check(zeCommandListCreateImmediate(context, w.device, &queue, &list_), "immediate list");
  const ze_event_pool_desc_t pool = {ZE_STRUCTURE_TYPE_EVENT_POOL_DESC, nullptr, ZE_EVENT_POOL_FLAG_HOST_VISIBLE, 1};
  check(zeEventPoolCreate(context, &pool, 1, &w.device, &pool_), "event pool");
  const ze_event_desc_t event = {ZE_STRUCTURE_TYPE_EVENT_DESC, nullptr, 0, 0, ZE_EVENT_SCOPE_FLAG_HOST};
  check(zeEventCreate(pool_, &event, &done_), "event");
}

Commands::~Commands() {
  zeCommandListDestroy(list_);
  if (queue_ != nullptr) zeCommandQueueDestroy(queue_);
  if (done_ != nullptr) zeEventDestroy(done_);
  if (pool_ != nullptr) zeEventPoolDestroy(pool_);
}

Commands& Commands::launch(const Kernel& kernel, uint32_t x, ze_event_handle_t signal,
                           const std::vector<ze_event_handle_t>& waits) {
  const ze_group_count_t groups = {x, 1, 1};
  std::vector<ze_event_handle_t> all = waits;
  check(zeCommandListAppendLaunchKernel(list_, kernel.get(), &groups, signal, static_cast<uint32_t>(all.size()), all.data()),
        "launch");
  return *this;
}

Commands& Commands::launch(const Kernel& kernel, ze_group_count_t groups) {
  check(zeCommandListAppendLaunchKernel(list_, kernel.get(), &groups, nullptr, 0, nullptr), "launch");
  return *this;
}

Commands& Commands::copy(void* to, const void* from, size_t bytes, ze_event_handle_t signal,
                         const std::vector<ze_event_handle_t>& waits) {
  std::vector<ze_event_handle_t> all = waits;
  check(zeCommandListAppendMemoryCopy(list_, to, from, bytes, signal, static_cast<uint32_t>(all.size()), all.data()), "copy");
  return *this;
}

Commands& Commands::barrier() {
  check(zeCommandListAppendBarrier(list_, nullptr, 0, nullptr), "barrier");
  return *this;
}

void Commands::start() {
  if (kind_ == Kind::kImmediate) {
    check(zeCommandListAppendBarrier(list_, done_, 0, nullptr), "last barrier");
    return;
  }
  check(zeCommandListClose(list_), "close");
  repeat();
}

void Commands::finish() { check(zeCommandQueueSynchronize(queue_, kPatience), "synchronize"); }

void Commands::repeat() { check(zeCommandQueueExecuteCommandLists(queue_, 1, &list_, nullptr), "execute"); }

void Commands::wait() {
  if (kind_ == Kind::kImmediate) {
    wait_for(done_);
    check(zeEventHostReset(done_), "reset event");
    return;
  }
  finish();
  check(zeCommandListReset(list_), "reset list");
}

Events::Events(World& w, uint32_t n, Has has) : events_(n) {
  ze_event_pool_desc_t pool = {ZE_STRUCTURE_TYPE_EVENT_POOL_DESC, nullptr, ZE_EVENT_POOL_FLAG_HOST_VISIBLE, n};
  if (has == Has::kTimestamps) pool.flags |= ZE_EVENT_POOL_FLAG_KERNEL_TIMESTAMP;
  check(zeEventPoolCreate(w.context, &pool, 1, &w.device, &pool_), "event pool");
  for (uint32_t i = 0; i < n; ++i) {
    const ze_event_desc_t event = {ZE_STRUCTURE_TYPE_EVENT_DESC, nullptr, i, ZE_EVENT_SCOPE_FLAG_HOST, ZE_EVENT_SCOPE_FLAG_HOST};
    check(zeEventCreate(pool_, &event, &events_[i]), "event");
  }
}

Events::~Events() {
  for (ze_event_handle_t event : events_) zeEventDestroy(event);
  zeEventPoolDestroy(pool_);
}

void wait_for(ze_event_handle_t event) { check(zeEventHostSynchronize(event, kPatience), "wait for event"); }

}  // namespace kit
