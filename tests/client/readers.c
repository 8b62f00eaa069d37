/*
 * Whoever reads or writes the memory of a process from outside finds the bytes of pages in VRAM: /proc/PID/mem
 * (own, and of another process), process_vm_readv and process_vm_writev, PTRACE_PEEKDATA and PTRACE_POKEDATA.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "client_kit.h"

enum { WORDS = XE_BLOCK / 8, PAGE_WORDS = XE_PAGE / 8 };
static const uint64_t kFirst = 0x1122334455667700;

static struct xe_device xe;
static uint64_t *block;

static void to_vram(void) {
  for (size_t i = 0; i < WORDS; ++i) block[i] = kFirst + i;
  kit_store32(&xe, (char *)&block[WORDS - 1], 7);
  KIT_CHECK(kit_pages_present(block, XE_BLOCK) == 0, "the block is not in VRAM");
}

/* What a reader does in the process `pid`: 0, or the number of the step that went wrong. */
typedef int reader(pid_t pid);

static int open_memory(pid_t pid, int flags) {
  char path[32];
  sprintf(path, "/proc/%d/mem", pid);
  return open(path, flags);
}

static int read_one_word(pid_t pid) {
  uint64_t word = 0;
  int fd = open_memory(pid, O_RDONLY);
  int wrong = pread(fd, &word, 8, (off_t)kit_address(&block[3])) != 8 ? 1 : word != kFirst + 3 ? 2 : 0;
  close(fd);
  return wrong;
}

static int read_everything(pid_t pid) {
  static uint64_t words[WORDS];
  int fd = open_memory(pid, O_RDONLY);
  ssize_t got = pread(fd, words, XE_BLOCK, (off_t)kit_address(block));
  close(fd);
  return got != XE_BLOCK                                      ? 1
         : memcmp(words, block, 4096) != 0 && getpid() == pid ? 2
         : words[WORDS - 2] != kFirst + WORDS - 2             ? 3
                                                              : 0;
}

/* The first page is home, and the read ends there. */
static int read_over_a_border(pid_t pid) {
  uint64_t words[2 * PAGE_WORDS];
  int fd = open_memory(pid, O_RDONLY);
  ssize_t got = pread(fd, words, sizeof words, (off_t)(kit_address(block) - XE_PAGE));
  close(fd);
  return got != (ssize_t)sizeof words ? 1 : words[0] != 0 ? 2 : words[PAGE_WORDS] != kFirst ? 3 : 0;
}

static int read_by_position(pid_t pid) {
  uint64_t words[2] = {0, 0};
  int fd = open_memory(pid, O_RDONLY);
  struct iovec parts[2] = {{&words[0], 8}, {&words[1], 8}};
  int wrong = 0;
  if (lseek(fd, (off_t)kit_address(&block[5]), SEEK_SET) < 0 || read(fd, words, 8) != 8 || words[0] != kFirst + 5)
    wrong = 1;
  if (readv(fd, parts, 2) != 16 || words[0] != kFirst + 6 || words[1] != kFirst + 7) wrong = 2;
  close(fd);
  return wrong;
}

static int write_words(pid_t pid) {
  const uint64_t values[2] = {70, 71};
  int fd = open_memory(pid, O_RDWR);
  int wrong = 0;
  if (pwrite(fd, &values[0], 8, (off_t)kit_address(&block[513])) != 8) wrong = 1;
  if (lseek(fd, (off_t)kit_address(&block[1025]), SEEK_SET) < 0 || write(fd, &values[1], 8) != 8) wrong = 2;
  close(fd);
  return wrong;
}

static int by_process_vm(pid_t pid) {
  uint64_t word = 0, value = 72;
  struct iovec here = {&word, 8}, there = {&block[9], 8}, from = {&value, 8}, to = {&block[1537], 8};
  if (process_vm_readv(pid, &here, 1, &there, 1, 0) != 8 || word != kFirst + 9) return 1;
  return process_vm_writev(pid, &from, 1, &to, 1, 0) != 8 ? 2 : 0;
}

