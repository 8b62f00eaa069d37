#include "hw/pt_pool.h"

#include <sys/mman.h>
#include <cstring>
#include <new>

namespace softxe {

TablePool::TablePool(std::uint64_t max_tables) : max_tables_(max_tables) {
  const std::uint64_t info_bytes = align_up(max_tables * sizeof(PtTableInfo), kPageSize);
  map_bytes_ = max_tables * sizeof(PtTable) + info_bytes;
  void* map = mmap(nullptr, map_bytes_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (map == MAP_FAILED) return;
  // Zero pages are valid tables; side records are made when a table is first handed out.
  tables_ = static_cast<PtTable*>(map);
  info_ = reinterpret_cast<PtTableInfo*>(static_cast<std::byte*>(map) + max_tables * sizeof(PtTable));
}

TablePool::~TablePool() {
  SX_ASSERT(in_use() == 0);
  if (tables_ != nullptr) munmap(tables_, map_bytes_);
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
