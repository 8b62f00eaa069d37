#include "preload/fd_table.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <map>
#include <vector>

#include "base/log.h"
#include "base/step.h"
#include "preload/engine_fds.h"
#include "preload/engine_scope.h"
#include "preload/fd_owner.h"
#include "preload/paths.h"
#include "preload/session.h"
#include "preload/spin_futex.h"

namespace softxe::preload {
namespace {

constexpr int kFdMax = 1 << 20;  // beyond: not followed

struct Identity {
  dev_t dev = 0;
  ino_t ino = 0;
  friend bool operator==(const Identity&, const Identity&) = default;
};
struct Entry {
  FdObjectPtr object;
  Identity identity;
};

constinit std::array<std::atomic<std::uint64_t>, kFdMax / 64> ours{};
constinit SpinFutex lock;
std::map<int, Entry>& entries() {
  static auto* map = new std::map<int, Entry>;  // never destroyed: threads outlive static objects
  return *map;
}

class Hold {
 public:
  Hold() { lock.lock(); }
  ~Hold() { lock.unlock(); }
  Hold(const Hold&) = delete;
  Hold& operator=(const Hold&) = delete;
};

void set_ours(int fd, bool value) {
  const std::uint64_t bit = 1ull << (fd % 64);
  auto& word = ours[static_cast<std::size_t>(fd) / 64];
  if (value) {
    word.fetch_or(bit);
  } else {
    word.fetch_and(~bit);
  }
}

Identity identity_of(int fd) {
  struct stat st {};
  if (raw_syscall(SYS_fstat, fd, &st) != 0) return {};
  return {st.st_dev, st.st_ino};
}

/// Of a device's open file: its mark. 0: none, or not a file with a position.
std::uint64_t position_of(int fd) {
  const long position = raw_syscall(SYS_lseek, fd, 0, SEEK_CUR);
  return position < 0 ? 0 : static_cast<std::uint64_t>(position);
}

/// Different in every process; no file system refuses a position of 43 bits.
std::uint64_t fresh_mark() {
  std::uint64_t random = 0;
  if (raw_syscall(SYS_getrandom, &random, sizeof random, 0) != sizeof random) return 0;
  return (random & ((1ull << 43) - 1)) | 1;
}

/// Device files that went out in messages, the newest last.
constexpr std::size_t kSentMax = 32;
std::vector<FdObjectPtr>& sent_files() {
  static auto* files = new std::vector<FdObjectPtr>;  // as the map
  return *files;
}

FdObjectPtr find_marked(std::uint64_t mark) {
  Hold hold;
  for (const FdObjectPtr& object : sent_files())
    if (object->has_mark(mark)) return object;
  for (const auto& [fd, entry] : entries())
    if (entry.object->has_mark(mark)) return entry.object;
  return nullptr;
}

template <typename T>
void leak(std::shared_ptr<T>& pointer) {
  if (pointer != nullptr) ::new (operator new(sizeof pointer)) std::shared_ptr<T>(std::move(pointer));
}  // NOLINT(clang-analyzer-cplusplus.NewDeleteLeaks): for that it is there

class PreloadFds final : public FdLayer {
 public:
  Result<int> publish_dma_buf(std::shared_ptr<GemBo> bo, FdAccess access, OnExec on_exec) override {
    const int close_on_exec = on_exec == OnExec::kClose ? O_CLOEXEC : 0;
    const std::string path = "/proc/thread-self/fd/" + std::to_string(bo->memfd());
    const int mode = access == FdAccess::kReadWrite ? O_RDWR : O_RDONLY;
    // A description of its own: its position and access mode are the dma-buf's.
    return publish(raw_syscall(SYS_openat, AT_FDCWD, path.c_str(), mode | close_on_exec, 0),
                   std::make_shared<FdObject>(std::move(bo)));
  }
  Result<int> publish_sync_file(std::shared_ptr<SyncFile> file) override {
    const long fd = raw_syscall(SYS_fcntl, file->internal_fd(), F_DUPFD_CLOEXEC, 0);
    return publish(fd, std::make_shared<FdObject>(std::move(file)));
  }
  Result<int> publish_syncobj(SyncobjPtr object) override {
    const long fd = raw_syscall(SYS_memfd_create, "softxe-syncobj", 1u /* MFD_CLOEXEC */);
    return publish(fd, std::make_shared<FdObject>(std::move(object)));
  }
  std::shared_ptr<GemBo> dma_buf(int fd) override {
    const auto object = find_or_adopt_fd(fd);
    return object == nullptr ? nullptr : object->dma_buf();
  }
  std::shared_ptr<SyncFile> sync_file(int fd) override {
    const auto object = find_or_adopt_fd(fd);
    return object == nullptr ? nullptr : object->sync_file();
  }
  SyncobjPtr syncobj(int fd) override {
    const auto object = find_or_adopt_fd(fd);
    return object == nullptr ? nullptr : object->syncobj();
  }
  std::shared_ptr<DrmFile> drm_file(int fd) override {
    const auto object = find_or_adopt_fd(fd);
    if (object == nullptr || object->kind() != FdObject::Kind::kDevice) return nullptr;
    auto file = object->drm_file();
    return file ? *file : nullptr;
  }
  bool is_open(int fd) override { return raw_syscall(SYS_fcntl, fd, F_GETFD) >= 0; }

