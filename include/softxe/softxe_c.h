/* libsoftxe in C: a software Intel Xe GPU over the memory of a process. C11, and C++.
 *
 * The objects are those of softxe.h, which says more about each: a process has devices, a device has VMs and buffers, a
 * VM has engines. docs/EMBEDDING.md has programs in both languages.
 *
 * Handles. A handle is a number in the shape of a pointer: it is never dereferenced and no number is used twice. A call
 * with NULL, with a destroyed handle, or with one of another kind is EBADF. Each object keeps alive what it stands on,
 * so handles may be destroyed in any order. All of them may be used from any thread, an engine from one at a time.
 *
 * Errors. A call that may fail returns 0 or an errno value; `error`, unless NULL, gets the same number and a reason. On
 * failure nothing else is written, except where a call says so. What every call may return is not repeated below:
 *
 *   EBADF    a handle is wrong
 *   EFAULT   a pointer that must not be NULL is
 *   EINVAL   an enumeration or a flag has a value that this header does not have; `struct_bytes` is too small
 *   E2BIG    options are longer than the library knows, and what it does not know is not zero; a size is above 4096
 *   ENOMEM   no memory
 *
 * Versions. Options begin with `struct_bytes`, sizeof of the structure as the caller compiled it; zero in every other
 * member is the default, and so are options that are NULL. Structures that are written (SOFTXE_OUT) have their size set
 * by the caller, too: a newer library writes as much as the caller has room for, an older one leaves the rest zero.
 *
 * Nothing here may be called from a signal handler but softxe_process_fixed_up(). A program that is linked fully static
 * can have everything but SOFTXE_HOOKS_PATCH_LIBC (ENOTSUP). */
#ifndef SOFTXE_SOFTXE_C_H
#define SOFTXE_SOFTXE_C_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define SOFTXE_C_API __attribute__((visibility("default")))

/* Raised when a program that compiled against an older header may not work any more. */
#define SOFTXE_C_API_VERSION 1

typedef struct softxe_process softxe_process;
typedef struct softxe_device softxe_device;
typedef struct softxe_buffer softxe_buffer;
typedef struct softxe_vm softxe_vm;
typedef struct softxe_engine softxe_engine;

/* Why a call failed. `reason` is one line for a reader and lives for ever. This structure keeps its size. */
typedef struct softxe_error {
  int err; /* 0: no failure */
  const char* reason;
} softxe_error;

/* Addresses [start, start + bytes). CPU and GPU addresses of a mirror are the same numbers. This structure keeps its
 * size. */
typedef struct softxe_range {
  uint64_t start;
  uint64_t bytes;
} softxe_range;

/* SOFTXE_C_API_VERSION of the library. */
SOFTXE_C_API int softxe_c_api_version(void);

/* --- the process -------------------------------------------------------------------------------------------------- */

enum softxe_dma { SOFTXE_DMA_MOVE = 0, SOFTXE_DMA_COPY = 1 };
/* SOFTXE_SIGNALS_CALLER: the caller's handlers of SIGSEGV and SIGBUS ask softxe_process_fixed_up() first. */
enum softxe_signals { SOFTXE_SIGNALS_INSTALL = 0, SOFTXE_SIGNALS_CALLER = 1 };
enum softxe_hooks { SOFTXE_HOOKS_NONE = 0, SOFTXE_HOOKS_PATCH_LIBC = 1 };
enum softxe_protection { SOFTXE_PROTECTION_NONE = 0, SOFTXE_PROTECTION_READ = 1, SOFTXE_PROTECTION_READ_WRITE = 2 };
enum softxe_page_state {
  SOFTXE_PAGE_UNMAPPED = 0,
  SOFTXE_PAGE_ABSENT = 1, /* mapped, but no page there yet */
  SOFTXE_PAGE_SYSTEM = 2,
  SOFTXE_PAGE_VRAM = 3
};

