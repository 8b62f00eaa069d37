#include "host/live/device_windows.h"

#include <sys/mman.h>

#include "base/log.h"
#include "base/raw_syscall.h"
#include "host/live/engine_section.h"

namespace softxe::live {

Status DeviceWindows::open(UffdAccess access) {
  SX_TRY(vram_, Uffd::open(access, UffdFeature::kMove | UffdFeature::kSigbus));
  if (guarded_add_source(*this)) return {};
  return fail(ENOMEM, "too many live processes at a time");
}

void DeviceWindows::close() {
  guarded_remove_source(*this);
  vram_.close();
  for (Slot& slot : slots_) {
    slot.pages.retire();
    slot.memory.unmap();
  }
}

void DeviceWindows::forget() {
  guarded_remove_source(*this);
  vram_.close();
  for (Slot& slot : slots_) {
    slot.pages.retire();
    slot.memory.forget();
  }
}

/// One whose records are large enough, or else one that has none yet: records are never given back.
DeviceWindows::Slot* DeviceWindows::free_slot(std::uint64_t pages) {
  Slot* fresh = nullptr;
  for (Slot& slot : slots_) {
    if (slot.memory) continue;
    if (slot.pages.capacity() >= pages) return &slot;
    if (fresh == nullptr || slot.pages.capacity() < fresh->pages.capacity()) fresh = &slot;
  }
  return fresh;
}

Result<std::byte*> DeviceWindows::make(std::uint64_t bytes, Arena& arena, GranuleMap& granules) {
  const std::uint64_t size = align_up(bytes, k2M);
  Slot* slot = free_slot(size >> kPageShift);
  if (slot == nullptr) return fail(ENOMEM, "too many device windows");
  SX_TRY(EngineMapping memory,
         EngineMapping::reserve({.bytes = size, .alignment = k2M, .use = EngineMapping::Use::kWindow}));
  const HostRange range = memory.range();
  if (vram_) {
    SX_TRY_VOID(memory.grow(size));
    if (const int err = vram_.register_missing(range)) return fail(err, "a device window cannot be registered");
  }
  if (!granules.prepare(arena, range) || !slot->pages.start(arena, range)) {
    return fail(ENOMEM, "the arena is used up");
  }
  slot->memory = std::move(memory);
  const auto used = static_cast<std::uint32_t>(slot - slots_.data()) + 1;
  if (used > slots_used_.load(std::memory_order_relaxed)) slots_used_.store(used, std::memory_order_release);
  return slot->memory.data();
}

Status DeviceWindows::drop(std::byte* window) {
  for (Slot& slot : slots_) {
    if (!slot.memory || slot.memory.data() != window) continue;
    if (slot.pages.any()) return fail(EBUSY, "a device goes whose memory holds pages of the process");
    slot.pages.retire();
    slot.memory.unmap();
    return {};
  }
  return {};
}

FramePages* DeviceWindows::pages_of(HostVa frame) {
  const std::uint32_t used = slots_used_.load(std::memory_order_acquire);
  for (std::uint32_t i = 0; i < used; ++i) {
    if (slots_[i].pages.covers(frame)) return &slots_[i].pages;
  }
  return nullptr;
}

bool DeviceWindows::refill(HostVa page) {
  const int err = vram_.zero(HostRange::of(page, kPageSize)).err;
  if (err == 0) refilled_.fetch_add(1, std::memory_order_relaxed);
  return err == 0 || err == EEXIST;  // another engine was here first
}

/// What mlockall() locked: pages of a locked mapping and of one that is not do not change places.
void DeviceWindows::unlock_memory() {
  for (const Slot& slot : slots_) {
    if (slot.memory) raw_syscall(SYS_munlock, slot.memory.data(), slot.memory.bytes());
  }
}

FrameSource::Answer DeviceWindows::ask(HostVa address) {
  const HostVa page = address.aligned_down(kPageSize);
  const FramePages* pages = pages_of(page);
  if (pages == nullptr) return Answer::kNotMine;
  return pages->test(page) && refill(page) ? Answer::kServed : Answer::kEmpty;
}

void DeviceWindows::refuse(HostVa address) {
  if (!EngineSection::inside()) return;  // a wild pointer of the client
  log(LogLevel::kError, "stale access to VRAM at {:#x}: the frame holds no page", address.value());
  SX_UNREACHABLE("an access reached VRAM through a translation that was invalidated");
}

}  // namespace softxe::live
