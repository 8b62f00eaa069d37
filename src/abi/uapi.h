/*
 * The Xe user ABI: structs, constants and ioctl request words, under the kernel's names.
 *
 * Usable from C11 and C++20: clients (examples/) include it to talk to a device, softxe includes it
 * in abi/ only, where untrusted bytes become typed requests (decode.h). Written for this project from
 * tests/data/uapi.json; uapi_test.cc compares every constant, size and offset with that file.
 * Behaviour: docs/spec/uapi.md and docs/spec/vm.md. DRM core names are in uapi_drm.h.
 *
 * Every "pad" and "reserved" field must be zero unless the specification says it is not looked at.
 * Included after the system's <drm/xe_drm.h> this file adds nothing.
 */
#ifndef SOFTXE_ABI_UAPI_H
#define SOFTXE_ABI_UAPI_H

#ifdef __GNUC__
#pragma GCC system_header /* flexible arrays and unnamed unions in C++ */
#endif

#include "uapi_drm.h"

#if !defined(_XE_DRM_H_) && !defined(_UAPI_XE_DRM_H_)

/* clang-format off */
/* Numbers of the 16 driver ioctls, counted from DRM_COMMAND_BASE. */
#define DRM_XE_DEVICE_QUERY                                        0
#define DRM_XE_GEM_CREATE                                          1
#define DRM_XE_GEM_MMAP_OFFSET                                     2
#define DRM_XE_VM_CREATE                                           3
#define DRM_XE_VM_DESTROY                                          4
#define DRM_XE_VM_BIND                                             5
#define DRM_XE_EXEC_QUEUE_CREATE                                   6
#define DRM_XE_EXEC_QUEUE_DESTROY                                  7
#define DRM_XE_EXEC_QUEUE_GET_PROPERTY                             8
#define DRM_XE_EXEC                                                9
#define DRM_XE_WAIT_USER_FENCE                                     10
#define DRM_XE_OBSERVATION                                         11
#define DRM_XE_MADVISE                                             12
#define DRM_XE_VM_QUERY_MEM_RANGE_ATTRS                            13
#define DRM_XE_EXEC_QUEUE_SET_PROPERTY                             14
#define DRM_XE_VM_GET_PROPERTY                                     15

/* Link of an extension chain: address of the next link or 0, kind, padding. */
struct drm_xe_user_extension {
  __u64 next_extension;
  __u32 name;
  __u32 pad;
};

/* Body of the one extension kind in use ("set property"). */
struct drm_xe_ext_set_property {
  struct drm_xe_user_extension base;
  __u32 property;
  __u32 pad;
  union {
    __u64 value;
    __u64 ptr;
  };
  __u64 reserved[2];
};

/* Engine classes. Class 5 is no engine: a queue of that class orders binds. */
#define DRM_XE_ENGINE_CLASS_RENDER                                 0
#define DRM_XE_ENGINE_CLASS_COPY                                   1
#define DRM_XE_ENGINE_CLASS_VIDEO_DECODE                           2
#define DRM_XE_ENGINE_CLASS_VIDEO_ENHANCE                          3
#define DRM_XE_ENGINE_CLASS_COMPUTE                                4
#define DRM_XE_ENGINE_CLASS_VM_BIND                                5
struct drm_xe_engine_class_instance {
  __u16 engine_class;
  __u16 engine_instance;
  __u16 gt_id;
  __u16 pad;
};

/* DEVICE_QUERY: one read-only table per number. Call with size 0 to learn the size. */
#define DRM_XE_DEVICE_QUERY_ENGINES                                0
#define DRM_XE_DEVICE_QUERY_MEM_REGIONS                            1
#define DRM_XE_DEVICE_QUERY_CONFIG                                 2
#define DRM_XE_DEVICE_QUERY_GT_LIST                                3
#define DRM_XE_DEVICE_QUERY_HWCONFIG                               4
#define DRM_XE_DEVICE_QUERY_GT_TOPOLOGY                            5
#define DRM_XE_DEVICE_QUERY_ENGINE_CYCLES                          6
#define DRM_XE_DEVICE_QUERY_UC_FW_VERSION                          7
#define DRM_XE_DEVICE_QUERY_OA_UNITS                               8
#define DRM_XE_DEVICE_QUERY_PXP_STATUS                             9
#define DRM_XE_DEVICE_QUERY_EU_STALL                               10
struct drm_xe_device_query {
  __u64 extensions;
  __u32 query;
  __u32 size;
  __u64 data;
  __u64 reserved[2];
};
#define DRM_IOCTL_XE_DEVICE_QUERY \
  _IOWR(DRM_IOCTL_BASE, DRM_COMMAND_BASE + DRM_XE_DEVICE_QUERY, struct drm_xe_device_query)

