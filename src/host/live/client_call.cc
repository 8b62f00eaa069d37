#include "host/live/client_call.h"

#include <linux/ioctl.h>
#include <sys/mman.h>

#include <algorithm>

#include "base/raw_syscall.h"
#include "host/live/client_memory.h"

namespace softxe::live {
namespace {

// Values of the kernel's ABI that Debian 12's headers lack.
constexpr int kMadvDontneedLocked = 24;
constexpr int kMadvCollapse = 25;
constexpr int kMadvGuardInstall = 102;

/// Sealed memory (mseal) refuses to be resized, even to the size it has; anything else takes that for no change.
bool is_sealed(HostVa page) {
  return errno_of(raw_syscall(SYS_mremap, page.value(), kPageSize, kPageSize, 0)) == EPERM;
}

}  // namespace

// --- calls ----------------------------------------------------------------------------------------

long ClientCall::make() const {
  if (number == kNoCall) return 0;
  if (number != SYS_process_madvise || vector.iov_len == 0) {
    return raw_syscall(number, args[0], args[1], args[2], args[3], args[4], args[5]);
  }
  return raw_syscall(number, args[0], &vector, 1, args[3], args[4]);
}

ClientCall ClientCall::on(HostRange range) const {
  ClientCall part = *this;
  if (number == SYS_process_madvise) {
    part.vector = {reinterpret_cast<void*>(range.start().value()), range.size()};
  } else {
    part.args[0] = static_cast<long>(range.start().value());
    part.args[1] = static_cast<long>(range.size());
  }
  return part;
}

/// brk answers with the break in force, never with an error.
bool ClientCall::succeeded(long result) const { return number == SYS_brk ? result == args[0] : errno_of(result) == 0; }

void CallPlan::add(Affected part) {
  if (count == kPartsMax) {
    parts[count - 1].range = parts[count - 1].range.hull(part.range);
    return;
  }
  parts[count++] = part;
}

bool CallPlan::tells(HostRange range, HostEvent kind) const {
  const auto parts_told = affected();
  return std::any_of(parts_told.begin(), parts_told.end(),
                     [&](const Affected& part) { return part.event == kind && part.range.contains(range); });
}

// --- the table --------------------------------------------------------------------------------------

// clang-format off
constexpr CallPlanner::Row CallPlanner::kRows[] = {
    // call                 the memory it changes                  notifiers hear         pages in VRAM          failures
    {SYS_munmap,            &CallPlanner::named_pages,             HostEvent::kUnmap,     VramPages::kGo,        Walk::kUnmapOnly},
    {SYS_mmap,              &CallPlanner::replaced_pages,          HostEvent::kUnmap,     VramPages::kGo,        Walk::kWhole},
    {SYS_mremap,            &CallPlanner::moved_pages,             HostEvent::kUnmap,     VramPages::kComeHome,  Walk::kWhole},
    {SYS_brk,               &CallPlanner::break_tail,              HostEvent::kUnmap,     VramPages::kGo,        Walk::kUnmapOnly},
    {SYS_shmat,             &CallPlanner::attached_pages,          HostEvent::kUnmap,     VramPages::kGo,        Walk::kWhole},
    {SYS_shmdt,             &CallPlanner::detached_pages,          HostEvent::kUnmap,     VramPages::kGo,        Walk::kWhole},
    {SYS_remap_file_pages,  &CallPlanner::remapped_file_pages,     HostEvent::kUnmap,     VramPages::kGo,        Walk::kWhole},
    {SYS_madvise,           &CallPlanner::advised_pages,           HostEvent::kClear,     VramPages::kGo,        Walk::kEachMapping},
    {SYS_process_madvise,   &CallPlanner::advised_pages,           HostEvent::kClear,     VramPages::kGo,        Walk::kEachMapping},
    {SYS_mprotect,          &CallPlanner::protected_pages,         HostEvent::kProtect,   VramPages::kComeHome,  Walk::kWhole},
    {SYS_pkey_mprotect,     &CallPlanner::protected_pages,         HostEvent::kProtect,   VramPages::kComeHome,  Walk::kWhole},
    {SYS_mlock,             &CallPlanner::locked_pages,            std::nullopt,          VramPages::kComeHome,  Walk::kWhole},
    {SYS_mlock2,            &CallPlanner::locked_pages,            std::nullopt,          VramPages::kComeHome,  Walk::kWhole},
    {SYS_ioctl,             &CallPlanner::handled_pages,           std::nullopt,          VramPages::kComeHome,  Walk::kWhole},
};

/// Advice that is not here changes no page (or only brings pages in), or is refused.
struct CallPlanner::AdviceRow {
  int advice;
  VramPages pages;
  Walk walk;
};
constexpr CallPlanner::AdviceRow CallPlanner::kAdvice[] = {
    {MADV_DONTNEED,       VramPages::kGo,        Walk::kEachMapping},
    {kMadvDontneedLocked, VramPages::kGo,        Walk::kEachMapping},
    {MADV_FREE,           VramPages::kGo,        Walk::kEachMapping},
    {MADV_REMOVE,         VramPages::kGo,        Walk::kEachMapping},
    {kMadvGuardInstall,   VramPages::kGo,        Walk::kEachMapping},
    {MADV_PAGEOUT,        VramPages::kComeHome,  Walk::kWhole},
    {kMadvCollapse,       VramPages::kComeHome,  Walk::kWhole},
    {MADV_MERGEABLE,      VramPages::kComeHome,  Walk::kWhole},
};

/// Requests of the client's own userfaultfd. The kernel asks of most only that the memory is registered with some
/// userfaultfd, ours as well as theirs; so it is with none of ours when they are made.
struct CallPlanner::HandlerRow {
  unsigned long request;
  std::size_t start;   ///< index of the word in the argument that begins the range
  std::size_t length;  ///< index of the word that is its length
  std::optional<std::size_t> source;  ///< index of the word that begins what is taken away: the same length
  std::optional<HostEvent> event;     ///< for the range
  bool reads_client;                  ///< it may wait for a page: not under the lock
};
constexpr CallPlanner::HandlerRow CallPlanner::kHandlers[] = {
    // request                 range: start, length   taken from      notifiers hear         may wait
    {0xc020aa00 /* REGISTER */,     0, 1,             std::nullopt,   std::nullopt,          false},
    {0x8010aa01 /* UNREGISTER */,   0, 1,             std::nullopt,   std::nullopt,          false},
    {0xc028aa03 /* COPY */,         0, 2,             std::nullopt,   std::nullopt,          true},
    {0xc020aa04 /* ZEROPAGE */,     0, 1,             std::nullopt,   std::nullopt,          false},
    {0xc028aa05 /* MOVE */,         0, 2,             1,              std::nullopt,          false},
    {0xc018aa06 /* WRITEPROTECT */, 0, 1,             std::nullopt,   HostEvent::kProtect,   false},
    {0xc020aa07 /* CONTINUE */,     0, 1,             std::nullopt,   std::nullopt,          false},
    {0xc020aa08 /* POISON */,       0, 1,             std::nullopt,   std::nullopt,          false},
};
// clang-format on

std::optional<CallPlan> CallPlanner::plan(const ClientCall& call, Detail detail) const {
  for (const Row& row : kRows) {
    if (row.number != call.number) continue;
    CallPlan plan;
    plan.call = call;
    plan.walk = row.walk;
    if (!(this->*row.reach)(row, detail, plan)) return std::nullopt;
    return plan;
  }
  return std::nullopt;
}

std::optional<long> CallPlanner::refusal(const CallPlan& plan) const {
  for (const Affected& part : plan.affected()) {
    if (part.event == HostEvent::kUnmap && is_sealed(part.range.start())) return plan.call.make();
  }
  if (plan.call.number != SYS_mmap) return std::nullopt;
  ClientCall trial = plan.call;
  trial.args[0] = 0;
  trial.args[3] &= ~(MAP_FIXED | MAP_POPULATE | MAP_LOCKED);
  const long at = trial.make();
  const int err = errno_of(at);
  if (err == 0) raw_syscall(SYS_munmap, at, plan.parts[0].range.size());
  // Where memory is short, replacing may succeed although there is no room for two.
  return err == 0 || err == ENOMEM || err == EAGAIN ? std::nullopt : std::optional<long>(at);
}

bool CallPlanner::cannot_fail(const CallPlan& plan) const {
  if (plan.walk != Walk::kUnmapOnly) return false;
  const HostRange range = plan.parts[0].range;
  // refusal() has seen that its first page is not sealed. That a part of one block is sealed, by a call that no hook
  // saw, is not worth a question to the kernel, which costs as much as an unmap.
  if (range.start().aligned_down(k2M) == (range.end() - 1).aligned_down(k2M)) return true;
  const auto vma = maps_->at_or_above(range.start());
  return vma && vma->range.contains(range);
}

bool CallPlanner::advised_pages(const Row& row, Detail, CallPlan& plan) const {
  const bool by_process = plan.call.number == SYS_process_madvise;
  const auto advice = static_cast<int>(plan.call.args[by_process ? 3 : 2]);
  const auto range =
      by_process ? pages_of(reinterpret_cast<std::uint64_t>(plan.call.vector.iov_base), plan.call.vector.iov_len)
                 : pages_of(plan.call.word(0), plan.call.word(1));
  if (!range) return false;
  for (const AdviceRow& known : kAdvice) {
    if (known.advice != advice) continue;
    plan.walk = known.walk;
    plan.add({*range, row.event, known.pages});
    return true;
  }
  return false;
}

/// ioctl() of a userfaultfd; other descriptors know none of these requests.
bool CallPlanner::handled_pages(const Row& row, Detail, CallPlan& plan) const {
  for (const HandlerRow& known : kHandlers) {
    if (known.request != plan.call.word(1)) continue;
    std::array<std::uint64_t, 3> argument{};
    const std::size_t known_bytes = std::min(sizeof argument, std::size_t{_IOC_SIZE(known.request)});
    if (!read_client(argument.data(), HostVa(plan.call.word(2)), known_bytes)) return false;
    const std::uint64_t bytes = argument[known.length];
    const auto range = pages_of(argument[known.start], bytes);
    if (!range) return false;
    plan.add({*range, known.event, row.pages});
    const auto source = known.source ? pages_of(argument[*known.source], bytes) : std::nullopt;
    if (source) plan.add({*source, HostEvent::kClear, row.pages});
    if (known.reads_client) {
      plan.unlocked = plan.call;
      plan.call.number = kNoCall;
    }
    return true;
  }
  return false;
}

}  // namespace softxe::live
