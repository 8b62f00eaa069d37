/* What a line of a list can say. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "player.h"

_Atomic uint64_t variables[kVariables];
__thread sigjmp_buf* guard_jump;

/* ---- numbers ---- */

/* Start of the runtime's mapping `n`: what is left out of core files and is no device memory. 0 when there is none. */
static uint64_t runtime_mapping(uint64_t n) {
  FILE* smaps = fopen("/proc/self/smaps", "re");
  if (smaps == NULL) return 0;
  char line[512];
  unsigned long start = 0, now = 0, end = 0;
  while (start == 0 && fgets(line, sizeof line, smaps) != NULL) {
    if (sscanf(line, "%lx-%lx ", &now, &end) == 2) continue;
    if (strncmp(line, "VmFlags:", 8) != 0 || strstr(line, " dd") == NULL) continue;
    if (strstr(line, " io") == NULL && strstr(line, " pf") == NULL && strstr(line, " sh") == NULL && n-- == 0)
      start = now;
  }
  fclose(smaps);
  return start;
}

static uint64_t number(const char* text) {
  if (text == NULL) return 0;
  const char* digits = strchr("$@!", *text) != NULL && *text != '\0' ? text + 1 : text;
  const uint64_t value = strtoull(digits, NULL, 0);
  if (*text == '$') return atomic_load(&variables[value % kVariables]);
  if (*text == '@') return (uint64_t)(uintptr_t)ARENA + value;
  if (*text == '!') return runtime_mapping(value);
  return value;
}

/* A descriptor that a list may do anything to: not the standard ones, not the player's. */
static int list_fd(const char* text) {
  const uint64_t fd = number(text);
  return fd > 2 && fd < kFirstOwnFd ? (int)fd : -1;
}

/* Where the list may store: anywhere in the arena but what must not change. */
static unsigned char* arena_at(const char* text, uint64_t bytes) {
  const uint64_t offset = number(text) - (uint64_t)(uintptr_t)ARENA;
  const uint64_t room = kArenaBytes - kReadOnlyBytes;
  return offset < room && bytes <= room - offset ? ARENA + offset : NULL;
}

/* ---- stores that may fault ---- */

static void store_bytes(unsigned char* to, const void* from, size_t bytes) {
  sigjmp_buf jump;
  if (to == NULL) return;
  if (sigsetjmp(jump, 1) == 0) {
    guard_jump = &jump;
    atomic_signal_fence(memory_order_seq_cst);
    memcpy(to, from, bytes);
    atomic_signal_fence(memory_order_seq_cst);
  }
  guard_jump = NULL;
}

/* BYTE:SIZE=NUMBER into `to`, which has `room`. */
static void put_field(unsigned char* to, size_t room, char* text) {
  char* value = strchr(text, '=');
  unsigned at = 0, size = 0;
  if (value == NULL || sscanf(text, "%u:%u", &at, &size) != 2 || size > 8 || at + size > room) return;
  const uint64_t bits = number(value + 1);
  memcpy(to + at, &bits, size);
}

/* ---- ioctls ---- */

enum { kRequestsMax = 128 };
static struct request_count {
  _Atomic uint64_t request;
  atomic_uint ok, failed;
} counts[kRequestsMax];

static void count_request(uint64_t request, int ok) {
  for (size_t i = 0; i < kRequestsMax; ++i) {
    uint64_t none = 0;
    if (counts[i].request != request && !atomic_compare_exchange_strong(&counts[i].request, &none, request) &&
        none != request)
      continue;
    atomic_fetch_add(ok ? &counts[i].ok : &counts[i].failed, 1);
    return;
  }
}

void print_request_counts(void) {
  for (size_t i = 0; i < kRequestsMax && counts[i].request != 0; ++i)
    printf("request %#llx: %u ok, %u failed\n", (unsigned long long)counts[i].request, counts[i].ok, counts[i].failed);
}

static void do_ioctl(char** rest) {
  const char* fd_text = strtok_r(NULL, " ", rest);
  const uint64_t request = number(strtok_r(NULL, " ", rest));
  unsigned char argument[4096] = {0};
  char* word = strtok_r(NULL, " ", rest);
  for (; word != NULL && strcmp(word, ">") != 0; word = strtok_r(NULL, " ", rest))
    put_field(argument, sizeof argument, word);
  const int result = ioctl(list_fd(fd_text), request, argument);
  count_request(request, result >= 0);
  while (word != NULL && (word = strtok_r(NULL, " ", rest)) != NULL) {
    unsigned at = 0, size = 0, variable = 0;
    if (result < 0 || sscanf(word, "%u:%u:%u", &at, &size, &variable) != 3 || size > 8 || at + size > sizeof argument)
      continue;
    uint64_t value = 0;
    memcpy(&value, argument + at, size);
    atomic_store(&variables[variable % kVariables], value);
  }
}

static void do_ioctl_at(char** rest) {
  const char* fd = strtok_r(NULL, " ", rest);
  const uint64_t request = number(strtok_r(NULL, " ", rest));
  const uint64_t address = number(strtok_r(NULL, " ", rest));
  count_request(request, ioctl(list_fd(fd), request, address) >= 0);
}

/* ---- memory of the arena ---- */

static void do_at(char** rest) {
  unsigned char block[4096] = {0};
  unsigned size = 0;
  char* const to = strtok_r(NULL, " ", rest);
  for (char* word; (word = strtok_r(NULL, " ", rest)) != NULL;) {
    unsigned at = 0, bytes = 0;
    if (sscanf(word, "%u:%u", &at, &bytes) == 2 && at + bytes > size && at + bytes <= sizeof block) size = at + bytes;
    put_field(block, sizeof block, word);
  }
  store_bytes(arena_at(to, size), block, size);
}

