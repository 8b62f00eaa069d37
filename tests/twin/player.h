/*
 * A player of memory calls: the same list of operations gives the same lines, with and without softxe.
 *
 *   player.c           reads the list, calls the operations, prints results
 *   player_memory.c    calls that change mappings, loads and stores
 *   player_io.c        the kernel reading and writing the memory: pipes, files, /proc/self/mem, process_vm_*
 *   player_process.c   fork, spawn, threads that load and store meanwhile
 *   player_debug.c     another process looking in
 *   player_signals.c   handlers
 *   player_fds.c       descriptors, and children that close them
 *   player_async.c     I/O that lasts, or pins pages
 *   player_threads.c   threads, mutexes and names that lie in the memory
 *   player_gpu.c       what a device does with the memory; without a device, the CPU does the same
 *
 * All memory lies in one arena at a fixed address, so that results can be compared. Nothing here uses malloc: the
 * heap would move with the list.
 */
#ifndef SOFTXE_TESTS_TWIN_PLAYER_H
#define SOFTXE_TESTS_TWIN_PLAYER_H

#include <setjmp.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>

enum { kPage = 4096, kArenaPages = 8192, kNumbersMax = 24 };
#define ARENA ((unsigned char*)0x200000000000)

/* One operation's numbers, as the list has them. */
struct op {
  int count;
  int64_t n[kNumbersMax];
};

/* Where in the arena page `n` is. */
static inline unsigned char* at_page(int64_t n) { return ARENA + n * kPage; }

/* Prints into the line of the operation that is running. */
void say(const char* format, ...) __attribute__((format(printf, 1, 2)));
/* The result of a call: errno when it failed. */
void say_result(int64_t result);
/* The result of a call that returns an address: relative to the arena. */
void say_address(const void* result);

/* Loads and stores that may fault: 0, or the signal and its code as 100 * signal + code. */
int guarded_load(const unsigned char* from, unsigned char* value);
int guarded_store(unsigned char* to, unsigned char value);
/* Begins a stretch that may fault in this thread; used by the functions above and by the storms. */
extern __thread sigjmp_buf* guard_jump;
void install_guards(void);

/* FNV-1a over the readable pages of [page, page + pages), and what the others gave instead. */
void say_sum(int64_t page, int64_t pages);
/* Writes a pattern of `seed` into each page's start, middle and end. */
void store_pattern(int64_t page, int64_t pages, uint64_t seed);
/* A descriptor of the list: memfds 0..3. */
int file_of(int64_t index);

typedef void operation(const struct op* op);
struct named_operation {
  const char* name;
  operation* run;
};
extern const struct named_operation memory_operations[], io_operations[], process_operations[], gpu_operations[],
    debug_operations[], signal_operations[], fd_operations[], async_operations[], thread_operations[];

/* Ends the storm that is under way, if there is one, and says whether it found wrong words. */
void calm_down(void);
/* To VRAM, where there is one. */
void send_away(int64_t page, int64_t pages);
/* Called before the first operation; without a device nothing happens. */
void gpu_start(void);

#endif