/* Query ENGINES. */
struct drm_xe_engine {
  struct drm_xe_engine_class_instance instance;
  __u64 reserved[3];
};
struct drm_xe_query_engines {
  __u32 num_engines;
  __u32 pad;
  struct drm_xe_engine engines[];
};

/* Query MEM_REGIONS. The instance is the bit number in GEM_CREATE.placement. */
enum drm_xe_memory_class {
  DRM_XE_MEM_REGION_CLASS_SYSMEM = 0,
  DRM_XE_MEM_REGION_CLASS_VRAM = 1,
};
struct drm_xe_mem_region {
  __u16 mem_class;
  __u16 instance;
  __u32 min_page_size;
  __u64 total_size;
  __u64 used;
  __u64 cpu_visible_size;
  __u64 cpu_visible_used;
  __u64 reserved[6];
};
struct drm_xe_query_mem_regions {
  __u32 num_mem_regions;
  __u32 pad;
  struct drm_xe_mem_region mem_regions[];
};

/* Query CONFIG: the indices of info[] and the flag bits of info[1]. */
#define DRM_XE_QUERY_CONFIG_REV_AND_DEVICE_ID                      0
#define DRM_XE_QUERY_CONFIG_FLAGS                                  1
#define DRM_XE_QUERY_CONFIG_FLAG_HAS_VRAM                          (1u << 0)
#define DRM_XE_QUERY_CONFIG_FLAG_HAS_LOW_LATENCY                   (1u << 1)
#define DRM_XE_QUERY_CONFIG_FLAG_HAS_CPU_ADDR_MIRROR               (1u << 2)
#define DRM_XE_QUERY_CONFIG_FLAG_HAS_NO_COMPRESSION_HINT           (1u << 3)
#define DRM_XE_QUERY_CONFIG_FLAG_HAS_DISABLE_STATE_CACHE_PERF_FIX  (1u << 4)
#define DRM_XE_QUERY_CONFIG_FLAG_HAS_PURGING_SUPPORT               (1u << 5)
#define DRM_XE_QUERY_CONFIG_MIN_ALIGNMENT                          2
#define DRM_XE_QUERY_CONFIG_VA_BITS                                3
#define DRM_XE_QUERY_CONFIG_MAX_EXEC_QUEUE_PRIORITY                4
struct drm_xe_query_config {
  __u32 num_params;
  __u32 pad;
  __u64 info[];
};

/* Query GT_LIST. */
#define DRM_XE_QUERY_GT_TYPE_MAIN                                  0
#define DRM_XE_QUERY_GT_TYPE_MEDIA                                 1
struct drm_xe_gt {
  __u16 type;
  __u16 tile_id;
  __u16 gt_id;
  __u16 pad[3];
  __u32 reference_clock;
  __u64 near_mem_regions;
  __u64 far_mem_regions;
  __u16 ip_ver_major;
  __u16 ip_ver_minor;
  __u16 ip_ver_rev;
  __u16 pad2;
  __u64 reserved[7];
};
struct drm_xe_query_gt_list {
  __u32 num_gt;
  __u32 pad;
  struct drm_xe_gt gt_list[];
};

/* Query GT_TOPOLOGY: a packed sequence of these headers, each followed by its mask. */
#define DRM_XE_TOPO_DSS_GEOMETRY                                   1
#define DRM_XE_TOPO_DSS_COMPUTE                                    2
#define DRM_XE_TOPO_L3_BANK                                        3
#define DRM_XE_TOPO_EU_PER_DSS                                     4
#define DRM_XE_TOPO_SIMD16_EU_PER_DSS                              5
struct drm_xe_query_topology_mask {
  __u16 gt_id;
  __u16 type;
  __u32 num_bytes;
  __u8 mask[];
};

