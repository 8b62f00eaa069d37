// The cell model: a VA space as an array of pages that each know their owner. Slow and obvious;
// what the planner and the space do is compared with it. Used by tests only.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <new>
#include <string>
#include <vector>

// Its 128-bit product is an extension that -Wpedantic reports.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wpedantic"
#include "base/prng.h"
#pragma GCC diagnostic pop
#include "vm/va_apply.h"
#include "vm/va_ops.h"
#include "vm/va_space.h"

namespace softxe::test {

inline GpuRange pages(std::uint64_t first, std::uint64_t count) {
  return GpuRange::of(GpuVa(first * kPageSize), count * kPageSize);
}

/// Nodes from the heap; counts them and can be told to fail.
struct TestPool {
  std::size_t alive = 0;
  std::size_t fail_after = ~std::size_t{0};
  VaNode* create(const GpuRange& range, VaBacking* backing, std::uint64_t offset_bytes, const VaNode*) {
    if (fail_after == 0) return nullptr;
    --fail_after;
    ++alive;
    return new VaNode(range, backing, offset_bytes);
  }
  void retire(VaNode& node) {
    --alive;
    delete &node;
  }
};

/// A space of `page_count` pages with backings 1..9; frees everything at the end.
struct TestSpace {
  explicit TestSpace(std::uint64_t page_count) : space(pages(0, page_count)) {}
  ~TestSpace() {
    while (space.size() > 0) {
      VaNode& node = *space.begin();
      space.remove(node);
      if (node.backing() != nullptr) node.backing()->unlink(node);
      pool.retire(node);
    }
  }
  Status apply(const Result<VaOps>& ops) {
    if (!ops) return fail(ops.error());
    return VaApply(space, pool).run(*ops);
  }
  VaBacking* backing(unsigned id) { return id == 0 ? nullptr : &backings[id]; }
  Status map(const GpuRange& range, unsigned id, std::uint64_t offset_pages) {
    return apply(plan_map(space, {range, backing(id), offset_pages * kPageSize}));
  }

  VaBacking backings[10];
  TestPool pool;
  VaSpace space;
};

/// One page of the model. Two neighbours are of one mapping when they have the same serial number.
struct Cell {
  unsigned serial = 0;  // 0: hole
  unsigned backing = 0;
  std::uint64_t offset = 0;  // of this page, in pages
};

/// The same requests as the planners, page by page.
class CellModel {
 public:
  explicit CellModel(std::size_t page_count) : cells_(page_count) {}

  void map(std::size_t first, std::size_t count, unsigned backing, std::uint64_t offset) {
    unmap(first, count);
    ++last_serial_;
    for (std::size_t i = 0; i < count; ++i) cells_[first + i] = {last_serial_, backing, offset + i};
  }
  void unmap(std::size_t first, std::size_t count) {
    for (std::size_t i = first; i < first + count; ++i) cells_[i] = Cell();
    separate(first + count);
  }
  /// Cuts unbacked mappings at both borders; the cut-out piece starts again at offset 0.
  void madvise(std::size_t first, std::size_t count) {
    const std::size_t end = first + count;
    const unsigned at_first = crossing(first);
    const unsigned at_end = crossing(end);
    if (at_end != 0 && cells_[end].backing == 0) separate(end);
    if (at_first != 0 && cells_[first].backing == 0) restart(first, end);
    const bool one_mapping = at_first == at_end && at_first != 0;
    if (at_end != 0 && cells_[end].backing == 0 && !one_mapping) {
      std::size_t start = end;
      while (start > first && cells_[start - 1].serial == at_end) --start;
      restart(start, end);
    }
  }
  void unmap_backing(unsigned backing) {
    for (Cell& cell : cells_) {
      if (cell.serial != 0 && cell.backing == backing) cell = Cell();
    }
  }

  /// "start+pages:backing@offset " per mapping.
  std::string text() const {
    std::string out;
    for (std::size_t i = 0; i < cells_.size();) {
      std::size_t end = i + 1;
      while (end < cells_.size() && cells_[end].serial == cells_[i].serial) ++end;
      if (cells_[i].serial != 0) {
        out += std::to_string(i) + "+" + std::to_string(end - i) + ":" + std::to_string(cells_[i].backing) + "@" +
               std::to_string(cells_[i].offset) + " ";
      }
      i = end;
    }
    return out;
  }
  const Cell& operator[](std::size_t page) const { return cells_[page]; }

 private:
  /// The mapping that has pages on both sides of this border, or 0.
  unsigned crossing(std::size_t border) const {
    if (border == 0 || border >= cells_.size()) return 0;
    return cells_[border - 1].serial == cells_[border].serial ? cells_[border].serial : 0;
  }
  /// Makes a mapping of what follows the border, up to where the serial number changes.
  void separate(std::size_t border) {
    if (border >= cells_.size() || cells_[border].serial == 0) return;
    const unsigned old = cells_[border].serial;
    ++last_serial_;
    for (std::size_t i = border; i < cells_.size() && cells_[i].serial == old; ++i) {
      cells_[i].serial = last_serial_;
    }
  }
  /// Makes a mapping with offset 0 of the pages from `first` on that belong together.
  void restart(std::size_t first, std::size_t end) {
    const unsigned old = cells_[first].serial;
    ++last_serial_;
    std::uint64_t offset = 0;
    for (std::size_t i = first; i < end && cells_[i].serial == old; ++i) {
      cells_[i].serial = last_serial_;
      cells_[i].offset = offset++;
    }
  }

  std::vector<Cell> cells_;
  unsigned last_serial_ = 0;
};

/// The space in the words of CellModel::text().
inline std::string text(TestSpace& t) {
  std::string out;
  for (const VaNode& node : t.space) {
    const auto id = node.backing() == nullptr ? 0 : node.backing() - t.backings;
    out += std::to_string(node.start().value() >> kPageShift) + "+" + std::to_string(node.range().pages()) + ":" +
           std::to_string(id) + "@" + std::to_string(node.offset_bytes() >> kPageShift) + " ";
  }
  return out;
}

/// The operations in words: "remap(prev,next,keep) map".
inline std::string text(const VaOps& ops) {
  std::string out;
  for (const VaOp& op : ops) {
    if (!out.empty()) out += " ";
    if (const auto* unmap = std::get_if<UnmapOp>(&op)) {
      out += unmap->keep == Keep::kYes ? "unmap(keep)" : "unmap";
    } else if (const auto* remap = std::get_if<RemapOp>(&op)) {
      out += remap->prev() ? (remap->next() ? "remap(prev,next" : "remap(prev") : "remap(next";
      out += remap->keep == Keep::kYes ? ",keep)" : ")";
    } else {
      out += std::holds_alternative<MapOp>(op) ? "map" : "prefetch";
    }
  }
  return out;
}

}  // namespace softxe::test
