// A program with a GPU inside, in C: one process, one device, one VM that mirrors the process.
//
//   embed_c         over a simulated process
//   embed_c live    over this one
#include <errno.h>
#include <inttypes.h>
#include <softxe/softxe_c.h>
#include <stdio.h>
#include <string.h>

#define BYTES ((uint64_t)2 << 20)

// Ends main() with the errno of a call that failed, and says why.
#define TRY(call)                                                             \
  do {                                                                        \
    if ((call) != 0) {                                                        \
      fprintf(stderr, "%s: %s (errno %d)\n", #call, error.reason, error.err); \
      return error.err;                                                       \
    }                                                                         \
  } while (0)

static const char* name_of(uint32_t state) {
  switch (state) {
    case SOFTXE_PAGE_UNMAPPED: return "unmapped";
    case SOFTXE_PAGE_ABSENT: return "absent";
    case SOFTXE_PAGE_SYSTEM: return "in system memory";
    case SOFTXE_PAGE_VRAM: return "in VRAM";
    default: return "?";
  }
}

// Every work-item stores its number. The address of the words is the first argument.
static const char store_number[] =
    ".simd 16\n"
    "    mov  r10:d  r1:uw\n"
    "    shl  r12:d  r10:d  2:w\n"
    "    mov  r14:q  r12:d\n"
    "    add  r14:q  r14:q  r2.0<0;1,0>:q\n"
    "    store.ugm.d32.a64 (16|M0) r14 r10\n"
    "    eot  r0\n";

// Code and arguments are memory like any other: here, a page of the process.
static int run_kernel(softxe_process* process, softxe_engine* engine, uint64_t words) {
  softxe_error error;
  uint64_t page;
  TRY(softxe_process_map(process, 4096, 0, &page, &error));
  unsigned char code[1024];
  size_t code_bytes = sizeof code;
  TRY(softxe_assemble(store_number, code, &code_bytes, NULL, &error));
  const uint64_t arguments[4] = {words, 0, 0, 0};
  TRY(softxe_process_write(process, page, code, code_bytes, &error));
  TRY(softxe_process_write(process, page + 2048, arguments, sizeof arguments, &error));
  const softxe_kernel kernel = {
      .struct_bytes = sizeof kernel, .code = page, .arguments = page + 2048, .group_items = 64};
  TRY(softxe_engine_run_kernel(engine, &kernel, 0, &error));
  return 0;
}

int main(int argc, char** argv) {
  softxe_error error;
  softxe_process* process;
  if (argc > 1 && strcmp(argv[1], "live") == 0) {
    TRY(softxe_process_create_live(NULL, &process, &error));
  } else {
    TRY(softxe_process_create_simulated(&process, &error));
  }
  softxe_device* device;
  const softxe_device_options options = {.struct_bytes = sizeof options, .profile = "bmg", .vram_bytes = 64 << 20};
  TRY(softxe_device_create(process, &options, &device, &error));
  softxe_vm* vm;
  TRY(softxe_vm_create(device, NULL, &vm, &error));
  // GPU address = CPU address, for the whole address space; unmapped memory loses its advice.
  softxe_vm_info info = {.struct_bytes = sizeof info};
  TRY(softxe_vm_get_info(vm, &info, &error));
  TRY(softxe_vm_bind_mirror(vm, (softxe_range){0, info.bytes}, SOFTXE_MIRROR_AUTORESET, &error));
  softxe_engine* engine;
  TRY(softxe_engine_create(vm, 0, &engine, &error));
  uint64_t memory;
  TRY(softxe_process_map(process, BYTES, 0, &memory, &error));
  TRY(softxe_vm_advise_atomics(vm, (softxe_range){memory, BYTES}, SOFTXE_ATOMICS_DEVICE, &error));

  // The GPU adds to memory that has no page yet: fault, range, migration, page-table entry, atomic.
  uint64_t before;
  uint32_t state;
  TRY(softxe_engine_fetch_add64(engine, memory, 7, &before, &error));
  TRY(softxe_process_page_state(process, memory, &state, &error));
  printf("after an atomic of the GPU the page is %s\n", name_of(state));

  // The CPU reads it: the page comes back, the GPU's entry is gone before it does.
  uint64_t value;
  TRY(softxe_process_read(process, memory, &value, sizeof value, &error));
  TRY(softxe_process_page_state(process, memory, &state, &error));
  printf("the CPU reads %" PRIu64 ", now it is %s\n", value, name_of(state));

  if (run_kernel(process, engine, memory) != 0) return 1;
  uint32_t last;
  TRY(softxe_process_read(process, memory + 63 * sizeof last, &last, sizeof last, &error));
  printf("work-item 63 left %" PRIu32 "\n", last);

  // munmap: when it returns no GPU access reaches the old page; the collector puts the advice back.
  TRY(softxe_process_unmap(process, (softxe_range){memory, BYTES}, &error));
  const int lost = softxe_engine_write(engine, memory, &value, sizeof value, &error);
  printf("a GPU store after munmap: %s\n", lost != 0 ? error.reason : "went through");
  size_t vmas = 0;
  if (softxe_vm_vmas(vm, NULL, sizeof(softxe_vma_info), &vmas, &error) != ENOSPC) return 1;
  uint64_t resets;
  TRY(softxe_vm_counter(vm, "svm_attribute_reset_count", &resets, &error));
  printf("%zu VMA, %" PRIu64 " reset\n", vmas, resets);

  // In any order: each object keeps what it stands on.
  TRY(softxe_process_destroy(process, &error));
  TRY(softxe_device_destroy(device, &error));
  TRY(softxe_vm_destroy(vm, &error));
  TRY(softxe_engine_destroy(engine, &error));
  return value == 7 && last == 63 && lost != 0 && vmas == 1 && resets == 1 ? 0 : 1;
}