typedef struct softxe_live_options {
  size_t struct_bytes;
  uint32_t dma;     /* enum softxe_dma */
  uint32_t signals; /* enum softxe_signals */
  uint32_t hooks;   /* enum softxe_hooks */
} softxe_live_options;

/* SOFTXE_OUT */
typedef struct softxe_process_info {
  size_t struct_bytes;
  uint32_t is_simulated; /* 0 or 1 */
  uint32_t can_migrate;  /* 0: pages are used in place, since this machine has no userfaultfd with MOVE */
} softxe_process_info;

/* A process with nothing in it, no threads, and time that moves only when told to. */
SOFTXE_C_API int softxe_process_create_simulated(softxe_process** process, softxe_error* error);
/* The process that calls. ENOTSUP: libc cannot be patched. EBUSY: another object has the hooks. EPERM, EMFILE: the
 * kernel refuses. */
SOFTXE_C_API int softxe_process_create_live(const softxe_live_options* options, softxe_process** process,
                                            softxe_error* error);
SOFTXE_C_API int softxe_process_get_info(softxe_process* process, softxe_process_info* info, softxe_error* error);
/* EBADF */
SOFTXE_C_API int softxe_process_destroy(softxe_process* process, softxe_error* error);

/* Anonymous private memory, at `at` unless that is 0. EEXIST: in use. EINVAL: no bytes, or not page aligned. */
SOFTXE_C_API int softxe_process_map(softxe_process* process, uint64_t bytes, uint64_t at, uint64_t* address,
                                    softxe_error* error);
/* EINVAL: not page aligned, or no interval. */
SOFTXE_C_API int softxe_process_unmap(softxe_process* process, softxe_range range, softxe_error* error);
/* EINVAL: not page aligned, or no interval. ENOMEM: there is a hole in it. */
SOFTXE_C_API int softxe_process_protect(softxe_process* process, softxe_range range, uint32_t protection,
                                        softxe_error* error);
/* madvise(MADV_DONTNEED). EINVAL: not page aligned, or no interval. ENOMEM: there is a hole in it. */
SOFTXE_C_API int softxe_process_discard(softxe_process* process, softxe_range range, softxe_error* error);
/* mremap(MREMAP_MAYMOVE). EINVAL: not page aligned, or no bytes. EFAULT: the old interval is not one mapping. */
SOFTXE_C_API int softxe_process_remap(softxe_process* process, softxe_range range, uint64_t new_bytes,
                                      uint64_t* address, softxe_error* error);
/* Any memory call by its number. `*result` is what the kernel returns: a negative errno where it refuses, then the call
 * itself still returns 0. ENOSYS: the process is simulated. */
SOFTXE_C_API int softxe_process_system_call(softxe_process* process, long number, const long arguments[6], long* result,
                                            softxe_error* error);

/* Loads and stores of the CPU. EFAULT: would have been SIGSEGV. */
SOFTXE_C_API int softxe_process_read(softxe_process* process, uint64_t at, void* to, size_t bytes, softxe_error* error);
SOFTXE_C_API int softxe_process_write(softxe_process* process, uint64_t at, const void* from, size_t bytes,
                                      softxe_error* error);
/* `*state`: enum softxe_page_state */
SOFTXE_C_API int softxe_process_page_state(softxe_process* process, uint64_t at, uint32_t* state, softxe_error* error);
/* Time passes. ENOSYS: the process is live. */
SOFTXE_C_API int softxe_process_advance_ns(softxe_process* process, uint64_t ns, softxe_error* error);

/* Around fork() without SOFTXE_HOOKS_PATCH_LIBC: everything comes home, then parent and child go on alone. In the child
 * no object works any more. A simulated process has nothing to do. EBADF */
SOFTXE_C_API int softxe_process_before_fork(softxe_process* process, softxe_error* error);
SOFTXE_C_API int softxe_process_after_fork_in_parent(softxe_process* process, softxe_error* error);
SOFTXE_C_API int softxe_process_after_fork_in_child(softxe_process* process, softxe_error* error);
/* For handlers of SIGSEGV and SIGBUS, with their third argument: 1 when the fault was the engine's and the handler has
 * to return, 0 otherwise and for NULL. */
