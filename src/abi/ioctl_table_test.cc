#include "abi/ioctl_table.h"

#include <gtest/gtest.h>
#include <sys/mman.h>

#include <cstring>
#include <fstream>
#include <nlohmann/json.hpp>
#include <set>
#include <vector>

#include "abi/fake_user_memory.h"
#include "abi/uapi.h"
#include "base/guarded.h"

namespace softxe {
namespace {

constexpr std::uint64_t kArg = 0x10000;

/// Records what it was given; writes `leave` over the first bytes and returns `result`.
class Recorder final : public IoctlHandler {
 public:
  Result<int> handle(const IoctlDescription& row, std::span<std::byte> bytes) override {
    ++calls;
    name = row.name;
    seen.assign(bytes.begin(), bytes.end());
    if (!leave.empty()) std::memcpy(bytes.data(), leave.data(), leave.size());
    return result;
  }
  int calls = 0;
  std::string name;
  std::vector<std::byte> seen;
  std::vector<std::byte> leave;
  Result<int> result = 0;
};

std::vector<std::byte> pattern(std::size_t bytes, unsigned value) {
  return std::vector<std::byte>(bytes, static_cast<std::byte>(value));
}
std::uint32_t with_size(std::uint32_t request, std::uint32_t size) {
  return (request & ~(static_cast<std::uint32_t>(_IOC_SIZEMASK) << _IOC_SIZESHIFT)) | size << _IOC_SIZESHIFT;
}

TEST(IoctlTable, HasEveryDrmRequestOfTheJsonWithItsSizeAndDirection) {
  std::ifstream file(SOFTXE_SOURCE_DIR "/tests/data/uapi.json");
  auto json = nlohmann::json::parse(file);
  const std::set<std::string> switched_off = {"DRM_IOCTL_GEM_CHANGE_HANDLE"};
  std::size_t rows = 0;
  for (const auto& ioctl : json["ioctls"]) {
    if (ioctl["type"] != "d") continue;
    const std::string name = ioctl["name"];
    SCOPED_TRACE(name);
    auto request = static_cast<std::uint32_t>(std::stoull(ioctl["request"].get<std::string>(), nullptr, 16));
    auto found = find_ioctl(request);
    if (switched_off.count(name)) {
      EXPECT_EQ(found.error().err, EINVAL);
      continue;
    }
    ASSERT_TRUE(found);
    ++rows;
    EXPECT_EQ("DRM_IOCTL_" + std::string((*found)->name), name);
    EXPECT_EQ((*found)->size_bytes, ioctl["size"].get<std::size_t>());
    const std::string direction = ioctl["direction"];
    EXPECT_EQ((*found)->copies_in(), direction.find("write") != std::string::npos);
    EXPECT_EQ((*found)->copies_out(), direction.find("read") != std::string::npos);
  }
  EXPECT_EQ(rows + 2, ioctl_table().size()) << "the two KMS rows are not in the JSON";
}

TEST(IoctlTable, RefusesForeignTypesAndUnknownNumbers) {
  struct Case {
    std::uint32_t request;
    int err;
  };
  const Case cases[] = {
      {_IOWR('e', 0x40, drm_xe_device_query), ENOTTY},
      {_IOWR('d', 0x50, drm_xe_device_query), EINVAL},  // first number behind Xe's
      {_IOWR('d', 0x9f, drm_xe_device_query), EINVAL},
      {_IOWR('d', 0xff, drm_xe_device_query), EINVAL},
      {_IOWR('d', 0x03, drm_xe_device_query), EINVAL},  // core slot without handler
      {DRM_IOCTL_GEM_CHANGE_HANDLE, EINVAL},
  };
  for (const Case& c : cases) EXPECT_EQ(find_ioctl(c.request).error().err, c.err) << c.request;
}

TEST(IoctlTable, AccessRules) {
  struct Case {
    std::uint32_t request;
    DrmNode node;
    DrmAuth auth;
    int err;
  };
  using enum DrmNode;
  const Case cases[] = {
      {DRM_IOCTL_XE_VM_BIND, kRender, DrmAuth::kNone, 0},
      {DRM_IOCTL_SYNCOBJ_WAIT, kRender, DrmAuth::kNone, 0},
      {DRM_IOCTL_GEM_FLINK, kRender, DrmAuth::kMaster, EACCES},
      {DRM_IOCTL_GEM_FLINK, kCard, DrmAuth::kNone, EACCES},
      {DRM_IOCTL_GEM_FLINK, kCard, DrmAuth::kAuthenticated, 0},
      {DRM_IOCTL_GET_UNIQUE, kRender, DrmAuth::kMaster, EACCES},
      {DRM_IOCTL_SET_CLIENT_CAP, kRender, DrmAuth::kMaster, EACCES},
      {DRM_IOCTL_MODE_CREATE_DUMB, kRender, DrmAuth::kNone, EACCES},
      {DRM_IOCTL_MODE_CREATE_DUMB, kCard, DrmAuth::kNone, 0},
      {DRM_IOCTL_AUTH_MAGIC, kCard, DrmAuth::kAuthenticated, EACCES},
      {DRM_IOCTL_AUTH_MAGIC, kCard, DrmAuth::kMaster, 0},
  };
  for (const Case& c : cases) {
    auto status = check_ioctl_access(**find_ioctl(c.request), {.node = c.node, .auth = c.auth});
    EXPECT_EQ(status ? 0 : status.error().err, c.err) << std::hex << c.request;
  }
}

TEST(RunIoctl, HealthComesBeforeEverything) {
  FakeUserMemory memory;
  Recorder handler;
  EXPECT_EQ(run_ioctl({.health = DeviceHealth::kWedged}, memory, 0, HostVa(0), handler), -ECANCELED);
  EXPECT_EQ(run_ioctl({.health = DeviceHealth::kUnplugged}, memory, 0, HostVa(0), handler), -ENODEV);
  EXPECT_EQ(handler.calls, 0);
}

TEST(RunIoctl, ShorterStructIsZeroExtendedAndOnlyItsBytesComeBack) {
  FakeUserMemory memory;
  Recorder handler;
  memory.put_bytes(kArg, pattern(32, 0xee));
  handler.leave = pattern(32, 0x11);
  EXPECT_EQ(run_ioctl({}, memory, with_size(DRM_IOCTL_XE_VM_CREATE, 8), HostVa(kArg), handler), 0);
  ASSERT_EQ(handler.seen.size(), 32u);
  EXPECT_EQ(handler.seen[7], std::byte{0xee});
  EXPECT_EQ(handler.seen[8], std::byte{0});
  EXPECT_EQ(memory.get<std::uint8_t>(kArg + 7), 0x11);
  EXPECT_EQ(memory.get<std::uint8_t>(kArg + 8), 0xee);
}

TEST(RunIoctl, LongerStructHidesItsTailAndGivesItBackUnchanged) {
  for (std::uint32_t size : {64u, 4096u, 16383u}) {
    FakeUserMemory memory;
    Recorder handler;
    memory.put_bytes(kArg, pattern(size, 0xee));
    handler.leave = pattern(32, 0x11);
    EXPECT_EQ(run_ioctl({}, memory, with_size(DRM_IOCTL_XE_VM_CREATE, size), HostVa(kArg), handler), 0);
    EXPECT_EQ(handler.seen.size(), 32u);
    EXPECT_EQ(memory.get<std::uint8_t>(kArg + 31), 0x11);
    EXPECT_EQ(memory.get<std::uint8_t>(kArg + size - 1), 0xee);
  }
}

TEST(RunIoctl, UnreadableTailIsEfaultAndTheHandlerDoesNotRun) {
  FakeUserMemory memory;
  Recorder handler;
  memory.put_bytes(kArg, pattern(40, 0));
  for (auto request : {DRM_IOCTL_XE_VM_CREATE, DRM_IOCTL_XE_VM_DESTROY}) {
    const auto longer = with_size(static_cast<std::uint32_t>(request), 64);
    EXPECT_EQ(run_ioctl({}, memory, longer, HostVa(kArg), handler), -EFAULT);
  }
  EXPECT_EQ(handler.calls, 0);
}

TEST(RunIoctl, CopiesBackAlsoWhenTheHandlerFailed) {
  FakeUserMemory memory;
  Recorder handler;
  memory.put_bytes(kArg, pattern(sizeof(drm_xe_wait_user_fence), 0));
  handler.leave = pattern(sizeof(drm_xe_wait_user_fence), 0x22);
  handler.result = fail(ETIME, "test");
  EXPECT_EQ(run_ioctl({}, memory, DRM_IOCTL_XE_WAIT_USER_FENCE, HostVa(kArg), handler), -ETIME);
  EXPECT_EQ(memory.get<std::uint8_t>(kArg), 0x22);
}

TEST(RunIoctl, DirectionBitsOfTheCallerGateTheCopies) {
  FakeUserMemory memory;
  Recorder handler;
  handler.leave = pattern(8, 0x33);
  memory.put_bytes(kArg, pattern(64, 0xee));
  // Without the write bit the input is all zero.
  EXPECT_EQ(run_ioctl({}, memory, _IOC(_IOC_READ, 'd', 0x43, 32), HostVa(kArg), handler), 0);
  EXPECT_EQ(handler.seen[0], std::byte{0});
  EXPECT_EQ(memory.get<std::uint8_t>(kArg), 0x33);
  // Without the read bit nothing comes back.
  memory.put_bytes(kArg, pattern(64, 0xee));
  EXPECT_EQ(run_ioctl({}, memory, _IOC(_IOC_WRITE, 'd', 0x43, 32), HostVa(kArg), handler), 0);
  EXPECT_EQ(memory.get<std::uint8_t>(kArg), 0xee);
  // Nor when the kernel's own definition lacks it.
  EXPECT_EQ(run_ioctl({}, memory, _IOC(_IOC_READ | _IOC_WRITE, 'd', 0x44, 24), HostVa(kArg), handler), 0);
  EXPECT_EQ(memory.get<std::uint8_t>(kArg), 0xee);
}

TEST(ProcessUserMemory, FaultsAreEfault) {
  guarded_install_handler();
  ProcessUserMemory memory;
  void* page = mmap(nullptr, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  ASSERT_NE(page, MAP_FAILED);
  auto at = reinterpret_cast<std::uint64_t>(page);
  ASSERT_EQ(munmap(static_cast<char*>(page) + 4096, 4096), 0);
  std::uint64_t value = 7;
  EXPECT_TRUE(memory.write_object(HostVa(at + 4088), value));
  value = 0;
  EXPECT_TRUE(memory.read_object(HostVa(at + 4088), value));
  EXPECT_EQ(value, 7u);
  EXPECT_EQ(memory.read_object(HostVa(at + 4092), value).error().err, EFAULT);
  EXPECT_EQ(memory.write_object(HostVa(at + 4092), value).error().err, EFAULT);
  EXPECT_EQ(memory.read_object(HostVa(0), value).error().err, EFAULT);
  EXPECT_EQ(memory.read_object(HostVa(0xdead'0000'0000'0000), value).error().err, EFAULT);
  munmap(page, 4096);
}

}  // namespace
}  // namespace softxe
