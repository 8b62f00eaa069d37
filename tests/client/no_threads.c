/*
 * No thread can be made any more, as under RLIMIT_NPROC, in a full pids cgroup or under a filter: from before the
 * first device on ("early") the open says EAGAIN, and works once there is room; from some moment after it ("late") the
 * device goes on with the threads it has. How: "limit" is RLIMIT_NPROC (not for root), "filter" is a seccomp filter
 * over all threads of the process.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "client_kit.h"

static void limit_threads(rlim_t most) {
  struct rlimit limit;
  getrlimit(RLIMIT_NPROC, &limit);
  limit.rlim_cur = most < limit.rlim_max ? most : limit.rlim_max;
  if (setrlimit(RLIMIT_NPROC, &limit) != 0) xe_die("setrlimit: %s", strerror(errno));
}

static void refuse_threads(void) {
  struct sock_filter code[] = {
      /* 0 */ BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
      /* 1 */ BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_clone, 1, 0),
      /* 2 */ BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_clone3, 0, 1),
      /* 3 */ BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EAGAIN),
      /* 4 */ BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  const struct sock_fprog program = {.len = sizeof code / sizeof code[0], .filter = code};
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) xe_die("no_new_privs: %s", strerror(errno));
  if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &program) != 0)
    xe_die("seccomp: %s", strerror(errno));
}

static void work(struct xe_device *xe) {
  for (uint32_t round = 1; round < 5; ++round) {
    unsigned char *data = kit_map_aligned(XE_BLOCK);
    memset(data, 0x44, XE_BLOCK);
    kit_store32(xe, data, round);
    uint32_t copy = 0;
    kit_copy(xe, &copy, data, sizeof copy);
    KIT_CHECK(copy == round && data[XE_BLOCK - 1] == 0x44, "round %u: %u", round, copy);
    kit_unmap(data, XE_BLOCK);
    usleep(30000); /* workers end when they are idle */
  }
}

int main(int argc, char **argv) {
  if (argc < 3) xe_die("usage: no_threads early|late limit|filter");
  const int early = strcmp(argv[1], "early") == 0, filter = strcmp(argv[2], "filter") == 0;
  struct xe_device xe;
  if (early) {
    if (filter) {
      refuse_threads();
    } else {
      limit_threads(1);
    }
    int fd = open("/dev/dri/renderD128", O_RDWR | O_CLOEXEC);
    KIT_CHECK(fd < 0 && errno == EAGAIN, "the open gave %d, %s", fd, strerror(errno));
    if (filter) return kit_finish("no_threads");
    limit_threads(RLIM_INFINITY);
  }
  kit_open(&xe, 0, KIT_MIRROR_AUTORESET);
  if (!early && filter) refuse_threads();
  if (!early && !filter) limit_threads(1);
  work(&xe);
  xe_close(&xe);
  return kit_finish("no_threads");
}
