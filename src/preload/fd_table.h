// FdTable: what the client's descriptors mean when they are the engine's: device files, dma-bufs, sync_files,
// syncobjs, and files whose text was made at open.
//
// The kernel knows such a descriptor as an ordinary file (the node in the shadow tree, the object's memfd,
// an eventfd), so dup, fork, poll, lseek and mmap do what they should. The table follows dup and close
// through the interposed symbols; what slips through is found by comparing st_dev and st_ino. A device's open file is
// known by its mark: a number that was put into its file position, which all its descriptors share, whatever way they
// came (a message to oneself, pidfd_getfd()).
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "abi/drm_device.h"
#include "abi/vfs.h"
#include "drv/exec/sw_sync.h"

namespace softxe::preload {

/// One open file description of the engine; several descriptors may show the same one.
class FdObject {
 public:
  enum class Kind : std::uint8_t { kDevice, kDmaBuf, kSyncFile, kSyncobj, kDynamic, kSwSync };

  explicit FdObject(DeviceNode node);
  explicit FdObject(std::shared_ptr<GemBo> bo);
  explicit FdObject(std::shared_ptr<SyncFile> file);
  explicit FdObject(SyncobjPtr object);
  FdObject(DynamicFile file, std::string client_path);
  explicit FdObject(std::shared_ptr<SwTimeline> timeline);
  /// In a fork child the parent's objects are left alone: their threads are not here.
  ~FdObject();
  FdObject(const FdObject&) = delete;
  FdObject& operator=(const FdObject&) = delete;

  Kind kind() const { return kind_; }
  const DeviceNode& node() const { return node_; }
  const DynamicFile& dynamic() const { return dynamic_; }
  /// What /proc/self/fd/N must read: the node's or the file's path; empty for the others.
  const std::string& client_path() const { return client_path_; }
  /// The file behind a device descriptor, made at the first use in this process. Inside an EngineScope.
  Result<std::shared_ptr<DrmFile>> drm_file();
  /// The same if it is there already: no session is made.
  std::shared_ptr<DrmFile> existing_drm_file();
  /// Of an open device file: puts the mark into its position, or learns the one that is there.
  void mark(int fd);
  bool has_mark(std::uint64_t mark) const { return mark != 0 && mark == mark_; }
  /// In a fork child, while its session is made and nobody can be inside: a thread of the parent may have held
  /// the lock at the fork.
  void renew_lock();
  /// In a fork child, while its session is made: what this descriptor means here (fork_image.h).
  void inherit(std::shared_ptr<DrmFile> file);
  void inherit(std::shared_ptr<SyncFile> file);
  void inherit(SyncobjPtr object);
  /// In a fork child: an object of this process over the same bytes.
  std::shared_ptr<GemBo> dma_buf();
  /// In a fork child: copies that follow the parent's. None: not of this kind, or no session can be made.
  std::shared_ptr<SyncFile> sync_file();
  SyncobjPtr syncobj();
  /// None in a fork child: the timeline is its parent's.
  std::shared_ptr<SwTimeline> sw_timeline();

 private:
  bool current() const;
  template <typename T>
  void replace(std::shared_ptr<T> FdObject::*member, std::shared_ptr<T> mine);
  template <typename T>
  std::shared_ptr<T> of_this_process(Kind kind, std::shared_ptr<T> FdObject::*member);

  const Kind kind_;
  DeviceNode node_{};
  DynamicFile dynamic_{};
  std::string client_path_;
  std::uint64_t mark_ = 0;
  std::uint64_t generation_;  ///< of the session that made the pointers below
  LeafMutex lock_{"FdObject"};
  std::shared_ptr<DrmFile> file_;
  std::shared_ptr<GemBo> bo_;
  unsigned bo_device_ = 0;
  std::shared_ptr<SyncFile> sync_file_;
  SyncobjPtr syncobj_;
  std::shared_ptr<SwTimeline> sw_timeline_;
};
using FdObjectPtr = std::shared_ptr<FdObject>;

/// May this descriptor be in the table? A few instructions; wrong only for descriptors that were
/// closed behind our back.
bool maybe_ours(int fd);

/// The object behind a descriptor, or null. All of these: inside an EngineScope. Where the caller does not own the
/// table (fd_owner.h), nothing in it is changed.
FdObjectPtr find_fd(int fd);
void put_fd(int fd, FdObjectPtr object);
/// Call before the descriptor is closed. What is returned dies with the caller's copy.
FdObjectPtr take_fd(int fd);
/// A file of its own for an opened node.
std::shared_ptr<DrmFile> open_node(DrmProcess& drm, const DeviceNode& node);
/// Every descriptor in the table and what it means.
std::vector<std::pair<int, FdObjectPtr>> all_fds();
/// After a successful dup.
void copy_fd(int from, int to);
/// A descriptor that came another way than by open or dup: over exec, in a message to oneself. A device is recognised
/// by what /proc says of it, the others by what is behind a descriptor or an object that is known. O_PATH: null.
FdObjectPtr adopt_fd(int fd);
/// A descriptor goes out in a message: its device file lives on though every descriptor of it may be closed before the
/// message is read, by this process or another. The last few are kept, as nobody tells when it was.
void note_sent_fd(int fd);
/// find_fd(), else adopt_fd().
FdObjectPtr find_or_adopt_fd(int fd);

/// Around fork.
void fd_table_before_fork();
void fd_table_after_fork();

/// The descriptors of the engine itself, high in the table: the client must not close them.
bool is_internal_fd(int fd);

/// Publishes what ioctls hand out.
FdLayer& fd_layer();

}  // namespace softxe::preload
