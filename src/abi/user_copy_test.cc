// Arrays whose length a client names: what is read, and that a length costs nothing before it is checked.
#include "abi/user_copy.h"

#include <gtest/gtest.h>

#include <array>
#include <ostream>
#include <string>

#include "abi/fake_user_memory.h"

namespace softxe {
namespace {

constexpr std::uint64_t kArray = 0x7000'0000;
constexpr std::uint64_t kNowhere = 0x1000;

struct Case {
  const char* name;
  std::uint64_t at;
  std::uint64_t count;
  int err;  ///< 0: the array 1, 2, 3, ... of that length
};
std::ostream& operator<<(std::ostream& os, const Case& c) { return os << c.name; }

const Case kCases[] = {
    {"Nothing", kArray, 0, 0},
    {"NothingFromNowhere", kNowhere, 0, 0},
    {"All", kArray, 4, 0},
    {"OneTooMany", kArray, 5, EFAULT},
    {"FromNowhere", kNowhere, 1, EFAULT},
    {"TheLongest", kNowhere, 1u << 19, EFAULT},
    {"AboveTheLongest", kNowhere, (1u << 19) + 1, ENOMEM},
    {"TheLongestCountOfARequest", kArray, 0xffff'ffff, ENOMEM},
    {"WhereBytesOverflow", kArray, 1ull << 61, ENOMEM},
};

class UserArray : public ::testing::TestWithParam<Case> {};

TEST_P(UserArray, IsReadOrRefused) {
  const Case& c = GetParam();
  FakeUserMemory memory;
  memory.put(kArray, std::array<std::uint64_t, 4>{1, 2, 3, 4});
  const auto values = read_array<std::uint64_t>(memory, HostVa(c.at), c.count);
  ASSERT_EQ(values ? 0 : values.error().err, c.err);
  if (!values) return;
  ASSERT_EQ(values->size(), c.count);
  for (std::size_t i = 0; i < values->size(); ++i) EXPECT_EQ((*values)[i], i + 1);
}

INSTANTIATE_TEST_SUITE_P(Lengths, UserArray, ::testing::ValuesIn(kCases),
                         [](const auto& row) { return std::string(row.param.name); });

}  // namespace
}  // namespace softxe
