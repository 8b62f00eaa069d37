// What softxe_c.h promises about wrong calls: a handle that is none, destroyed or of another kind, NULL, sizes and
// numbers that mean nothing give the errno of the header, and the program goes on. C11 and the header, nothing else.
#include <errno.h>
#include <softxe/softxe_c.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PAGE ((uint64_t)4096)
#define MEGABYTES(n) ((uint64_t)(n) << 20)

static int failures;

static void check(int line, const char* what, int got, int wanted, const softxe_error* error) {
  const int same =
      got == wanted &&
      (error == NULL || (error->err == got && error->reason != NULL && (got == 0 || error->reason[0] != '\0')));
  if (same) return;
  ++failures;
  printf("FAIL line %d: %s: errno %d, wanted %d (%s)\n", line, what, got, wanted,
         error != NULL && error->reason != NULL ? error->reason : "no reason");
}

static softxe_error error;
// A call that ends in `&error` gives this errno, and says so in `error`.
#define GIVES(wanted, call)                           \
  do {                                                \
    memset(&error, 0x5a, sizeof error);               \
    check(__LINE__, #call, (call), (wanted), &error); \
  } while (0)
#define IS(condition) check(__LINE__, #condition, (condition) ? 0 : 1, 0, NULL)

static softxe_process* process;
static softxe_device* device;
static softxe_buffer* buffer;
static softxe_vm* vm;
static softxe_engine* engine;
static uint64_t memory;

static void make_everything(void) {
  softxe_vm_info info = {.struct_bytes = sizeof info};
  const softxe_device_options options = {.struct_bytes = sizeof options, .vram_bytes = MEGABYTES(64)};
  GIVES(0, softxe_process_create_simulated(&process, &error));
  GIVES(0, softxe_device_create(process, &options, &device, &error));
  GIVES(0, softxe_buffer_create(device, MEGABYTES(2), SOFTXE_PLACEMENT_VRAM, &buffer, &error));
  GIVES(0, softxe_vm_create(device, NULL, &vm, &error));
  GIVES(0, softxe_engine_create(vm, 0, &engine, &error));
  GIVES(0, softxe_vm_get_info(vm, &info, &error));
  GIVES(0, softxe_vm_bind_mirror(vm, (softxe_range){0, info.bytes}, 0, &error));
  GIVES(0, softxe_process_map(process, MEGABYTES(4), 0, &memory, &error));
}

// Every call that takes a handle, with this one, which is wrong.
static void wrong_process(softxe_process* wrong) {
  const softxe_range range = {memory, PAGE};
  softxe_process_info info = {.struct_bytes = sizeof info};
  softxe_device* made = NULL;
  uint64_t at = 0;
  uint32_t state = 0;
  long result = 0;
  const long arguments[6] = {0};
  GIVES(EBADF, softxe_process_get_info(wrong, &info, &error));
  GIVES(EBADF, softxe_process_destroy(wrong, &error));
  GIVES(EBADF, softxe_process_map(wrong, PAGE, 0, &at, &error));
  GIVES(EBADF, softxe_process_unmap(wrong, range, &error));
  GIVES(EBADF, softxe_process_protect(wrong, range, SOFTXE_PROTECTION_READ, &error));
  GIVES(EBADF, softxe_process_discard(wrong, range, &error));
  GIVES(EBADF, softxe_process_remap(wrong, range, PAGE, &at, &error));
  GIVES(EBADF, softxe_process_system_call(wrong, 0, arguments, &result, &error));
  GIVES(EBADF, softxe_process_read(wrong, memory, &at, sizeof at, &error));
  GIVES(EBADF, softxe_process_write(wrong, memory, &at, sizeof at, &error));
  GIVES(EBADF, softxe_process_page_state(wrong, memory, &state, &error));
  GIVES(EBADF, softxe_process_advance_ns(wrong, 1, &error));
  GIVES(EBADF, softxe_process_before_fork(wrong, &error));
  GIVES(EBADF, softxe_process_after_fork_in_parent(wrong, &error));
  GIVES(EBADF, softxe_process_after_fork_in_child(wrong, &error));
  GIVES(EBADF, softxe_device_create(wrong, NULL, &made, &error));
  IS(made == NULL);
}

static void wrong_device_or_buffer(softxe_device* wrong, softxe_buffer* wrong_buffer) {
  softxe_device_info info = {.struct_bytes = sizeof info};
  softxe_buffer_info buffer_info = {.struct_bytes = sizeof buffer_info};
  softxe_buffer* made = NULL;
  softxe_vm* made_vm = NULL;
  uint64_t value = 0;
  GIVES(EBADF, softxe_device_get_info(wrong, &info, &error));
  GIVES(EBADF, softxe_device_destroy(wrong, &error));
  GIVES(EBADF, softxe_device_set_atomic_residency_ns(wrong, 1, &error));
  GIVES(EBADF, softxe_device_evict_all(wrong, &error));
  GIVES(EBADF, softxe_device_counter(wrong, "exec_count", &value, &error));
  GIVES(EBADF, softxe_buffer_create(wrong, PAGE, SOFTXE_PLACEMENT_SYSTEM, &made, &error));
  GIVES(EBADF, softxe_vm_create(wrong, NULL, &made_vm, &error));
  GIVES(EBADF, softxe_buffer_get_info(wrong_buffer, &buffer_info, &error));
  GIVES(EBADF, softxe_buffer_destroy(wrong_buffer, &error));
  GIVES(EBADF, softxe_vm_bind_buffer(vm, (softxe_range){memory, PAGE}, wrong_buffer, 0, &error));
}

static void wrong_vm(softxe_vm* wrong) {
  const softxe_range range = {memory, PAGE};
  const softxe_location location = {SOFTXE_LOCATION_SYSTEM, 0};
  softxe_vm_info info = {.struct_bytes = sizeof info};
  softxe_translation translation = {.struct_bytes = sizeof translation};
  softxe_engine* made = NULL;
  size_t count = 0;
  uint64_t value = 0;
  GIVES(EBADF, softxe_vm_get_info(wrong, &info, &error));
  GIVES(EBADF, softxe_vm_destroy(wrong, &error));
  GIVES(EBADF, softxe_vm_bind_mirror(wrong, range, 0, &error));
  GIVES(EBADF, softxe_vm_bind_buffer(wrong, range, buffer, 0, &error));
  GIVES(EBADF, softxe_vm_bind_null(wrong, range, &error));
  GIVES(EBADF, softxe_vm_unbind(wrong, range, &error));
  GIVES(EBADF, softxe_vm_prefetch(wrong, range, location, &error));
  GIVES(EBADF, softxe_vm_advise_atomics(wrong, range, SOFTXE_ATOMICS_CPU, &error));
  GIVES(EBADF, softxe_vm_advise_location(wrong, range, location, &error));
  GIVES(EBADF, softxe_vm_collect(wrong, &error));
  GIVES(EBADF, softxe_vm_vmas(wrong, NULL, sizeof(softxe_vma_info), &count, &error));
  GIVES(EBADF, softxe_vm_ranges(wrong, NULL, sizeof(softxe_range_info), &count, &error));
  GIVES(EBADF, softxe_vm_translate(wrong, memory, 0, &translation, &error));
  GIVES(EBADF, softxe_vm_counter(wrong, "exec_count", &value, &error));
  GIVES(EBADF, softxe_engine_create(wrong, 0, &made, &error));
}

static void wrong_engine(softxe_engine* wrong) {
  const softxe_kernel kernel = {.struct_bytes = sizeof kernel, .code = memory};
  uint64_t value = 0;
  uint32_t half = 0;
  GIVES(EBADF, softxe_engine_read(wrong, memory, &value, sizeof value, &error));
  GIVES(EBADF, softxe_engine_write(wrong, memory, &value, sizeof value, &error));
  GIVES(EBADF, softxe_engine_fill(wrong, (softxe_range){memory, PAGE}, 1, &error));
  GIVES(EBADF, softxe_engine_copy(wrong, memory, (softxe_range){memory, PAGE}, &error));
  GIVES(EBADF, softxe_engine_fetch_add32(wrong, memory, 1, &half, &error));
  GIVES(EBADF, softxe_engine_fetch_add64(wrong, memory, 1, &value, &error));
  GIVES(EBADF, softxe_engine_compare_exchange64(wrong, memory, 1, 2, &value, &error));
  GIVES(EBADF, softxe_engine_run_batch(wrong, memory, 0, &error));
  GIVES(EBADF, softxe_engine_continue_batch(wrong, 0, &error));
  GIVES(EBADF, softxe_engine_run_kernel(wrong, &kernel, 0, &error));
  GIVES(EBADF, softxe_engine_continue_kernel(wrong, 0, &error));
  GIVES(EBADF, softxe_engine_destroy(wrong, &error));
}

static void handles(void) {
  static int something;
  void* const wrong[] = {NULL, &something, (void*)(uintptr_t)0xdead, (void*)~(uintptr_t)0};
  for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; ++i) {
    wrong_process(wrong[i]);
    wrong_device_or_buffer(wrong[i], wrong[i]);
    wrong_vm(wrong[i]);
    wrong_engine(wrong[i]);
  }
  // Good handles, but of another kind.
  wrong_process((softxe_process*)(void*)engine);
  wrong_device_or_buffer((softxe_device*)(void*)process, (softxe_buffer*)(void*)vm);
  wrong_vm((softxe_vm*)(void*)buffer);
  wrong_engine((softxe_engine*)(void*)device);
}

