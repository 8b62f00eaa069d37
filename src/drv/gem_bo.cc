#include "drv/gem_bo.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <optional>
#include <set>

#include "base/raised_limit.h"
#include "base/raw_syscall.h"
#include "base/step.h"
#include "host/host_mm.h"
#include "vm/vm.h"

namespace softxe {

namespace {

// Longest wait for the pins of others.
constexpr std::uint64_t kPinWaitNs = 100'000'000;

/// Sizes a new object's file. RLIMIT_FSIZE is for what the client writes, and a file beyond it would be a signal, too.
Status size_file(int fd, std::uint64_t bytes) {
  std::optional<RaisedLimit> raised;
  if (bytes > client_limit(LimitKind::kFileSize)) {
    raised.emplace(LimitKind::kFileSize);
    rlimit now{};
    if (getrlimit(RLIMIT_FSIZE, &now) == 0 && bytes > now.rlim_cur)
      return fail(ENOMEM, "larger than the hard limit of file sizes (RLIMIT_FSIZE)");
  }
  if (ftruncate(fd, static_cast<off_t>(bytes)) != 0) return fail(ENOMEM, "cannot size a buffer object");
  return {};
}

}  // namespace

GemBo::GemBo(BoMemory& memory, const GemCreateRequest& request, const void* private_to)
    : memory_(memory),
      size_bytes_(request.size_bytes),
      placement_(request.placement),
      caching_(request.caching),
      no_compression_(request.no_compression),
      private_to_(private_to),
      block_(*this) {}

Result<std::shared_ptr<GemBo>> GemBo::create(BoMemory& memory, const GemCreateRequest& request,
                                             const void* private_to) {
  std::uint64_t largest = 0;
  if ((request.placement & 1) != 0) {
    largest = static_cast<std::uint64_t>(sysconf(_SC_PHYS_PAGES)) * kPageSize;
  }
  for (unsigned tile = 0; tile < memory.tile_count; ++tile) {
    if ((request.placement & (2u << tile)) == 0) continue;
    largest = std::max(largest, memory.tiles[tile].vram->usage().total_bytes);
  }
  if (request.size_bytes > largest) return fail(ENOSPC, "larger than every allowed region");

  SX_TRY_VOID(SX_STEP("drv.gem.create"));
  std::shared_ptr<GemBo> bo(new GemBo(memory, request, private_to));
  SX_TRY_VOID(bo->create_backing());
  if (!request.defer_backing) {
    SX_TRY_VOID(bo->make_resident({.vm = nullptr, .eviction = VmLocalEviction::kAllowed}));
    bo->unpin();
  }
  return bo;
}

Status GemBo::create_backing() {
  const RaisedLimit descriptors(LimitKind::kDescriptors);
  SX_TRY(const OwnedFd low,
         OwnedFd::take(raw_syscall(SYS_memfd_create, kBoMemfdName, MFD_CLOEXEC), "no memfd for a buffer object"));
  SX_TRY(memfd_, OwnedFd::duplicate_high(low.get()));
  SX_TRY_VOID(size_file(memfd(), size_bytes_));
  return map_backing();
}

Status GemBo::map_backing() {
  // Not usable at first: after mlockall(MCL_FUTURE) the kernel would fill it.
  void* at = mmap(nullptr, size_bytes_, PROT_NONE, MAP_SHARED | MAP_NORESERVE, memfd(), 0);
  if (at == MAP_FAILED) return fail(ENOMEM, "cannot map a buffer object");
  raw_syscall(SYS_munlock, at, size_bytes_);
  raw_syscall(SYS_madvise, at, size_bytes_, MADV_DONTDUMP);
  raw_syscall(SYS_mprotect, at, size_bytes_, PROT_READ | PROT_WRITE);
  bytes_ = static_cast<std::byte*>(at);
  return {};
}

// No analysis: the parent's locks may have been held by threads that are not here, so none is taken. The advice on it
// is counted anew by the mappings and dma-bufs that the child makes of the parent's.
Result<std::shared_ptr<GemBo>> GemBo::inherit(BoMemory& memory, const GemBo& parents,
                                              const void* private_to) SX_NO_THREAD_SAFETY_ANALYSIS {
  GemCreateRequest request;
  request.size_bytes = parents.size_bytes_;
  request.placement = parents.placement_;
  request.no_compression = parents.no_compression_;
  request.caching = parents.caching_;
  std::shared_ptr<GemBo> bo(new GemBo(memory, request, private_to));
  bo->inherited_ = true;
  SX_TRY(bo->memfd_, OwnedFd::duplicate_high(parents.memfd()));
  SX_TRY_VOID(bo->map_backing());
  bo->purgeable_ = parents.purgeable_;
  bo->atomic_.store(parents.atomic_.load());
  return bo;
}

GemBo::~GemBo() {
  bool in_vram = false;
  unsigned tile = 0;
  {
    Guard hold(place_lock_);
    SX_ASSERT(pins_ == 0);
    wait_settled();
    in_vram = place_ == Place::kVram;
    tile = tile_;
    if (in_vram) begin_leaving();
  }
  // An evictor that has claimed the block may still hold a pointer to it: wait for its last word.
  const bool unclaimed = !in_vram || give_back(tile);
  {
    Guard hold(place_lock_);
    if (unclaimed) claimed_ = false;
    place_changed_.wait(place_lock_, [this] {
      place_lock_.assert_held();
      return !claimed_;
    });
  }
  // Not through libc: the hooks watch the client's mappings, this one is the engine's.
  if (bytes_ != nullptr) raw_syscall(SYS_munmap, bytes_, size_bytes_);
}

bool GemBo::settled() const { return !claimed_ && (place_ == Place::kSystem || place_ == Place::kVram); }

// An evictor that has claimed the block of the old place writes to it under that tile's lock until it is unclaimed:
// only then may another tile fill it.
void GemBo::wait_settled() {
  if (settled()) return;
  SX_MARK("drv.bo.wait_settled");
  place_changed_.wait(place_lock_, [this] {
    place_lock_.assert_held();
    return settled();
  });
}

std::optional<unsigned> GemBo::wanted_tile(const BoUse& use) const {
  if (use.place == BoPlace::kTileVram) {
    if (use.tile < memory_.tile_count && allows_tile(use.tile)) return use.tile;
    return std::nullopt;
  }
  for (unsigned tile = 0; tile < memory_.tile_count; ++tile) {
    if (allows_tile(tile)) return tile;
  }
  return std::nullopt;
}

// An object that is pinned in VRAM is in a bind or a fault of somebody else, and free in a moment: the kernel waits
// for its lock. Who is evicted from VRAM stays where it is, also where its placements do not have system memory: asked
// to go there, it is there already (spec/vm.md 2.9, 3.5).
Status GemBo::bring_home() {
  unsigned from = 0;
  {
    Guard hold(place_lock_);
    wait_settled();
    if (place_ == Place::kVram && allows_system()) {
      SX_MARK("drv.bo.wait_for_pins");
      place_changed_.wait_for(place_lock_, kPinWaitNs, [&] {
        place_lock_.assert_held();
        return place_ == Place::kSystem || (place_ == Place::kVram && pins_ == 0);
      });
    }
    if (place_ == Place::kSystem && (backed_ || allows_system())) {
      ++pins_;
      backed_ = true;
      return {};
    }
    if (!allows_system()) return fail(EINVAL, "buffer object may not live in system memory");
    if (place_ != Place::kVram || pins_ != 0) return fail(EBUSY, "buffer object is pinned in VRAM");
    begin_leaving();
    from = tile_;
    // Counted before it arrives: nobody can send it back in between.
    ++pins_;
  }
  leave_vram(from);
  return {};
}

void GemBo::begin_leaving() {
  place_ = Place::kLeaving;
  claimed_ = true;
}

// After begin_leaving(). An evictor who chose this object at the same time has a claim on the block until it says so.
void GemBo::leave_vram(unsigned from) {
  memory_.zap_everywhere(*this);
  const bool unclaimed = give_back(from);
  Guard hold(place_lock_);
  if (unclaimed) claimed_ = false;
  place_ = Place::kSystem;
  tile_ = 0;
  place_changed_.notify_all();
}

// First free VRAM, then VRAM after evicting others, then system memory if allowed (spec/vm.md 2.9).
Status GemBo::make_resident(const BoUse& use) {
  const PurgeableState advice = purgeable();
  if (advice != PurgeableState::kWillNeed && !use.accept_purgeable) {
    return fail(EACCES, "buffer object is purgeable");
  }
  if (use.place == BoPlace::kSystem) return bring_home();
  const bool required = use.place == BoPlace::kTileVram;
  // A purged object has nothing to place; its mappings become null.
  const std::optional<unsigned> wanted = advice == PurgeableState::kPurged ? std::nullopt : wanted_tile(use);
  const unsigned tile = wanted.value_or(0);
  if (required && !wanted) return fail(EINVAL, "buffer object may not live in that VRAM");
  for (;;) {
    std::optional<unsigned> from;
    {
      Guard hold(place_lock_);
      wait_settled();
      const bool in_vram = place_ == Place::kVram;
      if (in_vram && (!required || tile_ == tile)) {
        if (pins_++ == 0) memory_.tiles[tile_].vram->pin(block_);
        return {};
      }
      // Pinned in system memory, by a prefetch of the same array for one, it stays there.
      if (!in_vram && (!wanted || (pins_ != 0 && !required && allows_system()))) {
        ++pins_;
        backed_ = true;
        return {};
      }
      if (in_vram && pins_ != 0) return fail(EBUSY, "buffer object is pinned in another VRAM");
      if (in_vram) {
        from = tile_;
        begin_leaving();
      } else {
        place_ = Place::kEntering;
      }
    }
    if (from) {
      leave_vram(*from);
      continue;
    }
    Status entered = enter_vram(tile, use);
    Guard hold(place_lock_);
    place_ = entered ? Place::kVram : Place::kSystem;
    tile_ = tile;
    place_changed_.notify_all();
    if (!entered && (required || !allows_system())) return entered;
    backed_ = true;
    // Pins it had in system memory hold it here as well.
    ++pins_;
    if (place_ == Place::kVram) memory_.tiles[tile_].vram->pin(block_);
    return {};
  }
}

void GemBo::unpin() {
  Guard hold(place_lock_);
  SX_ASSERT(pins_ > 0);
  if (--pins_ != 0) return;
  if (place_ == Place::kVram) memory_.tiles[tile_].vram->unpin(block_);
  place_changed_.notify_all();
}

Status GemBo::find_room(VramManager& vram, const BoUse& use) {
  AllocPolicy policy;
  policy.shape = AllocPolicy::Shape::kScattered;
  policy.vm_tag = private_to_;
  if (use.eviction == VmLocalEviction::kAllowed || (use.vm == nullptr && !allows_system()))
    return vram.allocate(block_, size_bytes_, policy);
  policy.evict = AllocPolicy::Evict::kNo;
  const Status free_room = vram.allocate(block_, size_bytes_, policy);
  // Many VMs may ask for more than there is, each for all of its objects. Who can live in system memory
  // does, or they would push each other out for ever.
  if (allows_system() || free_room || free_room.error().err != ENOSPC) return free_room;
  // Which objects the VM maps is asked only now: an EXEC gets back all of its objects, one after the other.
  std::set<const VramClient*> mapped;
  for (const Bo* bo : use.vm->mapped_objects()) mapped.insert(static_cast<const GemBo*>(bo));
  policy.evict = AllocPolicy::Evict::kYes;
  policy.may_evict = [vm = static_cast<const void*>(use.vm), mapped = std::move(mapped)](const VramBlock& victim) {
    return victim.vm_tag() != vm && !mapped.contains(&victim.client());
  };
  return vram.allocate(block_, size_bytes_, policy);
}

Status GemBo::enter_vram(unsigned tile, const BoUse& use) {
  SX_TRY_VOID(SX_STEP("drv.gem.place"));
  SX_TRY_VOID(find_room(*memory_.tiles[tile].vram, use));
  std::uint64_t offset = 0;
  memory_.tiles[tile].vram->for_each_extent(block_, [&](DevRange extent) {
    memory_.tiles[tile].map->set_override(extent, bytes_ + offset);
    offset += extent.size();
  });
  return {};
}

bool GemBo::give_back(unsigned tile) {
  BoMemory::Tile& place = memory_.tiles[tile];
  place.vram->for_each_extent(block_, [&](DevRange extent) { place.map->clear_override(extent); });
  return place.vram->release(block_) == VramManager::ReleaseResult::kDone;
}

Status GemBo::evict_block(VramBlock&) {
  unsigned tile;
  {
    Guard hold(place_lock_);
    if (place_ != Place::kVram || pins_ != 0) return fail(EBUSY, "buffer object is in use");
    begin_leaving();
    tile = tile_;
  }
  memory_.zap_everywhere(*this);
  if (memory_.counters != nullptr) {
    memory_.counters->count({.size = size_bytes_, .kind = EventKind::kEvictBo});
  }
  const bool unclaimed = give_back(tile);
  if (purgeable() == PurgeableState::kDontNeed) purge();
  Guard hold(place_lock_);
  if (unclaimed) claimed_ = false;
  place_ = Place::kSystem;
  place_changed_.notify_all();
  return {};
}

void GemBo::block_unclaimed(VramBlock&) {
  Guard hold(place_lock_);
  claimed_ = false;
  place_changed_.notify_all();
}

bool GemBo::in_vram() const {
  Guard hold(place_lock_);
  return place_ == Place::kVram;
}

void GemBo::append_runs(std::uint64_t offset, std::uint64_t bytes, const BoViewer& viewer,
                        std::vector<PteRun>& runs) const {
  bool vram;
  unsigned home;
  {
    Guard hold(place_lock_);
    vram = place_ == Place::kVram;
    home = tile_;
  }
  if (!vram || home != viewer.tile || viewer.device != &memory_) {
    // System memory, or VRAM of a peer: reached by pointer, without the DM bit (spec/svm.md 8.3).
    runs.push_back(
        {.kind = PteKind::kEngine, .address = reinterpret_cast<std::uint64_t>(bytes_ + offset), .bytes = bytes});
    return;
  }
  std::uint64_t at = 0;
  memory_.tiles[home].vram->for_each_extent(block_, [&](DevRange extent) {
    const std::uint64_t first = std::max(at, offset);
    const std::uint64_t last = std::min(at + extent.size(), offset + bytes);
    if (first < last) {
      runs.push_back({.kind = PteKind::kVram, .address = extent.start().value() + (first - at), .bytes = last - first});
    }
    at += extent.size();
  });
}

Status GemBo::check_atomic(AtomicAccess access) const {
  const bool vram = (placement_ & ~1u) != 0;
  switch (access) {
    case AtomicAccess::kUndefined: return {};
    case AtomicAccess::kDevice:
      if (vram || (allows_system() && memory_.smem_atomics)) return {};
      return fail(EINVAL, "device atomics need VRAM, or system memory that supports them");
    case AtomicAccess::kGlobal:
      if (vram && allows_system()) return {};
      return fail(EINVAL, "global atomics need both placements");
    case AtomicAccess::kCpu:
      if (allows_system()) return {};
      return fail(EINVAL, "CPU atomics need system placement");
  }
  return fail(EINVAL, "unknown atomic attribute");
}

// --- purgeable state (spec/vm.md 4.4) ------------------------------------------------------------

PurgeableState GemBo::purgeable() const {
  Guard hold(state_lock_);
  return purgeable_;
}

void GemBo::settle_purgeable() {
  if (purgeable_ == PurgeableState::kPurged) return;
  if (willneed_count_ != 0) {
    purgeable_ = PurgeableState::kWillNeed;
  } else if (vma_count_ > 0) {
    purgeable_ = PurgeableState::kDontNeed;
  }
}

void GemBo::purge() {
  if (inherited_) return;  // the parent may still need it
  {
    Guard hold(state_lock_);
    if (purgeable_ != PurgeableState::kDontNeed) return;
    purgeable_ = PurgeableState::kPurged;
  }
  // The engines' view becomes zeroes before the bytes go: one of them may still come through the entries of a mapping
  // that a bind has taken out of the tree and not yet unbound, which no eviction finds.
  if (map_zeroes()) {
    static_cast<void>(ftruncate(memfd(), 0));
    return;
  }
  // Truncated under the engines' mapping, an access would end the process. The memory goes all the same; what differs
  // is that CPU mappings read zeroes where they should get SIGBUS.
  static_cast<void>(fallocate(memfd(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, static_cast<off_t>(size_bytes_)));
}

// ENOMEM: the process has all the mappings it may have. The old one stays.
Status GemBo::map_zeroes() {
  SX_TRY_VOID(SX_STEP("drv.gem.purge.map"));
  constexpr int kFlags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED;
  const long at = raw_syscall(SYS_mmap, bytes_, size_bytes_, PROT_READ | PROT_WRITE, kFlags, -1, 0);
  if (const int err = errno_of(at); err != 0) return fail(err, "cannot map zeroes over a buffer object");
  return {};
}

void GemBo::vma_added(PurgeableState state) {
  Guard hold(state_lock_);
  ++vma_count_;
  if (state == PurgeableState::kWillNeed) ++willneed_count_;
  settle_purgeable();
}

void GemBo::vma_removed(PurgeableState state) {
  Guard hold(state_lock_);
  --vma_count_;
  if (state == PurgeableState::kWillNeed) --willneed_count_;
  settle_purgeable();
}

void GemBo::vma_advised(PurgeableState from, PurgeableState to) {
  Guard hold(state_lock_);
  if (from == PurgeableState::kWillNeed) --willneed_count_;
  if (to == PurgeableState::kWillNeed) ++willneed_count_;
  settle_purgeable();
}

}  // namespace softxe
