/*
 * A fork that no hook can see: a system call of the program's own. What the child has in memory of the engine
 * may be anything, and the engine's descriptors there mean the parent's memory. So the child, and its children,
 * have no device; nothing they do is noticed by the parent; a program that they become has devices again.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "inherited_kit.h"

static pid_t unseen_fork(void) {
  long result;
  register long fifth __asm__("r8") = 0;
  register long fourth __asm__("r10") = 0;
  __asm__ volatile("syscall"
                   : "=a"(result)
                   : "0"(SYS_clone), "D"(SIGCHLD), "S"(0), "d"(0), "r"(fourth), "r"(fifth)
                   : "rcx", "r11", "memory");
  return (pid_t)result;
}

static void has_no_device(const struct xe_device *xe) {
  struct drm_xe_exec_queue_get_property ask = {.exec_queue_id = xe->queue_id,
                                               .property = DRM_XE_EXEC_QUEUE_GET_PROPERTY_BAN};
  int error = kit_ioctl(xe->fd, DRM_IOCTL_XE_EXEC_QUEUE_GET_PROPERTY, &ask);
  KIT_CHECK(error == ENOTTY, "an inherited descriptor: %s", strerror(error));
}

int main(int argc, char **argv) {
  struct xe_device xe;
  kit_open(&xe, 0, KIT_MIRROR_PLAIN);
  if (argc > 1) return 0; /* the program that the child becomes */
  char *memory = kit_map_aligned(2 * XE_BLOCK);
  memset(memory, 7, 2 * XE_BLOCK);
  xe_madvise_preferred(&xe, memory, 2 * XE_BLOCK, DRM_XE_PREFERRED_LOC_DEFAULT_DEVICE);
  kit_store32(&xe, memory, 1);
  kit_store32(&xe, memory + XE_BLOCK, 2);

  pid_t child = unseen_fork();
  if (child == 0) {
    has_no_device(&xe);
    kit_unmap(memory, XE_BLOCK); /* a hook that did its work here would do it to the parent */
    pid_t grandchild = fork();
    if (grandchild == 0) {
      has_no_device(&xe);
      kit_unmap(memory + XE_BLOCK, XE_BLOCK);
      execl(argv[0], argv[0], "again", (char *)NULL);
      _exit(3);
    }
    inh_reap(grandchild, "the grandchild");
    _exit(kit_finish("inherited_raw, child"));
  }
  inh_reap(child, "the child");
  for (uint32_t i = 0; i < 2; ++i) {
    char *block = memory + i * XE_BLOCK;
    kit_store32(&xe, block + 4, 9);
    uint32_t words[3];
    memcpy(words, block, sizeof words);
    KIT_CHECK(words[0] == i + 1 && words[1] == 9 && words[2] == 0x07070707, "block %u: %#x %#x %#x", i, words[0],
              words[1], words[2]);
    KIT_CHECK(block[XE_BLOCK - 1] == 7, "its end: %u", block[XE_BLOCK - 1]);
  }
  xe_close(&xe);
  return kit_finish("inherited_raw");
}
