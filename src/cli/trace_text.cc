#include "cli/trace_text.h"

#include <fmt/format.h>
#include <sys/syscall.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "abi/ioctl_table.h"

namespace softxe::trace {

namespace {

struct CallName {
  long number;
  const char* name;
};
constexpr CallName kCalls[] = {
    {SYS_mmap, "mmap"},         {SYS_munmap, "munmap"},
    {SYS_mremap, "mremap"},     {SYS_mprotect, "mprotect"},
    {SYS_madvise, "madvise"},   {SYS_brk, "brk"},
    {SYS_mlock, "mlock"},       {SYS_mlock2, "mlock2"},
    {SYS_mlockall, "mlockall"}, {SYS_shmat, "shmat"},
    {SYS_shmdt, "shmdt"},       {SYS_remap_file_pages, "remap_file_pages"},
    {SYS_fork, "fork"},         {SYS_process_madvise, "process_madvise"},
    {SYS_ioctl, "ioctl"},       {SYS_pkey_mprotect, "pkey_mprotect"},
    {SYS_exit_group, "exit"},   {SYS_ftruncate, "ftruncate"},
};

std::string call_name(std::uint64_t number) {
  for (const CallName& call : kCalls) {
    if (static_cast<std::uint64_t>(call.number) == number) return call.name;
  }
  return fmt::format("system call {}", number);
}

std::string ioctl_name(std::uint64_t nr) {
  for (const IoctlDescription& row : ioctl_table()) {
    if (row.nr == nr) return row.name;
  }
  return fmt::format("ioctl {:#x}", nr);
}

template <std::size_t N>
const char* pick(const std::array<const char*, N>& names, std::uint64_t index) {
  return index < N ? names[index] : "?";
}

constexpr std::array kAtomicNames{"undefined", "device", "global", "cpu"};
constexpr std::array kPurgeNames{"willneed", "dontneed", "purged"};
/// What a program asks libsoftxe for, by the word of its task; 0: the driver's own.
constexpr std::array kRequestNames{"?", "a bind", "advice", "a collector pass", "a look", "an eviction", "an end"};
constexpr std::array kFaultNames{"not present", "write violation", "atomic violation"};

std::string at(const Event& e) {
  if (e.size == 0) return e.address == 0 ? std::string() : fmt::format("{:#x}", e.address);
  return fmt::format("{:#x}+{}", e.address, size_text(e.size));
}

std::string location_text(std::uint64_t word) {
  const auto fd = static_cast<std::int32_t>(word_low(word));
  if (fd == 0) return "device";
  return fd == -1 ? "system" : fmt::format("device of descriptor {}", fd);
}

std::string advice_text(const Event& e) {
  switch (e.cause) {
    case EventCause::kPreferred:
      return fmt::format("preferred location {}{}", location_text(e.word),
                         word_high(e.word) == 1 ? ", only system pages" : "");
    case EventCause::kAtomicAccess: return fmt::format("atomic access {}", pick(kAtomicNames, e.word));
    case EventCause::kPat: return fmt::format("PAT index {}", e.word);
    case EventCause::kPurgeable: return fmt::format("purgeable {}", pick(kPurgeNames, e.word));
    default: return "nothing";
  }
}

std::string bind_text(const Event& e) {
  switch (e.cause) {
    case EventCause::kUnbind: return fmt::format("unbinds {}", e.size == 0 ? "an object everywhere" : at(e));
    case EventCause::kPrefetch:
      return fmt::format("prefetches {} to {}", at(e),
                         e.word == 0   ? "where advice says"
                         : e.word == 1 ? "system memory"
                                       : fmt::format("VRAM of tile {}", e.word - 2));
    default:
      return fmt::format("binds {} as {}{}{}, PAT index {}", at(e), name_of(e.cause),
                         (e.word >> 16 & 1) != 0 ? ", auto-reset" : "", (e.word >> 17 & 1) != 0 ? ", read-only" : "",
                         e.word & 0xffff);
  }
}

std::string fault_text(const Event& e) {
  const std::uint32_t what = word_low(e.word);
  const std::uint32_t who = word_high(e.word);
  return fmt::format("GPU fault: {} of {:#x} by {}, {}", name_of(e.cause), e.address,
                     engine_text(who & 0xff, who >> 8 & 0xff), pick(kFaultNames, what & 0xff));
}

std::string migrate_text(const Event& e) {
  if (e.err != 0) return fmt::format("could not move {} to VRAM ({})", at(e), name_of(e.cause));
  return fmt::format("moved {} from {} to {} ({})", at(e), place_text(e.from), place_text(e.to), name_of(e.cause));
}

std::string mode_text(const Event& e) {
  switch (e.cause) {
    case EventCause::kSuspend: return "a queue that may fault is taken off its engine for one that may not";
    case EventCause::kSkip: return "a queue that may fault is idle when one that may not comes";
    default: return "a job that may fault waits for those that may not";
  }
}

std::string task_text(const Event& e) {
  if (e.word != 0) return fmt::format("the program asks for {}", pick(kRequestNames, e.word));
  switch (e.cause) {
    case EventCause::kClose: return "the client closes its device file";
    case EventCause::kExit: return "the client's pages come home for somebody else, or for its end";
    case EventCause::kTeardown: return "the device's memory goes away";
    default: return "work of the driver's own";
  }
}

// The client, and what it asks the driver for.
std::optional<std::string> asked_text(const Event& e) {
  switch (e.kind) {
    case EventKind::kStatement: return fmt::format("statement in line {}", e.word);
    case EventKind::kIoctl: return fmt::format("ioctl {}", ioctl_name(e.word));
    case EventKind::kIoctlFailed: return fmt::format("ioctl {} failed", ioctl_name(e.word));
    case EventKind::kCall:
      if (e.cause == EventCause::kUnseen) return "a call of the client that no hook saw";
      return fmt::format("{}{}{}{}", call_name(e.word), e.size != 0 ? "(" : "", at(e), e.size != 0 ? ")" : "");
    case EventKind::kCpuFault: return fmt::format("the CPU touches {:#x}", e.address);
    case EventKind::kGpuAccess: return fmt::format("the GPU accesses {}", at(e));
    case EventKind::kTask: return task_text(e);
    case EventKind::kBind: return fmt::format("VM_BIND of {} operations", e.word);
    case EventKind::kBindCheck: return fmt::format("VM_BIND of {} operations is tried", e.word);
    case EventKind::kBindOp: return bind_text(e);
    case EventKind::kAdvice: return fmt::format("MADVISE {}: {}", at(e), advice_text(e));
    case EventKind::kAdviceZap: return fmt::format("mappings of {} go, for attributes have changed", at(e));
    case EventKind::kExec: return fmt::format("EXEC of a batch at {:#x}", e.address);
    default: return std::nullopt;
  }
}

std::optional<std::string> engine_event_text(const Event& e) {
  const std::uint32_t place = word_high(e.word);
  switch (e.kind) {
    case EventKind::kJobBegin:
      return fmt::format("job on {} begins, batch at {:#x}", engine_text(word_low(e.word), place & 0xff), e.address);
    case EventKind::kJobEnd: return "job ends";
    case EventKind::kKernelBegin:
      return fmt::format("kernel at {:#x} begins, {} groups of {} threads", e.address, word_low(e.word), place);
    case EventKind::kKernelEnd: return fmt::format("kernel at {:#x} ends", e.address);
    case EventKind::kKernelFailed: return fmt::format("kernel at {:#x} failed at {:#x}", e.address, e.word);
    case EventKind::kQueueMode: return mode_text(e);
    case EventKind::kBan: return "the queue is banned";
    case EventKind::kVmKilled: return "the VM is killed";
    default: return std::nullopt;
  }
}

std::optional<std::string> fault_step_text(const Event& e) {
  switch (e.kind) {
    case EventKind::kFaultBegin: return fault_text(e);
    case EventKind::kFaultLook:
      return fmt::format("the fault looks at the VMA {:#x}..{:#x}: {}", e.address, e.address + e.size,
                         attributes_text(e.word));
    case EventKind::kFaultOwned: return fmt::format("the fault is in a VMA with entries of its own, {}", at(e));
    case EventKind::kFaultRange: return fmt::format("the fault is served for the range {}", at(e));
    case EventKind::kFaultValid: return fmt::format("the range {} is mapped already", at(e));
    case EventKind::kFaultMove: return fmt::format("the fault wants {} in VRAM", at(e));
    case EventKind::kFaultRetry: return "the fault tries again";
    case EventKind::kFaultAgain: return "the fault looks for its VMA again, for VMAs have changed";
    case EventKind::kFaultEnd: return e.err == 0 ? "the fault is answered" : "the fault is refused";
    default: return std::nullopt;
  }
}

std::optional<std::string> memory_text(const Event& e) {
  switch (e.kind) {
    case EventKind::kMigrate:
    case EventKind::kHome: return migrate_text(e);
    case EventKind::kEvictRange: return fmt::format("the range {} is to leave VRAM", at(e));
    case EventKind::kEvictBo: return fmt::format("a buffer object of {} leaves VRAM", size_text(e.size));
    case EventKind::kUnmap: return fmt::format("notifiers hear: {} is unmapped", at(e));
    case EventKind::kInvalidate: return fmt::format("notifiers hear: {} changes ({})", at(e), name_of(e.cause));
    case EventKind::kZap: return fmt::format("mappings of {} ranges are cleared", e.word);
    case EventKind::kTlb:
      return fmt::format("{} TLB invalidations, {} pages cleared", word_low(e.word), word_high(e.word));
    case EventKind::kRangeCreate: return fmt::format("the range {} is made", at(e));
    case EventKind::kRangeDie: return fmt::format("the range {} dies ({})", at(e), name_of(e.cause));
    case EventKind::kRangeCollect: return fmt::format("the collector takes the range {}", at(e));
    case EventKind::kRangeRemove: return fmt::format("the range {} is removed", at(e));
    case EventKind::kUnmapped: return fmt::format("noted for the collector: {} is unmapped", at(e));
    case EventKind::kPass: return "a collector pass begins";
    default: return std::nullopt;
  }
}

std::string defaults_text(std::uint64_t word) {
  const std::uint64_t pat = word >> 56;
  return attributes_text(pat << 56 | pat << 48);
}

std::optional<std::string> vma_text(const Event& e) {
  switch (e.kind) {
    case EventKind::kReset:
      return fmt::format("attributes of {} go back to the bind's: {} becomes {}", at(e), attributes_text(e.word),
                         defaults_text(e.word));
    case EventKind::kSplit:
      return fmt::format("the VMA {:#x}..{:#x} is cut at {:#x}", e.address, e.address + e.size, e.word);
    case EventKind::kMerge:
      return fmt::format("equal neighbours become one VMA {:#x}..{:#x}", e.address, e.address + e.size);
    default: return std::nullopt;
  }
}

}  // namespace

std::string size_text(std::uint64_t bytes) {
  for (const auto& [shift, unit] : {std::pair(40, "T"), std::pair(30, "G"), std::pair(20, "M"), std::pair(10, "K")}) {
    if (bytes != 0 && (bytes & ((1ull << shift) - 1)) == 0) return fmt::format("{}{}", bytes >> shift, unit);
  }
  return fmt::format("{} B", bytes);
}

std::string engine_text(std::uint32_t engine_class, std::uint32_t instance) {
  constexpr std::array kNames{"rcs", "bcs", "vcs", "vecs", "ccs", "bind"};
  return fmt::format("{}{}", pick(kNames, engine_class), instance);
}

std::string place_text(EventPlace place) {
  switch (place) {
    case EventPlace::kNone: return "?";
    case EventPlace::kSystem: return "system memory";
    default: return fmt::format("VRAM of tile {}", static_cast<unsigned>(place) - 2);
  }
}

std::string attributes_text(std::uint64_t word) {
  const std::uint32_t bytes = word_high(word);
  return fmt::format("preferred={} atomic={}{} pat={}{}", location_text(word), pick(kAtomicNames, bytes & 0xff),
                     (bytes >> 8 & 0xff) != 0 ? " policy=only-system" : "", bytes >> 16 & 0xff,
                     (bytes >> 16 & 0xff) == bytes >> 24 ? std::string() : fmt::format(" (bind's {})", bytes >> 24));
}

std::string sentence_of(const Event& event) {
  std::string text = fmt::format("event of kind {}", static_cast<unsigned>(event.kind));
  for (const auto& family : {asked_text, engine_event_text, fault_step_text, memory_text, vma_text}) {
    if (const auto found = family(event)) {
      text = *found;
      break;
    }
  }
  if (event.err == 0) return text;
  return text + fmt::format(": {}", strerrorname_np(event.err) != nullptr ? strerrorname_np(event.err) : "?");
}

std::string line_of(std::uint32_t pid, const Event& event, const LineStyle& style) {
  const std::uint64_t ns = event.time_ns - std::min(event.time_ns, style.origin_ns);
  std::string who = event.thread == 0 ? "" : fmt::format(" {}/{}", pid, event.thread);
  std::string parent = event.parent == 0 ? "-" : fmt::format("{}", event.parent);
  std::string vm = event.asid == 0 ? "" : fmt::format(" vm {}", event.asid);
  return fmt::format("{:>4}.{:06}{} {:>6} {:>6} {:<13}{} {}", ns / 1'000'000'000, ns / 1000 % 1'000'000, who, event.seq,
                     parent, name_of(event.kind), vm, sentence_of(event));
}

std::optional<EventKind> kind_named(std::string_view name) {
  for (std::size_t i = 1; i < kEventKinds.size(); ++i) {
    if (name == kEventKinds[i].name) return static_cast<EventKind>(i);
  }
  return std::nullopt;
}

}  // namespace softxe::trace
