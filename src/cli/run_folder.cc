#include "cli/run_folder.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <sstream>
#include <vector>

#include "cli/commands.h"
#include "cli/run_library.h"

namespace softxe::cli {

namespace fs = std::filesystem;

namespace {

constexpr const char* kPrefix = "softxe-run-";
/// Who made the folder, in a file of it.
constexpr const char* kRunnerFile = "runner";
/// Of each table of the counter file: the slots of the first processes and VMs.
constexpr off_t kBytesAtOnce = 1 << 19;

/// Where runs have their folders, best first. TMPDIR is of this side of the root.
std::vector<std::string> places(const std::string& root) {
  const char* chosen = getenv("TMPDIR");
  std::vector<std::string> all;
  if (root.empty() && chosen != nullptr && *chosen != '\0') all.push_back(fs::absolute(chosen).string());
  for (const char* place : {"/tmp", "/var/tmp", "/dev/shm"}) {
    if (std::string whole = root + place; std::find(all.begin(), all.end(), whole) == all.end()) all.push_back(whole);
  }
  return all;
}

bool maps_code(const std::string& folder) {
  struct statvfs info {};
  return statvfs(folder.c_str(), &info) == 0 && (info.f_flag & ST_NOEXEC) == 0;
}

/// What to do about a place in which no folder could be made.
const char* cure_of(int error) {
  switch (error) {
    case ENOSPC:
    case EDQUOT: return "it is full: make room";
    case EROFS: return "it is read-only";
    case EACCES:
    case EPERM: return "it may not be written";
    case ENOENT: return "it does not exist";
    case EFBIG: return "files there may not grow to the size it needs (ulimit -f)";
    default: return std::strerror(error);
  }
}

std::string whole_file(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

/// When the process started, in ticks since boot; empty: there is none. Numbers of processes are used again.
std::string start_of(const std::string& pid) {
  const std::string text = whole_file("/proc/" + pid + "/stat");
  const auto name_ends = text.rfind(')');
  if (name_ends == std::string::npos) return {};
  std::istringstream rest(text.substr(name_ends + 1));
  constexpr int kStartTime = 20;  // proc(5): field 22; the state, behind the name, is field 3
  std::string field;
  for (int i = 0; i < kStartTime; ++i) rest >> field;
  return field;
}

/// The namespace in which the numbers of processes mean something, and the boot of the machine.
std::string world() {
  std::error_code ignored;
  return fs::read_symlink("/proc/self/ns/pid", ignored).string() + " " + whole_file("/proc/sys/kernel/random/boot_id");
}

void write_runner(const std::string& folder) {
  const std::string pid = std::to_string(getpid());
  std::ofstream(fs::path(folder) / kRunnerFile) << pid << ' ' << start_of(pid) << ' ' << world();
}

/// False also when it cannot be told from here: the folder of a container, say.
bool runner_has_ended(const fs::path& folder) {
  std::istringstream text(whole_file(folder / kRunnerFile));
  std::string pid;
  std::string start;
  std::string where;
  text >> pid >> start >> std::ws;
  std::getline(text, where, '\0');
  return !pid.empty() && where == world() && start_of(pid) != start;
}

/// Every process of a run has the folder in the environment it was started with (preload/environment.h), and one that
/// has a device has mapped a file of it.
bool is_used(const std::string& folder) {
  std::error_code error;
  for (const auto& entry : fs::directory_iterator("/proc", error)) {
    const std::string pid = entry.path().filename();
    if (pid.find_first_not_of("0123456789") != std::string::npos) continue;
    for (const char* file : {"environ", "maps"})
      if (whole_file(entry.path() / file).find(folder) != std::string::npos) return true;
  }
  return false;
}

bool is_own(const fs::path& folder) {
  struct stat st {};
  return lstat(folder.c_str(), &st) == 0 && S_ISDIR(st.st_mode) && st.st_uid == geteuid();
}

}  // namespace

void RunFolder::remove() {
  if (path_.empty()) return leave();
  std::error_code ignored;
  fs::remove_all(path_, ignored);
  leave();
}

void RunFolder::leave() {
  if (slots_ != nullptr) munmap(slots_, sizeof(preload::SlotFile));
  slots_ = nullptr;
  for (int* fd : {&events_fd_, &stacks_fd_}) {
    if (*fd >= 0) close(*fd);
    *fd = -1;
  }
  path_.clear();
}

Answer<void> RunFolder::make(const Needs& needs) {
  std::error_code ignored;
  if (!needs.root.empty()) fs::create_directories(needs.root + "/tmp", ignored);
  const char* chosen = needs.root.empty() ? getenv("TMPDIR") : nullptr;
  const bool strict = chosen != nullptr && *chosen != '\0';
  std::string tried;
  for (const std::string& base : places(needs.root)) {
    const bool unfit = needs.path == Needs::Path::kPreload && !fits_into_preload(base);
    const bool no_code = !needs.root.empty() && !maps_code(base);
    if (unfit || no_code) {
      tried += fmt::format("; {}: {}", base, no_code ? "mounted noexec" : "LD_PRELOAD cannot carry such a path");
      continue;
    }
    const int error = make_in(base);
    inside_ = path_.substr(std::min(path_.size(), needs.root.size()));
    if (error == 0) return {};
    remove();
    tried += fmt::format("; {}: {}", base, cure_of(error));
    if (strict) break;  // the user's choice: no other place is used behind the user's back
  }
  return refuse(kExitUsage, fmt::format("no place for the folder of the run{}. Set TMPDIR to a folder that can be "
                                        "written and has 2 MiB free",
                                        tried));
}

int RunFolder::make_in(const std::string& base) {
  std::string pattern = base + "/" + kPrefix + "XXXXXX";
  if (mkdtemp(pattern.data()) == nullptr) return errno;
  path_ = pattern;
  const std::string file = path_ + "/slots";
  const int fd = open(file.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
  if (fd < 0) return errno;
  void* at = MAP_FAILED;
  // Mostly a hole. What a run of some processes writes has its blocks now: a full disk is SIGBUS later.
  int no_room = posix_fallocate(fd, 0, kBytesAtOnce);
  if (no_room == 0) no_room = posix_fallocate(fd, offsetof(preload::SlotFile, vms), kBytesAtOnce);
  if (no_room != 0) errno = no_room;
  if (no_room == 0 && ftruncate(fd, sizeof(preload::SlotFile)) == 0) {
    at = mmap(nullptr, sizeof(preload::SlotFile), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  }
  const int error = errno;
  close(fd);
  if (at == MAP_FAILED) return error;
  slots_ = static_cast<preload::SlotFile*>(at);
  slots_->magic = preload::kSlotsMagic;
  slots_->version = 1;
  write_runner(path_);
  // Programs of the run may drop root or come from another user namespace.
  chmod(path_.c_str(), 0777);
  chmod(file.c_str(), 0666);
  return 0;
}

int RunFolder::make_rings(const char* name, std::uint64_t bytes, int& fd) const {
  const std::string file = path_ + "/" + name;
  fd = open(file.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
  if (fd < 0 || ftruncate(fd, static_cast<off_t>(bytes)) != 0) return errno;
  chmod(file.c_str(), 0666);
  return 0;
}

int RunFolder::make_events() { return make_rings("events", sizeof(preload::EventFile), events_fd_); }
int RunFolder::make_stacks() { return make_rings("stacks", sizeof(preload::StackFile), stacks_fd_); }

void remove_abandoned_folders(const std::string& root) {
  std::error_code error;
  std::vector<fs::path> abandoned;
  for (const std::string& base : places(root)) {
    for (const auto& entry : fs::directory_iterator(base, error)) {
      const std::string name = entry.path().filename();
      if (!name.starts_with(kPrefix) || !is_own(entry.path()) || !runner_has_ended(entry.path())) continue;
      if (!is_used(name)) abandoned.push_back(entry.path());
    }
  }
  for (const fs::path& folder : abandoned) fs::remove_all(folder, error);
}

}  // namespace softxe::cli
