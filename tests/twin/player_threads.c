/* Threads whose stacks and mutexes lie in the memory, and names that do. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>

#include "player.h"

static int usable(int64_t first, int64_t pages) {
  unsigned char byte = 0;
  for (int64_t p = first; p < first + pages; ++p)
    if (guarded_load(at_page(p), &byte) != 0 || guarded_store(at_page(p), byte) != 0) return 0;
  return 1;
}

static void* adds_up(void* numbers) {
  const int64_t* n = numbers;
  volatile char deep[6000];
  for (size_t i = 0; i < sizeof deep; ++i) deep[i] = (char)n[2];
  int64_t sum = 0;
  for (size_t i = 0; i < sizeof deep; ++i) sum += deep[i];
  return (void*)sum;
}

/* page pages value: a thread runs and ends in the memory, which is sent away meanwhile */
static void do_thread(const struct op* op) {
  if (!usable(op->n[0], op->n[1])) return say(" refused");
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  say_result(pthread_attr_setstack(&attributes, at_page(op->n[0]), (size_t)(op->n[1] * kPage)));
  send_away(op->n[0], op->n[1]);
  pthread_t thread;
  const int error = pthread_create(&thread, &attributes, adds_up, (void*)op->n);
  if (error != 0) return say(" %d", error);
  for (int i = 0; i < 20; ++i) send_away(op->n[0], op->n[1]);
  void* sum = NULL;
  pthread_join(thread, &sum);
  say(" %lld", (long long)(int64_t)sum);
  memset(at_page(op->n[0]), 0, (size_t)(op->n[1] * kPage)); /* frames have addresses of libraries */
}

static void* dies_with_it(void* mutex) {
  pthread_mutex_lock(mutex);
  send_away(((unsigned char*)mutex - ARENA) / kPage, 1);
  return NULL;
}

/* page protocol: a robust mutex in the memory, whose owner dies */
static void do_robust(const struct op* op) {
  if (!usable(op->n[0], 1)) return say(" refused");
  pthread_mutex_t* const mutex = (pthread_mutex_t*)(at_page(op->n[0]) + 128);
  pthread_mutexattr_t attributes;
  pthread_mutexattr_init(&attributes);
  pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
  pthread_mutexattr_setprotocol(&attributes, op->n[1] != 0 ? PTHREAD_PRIO_INHERIT : PTHREAD_PRIO_NONE);
  pthread_mutex_init(mutex, &attributes);
  pthread_t thread;
  pthread_create(&thread, NULL, dies_with_it, mutex);
  pthread_join(thread, NULL);
  say(" %d", pthread_mutex_lock(mutex));
  pthread_mutex_consistent(mutex);
  say(" %d", pthread_mutex_unlock(mutex));
  memset(mutex, 0, sizeof *mutex); /* it had a thread's number in it */
}

/* page: a name up to the end of the page, one that goes on behind it, and one that goes nowhere */
static void do_name(const struct op* op) {
  unsigned char* const end = at_page(op->n[0] + 1);
  static const char kName[] = "/proc/self/root";
  for (size_t i = 0; i < sizeof kName; ++i)
    if (guarded_store(end - sizeof kName + i, (unsigned char)kName[i]) != 0) return say(" refused");
  const char* const name = (const char*)(end - sizeof kName);
  say_result(access(name, F_OK));
  say_result(readlink(name, (char*)end - 64, 20));
  say_result(readlink(name, (char*)end, 20));
  guarded_store(end - 1, '/');
  say_result(access(name, F_OK));
  const int fd = open(name, O_PATH | O_CLOEXEC | O_DIRECTORY);
  say_result(fd < 0 ? -1 : close(fd));
}

const struct named_operation thread_operations[] = {
    {"thread", do_thread}, {"robust", do_robust}, {"name", do_name}, {NULL, NULL}};
