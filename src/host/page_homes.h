// Where the pages of a range stand: what HostMm::collect() answers. A value of the caller's thread.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "base/address.h"
#include "base/result.h"
#include "host/devmem.h"

namespace softxe {

/// Neighbouring pages of the process that stand in neighbouring places of the same kind.
struct PageHome {
  enum class Where : std::uint8_t { kSystem, kDevice };
  Where where = Where::kSystem;
  bool writable = true;                    ///< may the GPU store to it
  std::byte* system = nullptr;             ///< kSystem: the address the GPU uses
  DevmemAllocation* allocation = nullptr;  ///< kDevice
  DevPa device{};                          ///< kDevice: address in allocation->heap's VRAM
  std::uint64_t bytes = kPageSize;

  std::uint64_t pages() const { return bytes >> kPageShift; }
  /// The same home from its page `first` on, `count` pages long.
  PageHome part(std::uint64_t first, std::uint64_t count) const {
    PageHome out = *this;
    if (where == Where::kDevice) {
      out.device = device + (first << kPageShift);
    } else {
      out.system = system + (first << kPageShift);
    }
    out.bytes = count << kPageShift;
    return out;
  }
  /// The pages behind these ones.
  bool continued_by(const PageHome& next) const {
    return next.where == where && next.allocation == allocation && next.writable == writable &&
           (where == Where::kDevice ? next.device == device + bytes : next.system == system + bytes);
  }
};

/// The homes of at most 2 MiB of consecutive pages, in address order, as few as possible: one for a range that
/// lives in one place. Storage is fixed, so that the fault path can fill it.
class PageHomes {
 public:
  void clear() { count_ = 0; }

  void append(const PageHome& home) {
    if (count_ != 0 && homes_[count_ - 1].continued_by(home)) {
      homes_[count_ - 1].bytes += home.bytes;
      return;
    }
    SX_ASSERT(count_ < homes_.size());
    homes_[count_++] = home;
  }

  std::span<const PageHome> runs() const { return {homes_.data(), count_}; }

  std::uint64_t pages() const {
    std::uint64_t total = 0;
    for (const PageHome& home : runs()) total += home.pages();
    return total;
  }

  /// Page `page`, which must be there, and those that follow it in its home.
  PageHome from(std::uint64_t page) const {
    for (const PageHome& home : runs()) {
      if (page < home.pages()) return home.part(page, home.pages() - page);
      page -= home.pages();
    }
    SX_UNREACHABLE("no such page");
  }
  /// Page `page` alone.
  PageHome operator[](std::uint64_t page) const { return from(page).part(0, 1); }

  /// The GPU may not store to pages [first, end).
  void forbid_writes(std::uint64_t first, std::uint64_t end) {
    const std::size_t begin_index = cut_at(first);
    const std::size_t end_index = cut_at(end);
    for (std::size_t i = begin_index; i < end_index; ++i) homes_[i].writable = false;
  }

 private:
  /// Makes a home begin at `page`; returns its index.
  std::size_t cut_at(std::uint64_t page) {
    std::size_t i = 0;
    for (; i < count_ && page >= homes_[i].pages(); ++i) page -= homes_[i].pages();
    if (page == 0) return i;
    SX_ASSERT(i < count_ && count_ < homes_.size());
    std::move_backward(homes_.begin() + i, homes_.begin() + count_, homes_.begin() + count_ + 1);
    ++count_;
    const PageHome whole = homes_[i];
    homes_[i] = whole.part(0, page);
    homes_[i + 1] = whole.part(page, whole.pages() - page);
    return i + 1;
  }

  std::array<PageHome, DevmemAllocation::kPagesMax> homes_;
  std::size_t count_ = 0;
};

}  // namespace softxe