static void destroyed_handles(void) {
  GIVES(0, softxe_process_destroy(process, &error));
  wrong_process(process);
  GIVES(0, softxe_device_destroy(device, &error));
  GIVES(0, softxe_buffer_destroy(buffer, &error));
  wrong_device_or_buffer(device, buffer);
  // What stood on them goes on.
  const uint32_t seven = 7;
  GIVES(0, softxe_engine_write(engine, memory, &seven, sizeof seven, &error));
  GIVES(0, softxe_vm_destroy(vm, &error));
  wrong_vm(vm);
  GIVES(0, softxe_engine_write(engine, memory, &seven, sizeof seven, &error));
  GIVES(0, softxe_engine_destroy(engine, &error));
  wrong_engine(engine);
}

static void null_pointers(void) {
  const softxe_range range = {memory, PAGE};
  const long arguments[6] = {0};
  size_t one = 1;
  long result = 0;
  uint64_t value = 0;
  GIVES(EFAULT, softxe_process_create_simulated(NULL, &error));
  GIVES(EFAULT, softxe_process_create_live(NULL, NULL, &error));
  GIVES(EFAULT, softxe_process_get_info(process, NULL, &error));
  GIVES(EFAULT, softxe_process_map(process, PAGE, 0, NULL, &error));
  GIVES(EFAULT, softxe_process_remap(process, range, PAGE, NULL, &error));
  GIVES(EFAULT, softxe_process_system_call(process, 0, NULL, &result, &error));
  GIVES(EFAULT, softxe_process_system_call(process, 0, arguments, NULL, &error));
  GIVES(EFAULT, softxe_process_read(process, memory, NULL, 4, &error));
  GIVES(EFAULT, softxe_process_write(process, memory, NULL, 4, &error));
  GIVES(EFAULT, softxe_process_page_state(process, memory, NULL, &error));
  GIVES(EFAULT, softxe_device_create(process, NULL, NULL, &error));
  GIVES(EFAULT, softxe_device_get_info(device, NULL, &error));
  GIVES(EFAULT, softxe_device_counter(device, NULL, &value, &error));
  GIVES(EFAULT, softxe_device_counter(device, "exec_count", NULL, &error));
  GIVES(EFAULT, softxe_buffer_create(device, PAGE, SOFTXE_PLACEMENT_SYSTEM, NULL, &error));
  GIVES(EFAULT, softxe_buffer_get_info(buffer, NULL, &error));
  GIVES(EFAULT, softxe_vm_create(device, NULL, NULL, &error));
  GIVES(EFAULT, softxe_vm_get_info(vm, NULL, &error));
  GIVES(EFAULT, softxe_vm_vmas(vm, NULL, sizeof(softxe_vma_info), &one, &error));
  GIVES(EFAULT, softxe_vm_vmas(vm, NULL, sizeof(softxe_vma_info), NULL, &error));
  GIVES(EFAULT, softxe_vm_ranges(vm, NULL, sizeof(softxe_range_info), &one, &error));
  GIVES(EFAULT, softxe_vm_ranges(vm, NULL, sizeof(softxe_range_info), NULL, &error));
  GIVES(EFAULT, softxe_vm_translate(vm, memory, 0, NULL, &error));
  GIVES(EFAULT, softxe_vm_counter(vm, NULL, &value, &error));
  GIVES(EFAULT, softxe_vm_counter(vm, "exec_count", NULL, &error));
  GIVES(EFAULT, softxe_engine_create(vm, 0, NULL, &error));
  GIVES(EFAULT, softxe_engine_read(engine, memory, NULL, 4, &error));
  GIVES(EFAULT, softxe_engine_write(engine, memory, NULL, 4, &error));
  GIVES(EFAULT, softxe_engine_fetch_add32(engine, memory, 1, NULL, &error));
  GIVES(EFAULT, softxe_engine_fetch_add64(engine, memory, 1, NULL, &error));
  GIVES(EFAULT, softxe_engine_compare_exchange64(engine, memory, 1, 2, NULL, &error));
  GIVES(EFAULT, softxe_engine_run_kernel(engine, NULL, 0, &error));
  GIVES(EFAULT, softxe_assemble(NULL, NULL, &one, NULL, &error));
  GIVES(EFAULT, softxe_assemble("", NULL, NULL, NULL, &error));
  GIVES(EFAULT, softxe_assemble("", NULL, &one, NULL, &error));
  IS(softxe_process_fixed_up(NULL) == 0);
  // Nobody has to ask why.
  IS(softxe_process_map(process, PAGE, 0, NULL, NULL) == EFAULT);
  IS(softxe_vm_destroy(NULL, NULL) == EBADF);
}

