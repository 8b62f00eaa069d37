// Runtime power management by a clock that moves only when told to, and its files.
#include "abi/runtime_pm.h"

#include "abi/drm_test_rig.h"
#include "abi/vfs.h"

namespace softxe {
namespace {

constexpr std::uint64_t kMs = 1'000'000;
constexpr std::uint64_t kResumeMs = RuntimePm::kResumeNs / kMs;

TEST(RuntimePm, SleepsAfterTheDelayWithoutUsers) {
  ManualClock clock;
  RuntimePm pm(clock);
  clock.advance_ns(999 * kMs);
  EXPECT_EQ(pm.now().state, PowerState::kActive);
  clock.advance_ns(2 * kMs);
  const RuntimePm::Now now = pm.now();
  EXPECT_EQ(now.state, PowerState::kSuspended);
  EXPECT_EQ(now.usage, 0u);
  EXPECT_EQ(now.active_ms, 1000u) << "it fell asleep before anybody looked";
  EXPECT_EQ(now.suspended_ms, 1u);
}

TEST(RuntimePm, AUserWakesItAndTheWayBackIsBookedAsActiveTime) {
  ManualClock clock;
  RuntimePm pm(clock);
  PowerSettings settings;
  settings.delay_ms = 0;
  pm.set(settings);
  EXPECT_EQ(pm.now().state, PowerState::kSuspended);
  const std::uint64_t before = pm.now().active_ms;
  {
    const RuntimePm::Use first(pm), second(pm);
    EXPECT_EQ(pm.now().state, PowerState::kActive);
    EXPECT_EQ(pm.now().usage, 2u);
    clock.advance_ns(5 * kMs);
    EXPECT_EQ(pm.now().state, PowerState::kActive);
  }
  EXPECT_EQ(pm.now().state, PowerState::kSuspended);
  EXPECT_EQ(pm.now().active_ms, before + kResumeMs + 5);
}

TEST(RuntimePm, OnAndANegativeDelayKeepItAwake) {
  ManualClock clock;
  RuntimePm pm(clock);
  for (const bool control : {true, false}) {
    PowerSettings settings;
    settings.delay_ms = control ? 0 : -1;
    if (control) settings.control = PowerControl::kOn;
    pm.set(settings);
    clock.advance_ns(3600 * 1000 * kMs);
    EXPECT_EQ(pm.now().state, PowerState::kActive) << control;
    EXPECT_EQ(pm.now().usage, 1u) << control;
  }
}

TEST(RuntimePm, RequestsJobsAndLongRunningVmsUseTheCard) {
  DrmRig r;
  RuntimePm& pm = r.file->device().power();
  PowerSettings settings;
  settings.delay_ms = 0;
  pm.set(settings);
  const std::uint32_t vm = r.vm(DrmRig::kDmaFence);
  EXPECT_EQ(pm.now().state, PowerState::kSuspended) << "a VM without work is nobody";
  EXPECT_GE(pm.now().active_ms, kResumeMs) << "its request was";
  r.batch_at(vm, 0x10000, {});
  ASSERT_EQ(r.exec(r.queue(vm), 0x10000), 0);
  EXPECT_EQ(pm.now().usage, 1u) << "the job is not done";
  r.run();
  EXPECT_EQ(pm.now().usage, 0u);
  const std::uint32_t long_running = r.vm(DrmRig::kLr);
  EXPECT_EQ(pm.now().usage, 1u);
  EXPECT_EQ(r.destroy_vm(long_running), 0);
  EXPECT_EQ(pm.now().usage, 0u);
}

class PowerFiles : public ::testing::Test {
 protected:
  std::string read(PowerFile file, std::uint64_t used = 0) {
    auto text = read_power(file, pm_, device_, used);
    return text ? *text : std::to_string(text.error().err);
  }
  int write(PowerFile file, std::string_view text) {
    const Status done = write_power(file, text, pm_, device_);
    return done ? 0 : done.error().err;
  }
  ManualClock clock_;
  RuntimePm pm_{clock_};
  DeviceConfig device_ = default_config(kProfileBmg, 0);
};

TEST_F(PowerFiles, RefuseWhatTheKernelRefuses) {
  struct Row {
    PowerFile file;
    const char* text;
    int err;
  };
  const Row rows[] = {
      {PowerFile::kControl, "auto\n", 0},
      {PowerFile::kControl, "on", 0},
      {PowerFile::kControl, "off", EINVAL},
      {PowerFile::kDelay, "0\n", 0},
      {PowerFile::kDelay, "-1", 0},
      {PowerFile::kDelay, "soon", EINVAL},
      {PowerFile::kDelay, "3000000000", EINVAL},
      {PowerFile::kStatus, "active", EACCES},
      {PowerFile::kD3coldAllowed, "0", 0},
      {PowerFile::kD3coldAllowed, "no", EINVAL},
      {PowerFile::kD3coldThreshold, "99999999", EINVAL},
      {PowerFile::kD3coldThreshold, "100", 0},
      {PowerFile::kBridgeControl, "on", 0},
      {PowerFile::kBridgeDelay, "0", EIO},
      {PowerFile::kConfig, "x", EPERM},
  };
  for (const Row& row : rows) EXPECT_EQ(write(row.file, row.text), row.err) << row.text;
  EXPECT_EQ(read(PowerFile::kBridgeDelay), std::to_string(EIO));
}

TEST_F(PowerFiles, TheStateFollowsUseAndWhatIsAllowed) {
  EXPECT_EQ(read(PowerFile::kStatus), "active\n");
  EXPECT_EQ(read(PowerFile::kCardState), "D0\n");
  ASSERT_EQ(write(PowerFile::kDelay, "0"), 0);
  struct Row {
    const char *allowed, *threshold, *bridge;
    std::uint64_t used_mib;
    const char *card, *port;
  };
  const Row rows[] = {
      {"1", "300", "auto", 299, "D3cold\n", "D3cold\n"}, {"1", "300", "auto", 300, "D3hot\n", "D0\n"},
      {"0", "300", "auto", 0, "D3hot\n", "D0\n"},        {"1", "300", "on", 0, "D3hot\n", "D0\n"},
      {"1", "0", "auto", 0, "D3hot\n", "D0\n"},
  };
  for (const Row& row : rows) {
    ASSERT_EQ(write(PowerFile::kD3coldAllowed, row.allowed), 0);
    ASSERT_EQ(write(PowerFile::kD3coldThreshold, row.threshold), 0);
    ASSERT_EQ(write(PowerFile::kBridgeControl, row.bridge), 0);
    EXPECT_EQ(read(PowerFile::kCardState, row.used_mib << 20), row.card);
    EXPECT_EQ(read(PowerFile::kBridgeState, row.used_mib << 20), row.port);
    const std::string config = read(PowerFile::kConfig, row.used_mib << 20);
    ASSERT_EQ(config.size(), 256u);
    EXPECT_EQ(config[0xd4] & 3, 3) << "the power management register says D3";
  }
  const RuntimePm::Use use(pm_);
  EXPECT_EQ(read(PowerFile::kStatus), "active\n");
  EXPECT_EQ(read(PowerFile::kUsage), "1\n");
  EXPECT_EQ(read(PowerFile::kConfig)[0xd4] & 3, 0);
}

TEST_F(PowerFiles, StandInTheTreeUnderTheirKernelNames) {
  const std::vector<DeviceConfig> devices{device_};
  std::size_t found = 0;
  for (const VfsNode& node : build_tree(devices)) {
    const auto file = node.kind == NodeKind::kDynamic ? find_dynamic(node.path, devices) : std::nullopt;
    found += file && file->kind == DynamicKind::kPower;
  }
  EXPECT_EQ(found, 13u);
  const auto delay = find_dynamic(pci_directory(0) + "/power/autosuspend_delay_ms", devices);
  ASSERT_TRUE(delay);
  EXPECT_EQ(delay->power, PowerFile::kDelay);
  EXPECT_FALSE(find_dynamic(bridge_directory(0) + "/power/runtime_status", devices));
}

}  // namespace
}  // namespace softxe