/* Query ENGINE_CYCLES: engine and clock in, a pair of time stamps out. */
struct drm_xe_query_engine_cycles {
  struct drm_xe_engine_class_instance eci;
  __s32 clockid;
  __u32 width;
  __u64 engine_cycles;
  __u64 cpu_timestamp;
  __u64 cpu_delta;
};

/* Query UC_FW_VERSION. */
#define XE_QUERY_UC_TYPE_GUC_SUBMISSION                            0
#define XE_QUERY_UC_TYPE_HUC                                       1
struct drm_xe_query_uc_fw_version {
  __u16 uc_type;
  __u16 pad;
  __u32 branch_ver;
  __u32 major_ver;
  __u32 minor_ver;
  __u32 patch_ver;
  __u32 pad2;
  __u64 reserved;
};

/* Query OA_UNITS, and the observation streams of those units. */
enum drm_xe_oa_unit_type {
  DRM_XE_OA_UNIT_TYPE_OAG = 0,
  DRM_XE_OA_UNIT_TYPE_OAM = 1,
  DRM_XE_OA_UNIT_TYPE_OAM_SAG = 2,
  DRM_XE_OA_UNIT_TYPE_MERT = 3,
};
#define DRM_XE_OA_CAPS_BASE                                        (1u << 0)
#define DRM_XE_OA_CAPS_SYNCS                                       (1u << 1)
#define DRM_XE_OA_CAPS_OA_BUFFER_SIZE                              (1u << 2)
#define DRM_XE_OA_CAPS_WAIT_NUM_REPORTS                            (1u << 3)
#define DRM_XE_OA_CAPS_OAM                                         (1u << 4)
#define DRM_XE_OA_CAPS_OA_UNIT_GT_ID                               (1u << 5)
struct drm_xe_oa_unit {
  __u64 extensions;
  __u32 oa_unit_id;
  __u32 oa_unit_type;
  __u64 capabilities;
  __u64 oa_timestamp_freq;
  __u16 gt_id;
  __u16 reserved1[3];
  __u64 reserved[3];
  __u64 num_engines;
  struct drm_xe_engine_class_instance eci[];
};
struct drm_xe_query_oa_units {
  __u64 extensions;
  __u32 num_oa_units;
  __u32 pad;
  __u64 oa_units[];
};

/* Query PXP_STATUS. */
enum drm_xe_pxp_session_type {
  DRM_XE_PXP_TYPE_NONE = 0,
  DRM_XE_PXP_TYPE_HWDRM = 1,
};
#define DRM_XE_PXP_HWDRM_DEFAULT_SESSION                           15
struct drm_xe_query_pxp_status {
  __u32 status;
  __u32 supported_session_types;
};

/* Query EU_STALL, and the properties of its stream. */
#define DRM_XE_EU_STALL_EXTENSION_SET_PROPERTY                     0
#define DRM_XE_EU_STALL_CAPS_BASE                                  (1u << 0)
enum drm_xe_eu_stall_property_id {
  DRM_XE_EU_STALL_PROP_GT_ID = 1,
  DRM_XE_EU_STALL_PROP_SAMPLE_RATE = 2,
  DRM_XE_EU_STALL_PROP_WAIT_NUM_REPORTS = 3,
};
struct drm_xe_query_eu_stall {
  __u64 extensions;
  __u64 capabilities;
  __u64 record_size;
  __u64 per_xecore_buf_size;
  __u64 reserved[5];
  __u64 num_sampling_rates;
  __u64 sampling_rates[];
};