// A structure as a newer header may have it.
struct longer_options {
  softxe_device_options known;
  uint64_t unknown[3];
};
struct longer_info {
  softxe_vm_info known;
  uint64_t unknown[3];
};

static void sizes(void) {
  softxe_device* made = NULL;
  struct longer_options options = {.known = {.struct_bytes = sizeof options, .vram_bytes = MEGABYTES(64)}};
  GIVES(0, softxe_device_create(process, &options.known, &made, &error));
  GIVES(0, softxe_device_destroy(made, &error));
  options.unknown[2] = 1;
  GIVES(E2BIG, softxe_device_create(process, &options.known, &made, &error));
  options.known.struct_bytes = sizeof options.known - 1;
  GIVES(EINVAL, softxe_device_create(process, &options.known, &made, &error));
  options.known.struct_bytes = 0;
  GIVES(EINVAL, softxe_device_create(process, &options.known, &made, &error));
  options.known.struct_bytes = ~(size_t)0;
  GIVES(E2BIG, softxe_device_create(process, &options.known, &made, &error));
  const softxe_live_options live = {0};
  softxe_process* made_process = NULL;
  GIVES(EINVAL, softxe_process_create_live(&live, &made_process, &error));
  const softxe_vm_options of_vm = {.struct_bytes = 3};
  softxe_vm* made_vm = NULL;
  GIVES(EINVAL, softxe_vm_create(device, &of_vm, &made_vm, &error));
  const softxe_kernel kernel = {.struct_bytes = sizeof kernel - 4};
  GIVES(EINVAL, softxe_engine_run_kernel(engine, &kernel, 0, &error));

  struct longer_info info;
  memset(&info, 0xff, sizeof info);
  GIVES(E2BIG, softxe_vm_get_info(vm, &info.known, &error));
  info.known.struct_bytes = sizeof info;
  GIVES(0, softxe_vm_get_info(vm, &info.known, &error));
  IS(info.known.struct_bytes == sizeof info && info.known.bytes == (uint64_t)1 << 48);
  IS(info.unknown[0] == 0 && info.unknown[2] == 0);
  info.known.struct_bytes = sizeof(size_t);
  GIVES(EINVAL, softxe_vm_get_info(vm, &info.known, &error));
  size_t count = 0;
  GIVES(EINVAL, softxe_vm_vmas(vm, NULL, sizeof(softxe_vma_info) - 1, &count, &error));
  GIVES(E2BIG, softxe_vm_ranges(vm, NULL, 4097, &count, &error));
}

