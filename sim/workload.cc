#include "sim/workload.h"

#include <fmt/format.h>

#include "base/prng.h"

namespace softxe::sim {
namespace {

using Kind = Op::Kind;

struct Weight {
  Kind kind;
  unsigned weight;
};
constexpr Weight kWeights[] = {
    {Kind::kMmap, 12},        {Kind::kMunmap, 9},       {Kind::kMremap, 4},  {Kind::kMprotect, 4},
    {Kind::kDontneed, 4},     {Kind::kPageout, 2},      {Kind::kFork, 1},    {Kind::kExit, 1},
    {Kind::kCpuRead, 8},      {Kind::kCpuWrite, 10},    {Kind::kGpuRead, 8}, {Kind::kGpuWrite, 20},
    {Kind::kGpuAtomic, 6},    {Kind::kAtomicAdvice, 6}, {Kind::kPreferAdvice, 5},
    {Kind::kPatAdvice, 2},    {Kind::kPrefetch, 6},     {Kind::kBind, 2},    {Kind::kUnbind, 2},
    {Kind::kEvict, 3},        {Kind::kEvictAll, 2},     {Kind::kCollect, 3},
};
/// Where a client's call may fall into a fault: HostMm may be entered there (lock table in base/lock.h).
constexpr const char* kSteps[] = {"svm.fault.after_gc",     "svm.fault.before_pages",
                                  "svm.migrate.allocated",  "svm.pages.collected",
                                  "svm.bind.before_commit", "svm.gc.removed", "svm.fault.again"};
constexpr unsigned kProcessesMax = 4;

class Drawer {
 public:
  explicit Drawer(std::uint64_t seed) : prng_(seed * 0x9e3779b9u + 1) {}

  Op next() {
    Op op = plain(draw_kind());
    const bool access = op.kind == Kind::kGpuRead || op.kind == Kind::kGpuWrite || op.kind == Kind::kGpuAtomic;
    if (!access || !prng_.chance(1, 6)) return op;
    op.step = kSteps[prng_.below(std::size(kSteps))];
    constexpr Kind kInner[] = {Kind::kMunmap, Kind::kMmap, Kind::kDontneed, Kind::kMprotect, Kind::kMremap,
                               Kind::kCpuWrite};
    const std::uint64_t count = 1 + prng_.below(3);
    for (std::uint64_t i = 0; i < count; ++i) {
      Op inner = plain(kInner[prng_.below(std::size(kInner))]);
      inner.process = 0;
      // Half of them hit the very block that is being served.
      if (prng_.chance(1, 2) && inner.kind != Kind::kCpuWrite) inner.span = around(op.span.start);
      if (inner.kind == Kind::kMremap) inner.to = target(inner.span);
      op.inner.push_back(inner);
    }
    return op;
  }

 private:
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
    return kSpaceStart + align_down(prng_.below(kSpaceBytes - (span.end - span.start) + 1), unit);
  }

  Span word() {
    // Few pages are touched often, so that accesses of different kinds meet.
    const std::uint64_t pages = kSpaceBytes / kPageSize;
    const std::uint64_t page = prng_.chance(1, 2) ? prng_.below(pages) : prng_.below(12) * 96 % pages;
    const std::uint64_t at = kSpaceStart + page * kPageSize + kWordOffsets[prng_.below(2)];
    return {at, at + 8};
  }

  Op plain(Kind kind) {
    Op op;
    op.kind = kind;
    op.span = interval();
    op.value = ++stamp_ * 0x100000001ull;
    switch (kind) {
      case Kind::kMmap:
        op.shmem = prng_.chance(1, 5);
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
      case Kind::kCpuRead:
      case Kind::kCpuWrite:
        op.process = prng_.chance(1, 5) ? static_cast<unsigned>(prng_.below(kProcessesMax)) : 0;
        op.span = word();
        break;
      case Kind::kExit: op.process = 1 + static_cast<unsigned>(prng_.below(kProcessesMax - 1)); break;
      case Kind::kGpuRead:
      case Kind::kGpuWrite: op.span = word(); break;
      case Kind::kGpuAtomic:
        op.span = word();
        op.value = 1 + prng_.below(1000);
        break;
      case Kind::kAtomicAdvice: op.value = prng_.below(4); break;
      case Kind::kPreferAdvice: op.vram = prng_.chance(1, 2); break;
      case Kind::kPatAdvice: op.value = 2 + prng_.below(2); break;
      case Kind::kPrefetch: op.vram = prng_.chance(2, 3); break;
      case Kind::kBind: op.autoreset = prng_.chance(2, 3); break;
      default: break;
    }
    return op;
  }