/* GEM_CREATE: a buffer object in one of the regions of `placement`. */
#define DRM_XE_GEM_CREATE_EXTENSION_SET_PROPERTY                   0
#define DRM_XE_GEM_CREATE_SET_PROPERTY_PXP_TYPE                    0
#define DRM_XE_GEM_CREATE_FLAG_DEFER_BACKING                       (1u << 0)
#define DRM_XE_GEM_CREATE_FLAG_SCANOUT                             (1u << 1)
#define DRM_XE_GEM_CREATE_FLAG_NEEDS_VISIBLE_VRAM                  (1u << 2)
#define DRM_XE_GEM_CREATE_FLAG_NO_COMPRESSION                      (1u << 3)
#define DRM_XE_GEM_CPU_CACHING_WB                                  1
#define DRM_XE_GEM_CPU_CACHING_WC                                  2
struct drm_xe_gem_create {
  __u64 extensions;
  __u64 size;
  __u32 placement;
  __u32 flags;
  __u32 vm_id;
  __u32 handle;
  __u16 cpu_caching;
  __u16 pad[3];
  __u64 reserved[2];
};
#define DRM_IOCTL_XE_GEM_CREATE \
  _IOWR(DRM_IOCTL_BASE, DRM_COMMAND_BASE + DRM_XE_GEM_CREATE, struct drm_xe_gem_create)

/* GEM_MMAP_OFFSET: the number to give to mmap of the device file. */
#define DRM_XE_MMAP_OFFSET_FLAG_PCI_BARRIER                        (1u << 0)
struct drm_xe_gem_mmap_offset {
  __u64 extensions;
  __u32 handle;
  __u32 flags;
  __u64 offset;
  __u64 reserved[2];
};
#define DRM_IOCTL_XE_GEM_MMAP_OFFSET \
  _IOWR(DRM_IOCTL_BASE, DRM_COMMAND_BASE + DRM_XE_GEM_MMAP_OFFSET, struct drm_xe_gem_mmap_offset)

/* VM_CREATE and VM_DESTROY. */
#define DRM_XE_VM_CREATE_FLAG_SCRATCH_PAGE                         (1u << 0)
#define DRM_XE_VM_CREATE_FLAG_LR_MODE                              (1u << 1)
#define DRM_XE_VM_CREATE_FLAG_FAULT_MODE                           (1u << 2)
#define DRM_XE_VM_CREATE_FLAG_NO_VM_OVERCOMMIT                     (1u << 3)
struct drm_xe_vm_create {
  __u64 extensions;
  __u32 flags;
  __u32 vm_id;
  __u64 reserved[2];
};
struct drm_xe_vm_destroy {
  __u32 vm_id;
  __u32 pad;
  __u64 reserved[2];
};
#define DRM_IOCTL_XE_VM_CREATE \
  _IOWR(DRM_IOCTL_BASE, DRM_COMMAND_BASE + DRM_XE_VM_CREATE, struct drm_xe_vm_create)
#define DRM_IOCTL_XE_VM_DESTROY \
  _IOW(DRM_IOCTL_BASE, DRM_COMMAND_BASE + DRM_XE_VM_DESTROY, struct drm_xe_vm_destroy)

/* VM_BIND: one operation inline, or an array of them. */
#define DRM_XE_VM_BIND_OP_MAP                                      0
#define DRM_XE_VM_BIND_OP_UNMAP                                    1
#define DRM_XE_VM_BIND_OP_MAP_USERPTR                              2
#define DRM_XE_VM_BIND_OP_UNMAP_ALL                                3
#define DRM_XE_VM_BIND_OP_PREFETCH                                 4
#define DRM_XE_VM_BIND_FLAG_READONLY                               (1u << 0)
#define DRM_XE_VM_BIND_FLAG_IMMEDIATE                              (1u << 1)
#define DRM_XE_VM_BIND_FLAG_NULL                                   (1u << 2)
#define DRM_XE_VM_BIND_FLAG_DUMPABLE                               (1u << 3)
#define DRM_XE_VM_BIND_FLAG_CHECK_PXP                              (1u << 4)
#define DRM_XE_VM_BIND_FLAG_CPU_ADDR_MIRROR                        (1u << 5)
#define DRM_XE_VM_BIND_FLAG_MADVISE_AUTORESET                      (1u << 6)
#define DRM_XE_VM_BIND_FLAG_DECOMPRESS                             (1u << 7)
#define DRM_XE_CONSULT_MEM_ADVISE_PREF_LOC                         -1
struct drm_xe_vm_bind_op {
  __u64 extensions;
  __u32 obj;
  __u16 pat_index;
  __u16 pad;
  union {
    __u64 obj_offset;
    __u64 userptr;
    __s64 cpu_addr_mirror_offset;
  };
  __u64 range;
  __u64 addr;
  __u32 op;
  __u32 flags;
  __u32 prefetch_mem_region_instance;
  __u32 pad2;
  __u64 reserved[3];
};
struct drm_xe_vm_bind {
  __u64 extensions;
  __u32 vm_id;
  __u32 exec_queue_id;
  __u32 pad;
  __u32 num_binds;
  union {
    struct drm_xe_vm_bind_op bind;
    __u64 vector_of_binds;
  };
  __u32 pad2;
  __u32 num_syncs;
  __u64 syncs;
  __u64 reserved[2];
};
#define DRM_IOCTL_XE_VM_BIND \
  _IOW(DRM_IOCTL_BASE, DRM_COMMAND_BASE + DRM_XE_VM_BIND, struct drm_xe_vm_bind)

