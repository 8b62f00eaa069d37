// Operations as lines of a scenario file (docs/SCENARIOS.md).
#include <fmt/format.h>

#include "sim/workload.h"

namespace softxe::sim {
namespace {

using Kind = Op::Kind;

const char* atomic_name(std::uint64_t value) {
  constexpr const char* kNames[] = {"undefined", "device", "global", "cpu"};
  return kNames[value % 4];
}

const char* memory_words(MemoryKind kind) {
  switch (kind) {
    case MemoryKind::kAnon: return "";
    case MemoryKind::kShmem: return " shmem";
    case MemoryKind::kFile: return " file";
    case MemoryKind::kSharedFile: return " file shared";
    case MemoryKind::kHugetlb: return " hugetlb";
  }
  return "";
}

std::string client_line(const Op& op, const std::string& span) {
  const std::string cpu = op.process == 0 ? "cpu" : fmt::format("cpu:p{}", op.process);
  switch (op.kind) {
    case Kind::kMmap:
      return fmt::format("cpu mmap {}{}{}", span, op.writable ? "" : " prot=r", memory_words(op.memory));
    case Kind::kMunmap: return fmt::format("cpu munmap {} -> any", span);
    case Kind::kMremap:
      return fmt::format("cpu mremap {} {:#x} to={:#x}{} -> any", span, op.span.size(), op.to,
                         op.dont_unmap ? " dontunmap" : "");
    case Kind::kMprotect:
      return fmt::format("cpu mprotect {} {} -> any", span, op.writable ? "rw" : op.readable ? "r" : "none");
    case Kind::kDontneed: return fmt::format("cpu madvise {} dontneed -> any", span);
    case Kind::kFree: return fmt::format("cpu madvise {} free -> any", span);
    case Kind::kRemove: return fmt::format("cpu madvise {} remove -> any", span);
    // Neither swapping nor the mapping that the new end of the heap makes has a verb of its own.
    case Kind::kPageout:
    case Kind::kReclaim: return fmt::format("cpu madvise {} pageout -> any", span);
    case Kind::kBrk: {
      const std::uint64_t end = align_up(op.to, kPageSize);
      std::string line = end == kBrkBase ? "" : fmt::format("cpu mmap {:#x} {:#x}", kBrkBase, end - kBrkBase);
      if (end == kSpace.end) return line;
      if (!line.empty()) line += "; ";
      return line + fmt::format("cpu munmap {:#x} {:#x} -> any", end, kSpace.end - end);
    }
    case Kind::kFork: return fmt::format("cpu fork p{} -> any", op.process);
    case Kind::kExit: return fmt::format("{} exit -> any", cpu);
    case Kind::kCpuRead: return fmt::format("{} read {:#x} u64 -> any", cpu, op.span.start);
    case Kind::kCpuWrite: return fmt::format("{} write {:#x} u64 {:#x} -> any", cpu, op.span.start, op.value);
    default: return "";
  }
}

std::string driver_line(const Config& config, const Op& op, const std::string& span) {
  const std::string vm = fmt::format("v{}", op.vm);
  const std::string gpu = config.profile->tiles == 1 ? vm : fmt::format("{} tile={}", vm, op.tile);
  const char* ro = op.read_only ? " readonly" : "";
  const char* by = op.by_kernel ? "  # by a kernel" : "";
  switch (op.kind) {
    case Kind::kGpuRead: return fmt::format("gpu read {} {:#x} u64 -> any{}", gpu, op.span.start, by);
    case Kind::kGpuWrite: return fmt::format("gpu write {} {:#x} u64 {:#x} -> any{}", gpu, op.span.start, op.value, by);
    case Kind::kGpuAtomic:
      return fmt::format("gpu atomic {} {:#x} u64 add {} -> any{}", gpu, op.span.start, op.value, by);
    case Kind::kAtomicAdvice: return fmt::format("madvise {} {} atomic={} -> any", vm, span, atomic_name(op.value));
    case Kind::kPreferAdvice:
      return fmt::format("madvise {} {} preferred={} -> any", vm, span, op.vram ? "device" : "system");
    case Kind::kPatAdvice: return fmt::format("madvise {} {} pat={} -> any", vm, span, op.value);
    case Kind::kPrefetch:
      return fmt::format("prefetch {} {} {} -> any", vm, span, op.vram ? fmt::format("vram{}", op.tile) : "system");
    case Kind::kBind:
      return fmt::format("bind {} mirror {}{}{} -> any", vm, span, op.autoreset ? " autoreset" : "", ro);
    case Kind::kBindNull: return fmt::format("bind {} null {} -> any", vm, span);
    case Kind::kBindBo:
      // The second device has no objects: nothing happens there.
      if (config.device_of(op.vm) != 0) return "";
      return fmt::format("bind {} bo b{} {} offset={:#x}{} -> any", vm, op.bo, span, op.to, ro);
    case Kind::kUnbind: return fmt::format("unbind {} {} -> any", vm, span);
    case Kind::kReopen:
      return fmt::format("destroy {0}; vm {0} lr fault device=d{1}; bind {0} mirror 0 {2:#x}{3}", vm,
                         config.device_of(op.vm), 1ull << config.profile->va_bits, op.autoreset ? " autoreset" : "");
    case Kind::kEvict: return fmt::format("evict {} -> any", span);
    case Kind::kEvictAll: return "evict all -> any";
    case Kind::kCollect: return fmt::format("gc {} -> any", vm);
    default: return "";
  }
}

}  // namespace

std::string scenario_line(const Config& config, const Op& op, const Happened* happened) {
  const std::string span = fmt::format("{:#x} {:#x}", op.span.start, op.span.size());
  std::string text;
  if (happened != nullptr && happened->interleaved) {
    text = fmt::format("at {} do {{ ", op.step);
    for (const Op& inner : op.inner) text += (&inner == op.inner.data() ? "" : "; ") + scenario_line(config, inner);
    text += " }\n";
  }
  if (happened != nullptr && !happened->failed.empty()) {
    // Binds and advice collect first; that part is not meant to fail.
    if (op.kind > Kind::kGpuAtomic && op.kind < Kind::kEvict) text += fmt::format("gc v{} -> any\n", op.vm);
    for (const FiredStep& fired : happened->failed) {
      text += fmt::format("fail {} {} {}\n", fired.name, fired.nth, op.fail_err == EBUSY ? "EBUSY" : "ENOMEM");
    }
  }
  return text + (op.kind <= Kind::kCpuWrite ? client_line(op, span) : driver_line(config, op, span));
}

std::string scenario_head(const Config& config, const std::string& why) {
  static constexpr const char* kModes[] = {"flag", "always", "exact"};
  std::string text = fmt::format("# {}\nonly sim\n", why);
  for (unsigned device = 0; device < config.devices; ++device) {
    text += fmt::format("device {} name=d{} vram={}M autoreset={}\n", config.profile->name, device,
                        config.vram_bytes >> 20, kModes[static_cast<int>(config.reset)]);
  }
  for (unsigned bo = 0; bo < kBos; ++bo) {
    const bool discrete = config.profile->has(DeviceFact::kDiscrete);
    text += fmt::format("bo b{} {:#x}{}{}\n", bo, kBoBytes, discrete && kBoPlaces[bo].vram ? " vram" : "",
                        kBoPlaces[bo].system || !discrete ? " system" : "");
  }
  for (unsigned vm = 0; vm < config.vms; ++vm) {
    text += fmt::format("vm v{0} lr fault device=d{1}\nbind v{0} mirror 0 {2:#x}{3}\n", vm, config.device_of(vm),
                        1ull << config.profile->va_bits, config.autoreset ? " autoreset" : "");
  }
  return text;
}

}  // namespace softxe::sim
