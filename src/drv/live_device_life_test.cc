// Devices over the memory of this process come and go.
#include "drv/live_device_fixture.h"

namespace softxe {
namespace {

TEST(LiveDeviceLife, WindowsComeBackWithTheirDevice) {
  auto mm = live::LiveHostMm::create({});
  ASSERT_TRUE(mm) << mm.error().why;
  MigrateLock lock{"migrate"};
  for (int i = 0; i < 300; ++i) {
    DeviceOptions options;
    options.config = default_config(kProfileBmg, 0);
    options.config.vram_bytes = options.config.visible_bytes = 64 << 20;
    options.collector = GcWorker::Mode::kManual;
    auto device = Device::create(**mm, lock, options);
    ASSERT_TRUE(device) << "device " << i << ": " << device.error().why;
  }
}

// As many as there are windows, and one more when they have gone.
TEST(LiveDeviceLife, TooManyAtATimeAreRefusedAndLeaveNothing) {
  auto mm = live::LiveHostMm::create({});
  ASSERT_TRUE(mm) << mm.error().why;
  MigrateLock lock{"migrate"};
  DeviceOptions options;
  options.config = default_config(kProfileBmg, 0);
  options.config.vram_bytes = options.config.visible_bytes = 4 << 20;
  options.collector = GcWorker::Mode::kManual;
  for (int round = 0; round < 2; ++round) {
    std::vector<std::unique_ptr<Device>> devices;
    int err = 0;
    while (err == 0 && devices.size() < 1000) {
      auto device = Device::create(**mm, lock, options);
      if (device) {
        devices.push_back(std::move(*device));
      } else {
        err = device.error().err;
      }
    }
    EXPECT_EQ(err, ENOMEM);
    EXPECT_GE(devices.size(), 100u);
  }
}

}  // namespace
}  // namespace softxe
