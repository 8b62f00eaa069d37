// Help for who mistypes a name.
#pragma once

#include <span>
#include <string>
#include <string_view>

namespace softxe {

/// ": did you mean 'X'?" for the nearest name, when one is near enough; else empty.
std::string did_you_mean(std::string_view word, std::span<const std::string_view> names);

}  // namespace softxe