static void do_words(char** rest) {
  uint32_t words[1024];
  size_t count = 0;
  char* const to = strtok_r(NULL, " ", rest);
  for (const char* word; count + 2 <= 1024 && (word = strtok_r(NULL, " ", rest)) != NULL;) {
    const uint64_t value = number(word);
    words[count++] = (uint32_t)value;
    if (strchr("$@!", *word) != NULL) words[count++] = (uint32_t)(value >> 32);
  }
  store_bytes(arena_at(to, count * 4), words, count * 4);
}

/* One group has one thread of 16 lanes (tests/client/bad_kernels.c). */
static void do_walker(char** rest) {
  char* const to = strtok_r(NULL, " ", rest);
  const uint64_t kernel = number(strtok_r(NULL, " ", rest)), base = kernel & ~(uint64_t)0xfff;
  const uint64_t groups = number(strtok_r(NULL, " ", rest));
  uint32_t words[64] = {0x61010014};
  words[10] = (uint32_t)base | 1;
  words[11] = (uint32_t)(base >> 32);
  uint32_t* walker = words + 22;
  walker[0] = 0x72080026;
  walker[4] = 1u << 30;
  walker[5] = 0xffff;
  walker[7] = (uint32_t)groups;
  walker[8] = walker[9] = 1;
  walker[19] = (uint32_t)(kernel & 0xfff);
  walker[24] = 1;
  walker[40] = 0x05000000;
  store_bytes(arena_at(to, sizeof words), words, sizeof words);
}

static void do_memory(char** rest) {
  const char* const call = strtok_r(NULL, " ", rest);
  char* const where = strtok_r(NULL, " ", rest);
  const uint64_t bytes = number(strtok_r(NULL, " ", rest)), more = number(strtok_r(NULL, " ", rest));
  unsigned char* const at = arena_at(where, bytes);
  if (call == NULL || at == NULL) return;
  if (strcmp(call, "map") == 0) {
    mmap(at, bytes, (int)more & 7, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
  } else if (strcmp(call, "unmap") == 0) {
    munmap(at, bytes);
  } else if (strcmp(call, "protect") == 0) {
    mprotect(at, bytes, (int)more & 7);
  } else if (strcmp(call, "advise") == 0) {
    madvise(at, bytes, (int)more);
  } else if (strcmp(call, "store") == 0) {
    const uint64_t value = more;
    for (uint64_t i = 0; i < bytes; i += 4096) store_bytes(at + i, &value, sizeof value);
  } else {
    fprintf(stderr, "player: no memory call '%s'\n", call);
    _exit(2);
  }
}

static void do_map_object(char** rest) {
  char* const where = strtok_r(NULL, " ", rest);
  const uint64_t bytes = number(strtok_r(NULL, " ", rest));
  const int fd = list_fd(strtok_r(NULL, " ", rest));
  const uint64_t offset = number(strtok_r(NULL, " ", rest));
  unsigned char* const at = arena_at(where, bytes);
  if (at == NULL || mmap(at, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, (off_t)offset) == MAP_FAILED)
    return;
  const uint64_t value = offset + 1;
  store_bytes(at, &value, sizeof value);
}

/* ---- descriptors ---- */

static void do_open(char** rest) {
  const uint64_t variable = number(strtok_r(NULL, " ", rest));
  char path[64];
  snprintf(path, sizeof path, "/dev/dri/renderD%u", (unsigned)number(strtok_r(NULL, " ", rest)));
  int fd = open(path, O_RDWR | O_CLOEXEC);
  if (fd < 0) fd = open("/dev/dri/renderD128", O_RDWR | O_CLOEXEC); /* the only device */
  if (fd >= 0) atomic_store(&variables[variable % kVariables], (uint64_t)fd);
}

static void do_dup(char** rest) {
  const uint64_t variable = number(strtok_r(NULL, " ", rest));
  const int fd = dup(list_fd(strtok_r(NULL, " ", rest)));
  if (fd >= 0) atomic_store(&variables[variable % kVariables], (uint64_t)fd);
}

static void do_close(char** rest) {
  const int fd = list_fd(strtok_r(NULL, " ", rest));
  if (fd >= 0) close(fd);
}

/* What /proc says of a descriptor: usage of the device. */
static void do_show(char** rest) {
  char text[4096];
  snprintf(text, sizeof text, "/proc/self/fdinfo/%d", list_fd(strtok_r(NULL, " ", rest)));
  const int file = open(text, O_RDONLY | O_CLOEXEC);
  while (file >= 0 && read(file, text, sizeof text) > 0) {
  }
  if (file >= 0) close(file);
}

void run_step(char* text) {
  static const struct {
    const char* name;
    void (*run)(char** rest);
  } kSteps[] = {{"ioctl", do_ioctl},   {"ioctl_at", do_ioctl_at},     {"at", do_at},     {"words", do_words},
                {"walker", do_walker}, {"memory", do_memory},         {"open", do_open}, {"close", do_close},
                {"dup", do_dup},       {"map_object", do_map_object}, {"show", do_show}};
  char* rest = NULL;
  const char* name = strtok_r(text, " ", &rest);
  for (size_t i = 0; name != NULL && i < sizeof kSteps / sizeof kSteps[0]; ++i)
    if (strcmp(kSteps[i].name, name) == 0) return kSteps[i].run(&rest);
  fprintf(stderr, "player: no step '%s'\n", name != NULL ? name : "");
  _exit(2);
}
