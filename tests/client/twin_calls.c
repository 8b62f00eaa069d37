/*
 * Memory calls on two stretches of memory, of which one is in VRAM: answers, errors and contents are the same after
 * each, also for calls that fail or fail half-way, and another thread that stores to both loses nothing.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "client_kit.h"

enum { BYTES = 64 * 1024, PAGE = 4096, PAGES = BYTES / PAGE, COUNTED = 3, ROUNDS = 40 };

static struct xe_device xe;
static int write_only;

static void to_vram(void *start, size_t bytes) {
  KIT_CHECK(kit_prefetch(&xe, start, bytes) == 0, "prefetch");
}

static uint64_t *word(unsigned char *at, int page) { return (uint64_t *)(at + page * PAGE); }

/* --- the calls: each on `at`, a block of 2 MiB of which the first pages may be in VRAM --------------------- */

static long result_of(void *got, unsigned char *at) { return got == MAP_FAILED ? -errno : (long)((unsigned char *)got - at); }
static long of(int got) { return got < 0 ? -errno : got; }

static long map_nothing(unsigned char *at) {
  return result_of(mmap(at, BYTES, PROT_READ, MAP_PRIVATE | MAP_FIXED, 9999, 0), at);
}
static long map_unreadable(unsigned char *at) {
  return result_of(mmap(at, BYTES, PROT_READ, MAP_PRIVATE | MAP_FIXED, write_only, 0), at);
}
static long map_where_something_is(unsigned char *at) {
  return result_of(mmap(at, BYTES, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0), at);
}
static long move_onto_itself(unsigned char *at) {
  return result_of(mremap(at, BYTES, BYTES, MREMAP_MAYMOVE | MREMAP_FIXED, at + PAGE), at);
}
static long move_nothing(unsigned char *at) {
  return result_of(mremap((void *)PAGE, PAGE, BYTES, MREMAP_MAYMOVE | MREMAP_FIXED, at), at);
}
static long detach_nothing(unsigned char *at) { return of(shmdt(at)); }
static long attach_nothing(unsigned char *at) { return result_of(shmat(0x7fffffff, at, SHM_REMAP), at); }
static long protect_wrongly(unsigned char *at) { return of(mprotect(at, BYTES, 0x10000)); }
static long remove_memory(unsigned char *at) { return of(madvise(at, BYTES, MADV_REMOVE)); }
static long advise_vector_of_nowhere(unsigned char *at) {
  static int self = -1;
  if (self < 0) self = (int)syscall(SYS_pidfd_open, getpid(), 0);
  (void)at;
  return of((int)syscall(SYS_process_madvise, self, 0x1000, 1, MADV_COLD, 0));
}

static long discard_up_to_locked(unsigned char *at) {
  mlock(at + 8 * PAGE, PAGE);
  long result = of(madvise(at + 6 * PAGE, 4 * PAGE, MADV_DONTNEED));
  munlock(at + 8 * PAGE, PAGE);
  return result;
}
static long discard_over_a_hole(unsigned char *at) {
  munmap(at + 8 * PAGE, PAGE);
  return of(madvise(at + 6 * PAGE, 4 * PAGE, MADV_DONTNEED));
}
static long protect_up_to_a_hole(unsigned char *at) {
  munmap(at + 8 * PAGE, PAGE);
  return of(mprotect(at + 6 * PAGE, 4 * PAGE, PROT_READ));
}
static long lock_up_to_a_hole(unsigned char *at) {
  munmap(at + 8 * PAGE, PAGE);
  return of(mlock(at + 6 * PAGE, 4 * PAGE));
}
static long shared_a_second_time(unsigned char *at) {
  uint64_t *shared = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  *shared = 42;
  long result = result_of(mremap(shared, 0, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, at + 8 * PAGE), at);
  munmap(shared, PAGE);
  return result;
}
static long shared_segment_in_pieces(unsigned char *at) {
  int id = shmget(IPC_PRIVATE, 4 * PAGE, IPC_CREAT | 0600);
  long result = result_of(shmat(id, at + 6 * PAGE, SHM_REMAP), at);
  shmctl(id, IPC_RMID, NULL);
  mprotect(at + 8 * PAGE, PAGE, PROT_READ);
  return result * 1000 + of(shmdt(at + 6 * PAGE));
}
static long move_away_and_keep(unsigned char *at) {
  return result_of(mremap(at + 8 * PAGE, 2 * PAGE, 2 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED | 4, at + 12 * PAGE), at);
}
static long replace(unsigned char *at) {
  return result_of(mmap(at + 8 * PAGE, 100, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0), at);
}