SOFTXE_C_API int softxe_process_fixed_up(void* ucontext);

/* --- devices and buffers ------------------------------------------------------------------------------------------ */

/* When an unmap puts attributes back: for mirrors bound with the flag, always, or exactly what was unmapped. */
enum softxe_attribute_reset { SOFTXE_RESET_FLAG = 0, SOFTXE_RESET_ALWAYS = 1, SOFTXE_RESET_EXACT = 2 };
/* SOFTXE_COLLECTOR_MANUAL: passes run in faults, binds and softxe_vm_collect() only; then everything is deterministic.
 */
enum softxe_collector { SOFTXE_COLLECTOR_MANUAL = 0, SOFTXE_COLLECTOR_THREAD = 1 };
enum softxe_placement { SOFTXE_PLACEMENT_SYSTEM = 0, SOFTXE_PLACEMENT_VRAM = 1, SOFTXE_PLACEMENT_EITHER = 2 };

typedef struct softxe_device_options {
  size_t struct_bytes;
  const char* profile; /* bmg (also for NULL), pvc, lnl, cri, nvlp */
  /* Per tile; 0: as the profile says. 2 MiB to 1 TiB in steps of 2 MiB. */
  uint64_t vram_bytes;
  uint32_t reset;     /* enum softxe_attribute_reset */
  uint32_t collector; /* enum softxe_collector */
} softxe_device_options;

/* SOFTXE_OUT */
typedef struct softxe_device_info {
  size_t struct_bytes;
  uint32_t tiles;
} softxe_device_info;

/* SOFTXE_OUT */
typedef struct softxe_buffer_info {
  size_t struct_bytes;
  uint64_t bytes;
  void* data;       /* its contents; valid until the buffer is destroyed and unbound everywhere */
  uint32_t in_vram; /* 0 or 1 */
} softxe_buffer_info;

/* EINVAL: no such profile, or no such size of VRAM. */
SOFTXE_C_API int softxe_device_create(softxe_process* process, const softxe_device_options* options,
                                      softxe_device** device, softxe_error* error);
SOFTXE_C_API int softxe_device_get_info(softxe_device* device, softxe_device_info* info, softxe_error* error);
/* EBADF */
SOFTXE_C_API int softxe_device_destroy(softxe_device* device, softxe_error* error);
/* How long a page stays after it was moved for an atomic, whoever wants it. 5 ms at first. EBADF */
SOFTXE_C_API int softxe_device_set_atomic_residency_ns(softxe_device* device, uint64_t ns, softxe_error* error);
/* Memory pressure: everything in VRAM goes back. EBUSY: a page is held where it is. */
SOFTXE_C_API int softxe_device_evict_all(softxe_device* device, softxe_error* error);
/* Counted since the device was made, over all its VMs. ENOENT: no counter of that name. What each one counts is in
 * `man 5 softxe-report`. Events one by one are recorded by `softxe run --trace`, not by this interface. */
SOFTXE_C_API int softxe_device_counter(softxe_device* device, const char* name, uint64_t* value, softxe_error* error);
/* NULL behind the last one. */
SOFTXE_C_API const char* softxe_counter_name(size_t index);

/* EINVAL: no bytes, or VRAM of a device that has none. ENOSPC: larger than what it may live in. */
SOFTXE_C_API int softxe_buffer_create(softxe_device* device, uint64_t bytes, uint32_t placement, softxe_buffer** buffer,
                                      softxe_error* error);
SOFTXE_C_API int softxe_buffer_get_info(softxe_buffer* buffer, softxe_buffer_info* info, softxe_error* error);
/* EBADF. Bindings keep the contents. */
SOFTXE_C_API int softxe_buffer_destroy(softxe_buffer* buffer, softxe_error* error);