/* VM_GET_PROPERTY: the list of page faults that could not be served. */
#define FAULT_ACCESS_TYPE_READ                                     0
#define FAULT_ACCESS_TYPE_WRITE                                    1
#define FAULT_ACCESS_TYPE_ATOMIC                                   2
#define FAULT_TYPE_NOT_PRESENT                                     0
#define FAULT_TYPE_WRITE_ACCESS                                    1
#define FAULT_TYPE_ATOMIC_ACCESS                                   2
#define FAULT_LEVEL_PTE                                            0
#define FAULT_LEVEL_PDE                                            1
#define FAULT_LEVEL_PDP                                            2
#define FAULT_LEVEL_PML4                                           3
#define FAULT_LEVEL_PML5                                           4
#define DRM_XE_VM_GET_PROPERTY_FAULTS                              0
struct xe_vm_fault {
  __u64 address;
  __u32 address_precision;
  __u8 access_type;
  __u8 fault_type;
  __u8 fault_level;
  __u8 pad;
  __u64 reserved[4];
};
struct drm_xe_vm_get_property {
  __u64 extensions;
  __u32 vm_id;
  __u32 property;
  __u32 size;
  __u32 pad;
  union {
    __u64 data;
    __u64 value;
  };
  __u64 reserved[3];
};
#define DRM_IOCTL_XE_VM_GET_PROPERTY \
  _IOWR(DRM_IOCTL_BASE, DRM_COMMAND_BASE + DRM_XE_VM_GET_PROPERTY, struct drm_xe_vm_get_property)

/* Exec queues. */
#define DRM_XE_EXEC_QUEUE_EXTENSION_SET_PROPERTY                   0
#define DRM_XE_EXEC_QUEUE_SET_PROPERTY_PRIORITY                    0
#define DRM_XE_EXEC_QUEUE_SET_PROPERTY_TIMESLICE                   1
#define DRM_XE_EXEC_QUEUE_SET_PROPERTY_PXP_TYPE                    2
#define DRM_XE_EXEC_QUEUE_SET_HANG_REPLAY_STATE                    3
#define DRM_XE_EXEC_QUEUE_SET_PROPERTY_MULTI_GROUP                 4
#define DRM_XE_EXEC_QUEUE_SET_PROPERTY_MULTI_QUEUE_PRIORITY        5
#define DRM_XE_EXEC_QUEUE_SET_DISABLE_STATE_CACHE_PERF_FIX         6
#define DRM_XE_EXEC_QUEUE_LOW_LATENCY_HINT                         (1u << 0)
#define DRM_XE_EXEC_QUEUE_GET_PROPERTY_BAN                         0
#define DRM_XE_MULTI_GROUP_CREATE                                  0x8000000000000000ULL
struct drm_xe_exec_queue_create {
  __u64 extensions;
  __u16 width;
  __u16 num_placements;
  __u32 vm_id;
  __u32 flags;
  __u32 exec_queue_id;
  __u64 instances;
  __u64 reserved[2];
};
struct drm_xe_exec_queue_destroy {
  __u32 exec_queue_id;
  __u32 pad;
  __u64 reserved[2];
};
struct drm_xe_exec_queue_get_property {
  __u64 extensions;
  __u32 exec_queue_id;
  __u32 property;
  __u64 value;
  __u64 reserved[2];
};
struct drm_xe_exec_queue_set_property {
  __u64 extensions;
  __u32 exec_queue_id;
  __u32 property;
  __u64 value;
  __u64 reserved[2];
};
#define DRM_IOCTL_XE_EXEC_QUEUE_CREATE \
  _IOWR(DRM_IOCTL_BASE, DRM_COMMAND_BASE + DRM_XE_EXEC_QUEUE_CREATE, struct drm_xe_exec_queue_create)
