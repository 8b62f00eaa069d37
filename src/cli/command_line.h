// How softxe reads its command line, over CLI11: which words belong to the program of `softxe run`, what values are
// allowed, and what is said about words that are not. Included by main.cc alone: CLI11 is 200,000 lines when expanded.
#pragma once

#include <CLI/CLI.hpp>
#include <string>
#include <vector>

namespace softxe::cli {

/// One of these words; others are refused with the near one.
CLI::Validator one_of(std::vector<std::string> words);

/// Both included.
struct Range {
  unsigned least;
  unsigned most;
};
CLI::Validator between(Range range);

/// A size of VRAM (drv/check_config.h).
CLI::Validator vram_size();

/// A name of a file: not empty.
CLI::Validator file_name();

struct Parsed {
  int status = -1;                             ///< what to end with, everything being said; -1: go on
  std::vector<std::string> program_arguments;  ///< of `softxe run`: what follows the program's name
};

/// Parses the words behind "softxe". Help and version are printed here.
Parsed parse_words(CLI::App& app, const std::vector<std::string>& typed);

}  // namespace softxe::cli