static const struct call {
  const char *name;
  long (*make)(unsigned char *at);
} calls[] = {
    {"mmap of no descriptor", map_nothing},
    {"mmap of a file that cannot be read", map_unreadable},
    {"mmap with NOREPLACE", map_where_something_is},
    {"mremap onto itself", move_onto_itself},
    {"mremap of nothing", move_nothing},
    {"shmdt of nothing", detach_nothing},
    {"shmat of nothing", attach_nothing},
    {"mprotect to nothing known", protect_wrongly},
    {"MADV_REMOVE", remove_memory},
    {"process_madvise of a vector that is nowhere", advise_vector_of_nowhere},
    {"MADV_DONTNEED up to locked memory", discard_up_to_locked},
    {"MADV_DONTNEED over a hole", discard_over_a_hole},
    {"mprotect up to a hole", protect_up_to_a_hole},
    {"mlock up to a hole", lock_up_to_a_hole},
    {"mremap of no bytes", shared_a_second_time},
    {"shmdt of a segment in pieces", shared_segment_in_pieces},
    {"mremap that keeps the mapping", move_away_and_keep},
    {"mmap over a part", replace},
};

/* --- the twins ---------------------------------------------------------------------------------------------- */

static unsigned char *volatile counted; /* the block whose page COUNTED the other thread adds to */
static atomic_ulong additions, lost;
static atomic_bool stop;

static void *add(void *unused) {
  (void)unused;
  while (!atomic_load(&stop)) {
    volatile uint64_t *at = word(counted, COUNTED);
    uint64_t before = *at;
    if (before != atomic_load(&additions)) atomic_fetch_add(&lost, 1);
    *at = before + 1;
    atomic_store(&additions, before + 1);
  }
  return NULL;
}

static void fill(unsigned char *at) {
  for (int i = 0; i < PAGES; ++i) *word(at, i) = i == COUNTED ? 0 : 100 + (uint64_t)i;
}

/* The first word of a page, or why it cannot be read. */
static long look(unsigned char *at, int page) {
  uint64_t value = 0;
  struct iovec to = {&value, sizeof value}, from = {word(at, page), sizeof value};
  return process_vm_readv(getpid(), &to, 1, &from, 1, 0) == (ssize_t)sizeof value ? (long)value : -errno;
}

static void compare(const struct call *call) {
  unsigned char *plain = kit_map_aligned(XE_BLOCK), *moved = kit_map_aligned(XE_BLOCK);
  fill(plain);
  fill(moved);
  to_vram(moved, BYTES);
  long expected = call->make(plain), got = call->make(moved);
  KIT_CHECK(got == expected, "%s: %ld, in system memory %ld", call->name, got, expected);
  for (int i = 0; i < PAGES; ++i) {
    long a = look(moved, i), b = look(plain, i);
    KIT_CHECK(a == b, "%s: page %d reads %ld, in system memory %ld", call->name, i, a, b);
  }
  kit_unmap(plain, XE_BLOCK);
  kit_unmap(moved, XE_BLOCK);
}

static void beside_a_writer(void) {
  pthread_t thread;
  counted = kit_map_aligned(XE_BLOCK);
  fill(counted);
  KIT_CHECK(pthread_create(&thread, NULL, add, NULL) == 0, "a thread");
  while (atomic_load(&additions) == 0) sched_yield();
  for (size_t i = 0; i < 9; ++i) { /* calls that fail as a whole */
    for (int round = 0; round < ROUNDS; ++round) {
      to_vram(counted, BYTES);
      calls[i].make(counted);
    }
    KIT_CHECK(atomic_load(&lost) == 0, "%s: %lu additions of another thread are lost", calls[i].name, atomic_load(&lost));
  }
  atomic_store(&stop, 1);
  pthread_join(thread, NULL);
  kit_unmap(counted, XE_BLOCK);
}

int main(void) {
  kit_open(&xe, 0, KIT_MIRROR_AUTORESET);
  write_only = open("/dev/shm", O_TMPFILE | O_WRONLY, 0600);
  for (size_t i = 0; i < sizeof calls / sizeof *calls; ++i) compare(&calls[i]);
  beside_a_writer();
  xe_close(&xe);
  return kit_finish("twin_calls");
}
