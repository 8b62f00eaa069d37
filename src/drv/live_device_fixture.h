// The device of live_device_rig.h as a fixture.
//
// Needs userfaultfd with MOVE (the full rung). On a lower rung the tests are skipped by name, and a skip
// never counts as a pass.
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include "drv/live_device_rig.h"

namespace softxe {

/// Does the process have a page at this address right now?
inline bool present(const void* at) {
  const int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
  std::uint64_t entry = 0;
  const auto page = reinterpret_cast<std::uintptr_t>(at) / kPageSize;
  const ssize_t got = pread(fd, &entry, sizeof entry, static_cast<off_t>(page * sizeof entry));
  close(fd);
  return got == sizeof entry && (entry >> 63) != 0;
}

class LiveSvm : public ::testing::Test, protected LiveDevice {
 protected:
  void SetUp() override {
    listen();
    const Status made = make({});
    if (!made && made.error().err == ENOTSUP) GTEST_SKIP() << made.error().why;
    ASSERT_TRUE(made) << made.error().why;
  }

  void TearDown() override {
    if (IsSkipped()) return;
    gpu().mmu().leave();
    if (!vm().vm.closed()) close();
    static_cast<void>(count(Counter::gpu_fault_count));
    EXPECT_EQ(broken_sums(), "");
  }

  /// A 2M-aligned anonymous mapping.
  char* map(std::size_t bytes) {
    char* at =
        static_cast<char*>(mmap(nullptr, bytes + k2M, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    return reinterpret_cast<char*>(align_up(reinterpret_cast<std::uint64_t>(at), k2M));
  }
  static GpuVa va(const void* at) { return GpuVa(reinterpret_cast<std::uint64_t>(at)); }
  /// Pages land, and wake the threads that wait for them, before the move is counted: behind the mm lock
  /// everything that began has been counted.
  std::uint64_t count(Counter c) {
    struct Nobody final : IntervalNotifier {
      using IntervalNotifier::IntervalNotifier;
      void invalidate(HostRange, HostEvent) override {}
    } nobody(HostRange::of(HostVa(kPageSize), kPageSize));
    static_cast<void>(mm().read_begin(nobody));
    return device().counters().get(c);
  }
};

}  // namespace softxe
