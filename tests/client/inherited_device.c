/*
 * What a fork child has of its parent's device itself: settings in sysfs and debugfs, and flink names. Each side
 * goes on with its own. VRAM is counted per process: the child finds all of it free.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "inherited_kit.h"

static const char kTimeslice[] = "/sys/kernel/debug/dri/0/atomic_svm_timeslice_ms";
static const char kWedgedMode[] = "/sys/kernel/debug/dri/0/wedged_mode";
static const char kJobTimeout[] = "/sys/class/drm/card0/device/tile0/gt0/engines/bcs/job_timeout_ms";

static long read_number(const char *path) {
  char text[32] = "";
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) xe_die("%s: %s", path, strerror(errno));
  ssize_t got = read(fd, text, sizeof text - 1);
  close(fd);
  return got > 0 ? strtol(text, NULL, 10) : -1;
}

static void write_number(const char *path, long number) {
  char text[32];
  int length = snprintf(text, sizeof text, "%ld", number);
  int fd = open(path, O_WRONLY | O_CLOEXEC);
  if (fd < 0) xe_die("%s: %s", path, strerror(errno));
  KIT_CHECK(write(fd, text, (size_t)length) == length, "%s: %s", path, strerror(errno));
  close(fd);
}

static void expect_settings(const char *who, long timeslice, long mode, long timeout) {
  KIT_CHECK(read_number(kTimeslice) == timeslice, "%s: timeslice %ld", who, read_number(kTimeslice));
  KIT_CHECK(read_number(kWedgedMode) == mode, "%s: wedged mode %ld", who, read_number(kWedgedMode));
  KIT_CHECK(read_number(kJobTimeout) == timeout, "%s: job time-out %ld", who, read_number(kJobTimeout));
}

static uint64_t vram_used(int fd) {
  _Alignas(8) char bytes[4096];
  struct drm_xe_device_query query = {.query = DRM_XE_DEVICE_QUERY_MEM_REGIONS, .size = sizeof bytes};
  query.data = kit_address(bytes);
  struct drm_xe_device_query ask = {.query = DRM_XE_DEVICE_QUERY_MEM_REGIONS};
  KIT_CHECK(kit_ioctl(fd, DRM_IOCTL_XE_DEVICE_QUERY, &ask) == 0 && ask.size <= sizeof bytes, "size of the query");
  query.size = ask.size;
  KIT_CHECK(kit_ioctl(fd, DRM_IOCTL_XE_DEVICE_QUERY, &query) == 0, "the query");
  const struct drm_xe_query_mem_regions *regions = (const void *)bytes;
  return regions->mem_regions[1].used;
}

static uint32_t vram_object(int fd, uint64_t bytes) {
  struct drm_xe_gem_create create = {.size = bytes, .placement = 2, .cpu_caching = DRM_XE_GEM_CPU_CACHING_WC};
  int error = kit_ioctl(fd, DRM_IOCTL_XE_GEM_CREATE, &create);
  if (error != 0) xe_die("GEM_CREATE: %s", strerror(error));
  return create.handle;
}

static uint32_t name_of(int fd, uint32_t handle) {
  struct drm_gem_flink flink = {.handle = handle};
  int error = kit_ioctl(fd, DRM_IOCTL_GEM_FLINK, &flink);
  if (error != 0) xe_die("GEM_FLINK: %s", strerror(error));
  return flink.name;
}

/* A handle to the object of that name, or 0. */
static uint32_t opened(int fd, uint32_t name) {
  struct drm_gem_open request = {.name = name};
  int error = kit_ioctl(fd, DRM_IOCTL_GEM_OPEN, &request);
  KIT_CHECK(error == 0 || error == ENOENT, "GEM_OPEN: %s", strerror(error));
  return error == 0 ? request.handle : 0;
}

static int in_the_child(int fd, const struct area *named, uint32_t name, uint64_t vram_bytes) {
  expect_settings("inherited", 7, 2, 4321);
  uint32_t again = opened(fd, name);
  KIT_CHECK(again != 0, "the name is unknown");
  struct drm_xe_gem_mmap_offset where = {.handle = again};
  KIT_CHECK(kit_ioctl(fd, DRM_IOCTL_XE_GEM_MMAP_OFFSET, &where) == 0 && where.offset == named->offset,
            "it names another object");
  KIT_CHECK(name_of(fd, named->handle) == name, "the object has another name: %u", name_of(fd, named->handle));
  uint32_t fresh = name_of(fd, vram_object(fd, 65536));
  KIT_CHECK(fresh != name, "a new object has the inherited name");

  uint64_t used = vram_used(fd);
  KIT_CHECK(used == 65536, "%#llx of VRAM are used by others", (unsigned long long)used);
  vram_object(fd, vram_bytes);
  KIT_CHECK(vram_used(fd) == used + vram_bytes, "no room beside the parent's");
  write_number(kTimeslice, 9);
  write_number(kWedgedMode, 0);
  write_number(kJobTimeout, 5432);
  expect_settings("the child", 9, 0, 5432);
  return kit_finish("inherited_device, in the child");
}

int main(int argc, char **argv) {
  uint64_t vram_bytes = argc > 1 ? strtoull(argv[1], NULL, 0) : 0;
  struct xe_device xe;
  kit_open(&xe, 0, KIT_MIRROR_PLAIN);
  int card = open("/dev/dri/card0", O_RDWR | O_CLOEXEC); /* render nodes have no names */
  if (card < 0) xe_die("card0: %s", strerror(errno));
  struct area named = inh_area(card, NULL, 0);
  uint32_t name = name_of(card, named.handle);
  vram_object(xe.fd, vram_bytes);
  write_number(kTimeslice, 7);
  write_number(kWedgedMode, 2);
  write_number(kJobTimeout, 4321);

  pid_t child = fork();
  if (child < 0) xe_die("fork: %s", strerror(errno));
  if (child == 0) _exit(in_the_child(card, &named, name, vram_bytes));
  inh_reap(child, "the child");
  expect_settings("the parent", 7, 2, 4321);
  KIT_CHECK(vram_used(xe.fd) >= vram_bytes, "the parent's VRAM");
  KIT_CHECK(opened(card, name) != 0, "the parent's name");
  KIT_CHECK(opened(card, name + 1) == 0, "a name of the child's");
  close(card);
  xe_close(&xe);
  return kit_finish("inherited_device");
}
