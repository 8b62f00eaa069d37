/*
 * A process with memory in VRAM dies of a signal that leaves a core file: the client's bytes are in it, the
 * runtime's reservations are not. Handlers of the client's own are as without softxe.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "client_kit.h"

enum { PAGES = XE_BLOCK / XE_PAGE, CORE_MAX = 256 * 1024 * 1024 };

static void by_abort(void) { abort(); }
static volatile int *volatile nowhere;
static void by_load(void) { *nowhere = 1; }
static void by_trap(void) { __asm__ volatile("int3"); }
static void by_division(void) {
  volatile int zero = 0;
  zero = 100 / zero;
}
static void by_illegal(void) { __asm__ volatile("ud2"); }
static void by_kill(void) {
  kill(getpid(), SIGQUIT);
  for (;;) pause();
}

/* The handler that the runtime has there runs on the client's alternate stack, which is as small as one may be. */
static void by_abort_on_a_small_stack(void) {
  const size_t bytes = (size_t)sysconf(_SC_MINSIGSTKSZ) + 1024;
  const stack_t stack = {.ss_sp = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0),
                         .ss_size = bytes};
  if (sigaltstack(&stack, NULL) != 0) xe_die("sigaltstack: %s", strerror(errno));
  abort();
}

static const struct {
  const char *how;
  void (*die)(void);
  int signal;
} kDeaths[] = {{"abort", by_abort, SIGABRT},
               {"a bad store", by_load, SIGSEGV},
               {"a trap", by_trap, SIGTRAP},
               {"a division", by_division, SIGFPE},
               {"no instruction", by_illegal, SIGILL},
               {"SIGQUIT", by_kill, SIGQUIT},
               {"abort, on a small stack", by_abort_on_a_small_stack, SIGABRT}};

static void run_and_die(void (*die)(void)) {
  const struct rlimit all = {RLIM_INFINITY, RLIM_INFINITY};
  setrlimit(RLIMIT_CORE, &all);
  struct xe_device xe;
  kit_open(&xe, 0, KIT_MIRROR_PLAIN);
  char *block = kit_map_aligned(XE_BLOCK);
  for (int i = 0; i < PAGES; ++i) sprintf(block + i * XE_PAGE, "%s%04d", "a page of the cli", i);
  kit_store32(&xe, block + 64, 1);
  if (kit_pages_present(block, XE_BLOCK) != 0) xe_die("the block is not in VRAM");
  die();
  _exit(3);
}

/* How many of the pages are in the file. */
static size_t pages_in(const char *path) {
  FILE *core = fopen(path, "rb");
  static char seen[PAGES];
  static char page[XE_PAGE];
  memset(seen, 0, sizeof seen);
  size_t count = 0;
  while (core != NULL && fread(page, 1, sizeof page, core) == sizeof page) {
    int number = 0;
    if (sscanf(page, "a page of the cli%4d", &number) != 1 || number < 0 || number >= PAGES || seen[number]) continue;
    seen[number] = 1;
    ++count;
  }
  if (core != NULL) fclose(core);
  return count;
}

static void check_death(const char *how, void (*die)(void), int signal, int cores) {
  char folder[] = "/tmp/core_files_XXXXXX";
  if (mkdtemp(folder) == NULL || chdir(folder) != 0) xe_die("no folder: %s", strerror(errno));
  fflush(NULL);
  pid_t child = fork();
  if (child == 0) run_and_die(die);
  int status = 0;
  waitpid(child, &status, 0);
  KIT_CHECK(WIFSIGNALED(status) && WTERMSIG(status) == signal, "%s: status %#x", how, status);
  char with_pid[32];
  sprintf(with_pid, "core.%d", child);
  const char *core = access("core", R_OK) == 0 ? "core" : with_pid;
  struct stat about;
  if (cores && stat(core, &about) == 0) {
    KIT_CHECK(pages_in(core) == PAGES, "%s: %zu of %d pages are in the core file", how, pages_in(core), PAGES);
    KIT_CHECK(about.st_size < CORE_MAX, "%s: a core file of %lld bytes", how, (long long)about.st_size);
  } else {
    KIT_CHECK(!cores, "%s: no core file", how);
  }
  unlink(core);
  if (chdir("/") != 0 || rmdir(folder) != 0) printf("%s stays: %s\n", folder, strerror(errno));
}

static volatile sig_atomic_t handled;
static void on_signal(int signal) { handled = signal; }

/* What sigaction() says and does is the client's own business. */
static void check_handlers(void) {
  struct xe_device xe;
  kit_open(&xe, 0, KIT_MIRROR_PLAIN);
  const int signals[] = {SIGQUIT, SIGABRT, SIGFPE, SIGTRAP, SIGXCPU};
  for (size_t i = 0; i < sizeof signals / sizeof signals[0]; ++i) {
    struct sigaction before, after;
    sigaction(signals[i], NULL, &before);
    KIT_CHECK(before.sa_handler == SIG_DFL && before.sa_flags == 0, "signal %d is not at its default", signals[i]);
    const struct sigaction mine = {.sa_handler = on_signal, .sa_flags = SA_NODEFER};
    sigaction(signals[i], &mine, &before);
    KIT_CHECK(before.sa_handler == SIG_DFL, "signal %d: the action before", signals[i]);
    raise(signals[i]);
    KIT_CHECK(handled == signals[i], "signal %d did not reach its handler", signals[i]);
    signal(signals[i], SIG_IGN);
    raise(signals[i]);
    KIT_CHECK(signal(signals[i], SIG_DFL) == SIG_IGN, "signal %d was not ignored", signals[i]);
    sigaction(signals[i], NULL, &after);
    KIT_CHECK(after.sa_handler == SIG_DFL, "signal %d: the action after", signals[i]);
  }
}

int main(void) {
  /* Only where the kernel puts core files beside the program. */
  char pattern[128] = "";
  FILE *file = fopen("/proc/sys/kernel/core_pattern", "r");
  if (file != NULL && fgets(pattern, sizeof pattern, file) == NULL) pattern[0] = '\0';
  if (file != NULL) fclose(file);
  const int cores = strncmp(pattern, "core", 4) == 0 && strchr(pattern, '%') == NULL;
  if (!cores) printf("core files go to %s: only the ends are looked at\n", pattern);
  for (size_t i = 0; i < sizeof kDeaths / sizeof kDeaths[0]; ++i)
    check_death(kDeaths[i].how, kDeaths[i].die, kDeaths[i].signal, cores);
  check_handlers();
  return kit_finish("core_files");
}
