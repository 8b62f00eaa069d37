/*
 * A page that the client's own userfaultfd handler has to fill: the GPU does not wait for it. As in Linux the fault
 * fails (EFAULT), the handler, which uses the same VM, is never waited for with that VM locked, and once the page is
 * there the GPU has it. "early": registered before there was a device.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "client_kit.h"

static struct xe_device xe;
static int uffd, done[2];
static unsigned served;
static void *volatile block;

static void open_uffd(void) {
  uffd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);
  if (uffd < 0) exit(77);
  struct uffdio_api api = {.api = UFFD_API};
  if (ioctl(uffd, UFFDIO_API, &api) != 0) xe_die("UFFDIO_API: %s", strerror(errno));
  block = mmap(NULL, 4 * XE_PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  struct uffdio_register range = {.range = {kit_address(block), 4 * XE_PAGE}, .mode = UFFDIO_REGISTER_MODE_MISSING};
  if (ioctl(uffd, UFFDIO_REGISTER, &range) != 0) xe_die("UFFDIO_REGISTER: %s", strerror(errno));
}

/* Takes the VM's lock, then fills the page. */
static void serve(uint64_t address) {
  struct drm_xe_vm_bind bind = {.vm_id = xe.vm_id, .num_binds = 1};
  bind.bind.addr = 1ull << 40;
  bind.bind.range = XE_PAGE;
  bind.bind.op = DRM_XE_VM_BIND_OP_UNMAP;
  kit_ioctl(xe.fd, DRM_IOCTL_XE_VM_BIND, &bind);
  static unsigned char page[XE_PAGE] __attribute__((aligned(XE_PAGE)));
  memset(page, 0x66, sizeof page);
  struct uffdio_copy copy = {.dst = address & ~(uint64_t)(XE_PAGE - 1), .src = kit_address(page), .len = XE_PAGE};
  ioctl(uffd, UFFDIO_COPY, &copy);
  ++served;
}

static void *handler(void *unused) {
  struct pollfd entries[] = {{.fd = uffd, .events = POLLIN}, {.fd = done[0], .events = POLLIN}};
  while (poll(entries, 2, -1) > 0 && entries[1].revents == 0) {
    struct uffd_msg message;
    if (read(uffd, &message, sizeof message) == sizeof message && message.event == UFFD_EVENT_PAGEFAULT)
      serve(message.arg.pagefault.address);
  }
  return unused;
}

/* One GPU store; whether it was refused. */
static int store_is_refused(unsigned char *to) {
  uint32_t queue = kit_queue_create(&xe);
  static uint64_t fence;
  static uint32_t words[16];
  const uint32_t batch[] = {KIT_MI_STORE_DATA_IMM32, (uint32_t)kit_address(to), (uint32_t)(kit_address(to) >> 32), 42,
                            KIT_MI_BATCH_BUFFER_END};
  memcpy(words, batch, sizeof batch);
  fence = 0;
  int error = kit_exec(&xe, queue, words, &fence);
  if (error == 0) error = kit_wait(&xe, queue, &fence);
  const int refused = error != 0 || kit_queue_banned(&xe, queue) != 0;
  kit_queue_destroy(&xe, queue);
  return refused;
}

int main(int argc, char **argv) {
  const int early = argc > 1 && strcmp(argv[1], "early") == 0;
  if (early) open_uffd();
  kit_open(&xe, 0, KIT_MIRROR_PLAIN);
  if (!early) open_uffd();
  if (pipe(done) != 0) xe_die("pipe: %s", strerror(errno));
  pthread_t thread;
  pthread_create(&thread, NULL, handler, NULL);
  unsigned char *bytes = block;
  KIT_CHECK(store_is_refused(bytes), "a store to a page that the client's handler must fill went through");
  KIT_CHECK(served == 0, "the handler was asked %u times", served);
  KIT_CHECK(bytes[XE_PAGE] == 0x66, "a load of the CPU found %#x", bytes[XE_PAGE]);
  KIT_CHECK(!store_is_refused(bytes + XE_PAGE), "a store to a page that is there");
  KIT_CHECK(bytes[XE_PAGE] == 42 && bytes[XE_PAGE + 4] == 0x66, "the page reads %#x", bytes[XE_PAGE]);
  if (write(done[1], "x", 1) != 1) xe_die("write: %s", strerror(errno));
  pthread_join(thread, NULL);
  close(uffd);
  xe_close(&xe);
  return kit_finish("own_uffd");
}
