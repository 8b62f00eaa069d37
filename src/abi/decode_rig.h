// For tests of the decoder: devices, requests as bytes, and tables of spoilt requests.
#pragma once

#include <gtest/gtest.h>

#include <functional>

#include "abi/decode.h"
#include "abi/fake_user_memory.h"
#include "abi/uapi.h"

namespace softxe {

inline constexpr DecodeLimits kBmg{.profile = &kProfileBmg};
inline constexpr DecodeLimits kLnl{.profile = &kProfileLnl};
inline constexpr DecodeLimits kPvc{.profile = &kProfilePvc};
inline constexpr std::uint64_t kBadAddress = 0xdead0000;

template <typename T>
IoctlBytes bytes_of(const T& object) {
  return std::as_bytes(std::span<const T, 1>(&object, 1));
}
template <typename R>
int err_of(const R& result) {
  if (result) return 0;
  EXPECT_STRNE(result.error().why, "");
  return result.error().err;
}

/// A link of an extension chain.
inline drm_xe_ext_set_property property(std::uint32_t id, std::uint64_t value, std::uint64_t next = 0) {
  drm_xe_ext_set_property p{};
  p.base.next_extension = next;
  p.property = id;
  p.value = value;
  return p;
}

/// One line: what is spoilt in a valid struct, and what must come out.
template <typename Raw>
struct Case {
  const char* row;
  int err;
  std::function<void(Raw&)> spoil;
  const DecodeLimits* limits = &kBmg;
};
template <typename Raw, typename Decode>
void run_cases(const Raw& valid, std::initializer_list<Case<Raw>> cases, Decode decode) {
  EXPECT_EQ(decode(valid, kBmg), 0) << "the unspoilt request";
  for (const auto& c : cases) {
    Raw raw = valid;
    c.spoil(raw);
    EXPECT_EQ(decode(raw, *c.limits), c.err) << c.row;
  }
}

}  // namespace softxe
