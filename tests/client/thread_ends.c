/*
 * How threads end with a device open: the process ends with its last thread, whichever way that one leaves, and what
 * the kernel stores for a thread that has ended (the word that pthread_join() waits for, the words of robust mutexes)
 * arrives, wherever the page is.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <threads.h>
#include <unistd.h>

#include "client_kit.h"

static struct xe_device xe;

/* ---- the last thread; each in a child with a device of its own ---- */

enum { ATEXIT_RAN = 7 };

static void at_exit(void) { _exit(ATEXIT_RAN); }

static void* outlives_main(void* main_thread) {
  pthread_join(*(pthread_t*)main_thread, NULL);
  return NULL;
}

static int c11_outlives_main(void* main_thread) {
  pthread_join(*(pthread_t*)main_thread, NULL);
  return 3;
}

static pthread_t first;

static void last_is_main(void) { pthread_exit(NULL); }

static void last_is_another(void) {
  pthread_t thread;
  pthread_create(&thread, NULL, outlives_main, &first);
  pthread_detach(thread);
  pthread_exit(NULL);
}

static void last_is_a_c11_thread(void) {
  thrd_t thread;
  thrd_create(&thread, c11_outlives_main, &first);
  pthread_exit(NULL);
}

static void last_is_cancelled(void) {
  pthread_cancel(pthread_self());
  pthread_testcancel();
}

static void last_leaves_by_system_call(void) { syscall(SYS_exit, 5); }

static void* leaves_by_system_call(void* main_thread) {
  pthread_join(*(pthread_t*)main_thread, NULL);
  syscall(SYS_exit, 6);
  return NULL;
}

static void another_leaves_by_system_call(void) {
  pthread_t thread;
  pthread_create(&thread, NULL, leaves_by_system_call, &first);
  pthread_exit(NULL);
}

static const struct {
  const char* name;
  void (*body)(void);
  int status; /* what Linux says */
} lasts[] = {
    {"main by pthread_exit", last_is_main, ATEXIT_RAN},
    {"another thread", last_is_another, ATEXIT_RAN},
    {"a C11 thread", last_is_a_c11_thread, ATEXIT_RAN},
    {"main, cancelled", last_is_cancelled, ATEXIT_RAN},
    {"main by a system call", last_leaves_by_system_call, 5},
    {"another thread by a system call", another_leaves_by_system_call, 0}, /* the status is the first thread's */
};

static void process_ends_with_its_last_thread(void) {
  for (size_t i = 0; i < sizeof lasts / sizeof *lasts; ++i) {
    pid_t child = fork();
    if (child == 0) {
      struct xe_device own;
      first = pthread_self();
      kit_open(&own, 0, KIT_MIRROR_PLAIN);
      atexit(at_exit);
      lasts[i].body();
      _exit(99);
    }
    int status = 0;
    waitpid(child, &status, 0);
    KIT_CHECK(WIFEXITED(status) && WEXITSTATUS(status) == lasts[i].status, "%s: status %#x", lasts[i].name, status);
  }
}

/* ---- threads whose stacks, and so whose descriptors, go to VRAM all the time ---- */

enum { THREADS = 8, STACK = 64 << 10, ROUNDS = 200 };

static unsigned char* stacks;
static int stirring;

static void* stir(void* unused) {
  while (__atomic_load_n(&stirring, __ATOMIC_RELAXED)) kit_prefetch(&xe, stacks, THREADS * STACK);
  return unused;
}

static void* nothing(void* argument) { return argument; }

static void joins_end(void) {
  stacks = kit_map_aligned(XE_BLOCK);
  memset(stacks, 1, THREADS * STACK);
  pthread_t stirrer;
  stirring = 1;
  pthread_create(&stirrer, NULL, stir, NULL);
  for (int round = 0; round < ROUNDS; ++round) {
    pthread_t threads[THREADS];
    int numbers[THREADS];
    for (int i = 0; i < THREADS; ++i) {
      pthread_attr_t attributes;
      pthread_attr_init(&attributes);
      pthread_attr_setstack(&attributes, stacks + i * STACK, STACK);
      int error = pthread_create(&threads[i], &attributes, nothing, &numbers[i]);
      KIT_CHECK(error == 0, "pthread_create: %s", strerror(error));
    }
    for (int i = 0; i < THREADS; ++i) {
      void* result = NULL;
      pthread_join(threads[i], &result);
      KIT_CHECK(result == &numbers[i], "round %d, thread %d", round, i);
    }
  }
  __atomic_store_n(&stirring, 0, __ATOMIC_RELAXED);
  pthread_join(stirrer, NULL);
  kit_unmap(stacks, XE_BLOCK);
}

/* ---- robust mutexes of a thread that dies with them ---- */

enum { MUTEXES = 5 };
static pthread_mutex_t* mutexes[MUTEXES];

static void* dies_with_them(void* block) {
  for (int i = 0; i < MUTEXES; ++i) pthread_mutex_lock(mutexes[i]);
  kit_prefetch(&xe, block, XE_BLOCK);
  return NULL;
}

static void owners_deaths_are_seen(void) {
  unsigned char* block = kit_map_aligned(XE_BLOCK);
  pthread_mutexattr_t attributes;
  pthread_mutexattr_init(&attributes);
  pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
  for (int i = 0; i < MUTEXES; ++i) {
    pthread_mutexattr_setprotocol(&attributes, i % 2 == 0 ? PTHREAD_PRIO_NONE : PTHREAD_PRIO_INHERIT);
    mutexes[i] = (pthread_mutex_t*)(block + i * 64 * 4096);
    pthread_mutex_init(mutexes[i], &attributes);
  }
  pthread_t thread;
  pthread_create(&thread, NULL, dies_with_them, block);
  pthread_join(thread, NULL);
  for (int i = 0; i < MUTEXES; ++i) {
    int error = pthread_mutex_lock(mutexes[i]);
    KIT_CHECK(error == EOWNERDEAD, "mutex %d: %s", i, strerror(error));
  }
}

int main(void) {
  kit_open(&xe, 0, KIT_MIRROR_PLAIN);
  process_ends_with_its_last_thread();
  joins_end();
  owners_deaths_are_seen();
  return kit_finish("thread_ends");
}
