#include "host/patch/site_finder.h"

#include <emmintrin.h>

#include <algorithm>
#include <cstring>

#include "host/patch/x86_decode.h"

namespace softxe::patch {
namespace {

constexpr std::uint8_t kMovEax = 0xb8;
constexpr std::array<std::uint8_t, 2> kSyscall = {0x0f, 0x05};
constexpr std::array<std::uint8_t, 4> kOr40R10d = {0x41, 0x83, 0xca, 0x40};
constexpr std::array<std::uint8_t, 5> kLoadR9 = {0x4c, 0x8b, 0x4c, 0x24, 0x08};
// How far before a syscall an own `mov imm32,%eax` is looked for when the form is unknown.
constexpr std::size_t kLookBackBytes = 24;

template <std::size_t N>
bool matches(std::span<const std::uint8_t> bytes, std::size_t at, const std::array<std::uint8_t, N>& pattern) {
  return at + N <= bytes.size() && std::memcmp(bytes.data() + at, pattern.data(), N) == 0;
}

/// The immediate of a `mov imm32,%eax` at `at`, or 0 (read, never ours) when there is none.
int mov_immediate(std::span<const std::uint8_t> bytes, std::size_t at) {
  if (at + kJumpBytes > bytes.size() || bytes[at] != kMovEax) return 0;
  int immediate = 0;
  std::memcpy(&immediate, bytes.data() + at + 1, 4);
  return immediate;
}

bool of_interest(int nr) { return nr != 0 && classify(nr) != CallClass::kNone; }

/// What the bytes before the pair at `pair` look like. length 0: nothing of interest.
Site candidate(const Code& code, std::size_t pair) {
  auto make = [&](std::size_t start, SiteForm form, int nr) {
    return Site{code.start + start, static_cast<std::uint8_t>(pair + 2 - start), form, nr, nullptr};
  };
  const auto& b = code.bytes;
  if (pair >= 5) {
    const int nr = mov_immediate(b, pair - 5);
    if (of_interest(nr)) return make(pair - 5, SiteForm::kMovSyscall, nr);
    if (matches(b, pair - 5, kLoadR9)) return make(pair - 5, SiteForm::kLoadR9Syscall, kNrAtRunTime);
  }
  if (pair >= 9 && matches(b, pair - 4, kOr40R10d) && mov_immediate(b, pair - 9) == SYS_mmap)
    return make(pair - 9, SiteForm::kMovOrSyscall, SYS_mmap);
  for (std::size_t back = 6; back <= std::min(pair, kLookBackBytes); ++back) {
    const int nr = mov_immediate(b, pair - back);
    if (of_interest(nr)) return make(pair - back, SiteForm::kUnknown, nr);
  }
  return {};
}

/// Facts about one candidate gathered while its function is decoded in order.
struct Walk {
  bool at_start = false;    ///< an instruction begins at the site
  bool at_syscall = false;  ///< an instruction begins at the pair
  bool jumped_into = false;
  bool indirect_jump = false;
  bool straight = true;  ///< nothing but kNext between start and syscall, no new number
};

Status judge(const Site& site, const Walk& walk) {
  if (!walk.at_syscall) return fail(ESRCH, "bytes 0f 05 inside another instruction");
  if (!walk.at_start) return fail(ESRCH, "no instruction begins at the start of the site");
  if (site.form == SiteForm::kUnknown) {
    if (!walk.straight) return fail(ESRCH, "number does not reach this syscall");
    return fail(EINVAL, "unknown instructions between the number and the syscall");
  }
  if (walk.jumped_into) return fail(EINVAL, "a branch of the function goes into the site");
  if (walk.indirect_jump) return fail(EINVAL, "the function has a jump with an unknown target");
  return {};
}

/// First pair 0f 05 at or behind `from`, or the size of `b`.
std::size_t next_pair(std::span<const std::uint8_t> b, std::size_t from) {
  const __m128i first = _mm_set1_epi8(kSyscall[0]);
  const __m128i second = _mm_set1_epi8(kSyscall[1]);
  std::size_t at = from;
  auto pairs_at = [&](std::size_t o) {
    const auto* p = reinterpret_cast<const __m128i*>(b.data() + o);
    const auto* q = reinterpret_cast<const __m128i*>(b.data() + o + 1);
    return _mm_and_si128(_mm_cmpeq_epi8(_mm_loadu_si128(p), first), _mm_cmpeq_epi8(_mm_loadu_si128(q), second));
  };
  for (; at + 65 <= b.size(); at += 64) {
    const __m128i any =
        _mm_or_si128(_mm_or_si128(pairs_at(at), pairs_at(at + 16)), _mm_or_si128(pairs_at(at + 32), pairs_at(at + 48)));
    if (_mm_movemask_epi8(any) != 0) break;
  }
  while (at + 1 < b.size() && !matches(b, at, kSyscall)) ++at;
  return at + 1 < b.size() ? at : b.size();
}

}  // namespace

void SiteList::add(const Site& site) {
  if (count == items.size()) {
    overflowed = true;
    return;
  }
  items[count++] = site;
}

Status confirm_site(const Code& code, HostRange function, const Site& site) {
  const HostRange all = HostRange::of(code.start, code.bytes.size());
  if (!all.contains(function) || !function.contains(site.range()))
    return fail(EINVAL, "site is not inside its function");
  const HostVa pair = site.range().end() - kSyscall.size();
  Walk walk;
  HostVa at = function.start();
  while (at < function.end()) {
    const std::uint64_t left = function.end() - at;
    const auto instruction = decode(code.bytes.subspan(at - code.start, left));
    if (!instruction) return fail(instruction.error());
    const HostVa next = at + instruction->length_bytes;
    walk.at_start = walk.at_start || at == site.start;
    walk.at_syscall = walk.at_syscall || at == pair;
    if (site.start < at && at < pair) {
      const bool new_number = code.bytes[at - code.start] == kMovEax;
      walk.straight = walk.straight && instruction->flow == Flow::kNext && !new_number;
    }
    if (instruction->flow == Flow::kIndirectJump) walk.indirect_jump = true;
    if (instruction->flow == Flow::kBranch) {
      const HostVa target = next + static_cast<std::uint64_t>(static_cast<std::int64_t>(instruction->displacement));
      if (site.start < target && target < site.range().end()) walk.jumped_into = true;
    }
    at = next;
  }
  if (at != function.end()) return fail(EINVAL, "decoding does not end with the function");
  return judge(site, walk);
}

void find_sites(const Code& code, const FunctionBounds& bounds, SiteList& sites) {
  const auto& b = code.bytes;
  for (std::size_t pair = next_pair(b, 0); pair < b.size(); pair = next_pair(b, pair + 2)) {
    Site site = candidate(code, pair);
    if (site.length_bytes == 0) continue;
    if (classify(site.nr) == CallClass::kLeftAlone) {
      site.refused = left_alone_reason(site.nr);
      sites.add(site);
      continue;
    }
    auto function = bounds.enclosing(site.range());
    const Status status = function ? confirm_site(code, *function, site) : fail(function.error());
    if (!status && status.error().err == ESRCH) continue;
    if (!status) site.refused = status.error().why;
    sites.add(site);
  }
}

std::size_t refuse_branch_targets(const LoadedImage& image, SiteList& sites) {
  std::size_t undecoded = 0;
  const auto bytes = image.text_bytes();
  auto refuse_at = [&](HostVa target) {
    for (std::size_t i = 0; i < sites.count; ++i) {
      Site& site = sites.items[i];
      const HostRange r = site.range();
      if (r.start() < target && target < r.end() && site.refused == nullptr)
        site.refused = "a branch of another function goes into the site";
    }
  };
  image.for_each_function([&](HostRange function) {
    HostVa at = function.start();
    while (at < function.end() && image.text().contains(function)) {
      const auto instruction = decode(bytes.subspan(at - image.text().start(), function.end() - at));
      if (!instruction) {
        ++undecoded;
        return;
      }
      at += instruction->length_bytes;
      if (instruction->flow == Flow::kBranch)
        refuse_at(at + static_cast<std::uint64_t>(static_cast<std::int64_t>(instruction->displacement)));
    }
  });
  return undecoded;
}

}  // namespace softxe::patch
