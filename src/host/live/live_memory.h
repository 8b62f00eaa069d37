// LiveMemory: what the mm lock of LiveHostMm guards. Each part owns one thing and knows only those before it.
//
//   arena          where all of it lives               registration   what is registered with the userfaultfd
//   named          memory that the client named        residents      pages in VRAM, and their ways home
//   notifiers      who hears of changes                missed         calls that no hook saw
//   mover          runs of pages
#pragma once

#include "host/live/missed_calls.h"

namespace softxe::live {

struct LiveMemory {
  LiveMemory(Arena whole, LiveResources& res)
      : arena(std::move(whole)),
        mover(res),
        registration(res, arena, mover),
        residents(res, arena, notifiers, mover, registration),
        missed(res, notifiers, mover, registration, residents) {}
  LiveMemory(const LiveMemory&) = delete;
  LiveMemory& operator=(const LiveMemory&) = delete;

  Arena arena;
  NamedRanges named;
  NotifierSet notifiers{named};
  PageMover mover;
  Registration registration;
  Residents residents;
  MissedCalls missed;
};

}  // namespace softxe::live
