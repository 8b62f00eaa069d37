#include "preload/fork_image.h"

#include <sys/syscall.h>

#include <functional>
#include <map>
#include <memory>
#include <set>

#include "abi/file_image.h"
#include "base/event_ring.h"
#include "base/log.h"
#include "drv/exec/fork_syncs.h"
#include "preload/engine_scope.h"
#include "preload/fd_table.h"
#include "preload/session.h"
#include "preload/spin_futex.h"
#include "preload/threads.h"

namespace softxe::preload {
namespace {

/// By the object behind a descriptor, which the child's table has at the same place.
struct ForkImage {
  /// Weak: the last reference to a file may close it, and a fork is no place for that.
  template <typename T>
  struct Entry {
    std::weak_ptr<FdObject> object;
    T what;
  };
  template <typename T>
  using Entries = std::map<const FdObject*, Entry<T>>;

  struct Device {
    DeviceSettings settings;
    DrmDevice::Names names;
  };

  ForkSyncs syncs;
  std::vector<Device> devices;
  Entries<FileImage> files;
  Entries<FencePtr> sync_files;
  Entries<SyncobjPtr> syncobjs;
  /// Of the thread that follows, in the child, what the parent signals. Never joined: it ends by itself, or with
  /// the process.
  std::function<void()> watcher;
};

/// Of the fork that this thread is about to do; only this thread knows it.
constinit thread_local ForkImage* taken = nullptr;
/// In a child: what it has not yet used.
constinit ForkImage* inherited = nullptr;
/// Between the two, `inherited` is about to be used up by a thread that makes the session.
constinit bool claiming = false;
constinit SpinFutex gate;

/// What is behind the client's descriptors, each with one of those that lead to it.
std::vector<std::pair<int, FdObjectPtr>> objects_once() {
  auto all = all_fds();
  std::set<const FdObject*> seen;
  std::erase_if(all, [&seen](const auto& entry) { return !seen.insert(entry.second.get()).second; });
  return all;
}

template <typename T>
const T* find_in(const ForkImage::Entries<T>& entries, const FdObjectPtr& object) {
  const auto at = entries.find(object.get());
  return at != entries.end() && at->second.object.lock() == object ? &at->second.what : nullptr;
}

void add_to(ForkImage& image, const FdObjectPtr& object) {
  if (const auto file = object->existing_drm_file()) image.files[object.get()] = {object, file->image(image.syncs)};
  if (const auto file = object->sync_file()) image.sync_files[object.get()] = {object, image.syncs.copy(file->fence())};
  if (const auto syncobj = object->syncobj()) image.syncobjs[object.get()] = {object, image.syncs.copy(syncobj)};
}

/// The inherited descriptor itself becomes readable when the parent's fence signals; that it does so when the
/// parent has ended is up to us.
std::shared_ptr<SyncFile> sync_file_over(int fd, const FencePtr& fence) {
  auto event = EventFd::from_client(fd);
  if (!event) return nullptr;
  fence->on_signal([event = *event] { event->add_one(); });
  return std::make_shared<SyncFile>(fence, std::move(*event));
}

void claim_one(ForkImage& image, DrmProcess& drm, int fd, const FdObjectPtr& object) {
  if (const auto* parents = find_in(image.files, object); parents != nullptr) {
    auto file = open_node(drm, object->node());
    const std::size_t lost = file->inherit(*parents);
    SX_INFO("{} inherited over fork: {} VMs, {} queues, {} objects, {} syncobjs; {} lost", object->client_path(),
            parents->vms.size(), parents->queues.size(), parents->objects.size(), parents->syncobjs.size(), lost);
    object->inherit(std::move(file));
  }
  if (const auto* fence = find_in(image.sync_files, object); fence != nullptr)
    if (auto file = sync_file_over(fd, *fence)) object->inherit(std::move(file));
  if (const auto* syncobj = find_in(image.syncobjs, object); syncobj != nullptr) object->inherit(*syncobj);
}

}  // namespace

void fork_image_take() {
  fork_image_drop();
  if (session() == nullptr) return;
  run_in_engine([] {
    const EventScope forks(emit({.word = SYS_fork, .kind = EventKind::kCall}));
    auto image = std::make_unique<ForkImage>();
    for (const auto& [fd, object] : objects_once()) add_to(*image, object);
    for (unsigned index = 0; index < session()->drm->device_count(); ++index)
      image->devices.push_back({session()->files[index]->settings(), session()->drm->device(index).names()});
    image->syncs.open_parent();
    taken = image.release();
  });
}

bool fork_image_taken() { return taken != nullptr; }

void fork_image_hold() { gate.hold_over_fork(); }
void fork_image_release() { gate.release_after_fork(); }

void fork_image_drop() {
  if (taken == nullptr) return;
  run_in_engine([] { delete std::exchange(taken, nullptr); });
}

// A parent that had a session has used up what it had inherited, or is in the middle of it: then that is lost.
void fork_image_keep() {
  gate.assert_held();
  if (taken != nullptr || claiming) inherited = std::exchange(taken, nullptr);
  claiming = false;
  gate.release_after_fork();
}

void claim_fork_image(DrmProcess& drm, std::span<const std::unique_ptr<PreloadDeviceFiles>> files) {
  if (generation() > 1)
    for (const auto& [fd, object] : all_fds()) object->renew_lock();
  gate.lock();
  ForkImage* image = inherited;
  if (image != nullptr) claiming = true;
  gate.unlock();
  if (image == nullptr) return;
  for (const auto& [fd, object] : objects_once()) claim_one(*image, drm, fd, object);
  for (unsigned index = 0; index < image->devices.size(); ++index) {
    files[index]->inherit(image->devices[index].settings);
    drm.device(index).inherit_names(image->devices[index].names);
  }
  if (image->syncs.has_pending()) {
    if (auto start = engine_thread_starter(drm.device_count() + 1))
      image->watcher = (*start)([image] { image->syncs.watch(); });
  }
  inherited = nullptr;  // and never destroyed: it holds what is the parent's
}

}  // namespace softxe::preload
