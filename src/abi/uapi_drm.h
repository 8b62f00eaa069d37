/*
 * The DRM core part of the user ABI that Xe clients use: driver identification, GEM names, prime,
 * syncobj, dma-buf and sync_file requests. Included by uapi.h; see there for the rules of this text.
 *
 * Field order and numbers come from tests/data/uapi.json (checked by uapi_test.cc); behaviour stands
 * in docs/spec/uapi.md sections 16-18. Two KMS structs that are not in the JSON carry the answer
 * "no display" (docs/spec/clients.md section 7) and are at the end.
 *
 * Included after the system's <drm/drm.h> (for example through libdrm) this file adds nothing: the
 * names are the same.
 */
#ifndef SOFTXE_ABI_UAPI_DRM_H
#define SOFTXE_ABI_UAPI_DRM_H

#ifdef __GNUC__
#pragma GCC system_header /* flexible arrays and unnamed unions in C++ */
#endif

#include <linux/ioctl.h>
#include <linux/types.h>

/* clang-format off */

#ifndef _DRM_H_

/* Request words: type byte, and the number range that belongs to drivers. */
#define DRM_IOCTL_BASE                                             100
#define DRM_COMMAND_BASE                                           64
#define DRM_COMMAND_END                                            160

typedef unsigned int drm_magic_t;

/* Who the driver is. Strings are cut at the given length, never terminated; the length fields come
 * back as the true lengths. */
struct drm_version {
  int version_major;
  int version_minor;
  int version_patchlevel;
  __kernel_size_t name_len;
  char *name;
  __kernel_size_t date_len;
  char *date;
  __kernel_size_t desc_len;
  char *desc;
};
#define DRM_IOCTL_VERSION                        _IOWR(DRM_IOCTL_BASE, 0x00, struct drm_version)

/* Bus id, authentication and master: legacy of card nodes. */
struct drm_unique {
  __kernel_size_t unique_len;
  char *unique;
};
struct drm_auth {
  drm_magic_t magic;
};
struct drm_client {
  int idx;
  int auth;
  unsigned long pid;
  unsigned long uid;
  unsigned long magic;
  unsigned long iocs;
};
struct drm_stats {
  unsigned long count;
  struct {
    unsigned long value;
    __u32 type;
  } data[15];
};
struct drm_set_version {
  int drm_di_major;
  int drm_di_minor;
  int drm_dd_major;
  int drm_dd_minor;
};
#define DRM_IOCTL_GET_UNIQUE                     _IOWR(DRM_IOCTL_BASE, 0x01, struct drm_unique)
#define DRM_IOCTL_GET_MAGIC                      _IOR(DRM_IOCTL_BASE, 0x02, struct drm_auth)
#define DRM_IOCTL_AUTH_MAGIC                     _IOW(DRM_IOCTL_BASE, 0x11, struct drm_auth)
#define DRM_IOCTL_GET_CLIENT                     _IOWR(DRM_IOCTL_BASE, 0x05, struct drm_client)
#define DRM_IOCTL_GET_STATS                      _IOR(DRM_IOCTL_BASE, 0x06, struct drm_stats)
#define DRM_IOCTL_SET_VERSION                    _IOWR(DRM_IOCTL_BASE, 0x07, struct drm_set_version)
#define DRM_IOCTL_SET_MASTER                     _IO(DRM_IOCTL_BASE, 0x1e)
#define DRM_IOCTL_DROP_MASTER                    _IO(DRM_IOCTL_BASE, 0x1f)

/* GEM handles are numbers of one open file; flink names are numbers of one device. */
struct drm_gem_close {
  __u32 handle;
  __u32 pad;
};
struct drm_gem_flink {
  __u32 handle;
  __u32 name;
};
struct drm_gem_open {
  __u32 name;
  __u32 handle;
  __u64 size;
};
struct drm_gem_change_handle {
  __u32 handle;
  __u32 new_handle;
};
#define DRM_IOCTL_GEM_CLOSE                      _IOW(DRM_IOCTL_BASE, 0x09, struct drm_gem_close)
#define DRM_IOCTL_GEM_FLINK                      _IOWR(DRM_IOCTL_BASE, 0x0a, struct drm_gem_flink)
#define DRM_IOCTL_GEM_OPEN                       _IOWR(DRM_IOCTL_BASE, 0x0b, struct drm_gem_open)
#define DRM_IOCTL_GEM_CHANGE_HANDLE              _IOWR(DRM_IOCTL_BASE, 0xd2, struct drm_gem_change_handle)

