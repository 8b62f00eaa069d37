// Why softxe cannot go on, in a sentence a user can act on, and the status it ends with (commands.h).
#pragma once

#include <string>
#include <tl/expected.hpp>
#include <utility>

namespace softxe::cli {

struct Refusal {
  int status;
  std::string why;
};

template <typename T>
using Answer = tl::expected<T, Refusal>;

[[nodiscard]] inline tl::unexpected<Refusal> refuse(int status, std::string why) {
  return tl::unexpected<Refusal>(Refusal{status, std::move(why)});
}

}  // namespace softxe::cli
