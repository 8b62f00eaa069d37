/*
 * Implicit fences of dma-bufs: what IMPORT_SYNC_FILE puts there, EXPORT_SYNC_FILE asks others to wait for, whatever
 * descriptor, handle or file they name the object by.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/dma-buf.h>
#include <poll.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "inherited_kit.h"

enum { READ = DMA_BUF_SYNC_READ, WRITE = DMA_BUF_SYNC_WRITE, AT_ONCE = 0, MS_MAX = 60000 };

static int dma_buf_of(int fd, uint32_t handle) {
  int made = -1;
  if (drmPrimeHandleToFD(fd, handle, DRM_CLOEXEC | DRM_RDWR, &made) != 0) xe_die("dma-buf: %s", strerror(errno));
  return made;
}

static int import(int dma_buf, uint32_t flags, int sync_file) {
  struct dma_buf_import_sync_file args = {.flags = flags, .fd = sync_file};
  return kit_ioctl(dma_buf, DMA_BUF_IOCTL_IMPORT_SYNC_FILE, &args);
}

static int export(int dma_buf, uint32_t flags, int *sync_file) {
  struct dma_buf_export_sync_file args = {.flags = flags, .fd = -1};
  int error = kit_ioctl(dma_buf, DMA_BUF_IOCTL_EXPORT_SYNC_FILE, &args);
  *sync_file = args.fd;
  return error;
}

static int is_done(int sync_file, int ms) {
  struct pollfd entry = {.fd = sync_file, .events = POLLIN};
  return poll(&entry, 1, ms) == 1 && (entry.revents & POLLIN) != 0;
}

/* Whether who uses the object so may begin at once. */
static int is_free(int dma_buf, uint32_t flags) {
  int sync_file = -1;
  int error = export(dma_buf, flags, &sync_file);
  KIT_CHECK(error == 0, "EXPORT_SYNC_FILE: %s", strerror(error));
  int done = is_done(sync_file, AT_ONCE);
  close(sync_file);
  return done;
}

static void refusals(int dma_buf, int sync_file) {
  int made = -1;
  KIT_CHECK(export(dma_buf, 0, &made) == EINVAL, "export without a use");
  KIT_CHECK(export(dma_buf, 4, &made) == EINVAL, "export with unknown flags");
  KIT_CHECK(import(dma_buf, 0, sync_file) == EINVAL, "import without a use");
  KIT_CHECK(import(dma_buf, 7, sync_file) == EINVAL, "import with unknown flags");
  KIT_CHECK(import(dma_buf, WRITE, dma_buf) == EINVAL, "import of what is no sync_file");
  KIT_CHECK(import(dma_buf, WRITE, -1) == EINVAL, "import of nothing");

  const struct dma_buf_export_sync_file args = {.flags = READ, .fd = -1};
  void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  memcpy(page, &args, sizeof args);
  mprotect(page, 4096, PROT_READ);
  size_t before = kit_proc_entries("fd");
  KIT_CHECK(kit_ioctl(dma_buf, DMA_BUF_IOCTL_EXPORT_SYNC_FILE, page) == EFAULT, "the answer cannot be written");
  KIT_CHECK(kit_proc_entries("fd") == before, "a descriptor that nobody knows of");
  munmap(page, 4096);
}

int main(void) {
  struct xe_device xe, other;
  kit_open(&xe, 0, KIT_MIRROR_PLAIN);
  kit_open(&other, 0, KIT_MIRROR_PLAIN);
  xe.vm_id = inh_vm_create(xe.fd, 0);
  xe.queue_id = kit_queue_create(&xe);
  struct area area = inh_area(xe.fd, &xe, 0);
  uint32_t *gate = area.cpu + AREA_DATA, *counter = gate + 1;
  int dma_buf = dma_buf_of(xe.fd, area.handle);
  KIT_CHECK(is_free(dma_buf, READ) && is_free(dma_buf, READ | WRITE), "nobody has used it");

  uint32_t work = 0, copy = 0;
  if (drmSyncobjCreate(xe.fd, 0, &work) != 0 || drmSyncobjCreate(xe.fd, 0, &copy) != 0) xe_die("no syncobjs");
  struct xe_batch batch;
  xe_batch_init(&batch, 16);
  inh_gated_count(&batch, gate, counter);
  int error = inh_submit(&xe, xe.queue_id, &area, &batch, work, 0);
  KIT_CHECK(error == 0, "EXEC: %s", strerror(error));
  KIT_CHECK(is_free(dma_buf, READ | WRITE), "jobs synchronise explicitly: they leave nothing here");

  int sync_file = -1;
  if (drmSyncobjExportSyncFile(xe.fd, work, &sync_file) != 0) xe_die("sync_file: %s", strerror(errno));
  refusals(dma_buf, sync_file);
  KIT_CHECK(is_free(dma_buf, READ | WRITE), "what was refused has changed nothing");

  KIT_CHECK(import(dma_buf, READ, sync_file) == 0, "import of a reader");
  KIT_CHECK(is_free(dma_buf, READ), "readers do not wait for readers");
  KIT_CHECK(!is_free(dma_buf, WRITE), "writers wait for readers");
  KIT_CHECK(import(dma_buf, READ | WRITE, sync_file) == 0, "import of a writer");
  KIT_CHECK(!is_free(dma_buf, READ), "readers wait for writers");
  close(sync_file);

  /* The fences are the object's. */
  uint32_t imported = 0;
  KIT_CHECK(drmPrimeFDToHandle(other.fd, dma_buf, &imported) == 0, "import: %s", strerror(errno));
  int others = dma_buf_of(other.fd, imported);
  close(dma_buf);
  KIT_CHECK(!is_free(others, READ), "by another file's descriptor");
  KIT_CHECK(is_done(others, AT_ONCE), "a dma-buf itself can be polled, and does not wait");
  pid_t child = fork();
  if (child == 0) {
    KIT_CHECK(is_free(others, READ | WRITE), "in a fork child nobody has used it yet");
    _exit(kit_finish("implicit_fences, child"));
  }
  inh_reap(child, "the child");

  int before = -1;
  KIT_CHECK(export(others, WRITE, &before) == 0, "EXPORT_SYNC_FILE");
  KIT_CHECK(drmSyncobjImportSyncFile(xe.fd, copy, before) == 0, "into a syncobj: %s", strerror(errno));
  KIT_CHECK(inh_wait_point(xe.fd, copy, 0, 1) == ETIME, "a syncobj waits with it");
  __atomic_store_n(gate, 1, __ATOMIC_SEQ_CST);
  KIT_CHECK(inh_wait_point(xe.fd, copy, 0, MS_MAX) == 0, "the work is done");
  KIT_CHECK(*counter == 1, "and ran %u times", *counter);
  KIT_CHECK(is_done(before, MS_MAX), "so is its sync_file");
  KIT_CHECK(is_free(others, READ | WRITE), "and the object is free");
  close(before);
  close(others);
  xe_batch_free(&batch);
  return kit_finish("implicit_fences");
}