static int by_ptrace(pid_t pid) {
  int status = 0, wrong = 0;
  if (ptrace(PTRACE_ATTACH, pid, NULL, NULL) != 0) return 0; /* not allowed here */
  waitpid(pid, &status, __WALL);
  errno = 0;
  if ((uint64_t)ptrace(PTRACE_PEEKDATA, pid, &block[11], NULL) != kFirst + 11 || errno != 0) wrong = 1;
  if (ptrace(PTRACE_POKEDATA, pid, &block[2049], (void *)73) != 0) wrong = 2;
  ptrace(PTRACE_DETACH, pid, NULL, NULL);
  return wrong;
}

static const struct {
  const char *what;
  reader *read;
  size_t index; /* of a word that is written, 0: none */
  uint64_t value;
} kReaders[] = {
    {"a word of /proc/PID/mem", read_one_word, 0, 0},
    {"all of it", read_everything, 0, 0},
    {"from a page at home into VRAM", read_over_a_border, 0, 0},
    {"by position", read_by_position, 0, 0},
    {"writes to /proc/PID/mem", write_words, 513, 70},
    {"process_vm_readv and writev", by_process_vm, 1537, 72},
    {"PEEKDATA and POKEDATA", by_ptrace, 2049, 73},
};

/* A child, forked before the pages go to VRAM: it reads its parent's. */
static int in_child(reader *read_it) {
  int go[2];
  char byte = 0;
  pid_t parent = getpid();
  if (pipe(go) != 0) xe_die("pipe: %s", strerror(errno));
  fflush(NULL);
  pid_t child = fork();
  if (child == 0) {
    if (read(go[0], &byte, 1) != 1) _exit(100);
    _exit(read_it(parent));
  }
  to_vram();
  if (write(go[1], "x", 1) != 1) xe_die("pipe: %s", strerror(errno));
  int status = 0;
  while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  close(go[0]);
  close(go[1]);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* What a debugger calls in the process that it has stopped. */
static void check_home(void) {
  void (*home)(void) = (void (*)(void))dlsym(RTLD_DEFAULT, "softxe_home");
  if (home == NULL) xe_die("no softxe_home()");
  to_vram();
  home();
  KIT_CHECK(kit_pages_present(block, XE_BLOCK) == XE_BLOCK / XE_PAGE, "softxe_home() left pages in VRAM");
  KIT_CHECK(block[3] == kFirst + 3, "softxe_home(): word 3 is %#llx", (unsigned long long)block[3]);
}

int main(void) {
  alarm(100);
  prctl(PR_SET_PTRACER, (unsigned long)-1, 0, 0, 0);
  kit_open(&xe, 0, KIT_MIRROR_PLAIN);
  block = (uint64_t *)kit_map_aligned(2 * XE_BLOCK) + WORDS;
  *(volatile uint64_t *)(block - PAGE_WORDS) = 0;
  check_home();
  for (size_t i = 0; i < sizeof kReaders / sizeof kReaders[0]; ++i) {
    int wrong = in_child(kReaders[i].read);
    KIT_CHECK(wrong == 0, "%s, by another process: %d", kReaders[i].what, wrong);
    if (kReaders[i].index != 0 && kReaders[i].read != by_ptrace)
      KIT_CHECK(block[kReaders[i].index] == kReaders[i].value, "%s: the word was not written", kReaders[i].what);
    if (kReaders[i].read == by_ptrace) continue;
    to_vram();
    wrong = kReaders[i].read(getpid());
    KIT_CHECK(wrong == 0, "%s, by the process itself: %d", kReaders[i].what, wrong);
    for (size_t w = 0; w < WORDS - 1; ++w) {
      const uint64_t expected = w == 513 && kReaders[i].read == write_words      ? 70
                                : w == 1025 && kReaders[i].read == write_words   ? 71
                                : w == 1537 && kReaders[i].read == by_process_vm ? 72
                                                                                 : kFirst + w;
      if (block[w] == expected) continue;
      KIT_CHECK(0, "%s: word %zu is %#llx", kReaders[i].what, w, (unsigned long long)block[w]);
      break;
    }
  }
  return kit_finish("readers");
}