 private:
  static Result<int> publish(long fd, FdObjectPtr object) {
    if (fd < 0) return fail(errno_of(fd), "no descriptor for the client");
    put_fd(static_cast<int>(fd), std::move(object));
    return static_cast<int>(fd);
  }
};

}  // namespace

FdObject::FdObject(DeviceNode node)
    : kind_(Kind::kDevice), node_(node), client_path_(device_node_path(node)), generation_(0) {}
FdObject::FdObject(std::shared_ptr<GemBo> bo) : kind_(Kind::kDmaBuf), generation_(generation()), bo_(std::move(bo)) {
  bo_->exported();
  DrmProcess& drm = *session()->drm;
  while (&drm.device(bo_device_).device().bo_memory() != &bo_->memory()) ++bo_device_;
}
FdObject::FdObject(std::shared_ptr<SyncFile> file)
    : kind_(Kind::kSyncFile), generation_(generation()), sync_file_(std::move(file)) {}
FdObject::FdObject(SyncobjPtr object) : kind_(Kind::kSyncobj), generation_(generation()), syncobj_(std::move(object)) {}
FdObject::FdObject(DynamicFile file, std::string client_path)
    : kind_(Kind::kDynamic), dynamic_(file), client_path_(std::move(client_path)), generation_(generation()) {
  if (dynamic_.kind == DynamicKind::kForcewake) session()->files.at(dynamic_.device)->wake();
}

FdObject::FdObject(std::shared_ptr<SwTimeline> timeline)
    : kind_(Kind::kSwSync), client_path_(kSwSyncPath), generation_(generation()), sw_timeline_(std::move(timeline)) {}

FdObject::~FdObject() {
  if (current()) {
    if (bo_ != nullptr) bo_->unexported();
    if (dynamic_.kind == DynamicKind::kForcewake) session()->files.at(dynamic_.device)->let_sleep();
    return;
  }
  leak(file_);
  leak(bo_);
  leak(sync_file_);
  leak(syncobj_);
  leak(sw_timeline_);
}

void FdObject::mark(int fd) {
  mark_ = position_of(fd);
  if (mark_ != 0) return;
  const std::uint64_t fresh = fresh_mark();
  if (errno_of(raw_syscall(SYS_lseek, fd, fresh, SEEK_SET)) == 0) mark_ = fresh;
}

bool FdObject::current() const { return generation_ == generation(); }

void FdObject::renew_lock() { ::new (&lock_) LeafMutex("FdObject"); }

// What the parent had is never released: its threads are not here.
template <typename T>
void FdObject::replace(std::shared_ptr<T> FdObject::*member, std::shared_ptr<T> mine) {
  Guard hold(lock_);
  if (this->*member != nullptr && current()) return;
  std::swap(this->*member, mine);
  generation_ = generation();
  leak(mine);
}
void FdObject::inherit(std::shared_ptr<DrmFile> file) { replace(&FdObject::file_, std::move(file)); }
void FdObject::inherit(std::shared_ptr<SyncFile> file) { replace(&FdObject::sync_file_, std::move(file)); }
void FdObject::inherit(SyncobjPtr object) { replace(&FdObject::syncobj_, std::move(object)); }

std::shared_ptr<DrmFile> FdObject::existing_drm_file() {
  Guard hold(lock_);
  SX_MARK("preload.fd.locked");
  return current() ? file_ : nullptr;
}

// Made with no lock held, since that takes those of the tables; of two threads that do so at once, the first
// to publish decides. In a fork child the session has given inherited descriptors their files already; one
// that another thread opened beside the fork may have none, and starts empty.
Result<std::shared_ptr<DrmFile>> FdObject::drm_file() {
  SX_ASSERT(kind_ == Kind::kDevice);
  SX_TRY(Session * made, session_or_make());
  if (auto file = existing_drm_file()) return file;
  replace(&FdObject::file_, open_node(*made->drm, node_));
  return existing_drm_file();
}

template <typename T>
std::shared_ptr<T> FdObject::of_this_process(Kind kind, std::shared_ptr<T> FdObject::*member) {
  if (kind_ != kind || !session_or_make()) return nullptr;
  Guard hold(lock_);
  return current() ? this->*member : nullptr;
}
std::shared_ptr<SyncFile> FdObject::sync_file() { return of_this_process(Kind::kSyncFile, &FdObject::sync_file_); }
std::shared_ptr<SwTimeline> FdObject::sw_timeline() { return of_this_process(Kind::kSwSync, &FdObject::sw_timeline_); }
SyncobjPtr FdObject::syncobj() { return of_this_process(Kind::kSyncobj, &FdObject::syncobj_); }

std::shared_ptr<GemBo> FdObject::dma_buf() {
  if (kind_ != Kind::kDmaBuf) return nullptr;
  auto made = session_or_make();
  if (!made) return nullptr;
  std::shared_ptr<GemBo> parents;
  {
    Guard hold(lock_);
    if (current()) return bo_;
    parents = bo_;
  }
  const auto mine = (*made)->drm->device(bo_device_).inherited(parents, nullptr);
  leak(parents);
  if (!mine) {
    SX_ERROR("a dma-buf is lost in a fork child: {}", mine.error().why);
    return nullptr;
  }
  (*mine)->exported();
  {
    Guard hold(lock_);
    if (!current()) {
      bo_ = *mine;  // what it held is kept by the leak above
      generation_ = generation();
      return bo_;
    }
  }
  (*mine)->unexported();
  return *mine;
}

bool maybe_ours(int fd) {
  if (fd < 0 || fd >= kFdMax) return false;
  return (ours[static_cast<std::size_t>(fd) / 64].load(std::memory_order_relaxed) >> (fd % 64) & 1) != 0;
}

FdObjectPtr find_fd(int fd) {
  if (!maybe_ours(fd)) return nullptr;
  const Identity now = identity_of(fd);
  FdObjectPtr object;
  {
    Hold hold;
    const auto at = entries().find(fd);
    if (at == entries().end()) return nullptr;
    if (at->second.identity == now) object = at->second.object;
  }
  if (object == nullptr) {  // closed and reused behind our back
    take_fd(fd);
    return nullptr;
  }
  if (object->kind() != FdObject::Kind::kDevice) return object;
  const std::uint64_t mark = position_of(fd);
  if (mark == 0 || object->has_mark(mark)) return object;
  // The same node, but another open file; or the client has moved the position.
  FdObjectPtr other = find_marked(mark);
  if (other == nullptr) return object;
  put_fd(fd, other);
  return other;
}

void put_fd(int fd, FdObjectPtr object) {
  if (fd < 0 || fd >= kFdMax || !owns_fd_table()) return;
  Entry fresh{std::move(object), identity_of(fd)};
  Hold hold;
  std::swap(entries()[fd], fresh);
  set_ours(fd, true);
}

FdObjectPtr take_fd(int fd) {
  if (!maybe_ours(fd) || !owns_fd_table()) return nullptr;
  Hold hold;
  const auto at = entries().find(fd);
  if (at == entries().end()) return nullptr;
  FdObjectPtr object = std::move(at->second.object);
  entries().erase(at);
  set_ours(fd, false);
  return object;
}

std::shared_ptr<DrmFile> open_node(DrmProcess& drm, const DeviceNode& node) {
  return std::make_shared<DrmFile>(drm, node.device, node.is_render() ? DrmNode::kRender : DrmNode::kCard);
}

std::vector<std::pair<int, FdObjectPtr>> all_fds() {
  std::vector<std::pair<int, FdObjectPtr>> all;
  Hold hold;
  for (const auto& [fd, entry] : entries()) all.emplace_back(fd, entry.object);
  return all;
}

void copy_fd(int from, int to) {
  if (from == to || to < 0 || !owns_fd_table()) return;
  if (auto object = find_fd(from); object != nullptr) {
    put_fd(to, std::move(object));
  } else {
    take_fd(to);
  }
}

namespace {

FdObjectPtr adopt_device(int fd) {
  const auto path = client_path_of_fd(fd);
  if (!path) return nullptr;
  const auto node = find_device_node(*path, settings().devices.size());
  if (!node) return nullptr;
  if (FdObjectPtr known = find_marked(position_of(fd)); known != nullptr) return known;
  auto object = std::make_shared<FdObject>(*node);
  object->mark(fd);
  return object;
}

/// The open file of a dma-buf or syncobj has a memfd of its own: the inode tells.
FdObjectPtr find_with_inode(const Identity& wanted) {
  Hold hold;
  for (const auto& [fd, entry] : entries()) {
    const auto kind = entry.object->kind();
    const bool own_inode = kind == FdObject::Kind::kDmaBuf || kind == FdObject::Kind::kSyncobj;
    if (own_inode && entry.identity == wanted) return entry.object;
  }
  return nullptr;
}

/// All eventfds have one inode; /proc has the number of each. Empty: not one.
std::string eventfd_number(int fd) {
  const std::string path = "/proc/thread-self/fdinfo/" + std::to_string(fd);
  char text[512];
  const long opened = raw_syscall(SYS_openat, AT_FDCWD, path.c_str(), O_RDONLY | O_CLOEXEC, 0);
  if (opened < 0) return {};
  const long length = raw_syscall(SYS_read, opened, text, sizeof text);
  raw_syscall(SYS_close, opened);
  if (length <= 0) return {};
  const std::string_view all(text, static_cast<std::size_t>(length));
  const auto at = all.find("eventfd-id:");
  if (at == std::string_view::npos) return {};
  return std::string(all.substr(at, all.find('\n', at) - at));
}

FdObjectPtr find_sync_file(int fd) {
  const std::string wanted = eventfd_number(fd);
  if (wanted.empty()) return nullptr;
  for (const auto& [known, object] : all_fds())
    if (object->kind() == FdObject::Kind::kSyncFile && eventfd_number(known) == wanted) return object;
  return nullptr;
}

/// A dma-buf whose descriptors were all closed while it was under way: some file still knows the object.
FdObjectPtr find_buffer(const Identity& wanted) {
  Session* made = session();
  if (made == nullptr) return nullptr;
  for (unsigned index = 0; index < made->drm->device_count(); ++index) {
    auto bo = made->drm->device(index).find_bo([&](const GemBo& one) { return identity_of(one.memfd()) == wanted; });
    if (bo != nullptr) return std::make_shared<FdObject>(std::move(bo));
  }
  return nullptr;
}

}  // namespace

FdObjectPtr adopt_fd(int fd) {
  const long flags = raw_syscall(SYS_fcntl, fd, F_GETFL);
  if (flags < 0 || (flags & O_PATH) != 0) return nullptr;
  FdObjectPtr object = adopt_device(fd);
  if (object == nullptr && session() != nullptr) {
    const Identity identity = identity_of(fd);
    object = find_with_inode(identity);
    if (object == nullptr) object = find_sync_file(fd);
    if (object == nullptr) object = find_buffer(identity);
  }
  if (object == nullptr) return nullptr;
  put_fd(fd, object);
  return object;
}

void note_sent_fd(int fd) {
  FdObjectPtr object = find_fd(fd);
  if (object == nullptr || object->kind() != FdObject::Kind::kDevice) return;
  FdObjectPtr oldest;  // dies after the lock
  Hold hold;
  auto& files = sent_files();
  if (std::find(files.begin(), files.end(), object) != files.end()) return;
  files.push_back(std::move(object));
  if (files.size() <= kSentMax) return;
  oldest = std::move(files.front());
  files.erase(files.begin());
}

FdObjectPtr find_or_adopt_fd(int fd) {
  if (auto object = find_fd(fd); object != nullptr) return object;
  return adopt_fd(fd);
}

// Held from the first to the second, across fork.
void fd_table_before_fork() { lock.hold_over_fork(); }
void fd_table_after_fork() { lock.release_after_fork(); }

bool is_internal_fd(int fd) {
  if (session() == nullptr || !maybe_engine_fd(fd) || maybe_ours(fd) || !owns_fd_table()) return false;
  if (fd < kInternalFdMin) return is_remembered_engine_fd(fd);
  const std::string link = link_of_fd(fd);
  for (const char* name :
       {"/memfd:softxe", "anon_inode:[userfaultfd]", "anon_inode:[eventfd]", "anon_inode:[pidfd]", "/proc/"})
    if (link.starts_with(name)) return true;
  return false;
}

FdLayer& fd_layer() {
  static auto* layer = new PreloadFds;
  return *layer;
}

}  // namespace softxe::preload
