// The folder one run works in: counter slots, shadow tree, with --root a copy of the library.
//
// It goes with the run, unless descendants of the program live on: they need it to open devices. Then it stays, and a
// later `softxe run` removes it when nobody uses it any more.
#pragma once

#include <string>

#include "cli/refusal.h"
#include "preload/slots.h"

namespace softxe::cli {

class RunFolder {
 public:
  RunFolder() = default;
  ~RunFolder() { remove(); }
  RunFolder(const RunFolder&) = delete;
  RunFolder& operator=(const RunFolder&) = delete;

  /// Removes it from the disk.
  void remove();
  /// Leaves it to those who still use it.
  void leave();

  /// What the folder is for, which decides where it may be.
  struct Needs {
    std::string root;  ///< empty: none. Otherwise inside it, where code may be mapped
    enum class Path { kAny, kPreload } path = Path::kAny;  ///< kPreload: one that LD_PRELOAD can carry
  };
  /// In TMPDIR; without that variable in the first of /tmp, /var/tmp and /dev/shm that will do. 125.
  Answer<void> make(const Needs& needs);
  const std::string& path() const { return path_; }
  /// The file of the processes' event rings, for a run that is traced. 0, or EXXX of the failing call.
  int make_events();
  int events_fd() const { return events_fd_; }
  /// The same for call stacks.
  int make_stacks();
  int stacks_fd() const { return stacks_fd_; }
  /// As the program sees it, that is without the root.
  const std::string& inside() const { return inside_; }
  bool has_root() const { return inside_ != path_; }
  const preload::SlotFile& slots() const { return *slots_; }

 private:
  int make_in(const std::string& base);
  int make_rings(const char* name, std::uint64_t bytes, int& fd) const;

  std::string path_;
  std::string inside_;
  preload::SlotFile* slots_ = nullptr;
  int events_fd_ = -1;
  int stacks_fd_ = -1;
};

/// Removes what earlier runs of this user left behind, where the runner and all its descendants have ended.
void remove_abandoned_folders(const std::string& root);

}  // namespace softxe::cli
