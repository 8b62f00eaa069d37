#include "cli/root_view.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/openat2.h>
#include <sys/syscall.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

namespace softxe::cli {

namespace {

/// A descriptor that is closed at the end of the block.
class Opened {
 public:
  explicit Opened(int fd) : fd_(fd) {}
  Opened(const Opened&) = delete;
  Opened& operator=(const Opened&) = delete;
  ~Opened() {
    if (fd_ >= 0) close(fd_);
  }
  int fd() const { return fd_; }

 private:
  int fd_;
};

}  // namespace

RootView::RootView(std::string root) : root_(std::move(root)) {
  if (!root_.empty()) fd_ = open(root_.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC);
}

RootView::~RootView() {
  if (fd_ >= 0) close(fd_);
}

int RootView::open_in(const std::string& name, int flags) const {
  if (root_.empty()) return open(name.c_str(), flags | O_CLOEXEC);
  struct open_how how {};
  how.flags = static_cast<std::uint64_t>(flags | O_CLOEXEC);
  how.resolve = RESOLVE_IN_ROOT;
  const long fd = syscall(SYS_openat2, fd_, name.c_str(), &how, sizeof how);
  if (fd >= 0 || (errno != ENOSYS && errno != EPERM)) return static_cast<int>(fd);
  // A sandbox that does not know the call: absolute links lead out of the root then.
  return openat(fd_, ("./" + name).c_str(), flags | O_CLOEXEC);
}

Result<struct stat> RootView::look(const std::string& name) const {
  const Opened file(open_in(name, O_PATH));
  struct stat info {};
  if (file.fd() < 0 || fstat(file.fd(), &info) != 0) return fail(errno, "cannot be found");
  return info;
}

Status RootView::may_execute(const std::string& name) const {
  const Opened file(open_in(name, O_PATH));
  if (file.fd() < 0) return fail(errno, "cannot be found");
  if (faccessat(file.fd(), "", X_OK, AT_EMPTY_PATH | AT_EACCESS) == 0) return {};
  return fail(errno, "may not be executed");
}

Result<std::vector<char>> RootView::read(const std::string& name, std::size_t bytes, off_t offset) const {
  const Opened file(open_in(name, O_RDONLY | O_NONBLOCK));
  if (file.fd() < 0) return fail(errno, "cannot be read");
  std::vector<char> data(bytes);
  const ssize_t got = pread(file.fd(), data.data(), bytes, offset);
  if (got < 0) return fail(errno, "cannot be read");
  data.resize(static_cast<std::size_t>(got));
  return data;
}

bool RootView::has_capabilities(const std::string& name) const {
  const Opened file(open_in(name, O_RDONLY | O_NONBLOCK));
  return file.fd() >= 0 && fgetxattr(file.fd(), "security.capability", nullptr, 0) > 0;
}

}  // namespace softxe::cli
