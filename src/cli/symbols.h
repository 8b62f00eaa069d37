// Names for addresses in a process that may be long gone: its loaded files, as the trace remembers them, are read from
// the disk by libdw.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <vector>

struct Dwfl;

namespace softxe::trace {

/// A mapping of a file with code.
struct LoadedFile {
  std::uint64_t start = 0;
  std::uint64_t size = 0;
  std::uint64_t offset = 0;  ///< of `start`, in the file
  std::string name;
};

/// Not thread-safe. A file that is gone, or that is another one by now, has no names, or wrong ones.
class Symbols {
 public:
  explicit Symbols(std::span<const LoadedFile> files);
  ~Symbols();
  Symbols(const Symbols&) = delete;
  Symbols& operator=(const Symbols&) = delete;

  /// "work+0x12 (program.c:34)", "work+0x12 (libwork.so)", "libwork.so+0x1234", "0x7f0000001234".
  const std::string& text_of(std::uint64_t address);

 private:
  std::string look_up(std::uint64_t address) const;

  const std::vector<LoadedFile> files_;
  Dwfl* session_;
  std::map<std::uint64_t, std::string> known_;
};

}  // namespace softxe::trace