#define DRM_IOCTL_XE_EXEC_QUEUE_DESTROY \
  _IOW(DRM_IOCTL_BASE, DRM_COMMAND_BASE + DRM_XE_EXEC_QUEUE_DESTROY, struct drm_xe_exec_queue_destroy)
#define DRM_IOCTL_XE_EXEC_QUEUE_GET_PROPERTY \
  _IOWR(DRM_IOCTL_BASE, DRM_COMMAND_BASE + DRM_XE_EXEC_QUEUE_GET_PROPERTY, struct drm_xe_exec_queue_get_property)
#define DRM_IOCTL_XE_EXEC_QUEUE_SET_PROPERTY \
  _IOW(DRM_IOCTL_BASE, DRM_COMMAND_BASE + DRM_XE_EXEC_QUEUE_SET_PROPERTY, struct drm_xe_exec_queue_set_property)

/* Sync entries of VM_BIND and EXEC: in-fences, or out-fences with the signal flag. */
#define DRM_XE_SYNC_TYPE_SYNCOBJ                                   0
#define DRM_XE_SYNC_TYPE_TIMELINE_SYNCOBJ                          1
#define DRM_XE_SYNC_TYPE_USER_FENCE                                2
#define DRM_XE_SYNC_FLAG_SIGNAL                                    (1u << 0)
#define DRM_XE_MAX_SYNCS                                           0x400
struct drm_xe_sync {
  __u64 extensions;
  __u32 type;
  __u32 flags;
  union {
    __u32 handle;
    __u64 addr;
  };
  __u64 timeline_value;
  __u64 reserved[2];
};

/* EXEC: one job of `num_batch_buffer` batches. */
struct drm_xe_exec {
  __u64 extensions;
  __u32 exec_queue_id;
  __u32 num_syncs;
  __u64 syncs;
  __u64 address;
  __u16 num_batch_buffer;
  __u16 pad[3];
  __u64 reserved[2];
};
#define DRM_IOCTL_XE_EXEC \
  _IOW(DRM_IOCTL_BASE, DRM_COMMAND_BASE + DRM_XE_EXEC, struct drm_xe_exec)

/* WAIT_USER_FENCE: sleep until a masked 64-bit word compares true. */
#define DRM_XE_UFENCE_WAIT_OP_EQ                                   0
#define DRM_XE_UFENCE_WAIT_OP_NEQ                                  1
#define DRM_XE_UFENCE_WAIT_OP_GT                                   2
#define DRM_XE_UFENCE_WAIT_OP_GTE                                  3
#define DRM_XE_UFENCE_WAIT_OP_LT                                   4
#define DRM_XE_UFENCE_WAIT_OP_LTE                                  5
#define DRM_XE_UFENCE_WAIT_FLAG_ABSTIME                            (1u << 0)
struct drm_xe_wait_user_fence {
  __u64 extensions;
  __u64 addr;
  __u16 op;
  __u16 flags;
  __u32 pad;
  __u64 value;
  __u64 mask;
  __s64 timeout;
  __u32 exec_queue_id;
  __u32 pad2;
  __u64 reserved[2];
};
#define DRM_IOCTL_XE_WAIT_USER_FENCE \
  _IOWR(DRM_IOCTL_BASE, DRM_COMMAND_BASE + DRM_XE_WAIT_USER_FENCE, struct drm_xe_wait_user_fence)