static void lists(void) {
  const softxe_range first = {memory, MEGABYTES(2)};
  GIVES(0, softxe_vm_advise_atomics(vm, first, SOFTXE_ATOMICS_DEVICE, &error));
  softxe_vma_info two[2];
  memset(two, 0xff, sizeof two);
  size_t count = 2;
  GIVES(ENOSPC, softxe_vm_vmas(vm, two, sizeof two[0], &count, &error));
  IS(count == 3 && two[0].kind == SOFTXE_VMA_MIRROR && two[0].default_attributes == 1);
  IS(two[1].range.start == memory && two[1].atomics == SOFTXE_ATOMICS_DEVICE && two[1].default_attributes == 0);
  // Elements of a newer header are longer; what is not known is zero.
  struct {
    softxe_vma_info known;
    uint64_t unknown;
  } longer[4];
  memset(longer, 0xff, sizeof longer);
  count = 4;
  GIVES(0, softxe_vm_vmas(vm, &longer[0].known, sizeof longer[0], &count, &error));
  IS(count == 3 && longer[1].known.range.start == memory && longer[2].unknown == 0 && longer[3].unknown == ~0ull);
  GIVES(0, softxe_vm_advise_atomics(vm, first, SOFTXE_ATOMICS_UNDEFINED, &error));
  count = 0;
  GIVES(0, softxe_vm_ranges(vm, NULL, sizeof(softxe_range_info), &count, &error));
  IS(count == 0);
}

