#include "sim/workload.h"

#include "base/prng.h"

namespace softxe::sim {
namespace {

using Kind = Op::Kind;

struct Weight {
  Kind kind;
  unsigned weight;
};
constexpr Weight kWeights[] = {
    {Kind::kMmap, 12},     {Kind::kMunmap, 9},       {Kind::kMremap, 4},       {Kind::kMprotect, 4},
    {Kind::kDontneed, 4},  {Kind::kFree, 2},         {Kind::kRemove, 2},       {Kind::kPageout, 2},
    {Kind::kReclaim, 1},   {Kind::kBrk, 3},          {Kind::kFork, 1},         {Kind::kExit, 1},
    {Kind::kCpuRead, 8},   {Kind::kCpuWrite, 10},    {Kind::kGpuRead, 10},     {Kind::kGpuWrite, 22},
    {Kind::kGpuAtomic, 7}, {Kind::kAtomicAdvice, 6}, {Kind::kPreferAdvice, 5}, {Kind::kPatAdvice, 2},
    {Kind::kPrefetch, 6},  {Kind::kBind, 4},         {Kind::kBindNull, 1},     {Kind::kBindBo, 3},
    {Kind::kUnbind, 2},    {Kind::kEvict, 3},        {Kind::kEvictAll, 2},     {Kind::kCollect, 3},
};
/// Where a client's call may fall into a fault: HostMm may be entered there (lock table in
/// base/lock.h).
constexpr const char* kSteps[] = {"svm.fault.after_gc",  "svm.fault.before_pages", "svm.migrate.allocated",
                                  "svm.pages.collected", "svm.bind.before_commit", "svm.gc.removed",
                                  "svm.fault.again"};
constexpr unsigned kProcessesMax = 4;

class Drawer {
 public:
  Drawer(const Config& config, std::uint64_t seed) : config_(config), prng_(seed * 0x9e3779b9u + 1) {}

  void append(std::vector<Op>& ops) {
    Op op = plain(draw_kind());
    // Objects and holes find room where nothing of the GPU's stands any more.
    const bool punches = op.kind == Kind::kBindBo || op.kind == Kind::kBindNull || op.kind == Kind::kUnbind;
    if (punches && prng_.chance(2, 3)) {
      Op away = op;
      away.kind = Kind::kMunmap;
      ops.push_back(away);
    }
    const bool failing = config_.failures && may_fail(op.kind) && prng_.chance(1, 6);
    if (failing) {
      op.fail_nth = 1 + static_cast<unsigned>(prng_.below(10));
      op.fail_err = prng_.chance(1, 5) ? EBUSY : ENOMEM;
      op.fail_forever = prng_.chance(1, 3);
    } else if (op.gpu_access() && prng_.chance(1, 6)) {
      disturb(op);
    }
    ops.push_back(op);
    if (failing && prng_.chance(1, 4)) ops.push_back(of_vm(Kind::kReopen, op.vm));
  }

 private:
  static bool may_fail(Kind kind) {
    return kind == Kind::kCpuRead || kind == Kind::kCpuWrite || kind >= Kind::kGpuRead;
  }

  void disturb(Op& op) {
    op.step = kSteps[prng_.below(std::size(kSteps))];
    constexpr Kind kInner[] = {Kind::kMunmap, Kind::kMmap,     Kind::kDontneed, Kind::kMprotect,
                               Kind::kMremap, Kind::kCpuWrite, Kind::kRemove,   Kind::kBrk};
    const std::uint64_t count = 1 + prng_.below(3);
    for (std::uint64_t i = 0; i < count; ++i) {
      Op inner = plain(kInner[prng_.below(std::size(kInner))]);
      inner.process = 0;
      // Half of them hit the very block that is being served.
      if (prng_.chance(1, 2) && inner.kind != Kind::kCpuWrite) inner.span = around(op.span.start);
      if (inner.kind == Kind::kMremap) inner.to = target(inner.span);
      op.inner.push_back(inner);
    }
  }

  Kind draw_kind() {
    unsigned total = 0;
    for (const Weight& w : kWeights) total += w.weight;
    std::uint64_t left = prng_.below(total);
    for (const Weight& w : kWeights) {
      if (left < w.weight) return w.kind;
      left -= w.weight;
    }
    return Kind::kCollect;
  }

  Span around(std::uint64_t at) {
    const std::uint64_t bytes = prng_.chance(1, 2) ? k2M : k64K;
    const std::uint64_t start = align_down(at, bytes);
    return {start, std::min(start + bytes, kSpace.end)};
  }

  // Whole blocks of one of the three sizes, or any pages.
  Span interval() {
    constexpr std::uint64_t kUnits[] = {k2M, k2M, k64K, kPageSize};
    const std::uint64_t unit = kUnits[prng_.below(std::size(kUnits))];
    const std::uint64_t count = (kSpaceBytes + unit - 1) / unit;
    const std::uint64_t first = prng_.below(count);
    const std::uint64_t most = std::min<std::uint64_t>(count - first, unit == k2M ? 2 : 20);
    const Span span{kSpaceStart + first * unit, kSpaceStart + (first + 1 + prng_.below(most)) * unit};
    return {span.start, std::min(span.end, kSpace.end)};
  }

