// What a request does to the mappings of a VM, as a list of operations (spec/vm.md 1.2 - 1.7a).
//
// Planning is pure: it reads the space and the request and changes nothing. The list is valid until
// the space changes; plan, carry out (va_apply.h or the VM's own pipeline), plan the next.
//
//   before     |------- a -------|      |---- b ----|            one map request cuts a, covers b
//   request               |-------------------------|            partly and ends with b:
//   ops        remap a -> prev,  unmap b,  map request
//   after      |---- a ---|------------ new --------|
#pragma once

#include <cstddef>
#include <cstdint>
#include <new>
#include <optional>
#include <type_traits>
#include <variant>

#include "base/result.h"
#include "vm/va_space.h"

namespace softxe {

/// Whether page-table entries may stay: old and new mapping translate each common address to the
/// same place. A hint (spec/vm.md 1.3 "keep").
enum class Keep : std::uint8_t { kNo, kYes };

/// The offset of the piece that a madvise split puts back in (spec/vm.md Q2, 5.5). Linux says 0,
/// which breaks a userptr; the driver layer carries the old offset on.
enum class SplitOffset : std::uint8_t { kZero, kCarried };

/// What is left of a split mapping on one side; it keeps the old backing.
struct VaPiece {
  GpuRange range;
  std::uint64_t offset_bytes;
};

/// Insert a mapping. `split_of` is the mapping that a madvise split cut it out of, else null.
struct MapOp {
  GpuRange range;
  VaBacking* backing;
  std::uint64_t offset_bytes;
  VaNode* split_of;
};
/// Remove a mapping.
struct UnmapOp {
  VaNode* node;
  Keep keep;
};
/// Replace a mapping by what lies before and/or after `hole`. Holds a copy of the old extent, so
/// that the pieces are right even after the node's recorded interval was shrunk (spec/vm.md 3.4).
struct RemapOp {
  VaNode* node;
  GpuRange old;
  GpuRange hole;
  std::uint64_t old_offset_bytes;
  Keep keep;

  bool has_prev() const { return old.start() != hole.start(); }
  bool has_next() const { return old.end() != hole.end(); }
  bool is_two_sided() const { return has_prev() && has_next(); }
  std::optional<VaPiece> prev() const {
    if (!has_prev()) return std::nullopt;
    return VaPiece{GpuRange::between(old.start(), hole.start()), old_offset_bytes};
  }
  std::optional<VaPiece> next() const {
    if (!has_next()) return std::nullopt;
    return VaPiece{GpuRange::between(hole.end(), old.end()), old_offset_bytes + (hole.end() - old.start())};
  }
};
/// Prefetch a whole mapping.
struct PrefetchOp {
  VaNode* node;
};

using VaOp = std::variant<MapOp, UnmapOp, RemapOp, PrefetchOp>;
static_assert(std::is_trivially_copyable_v<VaOp>);

/// The operations of one request in the order in which they have to be carried out: ascending, for
/// map with the one MapOp last. At most two RemapOps. A value; up to kInline operations need no
/// memory.
class VaOps {
 public:
  static constexpr std::size_t kInline = 8;

  VaOps() : data_(inline_ops()) {}
  VaOps(VaOps&& other) noexcept;
  VaOps& operator=(VaOps&& other) noexcept;
  ~VaOps() { release(); }

  const VaOp* begin() const { return data_; }
  const VaOp* end() const { return data_ + size_; }
  std::size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }
  const VaOp& operator[](std::size_t i) const {
    SX_ASSERT(i < size_);
    return data_[i];
  }
  /// How many insertions the list makes: what VaSpace::reserve() wants.
  std::size_t inserts() const { return inserts_; }
  /// Where in the space the work begins, for VaSpace::splice().
  const VaIndex::Hint& place() const { return place_; }
  /// What is removed or replaced are neighbours (`gone`): VaSpace::splice() can do all at once.
  bool is_one_splice() const { return reach_ == Reach::kNeighbours; }
  const VaIndex::Run& gone() const { return gone_; }

  /// For planners. ENOMEM leaves the list as it was.
  template <typename Op>
  Status add(const Op& op) {
    if (size_ == capacity_) SX_TRY_VOID(grow());
    ::new (static_cast<void*>(&data_[size_])) VaOp(op);
    ++size_;
    count(op);
    return {};
  }
  VaIndex::Hint& place_to_set() { return place_; }
  enum class Reach : std::uint8_t { kScattered, kNeighbours };
  void set_reach(Reach reach) { reach_ = reach; }

 private:
  void count(const MapOp&) { ++inserts_; }
  void count(const RemapOp& op) {
    inserts_ += op.is_two_sided() ? 2 : 1;
    gone_.add(*op.node);
  }
  void count(const UnmapOp& op) { gone_.add(*op.node); }
  void count(const PrefetchOp&) {}

  VaOp* inline_ops() { return reinterpret_cast<VaOp*>(inline_); }
  Status grow();
  void take(VaOps& other);
  void release() {
    if (data_ != inline_ops()) ::operator delete(data_);
  }

  VaOp* data_;
  std::size_t size_ = 0;
  std::size_t capacity_ = kInline;
  std::size_t inserts_ = 0;
  VaIndex::Hint place_;
  VaIndex::Run gone_;
  Reach reach_ = Reach::kScattered;
  alignas(VaOp) std::byte inline_[kInline * sizeof(VaOp)];
};

struct MapRequest {
  GpuRange range;
  VaBacking* backing = nullptr;
  std::uint64_t offset_bytes = 0;
};

/// All: EINVAL for a range that VaSpace::check() refuses (prefetch does not look), ENOMEM.
/// Everything in the range goes or is cut, then the request is mapped (spec/vm.md 1.3).
Result<VaOps> plan_map(const VaSpace& space, const MapRequest& request);
/// Everything in the range goes or is cut; nothing there is no error (1.4).
Result<VaOps> plan_unmap(const VaSpace& space, const GpuRange& range);
/// Mappings without backing are cut at the borders of the range; the inside is put back (1.7).
Result<VaOps> plan_madvise_split(const VaSpace& space, const GpuRange& range, SplitOffset offset);
/// All mappings that the range touches (1.5). The reserved window counts as one.
Result<VaOps> plan_prefetch(const VaSpace& space, const GpuRange& range);
/// All mappings of one backing, oldest first (1.6).
Result<VaOps> plan_unmap_backing(const VaBacking& backing);

}  // namespace softxe