/* Capabilities of the device, and of the client. */
#define DRM_CAP_DUMB_BUFFER                                        1
#define DRM_CAP_VBLANK_HIGH_CRTC                                   2
#define DRM_CAP_DUMB_PREFERRED_DEPTH                               3
#define DRM_CAP_DUMB_PREFER_SHADOW                                 4
#define DRM_CAP_PRIME                                              5
#define DRM_CAP_TIMESTAMP_MONOTONIC                                6
#define DRM_CAP_ASYNC_PAGE_FLIP                                    7
#define DRM_CAP_CURSOR_WIDTH                                       8
#define DRM_CAP_CURSOR_HEIGHT                                      9
#define DRM_CAP_ADDFB2_MODIFIERS                                   16
#define DRM_CAP_PAGE_FLIP_TARGET                                   17
#define DRM_CAP_CRTC_IN_VBLANK_EVENT                               18
#define DRM_CAP_SYNCOBJ                                            19
#define DRM_CAP_SYNCOBJ_TIMELINE                                   20
#define DRM_CAP_ATOMIC_ASYNC_PAGE_FLIP                             21
#define DRM_PRIME_CAP_IMPORT                                       1
#define DRM_PRIME_CAP_EXPORT                                       2
#define DRM_CLIENT_CAP_STEREO_3D                                   1
#define DRM_CLIENT_CAP_UNIVERSAL_PLANES                            2
#define DRM_CLIENT_CAP_ATOMIC                                      3
#define DRM_CLIENT_CAP_ASPECT_RATIO                                4
#define DRM_CLIENT_CAP_WRITEBACK_CONNECTORS                        5
#define DRM_CLIENT_CAP_CURSOR_PLANE_HOTSPOT                        6
#define DRM_CLIENT_CAP_PLANE_COLOR_PIPELINE                        7
struct drm_get_cap {
  __u64 capability;
  __u64 value;
};
struct drm_set_client_cap {
  __u64 capability;
  __u64 value;
};
#define DRM_IOCTL_GET_CAP                        _IOWR(DRM_IOCTL_BASE, 0x0c, struct drm_get_cap)
#define DRM_IOCTL_SET_CLIENT_CAP                 _IOW(DRM_IOCTL_BASE, 0x0d, struct drm_set_client_cap)

/* A label that fdinfo shows; length 0 clears it. */
#define DRM_CLIENT_NAME_MAX_LEN                                    64
struct drm_set_client_name {
  __u64 name_len;
  __u64 name;
};
#define DRM_IOCTL_SET_CLIENT_NAME                _IOWR(DRM_IOCTL_BASE, 0xd1, struct drm_set_client_name)

/* Prime: a GEM object as a dma-buf file descriptor and back. */
#define DRM_RDWR                                                   2
#define DRM_CLOEXEC                                                0x80000
struct drm_prime_handle {
  __u32 handle;
  __u32 flags;
  __s32 fd;
};
#define DRM_IOCTL_PRIME_HANDLE_TO_FD             _IOWR(DRM_IOCTL_BASE, 0x2d, struct drm_prime_handle)
#define DRM_IOCTL_PRIME_FD_TO_HANDLE             _IOWR(DRM_IOCTL_BASE, 0x2e, struct drm_prime_handle)

