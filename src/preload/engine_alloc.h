// The engine's heap: operator new and delete of the preload library.
//
// The client's malloc memory may be in VRAM and its locks may be held by a thread that waits for the
// engine, so the engine allocates nothing there (spec/live-memory.md 4, clients.md 5). Everything comes
// from one region of address space (base/engine_memory.h), made usable as it fills up, before any constructor and
// after fork.
//
// The region is cut into slabs of 64 KiB. A slab holds objects of one size class; larger blocks are runs
// of 2^n slabs from a buddy allocator. A signal handler that interrupts the allocator on its own thread gets
// memory from a small bump area that is never given back.
#pragma once

#include <cstddef>

#include "base/address.h"

namespace softxe::preload {

/// Never null: out of memory is an abort with a message, as the engine cannot go on.
void* engine_allocate(std::size_t bytes, std::size_t alignment);
/// Null is fine. Memory of the region only.
void engine_release(void* memory);

/// The whole region, so that it can be kept out of VRAM.
HostRange engine_heap();

/// Around fork: no other thread is inside the allocator while the memory is copied.
void engine_heap_before_fork();
void engine_heap_after_fork();

}  // namespace softxe::preload
