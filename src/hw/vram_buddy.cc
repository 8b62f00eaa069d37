#include "hw/vram_buddy.h"

#include <bit>

namespace softxe {

VramBuddy::VramBuddy(const Config& config) : config_(config) {
  SX_ASSERT(std::has_single_bit(config.page_bytes) && config.page_bytes >= kPageSize);
  SX_ASSERT(is_aligned(config.bytes, config.page_bytes));
  SX_ASSERT(is_aligned(config.visible_bytes, config.page_bytes));
  SX_ASSERT(config.visible_bytes <= config.bytes && config.bytes / config.page_bytes < kNoPage);
  for (auto& heads : free_head_) heads.fill(kNoPage);
  pages_ = static_cast<std::uint32_t>(config.bytes / config.page_bytes);
  visible_pages_ = static_cast<std::uint32_t>(config.visible_bytes / config.page_bytes);
  if (pages_ == 0) return;
  auto memory = EngineMapping::reserve({.bytes = pages_ * sizeof(Node)});
  if (!memory || !memory->grow(memory->bytes())) return;
  memory_ = std::move(*memory);
  nodes_ = reinterpret_cast<Node*>(memory_.data());  // zero bytes are State::kInside
  // Cut each zone into the largest naturally aligned blocks. Pushed from the top down, so that low
  // addresses are handed out first.
  for (unsigned zone = 0; zone < 2; ++zone) {
    for (std::uint32_t page = zone_begin(zone); page < zone_end(zone);) {
      unsigned order = page == 0 ? 31u : static_cast<unsigned>(std::countr_zero(page));
      while ((std::uint64_t{1} << order) > zone_end(zone) - page) --order;
      push(zone, page, order);
      page += 1u << order;
    }
  }
}

Status VramBuddy::ready() const {
  if (pages_ != 0 && nodes_ == nullptr) return fail(ENOMEM, "no address space for VRAM records");
  return {};
}

unsigned VramBuddy::order_for(std::uint64_t bytes) const {
  const std::uint64_t pages = (bytes + config_.page_bytes - 1) / config_.page_bytes;
  return static_cast<unsigned>(std::bit_width(pages <= 1 ? 0 : pages - 1));
}

void VramBuddy::push(unsigned zone, std::uint32_t page, unsigned order) {
  const std::uint32_t head = free_head_[zone][order];
  nodes_[page] = Node{head, kNoPage, static_cast<std::uint8_t>(order), State::kFree};
  if (head != kNoPage) nodes_[head].prev = page;
  free_head_[zone][order] = page;
  order_mask_[zone] |= 1ull << order;
  free_bytes_[zone] += config_.page_bytes << order;
}

void VramBuddy::remove(unsigned zone, std::uint32_t page) {
  Node& n = nodes_[page];
  if (n.prev != kNoPage)
    nodes_[n.prev].next = n.next;
  else
    free_head_[zone][n.order] = n.next;
  if (n.next != kNoPage) nodes_[n.next].prev = n.prev;
  if (free_head_[zone][n.order] == kNoPage) order_mask_[zone] &= ~(1ull << n.order);
  free_bytes_[zone] -= config_.page_bytes << n.order;
  n.state = State::kInside;
}

Result<DevRange> VramBuddy::take_order(unsigned order, unsigned zone) {
  const std::uint64_t enough = order >= 64 ? 0 : order_mask_[zone] >> order << order;
  if (enough == 0) return fail(ENOSPC, "no free VRAM block of that size");
  unsigned have = static_cast<unsigned>(std::countr_zero(enough));
  const std::uint32_t page = free_head_[zone][have];
  remove(zone, page);
  while (have > order) {
    --have;
    push(zone, page + (1u << have), have);
  }
  nodes_[page] = Node{kNoPage, kNoPage, static_cast<std::uint8_t>(order), State::kTaken};
  return DevRange::of(address_of(page), config_.page_bytes << order);
}

Result<DevRange> VramBuddy::take(std::uint64_t bytes, VramPlacement placement) {
  const unsigned order = order_for(bytes);
  if (placement != VramPlacement::kVisibleOnly) {
    if (auto block = take_order(order, 1)) return block;
  }
  return take_order(order, 0);
}

Result<DevRange> VramBuddy::take_at_most(std::uint64_t bytes, VramPlacement placement) {
  const std::uint64_t pages = bytes / config_.page_bytes;
  if (pages == 0) return fail(EINVAL, "less than a VRAM page");
  const unsigned limit = static_cast<unsigned>(std::bit_width(pages)) - 1;
  for (unsigned zone = 2; zone-- > 0;) {
    if (zone == 1 && placement == VramPlacement::kVisibleOnly) continue;
    if (order_mask_[zone] == 0) continue;
    // Enough in one piece: split the smallest that is large enough; else the largest there is.
    const unsigned largest = static_cast<unsigned>(std::bit_width(order_mask_[zone])) - 1;
    return take_order(std::min(limit, largest), zone);
  }
  return fail(ENOSPC, "no free VRAM");
}

void VramBuddy::give_back(DevRange block) {
  std::uint32_t page = page_of(block.start());
  SX_ASSERT(page < pages_ && nodes_[page].state == State::kTaken);
  unsigned order = nodes_[page].order;
  SX_ASSERT(block.size() == config_.page_bytes << order);
  const unsigned zone = zone_of(page);
  nodes_[page].state = State::kInside;
  for (;; ++order) {
    const std::uint64_t buddy = page ^ (std::uint64_t{1} << order);
    if (buddy < zone_begin(zone) || buddy >= zone_end(zone)) break;
    const Node& n = nodes_[buddy];
    if (n.state != State::kFree || n.order != order) break;
    remove(zone, static_cast<std::uint32_t>(buddy));
    page = std::min(page, static_cast<std::uint32_t>(buddy));
  }
  push(zone, page, order);
}

DevRange VramBuddy::block_at(DevPa start) const {
  const Node& n = nodes_[page_of(start)];
  SX_ASSERT(n.state == State::kTaken);
  return DevRange::of(start, config_.page_bytes << n.order);
}

void VramBuddy::check_invariants() const {
  for (unsigned zone = 0; zone < 2; ++zone) {
    std::uint64_t free_bytes = 0;
    std::uint64_t mask = 0;
    for (std::uint32_t page = zone_begin(zone); page < zone_end(zone);) {
      const Node& n = nodes_[page];
      SX_ASSERT(n.state != State::kInside);  // blocks tile the zone without holes
      SX_ASSERT(is_aligned(page, 1ull << n.order));
      if (n.state == State::kFree) {
        free_bytes += config_.page_bytes << n.order;
        mask |= 1ull << n.order;
        const std::uint64_t buddy = page ^ (1ull << n.order);
        const bool mergeable = buddy >= zone_begin(zone) && buddy < zone_end(zone) &&
                               nodes_[buddy].state == State::kFree && nodes_[buddy].order == n.order;
        SX_ASSERT(!mergeable);
      }
      page += 1u << n.order;
      SX_ASSERT(page <= zone_end(zone));
    }
    SX_ASSERT(free_bytes == free_bytes_[zone] && mask == order_mask_[zone]);
    std::uint64_t listed = 0;
    for (unsigned o = 0; o < kOrdersMax; ++o) {
      for (std::uint32_t p = free_head_[zone][o]; p != kNoPage; p = nodes_[p].next) {
        SX_ASSERT(nodes_[p].state == State::kFree && nodes_[p].order == o);
        listed += config_.page_bytes << o;
      }
    }
    SX_ASSERT(listed == free_bytes);
  }
}

}  // namespace softxe
