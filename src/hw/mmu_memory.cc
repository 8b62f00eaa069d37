#include "hw/mmu_memory.h"

#include <algorithm>
#include <cstring>

namespace softxe {

namespace {

constexpr std::uint64_t kPieceMax = InvalidationDomain::kSectionBytesMax;
/// Faults in a row after which a copy stops asking for both of its sides at once. The fault service has given way long
/// before where it can (FaultService::kGivesWayAfter); what is left are two objects that must be in VRAM, and only one
/// fits.
constexpr std::uint32_t kTogetherRoundsMax = 32;
/// Compare-exchange rounds before a section is renewed, so that contention cannot stretch it.
constexpr int kCasRoundsPerSection = 64;

std::uint64_t to_page_end(GpuVa va) { return kPageSize - (va.value() & (kPageSize - 1)); }

/// A process page refused the access although its entry allowed it: its mapping is gone or changed.
constexpr MmuFault kHostRefused{FaultType::kNotPresent, 0, FaultCause::kMemory};

inline bool guarded_load(const void* at, std::uint32_t& v) { return guarded_load32(at, v); }
inline bool guarded_load(const void* at, std::uint64_t& v) { return guarded_load64(at, v); }
inline bool guarded_store(void* at, std::uint32_t v) { return guarded_store32(at, v); }
inline bool guarded_store(void* at, std::uint64_t v) { return guarded_store64(at, v); }
inline bool guarded_cas(void* at, std::uint32_t& e, std::uint32_t d) { return guarded_cmpxchg32(at, e, d); }
inline bool guarded_cas(void* at, std::uint64_t& e, std::uint64_t d) { return guarded_cmpxchg64(at, e, d); }

/// Repeats a pattern, phase given by the offset from the start of the whole fill.
void fill_plain(std::byte* to, const EngineMemory::Pattern& p, std::uint64_t phase, std::uint64_t bytes) {
  const auto* data = static_cast<const std::byte*>(p.data);
  if (p.bytes == 1) {
    std::memset(to, static_cast<int>(data[0]), bytes);
    return;
  }
  const std::uint64_t first = std::min<std::uint64_t>(bytes, p.bytes);
  for (std::uint64_t i = 0; i < first; ++i) to[i] = data[(phase + i) % p.bytes];
  // What stands is a whole number of periods: double it.
  for (std::uint64_t done = first; done < bytes;) {
    const std::uint64_t n = std::min(done, bytes - done);
    std::memcpy(to + done, to, n);
    done += n;
  }
}

}  // namespace

EngineMemory::EngineMemory(const Mmu::Config& config) : mmu_(config) {}

EngineMemory::~EngineMemory() = default;

/// Runs a visitor over the contiguous pieces of an access. Visitor: plain(host, offset, n) inside the
/// section; bool system(host, offset, n) outside; nothing(offset, n) for null and scratch.
template <typename Visitor>
Status EngineMemory::each_piece(GpuVa va, std::uint64_t bytes, AccessType access, Visitor& visitor) {
  Care care = Care::kWhole;
  for (std::uint64_t done = 0; done < bytes;) {
    const GpuVa at = va + done;
    std::uint64_t want = std::min(bytes - done, kPieceMax);
    if (care == Care::kByPage) want = std::min(want, to_page_end(at));
    mmu_.begin(want);
    const auto target = mmu_.translate(at, want, access);
    if (!target) {
      mmu_.leave();
      SX_TRY_VOID(mmu_.serve_fault(at, access, target.error()));
      continue;
    }
    if (target->plain()) {
      visitor.plain(target->host, done, target->bytes);
      mmu_.end();
    } else if (target->system()) {
      mmu_.leave();
      if (!visitor.system(target->host, done, target->bytes)) {
        if (care == Care::kByPage || target->bytes <= to_page_end(at)) {
          SX_TRY_VOID(mmu_.serve_fault(at, access, kHostRefused));
        }
        care = Care::kByPage;
        continue;
      }
    } else {
      mmu_.end();
      visitor.nothing(done, target->bytes);
    }
    done += target->bytes;
    care = Care::kWhole;
    mmu_.progressed();
  }
  return {};
}

void EngineMemory::prefetch(GpuVa va) {
  mmu_.begin(1);
  const auto target = mmu_.translate(va, 1, AccessType::kRead);
  if (target) {
    mmu_.end();
    return;
  }
  mmu_.leave();
  // Whatever the answer is, there is no access that would have to get through.
  (void)mmu_.serve_fault(va, AccessType::kRead, target.error(), FaultOrigin::kPrefetch);
  mmu_.progressed();
}

// --- bytes ----------------------------------------------------------------------------------------

Status EngineMemory::read_bytes(GpuVa va, void* to, std::uint64_t bytes) {
  struct {
    std::byte* to;
    void plain(const std::byte* host, std::uint64_t at, std::uint64_t n) { std::memcpy(to + at, host, n); }
    bool system(const std::byte* host, std::uint64_t at, std::uint64_t n) { return guarded_copy(to + at, host, n); }
    void nothing(std::uint64_t at, std::uint64_t n) { std::memset(to + at, 0, n); }
  } visitor{static_cast<std::byte*>(to)};
  return each_piece(va, bytes, AccessType::kRead, visitor);
}

Status EngineMemory::write_bytes(GpuVa va, const void* from, std::uint64_t bytes) {
  struct {
    const std::byte* from;
    void plain(std::byte* host, std::uint64_t at, std::uint64_t n) { std::memcpy(host, from + at, n); }
    bool system(std::byte* host, std::uint64_t at, std::uint64_t n) { return guarded_copy(host, from + at, n); }
    void nothing(std::uint64_t, std::uint64_t) {}
  } visitor{static_cast<const std::byte*>(from)};
  return each_piece(va, bytes, AccessType::kWrite, visitor);
}

Status EngineMemory::fill_bytes(GpuVa va, Pattern pattern, std::uint64_t bytes) {
  if (pattern.bytes == 0 || pattern.bytes > 16 || (pattern.bytes & (pattern.bytes - 1)) != 0) {
    return fail(EINVAL, "fill pattern is not 1, 2, 4, 8 or 16 bytes");
  }
  struct {
    Pattern pattern;
    std::byte* bounce;
    void plain(std::byte* host, std::uint64_t at, std::uint64_t n) { fill_plain(host, pattern, at, n); }
    bool system(std::byte* host, std::uint64_t at, std::uint64_t n) {
      if (pattern.bytes == 1) {
        return guarded_fill(host, *static_cast<const std::uint8_t*>(pattern.data), n);
      }
      fill_plain(bounce, pattern, at, n);
      return guarded_copy(host, bounce, n);
    }
    void nothing(std::uint64_t, std::uint64_t) {}
  } visitor{pattern, bounce_};
  return each_piece(va, bytes, AccessType::kWrite, visitor);
}

// --- words ----------------------------------------------------------------------------------------

namespace {

template <typename T>
struct LoadWord {
  T& value;
  void plain(const std::byte* host, std::uint64_t, std::uint64_t) {
    value = __atomic_load_n(reinterpret_cast<const T*>(host), __ATOMIC_ACQUIRE);
  }
  bool system(const std::byte* host, std::uint64_t, std::uint64_t) { return guarded_load(host, value); }
  void nothing(std::uint64_t, std::uint64_t) { value = 0; }
};

template <typename T>
struct StoreWord {
  T value;
  void plain(std::byte* host, std::uint64_t, std::uint64_t) {
    __atomic_store_n(reinterpret_cast<T*>(host), value, __ATOMIC_RELEASE);
  }
  bool system(std::byte* host, std::uint64_t, std::uint64_t) { return guarded_store(host, value); }
  void nothing(std::uint64_t, std::uint64_t) {}
};

}  // namespace

Status EngineMemory::load_slow(GpuVa va, std::uint32_t& value) {
  if (!va.is_aligned(sizeof value)) return read_bytes(va, &value, sizeof value);
  LoadWord<std::uint32_t> visitor{value};
  return each_piece(va, sizeof value, AccessType::kRead, visitor);
}
Status EngineMemory::load_slow(GpuVa va, std::uint64_t& value) {
  if (!va.is_aligned(sizeof value)) return read_bytes(va, &value, sizeof value);
  LoadWord<std::uint64_t> visitor{value};
  return each_piece(va, sizeof value, AccessType::kRead, visitor);
}
Status EngineMemory::store_slow(GpuVa va, std::uint32_t value) {
  if (!va.is_aligned(sizeof value)) return write_bytes(va, &value, sizeof value);
  StoreWord<std::uint32_t> visitor{value};
  return each_piece(va, sizeof value, AccessType::kWrite, visitor);
}
Status EngineMemory::store_slow(GpuVa va, std::uint64_t value) {
  if (!va.is_aligned(sizeof value)) return write_bytes(va, &value, sizeof value);
  StoreWord<std::uint64_t> visitor{value};
  return each_piece(va, sizeof value, AccessType::kWrite, visitor);
}

template <typename T>
Result<T> EngineMemory::atomic(GpuVa va, const AtomicOp<T>& op) {
  if (!va.is_aligned(sizeof(T))) return fail(EINVAL, "atomic is not naturally aligned");
  for (;;) {
    mmu_.begin(sizeof(T));
    const auto target = mmu_.translate(va, sizeof(T), AccessType::kAtomic);
    if (!target) {
      mmu_.leave();
      SX_TRY_VOID(mmu_.serve_fault(va, AccessType::kAtomic, target.error()));
      continue;
    }
    T found = 0;
    bool reached = true;
    bool done = false;
    if (target->plain()) {
      auto* word = reinterpret_cast<T*>(target->host);
      found = __atomic_load_n(word, __ATOMIC_ACQUIRE);
      for (int round = 0; round < kCasRoundsPerSection && !done; ++round) {
        done = __atomic_compare_exchange_n(word, &found, op.apply(found, op.operand, op.compare), false,
                                           __ATOMIC_SEQ_CST, __ATOMIC_ACQUIRE);
      }
      mmu_.end();
    } else if (target->system()) {
      mmu_.leave();
      reached = guarded_load(target->host, found);
      while (reached && !done) {
        const T expected = found;
        reached = guarded_cas(target->host, found, op.apply(expected, op.operand, op.compare));
        done = reached && found == expected;
      }
    } else {
      mmu_.end();
      done = true;
    }
    if (!reached) SX_TRY_VOID(mmu_.serve_fault(va, AccessType::kAtomic, kHostRefused));
    if (!done) continue;
    mmu_.progressed();
    return found;
  }
}

Result<std::uint32_t> EngineMemory::atomic32(GpuVa va, const AtomicOp<std::uint32_t>& op) { return atomic(va, op); }
Result<std::uint64_t> EngineMemory::atomic64(GpuVa va, const AtomicOp<std::uint64_t>& op) { return atomic(va, op); }

// --- copies ---------------------------------------------------------------------------------------

/// Translates both sides in one section; serves faults until both are there. Leaves the section open. None: they do not
/// stay together.
Result<std::optional<EngineMemory::CopyPiece>> EngineMemory::begin_copy_piece(const CopySpan& span, Care care) {
  std::uint64_t want = std::min(span.bytes, kPieceMax);
  if (care == Care::kByPage) {
    want = std::min({want, to_page_end(span.from), to_page_end(span.to)});
  }
  while (mmu_.attempts().answered < kTogetherRoundsMax) {
    mmu_.begin(want);
    const auto from = mmu_.translate(span.from, want, AccessType::kRead);
    if (!from) {
      mmu_.leave();
      SX_TRY_VOID(mmu_.serve_fault(span.from, AccessType::kRead, from.error()));
      continue;
    }
    const auto to = mmu_.translate(span.to, from->bytes, AccessType::kWrite);
    if (!to) {
      mmu_.leave();
      SX_TRY_VOID(mmu_.serve_fault(span.to, AccessType::kWrite, to.error()));
      continue;
    }
    return CopyPiece{*from, *to, to->bytes};
  }
  return std::nullopt;
}

/// One side after the other, as the hardware does it: a load ends before its store begins.
Result<std::uint64_t> EngineMemory::copy_apart(const CopySpan& span) {
  const std::uint64_t bytes = std::min(span.bytes, kPieceMax);
  SX_TRY_VOID(read_bytes(span.from, bounce_, bytes));
  SX_TRY_VOID(write_bytes(span.to, bounce_, bytes));
  return bytes;
}

Result<EngineMemory::Got> EngineMemory::do_copy_piece(const CopySpan& span, const CopyPiece& piece) {
  const MmuTarget& from = piece.from;
  const MmuTarget& to = piece.to;
  const std::uint64_t n = piece.bytes;
  if (!from.system() && !to.system()) {
    if (to.plain() && from.plain()) std::memmove(to.host, from.host, n);
    if (to.plain() && from.nothing()) std::memset(to.host, 0, n);
    mmu_.end();
    return Got::kDone;
  }
  bool reached = true;
  if (from.plain()) {
    std::memcpy(bounce_, from.host, n);
    mmu_.leave();
    reached = guarded_copy(to.host, bounce_, n);
  } else if (from.nothing()) {
    mmu_.leave();
    reached = guarded_fill(to.host, 0, n);
  } else if (to.system()) {
    mmu_.leave();
    reached = guarded_copy(to.host, from.host, n);
  } else {
    mmu_.leave();
    reached = guarded_copy(bounce_, from.host, n);
    // The VRAM side is translated anew: its pointer died with the section.
    if (reached) SX_TRY_VOID(write_bytes(span.to, bounce_, n));
  }
  return reached ? Got::kDone : Got::kRefused;
}

/// Finds the side that refused: both pieces lie within one page each.
Status EngineMemory::serve_refused_copy(const CopySpan& span, const CopyPiece& piece) {
  std::byte probe{};
  if (piece.from.system() && !guarded_copy(&probe, piece.from.host, 1)) {
    return mmu_.serve_fault(span.from, AccessType::kRead, kHostRefused);
  }
  if (!piece.to.system()) return {};  // the source came back meanwhile
  return mmu_.serve_fault(span.to, AccessType::kWrite, kHostRefused);
}

Status EngineMemory::copy_bytes(const CopySpan& span) {
  Care care = Care::kWhole;
  for (std::uint64_t done = 0; done < span.bytes;) {
    const CopySpan rest{span.to + done, span.from + done, span.bytes - done};
    SX_TRY(const std::optional<CopyPiece> piece, begin_copy_piece(rest, care));
    if (!piece) {
      SX_TRY(const std::uint64_t bytes, copy_apart(rest));
      done += bytes;
      care = Care::kWhole;
      continue;
    }
    SX_TRY(const Got got, do_copy_piece(rest, *piece));
    if (got == Got::kRefused) {
      if (care == Care::kByPage) SX_TRY_VOID(serve_refused_copy(rest, *piece));
      care = Care::kByPage;
      continue;
    }
    done += piece->bytes;
    care = Care::kWhole;
    mmu_.progressed();
  }
  return {};
}

}  // namespace softxe
