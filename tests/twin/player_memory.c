/* Calls that change mappings; loads and stores. Numbers are pages of the arena unless they say otherwise. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "player.h"

int file_of(int64_t index) {
  static int files[4] = {-1, -1, -1, -1};
  int* file = &files[index & 3];
  if (*file < 0) {
    *file = memfd_create("twin", MFD_CLOEXEC);
    if (ftruncate(*file, 64 * kPage) != 0) say(" ftruncate");
    for (int i = 0; i < 64; ++i) {
      const unsigned char byte = (unsigned char)(index * 64 + i);
      if (pwrite(*file, &byte, 1, i * kPage + 5) != 1) say(" pwrite");
    }
  }
  return *file;
}

/* page pages prot flags file(-1 none) file_page odd_bytes */
static void do_mmap(const struct op* op) {
  const int fd = op->n[4] == -2 ? 9999 : op->n[4] < 0 ? -1 : file_of(op->n[4]);
  say_address(mmap(at_page(op->n[0]) + op->n[6], (size_t)(op->n[1] * kPage), (int)op->n[2], (int)op->n[3], fd,
                   op->n[5] * kPage));
}

/* page pages odd_bytes */
static void do_munmap(const struct op* op) {
  say_result(munmap(at_page(op->n[0]) + op->n[2], (size_t)(op->n[1] * kPage)));
}

/* page old_pages new_pages flags to_page */
static void do_mremap(const struct op* op) {
  say_address((void*)syscall(SYS_mremap, at_page(op->n[0]), op->n[1] * kPage, op->n[2] * kPage, op->n[3],
                             at_page(op->n[4])));
}

/* page pages prot odd_bytes */
static void do_mprotect(const struct op* op) {
  say_result(mprotect(at_page(op->n[0]) + op->n[3], (size_t)(op->n[1] * kPage), (int)op->n[2]));
}

static void do_pkey_mprotect(const struct op* op) {
  say_result(syscall(SYS_pkey_mprotect, at_page(op->n[0]), op->n[1] * kPage, op->n[2], op->n[3]));
}

/* page pages advice odd_bytes */
static void do_madvise(const struct op* op) {
  say_result(madvise(at_page(op->n[0]) + op->n[3], (size_t)(op->n[1] * kPage), (int)op->n[2]));
}

/* advice flags bad_vector, then pairs page pages */
static void do_process_madvise(const struct op* op) {
  struct iovec vectors[8];
  unsigned long count = 0;
  for (int i = 3; i + 1 < op->count && count < 8; i += 2)
    vectors[count++] = (struct iovec){at_page(op->n[i]), (size_t)(op->n[i + 1] * kPage)};
  const int self = (int)syscall(SYS_pidfd_open, getpid(), 0);
  const void* list = op->n[2] == 0 ? (void*)vectors : op->n[2] == 1 ? (void*)8 : (void*)at_page(kArenaPages - 1);
  say_result(syscall(SYS_process_madvise, self, list, count, op->n[0], op->n[1]));
  close(self);
}

/* page pages onfault(0, 1, 2: bad flag) */
static void do_mlock(const struct op* op) {
  say_result(syscall(SYS_mlock2, at_page(op->n[0]), op->n[1] * kPage, op->n[2]));
}
static void do_munlock(const struct op* op) { say_result(munlock(at_page(op->n[0]), (size_t)(op->n[1] * kPage))); }
static void do_mlockall(const struct op* op) { say_result(mlockall((int)op->n[0])); }
static void do_munlockall(const struct op* op) {
  (void)op;
  say_result(munlockall());
}

/* page pages flags odd_bytes */
static void do_msync(const struct op* op) {
  say_result(msync(at_page(op->n[0]) + op->n[3], (size_t)(op->n[1] * kPage), (int)op->n[2]));
}

/* page pages file_page flags */
static void do_remap_file_pages(const struct op* op) {
  say_result(remap_file_pages(at_page(op->n[0]), (size_t)(op->n[1] * kPage), 0, (size_t)op->n[2], (int)op->n[3]));
}

/* file pages: grows and shrinks */
static void do_truncate(const struct op* op) { say_result(ftruncate(file_of(op->n[0]), op->n[1] * kPage)); }
/* file page pages */
static void do_punch(const struct op* op) {
  say_result(fallocate(file_of(op->n[0]), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, op->n[1] * kPage,
                       op->n[2] * kPage));
}