static void meaningless_values(void) {
  const softxe_range range = {memory, PAGE};
  const softxe_live_options live[] = {{.struct_bytes = sizeof live[0], .dma = 2},
                                      {.struct_bytes = sizeof live[0], .signals = 9},
                                      {.struct_bytes = sizeof live[0], .hooks = ~0u}};
  softxe_process* made_process = NULL;
  for (int i = 0; i < 3; ++i) GIVES(EINVAL, softxe_process_create_live(&live[i], &made_process, &error));
  const softxe_device_options of_device[] = {{.struct_bytes = sizeof of_device[0], .profile = "no such card"},
                                             {.struct_bytes = sizeof of_device[0], .vram_bytes = 12345},
                                             {.struct_bytes = sizeof of_device[0], .reset = 3},
                                             {.struct_bytes = sizeof of_device[0], .collector = 2}};
  softxe_device* made = NULL;
  for (int i = 0; i < 4; ++i) GIVES(EINVAL, softxe_device_create(process, &of_device[i], &made, &error));
  const softxe_vm_options of_vm[] = {{.struct_bytes = sizeof of_vm[0], .mode = 3},
                                     {.struct_bytes = sizeof of_vm[0], .flags = 2}};
  softxe_vm* made_vm = NULL;
  for (int i = 0; i < 2; ++i) GIVES(EINVAL, softxe_vm_create(device, &of_vm[i], &made_vm, &error));
  softxe_buffer* made_buffer = NULL;
  GIVES(EINVAL, softxe_buffer_create(device, PAGE, 3, &made_buffer, &error));
  GIVES(EINVAL, softxe_buffer_create(device, 0, SOFTXE_PLACEMENT_SYSTEM, &made_buffer, &error));
  GIVES(EINVAL, softxe_process_protect(process, range, 3, &error));
  GIVES(EINVAL, softxe_vm_bind_mirror(vm, range, 4, &error));
  GIVES(EINVAL, softxe_vm_advise_atomics(vm, range, 4, &error));
  GIVES(EINVAL, softxe_vm_advise_location(vm, range, (softxe_location){3, 0}, &error));
  GIVES(ENOENT, softxe_vm_advise_location(vm, range, (softxe_location){SOFTXE_LOCATION_VRAM, 1}, &error));
  GIVES(ENOENT, softxe_vm_advise_location(vm, range, (softxe_location){SOFTXE_LOCATION_VRAM, 0xffff}, &error));
  GIVES(EINVAL, softxe_vm_prefetch(vm, range, (softxe_location){3, 0}, &error));
  GIVES(EINVAL, softxe_vm_prefetch(vm, range, (softxe_location){SOFTXE_LOCATION_VRAM, 1}, &error));
  softxe_translation translation = {.struct_bytes = sizeof translation};
  GIVES(EINVAL, softxe_vm_translate(vm, memory, 1, &translation, &error));
  softxe_engine* made_engine = NULL;
  GIVES(EINVAL, softxe_engine_create(vm, 1, &made_engine, &error));
  uint64_t value = 0;
  GIVES(ENOENT, softxe_device_counter(device, "no such counter", &value, &error));
  GIVES(ENOENT, softxe_vm_counter(vm, "", &value, &error));
  IS(softxe_counter_name(0) != NULL && softxe_counter_name(~(size_t)0) == NULL);
}