/* Syncobj: a container for one fence or one timeline. */
#define DRM_SYNCOBJ_CREATE_SIGNALED                                1
#define DRM_SYNCOBJ_FD_TO_HANDLE_FLAGS_IMPORT_SYNC_FILE            (1u << 0)
#define DRM_SYNCOBJ_FD_TO_HANDLE_FLAGS_TIMELINE                    (1u << 1)
#define DRM_SYNCOBJ_HANDLE_TO_FD_FLAGS_EXPORT_SYNC_FILE            (1u << 0)
#define DRM_SYNCOBJ_HANDLE_TO_FD_FLAGS_TIMELINE                    (1u << 1)
#define DRM_SYNCOBJ_WAIT_FLAGS_WAIT_ALL                            (1u << 0)
#define DRM_SYNCOBJ_WAIT_FLAGS_WAIT_FOR_SUBMIT                     (1u << 1)
#define DRM_SYNCOBJ_WAIT_FLAGS_WAIT_AVAILABLE                      (1u << 2)
#define DRM_SYNCOBJ_WAIT_FLAGS_WAIT_DEADLINE                       (1u << 3)
#define DRM_SYNCOBJ_QUERY_FLAGS_LAST_SUBMITTED                     (1u << 0)
struct drm_syncobj_create {
  __u32 handle;
  __u32 flags;
};
struct drm_syncobj_destroy {
  __u32 handle;
  __u32 pad;
};
struct drm_syncobj_handle {
  __u32 handle;
  __u32 flags;
  __s32 fd;
  __u32 pad;
  __u64 point;
};
struct drm_syncobj_array {
  __u64 handles;
  __u32 count_handles;
  __u32 pad;
};
struct drm_syncobj_wait {
  __u64 handles;
  __s64 timeout_nsec;
  __u32 count_handles;
  __u32 flags;
  __u32 first_signaled;
  __u32 pad;
  __u64 deadline_nsec;
};
struct drm_syncobj_timeline_wait {
  __u64 handles;
  __u64 points;
  __s64 timeout_nsec;
  __u32 count_handles;
  __u32 flags;
  __u32 first_signaled;
  __u32 pad;
  __u64 deadline_nsec;
};
struct drm_syncobj_timeline_array {
  __u64 handles;
  __u64 points;
  __u32 count_handles;
  __u32 flags;
};
struct drm_syncobj_transfer {
  __u32 src_handle;
  __u32 dst_handle;
  __u64 src_point;
  __u64 dst_point;
  __u32 flags;
  __u32 pad;
};
struct drm_syncobj_eventfd {
  __u32 handle;
  __u32 flags;
  __u64 point;
  __s32 fd;
  __u32 pad;
};
#define DRM_IOCTL_SYNCOBJ_CREATE                 _IOWR(DRM_IOCTL_BASE, 0xbf, struct drm_syncobj_create)
#define DRM_IOCTL_SYNCOBJ_DESTROY                _IOWR(DRM_IOCTL_BASE, 0xc0, struct drm_syncobj_destroy)
#define DRM_IOCTL_SYNCOBJ_HANDLE_TO_FD           _IOWR(DRM_IOCTL_BASE, 0xc1, struct drm_syncobj_handle)
#define DRM_IOCTL_SYNCOBJ_FD_TO_HANDLE           _IOWR(DRM_IOCTL_BASE, 0xc2, struct drm_syncobj_handle)
#define DRM_IOCTL_SYNCOBJ_WAIT                   _IOWR(DRM_IOCTL_BASE, 0xc3, struct drm_syncobj_wait)
#define DRM_IOCTL_SYNCOBJ_RESET                  _IOWR(DRM_IOCTL_BASE, 0xc4, struct drm_syncobj_array)
#define DRM_IOCTL_SYNCOBJ_SIGNAL                 _IOWR(DRM_IOCTL_BASE, 0xc5, struct drm_syncobj_array)
#define DRM_IOCTL_SYNCOBJ_TIMELINE_WAIT          _IOWR(DRM_IOCTL_BASE, 0xca, struct drm_syncobj_timeline_wait)
#define DRM_IOCTL_SYNCOBJ_QUERY                  _IOWR(DRM_IOCTL_BASE, 0xcb, struct drm_syncobj_timeline_array)
#define DRM_IOCTL_SYNCOBJ_TRANSFER               _IOWR(DRM_IOCTL_BASE, 0xcc, struct drm_syncobj_transfer)
#define DRM_IOCTL_SYNCOBJ_TIMELINE_SIGNAL        _IOWR(DRM_IOCTL_BASE, 0xcd, struct drm_syncobj_timeline_array)
#define DRM_IOCTL_SYNCOBJ_EVENTFD                _IOWR(DRM_IOCTL_BASE, 0xcf, struct drm_syncobj_eventfd)

#endif /* _DRM_H_ */

#ifndef _DRM_MODE_H
/* Dumb buffers (card node only). */
struct drm_mode_create_dumb {
  __u32 height;
  __u32 width;
  __u32 bpp;
  __u32 flags;
  __u32 handle;
  __u32 pitch;
  __u64 size;
};
struct drm_mode_map_dumb {
  __u32 handle;
  __u32 pad;
  __u64 offset;
};
struct drm_mode_destroy_dumb {
  __u32 handle;
};
#define DRM_IOCTL_MODE_CREATE_DUMB               _IOWR(DRM_IOCTL_BASE, 0xb2, struct drm_mode_create_dumb)
#define DRM_IOCTL_MODE_MAP_DUMB                  _IOWR(DRM_IOCTL_BASE, 0xb3, struct drm_mode_map_dumb)
#define DRM_IOCTL_MODE_DESTROY_DUMB              _IOWR(DRM_IOCTL_BASE, 0xb4, struct drm_mode_destroy_dumb)