/* OBSERVATION: hardware counters. Stream files have requests of their own (type byte 'i'). */
enum drm_xe_observation_type {
  DRM_XE_OBSERVATION_TYPE_OA = 0,
  DRM_XE_OBSERVATION_TYPE_EU_STALL = 1,
};
enum drm_xe_observation_op {
  DRM_XE_OBSERVATION_OP_STREAM_OPEN = 0,
  DRM_XE_OBSERVATION_OP_ADD_CONFIG = 1,
  DRM_XE_OBSERVATION_OP_REMOVE_CONFIG = 2,
};
struct drm_xe_observation_param {
  __u64 extensions;
  __u64 observation_type;
  __u64 observation_op;
  __u64 param;
};
#define DRM_IOCTL_XE_OBSERVATION \
  _IOW(DRM_IOCTL_BASE, DRM_COMMAND_BASE + DRM_XE_OBSERVATION, struct drm_xe_observation_param)
enum drm_xe_observation_ioctls {
  DRM_XE_OBSERVATION_IOCTL_ENABLE = 26880,
  DRM_XE_OBSERVATION_IOCTL_DISABLE = 26881,
  DRM_XE_OBSERVATION_IOCTL_CONFIG = 26882,
  DRM_XE_OBSERVATION_IOCTL_STATUS = 26883,
  DRM_XE_OBSERVATION_IOCTL_INFO = 26884,
};
enum drm_xe_oa_format_type {
  DRM_XE_OA_FMT_TYPE_OAG = 0,
  DRM_XE_OA_FMT_TYPE_OAR = 1,
  DRM_XE_OA_FMT_TYPE_OAM = 2,
  DRM_XE_OA_FMT_TYPE_OAC = 3,
  DRM_XE_OA_FMT_TYPE_OAM_MPEC = 4,
  DRM_XE_OA_FMT_TYPE_PEC = 5,
};
enum drm_xe_oa_property_id {
  DRM_XE_OA_PROPERTY_OA_UNIT_ID = 1,
  DRM_XE_OA_PROPERTY_SAMPLE_OA = 2,
  DRM_XE_OA_PROPERTY_OA_METRIC_SET = 3,
  DRM_XE_OA_PROPERTY_OA_FORMAT = 4,
  DRM_XE_OA_PROPERTY_OA_PERIOD_EXPONENT = 5,
  DRM_XE_OA_PROPERTY_OA_DISABLED = 6,
  DRM_XE_OA_PROPERTY_EXEC_QUEUE_ID = 7,
  DRM_XE_OA_PROPERTY_OA_ENGINE_INSTANCE = 8,
  DRM_XE_OA_PROPERTY_NO_PREEMPT = 9,
  DRM_XE_OA_PROPERTY_NUM_SYNCS = 10,
  DRM_XE_OA_PROPERTY_SYNCS = 11,
  DRM_XE_OA_PROPERTY_OA_BUFFER_SIZE = 12,
  DRM_XE_OA_PROPERTY_WAIT_NUM_REPORTS = 13,
};
#define DRM_XE_OA_EXTENSION_SET_PROPERTY                           0
#define DRM_XE_OA_FORMAT_MASK_FMT_TYPE                             255
#define DRM_XE_OA_FORMAT_MASK_COUNTER_SEL                          0xff00
#define DRM_XE_OA_FORMAT_MASK_COUNTER_SIZE                         0xff0000
#define DRM_XE_OA_FORMAT_MASK_BC_REPORT                            0xff000000U
#define DRM_XE_OASTATUS_MMIO_TRG_Q_FULL                            (1u << 3)
#define DRM_XE_OASTATUS_COUNTER_OVERFLOW                           (1u << 2)
#define DRM_XE_OASTATUS_BUFFER_OVERFLOW                            (1u << 1)
#define DRM_XE_OASTATUS_REPORT_LOST                                (1u << 0)
struct drm_xe_oa_config {
  __u64 extensions;
  char uuid[36];
  __u32 n_regs;
  __u64 regs_ptr;
};
struct drm_xe_oa_stream_status {
  __u64 extensions;
  __u64 oa_status;
  __u64 reserved[3];
};
struct drm_xe_oa_stream_info {
  __u64 extensions;
  __u64 oa_buf_size;
  __u64 reserved[3];
};

