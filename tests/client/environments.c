/*
 * A device does not hang on the environment: programs started with any environment, in any way, find it.
 * Run again with the argument "probe" it only looks.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "client_kit.h"

static char path[4096];
static char *arguments[] = {"environments", "probe", NULL};
static char *none[] = {NULL};
static char *other_library[] = {"LD_PRELOAD=libm.so.6", "A=1", NULL};
static char *some_of_it[] = {"SOFTXE_ACTIVE=1", "LD_PRELOAD=", NULL};

static void by_execve_none(void) { execve(path, arguments, none); }
static void by_execve_null(void) { execve(path, arguments, NULL); }
static void by_execve_other(void) { execve(path, arguments, other_library); }
static void by_execve_some(void) { execve(path, arguments, some_of_it); }
static void by_execv(void) {
  clearenv();
  execv(path, arguments);
}
static void by_execvp(void) {
  unsetenv("LD_PRELOAD");
  execvp(path, arguments);
}
static void by_execvpe(void) { execvpe(path, arguments, none); }
static void by_execl(void) {
  environ = none;
  execl(path, "environments", "probe", (char *)NULL);
}
static void by_execlp(void) {
  environ = other_library;
  execlp(path, "environments", "probe", (char *)NULL);
}
static void by_execle(void) { execle(path, "environments", "probe", (char *)NULL, none); }
static void by_fexecve(void) { fexecve(open(path, O_RDONLY | O_CLOEXEC), arguments, none); }
static void by_execveat(void) {
  syscall(SYS_execveat, AT_FDCWD, path, arguments, none, 0);
}
static void by_syscall(void) { syscall(SYS_execve, path, arguments, none); }
static void by_spawn(void) {
  pid_t child;
  int status = 1;
  if (posix_spawn(&child, path, NULL, NULL, arguments, none) == 0) waitpid(child, &status, 0);
  _exit(status == 0 ? 0 : 1);
}
static void by_spawnp(void) {
  pid_t child;
  int status = 1;
  if (posix_spawnp(&child, path, NULL, NULL, arguments, other_library) == 0) waitpid(child, &status, 0);
  _exit(status == 0 ? 0 : 1);
}
static char command[5000];
static void by_system(void) {
  clearenv();
  const int status = system(command);
  _exit(status == 0 && environ == NULL ? 0 : 1);
}
static void by_popen(void) {
  clearenv();
  FILE *stream = popen(command, "r");
  _exit(stream != NULL && pclose(stream) == 0 ? 0 : 1);
}

struct way {
  const char *name;
  void (*start)(void);
};
#define WAY(function) \
  { #function, function }
static const struct way ways[] = {
    WAY(by_execve_none), WAY(by_execve_null), WAY(by_execve_other), WAY(by_execve_some), WAY(by_execv),  WAY(by_execvp),
    WAY(by_execvpe),     WAY(by_execl),       WAY(by_execlp),       WAY(by_execle),      WAY(by_fexecve), WAY(by_execveat),
    WAY(by_syscall),     WAY(by_spawn),       WAY(by_spawnp),       WAY(by_system),      WAY(by_popen),
};

static int probe(void) {
  int fd = open("/dev/dri/renderD128", O_RDWR | O_CLOEXEC);
  struct drm_version version = {.version_major = 0};
  return fd >= 0 && kit_ioctl(fd, DRM_IOCTL_VERSION, &version) == 0 ? 0 : 1;
}

int main(int argc, char **argv) {
  if (argc > 1 && strcmp(argv[1], "probe") == 0) return probe();
  if (readlink("/proc/self/exe", path, sizeof path - 1) < 0) xe_die("readlink: %s", strerror(errno));
  snprintf(command, sizeof command, "%s probe", path);
  for (unsigned i = 0; i < sizeof ways / sizeof ways[0]; ++i) {
    pid_t child = fork();
    if (child == 0) {
      ways[i].start();
      _exit(126);
    }
    int status = -1;
    waitpid(child, &status, 0);
    KIT_CHECK(status == 0, "%s: the program ended with %#x", ways[i].name, status);
  }
  /* What the client gives to a program arrives as it was, and nothing twice. */
  FILE *listing = popen("/usr/bin/env A=first /usr/bin/env | grep -c -e '^A=first$' -e '^LD_PRELOAD='", "r");
  char count[16] = "";
  if (fgets(count, sizeof count, listing) == NULL) count[0] = '\0';
  pclose(listing);
  KIT_CHECK(strcmp(count, "2\n") == 0, "variables: %s", count);
  char options[100] = "";
  setenv("ASAN_OPTIONS", "detect_leaks=0", 1);
  listing = popen("echo ASAN_OPTIONS=$ASAN_OPTIONS", "r");
  if (fgets(options, sizeof options, listing) == NULL) options[0] = '\0';
  pclose(listing);
  KIT_CHECK(strcmp(options, "ASAN_OPTIONS=verify_asan_link_order=0:detect_leaks=0\n") == 0, "lists: %s", options);
  return kit_finish("environments");
}