/* Display resources: softxe has none and answers with zero counts. */
struct drm_mode_card_res {
  __u64 fb_id_ptr;
  __u64 crtc_id_ptr;
  __u64 connector_id_ptr;
  __u64 encoder_id_ptr;
  __u32 count_fbs;
  __u32 count_crtcs;
  __u32 count_connectors;
  __u32 count_encoders;
  __u32 min_width;
  __u32 max_width;
  __u32 min_height;
  __u32 max_height;
};
struct drm_mode_get_plane_res {
  __u64 plane_id_ptr;
  __u32 count_planes;
};
#define DRM_IOCTL_MODE_GETRESOURCES              _IOWR(DRM_IOCTL_BASE, 0xa0, struct drm_mode_card_res)
#define DRM_IOCTL_MODE_GETPLANERESOURCES         _IOWR(DRM_IOCTL_BASE, 0xb5, struct drm_mode_get_plane_res)
#endif /* _DRM_MODE_H */

#ifndef _DMA_BUF_UAPI_H_
/* dma-buf: CPU access brackets, name, and conversion of its implicit fences. */
#define DMA_BUF_SYNC_READ                                          1
#define DMA_BUF_SYNC_WRITE                                         2
#define DMA_BUF_SYNC_RW                                            3
#define DMA_BUF_SYNC_START                                         0
#define DMA_BUF_SYNC_END                                           4
#define DMA_BUF_SYNC_VALID_FLAGS_MASK                              7
#define DMA_BUF_NAME_LEN                                           32
#define DMA_BUF_BASE                                               98
struct dma_buf_sync {
  __u64 flags;
};
struct dma_buf_export_sync_file {
  __u32 flags;
  __s32 fd;
};
struct dma_buf_import_sync_file {
  __u32 flags;
  __s32 fd;
};
#define DMA_BUF_IOCTL_SYNC                       _IOW(DMA_BUF_BASE, 0x00, struct dma_buf_sync)
#define DMA_BUF_SET_NAME_A                       _IOW(DMA_BUF_BASE, 0x01, __u32)
#define DMA_BUF_SET_NAME_B                       _IOW(DMA_BUF_BASE, 0x01, __u64)
#define DMA_BUF_IOCTL_EXPORT_SYNC_FILE           _IOWR(DMA_BUF_BASE, 0x02, struct dma_buf_export_sync_file)
#define DMA_BUF_IOCTL_IMPORT_SYNC_FILE           _IOW(DMA_BUF_BASE, 0x03, struct dma_buf_import_sync_file)

#endif /* _DMA_BUF_UAPI_H_ */

#ifndef _LINUX_SYNC_H
/* sync_file: a fence as a file descriptor. */
#define SYNC_IOC_MAGIC                                             62
struct sync_merge_data {
  char name[32];
  __s32 fd2;
  __s32 fence;
  __u32 flags;
  __u32 pad;
};
struct sync_fence_info {
  char obj_name[32];
  char driver_name[32];
  __s32 status;
  __u32 flags;
  __u64 timestamp_ns;
};
struct sync_file_info {
  char name[32];
  __s32 status;
  __u32 flags;
  __u32 num_fences;
  __u32 pad;
  __u64 sync_fence_info;
};
struct sync_set_deadline {
  __u64 deadline_ns;
  __u64 pad;
};
#define SYNC_IOC_MERGE                           _IOWR(SYNC_IOC_MAGIC, 0x03, struct sync_merge_data)
#define SYNC_IOC_FILE_INFO                       _IOWR(SYNC_IOC_MAGIC, 0x04, struct sync_file_info)
#define SYNC_IOC_SET_DEADLINE                    _IOW(SYNC_IOC_MAGIC, 0x05, struct sync_set_deadline)

#endif /* _LINUX_SYNC_H */

/* debugfs sync/sw_sync: fences that the opener signals. No uapi header of the kernel has these. */
struct sw_sync_create_fence_data {
  __u32 value;
  char name[32];
  __s32 fence;
};
#define SW_SYNC_IOC_MAGIC                                          'W'
#define SW_SYNC_IOC_CREATE_FENCE                 _IOWR(SW_SYNC_IOC_MAGIC, 0, struct sw_sync_create_fence_data)
#define SW_SYNC_IOC_INC                          _IOW(SW_SYNC_IOC_MAGIC, 1, __u32)


#endif /* SOFTXE_ABI_UAPI_DRM_H */