  // Where a mapping of that size may go.
  std::uint64_t target(Span span) {
    const std::uint64_t unit = prng_.chance(1, 2) ? k64K : kPageSize;
    return kSpaceStart + align_down(prng_.below(kSpaceBytes - span.size() + 1), unit);
  }

  Span word() {
    // Few pages are touched often, so that accesses of different kinds meet.
    const std::uint64_t page = prng_.chance(1, 2) ? prng_.below(kSpacePages) : prng_.below(12) * 96 % kSpacePages;
    const std::uint64_t at = kSpaceStart + page * kPageSize + kWordOffsets[prng_.below(2)];
    return {at, at + 8};
  }

  MemoryKind memory() {
    constexpr MemoryKind kKinds[] = {MemoryKind::kShmem, MemoryKind::kFile, MemoryKind::kSharedFile,
                                     MemoryKind::kHugetlb};
    return prng_.chance(3, 4) ? MemoryKind::kAnon : kKinds[prng_.below(std::size(kKinds))];
  }

  Op of_vm(Kind kind, unsigned vm) {
    Op op;
    op.kind = kind;
    op.vm = vm;
    op.autoreset = prng_.chance(2, 3);
    return op;
  }

  Op plain(Kind kind) {
    Op op = of_vm(kind, static_cast<unsigned>(prng_.below(config_.vms)));
    op.span = interval();
    op.value = ++stamp_ * 0x100000001ull;
    op.tile = static_cast<unsigned>(prng_.below(config_.profile->tiles));
    // Where VRAM is mapped in 64K units, objects are bound and cut in such units (spec/svm.md 6.1).
    const bool binds = kind >= Kind::kBind && kind <= Kind::kUnbind;
    const std::uint64_t unit = config_.profile->has(DeviceFact::kVram64k) ? k64K : kPageSize;
    if (binds) op.span = {align_down(op.span.start, unit), align_up(op.span.end, unit)};
    switch (kind) {
      case Kind::kMmap:
        op.memory = memory();
        op.writable = prng_.chance(9, 10);
        break;
      case Kind::kMremap:
        op.to = target(op.span);
        op.dont_unmap = prng_.chance(1, 4);
        break;
      case Kind::kMprotect:
        op.writable = prng_.chance(2, 3);
        op.readable = op.writable || prng_.chance(2, 3);
        break;
      case Kind::kBrk: op.to = kBrkBase + prng_.below(kSpace.end - kBrkBase + 1); break;
      case Kind::kCpuRead:
      case Kind::kCpuWrite:
        op.process = prng_.chance(1, 5) ? static_cast<unsigned>(prng_.below(kProcessesMax)) : 0;
        op.span = word();
        break;
      case Kind::kFork:
      case Kind::kExit: op.process = 1 + static_cast<unsigned>(prng_.below(kProcessesMax - 1)); break;
      case Kind::kGpuRead:
      case Kind::kGpuWrite:
        op.span = word();
        op.by_kernel = prng_.chance(1, 2);
        break;
      case Kind::kGpuAtomic:
        op.span = word();
        op.value = 1 + prng_.below(1000);
        op.by_kernel = prng_.chance(1, 2);
        break;
      case Kind::kAtomicAdvice: op.value = prng_.below(4); break;
      case Kind::kPreferAdvice: op.vram = prng_.chance(1, 2); break;
      case Kind::kPatAdvice: op.value = 2 + prng_.below(2); break;
      case Kind::kPrefetch: op.vram = config_.profile->has(DeviceFact::kDiscrete) && prng_.chance(2, 3); break;
      case Kind::kBind: op.read_only = prng_.chance(1, 6); break;
      case Kind::kBindBo:
        op.bo = static_cast<unsigned>(prng_.below(kBos));
        op.span.end = std::min(op.span.end, op.span.start + kBoBytes);
        op.to = align_down(prng_.below(kBoBytes - op.span.size() + 1), unit);
        op.read_only = prng_.chance(1, 6);
        break;
      default: break;
    }
    return op;
  }

  const Config& config_;
  Prng prng_;
  std::uint64_t stamp_ = 0;
};

}  // namespace

// Reset mode and size of VRAM follow the seed in turn, the rest is drawn.
Config config_for(std::uint64_t seed) {
  Prng prng(seed ^ 0xc0ffee);
  Config config;
  constexpr ResetMode kModes[] = {ResetMode::kFlag, ResetMode::kAlways, ResetMode::kExact};
  config.reset = kModes[seed % 3];
  config.vram_bytes = (seed / 3) % 3 == 2 ? 2 * k2M : 64ull << 20;
  config.autoreset = prng.chance(3, 4);
  config.failures = prng.chance(1, 3);
  const std::uint64_t profile = prng.below(6);
  config.profile = profile == 4 ? &kProfilePvc : profile == 5 ? &kProfileLnl : &kProfileBmg;
  const std::uint64_t shape = prng.below(4);
  config.vms = shape < 2 ? 1 : 2;
  config.devices = shape == 3 ? 2 : 1;
  return config;
}

std::vector<Op> draw(const Config& config, std::uint64_t seed, std::uint64_t steps) {
  Drawer drawer(config, seed);
  std::vector<Op> ops;
  while (ops.size() < steps) drawer.append(ops);
  ops.resize(steps);
  return ops;
}

}  // namespace softxe::sim
