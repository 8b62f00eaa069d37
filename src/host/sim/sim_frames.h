// The simulated machine's RAM: 4 KiB frames with reference counts, pins, generations and poison.
//
// A frame whose last reference goes is filled with 0xDB and its generation moves, so a GPU that kept
// a pointer to it reads poison and a checker can tell that the pointer is stale. Freed frames are
// reused in FIFO order, late (kQuarantineFrames), for the same reason.
// Next: sim_process.h (who maps which frame), sim_host_mm.h.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <vector>

#include "base/address.h"
#include "base/result.h"

namespace softxe {

/// Names one frame of SimFrames.
enum class FrameId : std::uint32_t {};

/// Whether all bytes of a page are this one.
bool holds_one_byte(const std::byte* page, std::byte value);

/// Frame allocator over one mmap'ed arena. Frame 0 is the machine's zero page: always present, never
/// written, never counted. Invariant: a frame without references holds only poison.
/// Not thread-safe: guarded by the SimHostMm lock. A frame is free, in quarantine before that, or held.
class SimFrames {
 public:
  static constexpr std::byte kPoison{0xDB};
  static constexpr FrameId kZeroPage{0};
  static constexpr std::size_t kQuarantineFrames = 4096;

  explicit SimFrames(std::uint64_t capacity_bytes);
  ~SimFrames();
  SimFrames(const SimFrames&) = delete;
  SimFrames& operator=(const SimFrames&) = delete;

  /// A zero-filled frame with one reference. ENOMEM when the arena is full.
  Result<FrameId> alloc();
  void ref(FrameId frame);
  void unref(FrameId frame);
  /// References by mappings and objects; pins are counted apart.
  std::uint32_t refs(FrameId frame) const { return at(frame).refs; }

  /// A pin keeps the frame's content alive and its owner from moving it (get_user_pages).
  void pin(FrameId frame);
  void unpin(FrameId frame);
  bool pinned(FrameId frame) const { return at(frame).pins != 0; }

  std::byte* data(FrameId frame) const { return arena_ + static_cast<std::uint64_t>(frame) * kPageSize; }
  /// The frame that holds `address`; none when it lies outside the arena's used part.
  std::optional<FrameId> frame_of(const std::byte* address) const;
  /// Moves every time the frame is freed.
  std::uint64_t generation(FrameId frame) const { return at(frame).generation; }
  std::uint64_t in_use() const { return in_use_; }
  /// A free frame that does not hold poison alone: somebody has stored into it since. Of those that are free now.
  std::optional<FrameId> stored_after_free() const;

 private:
  struct Meta {
    std::uint32_t refs = 0;
    std::uint32_t pins = 0;
    std::uint64_t generation = 1;
  };
  const Meta& at(FrameId frame) const { return meta_[static_cast<std::size_t>(frame)]; }
  Meta& at(FrameId frame) { return meta_[static_cast<std::size_t>(frame)]; }
  void free_when_unused(FrameId frame);

  std::uint64_t capacity_frames_;
  std::byte* arena_ = nullptr;
  std::vector<Meta> meta_;
  std::deque<FrameId> free_;
  std::uint64_t in_use_ = 0;
};

}  // namespace softxe
