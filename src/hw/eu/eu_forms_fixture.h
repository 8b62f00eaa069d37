// tests/data/eu/forms.txt: every distinct form of instruction in a corpus of compiled kernels, bytes and text.
#pragma once

#include <cstddef>
#include <fstream>
#include <string>
#include <vector>

namespace softxe {

struct EuForm {
  std::vector<std::byte> bytes;
  std::string text;
};

inline std::vector<std::byte> bytes_of_hex(const std::string& hex) {
  std::vector<std::byte> bytes;
  for (std::size_t i = 0; i + 1 < hex.size(); i += 2)
    bytes.push_back(static_cast<std::byte>(std::stoul(hex.substr(i, 2), nullptr, 16)));
  return bytes;
}

/// `path`: of the file; the caller knows where the tree is.
inline std::vector<EuForm> load_eu_forms(const std::string& path) {
  std::vector<EuForm> forms;
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) {
    if (line.empty() || line[0] == '#') continue;
    const std::size_t space = line.find(' ');
    forms.push_back({.bytes = bytes_of_hex(line.substr(0, space)), .text = line.substr(space + 1)});
  }
  return forms;
}

}  // namespace softxe