/* page pages flags: a new segment, gone with its last mapping */
static void do_shmat(const struct op* op) {
  const int id = shmget(IPC_PRIVATE, (size_t)(op->n[1] * kPage), IPC_CREAT | 0600);
  say_address(shmat(id, at_page(op->n[0]), (int)op->n[2]));
  shmctl(id, IPC_RMID, NULL);
}
static void do_shmdt(const struct op* op) { say_result(shmdt(at_page(op->n[0]))); }

/* pages value: the break goes up and comes back; the heap of malloc is below and stays */
static void do_brk(const struct op* op) {
  unsigned char* now = sbrk(0);
  unsigned char* last = now + op->n[0] * kPage - 1;
  const int failed = brk(now + op->n[0] * kPage);
  say_result(failed);
  if (failed == 0 && op->n[0] > 1) {
    unsigned char before = 0;
    const int load = guarded_load(last, &before);
    say(" %d %d %d", load, before, guarded_store(last, (unsigned char)op->n[1]));
    say(" %d", brk(now));
    say(" %d", op->n[0] > 2 ? guarded_load(last - kPage, &before) : 0);
  }
}

static void do_store(const struct op* op) { store_pattern(op->n[0], op->n[1], (uint64_t)op->n[2]); }
static void do_sum(const struct op* op) {
  calm_down(); /* a shrunk list may have lost its calm */
  say_sum(op->n[0], op->n[1]);
}

/* ---- /proc/self/maps of the arena ---- */

struct mapping {
  unsigned long long start, end, offset, inode;
  char rights[8];
};

static int parse(const char* text, struct mapping* m) {
  unsigned major = 0;
  unsigned minor = 0;
  return sscanf(text, "%llx-%llx %7s %llx %x:%x %llu", &m->start, &m->end, m->rights, &m->offset, &major, &minor,
                &m->inode) == 7;
}

/* Neighbours that could be one mapping count as one: registration with a userfaultfd splits them. */
static int continues(const struct mapping* a, const struct mapping* b) {
  return a->end == b->start && strcmp(a->rights, b->rights) == 0 && a->inode == b->inode &&
         (a->inode == 0 || a->offset + (a->end - a->start) == b->offset);
}

static void say_mapping(const struct mapping* m) {
  const unsigned long long arena = (unsigned long long)(uintptr_t)ARENA;
  say(" [%llx+%llx %s %s]", (m->start - arena) / kPage, (m->end - m->start) / kPage, m->rights,
      m->inode != 0 ? "file" : "anon");
}

static void do_maps(const struct op* op) {
  (void)op;
  static char text[1 << 20];
  const int file = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
  size_t have = 0;
  for (ssize_t n; have < sizeof text - 1 && (n = read(file, text + have, sizeof text - 1 - have)) > 0;) have += (size_t)n;
  text[have] = '\0';
  close(file);
  struct mapping whole = {.end = 0};
  const unsigned long long arena = (unsigned long long)(uintptr_t)ARENA;
  for (char* at = text; *at != '\0';) {
    char* end = strchr(at, '\n');
    if (end == NULL) break;
    *end = '\0';
    struct mapping m;
    if (parse(at, &m) && m.start >= arena && m.start < arena + (unsigned long long)kArenaPages * kPage) {
      if (whole.end != 0 && continues(&whole, &m)) {
        whole.end = m.end;
      } else {
        if (whole.end != 0) say_mapping(&whole);
        whole = m;
      }
    }
    at = end + 1;
  }
  if (whole.end != 0) say_mapping(&whole);
}

const struct named_operation memory_operations[] = {
    {"mmap", do_mmap},       {"munmap", do_munmap},   {"mremap", do_mremap},     {"mprotect", do_mprotect},
    {"madvise", do_madvise}, {"mlock", do_mlock},     {"munlock", do_munlock},   {"mlockall", do_mlockall},
    {"msync", do_msync},     {"punch", do_punch},     {"truncate", do_truncate}, {"munlockall", do_munlockall},
    {"shmat", do_shmat},     {"shmdt", do_shmdt},     {"brk", do_brk},           {"pkey_mprotect", do_pkey_mprotect},
    {"store", do_store},     {"sum", do_sum},         {"maps", do_maps},         {"process_madvise", do_process_madvise},
    {"remap_file_pages", do_remap_file_pages},
    {NULL, NULL},
};
