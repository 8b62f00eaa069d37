// FramePages: which pages of a device window hold a page of the process.
//
// The fault reader asks without a lock: an engine that finds nothing in such a frame has met a page that the
// kernel has dropped (the client had freed it lazily, MADV_FREE, before it came here), and zeroes are its
// content now. Anywhere else the access came through a translation that was invalidated.
#pragma once

#include <atomic>
#include <cstdint>

#include "base/address.h"
#include "host/live/arena.h"

namespace softxe::live {

class FramePages {
 public:
  /// `window` is 2 MiB aligned. False when the arena is used up.
  bool init(Arena& arena, HostRange window) {
    words_ = static_cast<std::atomic<std::uint64_t>*>(
        arena.take((window.pages() + kBits - 1) / kBits * sizeof(std::uint64_t)));
    base_ = window.start();
    pages_ = window.pages();
    return words_ != nullptr;
  }

  bool covers(HostVa page) const { return page >= base_ && (page - base_) >> kPageShift < pages_; }
  /// Lock-free.
  bool test(HostVa page) const {
    const std::uint64_t at = (page - base_) >> kPageShift;
    return (words_[at / kBits].load(std::memory_order_acquire) >> (at % kBits)) & 1;
  }
  /// `frame` holds pages from here on. Under the mm lock.
  void set(HostRange frame) {
    each_word(frame, [](std::atomic<std::uint64_t>& word, std::uint64_t mask) {
      word.store(word.load(std::memory_order_relaxed) | mask, std::memory_order_release);
    });
  }
  /// The pages of `frame` are leaving. Under the mm lock.
  void clear(HostRange frame) {
    each_word(frame, [](std::atomic<std::uint64_t>& word, std::uint64_t mask) {
      word.store(word.load(std::memory_order_relaxed) & ~mask, std::memory_order_release);
    });
  }

 private:
  static constexpr std::uint64_t kBits = 64;

  template <typename Change>
  void each_word(HostRange frame, Change change) {
    std::uint64_t at = (frame.start() - base_) >> kPageShift;
    const std::uint64_t end = at + frame.pages();
    while (at < end) {
      const std::uint64_t first = at % kBits;
      const std::uint64_t count = std::min(kBits - first, end - at);
      const std::uint64_t ones = count == kBits ? ~0ull : (1ull << count) - 1;
      change(words_[at / kBits], ones << first);
      at += count;
    }
  }

  std::atomic<std::uint64_t>* words_ = nullptr;
  HostVa base_{0};
  std::uint64_t pages_ = 0;
};

}  // namespace softxe::live
