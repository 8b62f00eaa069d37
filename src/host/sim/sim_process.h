// One simulated process's address space as bookkeeping: mappings, page table entries, objects.
//
// Nothing here moves data, counts references or tells notifiers; SimHostMm does. What is here keeps
// the two ordered maps sound: mappings never overlap, compatible neighbours are one mapping (as
// /proc/self/maps shows it), an entry exists only inside a mapping.
// Next: sim_host_mm.h.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>

#include "base/address.h"
#include "base/result.h"
#include "host/devmem.h"
#include "host/host_mm.h"
#include "host/sim/sim_frames.h"

namespace softxe {

enum class Prot : std::uint8_t { kNone = 0, kRead = 1, kWrite = 2, kReadWrite = 3 };
constexpr bool can_read(Prot p) { return p != Prot::kNone; }
constexpr bool can_write(Prot p) { return (static_cast<unsigned>(p) & 2u) != 0; }

enum class Share : std::uint8_t { kPrivate, kShared };

/// A file, a shared memory object or a device: pages by index, each with one frame reference.
struct SimObject {
  std::uint64_t size_bytes = 0;
  std::map<std::uint64_t, FrameId> pages;  ///< page index -> frame
};

/// One mapping. For anonymous memory `page_offset` is the page number it was born at, and moves with
/// it: like the kernel's, two pieces merge only when they were neighbours at birth.
struct SimVma {
  HostRange range;
  CpuVma::Kind kind;
  Share share;
  Prot prot;
  std::shared_ptr<SimObject> object;  ///< none for anonymous private memory
  std::uint64_t page_offset;
  bool locked = false;     ///< mlock
  bool dont_fork = false;  ///< MADV_DONTFORK

  std::uint64_t object_page(HostVa va) const { return page_offset + ((va - range.start()) >> kPageShift); }
  bool anonymous() const { return object == nullptr; }
};

/// Where one page stands. `frame` counts one reference for kFrame and kSwapped.
struct SimPte {
  enum class Kind : std::uint8_t {
    kFrame,
    kZero,     ///< the machine's zero page
    kDevice,   ///< `page` of `allocation`
    kSwapped,  ///< content parked in `frame`, which nobody may reach
    kGuard,    ///< MADV_GUARD_INSTALL
  };
  Kind kind = Kind::kZero;
  bool lazy_free = false;  ///< MADV_FREE: reclaim may drop the content
  FrameId frame{0};
  DevmemAllocation* allocation = nullptr;
  std::uint32_t page = 0;
};

/// Mappings and page table of one process. No lock of its own: guarded by the SimHostMm lock.
class SimProcess {
 public:
  using Ptes = std::map<std::uint64_t, SimPte>;  ///< by virtual page number
  using Vmas = std::map<std::uint64_t, SimVma>;  ///< by start address

  static std::uint64_t vpn(HostVa va) { return va.value() >> kPageShift; }
  static HostVa va_of(std::uint64_t page_number) { return HostVa(page_number << kPageShift); }

  SimVma* find(HostVa va);
  /// First mapping that intersects `range`.
  SimVma* first_in(HostRange range);
  /// No hole between start and end.
  bool fully_mapped(HostRange range);
  /// Lowest free place of that size at or above `from`; ENOMEM at the end of the address space.
  Result<HostVa> find_gap(HostVa from, std::uint64_t size_bytes);

  void insert(SimVma vma);
  /// Makes mapping borders at both ends of `range`.
  void isolate(HostRange range);
  /// Removes the mappings inside `range` (isolated first); the caller has emptied the page table.
  void erase(HostRange range);
  /// Calls `edit(SimVma&)` on every mapping inside `range` (isolated first), then merges again.
  template <typename Edit>
  void edit_vmas(HostRange range, Edit edit) {
    isolate(range);
    for (auto it = vmas_.lower_bound(range.start().value()); it != vmas_.end() && it->first < range.end().value();
         ++it) {
      edit(it->second);
    }
    merge(range);
  }
  void merge(HostRange around);

  SimPte* pte(HostVa va);
  SimPte& set_pte(HostVa va, SimPte entry) { return ptes_[vpn(va)] = entry; }
  void clear_pte(HostVa va) { ptes_.erase(vpn(va)); }

  Vmas& vmas() { return vmas_; }
  Ptes& ptes() { return ptes_; }
  /// The entries of `range`, as a pair of iterators.
  Ptes::iterator ptes_begin(HostRange r) { return ptes_.lower_bound(vpn(r.start())); }
  Ptes::iterator ptes_end(HostRange r) { return ptes_.lower_bound((r.end().value() + kPageSize - 1) >> kPageShift); }

  bool alive = true;
  HostVa brk{};

 private:
  void split_at(HostVa va);

  Vmas vmas_;
  Ptes ptes_;
};

}  // namespace softxe
