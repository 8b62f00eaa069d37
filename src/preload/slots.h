// The counters of a run, in a file that the runner and every process of the run map: one slot per
// process image (pid and exec generation) that opened a device. A process that dies in any way leaves
// its numbers behind.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>

#include "base/call_stack.h"
#include "base/counters.h"
#include "base/event_ring.h"
#include "base/kernel_failure.h"

namespace softxe::preload {

inline constexpr std::uint32_t kSlotsMagic = 0x58535833;
inline constexpr std::uint32_t kSlotsMax = 8192;
inline constexpr unsigned kSlotDevices = 8;
inline constexpr unsigned kSlotTiles = 2;
inline constexpr std::uint32_t kKernelFailuresMax = 4;  ///< of a process, the first ones; all are counted
/// VMs of all processes together that have a slot of their own; later ones share one per device.
inline constexpr std::uint32_t kVmSlotsMax = 16384;

/// Zero-filled memory is a free slot.
struct ProcessSlot {
  std::atomic<std::uint32_t> pid;
  std::uint32_t device_count;
  char profile[16];
  char rung[16];  ///< of live memory: full, user-only, none
  char exe[216];
  std::uint64_t opened_ns;                                               ///< CLOCK_MONOTONIC when it opened a device
  std::atomic<std::uint64_t> vram_peak_bytes[kSlotDevices][kSlotTiles];  ///< most that was in use at a time
  std::array<CounterWords, kSlotDevices> devices;
  std::array<std::atomic<std::uint32_t>, kSlotDevices> other_vm_count;
  std::array<CounterWords, kSlotDevices> other_vms;  ///< the VMs that found no slot
  std::atomic<std::uint32_t> kernel_failures_begun;  ///< may exceed kKernelFailuresMax
  struct Failure {
    std::atomic<std::uint32_t> written;  ///< 1: the rest may be read
    std::uint32_t device;
    KernelFailure what;
  };
  std::array<Failure, kKernelFailuresMax> kernel_failures;
};

/// A slot whose `process` is 0 is free, or was taken by a process that died on the spot.
struct VmSlot {
  std::atomic<std::uint32_t> process;  ///< index of the process slot, plus 1
  std::uint32_t device;
  std::uint32_t asid;
  CounterWords counters;
};

/// The second file of a run that is traced: the ring of process slot i is the i-th. Sparse; the runner frees what it
/// has read of processes that have ended.
struct EventFile {
  std::array<EventRing, kSlotsMax> rings;
};

/// The third one, of a run whose calls are recorded with their stacks. Likewise.
struct StackFile {
  std::array<StackRing, kSlotsMax> rings;
};

struct SlotFile {
  std::uint32_t magic;
  std::uint32_t version;
  std::atomic<std::uint32_t> used;      ///< may exceed kSlotsMax: then some processes found no slot
  std::atomic<std::uint32_t> vms_used;  ///< may exceed kVmSlotsMax
  std::array<ProcessSlot, kSlotsMax> slots;
  std::array<VmSlot, kVmSlotsMax> vms;
};

}  // namespace softxe::preload