/* --- address spaces ----------------------------------------------------------------------------------------------- */

/* SOFTXE_VM_FAULT: GPU page faults, mirrors and attributes. The others: buffers only. */
enum softxe_vm_mode { SOFTXE_VM_FAULT = 0, SOFTXE_VM_LONG_RUNNING = 1, SOFTXE_VM_DMA_FENCE = 2 };
enum softxe_vm_flags { SOFTXE_VM_SCRATCH = 1 };
enum softxe_mirror_flags { SOFTXE_MIRROR_AUTORESET = 1, SOFTXE_MIRROR_READ_ONLY = 2 };
enum softxe_atomics {
  SOFTXE_ATOMICS_UNDEFINED = 0,
  SOFTXE_ATOMICS_DEVICE = 1,
  SOFTXE_ATOMICS_GLOBAL = 2,
  SOFTXE_ATOMICS_CPU = 3
};
/* SOFTXE_LOCATION_DEFAULT: the VRAM of whoever faults. */
enum softxe_location_kind { SOFTXE_LOCATION_DEFAULT = 0, SOFTXE_LOCATION_SYSTEM = 1, SOFTXE_LOCATION_VRAM = 2 };
enum softxe_vma_kind { SOFTXE_VMA_BUFFER = 0, SOFTXE_VMA_NULL = 1, SOFTXE_VMA_MIRROR = 2, SOFTXE_VMA_USERPTR = 3 };
enum softxe_translation_kind {
  SOFTXE_TRANSLATION_NONE = 0,
  SOFTXE_TRANSLATION_SYSTEM = 1,
  SOFTXE_TRANSLATION_VRAM = 2,
  SOFTXE_TRANSLATION_SCRATCH = 3
};

typedef struct softxe_vm_options {
  size_t struct_bytes;
  uint32_t mode;  /* enum softxe_vm_mode */
  uint32_t flags; /* enum softxe_vm_flags */
} softxe_vm_options;

/* Where pages should live. This structure keeps its size. */
typedef struct softxe_location {
  uint32_t kind; /* enum softxe_location_kind */
  uint32_t tile; /* SOFTXE_LOCATION_VRAM: of the VM's device */
} softxe_location;

/* SOFTXE_OUT */
typedef struct softxe_vm_info {
  size_t struct_bytes;
  uint64_t bytes; /* of the address space */
} softxe_vm_info;

typedef struct softxe_vma_info {
  softxe_range range;
  uint32_t kind;               /* enum softxe_vma_kind */
  uint32_t flags;              /* enum softxe_mirror_flags */
  uint32_t atomics;            /* enum softxe_atomics */
  uint32_t default_attributes; /* 0 or 1 */
  softxe_location preferred;
} softxe_vma_info;

/* A piece of a mirror that a fault has dealt with. */
typedef struct softxe_range_info {
  softxe_range range;
  uint32_t in_vram; /* 0 or 1 */
  uint32_t mapped;  /* has valid page-table entries: 0 or 1 */
} softxe_range_info;

/* SOFTXE_OUT: what the page table of a tile says about an address. */
typedef struct softxe_translation {
  size_t struct_bytes;
  uint64_t entry_bytes; /* size of the page */
  uint32_t kind;        /* enum softxe_translation_kind */
  uint32_t writable;    /* 0 or 1 */
} softxe_translation;

/* EINVAL: scratch pages in a mode that has none. */
SOFTXE_C_API int softxe_vm_create(softxe_device* device, const softxe_vm_options* options, softxe_vm** vm,
                                  softxe_error* error);
SOFTXE_C_API int softxe_vm_get_info(softxe_vm* vm, softxe_vm_info* info, softxe_error* error);
/* EBADF */
SOFTXE_C_API int softxe_vm_destroy(softxe_vm* vm, softxe_error* error);

