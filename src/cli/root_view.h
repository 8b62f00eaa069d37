// Files as a program sees them whose root folder is another one: absolute names and absolute links begin there.
#pragma once

#include <sys/stat.h>

#include <string>
#include <vector>

#include "base/result.h"

namespace softxe::cli {

class RootView {
 public:
  /// `root` empty: the real root and the real current folder. Otherwise relative names begin at the root, since that is
  /// the current folder of a program that is started there.
  explicit RootView(std::string root);
  RootView(const RootView&) = delete;
  RootView& operator=(const RootView&) = delete;
  ~RootView();

  /// What the name leads to. EXXX of the system call.
  Result<struct stat> look(const std::string& name) const;
  /// Whether this user may execute it.
  Status may_execute(const std::string& name) const;
  Result<std::vector<char>> read(const std::string& name, std::size_t bytes, off_t offset) const;
  /// Whether the program would gain capabilities from the file.
  bool has_capabilities(const std::string& name) const;

 private:
  int open_in(const std::string& name, int flags) const;

  std::string root_;
  int fd_ = -1;
};

}  // namespace softxe::cli