  Prng prng_;
  std::uint64_t stamp_ = 0;
};

const char* atomic_name(std::uint64_t value) {
  constexpr const char* kNames[] = {"undefined", "device", "global", "cpu"};
  return kNames[value % 4];
}

}  // namespace

Config config_for(std::uint64_t seed) {
  Config config;
  constexpr ResetMode kModes[] = {ResetMode::kFlag, ResetMode::kAlways, ResetMode::kExact};
  config.reset = kModes[seed % 3];
  config.vram_bytes = (seed / 3) % 3 == 2 ? 2 * k2M : 64ull << 20;
  config.autoreset = (seed / 9) % 4 != 3;
  return config;
}

std::vector<Op> draw(std::uint64_t seed, std::uint64_t steps) {
  Drawer drawer(seed);
  std::vector<Op> ops;
  while (ops.size() < steps) ops.push_back(drawer.next());
  return ops;
}

std::string scenario_line(const Op& op) {
  const std::string span = fmt::format("{:#x} {:#x}", op.span.start, op.span.end - op.span.start);
  const std::string cpu = op.process == 0 ? "cpu" : fmt::format("cpu:p{}", op.process);
  std::string before;
  if (op.step != nullptr && !op.inner.empty()) {
    before = fmt::format("at {} do {{ ", op.step);
    for (const Op& inner : op.inner) before += (&inner == op.inner.data() ? "" : "; ") + scenario_line(inner);
    before += " }\n";
  }
  switch (op.kind) {
    case Kind::kMmap:
      return fmt::format("cpu mmap {}{}{}", span, op.writable ? "" : " prot=r", op.shmem ? " shmem" : "");
    case Kind::kMunmap: return fmt::format("cpu munmap {} -> any", span);
    case Kind::kMremap:
      return fmt::format("cpu mremap {} {:#x} to={:#x}{} -> any", span, op.span.end - op.span.start, op.to,
                         op.dont_unmap ? " dontunmap" : "");
    case Kind::kMprotect:
      return fmt::format("cpu mprotect {} {} -> any", span, op.writable ? "rw" : op.readable ? "r" : "none");
    case Kind::kDontneed: return fmt::format("cpu madvise {} dontneed -> any", span);
    case Kind::kPageout: return fmt::format("cpu madvise {} pageout -> any", span);
    case Kind::kFork: return fmt::format("cpu fork p{}", op.process);
    case Kind::kExit: return fmt::format("{} exit -> any", cpu);
    case Kind::kCpuRead: return fmt::format("{} read {:#x} u64 -> any", cpu, op.span.start);
    case Kind::kCpuWrite: return fmt::format("{} write {:#x} u64 {:#x} -> any", cpu, op.span.start, op.value);
    case Kind::kGpuRead: return before + fmt::format("gpu read v {:#x} u64 -> any", op.span.start);
    case Kind::kGpuWrite: return before + fmt::format("gpu write v {:#x} u64 {:#x} -> any", op.span.start, op.value);
    case Kind::kGpuAtomic:
      return before + fmt::format("gpu atomic v {:#x} u64 add {} -> any", op.span.start, op.value);
    case Kind::kAtomicAdvice: return fmt::format("madvise v {} atomic={}", span, atomic_name(op.value));
    case Kind::kPreferAdvice: return fmt::format("madvise v {} preferred={}", span, op.vram ? "device" : "system");
    case Kind::kPatAdvice: return fmt::format("madvise v {} pat={}", span, op.value);
    case Kind::kPrefetch: return fmt::format("prefetch v {} {} -> any", span, op.vram ? "vram0" : "system");
    case Kind::kBind: return fmt::format("bind v mirror {}{} -> any", span, op.autoreset ? " autoreset" : "");
    case Kind::kUnbind: return fmt::format("unbind v {} -> any", span);
    case Kind::kEvict: return fmt::format("evict {}", span);
    case Kind::kEvictAll: return "evict all";
    case Kind::kCollect: return "gc v -> any";
    case Kind::kEnd: break;
  }
  return "";
}

std::string scenario_text(const Config& config, const std::vector<Op>& ops, const std::string& why) {
  static constexpr const char* kModes[] = {"flag", "always", "exact"};
  std::string text = fmt::format("# {}\nonly sim\ndevice bmg vram={}M autoreset={}\nvm v lr fault\n"
                                 "bind v mirror 0 256T{}\n",
                                 why, config.vram_bytes >> 20, kModes[static_cast<int>(config.reset)],
                                 config.autoreset ? " autoreset" : "");
  for (const Op& op : ops) text += scenario_line(op) + "\n";
  return text;
}

}  // namespace softxe::sim
