/*
 * A client that goes into a sandbox after it opened the device: a seccomp filter refuses its thread what only
 * softxe asks of the kernel, the ioctls of userfaultfd and of /proc. What was in VRAM comes home, calls that
 * change mappings end and take effect, and what the GPU writes is right, wherever the pages are.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "client_kit.h"

enum { IOCTLS_OF_USERFAULTFD = 0xaa, IOCTLS_OF_PROC = 'f', ROUNDS = 3 };

static void enter_sandbox(void) {
  struct sock_filter code[] = {
      /* 0 */ BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
      /* 1 */ BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_userfaultfd, 6, 0),
      /* 2 */ BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_ioctl, 0, 6),
      /* 3 */ BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[1])),
      /* 4 */ BPF_STMT(BPF_ALU | BPF_RSH | BPF_K, 8),
      /* 5 */ BPF_STMT(BPF_ALU | BPF_AND | BPF_K, 0xff),
      /* 6 */ BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, IOCTLS_OF_USERFAULTFD, 1, 0),
      /* 7 */ BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, IOCTLS_OF_PROC, 0, 1),
      /* 8 */ BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
      /* 9 */ BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  const struct sock_fprog program = {.len = sizeof code / sizeof code[0], .filter = code};
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) xe_die("no_new_privs: %s", strerror(errno));
  if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0) xe_die("seccomp: %s", strerror(errno));
}

static struct xe_device xe;

static unsigned char *block_with(uint32_t word) {
  unsigned char *block = kit_map_aligned(XE_BLOCK);
  memset(block, 0x11, XE_BLOCK);
  kit_store32(&xe, block, word);
  return block;
}

static void check_word(const char *what, const unsigned char *block, uint32_t word) {
  uint32_t seen;
  memcpy(&seen, block, sizeof seen);
  KIT_CHECK(seen == word, "%s: the GPU's word is %#x, not %#x", what, seen, word);
  KIT_CHECK(block[XE_BLOCK - 1] == 0x11, "%s: the last byte is %#x", what, block[XE_BLOCK - 1]);
}

/* Each block has been in VRAM; the calls are made by the thread in the sandbox. */
static void change_mappings(unsigned char *const blocks[5]) {
  check_word("a touch", blocks[0], 100);
  KIT_CHECK(mprotect(blocks[1], XE_BLOCK, PROT_READ) == 0, "mprotect: %s", strerror(errno));
  check_word("mprotect", blocks[1], 101);
  unsigned char *moved = mremap(blocks[2], XE_BLOCK, 2 * XE_BLOCK, MREMAP_MAYMOVE);
  KIT_CHECK(moved != MAP_FAILED, "mremap: %s", strerror(errno));
  check_word("mremap", moved, 102);
  KIT_CHECK(madvise(blocks[3], XE_BLOCK, MADV_DONTNEED) == 0, "MADV_DONTNEED: %s", strerror(errno));
  KIT_CHECK(blocks[3][0] == 0, "MADV_DONTNEED left %#x", blocks[3][0]);
  KIT_CHECK(mlock(blocks[4], XE_BLOCK) == 0, "mlock: %s", strerror(errno));
  check_word("mlock", blocks[4], 104);
  munmap(moved, 2 * XE_BLOCK);
}

static void have_a_child(unsigned char *block) {
  pid_t child = fork();
  if (child < 0) xe_die("fork: %s", strerror(errno));
  if (child == 0) {
    uint32_t seen;
    memcpy(&seen, block, sizeof seen);
    block[4] = 0x22;
    _exit(seen == 300 && block[XE_BLOCK - 1] == 0x11 ? 0 : 1);
  }
  int status = 0;
  waitpid(child, &status, 0);
  KIT_CHECK(status == 0, "the child found other data, or ended with %#x", status);
  check_word("fork", block, 300);
  KIT_CHECK(block[4] == 0x11, "the child wrote into the parent");
}

int main(void) {
  kit_open(&xe, 0, KIT_MIRROR_AUTORESET);
  unsigned char *blocks[5];
  for (uint32_t i = 0; i < 5; ++i) blocks[i] = block_with(100 + i);
  unsigned char *unmapped = block_with(200), *forked = block_with(300);
  enter_sandbox();
  change_mappings(blocks);
  kit_unmap(unmapped, XE_BLOCK);
  have_a_child(forked);
  for (uint32_t round = 0; round < ROUNDS; ++round) {
    unsigned char *block = block_with(round);
    check_word("in the sandbox", block, round);
    kit_store32(&xe, block, round + 7);
    check_word("again in the sandbox", block, round + 7);
    kit_unmap(block, XE_BLOCK);
  }
  xe_close(&xe);
  return kit_finish("sandboxed");
}
