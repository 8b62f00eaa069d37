/*
 * Names that cannot be read: the kernel says EFAULT, and so does every call that looks at names first, asleep and with
 * a device. A name that ends with its page is none of them, nor is what the kernel says of the other arguments.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "client_kit.h"

enum { PAGE = 4096 };

static int watches;
static struct stat st;
static struct statx stx;
static struct statfs stfs;
static char text[64];

/* One row: a call on a name. What it returns: -1, or anything else. */
#define CALLS(ROW)                                        \
  ROW(open(name, O_RDONLY))                               \
  ROW(openat(AT_FDCWD, name, O_RDWR))                     \
  ROW(creat(name, 0600))                                  \
  ROW(fopen(name, "r") == NULL ? -1 : 0)                  \
  ROW(access(name, R_OK))                                 \
  ROW(faccessat(AT_FDCWD, name, R_OK, 0))                 \
  ROW(euidaccess(name, R_OK))                             \
  ROW(stat(name, &st))                                    \
  ROW(lstat(name, &st))                                   \
  ROW(fstatat(AT_FDCWD, name, &st, 0))                    \
  ROW(statx(AT_FDCWD, name, 0, STATX_BASIC_STATS, &stx))  \
  ROW(statfs(name, &stfs))                                \
  ROW((int)readlink(name, text, sizeof text))             \
  ROW((int)readlinkat(AT_FDCWD, name, text, sizeof text)) \
  ROW(chdir(name))                                        \
  ROW((int)getxattr(name, "user.a", text, sizeof text))   \
  ROW((int)lgetxattr(name, "user.a", text, sizeof text))  \
  ROW(inotify_add_watch(watches, name, IN_ACCESS))        \
  ROW(mount("none", name, "tmpfs", 0, NULL))              \
  ROW(umount2(name, MNT_DETACH))

#define TEXT(body) #body,
static const char* const calls[] = {CALLS(TEXT)};
enum { CALL_COUNT = sizeof calls / sizeof *calls };

static int call(int wanted, const char* name) {
  int at = 0;
#define DO(body) \
  if (at++ == wanted) return body;
  CALLS(DO)
  return 0;
}

static void names_that_cannot_be_read(const char* when, char* page) {
  const struct {
    const char* what;
    const char* name;
  } bad[] = {
      {"address 1", (const char*)1},
      {"a non-canonical address", (const char*)0x8000000000000000u},
      {"the kernel's half", (const char*)-4096l},
      {"no access", page + PAGE},
      {"a text that runs into no access", memset(page + PAGE - 8, 'x', 8)},
  };
  for (int i = 0; i < CALL_COUNT; ++i) {
    for (size_t k = 0; k < sizeof bad / sizeof *bad; ++k) {
      errno = 0;
      int result = call(i, bad[k].name);
      KIT_CHECK(result == -1 && errno == EFAULT, "%s, %s of %s: %d, %s", when, calls[i], bad[k].what, result,
                strerror(errno));
    }
  }
}

static void other_arguments(const char* when, char* page) {
  char* last = strcpy(page + PAGE - sizeof "/", "/");
  KIT_CHECK(access(last, R_OK) == 0, "%s: a name up to the end of its page: %s", when, strerror(errno));
  KIT_CHECK(readlink("/proc/self/exe", page + PAGE, 9) == -1 && errno == EFAULT, "%s: readlink into no access: %s",
            when, strerror(errno));
  KIT_CHECK(readlink("/proc/self/exe", text, 0) == -1 && errno == EINVAL, "%s: readlink of nothing: %s", when,
            strerror(errno));
  KIT_CHECK(stat("/", (struct stat*)(page + PAGE)) == -1 && errno == EFAULT, "%s: stat into no access: %s", when,
            strerror(errno));
}

int main(void) {
  char* page = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  mprotect(page + PAGE, PAGE, PROT_NONE);
  watches = inotify_init();
  names_that_cannot_be_read("asleep", page);
  other_arguments("asleep", page);
  struct xe_device xe;
  kit_open(&xe, 0, KIT_MIRROR_PLAIN);
  names_that_cannot_be_read("with a device", page);
  other_arguments("with a device", page);
  return kit_finish("wild_paths");
}
