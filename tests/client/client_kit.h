/*
 * What the client tests share: checks that count, more queues, raw submission that returns errno,
 * and the process's own view of its pages.
 *
 * The tests are ordinary Xe clients (libdrm and the kernel's ABI, docs/spec/uapi.md); the batches
 * come from examples/xe_example.h. Set-up that fails ends the program with status 2, a claim that
 * does not hold is printed and makes kit_finish() return 1.
 */
#ifndef SOFTXE_TESTS_CLIENT_KIT_H
#define SOFTXE_TESTS_CLIENT_KIT_H

#include <stddef.h>
#include <stdint.h>

#include "xe_example.h"

/* Command words used by more than one test (docs/spec/gpu-commands.md, section 2). */
#define KIT_MI_NOOP 0x00000000u
#define KIT_MI_BATCH_BUFFER_END 0x05000000u
#define KIT_MI_STORE_DATA_IMM32 0x10000002u
#define KIT_MI_BATCH_BUFFER_START 0x18800101u
#define KIT_BIT_GGTT (1u << 22)

enum { KIT_FENCE_DONE = 0x600d };

/* One claim: prints it with its place when it does not hold. */
#define KIT_CHECK(holds, ...) kit_check((holds) != 0, __FILE__, __LINE__, __VA_ARGS__)
void kit_check(int holds, const char* file, int line, const char* format, ...) __attribute__((format(printf, 4, 5)));
/* The exit status: 0 when every claim held. */
int kit_finish(const char* name);

static inline uint64_t kit_address(const volatile void* pointer) { return (uint64_t)(uintptr_t)pointer; }

/* 0, or the errno of the call. */
int kit_ioctl(int fd, unsigned long request, void* arg);

/* Opens one render node by its place (0 is renderD128) and sets it up as xe_open() does. */
enum kit_mirror { KIT_MIRROR_PLAIN, KIT_MIRROR_AUTORESET };
void kit_open(struct xe_device* xe, int device, enum kit_mirror mirror);
/* A second mapping over a part of the mirror: 0 or errno. */
int kit_bind_mirror(struct xe_device* xe, void* start, uint64_t bytes, uint32_t flags);
/* Asks for memory of the mirror in the device's VRAM: 0 or errno. */
int kit_prefetch(struct xe_device* xe, void* start, uint64_t bytes);

uint32_t kit_queue_create(struct xe_device* xe);
int kit_queue_destroy(struct xe_device* xe, uint32_t queue_id);
uint64_t kit_queue_banned(struct xe_device* xe, uint32_t queue_id);

/* Starts the commands at `batch`; `fence` (a GPU address, may be null) becomes KIT_FENCE_DONE. */
int kit_exec(struct xe_device* xe, uint32_t queue_id, const uint32_t* batch, uint64_t* fence);
/* Waits for the fence, without a limit. */
int kit_wait(struct xe_device* xe, uint32_t queue_id, const uint64_t* fence);

/* One GPU store, or one GPU copy, through the device's own queue; waits. */
void kit_store32(struct xe_device* xe, void* to, uint32_t value);
void kit_copy(struct xe_device* xe, void* to, const void* from, size_t bytes);

/* The fault records of the VM, oldest first; returns how many there are. */
enum { KIT_FAULTS_MAX = 50 };
unsigned kit_faults(struct xe_device* xe, struct xe_vm_fault records[KIT_FAULTS_MAX]);

/* Anonymous memory at a 2 MiB border. */
void* kit_map_aligned(size_t bytes);
void kit_unmap(void* start, size_t bytes);
/* How many pages of the interval the process has in its page tables (/proc/self/pagemap). */
size_t kit_pages_present(const void* start, size_t bytes);
/* Entries of a directory of /proc/self ("fd", "task"), and lines of /proc/self/maps. */
size_t kit_proc_entries(const char* directory);
size_t kit_maps_lines(void);

#endif
