#include "host/live/engine_calls.h"

#include <sys/mman.h>

#include "base/raw_syscall.h"

namespace softxe::live {
namespace {

using Rule = EngineReach::Rule;
using Args = std::array<long, 6>;

/// Which two arguments are a range, and when.
struct Row {
  long number;
  int address;
  int length;
  Rule rule;
  int error;
  /// Null: always.
  bool (*applies)(const Args&);
};

bool replaces(const Args& a) { return (a[3] & MAP_FIXED) != 0 && (a[3] & MAP_FIXED_NOREPLACE) == 0; }
bool moves_to(const Args& a) { return (a[3] & MREMAP_FIXED) != 0; }

constexpr Row kRows[] = {
    {SYS_munmap, 0, 1, Rule::kPassOver, 0, nullptr},
    {SYS_mprotect, 0, 1, Rule::kStop, 0, nullptr},
    {SYS_pkey_mprotect, 0, 1, Rule::kStop, 0, nullptr},
    {SYS_mlock, 0, 1, Rule::kStop, 0, nullptr},
    {SYS_mlock2, 0, 1, Rule::kStop, 0, nullptr},
    {SYS_madvise, 0, 1, Rule::kReport, 0, nullptr},
    {SYS_mremap, 0, 1, Rule::kRefuse, EFAULT, nullptr},
    {SYS_remap_file_pages, 0, 1, Rule::kRefuse, EINVAL, nullptr},
    // Nothing is there, and yet it is taken: docs/DEVIATIONS.md.
    {SYS_mmap, 0, 1, Rule::kRefuse, ENOMEM, replaces},
    {SYS_mremap, 4, 2, Rule::kRefuse, ENOMEM, moves_to},
};

}  // namespace

std::optional<EngineReach> reach_into_engine_memory(long number, const Args& args) {
  for (const Row& row : kRows) {
    if (row.number != number || (row.applies != nullptr && !row.applies(args))) continue;
    const auto start = align_down(static_cast<std::uint64_t>(args[static_cast<std::size_t>(row.address)]), kPageSize);
    const auto bytes = align_up(static_cast<std::uint64_t>(args[static_cast<std::size_t>(row.length)]), kPageSize);
    const auto range = HostRange::make(HostVa(start), bytes);
    if (range && is_engine_memory(*range)) return EngineReach{*range, row.rule, row.error};
  }
  return std::nullopt;
}

}  // namespace softxe::live
