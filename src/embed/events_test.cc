// EventReader, through the public header alone: counters are sums over events, and every event has a cause.
#include <gtest/gtest.h>

#include <cerrno>
#include <cstring>
#include <set>
#include <string>
#include <vector>

#include "softxe/softxe.h"

namespace softxe::api {
namespace {

constexpr std::uint64_t k2M = 2 << 20;

Device small_device(const Process& process) {
  DeviceOptions options;
  options.vram_bytes = 4 << 20;
  return *Device::create(process, options);
}

/// Faults, moves, an eviction, a CPU touch, an unmap with a reset.
void work(Process& process, Vm& vm) {
  Vm::MirrorOptions mirror;
  mirror.autoreset = AutoReset::kOn;
  ASSERT_TRUE(vm.bind_mirror({0, vm.bytes()}, mirror));
  Engine engine = *vm.create_engine();
  const std::uint64_t at = *process.map(4 * k2M, 0x10000000);
  ASSERT_TRUE(vm.advise_atomics({at, k2M}, Atomics::kDevice));
  for (std::uint64_t block = 0; block < 4; ++block) {
    const std::uint32_t seven = 7;
    ASSERT_TRUE(engine.write(at + block * k2M, &seven, sizeof seven));
  }
  std::uint32_t value = 0;
  ASSERT_TRUE(process.read(at + 3 * k2M, &value, sizeof value));
  ASSERT_TRUE(process.unmap({at, 2 * k2M}));
  ASSERT_TRUE(vm.collect());
  ASSERT_TRUE(vm.vmas());
}

/// Nothing but the counters' names is known here.
void expect_sums(const EventReader& reader, const Device& device, unsigned number) {
  unsigned compared = 0;
  for (std::size_t i = 0; Device::counter_name(i) != nullptr; ++i) {
    const char* name = Device::counter_name(i);
    const auto sum = reader.counted(name, number);
    if (!sum) continue;
    EXPECT_EQ(*sum, *device.counter(name)) << name;
    ++compared;
  }
  EXPECT_GT(compared, 40u);
}

TEST(EmbedEvents, CountersAreSumsAndEveryEventHasACause) {
  Process process = *Process::simulated();
  EventReader reader = *process.events();
  Device device = small_device(process);
  Vm vm = *device.create_vm();
  work(process, vm);
  const std::vector<Event> events = reader.read();
  EXPECT_EQ(reader.lost(), 0u);
  expect_sums(reader, device, 0);
  EXPECT_EQ(*reader.counted("svm_attribute_reset_count"), 1u);
  const std::set<std::string> roots{"task", "call", "cpu-fault", "gpu-access"};
  std::set<std::string> kinds;
  for (std::size_t i = 0; i < events.size(); ++i) {
    const Event& event = events[i];
    EXPECT_EQ(event.seq, i + 1);
    EXPECT_LT(event.parent, event.seq);
    EXPECT_TRUE(event.parent != 0 || roots.count(event.kind) != 0) << event.kind << " has no cause";
    kinds.insert(event.kind);
  }
  for (const char* kind :
       {"fault", "migrate", "home", "unmap", "range-die", "range-collect", "reset", "bind", "advice"})
    EXPECT_TRUE(kinds.count(kind)) << kind;
  EXPECT_TRUE(reader.read().empty());
}

TEST(EmbedEvents, TheSameProgramGivesTheSameEvents) {
  std::vector<std::vector<Event>> runs;
  for (int run = 0; run < 2; ++run) {
    Process process = *Process::simulated();
    EventReader reader = *process.events();
    Device device = small_device(process);
    Vm vm = *device.create_vm();
    work(process, vm);
    runs.push_back(reader.read());
  }
  ASSERT_EQ(runs[0].size(), runs[1].size());
  for (std::size_t i = 0; i < runs[0].size(); ++i) {
    const Event &a = runs[0][i], &b = runs[1][i];
    EXPECT_TRUE(a.parent == b.parent && a.time_ns == b.time_ns && a.address == b.address && a.bytes == b.bytes &&
                a.word == b.word && a.thread == b.thread && a.asid == b.asid && a.err == b.err)
        << i;
    EXPECT_STREQ(a.kind, b.kind);
  }
}

TEST(EmbedEvents, DevicesAreToldApartAndOneProcessIsRecordedAtATime) {
  Process process = *Process::simulated();
  EventReader reader = *process.events();
  Process other = *Process::simulated();
  EXPECT_EQ(other.events().error().err, EBUSY);
  Device idle = small_device(process);
  Device busy = small_device(process);
  Vm vm = *busy.create_vm();
  work(process, vm);
  EventReader second = *process.events();
  EXPECT_FALSE(second.read().empty());
  EXPECT_TRUE(reader.read().empty());  // they read the same stream
  expect_sums(reader, idle, 0);
  expect_sums(reader, busy, 1);
  EXPECT_EQ(reader.counted("no_such_count").error().err, ENOENT);
  EXPECT_EQ(reader.counted("svm_4K_pagefault_us").error().err, ENOENT);
}

TEST(EmbedEvents, TheEndOfTheProcessEndsTheRecording) {
  { EventReader reader = *Process::simulated()->events(); }
  Process process = *Process::simulated();
  EXPECT_TRUE(process.events());
}

TEST(EmbedEvents, WhatFindsNoRoomIsCounted) {
  Process process = *Process::simulated();
  EventReader reader = *process.events();
  Device device = small_device(process);
  Vm vm = *device.create_vm();
  ASSERT_TRUE(vm.bind_mirror({0, vm.bytes()}));
  Engine engine = *vm.create_engine();
  const std::uint64_t at = *process.map(k2M);
  std::uint32_t value = 0;
  for (int i = 0; i < 70000; ++i) ASSERT_TRUE(engine.read(at, &value, sizeof value));
  EXPECT_GT(reader.lost(), 0u);
  EXPECT_EQ(reader.read().size(), 65536u);
}

}  // namespace
}  // namespace softxe::api
