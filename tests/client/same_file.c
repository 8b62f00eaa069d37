/*
 * Descriptors that lead to one open file are that file, whatever way they came: in a message to oneself, also when
 * it is the only one left, by pidfd_getfd(), by a raw dup. One that was opened anew is another file, also when it
 * has the number of one that was closed behind everybody's back. What is opened with O_PATH can do nothing.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "client_kit.h"

static int by_message(int fd, int close_it) {
  int pair[2];
  if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair) != 0) xe_die("socketpair: %s", strerror(errno));
  char byte = 1, room[CMSG_SPACE(sizeof(int))] = "";
  struct iovec part = {&byte, 1};
  struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = room, .msg_controllen = sizeof room};
  struct cmsghdr *header = CMSG_FIRSTHDR(&message);
  *header = (struct cmsghdr){.cmsg_len = CMSG_LEN(sizeof fd), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS};
  memcpy(CMSG_DATA(header), &fd, sizeof fd);
  if (sendmsg(pair[0], &message, 0) != 1) xe_die("sendmsg: %s", strerror(errno));
  if (close_it) close(fd);
  if (recvmsg(pair[1], &message, 0) != 1) xe_die("recvmsg: %s", strerror(errno));
  int got;
  memcpy(&got, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof got);
  close(pair[0]);
  close(pair[1]);
  return got;
}

static int by_pidfd(int fd) {
  int self = (int)syscall(SYS_pidfd_open, getpid(), 0);
  int got = (int)syscall(SYS_pidfd_getfd, self, fd, 0);
  close(self);
  if (got < 0) xe_die("pidfd_getfd: %s", strerror(errno));
  return got;
}

/* The syscall instruction itself, as a runtime that does without libc has it. */
static long raw(long number, long a, long b) {
  long result;
  __asm__ volatile("syscall" : "=a"(result) : "0"(number), "D"(a), "S"(b), "d"(0l) : "rcx", "r11", "memory");
  return result;
}

static uint32_t vm_of(int fd) {
  struct drm_xe_vm_create create = {.flags = DRM_XE_VM_CREATE_FLAG_SCRATCH_PAGE};
  int error = kit_ioctl(fd, DRM_IOCTL_XE_VM_CREATE, &create);
  if (error != 0) xe_die("VM_CREATE: %s", strerror(error));
  return create.vm_id;
}

/* Whether `fd` is the file that has the VM: a VM of that number can be destroyed there once. */
static int destroy(int fd, uint32_t vm) {
  struct drm_xe_vm_destroy request = {.vm_id = vm};
  return kit_ioctl(fd, DRM_IOCTL_XE_VM_DESTROY, &request);
}

static int open_device(int flags) {
  int fd = open("/dev/dri/renderD128", flags | O_CLOEXEC);
  if (fd < 0) xe_die("open: %s", strerror(errno));
  return fd;
}

static void devices(void) {
  int fd = open_device(O_RDWR);
  int others[] = {by_message(fd, 0), by_pidfd(fd), (int)raw(SYS_dup, fd, 0)};
  for (unsigned i = 0; i < sizeof others / sizeof others[0]; ++i) {
    uint32_t vm = vm_of(fd);
    int error = destroy(others[i], vm);
    KIT_CHECK(error == 0, "descriptor %u: %s", i, strerror(error));
    close(others[i]);
  }
  uint32_t vm = vm_of(fd);
  int again = open_device(O_RDWR);
  KIT_CHECK(destroy(again, vm) == ENOENT, "a file of its own has the VM of the other");
  close(again);
  int last = by_message(fd, 1);
  int error = destroy(last, vm);
  KIT_CHECK(error == 0, "the only descriptor left: %s", strerror(error));
  close(last);
}

static void behind_everybodys_back(void) {
  int fd = open_device(O_RDWR);
  uint32_t vm = vm_of(fd);
  raw(SYS_close, fd, 0);
  int again = open_device(O_RDWR);
  KIT_CHECK(again == fd, "the number is %d, not %d", again, fd);
  KIT_CHECK(destroy(again, vm) == ENOENT, "what was opened anew has the VM of what was closed");
  close(again);
}

