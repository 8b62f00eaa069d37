/*
 * Two processes, each with two devices (run with --devices 2). One device writes memory that lives on
 * the other, and advice places memory on the device whose file is named in it.
 */
#include <errno.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "client_kit.h"

enum { PAGES = XE_BLOCK / XE_PAGE, PAGE_WORDS = XE_PAGE / 4 };

static void store_all(struct xe_device *xe, uint32_t *data, size_t word, uint32_t base) {
  struct xe_batch batch;
  xe_batch_init(&batch, PAGES * 4);
  for (size_t page = 0; page < PAGES; ++page)
    xe_emit_store32(&batch, &data[page * PAGE_WORDS + word], base + (uint32_t)page);
  xe_run(xe, &batch);
  xe_batch_free(&batch);
}

static void check_all(const uint32_t *data, size_t word, uint32_t base, const char *what) {
  size_t wrong = 0;
  for (size_t page = 0; page < PAGES; ++page)
    wrong += data[page * PAGE_WORDS + word] != base + (uint32_t)page;
  KIT_CHECK(wrong == 0, "%s: %zu words wrong", what, wrong);
}

/* Memory of the device behind `where`, tile 0: its region instance is 1. */
static void prefer(struct xe_device *xe, void *start, const struct xe_device *where) {
  struct drm_xe_madvise advice = {.vm_id = xe->vm_id,
                                  .start = kit_address(start),
                                  .range = XE_BLOCK,
                                  .type = DRM_XE_MEM_RANGE_ATTR_PREFERRED_LOC,
                                  .preferred_mem_loc = {.devmem_fd = (uint32_t)where->fd, .region_instance = 1}};
  int error = kit_ioctl(xe->fd, DRM_IOCTL_XE_MADVISE, &advice);
  KIT_CHECK(error == 0, "MADVISE: %s", strerror(error));
}

static int one_process(void) {
  struct xe_device first, second;
  kit_open(&first, 0, KIT_MIRROR_PLAIN);
  kit_open(&second, 1, KIT_MIRROR_PLAIN);

  uint32_t *data = kit_map_aligned(XE_BLOCK);
  memset(data, 0x33, XE_BLOCK);
  store_all(&second, data, 0, 0x20000);  /* now on the second device */
  KIT_CHECK(kit_pages_present(data, XE_BLOCK) == 0, "the memory is not on the second device");
  store_all(&first, data, 1, 0x10000);   /* the first one writes it there, or takes it over */
  KIT_CHECK(kit_pages_present(data, XE_BLOCK) == 0, "the memory fell back to the process");
  store_all(&second, data, 2, 0x40000);
  check_all(data, 0, 0x20000, "second device");
  check_all(data, 1, 0x10000, "first device");
  check_all(data, 2, 0x40000, "second device again");
  KIT_CHECK(data[3] == 0x33333333 && data[PAGE_WORDS * PAGES - 1] == 0x33333333, "the CPU's words");

  /* The first device's fault puts the memory where the advice says: on the second. */
  uint32_t *placed = kit_map_aligned(XE_BLOCK);
  memset(placed, 0x44, XE_BLOCK);
  prefer(&first, placed, &second);
  KIT_CHECK(xe_attributes_at(&first, placed).preferred_mem_loc.devmem_fd == (uint32_t)second.fd, "advice");
  store_all(&first, placed, 0, 0x70000);
  KIT_CHECK(kit_pages_present(placed, XE_BLOCK) == 0, "the advised memory did not move");
  store_all(&second, placed, 1, 0x80000);
  check_all(placed, 0, 0x70000, "advised, first device");
  check_all(placed, 1, 0x80000, "advised, second device");
  KIT_CHECK(placed[2] == 0x44444444, "advised, the CPU's words");
  kit_unmap(placed, XE_BLOCK);
  kit_unmap(data, XE_BLOCK);
  xe_close(&second);
  xe_close(&first);
  return kit_finish("two_devices");
}

int main(void) {
  pid_t child = fork();
  if (child < 0) xe_die("fork: %s", strerror(errno));
  if (child == 0) return one_process();
  int own = one_process(), status = -1;
  while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  return own != 0 || status != 0;
}
