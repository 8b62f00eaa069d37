// LiveResources: what the live backend has from the kernel, and the tables that guard themselves.
//
// All of it is fixed once LiveHostMm::create() is done, atomic, or locked by itself. What the mm lock guards is
// LiveMemory (live_memory.h).
#pragma once

#include <atomic>

#include "base/clock.h"
#include "base/engine_memory.h"
#include "host/live/client_uffd.h"
#include "host/live/device_windows.h"
#include "host/live/event_pump.h"
#include "host/live/granules.h"
#include "host/live/passing_calls.h"
#include "host/live/pins.h"
#include "host/live/proc_maps.h"
#include "host/live/staging.h"
#include "host/live/uffd.h"

namespace softxe::live {

inline std::uint64_t number_of(const void* p) { return reinterpret_cast<std::uint64_t>(p); }
inline HostRange range_at(const void* p, std::uint64_t bytes) { return HostRange::of(HostVa(number_of(p)), bytes); }

/// Whether raw system calls that passed no hook are seen too.
enum class ClientEvents : std::uint8_t { kAsAvailable, kOff };
enum class ArenaLock : std::uint8_t { kNo, kMlock };

struct LiveOptions {
  DmaMode dma = DmaMode::kMove;
  Rung highest_rung = Rung::kFull;
  ClientEvents events = ClientEvents::kAsAvailable;
  MapsSource maps = MapsSource::kBest;
  ArenaLock arena_lock = ArenaLock::kNo;
  std::uint64_t arena_bytes = 256ULL * 1024 * 1024;
  DevicePredicate is_device_mapping = nullptr;
};

/// What happened, for reports and tests. Relaxed counters.
struct LiveCounters {
  std::atomic<std::uint64_t> cpu_faults{0};     ///< messages served by the reader
  std::atomic<std::uint64_t> pages_out{0};      ///< to VRAM
  std::atomic<std::uint64_t> pages_home{0};     ///< back by MOVE
  std::atomic<std::uint64_t> pages_copied{0};   ///< back by COPY, the fallback
  std::atomic<std::uint64_t> pages_dropped{0};  ///< unmapped or discarded while in VRAM
  std::atomic<std::uint64_t> moved_eexist{0};   ///< EEXIST that meant "moved" (7.3)
  std::atomic<std::uint64_t> eagain{0};
  std::atomic<std::uint64_t> cow_breaks{0};
  std::atomic<std::uint64_t> deferred{0};  ///< reader found the mm lock taken
  std::atomic<std::uint64_t> parked{0};    ///< faults that waited for a residency deadline
  std::atomic<std::uint64_t> vanished{0};  ///< pages that the kernel dropped from VRAM (MADV_FREE)
  std::atomic<std::uint64_t> events{0};    ///< uffd events of calls that no hook saw
  std::atomic<std::uint64_t> doubled{0};   ///< pages that somebody filled while they were in VRAM
  std::atomic<std::uint64_t> registered{0};
  std::atomic<std::uint64_t> unregistered{0};
};

struct LiveResources {
  explicit LiveResources(const LiveOptions& chosen) : options(chosen) {}
  LiveResources(const LiveResources&) = delete;
  LiveResources& operator=(const LiveResources&) = delete;

  bool is_disabled() const { return disabled.load(); }

  const LiveOptions options;
  Rung rung = Rung::kNone;
  SteadyClock clock;
  ProcMaps maps;
  PageMap pagemap;
  Uffd client;               ///< C: the client's memory
  EngineMapping unreadable;  ///< a page that nobody can read (Uffd::ask())
  GranuleMap granules;       ///< written under the mm lock
  EventPump pump;
  LiveCounters counters;
  DeviceWindows windows{counters.vanished};  ///< come and go under the mm lock
  PinSet pins;                               ///< table: mm lock
  PassingCalls passing;
  ClientUffd client_uffd;                      ///< noted under the mm lock
  std::uint64_t start_of_break = 0;            ///< 0 when the kernel does not say
  std::atomic<std::uint64_t> last_break{0};    ///< as the client's last call left it
  std::atomic<bool> disabled{false};           ///< a fork child: nothing here means its memory
  std::atomic<bool> ending{false};             ///< see LiveHostMm::come_home()
  std::atomic<bool> locked_everywhere{false};  ///< mlockall was called
};

}  // namespace softxe::live
