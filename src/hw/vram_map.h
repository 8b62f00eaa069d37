// From device-physical addresses to memory of this process: one VRAM, two stores (decision 0008).
//
// A DevPa is by default at the same offset of the device's window (SVM blocks: pages are moved there).
// BO blocks have their bytes in a memfd the engine mapped elsewhere: their DevPas are overridden, per
// 4K page. Whoever changes an override has zapped and invalidated every translation of it before.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "base/address.h"
#include "base/engine_memory.h"
#include "base/result.h"

namespace softxe {

/// One VRAM region. resolve() is lock-free; override changes of one block come from its owner.
class VramMap {
 public:
  /// `window` has `bytes` bytes (a multiple of 4K) and outlives the map. ready() tells ENOMEM.
  VramMap(std::byte* window, std::uint64_t bytes);
  VramMap(const VramMap&) = delete;
  VramMap& operator=(const VramMap&) = delete;
  Status ready() const;

  std::uint64_t bytes() const { return bytes_; }
  std::byte* window() const { return window_; }

  /// Bytes of `block` now stand at `host`, contiguous.
  void set_override(DevRange block, std::byte* host);
  void clear_override(DevRange block);

  struct Resolved {
    std::byte* host = nullptr;
    std::uint64_t bytes = 0;  ///< contiguous from here, at most what was asked for
  };
  /// Null host beyond the end of VRAM (a corrupt entry). `want_bytes` limits the contiguity search.
  Resolved resolve(DevPa pa, std::uint64_t want_bytes) const;

 private:
  std::byte* page_host(std::uint64_t page) const {
    std::byte* o = overrides_[page].load(std::memory_order_acquire);
    return o != nullptr ? o : window_ + (page << kPageShift);
  }
  std::byte* const window_;
  const std::uint64_t bytes_;
  EngineMapping memory_;
  std::atomic<std::byte*>* overrides_ = nullptr;  ///< one per 4K page, null: in the window
};

}  // namespace softxe