static void path_only(void) {
  int fd = open_device(O_PATH);
  struct drm_version version = {.version_major = 0};
  KIT_CHECK(ioctl(fd, DRM_IOCTL_VERSION, &version) < 0 && errno == EBADF, "VERSION on O_PATH: %s", strerror(errno));
  close(fd);
}

static void positions(void) {
  int fd = open_device(O_RDWR);
  uint32_t vm = vm_of(fd);
  KIT_CHECK(lseek(fd, 5, SEEK_SET) == 0, "a device does not seek");
  KIT_CHECK(write(fd, "text", 4) < 0 && errno == EINVAL, "a device takes no text");
  KIT_CHECK(destroy(fd, vm) == 0, "after lseek() and write()");
  close(fd);
}

static uint32_t object_of(int device, uint32_t *handle) {
  struct drm_xe_gem_create create = {
      .size = XE_BLOCK, .placement = 1, .cpu_caching = DRM_XE_GEM_CPU_CACHING_WB};
  int error = kit_ioctl(device, DRM_IOCTL_XE_GEM_CREATE, &create);
  if (error != 0) xe_die("GEM_CREATE: %s", strerror(error));
  return *handle = create.handle;
}

static void dma_bufs(void) {
  int device = open_device(O_RDWR);
  uint32_t handle;
  object_of(device, &handle);
  struct drm_prime_handle prime = {.handle = handle, .flags = O_RDWR | O_CLOEXEC};
  KIT_CHECK(kit_ioctl(device, DRM_IOCTL_PRIME_HANDLE_TO_FD, &prime) == 0, "HANDLE_TO_FD");
  int got[] = {by_message(prime.fd, 0), by_pidfd(prime.fd), by_message(prime.fd, 1)};
  for (unsigned i = 0; i < sizeof got / sizeof got[0]; ++i) {
    struct drm_prime_handle back = {.fd = got[i]};
    int error = kit_ioctl(device, DRM_IOCTL_PRIME_FD_TO_HANDLE, &back);
    KIT_CHECK(error == 0 && back.handle == handle, "dma-buf %u: %s, handle %u", i, strerror(error), back.handle);
    close(got[i]);
  }
  close(device);
}

static void sync_files(void) {
  int device = open_device(O_RDWR);
  struct drm_syncobj_create create = {.flags = DRM_SYNCOBJ_CREATE_SIGNALED};
  KIT_CHECK(kit_ioctl(device, DRM_IOCTL_SYNCOBJ_CREATE, &create) == 0, "SYNCOBJ_CREATE");
  for (unsigned flags = 0; flags <= DRM_SYNCOBJ_HANDLE_TO_FD_FLAGS_EXPORT_SYNC_FILE; ++flags) {
    struct drm_syncobj_handle out = {.handle = create.handle, .flags = flags};
    KIT_CHECK(kit_ioctl(device, DRM_IOCTL_SYNCOBJ_HANDLE_TO_FD, &out) == 0, "HANDLE_TO_FD, flags %u", flags);
    int got = by_message(out.fd, 0);
    struct drm_syncobj_handle in = {.fd = got, .handle = create.handle, .flags = flags};
    int error = kit_ioctl(device, DRM_IOCTL_SYNCOBJ_FD_TO_HANDLE, &in);
    KIT_CHECK(error == 0, "FD_TO_HANDLE, flags %u: %s", flags, strerror(error));
    close(got);
    close(out.fd);
  }
  close(device);
}

int main(void) {
  struct xe_device awake; /* the engine is there while single files come and go */
  kit_open(&awake, 0, KIT_MIRROR_PLAIN);
  devices();
  behind_everybodys_back();
  path_only();
  positions();
  dma_bufs();
  sync_files();
  xe_close(&awake);
  return kit_finish("same_file");
}
