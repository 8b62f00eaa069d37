/*
 * What the example programs share: opening a device, one address space that mirrors the
 * process, one queue, and a few GPU commands.
 *
 * Nothing here knows softxe. The programs use libdrm and the kernel's Xe ABI, and run the same on a
 * real device with shared virtual memory. Command words: docs/spec/gpu-commands.md; ioctls:
 * docs/spec/uapi.md. Every function prints the reason and exits with status 2 when a call fails, so
 * that the programs can read as the story they tell.
 */
#ifndef SOFTXE_EXAMPLES_XE_EXAMPLE_H
#define SOFTXE_EXAMPLES_XE_EXAMPLE_H

#include <stddef.h>
#include <stdint.h>

#include <xf86drm.h>

#include "abi/uapi.h"

enum { XE_PAGE = 4096, XE_BLOCK = 2 * 1024 * 1024 };

/* Whether attributes set by xe_madvise_*() go back to their defaults when the memory is unmapped. */
enum xe_advice_life { XE_ADVICE_STAYS, XE_ADVICE_RESETS };

/* One open device with one VM whose addresses are the process's own, and a queue in it. */
struct xe_device {
  int fd;
  uint32_t vm_id;
  uint32_t queue_id;
  unsigned va_bits;
  uint16_t pat_index; /* write-back, coherent with the CPU */
  int has_vram;
};

/* With a queue on a copy engine, or on a compute engine. */
void xe_open(struct xe_device *xe, enum xe_advice_life life);
void xe_open_compute(struct xe_device *xe, enum xe_advice_life life);
void xe_close(struct xe_device *xe);

/* A list of GPU commands in ordinary malloc'ed memory: the GPU reads them through the mirror. */
struct xe_batch {
  uint32_t *words;
  size_t count;
  size_t capacity;
};

void xe_batch_init(struct xe_batch *batch, size_t words_max);
void xe_batch_free(struct xe_batch *batch);
void xe_batch_reset(struct xe_batch *batch);

/* The GPU commands. Addresses are plain pointers: that is what shared virtual memory is. */
void xe_emit_store32(struct xe_batch *batch, void *to, uint32_t value);
void xe_emit_store64(struct xe_batch *batch, void *to, uint64_t value);
void xe_emit_atomic_increment(struct xe_batch *batch, void *counter);
void xe_emit_copy(struct xe_batch *batch, void *to, const void *from, size_t bytes);
/* A command as its words stand. */
void xe_emit_words(struct xe_batch *batch, const uint32_t *words, size_t count);

/* Runs the commands and waits, through a user fence, until all of them are done. */
void xe_run(struct xe_device *xe, struct xe_batch *batch);

/* Advice on a part of the address space. */
void xe_madvise_atomic(struct xe_device *xe, void *start, size_t bytes, uint32_t mode);
void xe_madvise_preferred(struct xe_device *xe, void *start, size_t bytes, uint32_t location);

/* The attributes in force at one address. */
struct drm_xe_mem_range_attr xe_attributes_at(struct xe_device *xe, const void *address);
/* How many ranges with their own attributes the given part of the address space has. */
unsigned xe_attribute_ranges(struct xe_device *xe, const void *start, size_t bytes);

void xe_die(const char *format, ...) __attribute__((noreturn, format(printf, 1, 2)));

#endif
