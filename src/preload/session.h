// Session: the engine of this process, made when the first device node opens.
//
// Before that the library is inert: no thread, no descriptor, hooks asleep. A fork child starts without
// one, whatever its parent had: the parent's objects are copies there whose threads are gone, so they are
// left alone for good, and the child's first use of a device makes a session of its own.
//
// Order of use: start() in the constructor; session_or_make() at an open; live_mm() in hooks.
// Read next: engine_scope.h, fd_table.h, hooks.h.
#pragma once

#include <array>
#include <atomic>
#include <memory>
#include <vector>

#include "abi/drm_device.h"
#include "abi/vfs.h"
#include "host/live/live_host_mm.h"
#include "preload/device_files.h"
#include "preload/settings.h"

namespace softxe::preload {

struct Session {
  live::LiveHostMm::Owner mm;
  std::unique_ptr<DrmProcess> drm;
  std::vector<std::unique_ptr<PreloadDeviceFiles>> files;  ///< one per device
  bool user_only_rung = false;
};

/// True when `softxe run` started this process and its settings could be read.
bool active();
/// Only when active().
const Settings& settings();
const PathMap& paths();

/// In the constructor: reads the settings, puts the hooks to sleep.
void start();

/// Null before the first device opened.
Session* session();
/// Inside an EngineScope. ENODEV and a line on stderr when the engine cannot be made.
Result<Session*> session_or_make();
/// The memory of the session, for hooks; null when there is none.
live::LiveHostMm* live_mm();
/// Until the reader of CPU faults has counted what it has served: it wakes who has touched a page before that.
void wait_for_reader();
/// Grows by one in every fork child: objects of an earlier generation must not be used.
std::uint64_t generation();

/// The engine has mapped anonymous memory. What it maps for a session, page tables and the like, must
/// never be in VRAM: the thread that brings pages home reads it.
void note_engine_mapping(HostVa start, std::uint64_t bytes);

/// In a fork child: forgets the parent's session without touching it.
void abandon_session();

/// True in a child whose fork no hook saw (a raw system call), and in its children: threads of the parent may
/// have been anywhere in the engine, and its userfaultfds mean the parent's memory. There is no engine here
/// then; session() and live_mm() are null.
bool missed_fork();
/// Around a fork that was seen: in the parent before it, in the child first of all.
void note_fork();
void note_fork_child();

}  // namespace softxe::preload
