#include "host/patch/site_finder.h"

#include <gtest/gtest.h>

#include <cstring>
#include <string>
#include <vector>

namespace softxe::patch {
namespace {

using Bytes = std::vector<std::uint8_t>;

/// One function that spans all of the bytes; or none.
class WholeCode final : public FunctionBounds {
 public:
  WholeCode(HostRange all, const char* error) : all_(all), error_(error) {}
  Result<HostRange> enclosing(HostRange) const override {
    if (error_ != nullptr) return fail(ENOENT, error_);
    return all_;
  }

 private:
  HostRange all_;
  const char* error_;
};

Bytes join(std::initializer_list<Bytes> parts) {
  Bytes all;
  for (const Bytes& p : parts) all.insert(all.end(), p.begin(), p.end());
  return all;
}

Bytes mov(std::uint8_t nr) { return {0xb8, nr, 0, 0, 0}; }
Bytes mov(std::uint16_t nr, int) {
  return {0xb8, static_cast<std::uint8_t>(nr), static_cast<std::uint8_t>(nr >> 8), 0, 0};
}
const Bytes kSys = {0x0f, 0x05};
const Bytes kRet = {0xc3};
const Bytes kOr = {0x41, 0x83, 0xca, 0x40};
const Bytes kLoad = {0x4c, 0x8b, 0x4c, 0x24, 0x08};

constexpr std::uint64_t kBase = 0x10000;

SiteList find(const Bytes& bytes, const char* bounds_error = nullptr) {
  const Code code{HostVa(kBase), bytes};
  const WholeCode bounds(HostRange::of(HostVa(kBase), bytes.size()), bounds_error);
  SiteList sites;
  find_sites(code, bounds, sites);
  return sites;
}

struct FormCase {
  const char* what;
  Bytes bytes;
  int sites;  ///< listed at all
  SiteForm form;
  std::uint64_t offset;  ///< of the site
  int length;
  const char* refused;  ///< part of the reason, nullptr: accepted
};

TEST(SiteFinder, Forms) {
  const FormCase cases[] = {
      {"munmap", join({mov(11), kSys, kRet}), 1, SiteForm::kMovSyscall, 0, 7, nullptr},
      {"mremap behind a prologue", join({{0x48, 0x83, 0xec, 0x58}, mov(25), kSys, kRet}), 1, SiteForm::kMovSyscall, 4,
       7, nullptr},
      {"a three-digit number", join({mov(440, 0), kSys, kRet}), 1, SiteForm::kMovSyscall, 0, 7, nullptr},
      {"mmap of glibc 2.43, 32-bit retry", join({mov(9), kOr, kSys, kRet}), 1, SiteForm::kMovOrSyscall, 0, 11, nullptr},
      {"the same instructions for another call", join({mov(11), kOr, kSys, kRet}), 1, SiteForm::kUnknown, 0, 11,
       "unknown instructions"},
      {"another constant in the or", join({mov(9), {0x41, 0x83, 0xca, 0x20}, kSys, kRet}), 1, SiteForm::kUnknown, 0, 11,
       "unknown instructions"},
      {"syscall(3)", join({{0x48, 0x89, 0xf8}, kLoad, kSys, kRet}), 1, SiteForm::kLoadR9Syscall, 3, 7, nullptr},
      {"a call that is not ours", join({mov(39), kSys, kRet}), 0, {}, 0, 0, nullptr},
      {"clone", join({mov(56), kSys, kRet}), 1, SiteForm::kMovSyscall, 0, 7, nullptr},
      {"vfork", join({{0x5f}, mov(58), kSys, kRet}), 1, SiteForm::kMovSyscall, 1, 7, "shares the parent's stack"},
      {"clone3", join({mov(435, 0), kSys, kRet}), 1, SiteForm::kMovSyscall, 0, 7, "CLONE_VM"},
      {"a branch to the front is fine", join({mov(11), kSys, {0x75, 0xf7}, kRet}), 1, SiteForm::kMovSyscall, 0, 7,
       nullptr},
      {"a branch behind is fine", join({{0x75, 0x07}, mov(11), kSys, kRet}), 1, SiteForm::kMovSyscall, 2, 7, nullptr},
      {"a branch to the syscall", join({{0x75, 0x05}, mov(11), kSys, kRet}), 1, SiteForm::kMovSyscall, 2, 7, "branch"},
      {"a branch back to the syscall", join({mov(11), kSys, {0x75, 0xfc}, kRet}), 1, SiteForm::kMovSyscall, 0, 7,
       "branch"},
      {"a branch to the or", join({{0x74, 0x05}, mov(9), kOr, kSys, kRet}), 1, SiteForm::kMovOrSyscall, 2, 11,
       "branch"},
      {"a jump through a register", join({mov(11), kSys, {0xff, 0xe0}}), 1, SiteForm::kMovSyscall, 0, 7,
       "unknown target"},
      {"an instruction nobody knows", join({{0x06}, mov(11), kSys, kRet}), 1, SiteForm::kMovSyscall, 1, 7, "not known"},
      {"bytes cut short at the end", join({mov(11), kSys, {0xe8, 0}}), 1, SiteForm::kMovSyscall, 0, 7, "ends inside"},
      {"a register between", join({mov(11), {0x31, 0xff}, kSys, kRet}), 1, SiteForm::kUnknown, 0, 9,
       "unknown instructions"},
      {"a newer number between", join({mov(11), mov(39), kSys, kRet}), 0, {}, 0, 0, nullptr},
      {"a return between", join({mov(11), kRet, {0x90}, kSys, kRet}), 0, {}, 0, 0, nullptr},
      {"mov r8d, not eax", join({{0x41}, mov(11), kSys, kRet}), 0, {}, 0, 0, nullptr},
      {"pair in an immediate", join({{0x48, 0xb8, 0xb8, 11, 0, 0, 0, 0x0f, 0x05, 0}, kRet}), 0, {}, 0, 0, nullptr},
      {"pair in a displacement", join({mov(11), {0x8b, 0x05, 0x0f, 0x05, 0, 0}, kRet}), 0, {}, 0, 0, nullptr},
      {"pair across instructions", join({mov(11), {0xb4, 0x0f}, {0x05, 1, 2, 3, 4}, kRet}), 0, {}, 0, 0, nullptr},
      {"pair at the very start", join({kSys, kRet}), 0, {}, 0, 0, nullptr},
  };
  for (const FormCase& c : cases) {
    SCOPED_TRACE(c.what);
    const SiteList sites = find(c.bytes);
    ASSERT_EQ(sites.count, static_cast<std::size_t>(c.sites));
    if (c.sites == 0) continue;
    const Site& s = sites.items[0];
    EXPECT_EQ(s.form, c.form);
    EXPECT_EQ(s.start.value() - kBase, c.offset);
    EXPECT_EQ(s.length_bytes, c.length);
    if (c.refused == nullptr) {
      EXPECT_EQ(s.refused, nullptr) << s.refused;
    } else {
      ASSERT_NE(s.refused, nullptr);
      EXPECT_NE(std::strstr(s.refused, c.refused), nullptr) << s.refused;
    }
  }
}

TEST(SiteFinder, FindsSitesAtEveryAlignment) {
  // The search looks at 64 bytes at a time; a site must be seen wherever it falls.
  for (std::size_t pad = 0; pad < 200; ++pad) {
    const SiteList sites = find(join({Bytes(pad, 0x90), mov(11), kSys, Bytes(70, 0x90), kRet}));
    ASSERT_EQ(sites.count, 1u) << pad;
    EXPECT_EQ(sites.items[0].start.value() - kBase, pad);
    EXPECT_EQ(sites.items[0].refused, nullptr);
  }
}

TEST(SiteFinder, RefusesWithoutFunctionBounds) {
  const SiteList sites = find(join({mov(11), kSys, kRet}), "no bounds here");
  ASSERT_EQ(sites.count, 1u);
  EXPECT_STREQ(sites.items[0].refused, "no bounds here");
}

TEST(SiteFinder, SaysWhenTheListIsFull) {
  Bytes many;
  for (std::size_t i = 0; i <= kMaxSites; ++i) many = join({many, mov(11), kSys});
  const SiteList sites = find(join({many, kRet}));
  EXPECT_TRUE(sites.overflowed);
  EXPECT_EQ(sites.count, kMaxSites);
}

TEST(SiteFinder, ConfirmNeedsTheSiteInsideTheFunction) {
  const Bytes bytes = join({mov(11), kSys, kRet});
  const Code code{HostVa(kBase), bytes};
  const Site site{HostVa(kBase), 7, SiteForm::kMovSyscall, 11, nullptr};
  EXPECT_TRUE(confirm_site(code, HostRange::of(HostVa(kBase), 8), site));
  EXPECT_FALSE(confirm_site(code, HostRange::of(HostVa(kBase), 5), site));
  EXPECT_FALSE(confirm_site(code, HostRange::of(HostVa(kBase), 9), site));
}

}  // namespace
}  // namespace softxe::patch
