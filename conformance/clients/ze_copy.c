/*
 * A Level Zero program, with nothing of softxe in it: data travels through every kind of memory on the
 * copy engine and has to arrive.
 *
 *   ze_copy usm      host -> device -> shared -> host allocations
 *   ze_copy system   the same with memory of malloc, which Level Zero never heard of, at both ends and
 *                    in the middle
 *   ze_copy mapped   as system, with memory of mmap that is unmapped and mapped again between the rounds
 *   ze_copy advised  as system, and Level Zero says first where the memory should be and sends it there
 *
 * Prints what it found; status 0 when every byte arrived.
 */
#define _GNU_SOURCE
#include <level_zero/ze_api.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { kBytes = 3 << 20, kRounds = 4 };

struct world {
  ze_context_handle_t context;
  ze_device_handle_t device;
  ze_command_list_handle_t copies;
};

static void must(ze_result_t result, const char *what) {
  if (result == ZE_RESULT_SUCCESS) return;
  fprintf(stderr, "%s: %#x\n", what, (unsigned)result);
  exit(1);
}

/* The group that can copy and nothing else: it is the one that works without shaders. */
static uint32_t copy_group(ze_device_handle_t device) {
  ze_command_queue_group_properties_t groups[16];
  uint32_t count = 16;
  memset(groups, 0, sizeof groups);
  for (uint32_t i = 0; i < 16; ++i) groups[i].stype = ZE_STRUCTURE_TYPE_COMMAND_QUEUE_GROUP_PROPERTIES;
  must(zeDeviceGetCommandQueueGroupProperties(device, &count, groups), "queue groups");
  for (uint32_t i = 0; i < count; ++i) {
    const ze_command_queue_group_property_flags_t flags = groups[i].flags;
    if ((flags & ZE_COMMAND_QUEUE_GROUP_PROPERTY_FLAG_COPY) != 0 &&
        (flags & ZE_COMMAND_QUEUE_GROUP_PROPERTY_FLAG_COMPUTE) == 0)
      return i;
  }
  fprintf(stderr, "no copy engine\n");
  exit(1);
}

static struct world make_world(void) {
  struct world w;
  ze_driver_handle_t driver;
  uint32_t one = 1;
  must(zeInit(ZE_INIT_FLAG_GPU_ONLY), "zeInit");
  must(zeDriverGet(&one, &driver), "zeDriverGet");
  one = 1;
  must(zeDeviceGet(driver, &one, &w.device), "zeDeviceGet");
  ze_device_properties_t about = {.stype = ZE_STRUCTURE_TYPE_DEVICE_PROPERTIES};
  must(zeDeviceGetProperties(w.device, &about), "properties");
  ze_device_memory_access_properties_t access = {.stype =
                                                     ZE_STRUCTURE_TYPE_DEVICE_MEMORY_ACCESS_PROPERTIES};
  must(zeDeviceGetMemoryAccessProperties(w.device, &access), "memory access");
  printf("device %04x %s, access to system memory %#x\n", about.deviceId, about.name,
         access.sharedSystemAllocCapabilities);
  const ze_context_desc_t context = {.stype = ZE_STRUCTURE_TYPE_CONTEXT_DESC};
  must(zeContextCreate(driver, &context, &w.context), "context");
  const ze_command_queue_desc_t queue = {.stype = ZE_STRUCTURE_TYPE_COMMAND_QUEUE_DESC,
                                         .ordinal = copy_group(w.device),
                                         .mode = ZE_COMMAND_QUEUE_MODE_SYNCHRONOUS};
  must(zeCommandListCreateImmediate(w.context, w.device, &queue, &w.copies), "command list");
  return w;
}

static void copy(const struct world *w, void *to, const void *from) {
  must(zeCommandListAppendMemoryCopy(w->copies, to, from, kBytes, NULL, 0, NULL), "copy");
}

static void fill(unsigned char *data, uint32_t seed) {
  for (size_t i = 0; i < kBytes; ++i) data[i] = (unsigned char)((seed = seed * 1664525u + 1013904223u) >> 24);
}

static int compare(const char *what, const unsigned char *got, const unsigned char *want) {
  for (size_t i = 0; i < kBytes; ++i) {
    if (got[i] == want[i]) continue;
    printf("%s: byte %zu is %02x, not %02x\n", what, i, got[i], want[i]);
    return 1;
  }
  return 0;
}

static void *device_memory(const struct world *w) {
  void *at = NULL;
  const ze_device_mem_alloc_desc_t desc = {.stype = ZE_STRUCTURE_TYPE_DEVICE_MEM_ALLOC_DESC};
  must(zeMemAllocDevice(w->context, &desc, kBytes, 4096, w->device, &at), "device memory");
  return at;
}

