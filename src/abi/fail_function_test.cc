// The kernel's fault injection by function, as a client uses it: a name goes on the list, its requests fail with the
// errno that was written, and go through again when the name is off the list.
#include "abi/fail_function.h"

#include "abi/drm_test_rig.h"
#include "abi/vfs.h"

namespace softxe {
namespace {

int write_file(const std::string& name, std::string_view text) {
  const auto file = find_fail_file(fmt::format("{}/{}", kFailFunctionFolder, name));
  if (!file) return ENOTDIR;
  const Status done = fault_injection().write(*file, text);
  return done ? 0 : done.error().err;
}
std::string read_file(const std::string& name) {
  const auto file = find_fail_file(fmt::format("{}/{}", kFailFunctionFolder, name));
  if (!file) return "no such file";
  auto text = fault_injection().read(*file);
  return text ? *text : std::to_string(text.error().err);
}

class FailFunctions : public ::testing::Test {
 protected:
  FailFunctions() {
    for (const auto& [name, value] :
         {std::pair("probability", "100"), {"interval", "0"}, {"times", "-1"}, {"space", "0"}})
      EXPECT_EQ(write_file(name, value), 0) << name;
  }
  ~FailFunctions() override {
    EXPECT_EQ(write_file("inject", "\n"), 0);
    for (const auto& [name, value] : {std::pair("probability", "0"), {"interval", "1"}, {"times", "1"}})
      EXPECT_EQ(write_file(name, value), 0) << name;
  }
};

constexpr std::uint64_t kAt = 0x1a'0000;

int create_vm(DrmRig& r, std::uint32_t flags) {
  drm_xe_vm_create create{};
  create.flags = flags;
  return r.call(DRM_IOCTL_XE_VM_CREATE, create);
}
int create_queue(DrmRig& r, std::uint32_t vm_flags, std::uint16_t engine_class) {
  drm_xe_vm_create create{};
  create.flags = vm_flags;
  if (r.call(DRM_IOCTL_XE_VM_CREATE, create) != 0) return 1;
  drm_xe_engine_class_instance place{};
  place.engine_class = engine_class;
  drm_xe_exec_queue_create queue{};
  queue.width = queue.num_placements = 1;
  queue.vm_id = create.vm_id;
  queue.instances = reinterpret_cast<std::uint64_t>(&place);
  return r.call(DRM_IOCTL_XE_EXEC_QUEUE_CREATE, queue);
}
/// With one syncobj to signal, as clients do.
int bind_null(DrmRig& r) {
  drm_xe_vm_create create{};
  if (r.call(DRM_IOCTL_XE_VM_CREATE, create) != 0) return 1;
  drm_syncobj_create object{};
  if (r.call(DRM_IOCTL_SYNCOBJ_CREATE, object) != 0) return 1;
  drm_xe_sync sync{};
  sync.type = DRM_XE_SYNC_TYPE_SYNCOBJ;
  sync.flags = DRM_XE_SYNC_FLAG_SIGNAL;
  sync.handle = object.handle;
  drm_xe_vm_bind bind{};
  bind.vm_id = create.vm_id;
  bind.num_binds = 1;
  bind.bind = r.null(kAt, k2M);
  bind.num_syncs = 1;
  bind.syncs = reinterpret_cast<std::uint64_t>(&sync);
  return r.call(DRM_IOCTL_XE_VM_BIND, bind);
}
int bind_queue(DrmRig& r) { return create_queue(r, DrmRig::kDmaFence, DRM_XE_ENGINE_CLASS_VM_BIND); }
int copy_queue(DrmRig& r) { return create_queue(r, DrmRig::kDmaFence, DRM_XE_ENGINE_CLASS_COPY); }
int long_running_queue(DrmRig& r) { return create_queue(r, DrmRig::kLr, DRM_XE_ENGINE_CLASS_COPY); }
int plain_vm(DrmRig& r) { return create_vm(r, 0); }
int scratch_vm(DrmRig& r) { return create_vm(r, DrmRig::kScratch); }

bool has_step(std::string_view name, std::string_view step) {
  for (const FailFunction& function : fail_functions())
    for (const char* known : function.steps)
      if (name == function.name && known != nullptr && step == known) return true;
  return false;
}

TEST_F(FailFunctions, FailTheRequestsThatNeedThem) {
  struct Row {
    const char* function;
    int (*request)(DrmRig&);
    int (*spared)(DrmRig&);  ///< does not need it; null: none that is alike
    const char* step;
  };
  const Row rows[] = {
      {"xe_exec_queue_create_bind", plain_vm, nullptr, "drv.exec.create_bind_queue"},
      {"xe_exec_queue_create_bind", bind_queue, nullptr, "drv.exec.create_bind_queue"},
      {"xe_pt_create", plain_vm, nullptr, "drv.vm.root_tables"},
      {"xe_pt_create", bind_null, nullptr, "hw.pt.alloc"},
      {"xe_vm_create_scratch", scratch_vm, plain_vm, "drv.vm.scratch"},
      {"vm_bind_ioctl_ops_create", bind_null, plain_vm, "vm.bind.plan"},
      {"vm_bind_ioctl_ops_execute", bind_null, plain_vm, "drv.bind.execute"},
      {"xe_pt_update_ops_prepare", bind_null, plain_vm, "vm.bind.prepare_ptes"},
      {"xe_pt_update_ops_run", bind_null, plain_vm, "drv.bind.run"},
      {"xe_vma_ops_alloc", bind_null, plain_vm, "vm.bind.reserve"},
      {"xe_sync_entry_parse", bind_null, plain_vm, "abi.sync.parse"},
      {"xe_exec_queue_create", copy_queue, plain_vm, "drv.exec.create_queue"},
      {"xe_hw_engine_group_add_exec_queue", copy_queue, bind_queue, "drv.exec.join_engines"},
      {"xe_vm_add_compute_exec_queue", long_running_queue, copy_queue, "drv.exec.join_vm"},
  };
  for (const Row& row : rows) {
    SCOPED_TRACE(row.function);
    DrmRig r;
    ASSERT_EQ(row.request(r), 0);
    ASSERT_EQ(write_file("inject", row.function), 0);
    ASSERT_EQ(write_file(std::string(row.function) + "/retval", "0xfffffffffffffff4"), 0);
    // A queue's own VM has a bind queue and tables too: the request that fails may be its VM_CREATE.
    EXPECT_NE(row.request(r), 0);
    if (row.spared != nullptr) {
      EXPECT_EQ(row.spared(r), 0);
    }
    EXPECT_TRUE(has_step(row.function, row.step)) << row.step;
    ASSERT_EQ(write_file("inject", std::string("!") + row.function), 0);
    EXPECT_EQ(row.request(r), 0);
  }
}

TEST_F(FailFunctions, TheErrnoIsTheOneThatWasWritten) {
  DrmRig r;
  ASSERT_EQ(write_file("inject", "xe_vm_create_scratch\n"), 0);
  EXPECT_EQ(scratch_vm(r), -EINVAL) << "as long as nobody says another";
  ASSERT_EQ(write_file("xe_vm_create_scratch/retval", "-28"), 0);
  EXPECT_EQ(scratch_vm(r), -ENOSPC);
  EXPECT_EQ(read_file("xe_vm_create_scratch/retval"), "ffffffffffffffe4\n");
  EXPECT_EQ(read_file("inject"), "xe_vm_create_scratch\n");
  EXPECT_EQ(r.file->device().device().counters().get(Counter::svm_pagefault_count), 0u);
}

TEST_F(FailFunctions, TimesSpaceIntervalAndProbabilityChooseTheEvents) {
  struct Row {
    const char *times, *space, *interval, *probability, *filter;
    const char* events;  ///< of five: f failed, . went through
  };
  const Row rows[] = {
      {"-1", "0", "0", "100", "N", "fffff"}, {"2", "0", "0", "100", "N", "ff..."},
      {"-1", "3", "0", "100", "N", "..fff"}, {"0", "0", "0", "100", "N", "....."},
      {"-1", "0", "0", "0", "N", "....."},   {"-1", "0", "0", "100", "Y", "....."},
  };
  ASSERT_EQ(write_file("inject", "xe_vm_create_scratch"), 0);
  for (const Row& row : rows) {
    DrmRig r;
    EXPECT_EQ(write_file("times", row.times), 0);
    EXPECT_EQ(write_file("space", row.space), 0);
    EXPECT_EQ(write_file("interval", row.interval), 0);
    EXPECT_EQ(write_file("probability", row.probability), 0);
    EXPECT_EQ(write_file("task-filter", row.filter), 0);
    std::string events;
    for (int i = 0; i < 5; ++i) events += scratch_vm(r) == 0 ? '.' : 'f';
    EXPECT_EQ(events, row.events) << row.times << row.space << row.interval << row.probability << row.filter;
  }
  EXPECT_EQ(write_file("task-filter", "N"), 0);
}

TEST_F(FailFunctions, WhatIsWrittenIsChecked) {
  struct Row {
    const char *file, *text;
    int err;
  };
  const Row rows[] = {
      {"inject", "printk", EINVAL},
      {"inject", "!xe_pt_create", ENOENT},
      {"xe_pt_create/retval", "-12", ENOENT},
      {"inject", "xe_pt_create", 0},
      {"inject", "xe_pt_create", EBUSY},
      {"xe_pt_create/retval", "0", EINVAL},
      {"xe_pt_create/retval", "12", EINVAL},
      {"xe_pt_create/retval", "-5000", EINVAL},
      {"xe_pt_create/retval", "-4095", 0},
      {"probability", "x", EINVAL},
      {"interval", "-1", EINVAL},
      {"times", "-1", 0},
      {"task-filter", "?", EINVAL},
      {"xe_guc_ct_init/retval", "-12", ENOTDIR},
      {"nothing", "1", ENOTDIR},
      {"inject", "", 0},
      {"inject", "!xe_pt_create", ENOENT},
  };
  for (const Row& row : rows) EXPECT_EQ(write_file(row.file, row.text), row.err) << row.file << " <- " << row.text;
}

TEST(FailFunctionFiles, StandInTheTree) {
  const std::vector<DeviceConfig> devices{default_config(kProfileBmg, 0)};
  std::size_t found = 0;
  for (const VfsNode& node : build_tree(devices)) {
    if (!node.path.starts_with(kFailFunctionFolder) || node.kind != NodeKind::kDynamic) continue;
    ++found;
    EXPECT_TRUE(find_dynamic(node.path, devices)) << node.path;
  }
  EXPECT_EQ(found, 7 + kFailFunctions);
  EXPECT_NE(injectable_text().find("xe_pt_create [xe]\tERRNO\n"), std::string::npos);
}

}  // namespace
}  // namespace softxe
