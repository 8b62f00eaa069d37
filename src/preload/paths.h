// From the client's paths to the kernel's and back (spec/clients.md 1.3).
#pragma once

#include <sys/stat.h>

#include <optional>
#include <string>

#include "abi/vfs.h"

namespace softxe::preload {

/// What the kernel gets instead of (dirfd, name). `name` must outlive it. A value of one thread's call.
class KernelPath {
 public:
  KernelPath(int dirfd, const char* name);

  int dirfd() const { return dirfd_; }
  const char* name() const { return is_rewritten_ ? rewritten_.c_str() : name_; }
  /// The path leads into the shadow tree.
  bool shadow() const { return shadow_; }
  /// libc must not do this call on the name as it is: it leads into the shadow tree, out of it, or
  /// through a descriptor's link in /proc.
  bool suspect() const { return is_rewritten_ || fd_link_; }

 private:
  void resolve(std::string client);

  int dirfd_;
  const char* name_;
  std::string rewritten_;
  bool is_rewritten_ = false;
  bool shadow_ = false;
  bool fd_link_ = false;
};

/// False: null, or memory that cannot be read up to the end of the text. The kernel says EFAULT then, and is asked.
bool legible(const char* text);

/// Where a descriptor's link in /proc points; empty when it cannot be told.
std::string link_of_fd(int fd);
/// The client path of a descriptor that shows a file of the shadow tree.
std::optional<std::string> client_path_of_fd(int fd);
/// Removes the shadow root from the front of `path`, in place. True when it was there.
bool strip_shadow(char* path);
/// The number N when (dirfd, name) means /proc/self/fdinfo/N.
std::optional<int> fdinfo_target(int dirfd, const char* name);

/// st_dev of the shadow tree's files: descriptors with another one need no second look.
dev_t shadow_device();

/// Remembers whether the working directory is in the shadow tree; after chdir and at the start.
void note_working_directory();

/// Makes a shadow file look like what it stands for.
void disguise(struct stat& st, const std::string& client_path);
void disguise(struct statx& st, const std::string& client_path);

}  // namespace softxe::preload