// Numbers at the edges of their type, for every call that takes an interval or an address.
static void edges(void) {
  const uint64_t numbers[] = {0,          1,          PAGE - 1,   PAGE,       memory,           memory + 1,
                              1ull << 47, 1ull << 48, 1ull << 57, 1ull << 63, ~0ull - PAGE + 1, ~0ull};
  const size_t n = sizeof numbers / sizeof numbers[0];
  softxe_translation translation = {.struct_bytes = sizeof translation};
  const softxe_location system = {SOFTXE_LOCATION_SYSTEM, 0};
  uint64_t value = 0;
  uint32_t half = 0;
  for (size_t i = 0; i < n; ++i) {
    GIVES(0, softxe_process_page_state(process, numbers[i], &half, &error));
    GIVES(0, softxe_vm_translate(vm, numbers[i], 0, &translation, &error));
    for (size_t j = 0; j < n; ++j) {
      const softxe_range range = {numbers[i], numbers[j]};
      const int aligned = range.start % PAGE == 0 && range.bytes % PAGE == 0 && range.bytes != 0;
      const int in_vm = aligned && range.start <= 1ull << 48 && range.bytes <= (1ull << 48) - range.start;
      if (!in_vm) {
        GIVES(EINVAL, softxe_vm_bind_mirror(vm, range, 0, &error));
        GIVES(EINVAL, softxe_vm_bind_null(vm, range, &error));
        GIVES(EINVAL, softxe_vm_unbind(vm, range, &error));
        GIVES(EINVAL, softxe_vm_prefetch(vm, range, system, &error));
        GIVES(EINVAL, softxe_vm_advise_atomics(vm, range, SOFTXE_ATOMICS_CPU, &error));
        GIVES(EINVAL, softxe_vm_advise_location(vm, range, system, &error));
        GIVES(EINVAL, softxe_vm_bind_buffer(vm, range, buffer, 0, &error));
      }
      if (range.start % PAGE != 0 || range.bytes == 0) {
        GIVES(EINVAL, softxe_process_unmap(process, range, &error));
        GIVES(EINVAL, softxe_process_protect(process, range, SOFTXE_PROTECTION_READ, &error));
        GIVES(EINVAL, softxe_process_discard(process, range, &error));
        GIVES(EINVAL, softxe_process_remap(process, range, PAGE, &value, &error));
        GIVES(EINVAL, softxe_process_map(process, range.bytes, range.start, &value, &error));
      }
      // Whatever these say, they say it.
      if (range.bytes <= PAGE) continue;
      IS(softxe_engine_fill(engine, range, 1, &error) == error.err);
      IS(softxe_engine_copy(engine, memory, range, &error) == error.err);
    }
    GIVES(EINVAL, softxe_vm_bind_buffer(vm, (softxe_range){memory, MEGABYTES(2)}, buffer, numbers[i] | 1, &error));
    if (numbers[i] == memory) continue;
    IS(softxe_process_read(process, numbers[i], &value, sizeof value, &error) ==
       (numbers[i] == memory + 1 ? 0 : EFAULT));
    IS(softxe_engine_read(engine, numbers[i], &value, sizeof value, &error) == error.err);
    IS(softxe_engine_fetch_add64(engine, numbers[i], 1, &value, &error) != 0);
    IS(softxe_engine_run_batch(engine, numbers[i], 100, &error) != 0);
    const softxe_kernel kernel = {.struct_bytes = sizeof kernel, .code = numbers[i], .arguments = numbers[n - 1 - i]};
    IS(softxe_engine_run_kernel(engine, &kernel, 100, &error) == error.err);
  }
}

