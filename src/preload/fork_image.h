// What a fork child is to have of the devices of its parent, taken at the fork, used at its first use of a
// device (decision 0013).
//
// The image is taken on the forking thread before any lock of the fork is held, one object at a time under its
// own locks. fork() does it first of all: neither libc nor the client's allocator has locked its heap yet, and
// engine threads that must start meanwhile can. libc's own forks (forkpty) do it in our pthread_atfork handler,
// _Fork() and clone() at the patched site. It is the forking thread's alone, so the child finds it whole
// whatever other threads did. A fork without an image (a raw system call) inherits nothing.
//
//   parent: fork_image_take() -> fork_image_hold() -> fork -> fork_image_release(), fork_image_drop()
//   child:  fork_image_keep() ... claim_fork_image() while the session is made
#pragma once

#include <memory>
#include <span>

#include "abi/drm_device.h"
#include "preload/device_files.h"

namespace softxe::preload {

/// No lock held. Replaces what this thread took before.
void fork_image_take();
/// Nothing more than a flag: did this thread take one for the fork under way?
bool fork_image_taken();

/// From here to release or keep no other thread begins to claim what the child is to inherit from a parent
/// that has not claimed it. Nothing is waited for that takes long.
void fork_image_hold();
void fork_image_release();
/// In the parent, when the child is there: with no lock of the fork held.
void fork_image_drop();
/// In the child.
void fork_image_keep();

/// While the session is made, once: gives inherited descriptors their files, sync_files and syncobjs, and the
/// devices their names and settings (`files`: one per device).
void claim_fork_image(DrmProcess& drm, std::span<const std::unique_ptr<PreloadDeviceFiles>> files);

}  // namespace softxe::preload
