/* The kernel, or another process, reads and writes the memory. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "player.h"

static uint64_t hash_of(const unsigned char* bytes, int64_t n) {
  uint64_t hash = 0xcbf29ce484222325;
  for (int64_t i = 0; i < n; ++i) hash = (hash ^ bytes[i]) * 0x100000001b3;
  return hash;
}

static void say_bytes(const unsigned char* bytes, int64_t n) {
  say_result(n);
  if (n > 0) say(" #%016llx", (unsigned long long)hash_of(bytes, n));
}

enum { kMost = 16 * 4096 };
static unsigned char side[kMost];

static int64_t bytes_of(int64_t pages) { return pages * kPage > kMost ? kMost : pages * kPage; }

static int scratch_file(void) {
  static int file = -1;
  if (file < 0) {
    char name[] = "twin-XXXXXX";
    file = mkostemp(name, O_CLOEXEC);
    unlink(name);
  }
  return file;
}

/* page pages: the memory goes to a file and is read back elsewhere */
static void do_write_file(const struct op* op) {
  const ssize_t written = pwrite(scratch_file(), at_page(op->n[0]), (size_t)bytes_of(op->n[1]), 0);
  say_result(written);
  if (written > 0) say_bytes(side, pread(scratch_file(), side, (size_t)written, 0));
}

/* page pages seed: from a file into the memory */
static void do_read_file(const struct op* op) {
  memset(side, (int)op->n[2], sizeof side);
  if (pwrite(scratch_file(), side, (size_t)bytes_of(op->n[1]), 0) < 0) say(" pwrite");
  say_result(pread(scratch_file(), at_page(op->n[0]), (size_t)bytes_of(op->n[1]), 0));
}

/* page pages seed: pages stay referenced by a pipe while the program stores to them */
static void do_vmsplice(const struct op* op) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) != 0) return say_result(-1);
  const struct iovec vector = {at_page(op->n[0]), (size_t)bytes_of(op->n[1])};
  /* Pages of their own: of memory that nobody has touched, the pipe would get the kernel's page of zeroes, which a
   * device that has been sent the memory has replaced. */
  store_pattern(op->n[0], bytes_of(op->n[1]) / kPage, (uint64_t)op->n[2] + 1);
  const ssize_t given = vmsplice(ends[1], &vector, 1, SPLICE_F_NONBLOCK);
  say_result(given);
  if (given > 0) {
    store_pattern(op->n[0], 1, (uint64_t)op->n[2]);
    ssize_t have = 0;
    for (ssize_t n; have < given && (n = read(ends[0], side + have, (size_t)(given - have))) > 0;) have += n;
    say_bytes(side, have);
  }
  close(ends[0]);
  close(ends[1]);
}

/* page pages: own memory by process_vm_readv */
static void do_vm_read(const struct op* op) {
  const struct iovec mine = {side, (size_t)bytes_of(op->n[1])};
  const struct iovec theirs = {at_page(op->n[0]), (size_t)bytes_of(op->n[1])};
  say_bytes(side, process_vm_readv(getpid(), &mine, 1, &theirs, 1, 0));
}

static void do_vm_write(const struct op* op) {
  memset(side, (int)op->n[2], sizeof side);
  const struct iovec mine = {side, (size_t)bytes_of(op->n[1])};
  const struct iovec theirs = {at_page(op->n[0]), (size_t)bytes_of(op->n[1])};
  say_result(process_vm_writev(getpid(), &mine, 1, &theirs, 1, 0));
}

/* page pages seed(0: read) */
static void do_proc_mem(const struct op* op) {
  const int file = open("/proc/self/mem", O_RDWR | O_CLOEXEC);
  const off_t where = (off_t)(uintptr_t)at_page(op->n[0]);
  if (op->n[2] == 0) {
    say_bytes(side, pread(file, side, (size_t)bytes_of(op->n[1]), where));
  } else {
    memset(side, (int)op->n[2], sizeof side);
    say_result(pwrite(file, side, (size_t)bytes_of(op->n[1]), where));
  }
  close(file);
}

/* page pages: a child that has the memory no more reads the parent's */
static void do_child_reads(const struct op* op) {
  const pid_t parent = getpid();
  memset(side, 0, sizeof side);
  const pid_t child = vfork();
  if (child == 0) {
    const struct iovec mine = {side, (size_t)bytes_of(op->n[1])};
    const struct iovec theirs = {at_page(op->n[0]), (size_t)bytes_of(op->n[1])};
    const long n = syscall(SYS_process_vm_readv, parent, &mine, 1, &theirs, 1, 0);
    syscall(SYS_exit_group, n < 0 ? errno : 0);
  }
  int status = 0;
  waitpid(child, &status, 0);
  say(" %d #%016llx", status, (unsigned long long)hash_of(side, bytes_of(op->n[1])));
}

/* page pages: a system call with a pointer into the memory that may be bad */
static void do_getcwd(const struct op* op) { say_result(syscall(SYS_getcwd, at_page(op->n[0]) + op->n[2], 64)); }
static void do_mincore(const struct op* op) {
  memset(side, 0, sizeof side);
  say_result(mincore(at_page(op->n[0]), (size_t)(op->n[1] * kPage), side));
}

const struct named_operation io_operations[] = {
    {"write_file", do_write_file}, {"read_file", do_read_file}, {"vmsplice", do_vmsplice},
    {"vm_read", do_vm_read},       {"vm_write", do_vm_write},   {"proc_mem", do_proc_mem},
    {"child_reads", do_child_reads}, {"getcwd", do_getcwd},     {"mincore", do_mincore},
    {NULL, NULL},
};