static int with_usm(const struct world *w) {
  const ze_host_mem_alloc_desc_t host_desc = {.stype = ZE_STRUCTURE_TYPE_HOST_MEM_ALLOC_DESC};
  const ze_device_mem_alloc_desc_t desc = {.stype = ZE_STRUCTURE_TYPE_DEVICE_MEM_ALLOC_DESC};
  void *host = NULL;
  void *shared = NULL;
  void *back = NULL;
  void *device = device_memory(w);
  must(zeMemAllocHost(w->context, &host_desc, kBytes, 4096, &host), "host memory");
  must(zeMemAllocHost(w->context, &host_desc, kBytes, 4096, &back), "host memory");
  must(zeMemAllocShared(w->context, &desc, &host_desc, kBytes, 4096, w->device, &shared), "shared memory");
  int broken = 0;
  for (uint32_t round = 0; round < kRounds; ++round) {
    fill(host, round);
    memset(shared, 0xa5, kBytes);
    memset(back, 0x5a, kBytes);
    copy(w, device, host);
    copy(w, shared, device);
    copy(w, back, shared);
    broken |= compare("shared", shared, host) | compare("back", back, host);
  }
  must(zeMemFree(w->context, host), "free");
  must(zeMemFree(w->context, back), "free");
  must(zeMemFree(w->context, shared), "free");
  must(zeMemFree(w->context, device), "free");
  return broken;
}

static unsigned char *map_fresh(void *wanted) {
  void *at = mmap(wanted, kBytes, PROT_READ | PROT_WRITE,
                  MAP_PRIVATE | MAP_ANONYMOUS | (wanted != NULL ? MAP_FIXED_NOREPLACE : 0), -1, 0);
  if (at == MAP_FAILED) exit(2);
  return at;
}

static int with_system(const struct world *w) {
  unsigned char *from = malloc(kBytes);
  unsigned char *middle = malloc(kBytes);
  unsigned char *to = malloc(kBytes);
  if (from == NULL || middle == NULL || to == NULL) return 2;
  void *device = device_memory(w);
  int broken = 0;
  for (uint32_t round = 0; round < kRounds; ++round) {
    fill(from, round);
    memset(to, 0xa5, kBytes);
    copy(w, device, from);
    copy(w, middle, device);
    copy(w, to, middle); /* both ends are the process's own memory */
    broken |= compare("middle", middle, from) | compare("to", to, from);
  }
  must(zeMemFree(w->context, device), "free");
  free(from);
  free(middle);
  free(to);
  return broken;
}

static int with_mapped(const struct world *w) {
  unsigned char *from = map_fresh(NULL);
  unsigned char *to = map_fresh(NULL);
  int broken = 0;
  for (uint32_t round = 0; round < kRounds; ++round) {
    fill(from, round);
    copy(w, to, from);
    broken |= compare("to", to, from);
    munmap(to, kBytes);
    to = map_fresh(to); /* the same address, other memory */
    for (size_t at = 0; at < kBytes; at += 4096) broken |= to[at] != 0;
  }
  munmap(from, kBytes);
  munmap(to, kBytes);
  return broken;
}

static int with_advice(const struct world *w) {
  unsigned char *from = map_fresh(NULL);
  unsigned char *to = map_fresh(NULL);
  int broken = 0;
  for (uint32_t round = 0; round < kRounds; ++round) {
    const ze_memory_advice_t advice = round % 2 == 0 ? ZE_MEMORY_ADVICE_SET_PREFERRED_LOCATION
                                                     : ZE_MEMORY_ADVICE_CLEAR_PREFERRED_LOCATION;
    fill(from, round);
    must(zeCommandListAppendMemAdvise(w->copies, w->device, from, kBytes, advice), "advice");
    must(zeCommandListAppendMemoryPrefetch(w->copies, from, kBytes), "prefetch");
    copy(w, to, from);
    broken |= compare("to", to, from);
  }
  munmap(from, kBytes);
  munmap(to, kBytes);
  return broken;
}

int main(int argc, char **argv) {
  const char *kind = argc > 1 ? argv[1] : "";
  const struct world w = make_world();
  int broken = 2;
  if (strcmp(kind, "usm") == 0) broken = with_usm(&w);
  if (strcmp(kind, "system") == 0) broken = with_system(&w);
  if (strcmp(kind, "mapped") == 0) broken = with_mapped(&w);
  if (strcmp(kind, "advised") == 0) broken = with_advice(&w);
  must(zeCommandListDestroy(w.copies), "destroy");
  must(zeContextDestroy(w.context), "destroy");
  printf("%s: %s\n", kind, broken == 0 ? "every byte arrived" : "BROKEN");
  return broken;
}
