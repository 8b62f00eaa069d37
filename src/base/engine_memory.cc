#include "base/engine_memory.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstring>

#include "base/raw_syscall.h"
#include "base/spare_mappings.h"

namespace softxe {
namespace {

// Below where the loader puts programs (0x5555'5555'4000 and up) and above all that mmap() picks by itself.
// ASan's and TSan's shadows lie elsewhere, and TSan accepts mappings here.
constexpr std::uint64_t kPlaceStart = 0x5500'0000'0000;
constexpr std::uint64_t kPlaceEnd = 0x5554'0000'0000;
/// Between two mappings of ours, so that one that is overrun meets nothing.
constexpr std::uint64_t kGap = k2M;
constexpr std::uint64_t kGrowStep = 4ULL << 20;
constexpr int kMapFlags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
constexpr int kMapFixedNoreplace = 0x100000;

/// A row of the table: free, being filled, or a range. Rows are never moved, so readers need no lock: they
/// read `start`, then `end`, then `start` again.
struct Row {
  std::atomic<std::uint64_t> start{kFree};
  std::atomic<std::uint64_t> end{0};

  static constexpr std::uint64_t kFree = 0;
  static constexpr std::uint64_t kTaken = 1;
};
constexpr std::size_t kRows = 2048;
constinit std::array<Row, kRows> rows;
constinit std::atomic<std::size_t> rows_used{0};

std::optional<HostRange> range_of(const Row& row) {
  for (;;) {
    const std::uint64_t start = row.start.load(std::memory_order_acquire);
    if (start <= Row::kTaken) return std::nullopt;
    const std::uint64_t end = row.end.load(std::memory_order_acquire);
    if (row.start.load(std::memory_order_acquire) != start || end <= start) continue;
    return HostRange::between(HostVa(start), HostVa(end));
  }
}

template <typename Fn>
void for_each_range(Fn fn) {
  const std::size_t used = rows_used.load(std::memory_order_acquire);
  for (std::size_t i = 0; i < used; ++i) {
    if (const auto range = range_of(rows[i])) fn(*range);
  }
}

/// The lowest place for `bytes` at or above `from` that is clear of the ranges in the table.
std::optional<std::uint64_t> free_place(std::uint64_t from, const EngineMapping::Request& request) {
  for (std::uint64_t at = align_up(from, request.alignment); at + request.bytes <= kPlaceEnd;) {
    const auto wanted = HostRange::of(HostVa(at - kGap), request.bytes + 2 * kGap);
    const auto taken = engine_memory_at_or_above(wanted.start());
    if (!taken || !taken->intersects(wanted)) return at;
    at = align_up(taken->end().value() + kGap, request.alignment);
  }
  return std::nullopt;
}

/// Maps in our place; another thread, or a client that asked for this very address, may be there first.
std::uint64_t map_in_place(const EngineMapping::Request& request) {
  constexpr int kTriesMax = 256;
  constexpr std::uint64_t kStride = 1ULL << 30;
  std::uint64_t from = kPlaceStart;
  for (int i = 0; i < kTriesMax; ++i) {
    const auto at = free_place(from, request);
    if (!at) return 0;
    const long got = raw_syscall(SYS_mmap, *at, request.bytes, PROT_NONE, kMapFlags | kMapFixedNoreplace, -1, 0);
    if (errno_of(got) == 0) {
      if (static_cast<std::uint64_t>(got) == *at) return *at;
      raw_syscall(SYS_munmap, got, request.bytes);  // a kernel or an emulator that takes the address as a hint
      return 0;
    }
    if (errno_of(got) != EEXIST) return 0;
    from = *at + kStride;
  }
  return 0;
}

/// Pages mapped before the client can have said mlockall(MCL_FUTURE). What grows out of them is not locked,
/// and so not held against RLIMIT_MEMLOCK, as a new mapping would be.
class Seeds {
 public:
  void plant() {
    std::uint64_t none = 0;
    if (start_.load() != 0 || !start_.compare_exchange_strong(none, 1)) return;
    const long got = raw_syscall(SYS_mmap, nullptr, kCount * kPageSize, PROT_NONE, kMapFlags, -1, 0);
    if (errno_of(got) == 0) start_.store(static_cast<std::uint64_t>(got));
  }
  long grow(std::uint64_t bytes) {
    const std::uint64_t start = start_.load();
    const std::uint64_t seed = used_.fetch_add(1);
    if (start <= 1 || seed >= kCount) return -ENOMEM;
    return raw_syscall(SYS_mremap, start + seed * kPageSize, kPageSize, bytes, MREMAP_MAYMOVE);
  }