/* Changes of a VM. Every one of them: EINVAL: the range is empty, not page aligned or leaves the VM. ENOENT: the VM was
 * killed. */

/* GPU addresses of the range mean the process's own memory. `flags`: enum softxe_mirror_flags. EINVAL: the VM has
 * another mode than SOFTXE_VM_FAULT. EBUSY: ranges are in use there. */
SOFTXE_C_API int softxe_vm_bind_mirror(softxe_vm* vm, softxe_range range, uint32_t flags, softxe_error* error);
/* EINVAL: leaves the buffer. EXDEV: the buffer is of another device. ENOSPC: no VRAM left. */
SOFTXE_C_API int softxe_vm_bind_buffer(softxe_vm* vm, softxe_range range, softxe_buffer* buffer, uint64_t offset_bytes,
                                       softxe_error* error);
/* Reads zero, drops writes. */
SOFTXE_C_API int softxe_vm_bind_null(softxe_vm* vm, softxe_range range, softxe_error* error);
SOFTXE_C_API int softxe_vm_unbind(softxe_vm* vm, softxe_range range, softxe_error* error);
/* Moves and maps without a fault; best effort. EINVAL: no such tile, or a location of no kind. */
SOFTXE_C_API int softxe_vm_prefetch(softxe_vm* vm, softxe_range range, softxe_location to, softxe_error* error);

/* madvise. `atomics`: enum softxe_atomics. EINVAL: the VM is not in fault mode. */
SOFTXE_C_API int softxe_vm_advise_atomics(softxe_vm* vm, softxe_range range, uint32_t atomics, softxe_error* error);
/* madvise. ENOENT: no VRAM of that tile. */
SOFTXE_C_API int softxe_vm_advise_location(softxe_vm* vm, softxe_range range, softxe_location location,
                                           softxe_error* error);
/* One pass of the collector over unmapped ranges. EINVAL: the VM is not in fault mode. */
SOFTXE_C_API int softxe_vm_collect(softxe_vm* vm, softxe_error* error);

/* Lists, in address order. `*count` is how many elements there is room for, and becomes how many there are.
 * `entry_bytes` is sizeof of an element. ENOSPC: there are more; as many as fit were written, and `*count` says how
 * many there are. `list` may be NULL where `*count` is 0. softxe_vm_vmas() runs the collector first; ENOENT: the VM was
 * killed. */
SOFTXE_C_API int softxe_vm_vmas(softxe_vm* vm, softxe_vma_info* list, size_t entry_bytes, size_t* count,
                                softxe_error* error);
SOFTXE_C_API int softxe_vm_ranges(softxe_vm* vm, softxe_range_info* list, size_t entry_bytes, size_t* count,
                                  softxe_error* error);
/* EINVAL: no such tile. */
SOFTXE_C_API int softxe_vm_translate(softxe_vm* vm, uint64_t at, uint32_t tile, softxe_translation* translation,
                                     softxe_error* error);
/* Same counters as the device's, of this VM. ENOENT: no counter of that name. */
SOFTXE_C_API int softxe_vm_counter(softxe_vm* vm, const char* name, uint64_t* value, softxe_error* error);

/* --- engines ------------------------------------------------------------------------------------------------------ */

/* Machine code of the execution units in memory, and what to run it over; see struct Kernel of softxe.h. */
typedef struct softxe_kernel {
  size_t struct_bytes;
  uint64_t code;        /* address of the first instruction, a multiple of 8 */
  uint64_t arguments;   /* address of at least 32 bytes; 0: none */
  uint32_t groups[3];   /* 0: 1 */
  uint32_t group_items; /* work-items of a group, at most 64 threads; 0: 16 */
  uint32_t lanes;       /* work-items of a thread, 16 or 32; 0: 16 */
  uint32_t local_bytes; /* shared local memory of a group, at most 384 KiB */
} softxe_kernel;

/* Where a text is wrong, both from 1. This structure keeps its size. */
typedef struct softxe_text_place {
  size_t line;
  size_t column;
} softxe_text_place;

