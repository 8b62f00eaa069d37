#include "hw/pt_pool.h"

#include <algorithm>
#include <cstring>
#include <new>

#include "base/spare_mappings.h"

namespace softxe {

/// At most a quarter of what RLIMIT_AS leaves: the client wants the rest.
std::uint64_t TablePool::affordable(std::uint64_t tables) {
  constexpr std::uint64_t kShare = 4;
  return std::min(tables, address_space_left() / kShare / (sizeof(PtTable) + sizeof(PtTableInfo)));
}

TablePool::TablePool(std::uint64_t max_tables) : max_tables_(affordable(max_tables)) {
  if (max_tables_ == 0) return;
  auto tables = EngineMapping::reserve({.bytes = max_tables_ * sizeof(PtTable)});
  auto info = EngineMapping::reserve({.bytes = max_tables_ * sizeof(PtTableInfo)});
  if (!tables || !info) return;
  Guard guard(lock_);
  table_memory_ = std::move(*tables);
  info_memory_ = std::move(*info);
  // Zero pages are valid tables; side records are made when a table is first handed out.
  tables_ = reinterpret_cast<PtTable*>(table_memory_.data());
  info_ = reinterpret_cast<PtTableInfo*>(info_memory_.data());
}

TablePool::~TablePool() {
  SX_ASSERT(in_use() == 0);
  Guard guard(lock_);
  if (!SpareMappings::kept() || tables_ == nullptr) return;
  for (std::uint64_t i = 0; i < bump_; ++i) {
    if (!info_[i].all_zero) std::memset(static_cast<void*>(&tables_[i]), 0, sizeof tables_[i]);
  }
  std::memset(static_cast<void*>(info_), 0, bump_ * sizeof *info_);
  SpareMappings::note_clean(tables_);
  SpareMappings::note_clean(info_);
}

Status TablePool::grow(std::uint64_t tables) {
  SX_TRY_VOID(table_memory_.grow(tables * sizeof(PtTable)));
  return info_memory_.grow(tables * sizeof(PtTableInfo));
}

Status TablePool::ready() const {
  if (tables_ == nullptr) return fail(ENOMEM, "no address space for page tables");
  return {};
}

Result<PtTableList> TablePool::take(std::uint64_t count) {
  PtTableList list;
  {
    Guard guard(lock_);
    const std::uint64_t fresh_left = tables_ == nullptr ? 0 : max_tables_ - bump_;
    if (free_count_ + fresh_left < count) return fail(ENOMEM, "page-table arena is exhausted");
    if (count > free_count_) SX_TRY_VOID(grow(bump_ + count - free_count_));
    for (; list.count < count && free_ != nullptr; ++list.count) {
      PtTable* t = free_;
      free_ = info(*t).next;
      --free_count_;
      info(*t).next = list.head;
      list.head = t;
    }
    for (; list.count < count; ++list.count) {
      PtTable* t = &tables_[bump_++];
      new (&info(*t)) PtTableInfo{};
      info(*t).next = list.head;
      list.head = t;
    }
    in_use_.fetch_add(count, std::memory_order_relaxed);
  }
  for (PtTable* t = list.head; t != nullptr; t = info(*t).next) {
    if (!info(*t).all_zero) std::memset(static_cast<void*>(t), 0, sizeof *t);
  }
  return list;
}

void TablePool::push_free(PtTable& table, Content content) {
  info(table) = PtTableInfo{};
  info(table).all_zero = content == Content::kStillZero;
  info(table).next = free_;
  free_ = &table;
  ++free_count_;
  in_use_.fetch_sub(1, std::memory_order_relaxed);
}

void TablePool::give_back(PtTableList list, Content content) {
  if (list.head == nullptr) return;
  Guard guard(lock_);
  for (PtTable* t = list.head; t != nullptr;) {
    PtTable* next = info(*t).next;
    push_free(*t, content);
    t = next;
  }
}

void TablePool::free_subtrees(PtTableList list) {
  if (list.head == nullptr) return;
  Guard guard(lock_);
  // The list grows at its head by the children of each table taken from it: no recursion.
  for (PtTable* t = list.head; t != nullptr;) {
    PtTable* rest = info(*t).next;
    const int level = info(*t).level;
    for (std::uint32_t i = 0; level > 0 && i < kPtEntries; ++i) {
      const PteWord w = t->entry[i].load(std::memory_order_relaxed);
      if (!pte_is_table(w, level)) continue;
      auto* child = reinterpret_cast<PtTable*>(w & pte::kAddressMask);
      info(*child).next = rest;
      rest = child;
    }
    push_free(*t, Content::kWritten);
    t = rest;
  }
}

}  // namespace softxe
