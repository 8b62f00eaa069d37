#include "cli/output_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <utility>

#include "cli/commands.h"

namespace softxe::cli {

namespace {

std::string name_of(const std::string& path) { return path == "-" ? "standard output" : path; }

tl::unexpected<Refusal> cannot(const std::string& path, int error) {
  return refuse(kExitUsage, fmt::format("cannot write {}: {}", name_of(path), std::strerror(error)));
}

/// 0, or EXXX.
int write_all(int fd, std::string_view text) {
  while (!text.empty()) {
    const ssize_t count = ::write(fd, text.data(), text.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return errno;
    text.remove_prefix(static_cast<std::size_t>(count));
  }
  return 0;
}

/// A new file of a free name in the folder: nothing of anybody else is touched. The descriptor, or -EXXX.
int make_beside(int folder, const std::string& name, std::string& made) {
  for (unsigned tries = 0; tries < 100; ++tries) {
    made = fmt::format(".{}.softxe-{}-{}", name, getpid(), tries);
    const int fd = openat(folder, made.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (fd >= 0) return fd;
    if (errno != EEXIST) return -errno;
  }
  return -EEXIST;
}

}  // namespace

OutputFile::OutputFile(OutputFile&& other) noexcept
    : path_(std::move(other.path_)),
      fd_(std::exchange(other.fd_, -1)),
      in_place_(other.in_place_),
      mode_(other.mode_),
      existed_(other.existed_),
      stream_(std::exchange(other.stream_, nullptr)),
      made_(std::exchange(other.made_, {})) {}

OutputFile::~OutputFile() {
  if (stream_ != nullptr && stream_ != stdout) std::fclose(stream_);
  if (!made_.empty()) unlinkat(fd_, made_.c_str(), 0);
  if (fd_ > STDERR_FILENO) close(fd_);
}

tl::unexpected<Refusal> OutputFile::failed(int error) const { return cannot(path_, error); }

Answer<OutputFile> OutputFile::open(const std::string& path) {
  if (path.empty()) return refuse(kExitUsage, "the name of the file to write is empty");
  OutputFile file(path, STDOUT_FILENO);
  file.in_place_ = true;
  if (path == "-") {
    const int flags = fcntl(STDOUT_FILENO, F_GETFL);
    if (flags < 0 || (flags & O_ACCMODE) == O_RDONLY) return cannot(path, EBADF);
    return file;
  }
  struct stat found {};
  file.existed_ = lstat(path.c_str(), &found) == 0;
  if (file.existed_ && S_ISREG(found.st_mode) && access(path.c_str(), W_OK) != 0) return cannot(path, errno);
  std::string made;
  const std::filesystem::path whole(path);
  if (!file.existed_ || S_ISREG(found.st_mode)) {
    const std::string parent = whole.has_parent_path() ? whole.parent_path().string() : ".";
    file.fd_ = ::open(parent.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (file.fd_ < 0 && errno != EACCES) return cannot(path, errno);
    const int trial = file.fd_ < 0 ? -EACCES : make_beside(file.fd_, whole.filename(), made);
    if (trial >= 0) {
      close(trial);
      unlinkat(file.fd_, made.c_str(), 0);
      file.in_place_ = false;
      if (file.existed_) file.mode_ = found.st_mode & 07777u;
      return file;
    }
    if (file.fd_ >= 0) close(file.fd_);
    // A file that may be written in a folder that may not.
    if (!file.existed_) return cannot(path, -trial);
  }
  // Not emptied yet: until there is something to write the old content is worth keeping.
  file.fd_ = ::open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0666);
  if (file.fd_ < 0) return cannot(path, errno);
  return file;
}

Answer<void> OutputFile::replace(std::string_view text) {
  const std::string name = std::filesystem::path(path_).filename();
  std::string made;
  const int fd = make_beside(fd_, name, made);
  if (fd < 0) return failed(-fd);
  int error = write_all(fd, text);
  if (error == 0 && existed_ && fchmod(fd, mode_) != 0) error = errno;
  if (close(fd) != 0 && error == 0) error = errno;
  if (error == 0 && renameat(fd_, made.c_str(), fd_, name.c_str()) != 0) error = errno;
  if (error == 0) return {};
  unlinkat(fd_, made.c_str(), 0);
  return failed(error);
}

/// 0, or EXXX. Empties an old file.
int OutputFile::begin_in_place() {
  if (fd_ == STDOUT_FILENO) std::fflush(stdout);
  struct stat info {};
  if (path_ == "-" || fstat(fd_, &info) != 0 || !S_ISREG(info.st_mode)) return 0;
  return ftruncate(fd_, 0) == 0 ? 0 : errno;
}

Answer<void> OutputFile::write(std::string_view text) {
  if (!in_place_) return replace(text);
  if (const int error = begin_in_place()) return failed(error);
  if (const int error = write_all(fd_, text)) return failed(error);
  return {};
}

Answer<std::FILE*> OutputFile::stream(Arrival arrival) {
  if (in_place_) {
    if (const int error = begin_in_place()) return failed(error);
    if (fd_ == STDOUT_FILENO) return stream_ = stdout;
    stream_ = fdopen(fcntl(fd_, F_DUPFD_CLOEXEC, 0), "w");
    return stream_ != nullptr ? Answer<std::FILE*>(stream_) : failed(errno);
  }
  const std::string name = std::filesystem::path(path_).filename();
  std::string made;
  const int fd = arrival == Arrival::kWhenWhole
                     ? make_beside(fd_, name, made)
                     : openat(fd_, name.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  if (fd < 0) return failed(arrival == Arrival::kWhenWhole ? -fd : errno);
  made_ = std::move(made);
  if (!made_.empty() && existed_ && fchmod(fd, mode_) != 0) {
    const int error = errno;
    close(fd);
    return failed(error);
  }
  stream_ = fdopen(fd, "w");
  return stream_;
}

Answer<void> OutputFile::finish() {
  std::FILE* const stream = std::exchange(stream_, nullptr);
  int error = std::fflush(stream) != 0 ? errno : 0;
  if (error == 0 && std::ferror(stream) != 0) error = EIO;
  if (stream != stdout && std::fclose(stream) != 0 && error == 0) error = errno;
  const std::string name = std::filesystem::path(path_).filename();
  if (error == 0 && !made_.empty()) {
    if (renameat(fd_, made_.c_str(), fd_, name.c_str()) != 0) error = errno;
    if (error == 0) made_.clear();
  }
  if (error == 0) return {};
  return failed(error);
}

}  // namespace softxe::cli