/* EINVAL: no such tile. */
SOFTXE_C_API int softxe_engine_create(softxe_vm* vm, uint32_t tile, softxe_engine** engine, softxe_error* error);
/* EBADF */
SOFTXE_C_API int softxe_engine_destroy(softxe_engine* engine, softxe_error* error);

/* Accesses of the GPU. Each translates, faults and retries; when a fault is refused, part of the access may have been
 * done. Every one of them: EINVAL: nothing is bound there. ENOENT: bound as a mirror, and the process has no memory
 * there. EPERM: read-only. EFAULT: the memory refuses the access. EACCES: an atomic where the advice or the place of
 * the memory does not allow one. ETIME, EIO: a fault that found no end. */
SOFTXE_C_API int softxe_engine_read(softxe_engine* engine, uint64_t at, void* to, size_t bytes, softxe_error* error);
SOFTXE_C_API int softxe_engine_write(softxe_engine* engine, uint64_t at, const void* from, size_t bytes,
                                     softxe_error* error);
SOFTXE_C_API int softxe_engine_fill(softxe_engine* engine, softxe_range range, uint8_t value, softxe_error* error);
SOFTXE_C_API int softxe_engine_copy(softxe_engine* engine, uint64_t to, softxe_range from, softxe_error* error);
/* Of one word; `*before` is what was there. EINVAL, too: not naturally aligned. */
SOFTXE_C_API int softxe_engine_fetch_add32(softxe_engine* engine, uint64_t at, uint32_t addend, uint32_t* before,
                                           softxe_error* error);
SOFTXE_C_API int softxe_engine_fetch_add64(softxe_engine* engine, uint64_t at, uint64_t addend, uint64_t* before,
                                           softxe_error* error);
SOFTXE_C_API int softxe_engine_compare_exchange64(softxe_engine* engine, uint64_t at, uint64_t expected,
                                                  uint64_t desired, uint64_t* before, softxe_error* error);

/* Commands from `at` on until the batch ends, at most `commands_max` (0: 2^20). EBADRQC: a bad command. ENOSYS: it
 * needs shaders. ETIME: commands used up; EAGAIN: waits for memory to change: softxe_engine_continue_batch() goes on.
 * EINVAL of that one: no batch is under way. And the errors of accesses. */
SOFTXE_C_API int softxe_engine_run_batch(softxe_engine* engine, uint64_t at, uint32_t commands_max,
                                         softxe_error* error);
SOFTXE_C_API int softxe_engine_continue_batch(softxe_engine* engine, uint32_t commands_max, softxe_error* error);

/* Assembly (docs/KERNELS.md) to machine code. `*bytes` is the room at `code`, and becomes the size of the code. ENOSPC:
 * more room is needed, `*bytes` says how much; nothing else was written. EINVAL: the text is wrong, at `*wrong` unless
 * that is NULL. `code` may be NULL where `*bytes` is 0. */
SOFTXE_C_API int softxe_assemble(const char* text, void* code, size_t* bytes, softxe_text_place* wrong,
                                 softxe_error* error);
/* Runs a kernel until all of its threads have ended, at most `instructions_max` instructions (0: 2^32), on this thread
 * alone. What was done stays done after an error. EINVAL: no such kernel. EBADRQC: an illegal instruction. ENOSYS: one
 * that softxe does not have. EDEADLK: all threads wait for each other. ETIME: instructions used up;
 * softxe_engine_continue_kernel() goes on. EINVAL of that one: no kernel is under way. And the errors of accesses. */
SOFTXE_C_API int softxe_engine_run_kernel(softxe_engine* engine, const softxe_kernel* kernel, uint64_t instructions_max,
                                          softxe_error* error);
SOFTXE_C_API int softxe_engine_continue_kernel(softxe_engine* engine, uint64_t instructions_max, softxe_error* error);

#ifdef __cplusplus
}
#endif

#endif