 private:
  static constexpr std::uint64_t kCount = 64;
  std::atomic<std::uint64_t> start_{0};
  std::atomic<std::uint64_t> used_{0};
};
constinit Seeds seeds;

/// Maps where the kernel likes, with room for the alignment and a gap on both sides.
std::uint64_t map_anywhere(const EngineMapping::Request& request) {
  const std::uint64_t padded = request.bytes + request.alignment + 2 * kGap;
  long got = raw_syscall(SYS_mmap, nullptr, padded, PROT_NONE, kMapFlags, -1, 0);
  if (errno_of(got) == EAGAIN) got = seeds.grow(padded);
  if (errno_of(got) != 0) return 0;
  const auto start = static_cast<std::uint64_t>(got);
  const std::uint64_t at = align_up(start + kGap, request.alignment);
  raw_syscall(SYS_munmap, start, at - start);
  raw_syscall(SYS_munmap, at + request.bytes, start + padded - (at + request.bytes));
  return at;
}

/// Zero as far as it is usable, or made so.
bool is_clean(std::byte* start, std::uint64_t usable) {
  constexpr std::uint64_t kCleanedMax = 1ULL << 20;
  if (SpareMappings::was_noted_clean(start)) return true;
  if (usable > kCleanedMax) return false;
  std::memset(start, 0, usable);
  return true;
}

}  // namespace

Result<EngineMapping> EngineMapping::reserve(const Request& wanted) {
  Request request = wanted;
  request.bytes = align_up(request.bytes, kPageSize);
  SX_ASSERT(request.bytes != 0 && is_aligned(request.alignment, kPageSize));
  EngineMapping mapping;
  if (request.use == Use::kRecords && request.alignment == kPageSize) {
    const SpareMappings::Spare spare = SpareMappings::take(SpareMappings::Source::kEngine, request.bytes);
    if (spare.start != nullptr) {
      mapping.start_ = reinterpret_cast<std::uint64_t>(spare.start);
      mapping.bytes_ = spare.bytes;
      mapping.usable_ = spare.usable;
      return mapping;
    }
  }
  seeds.plant();
  std::uint64_t at = map_in_place(request);
  if (at == 0) at = map_anywhere(request);
  if (at == 0) return fail(ENOMEM, "no address space for the runtime (RLIMIT_AS?)");
  mapping.start_ = at;
  mapping.bytes_ = request.bytes;
  // After mlockall(MCL_FUTURE) the kernel would fill it when it becomes usable.
  raw_syscall(SYS_munlock, at, request.bytes);
  raw_syscall(SYS_madvise, at, request.bytes, MADV_DONTDUMP);
  raw_syscall(SYS_madvise, at, request.bytes, request.use == Use::kWindow ? MADV_DONTFORK : MADV_NOHUGEPAGE);
  SX_TRY_VOID(note_engine_memory(mapping.range()));
  return mapping;
}

Status EngineMapping::grow(std::uint64_t bytes) {
  if (bytes <= usable_) return {};
  if (bytes > bytes_) return fail(ENOMEM, "the reservation is used up");
  const std::uint64_t target = std::min(align_up(bytes, kGrowStep), bytes_);
  const long result = raw_syscall(SYS_mprotect, start_ + usable_, target - usable_, PROT_READ | PROT_WRITE);
  if (errno_of(result) != 0) return fail(ENOMEM, "the kernel gives the runtime no memory");
  usable_ = target;
  return {};
}

void EngineMapping::forget() {
  if (bytes_ == 0) return;
  forget_engine_memory(range());
  start_ = bytes_ = usable_ = 0;
}

void EngineMapping::unmap() {
  if (bytes_ == 0) return;
  if (SpareMappings::kept() && is_clean(data(), usable_)) {
    // It stays in the table: it is the runtime's all the same.
    SpareMappings::give_or_unmap(SpareMappings::Source::kEngine, {data(), bytes_, usable_});
    start_ = bytes_ = usable_ = 0;
    return;
  }
  const std::uint64_t start = start_;
  const std::uint64_t bytes = bytes_;
  raw_syscall(SYS_munmap, start, bytes);
  forget();
}

Status note_engine_memory(HostRange range) {
  for (std::size_t i = 0; i < kRows; ++i) {
    std::uint64_t expected = Row::kFree;
    if (!rows[i].start.compare_exchange_strong(expected, Row::kTaken)) continue;
    rows[i].end.store(range.end().value(), std::memory_order_release);
    rows[i].start.store(range.start().value(), std::memory_order_release);
    std::size_t used = rows_used.load();
    while (used <= i && !rows_used.compare_exchange_weak(used, i + 1)) {
    }
    return {};
  }
  return fail(ENOMEM, "the runtime has too many mappings");
}

void forget_engine_memory(HostRange range) {
  for (Row& row : rows) {
    std::uint64_t expected = range.start().value();
    if (row.start.compare_exchange_strong(expected, Row::kFree)) return;
  }
}

std::optional<HostRange> engine_memory_at_or_above(HostVa va) {
  std::optional<HostRange> found;
  for_each_range([&](HostRange range) {
    if (range.end() > va && (!found || range.start() < found->start())) found = range;
  });
  return found;
}

bool is_engine_memory(HostRange range) {
  const auto next = engine_memory_at_or_above(range.start());
  return next && next->start() < range.end();
}

std::optional<HostRange> client_part(HostVa va, HostRange reach) {
  HostVa start = reach.start();
  HostVa end = reach.end();
  bool inside = false;
  for_each_range([&](HostRange range) {
    if (range.contains(va)) {
      inside = true;
    } else if (range.end() <= va) {
      start = std::max(start, range.end());
    } else {
      end = std::min(end, range.start());
    }
  });
  if (inside || start >= end) return std::nullopt;
  return HostRange::between(start, end);
}

std::uint64_t address_space_left() {
  struct rlimit limit {};
  if (errno_of(raw_syscall(SYS_prlimit64, 0, RLIMIT_AS, nullptr, &limit)) != 0 || limit.rlim_cur == RLIM_INFINITY) {
    return ~0ULL;
  }
  char text[64] = {};
  const long fd = raw_syscall(SYS_openat, AT_FDCWD, "/proc/thread-self/statm", O_RDONLY | O_CLOEXEC);
  if (fd < 0) return limit.rlim_cur;
  raw_syscall(SYS_read, fd, text, sizeof text - 1);
  raw_syscall(SYS_close, fd);
  std::uint64_t pages = 0;
  for (const char* c = text; *c >= '0' && *c <= '9'; ++c) pages = pages * 10 + static_cast<std::uint64_t>(*c - '0');
  const std::uint64_t used = pages << kPageShift;
  return limit.rlim_cur > used ? limit.rlim_cur - used : 0;
}

}  // namespace softxe
