// What must be true of a VM's tree and of the PTEs that VMAs own (spec/vm.md 10.1). The mirror's
// part is in svm/self_check.h.
#include <fmt/format.h>

#include "vm/vm.h"

namespace softxe {

namespace {

/// VMAs larger than this are not gone through entry by entry (a null mapping of the whole space).
constexpr std::uint64_t kWalkBytesMax = 1ull << 30;

std::string at(const Vma& vma, const char* what) {
  return fmt::format("VMA [{:#x}, {:#x}): {}", vma.start().value(), vma.end().value(), what);
}

// Structure: invariants 1, 10.
const char* wrong_shape(const Vma& vma) {
  if (!vma.start().is_aligned(kPageSize) || !vma.end().is_aligned(kPageSize)) return "is not page aligned";
  if ((vma.kind() == VmaKind::kBo) != (vma.bo() != nullptr)) return "kind and object disagree";
  if ((vma.kind() == VmaKind::kBo) != (vma.backing() != nullptr)) return "kind and backing disagree";
  if (vma.is_mirror() && vma.tile_present != 0) return "a mirror that owns entries";
  if ((vma.tile_invalidated & ~vma.tile_present) != 0) return "is invalidated where it was never bound";
  return nullptr;
}

bool right_memory(const Vma& vma, const Translation& leaf) {
  switch (vma.kind()) {
    case VmaKind::kNull: return leaf.flags.kind == PteKind::kNull;
    case VmaKind::kUserptr:
      return leaf.flags.kind == PteKind::kSystem &&
             leaf.address - leaf.entry_va.value() == vma.userptr_start().value() - vma.start().value();
    case VmaKind::kBo: return leaf.flags.kind != PteKind::kSystem;
    case VmaKind::kMirror: return false;
  }
  return false;
}

}  // namespace

std::string Vm::broken_invariant(OwnedPages& owned) {
  space_.validate();
  std::size_t objects = 0;
  for (auto it = space_.begin(); it != space_.end(); ++it) {
    VaNode& node = *it;
    const auto& vma = static_cast<const Vma&>(node);
    if (const char* wrong = wrong_shape(vma)) return at(vma, wrong);
    if (vma.kind() == VmaKind::kBo) ++objects;
    if (std::string what = broken_ptes(vma, owned); !what.empty()) return what;
  }
  Guard hold(bo_lock_);
  for (const auto& [bo, pair] : vm_bos_) {
    for (VaNode* node = pair->oldest(); node != nullptr; node = node->next_of_backing()) {
      if (space_.find_covering(node->start()) != node) return "an object lists a VMA that is not in the tree";
      if (objects-- == 0) return "objects list more VMAs than there are";
    }
  }
  return objects == 0 ? "" : "a VMA is not in its object's list";
}

// Invariant 22: bound VMAs are mapped whole, to what they name, and to be written only when they
// may.
std::string Vm::broken_ptes(const Vma& vma, OwnedPages& owned) {
  if (vma.tile_present == 0) return {};
  if (vma.range().size() > kWalkBytesMax) {
    owned.counted = false;
    return {};
  }
  // Nothing is behind a purged object; without scratch its mapping is bound to nothing.
  const bool hollow = vma.bo() && vma.bo()->purgeable() == PurgeableState::kPurged;
  Guard hold(bo_lock_);
  for (unsigned tile = 0; tile < config_.tile_count; ++tile) {
    const bool valid = ((vma.tile_present & ~vma.tile_invalidated) & (1u << tile)) != 0;
    std::uint64_t mapped = 0;
    const char* wrong = nullptr;
    tables_[tile]->for_each_leaf(vma.range(), [&](const Translation& leaf) {
      mapped += leaf.entry_bytes;
      if (leaf.flags.writable && vma.flags().read_only) wrong = "is READONLY and has a writable entry";
      if (!right_memory(vma, leaf)) wrong = "an entry shows other memory";
    });
    if (wrong != nullptr) return at(vma, wrong);
    if (valid && !hollow && mapped != vma.range().size()) return at(vma, "is bound but not mapped whole");
    if (!valid && mapped != 0) return at(vma, "has entries though it is not bound");
    owned.pages[tile] += mapped / kPageSize;
  }
  return {};
}

void Vm::validate() {
  OwnedPages owned;
  const std::string what = broken_invariant(owned);
  if (!what.empty()) detail::assert_failed(what.c_str(), __FILE__, __LINE__);
}

}  // namespace softxe
