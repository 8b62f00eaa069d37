// IdTable: the numbers of one open file: lowest free first, starting at 1 (spec/uapi.md 2).
//
// Used for GEM handles, VMs, exec queues and syncobjs alike. An id is published last: create the object,
// make everything that can fail happen, then add().
#pragma once

#include <cstdint>
#include <functional>
#include <queue>
#include <utility>
#include <vector>

#include "base/lock.h"
#include "base/result.h"

namespace softxe {

/// `Ptr` is a pointer-like value whose default is "none" (a shared_ptr). Owns what it holds. Every
/// method locks for itself and runs no foreign code inside, destructors included.
template <typename Ptr>
class IdTable {
 public:
  explicit IdTable(std::uint32_t id_max = 0x7fffffffu) : id_max_(id_max) {}

  /// The lowest free id. ENOSPC when the number space is used up.
  Result<std::uint32_t> add(Ptr object) {
    Guard hold(lock_);
    if (!free_.empty()) {
      const std::uint32_t id = free_.top();
      free_.pop();
      slots_[id - 1] = std::move(object);
      return id;
    }
    if (slots_.size() >= id_max_) return fail(ENOSPC, "no free id in this file");
    slots_.push_back(std::move(object));
    return static_cast<std::uint32_t>(slots_.size());
  }

  /// None when the id is not in use. 0 is never in use.
  Ptr find(std::uint32_t id) const {
    Guard hold(lock_);
    return used(id) ? slots_[id - 1] : Ptr{};
  }

  /// Takes the object out and frees the id. None when the id is not in use.
  Ptr remove(std::uint32_t id) {
    Guard hold(lock_);
    if (!used(id)) return Ptr{};
    free_.push(id);
    return std::exchange(slots_[id - 1], Ptr{});
  }

  /// What stands under each id, index id - 1; none where the id is free.
  std::vector<Ptr> slots() const {
    Guard hold(lock_);
    return slots_;
  }

  /// In a fork child, before the table is used: `parents` is what slots() gave before the fork, `convert` makes
  /// this process's object of each. Where it gives none the id stays unused, so that it never means something
  /// else. How many got none.
  template <typename Parents, typename Convert>
  std::size_t inherit(const std::vector<Parents>& parents, Convert convert) {
    std::vector<Ptr> converted;
    converted.reserve(parents.size());
    for (const Parents& object : parents) converted.push_back(object ? convert(object) : Ptr{});
    std::size_t lost = 0;
    Guard hold(lock_);
    SX_ASSERT(slots_.empty());
    slots_ = std::move(converted);
    for (std::size_t i = 0; i < slots_.size(); ++i) {
      if (!parents[i]) {
        free_.push(static_cast<std::uint32_t>(i + 1));
      } else if (!slots_[i]) {
        ++lost;
      }
    }
    return lost;
  }

  /// Everything in the table with its id, in id order.
  std::vector<std::pair<std::uint32_t, Ptr>> all() const {
    Guard hold(lock_);
    std::vector<std::pair<std::uint32_t, Ptr>> out;
    for (std::size_t i = 0; i < slots_.size(); ++i)
      if (slots_[i]) out.emplace_back(static_cast<std::uint32_t>(i + 1), slots_[i]);
    return out;
  }

  /// Empties the table and returns what was in it, in id order (close of the file).
  std::vector<Ptr> drain() {
    Guard hold(lock_);
    std::vector<Ptr> out;
    for (Ptr& slot : slots_)
      if (slot) out.push_back(std::move(slot));
    slots_.clear();
    free_ = {};
    return out;
  }

  std::size_t size() const {
    Guard hold(lock_);
    return slots_.size() - free_.size();
  }

 private:
  bool used(std::uint32_t id) const SX_REQUIRES(lock_) {
    return id != 0 && id <= slots_.size() && static_cast<bool>(slots_[id - 1]);
  }

  const std::uint32_t id_max_;
  mutable Mutex<LockRank::kDrmFile> lock_{"IdTable"};
  std::vector<Ptr> slots_ SX_GUARDED_BY(lock_);  ///< index: id - 1
  /// Ids below slots_.size() that are free, lowest on top.
  std::priority_queue<std::uint32_t, std::vector<std::uint32_t>, std::greater<>> free_ SX_GUARDED_BY(lock_);
};

}  // namespace softxe
