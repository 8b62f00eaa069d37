// Multi-queue groups, ioctl by ioctl: spec/multi-queue.md 1.2 to 1.5.
#include "abi/drm_test_rig.h"

namespace softxe {
namespace {

constexpr std::uint32_t kGroup = DRM_XE_EXEC_QUEUE_SET_PROPERTY_MULTI_GROUP;
constexpr std::uint32_t kInGroup = DRM_XE_EXEC_QUEUE_SET_PROPERTY_MULTI_QUEUE_PRIORITY;
constexpr std::uint64_t kCreate = DRM_XE_MULTI_GROUP_CREATE;
constexpr std::uint16_t kCopy = DRM_XE_ENGINE_CLASS_COPY;
constexpr std::uint16_t kCompute = DRM_XE_ENGINE_CLASS_COMPUTE;
constexpr std::uint16_t kRender = DRM_XE_ENGINE_CLASS_RENDER;
constexpr std::uint16_t kBinds = DRM_XE_ENGINE_CLASS_VM_BIND;
constexpr std::uint64_t kBatch = 0x10000;

struct ModeRow {
  const char* name;
  std::uint32_t flags;
};
constexpr ModeRow kModes[] = {
    {"dma-fence", DrmRig::kDmaFence}, {"preempt-fence", DrmRig::kLr}, {"fault", DrmRig::kFault}};

/// One VM with a primary (id 1), a secondary (2) and a queue without a group (3) on copy engine 0.
struct GroupOfTwo : DrmRig {
  explicit GroupOfTwo(std::uint32_t flags = kDmaFence) : DrmRig({.profile = &kProfileCri}), vm_id(vm(flags)) {
    EXPECT_EQ(queue(vm_id, kCopy, {{kGroup, kCreate}}), 1u);
    EXPECT_EQ(queue(vm_id, kCopy, {{kGroup, 1}}), 2u);
    EXPECT_EQ(queue(vm_id), 3u);
  }
  int destroy(std::uint32_t id) {
    drm_xe_exec_queue_destroy request{};
    request.exec_queue_id = id;
    return call(DRM_IOCTL_XE_EXEC_QUEUE_DESTROY, request);
  }
  int set(std::uint32_t id, std::uint32_t property, std::uint64_t value) {
    drm_xe_exec_queue_set_property request{};
    request.exec_queue_id = id;
    request.property = property;
    request.value = value;
    return call(DRM_IOCTL_XE_EXEC_QUEUE_SET_PROPERTY, request);
  }
  /// WAIT_USER_FENCE for a value that never comes.
  int wait(std::uint32_t id) {
    static std::uint64_t never = 0;
    drm_xe_wait_user_fence request{};
    request.addr = reinterpret_cast<std::uint64_t>(&never);
    request.value = 1;
    request.mask = ~0ull;
    request.timeout = 1000;
    request.exec_queue_id = id;
    return call(DRM_IOCTL_XE_WAIT_USER_FENCE, request);
  }
  /// A group switch point: goes on when the word at `at` is `value`; the five-dword form with bit 11.
  static Words wait_and_switch(std::uint64_t at, std::uint32_t value) {
    return {0x0e00c803, value, static_cast<std::uint32_t>(at), static_cast<std::uint32_t>(at >> 32), 0};
  }
  std::uint32_t vm_id;
};

TEST(QueueGroups, CreateRows) {
  struct Row {
    const char* claim;
    std::uint16_t cls;
    std::vector<DrmRig::Property> chain;
    int err;
    std::uint16_t instance = 0;
  };
  const Row rows[] = {
      {"1: a group", kCopy, {{kGroup, kCreate}}, 0},
      {"1: of compute", kCompute, {{kGroup, kCreate}}, 0},
      {"3: bind queue", kBinds, {{kGroup, kCreate}}, -EINVAL},
      {"5: twice", kCopy, {{kGroup, kCreate}, {kGroup, 1}}, -EINVAL},
      {"6: other flag", kCopy, {{kGroup, kCreate | 1ull << 62}}, -EINVAL},
      {"7: upper half", kCopy, {{kGroup, 1ull << 32 | 1}}, -EINVAL},
      {"8: unknown id", kCopy, {{kGroup, 77}}, -ENOENT},
      {"8: zero", kCopy, {{kGroup, 0}}, -ENOENT},
      {"9: a secondary", kCopy, {{kGroup, 2}}, -EINVAL},
      {"9: a queue without group", kCopy, {{kGroup, 3}}, -EINVAL},
      {"11: another engine", kCopy, {{kGroup, 1}}, -EINVAL, 1},
      {"11: another class", kCompute, {{kGroup, 1}}, -EINVAL},
      {"12: priority alone", kCopy, {{kInGroup, 2}}, -EINVAL},
      {"priority too high", kCopy, {{kGroup, 1}, {kInGroup, 3}}, -EINVAL},
      {"low, without privilege", kCopy, {{kGroup, 1}, {kInGroup, 0}}, 0},
      {"high, without privilege", kCopy, {{kInGroup, 2}, {kGroup, 1}}, 0},
      {"a time slice before joining", kCopy, {{1, 1000}, {kGroup, 1}}, 0},
      {"a time slice behind it", kCopy, {{kGroup, 1}, {1, 1000}}, -EINVAL},
  };
  for (const ModeRow& mode : kModes) {
    for (const Row& row : rows) {
      GroupOfTwo r(mode.flags);
      drm_xe_engine_class_instance place{};
      place.engine_class = row.cls;
      place.engine_instance = row.instance;
      r.queue_at(r.vm_id, {place}, row.chain);
      EXPECT_EQ(r.last, row.err) << mode.name << ", " << row.claim;
    }
  }
  GroupOfTwo r;
  r.queue(r.vm(DrmRig::kDmaFence), kCopy, {{kGroup, 1}});
  EXPECT_EQ(r.last, -EINVAL) << "10: another VM";
  for (std::uint16_t cls : {kCopy, kRender, kBinds}) {
    DrmRig bmg;
    bmg.queue(bmg.vm(DrmRig::kDmaFence), cls, {{kGroup, kCreate}});
    EXPECT_EQ(bmg.last, -ENODEV) << "1: a device without groups, class " << cls;
  }
  DrmRig nvlp({.profile = &kProfileNvlp});
  nvlp.queue(nvlp.vm(DrmRig::kDmaFence), kRender, {{kGroup, kCreate}});
  EXPECT_EQ(nvlp.last, -ENODEV) << "1: render";
}

TEST(QueueGroups, SeveralPlacementsMustBeTheSame) {
  GroupOfTwo r;
  drm_xe_engine_class_instance a{}, b{};
  a.engine_class = b.engine_class = kCopy;
  b.engine_instance = 1;
  const std::uint32_t primary = r.queue_at(r.vm_id, {a, b}, {{kGroup, kCreate}});
  EXPECT_NE(primary, 0u);
  EXPECT_NE(r.queue_at(r.vm_id, {b, a}, {{kGroup, primary}}), 0u) << "in any order";
  r.queue_at(r.vm_id, {a}, {{kGroup, primary}});
  EXPECT_EQ(r.last, -EINVAL);
}

TEST(QueueGroups, Row13_APlaceIsTakenForEver) {
  GroupOfTwo r;
  for (unsigned i = 2; i < 64; ++i) {
    const std::uint32_t id = r.queue(r.vm_id, kCopy, {{kGroup, 1}});
    ASSERT_EQ(r.last, 0) << i;
    EXPECT_EQ(r.destroy(id), 0);
  }
  r.queue(r.vm_id, kCopy, {{kGroup, 1}});
  EXPECT_EQ(r.last, -EINVAL);
  r.queue(r.vm_id, kCopy, {{kGroup, 1}, {0, 1}});
  EXPECT_EQ(r.last, -EINVAL) << "the chain first";
  EXPECT_EQ(r.queue(r.vm_id), 4u) << "ids are the lowest free ones: nothing was left behind";
}

TEST(QueueGroups, SetPropertyRows) {
  struct Row {
    const char* claim;
    std::uint32_t id;
    std::uint32_t property;
    std::uint64_t value;
    int err;
  };
  const Row rows[] = {
      {"a secondary", 2, kInGroup, 2, 0},
      {"the primary", 1, kInGroup, 0, 0},
      {"the same again", 1, kInGroup, 0, 0},
      {"another property, before the id", 77, kGroup, 0, -EINVAL},
      {"unknown id, before the value", 77, kInGroup, 3, -ENOENT},
      {"value", 2, kInGroup, 3, -EINVAL},
      {"in no group", 3, kInGroup, 1, -EINVAL},
      {"a bind queue", 4, kInGroup, 1, -EINVAL},
  };
  GroupOfTwo r;
  EXPECT_EQ(r.queue(r.vm_id, kBinds), 4u);
  for (const Row& row : rows) EXPECT_EQ(r.set(row.id, row.property, row.value), row.err) << row.claim;
  drm_xe_exec_queue_set_property request{};
  request.exec_queue_id = 2;
  request.property = kInGroup;
  request.reserved[0] = 1;
  EXPECT_EQ(r.call(DRM_IOCTL_XE_EXEC_QUEUE_SET_PROPERTY, request), -EINVAL);
  EXPECT_EQ(r.destroy(1), 0);
  EXPECT_EQ(r.set(2, kInGroup, 0), 0) << "killed: nothing is done";
  EXPECT_EQ(r.set(2, kInGroup, 3), -EINVAL) << "but the value is looked at";
}

TEST(QueueGroups, EndOfThePrimary) {
  for (const ModeRow& mode : kModes) {
    GroupOfTwo r(mode.flags);
    const std::uint32_t out = r.bo(kPageSize, DrmRig::kSystem);
    ASSERT_EQ(r.bind(r.vm_id, {r.map(out, 0x200000, kPageSize, DRM_XE_VM_BIND_FLAG_IMMEDIATE)}), 0);
    r.batch_at(r.vm_id, kBatch, {r.store(0x200000, 7)});
    EXPECT_EQ(r.exec(2, kBatch), 0) << mode.name << ": before the primary was ever used";
    r.run();
    EXPECT_EQ(r.word(out), 7u) << mode.name;
    EXPECT_EQ(r.wait(2), -ETIME) << mode.name;
    EXPECT_EQ(r.destroy(1), 0);
    EXPECT_EQ(r.exec(2, kBatch), -ECANCELED) << mode.name;
    EXPECT_TRUE(r.banned(2)) << mode.name;
    EXPECT_EQ(r.wait(2), -EIO) << mode.name;
    r.queue(r.vm_id, kCopy, {{kGroup, 1}});
    EXPECT_EQ(r.last, -ENOENT) << mode.name << ": its id is gone";
    EXPECT_EQ(r.exec(3, kBatch), 0) << mode.name << ": others go on";
    EXPECT_EQ(r.destroy_vm(r.vm_id), mode.flags == DrmRig::kLr ? -EBUSY : 0) << mode.name;
    EXPECT_EQ(r.destroy(2), 0) << mode.name;
    EXPECT_EQ(r.destroy(3), 0) << mode.name;
    if (mode.flags == DrmRig::kLr) {
      EXPECT_EQ(r.destroy_vm(r.vm_id), 0);
    }
  }
}

TEST(QueueGroups, AFaultOfOneMemberBansAll) {
  for (const ModeRow& mode : kModes) {
    GroupOfTwo r(mode.flags);
    r.batch_at(r.vm_id, kBatch, {});
    EXPECT_EQ(r.exec(2, 0x7000000), 0) << "nothing is mapped there";
    r.run();
    EXPECT_TRUE(r.banned(1) && r.banned(2)) << mode.name;
    EXPECT_FALSE(r.banned(3)) << mode.name;
    EXPECT_EQ(r.exec(1, kBatch), -ECANCELED) << mode.name;
    EXPECT_EQ(r.wait(1), -EIO) << mode.name;
    const std::uint32_t late = r.queue(r.vm_id, kCopy, {{kGroup, 1}});
    EXPECT_NE(late, 0u) << mode.name << ": the primary still has its id";
    EXPECT_TRUE(r.banned(late)) << mode.name;
  }
}

/// Through the command streamer: 0x0e00c803 is where another member may go.
TEST(QueueGroups, MembersTakeTurnsAtSemaphores) {
  for (const bool switching : {true, false}) {
    GroupOfTwo r;
    const std::uint32_t words = r.bo(kPageSize, DrmRig::kSystem);
    constexpr std::uint64_t kWords = 0x200000;
    ASSERT_EQ(r.bind(r.vm_id, {r.map(words, kWords, kPageSize)}), 0);
    const auto wait = [&](std::uint64_t at, std::uint32_t value) {
      return switching ? r.wait_and_switch(at, value) : r.wait_equal(at, value);
    };
    r.batch_at(r.vm_id, kBatch, {r.store(kWords, 1), wait(kWords + 8, 2), r.store(kWords + 16, 3)});
    r.batch_at(r.vm_id, 2 * kBatch, {wait(kWords, 1), r.store(kWords + 8, 2), wait(kWords + 16, 3)});
    const std::uint32_t a = r.syncobj(), b = r.syncobj();
    EXPECT_EQ(r.exec(2, 2 * kBatch, {r.out(b)}), 0);
    EXPECT_EQ(r.exec(1, kBatch, {r.out(a)}), 0);
    r.run();
    EXPECT_EQ(r.word(words, 16), 3u);
    EXPECT_TRUE(r.signalled(a) && r.signalled(b)) << (switching ? "with bit 11" : "four dwords");
  }
}

TEST(QueueGroups, CloseEndsAMemberThatWaits) {
  GroupOfTwo r;
  const std::uint32_t words = r.bo(kPageSize, DrmRig::kSystem);
  ASSERT_EQ(r.bind(r.vm_id, {r.map(words, 0x200000, kPageSize)}), 0);
  r.batch_at(r.vm_id, kBatch, {r.wait_and_switch(0x200000, 1)});
  for (std::uint32_t id : {1u, 2u}) EXPECT_EQ(r.exec(id, kBatch), 0);
  r.run(20);
  DeviceExec& exec = r.process->device(0).exec();
  r.bos.clear();
  r.file.reset();
  EXPECT_TRUE(exec.scheduler().gt_idle(0));
}

// ---- fork ----------------------------------------------------------------------------------------

struct ForkedGroup {
  ForkedGroup() : child({.profile = &kProfileCri}) {}
  void fork() {
    image = std::make_unique<FileImage>(parent.file->image(syncs));
    EXPECT_EQ(child.file->inherit(*image), 0u);
  }
  GroupOfTwo parent;
  DrmRig child;
  ForkSyncs syncs;
  std::unique_ptr<FileImage> image;
};

TEST(QueueGroups, AForkChildHasAGroupOfItsOwn) {
  ForkedGroup f;
  f.parent.batch_at(f.parent.vm_id, kBatch, {});
  // The secondary takes an id below the one of a second group's primary.
  EXPECT_EQ(f.parent.queue(f.parent.vm_id, kCopy, {{kGroup, kCreate}}), 4u);
  EXPECT_EQ(f.parent.destroy(3), 0);
  EXPECT_EQ(f.parent.queue(f.parent.vm_id, kCopy, {{kGroup, 4}, {kInGroup, 2}}), 3u);
  f.fork();
  DrmRig& c = f.child;
  const std::uint32_t more = c.queue(f.parent.vm_id, kCopy, {{kGroup, 1}});
  EXPECT_EQ(more, 5u) << "the child's group takes members";
  c.queue(f.parent.vm_id, kCopy, {{kGroup, 2}});
  EXPECT_EQ(c.last, -EINVAL) << "a secondary is one there, too";
  drm_xe_exec_queue_destroy destroy{};
  destroy.exec_queue_id = 1;
  EXPECT_EQ(c.call(DRM_IOCTL_XE_EXEC_QUEUE_DESTROY, destroy), 0);
  EXPECT_TRUE(c.banned(2) && c.banned(more)) << "the child's primary ends the child's group";
  EXPECT_EQ(c.exec(3, kBatch), 0);
  destroy.exec_queue_id = 4;
  EXPECT_EQ(c.call(DRM_IOCTL_XE_EXEC_QUEUE_DESTROY, destroy), 0);
  EXPECT_TRUE(c.banned(3)) << "whichever of the two ids is lower";
  EXPECT_FALSE(f.parent.banned(1) || f.parent.banned(2) || f.parent.banned(3)) << "the parent's go on";
  EXPECT_EQ(f.parent.exec(2, kBatch), 0);
}

TEST(QueueGroups, AForkChildCountsTheParentsMembers) {
  ForkedGroup f;
  for (unsigned i = 2; i < 63; ++i) {
    const std::uint32_t id = f.parent.queue(f.parent.vm_id, kCopy, {{kGroup, 1}});
    ASSERT_EQ(f.parent.destroy(id), 0);
  }
  f.fork();
  EXPECT_NE(f.child.queue(f.parent.vm_id, kCopy, {{kGroup, 1}}), 0u) << "the 64th";
  f.child.queue(f.parent.vm_id, kCopy, {{kGroup, 1}});
  EXPECT_EQ(f.child.last, -EINVAL);
}

TEST(QueueGroups, AForkChildsGroupIsGoneWhereTheParentsIs) {
  ForkedGroup f;
  EXPECT_EQ(f.parent.exec(2, 0x7000000), 0);
  f.parent.run();
  f.fork();
  EXPECT_TRUE(f.child.banned(1) && f.child.banned(2));
  const std::uint32_t late = f.child.queue(f.parent.vm_id, kCopy, {{kGroup, 1}});
  EXPECT_TRUE(f.child.banned(late));
}

}  // namespace
}  // namespace softxe
