#include "host/live/own_descriptors.h"
#include "base/raw_syscall.h"

#include <cstdint>

namespace softxe::live {
namespace {

constexpr unsigned kUnshare = 2;  ///< CLOSE_RANGE_UNSHARE: in a copy of the table
constexpr unsigned kBeyondAll = ~0U;

}  // namespace

bool keep_own_descriptors(std::span<const int> descriptors) {
  unsigned next = 0;  // what lies below is dealt with
  unsigned flags = kUnshare;
  const auto close_up_to = [&](unsigned end) {
    const long result = next < end ? raw_syscall(SYS_close_range, next, end - 1, flags) : 0;
    if (next < end) flags = 0;
    return result == 0;
  };
  for (const int kept : descriptors) {
    if (!close_up_to(static_cast<unsigned>(kept))) return false;
    next = static_cast<unsigned>(kept) + 1;
  }
  return close_up_to(kBeyondAll);
}

}  // namespace softxe::live