static void other_errors(void) {
  const softxe_range range = {memory, MEGABYTES(2)};
  const softxe_device_options options = {.struct_bytes = sizeof options, .vram_bytes = MEGABYTES(64)};
  softxe_device* second = NULL;
  softxe_buffer* theirs = NULL;
  GIVES(0, softxe_device_create(process, &options, &second, &error));
  GIVES(0, softxe_buffer_create(second, MEGABYTES(2), SOFTXE_PLACEMENT_EITHER, &theirs, &error));
  GIVES(EXDEV, softxe_vm_bind_buffer(vm, range, theirs, 0, &error));
  GIVES(ENOSPC, softxe_buffer_create(second, MEGABYTES(4096), SOFTXE_PLACEMENT_VRAM, &theirs, &error));
  const softxe_device_options integrated = {.struct_bytes = sizeof integrated, .profile = "lnl"};
  softxe_device* lnl = NULL;
  GIVES(0, softxe_device_create(process, &integrated, &lnl, &error));
  GIVES(EINVAL, softxe_buffer_create(lnl, PAGE, SOFTXE_PLACEMENT_VRAM, &theirs, &error));
  const softxe_vm_options dma = {.struct_bytes = sizeof dma, .mode = SOFTXE_VM_DMA_FENCE};
  softxe_vm* buffers_only = NULL;
  GIVES(0, softxe_vm_create(device, &dma, &buffers_only, &error));
  GIVES(EINVAL, softxe_vm_bind_mirror(buffers_only, range, 0, &error));
  GIVES(EINVAL, softxe_vm_collect(buffers_only, &error));
  GIVES(EINVAL, softxe_vm_advise_atomics(buffers_only, range, SOFTXE_ATOMICS_CPU, &error));

  uint64_t at = 0;
  long result = 0;
  const long arguments[6] = {0};
  GIVES(EEXIST, softxe_process_map(process, PAGE, memory, &at, &error));
  GIVES(ENOSYS, softxe_process_system_call(process, 0, arguments, &result, &error));
  GIVES(EINVAL, softxe_engine_continue_batch(engine, 0, &error));
  GIVES(EINVAL, softxe_engine_continue_kernel(engine, 0, &error));
  uint32_t half = 0;
  GIVES(EINVAL, softxe_engine_fetch_add32(engine, memory + 2, 1, &half, &error));
  GIVES(ENOENT, softxe_engine_read(engine, 1ull << 40, &half, sizeof half, &error));
  GIVES(0, softxe_vm_advise_atomics(vm, range, SOFTXE_ATOMICS_CPU, &error));
  GIVES(EACCES, softxe_engine_fetch_add32(engine, memory, 1, &half, &error));
  GIVES(0, softxe_vm_bind_mirror(vm, range, SOFTXE_MIRROR_READ_ONLY, &error));
  GIVES(EPERM, softxe_engine_write(engine, memory, &half, sizeof half, &error));
  GIVES(0, softxe_vm_unbind(vm, range, &error));
  GIVES(EINVAL, softxe_engine_read(engine, memory, &half, sizeof half, &error));
  GIVES(0, softxe_vm_bind_mirror(vm, range, 0, &error));

  softxe_text_place wrong = {0, 0};
  size_t bytes = 0;
  GIVES(EINVAL, softxe_assemble(".simd 16\n    nonsense\n", NULL, &bytes, &wrong, &error));
  IS(wrong.line == 2);
  GIVES(ENOSPC, softxe_assemble(".simd 16\n    eot r0\n", NULL, &bytes, NULL, &error));
  IS(bytes >= 8 && bytes <= 16);
}

int main(void) {
  IS(softxe_c_api_version() == SOFTXE_C_API_VERSION);
  make_everything();
  handles();
  null_pointers();
  sizes();
  lists();
  meaningless_values();
  other_errors();
  edges();
  destroyed_handles();
  printf("%d failed\n", failures);
  return failures == 0 ? 0 : 1;
}
