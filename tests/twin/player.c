/* player LIST: plays the operations of a file; one line each on standard output. See player.h. */
#define _GNU_SOURCE
#include "player.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static char line[1 << 16];
static size_t used;

void say(const char* format, ...) {
  va_list args;
  va_start(args, format);
  const int n = vsnprintf(line + used, sizeof line - used, format, args);
  va_end(args);
  if (n > 0) used += (size_t)n;
  if (used > sizeof line - 1) used = sizeof line - 1;
}

void say_result(int64_t result) {
  if (result == -1)
    say(" %s", strerrorname_np(errno));
  else
    say(" %lld", (long long)result);
}

void say_address(const void* result) {
  const unsigned char* p = result;
  if (result == MAP_FAILED)
    say(" %s", strerrorname_np(errno));
  else if (p >= ARENA && p < ARENA + (int64_t)kArenaPages * kPage)
    say(" A+%#llx", (unsigned long long)(p - ARENA));
  else
    say(" elsewhere");
}

/* ---- accesses that may fault ---- */

__thread sigjmp_buf* guard_jump;

/* The handler reads it behind the compiler's back. */
static void arm(sigjmp_buf* jump) {
  guard_jump = jump;
  __asm__ volatile("" ::: "memory");
}

static void on_fault(int number, siginfo_t* info, void* context) {
  (void)context;
  if (guard_jump == NULL) {
    signal(number, SIG_DFL);
    return;
  }
  siglongjmp(*guard_jump, 100 * number + (info->si_code & 63));
}

void install_guards(void) {
  struct sigaction action;
  memset(&action, 0, sizeof action);
  action.sa_sigaction = on_fault;
  action.sa_flags = SA_SIGINFO;
  sigaction(SIGSEGV, &action, NULL);
  sigaction(SIGBUS, &action, NULL);
}

int guarded_load(const unsigned char* from, unsigned char* value) {
  sigjmp_buf jump;
  const int fault = sigsetjmp(jump, 1);
  if (fault == 0) {
    arm(&jump);
    *value = *(const volatile unsigned char*)from;
  }
  guard_jump = NULL;
  return fault;
}

int guarded_store(unsigned char* to, unsigned char value) {
  sigjmp_buf jump;
  const int fault = sigsetjmp(jump, 1);
  if (fault == 0) {
    arm(&jump);
    *(volatile unsigned char*)to = value;
  }
  guard_jump = NULL;
  return fault;
}

void say_sum(int64_t page, int64_t pages) {
  uint64_t hash = 0xcbf29ce484222325;
  int last = -1;
  for (int64_t p = page; p < page + pages; ++p) {
    unsigned char byte = 0;
    const int fault = guarded_load(at_page(p), &byte);
    if (fault != last) say(" %lld:%d", (long long)p, fault);
    last = fault;
    if (fault != 0) continue;
    /* A page may still be cut off in its middle by another thread; none does. */
    const uint64_t* words = (const uint64_t*)at_page(p);
    for (size_t i = 0; i < kPage / 8; ++i) hash = (hash ^ words[i]) * 0x100000001b3;
  }
  say(" #%016llx", (unsigned long long)hash);
}

void store_pattern(int64_t page, int64_t pages, uint64_t seed) {
  int last = 0;
  for (int64_t p = page; p < page + pages; ++p) {
    static const size_t kPlaces[] = {0, 1, 2048, 4095};
    int fault = 0;
    for (size_t i = 0; i < 4 && fault == 0; ++i)
      fault = guarded_store(at_page(p) + kPlaces[i], (unsigned char)(seed * 31 + (uint64_t)p * 7 + i));
    if (fault != last) say(" %lld:%d", (long long)p, fault);
    last = fault;
  }
}

/* ---- the list ---- */

static const struct named_operation* find(const char* name) {
  static const struct named_operation* const kTables[] = {memory_operations, io_operations,    process_operations,
                                                          gpu_operations,    debug_operations, signal_operations,
                                                          fd_operations,     async_operations, thread_operations};
  for (size_t t = 0; t < sizeof kTables / sizeof kTables[0]; ++t)
    for (const struct named_operation* o = kTables[t]; o->name != NULL; ++o)
      if (strcmp(o->name, name) == 0) return o;
  return NULL;
}

static void flush_line(void) {
  line[used++] = '\n';
  for (size_t done = 0; done < used;) {
    const ssize_t n = write(STDOUT_FILENO, line + done, used - done);
    if (n <= 0) _exit(3);
    done += (size_t)n;
  }
  used = 0;
}

static int play(char* text, int number) {
  char* rest = NULL;
  const char* name = strtok_r(text, " ", &rest);
  if (name == NULL || *name == '#') return 0;
  const struct named_operation* found = find(name);
  if (found == NULL) {
    fprintf(stderr, "player: line %d: no operation '%s'\n", number, name);
    return 2;
  }
  struct op op = {.count = 0};
  for (const char* word; op.count < kNumbersMax && (word = strtok_r(NULL, " ", &rest)) != NULL;)
    op.n[op.count++] = strtoll(word, NULL, 0);
  say("%d %s", number, name);
  errno = 0;
  found->run(&op);
  flush_line();
  return 0;
}

static char list[1 << 20];

int main(int argc, char** argv) {
  if (argc != 2) {
    fprintf(stderr, "usage: player LIST\n");
    return 2;
  }
  const int file = open(argv[1], O_RDONLY | O_CLOEXEC);
  const ssize_t have = file < 0 ? -1 : read(file, list, sizeof list - 1);
  if (have < 0) {
    perror(argv[1]);
    return 2;
  }
  close(file);
  install_guards();
  gpu_start();
  char* rest = NULL;
  int number = 0;
  for (char* text = strtok_r(list, "\n", &rest); text != NULL; text = strtok_r(NULL, "\n", &rest)) {
    const int failed = play(text, ++number);
    if (failed != 0) return failed;
  }
  return 0;
}
