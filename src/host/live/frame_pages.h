// FramePages: which pages of a device window hold a page of the process.
//
// The signal handler asks without a lock: an engine that finds nothing in such a frame has met a page that the
// kernel has dropped (the client had freed it lazily, MADV_FREE, before it came here), and zeroes are its
// content now. Anywhere else the access came through a translation that was invalidated.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>

#include "base/address.h"
#include "host/live/arena.h"

namespace softxe::live {

class FramePages {
 public:
  /// Pages that there is room to remember.
  std::uint64_t capacity() const { return capacity_; }
  /// From here on the frames of `window`, 2 MiB aligned, none of which holds a page. False when the arena is used up.
  bool start(Arena& arena, HostRange window) {
    SX_ASSERT(pages_.load() == 0);
    if (window.pages() > capacity_) {
      auto* words =
          static_cast<std::atomic<std::uint64_t>*>(arena.take(window.pages() / kBits * sizeof(std::uint64_t)));
      if (words == nullptr) return false;
      words_ = words;
      capacity_ = window.pages();
    }
    base_.store(window.start());
    pages_.store(window.pages());
    return true;
  }
  /// The window goes. It holds no page, or the process goes with it.
  void retire() { pages_.store(0); }

  /// Lock-free.
  bool covers(HostVa page) const {
    const HostVa base = base_.load();
    const bool inside = page >= base && (page - base) >> kPageShift < pages_.load();
    return inside && base_.load() == base;
  }
  /// Whether any frame holds a page. Under the mm lock.
  bool any() const {
    const std::uint64_t words = pages_.load() / kBits;
    return std::any_of(words_, words_ + words, [](const auto& word) { return word.load() != 0; });
  }
  /// Lock-free.
  bool test(HostVa page) const {
    const std::uint64_t at = (page - base_.load()) >> kPageShift;
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
    std::uint64_t at = (frame.start() - base_.load()) >> kPageShift;
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
  std::uint64_t capacity_ = 0;
  std::atomic<HostVa> base_{HostVa(0)};
  std::atomic<std::uint64_t> pages_{0};
};

}  // namespace softxe::live
