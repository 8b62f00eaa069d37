/*
 * What the tests of inherited descriptors share: a buffer object that the CPU and a VM see at one address, so
 * that batches, fences and results need no mirror; VMs with and without faults; children that are waited for.
 */
#ifndef SOFTXE_TESTS_INHERITED_KIT_H
#define SOFTXE_TESTS_INHERITED_KIT_H

#include <sys/types.h>

#include "client_kit.h"

#define KIT_MI_SEMAPHORE_WAIT_EQ 0x0e00c002u /* polls until the word equals the inline value */

enum { AREA_BYTES = 64 * 1024, AREA_WORDS = AREA_BYTES / 4, AREA_FENCE = 4096, AREA_DATA = 8192 };

/* Word 0: a batch. Word AREA_FENCE: a user fence. From AREA_DATA: free. */
struct area {
  uint32_t handle;
  uint64_t offset;
  uint32_t* cpu;
};

uint32_t inh_vm_create(int fd, uint32_t flags);
int inh_vm_destroy(int fd, uint32_t vm_id);
/* 0 or errno; `object` 0: what the flags say. */
int inh_bind(const struct xe_device* xe, uint32_t op, uint32_t object, const void* at, uint64_t bytes, uint32_t flags);
/* `private_to`: a VM, or 0. Bound at its CPU address when `xe` is not null. */
struct area inh_area(int fd, const struct xe_device* xe, uint32_t private_to);

/* In a VM with faults: a store through the area, 0 or the errno of EXEC or of the wait. */
int inh_store(struct xe_device* xe, uint32_t queue_id, struct area* area, void* to, uint32_t value);
/* In a VM without: the words of a batch at the area's start, which signal point `point` (0: none) of the syncobj. */
int inh_submit(struct xe_device* xe, uint32_t queue_id, struct area* area, const struct xe_batch* batch,
               uint32_t syncobj, uint64_t point);
/* A batch that waits until `gate` is 1 and then counts `counter` up. */
void inh_gated_count(struct xe_batch* batch, uint32_t* gate, uint32_t* counter);

/* Nanoseconds of CLOCK_MONOTONIC, so many milliseconds from now. */
int64_t inh_soon(int64_t ms);
/* 0 or errno of SYNCOBJ_TIMELINE_WAIT (point 0: the syncobj's fence). */
int inh_wait_point(int fd, uint32_t syncobj, uint64_t point, int64_t ms);

/* Waits for the child and claims that it ended with 0. */
void inh_reap(pid_t child, const char* name);

#endif
