// What a user typed, compared with what there is: near words, sizes.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace softxe::cli {

/// "; did you mean WORD?" with the word of `known` that is one or two slips of a finger away; empty when none is.
std::string near_word(std::string_view typed, const std::vector<std::string>& known);

/// ": did you mean 'X'?" for the nearest name, when one is near enough; else empty.
std::string did_you_mean(std::string_view word, std::span<const std::string_view> names);

/// What is wrong with the text of a size of VRAM: empty, or what is allowed.
std::string wrong_size(const std::string& text);

/// "8.1 MiB", "12 GiB", "512 B".
std::string size_text(std::uint64_t bytes);

}  // namespace softxe::cli