/* MADVISE: attributes of the mappings in an interval. */
#define DRM_XE_MEM_RANGE_ATTR_PREFERRED_LOC                        0
#define DRM_XE_MEM_RANGE_ATTR_ATOMIC                               1
#define DRM_XE_MEM_RANGE_ATTR_PAT                                  2
#define DRM_XE_VMA_ATTR_PURGEABLE_STATE                            3
#define DRM_XE_PREFERRED_LOC_DEFAULT_DEVICE                        0
#define DRM_XE_PREFERRED_LOC_DEFAULT_SYSTEM                        -1
#define DRM_XE_MIGRATE_ALL_PAGES                                   0
#define DRM_XE_MIGRATE_ONLY_SYSTEM_PAGES                           1
#define DRM_XE_ATOMIC_UNDEFINED                                    0
#define DRM_XE_ATOMIC_DEVICE                                       1
#define DRM_XE_ATOMIC_GLOBAL                                       2
#define DRM_XE_ATOMIC_CPU                                          3
#define DRM_XE_VMA_PURGEABLE_STATE_WILLNEED                        0
#define DRM_XE_VMA_PURGEABLE_STATE_DONTNEED                        1
struct drm_xe_madvise {
  __u64 extensions;
  __u64 start;
  __u64 range;
  __u32 vm_id;
  __u32 type;
  union {
    struct {
      __u32 devmem_fd;
      __u16 migration_policy;
      __u16 region_instance;
      __u64 reserved;
    } preferred_mem_loc;
    struct {
      __u32 val;
      __u32 pad;
      __u64 reserved;
    } atomic;
    struct {
      __u32 val;
      __u32 pad;
      __u64 reserved;
    } pat_index;
    struct {
      __u32 val;
      __u32 pad;
      __u64 retained_ptr;
    } purge_state_val;
  };
  __u64 reserved[2];
};
#define DRM_IOCTL_XE_MADVISE \
  _IOW(DRM_IOCTL_BASE, DRM_COMMAND_BASE + DRM_XE_MADVISE, struct drm_xe_madvise)

/* VM_QUERY_MEM_RANGE_ATTRS: read them back, one element per mapping. */
struct drm_xe_mem_range_attr {
  __u64 extensions;
  __u64 start;
  __u64 end;
  struct {
    __u32 devmem_fd;
    __u32 migration_policy;
  } preferred_mem_loc;
  struct {
    __u32 val;
    __u32 reserved;
  } atomic;
  struct {
    __u32 val;
    __u32 reserved;
  } pat_index;
  __u64 reserved[2];
};
struct drm_xe_vm_query_mem_range_attr {
  __u64 extensions;
  __u32 vm_id;
  __u32 num_mem_ranges;
  __u64 start;
  __u64 range;
  __u64 sizeof_mem_range_attr;
  __u64 vector_of_mem_attr;
  __u64 reserved[2];
};
#define DRM_IOCTL_XE_VM_QUERY_MEM_RANGE_ATTRS \
  _IOWR(DRM_IOCTL_BASE, DRM_COMMAND_BASE + DRM_XE_VM_QUERY_MEM_RANGE_ATTRS, struct drm_xe_vm_query_mem_range_attr)

/* Error counters of the RAS netlink family. */
enum drm_xe_ras_error_severity {
  DRM_XE_RAS_ERR_SEV_CORRECTABLE = 0,
  DRM_XE_RAS_ERR_SEV_UNCORRECTABLE = 1,
  DRM_XE_RAS_ERR_SEV_MAX = 2,
};
enum drm_xe_ras_error_component {
  DRM_XE_RAS_ERR_COMP_CORE_COMPUTE = 1,
  DRM_XE_RAS_ERR_COMP_SOC_INTERNAL = 2,
  DRM_XE_RAS_ERR_COMP_DEVICE_MEMORY = 3,
  DRM_XE_RAS_ERR_COMP_PCIE = 4,
  DRM_XE_RAS_ERR_COMP_FABRIC = 5,
  DRM_XE_RAS_ERR_COMP_MAX = 6,
};

#endif /* _XE_DRM_H_ */

#endif /* SOFTXE_ABI_UAPI_H */
