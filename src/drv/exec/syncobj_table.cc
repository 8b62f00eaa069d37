#include "drv/exec/syncobj_table.h"

namespace softxe {

namespace {

std::uint32_t number(SyncobjHandle handle) { return static_cast<std::uint32_t>(handle); }

/// TRANSFER with WAIT_FOR_SUBMIT gives up after this long.
constexpr std::uint64_t kTransferWaitNs = 5'000'000'000;

/// One running WAIT: shared with the watchers and fence callbacks it left behind.
class WaitState {
 public:
  enum class Entry : std::uint8_t { kMissing, kPending, kReady };
  enum class Counts : std::uint8_t { kSignalled, kAvailable };

  WaitState(std::size_t entries, Counts counts) : counts_(counts), entries_(entries) {}

  /// The point of entry `i` was found. Only the first fence found counts (spec/uapi.md 17).
  void found(std::size_t i, const FencePtr& fence, const std::shared_ptr<WaitState>& self) {
    bool listen = false;
    monitor_.update([&] {
      if (entries_[i] != Entry::kMissing) return;
      const bool ready = counts_ == Counts::kAvailable || fence->signalled();
      entries_[i] = ready ? Entry::kReady : Entry::kPending;
      listen = !ready;
    });
    if (!listen) return;
    const Fence::Ticket ticket =
        fence->on_signal([self, i] { self->monitor_.update([&] { self->entries_[i] = Entry::kReady; }); });
    Guard hold(listening_lock_);
    listening_.emplace_back(fence, ticket);
  }

  Status wait(WaitContext& context, Deadline deadline, bool all) {
    return monitor_.wait(context, deadline, [&] { return all ? all_ready() : first_ready_locked(); });
  }

  /// Index of the first ready entry, all ones when none is.
  std::uint32_t first_ready() {
    std::uint32_t first = ~0u;
    monitor_.update([&] {
      for (std::size_t i = entries_.size(); i-- > 0;)
        if (entries_[i] == Entry::kReady) first = static_cast<std::uint32_t>(i);
    });
    return first;
  }

  /// Leaves nothing behind on fences that live long.
  void stop_listening() {
    std::vector<std::pair<FencePtr, Fence::Ticket>> listening;
    {
      Guard hold(listening_lock_);
      listening.swap(listening_);
    }
    for (const auto& [fence, ticket] : listening) fence->forget(ticket);
  }

 private:
  bool all_ready() const {
    for (Entry e : entries_)
      if (e != Entry::kReady) return false;
    return true;
  }
  bool first_ready_locked() const {
    for (Entry e : entries_)
      if (e == Entry::kReady) return true;
    return false;
  }

  const Counts counts_;
  Monitor monitor_;
  std::vector<Entry> entries_;  ///< inside monitor_
  LeafMutex listening_lock_{"WaitState"};
  std::vector<std::pair<FencePtr, Fence::Ticket>> listening_ SX_GUARDED_BY(listening_lock_);
};

}  // namespace

// ---- handles -------------------------------------------------------------------------------------

Result<SyncobjHandle> SyncobjTable::create(Syncobj::Initially initially) {
  return import(std::make_shared<Syncobj>(initially));
}

Result<SyncobjHandle> SyncobjTable::import(SyncobjPtr object) {
  SX_TRY(const std::uint32_t id, table_.add(std::move(object)));
  return SyncobjHandle{id};
}

Status SyncobjTable::destroy(SyncobjHandle handle) {
  if (table_.remove(number(handle)) == nullptr) return fail(EINVAL, "no such syncobj to destroy");
  return {};
}

SyncobjPtr SyncobjTable::find(SyncobjHandle handle) const { return table_.find(number(handle)); }

Result<SyncobjPtr> SyncobjTable::export_object(SyncobjHandle handle) const {
  SyncobjPtr object = find(handle);
  if (object == nullptr) return fail(EINVAL, "no such syncobj to export");
  return object;
}

Result<std::vector<SyncobjPtr>> SyncobjTable::resolve(std::span<const SyncobjHandle> handles) const {
  if (handles.empty()) return fail(EINVAL, "no syncobj handles given");
  std::vector<SyncobjPtr> objects;
  for (SyncobjHandle handle : handles) {
    objects.push_back(find(handle));
    if (objects.back() == nullptr) return fail(ENOENT, "no such syncobj");
  }
  return objects;
}

// ---- sync files ----------------------------------------------------------------------------------

Result<std::shared_ptr<SyncFile>> SyncobjTable::export_sync_file(SyncPoint from) const {
  const SyncobjPtr object = find(from.handle);
  if (object == nullptr) return fail(ENOENT, "no such syncobj to export a fence from");
  FencePtr fence = object->find(from.point);
  if (fence == nullptr) return fail(EINVAL, "syncobj has no fence there to export");
  return SyncFile::make(std::move(fence));
}

Status SyncobjTable::import_sync_file(SyncPoint into, const SyncFile& file) {
  const SyncobjPtr object = find(into.handle);
  if (object == nullptr) return fail(ENOENT, "no such syncobj to import a fence into");
  object->add_point(into.point, file.fence());
  return {};
}

// ---- content -------------------------------------------------------------------------------------

Status SyncobjTable::reset(std::span<const SyncobjHandle> handles) {
  SX_TRY(const auto objects, resolve(handles));
  for (const SyncobjPtr& object : objects) object->replace(nullptr);
  return {};
}

Status SyncobjTable::signal(std::span<const SyncobjHandle> handles) {
  SX_TRY(const auto objects, resolve(handles));
  for (const SyncobjPtr& object : objects) object->replace(Fence::signalled_stub());
  return {};
}

Status SyncobjTable::timeline_signal(std::span<const SyncPoint> points) {
  std::vector<SyncobjHandle> handles;
  for (const SyncPoint& point : points) handles.push_back(point.handle);
  SX_TRY(const auto objects, resolve(handles));
  for (std::size_t i = 0; i < points.size(); ++i) objects[i]->add_point(points[i].point, Fence::signalled_stub());
  return {};
}

Result<std::vector<std::uint64_t>> SyncobjTable::query(std::span<const SyncobjHandle> handles,
                                                       Syncobj::Query what) const {
  SX_TRY(const auto objects, resolve(handles));
  std::vector<std::uint64_t> values;
  for (const SyncobjPtr& object : objects) values.push_back(object->query(what));
  return values;
}

Status SyncobjTable::transfer(const SyncobjTransferRequest& request, WaitContext& context) {
  const SyncobjPtr source = find(request.source.handle);
  const SyncobjPtr destination = find(request.destination.handle);
  if (source == nullptr || destination == nullptr) return fail(ENOENT, "no such syncobj");
  FencePtr fence = source->find(request.source.point);
  if (fence == nullptr) {
    if (!request.for_submit) return fail(EINVAL, "nothing to transfer from that point");
    auto arrived = Fence::pending();
    const auto ticket = source->watch([arrived, point = request.source.point](const FencePtr& head) {
      const bool there = find_point(head, point) != nullptr;
      if (there) arrived->signal();
      return there;
    });
    const Status waited = arrived->wait(context, Deadline::after(context.clock, kTransferWaitNs));
    source->unwatch(ticket);
    SX_TRY_VOID(waited);
    fence = source->find(request.source.point);
    if (fence == nullptr) return fail(EINVAL, "the point was reset while it was waited for");
  }
  destination->add_point(request.destination.point, fence);
  return {};
}

// ---- waiting -------------------------------------------------------------------------------------

Result<SyncobjWaitAnswer> SyncobjTable::wait(const SyncobjWaitRequest& request, WaitContext& context) const {
  if (request.points.empty()) return SyncobjWaitAnswer{};
  std::vector<SyncobjHandle> handles;
  for (const SyncPoint& point : request.points) handles.push_back(point.handle);
  SX_TRY(const auto objects, resolve(handles));

  const bool may_come = request.for_submit || request.available;
  auto state = std::make_shared<WaitState>(
      objects.size(), request.available ? WaitState::Counts::kAvailable : WaitState::Counts::kSignalled);
  std::vector<Syncobj::WatchTicket> watches(objects.size());
  Status status;
  for (std::size_t i = 0; i < objects.size() && status; ++i) {
    const std::uint64_t point = request.points[i].point;
    if (!may_come && objects[i]->find(point) == nullptr) {
      status = fail(EINVAL, "waiting for a fence that was never submitted");
      break;
    }
    watches[i] = objects[i]->watch([state, i, point](const FencePtr& head) {
      const FencePtr fence = find_point(head, point);
      if (fence != nullptr) state->found(i, fence, state);
      return fence != nullptr;
    });
  }
  if (status) status = state->wait(context, request.deadline, request.all);
  for (std::size_t i = 0; i < objects.size(); ++i)
    if (watches[i] != 0) objects[i]->unwatch(watches[i]);
  state->stop_listening();
  SX_TRY_VOID(status);
  return SyncobjWaitAnswer{state->first_ready()};
}

Status SyncobjTable::register_eventfd(SyncPoint point, EventKind kind, const std::shared_ptr<EventFd>& event) {
  const SyncobjPtr object = find(point.handle);
  if (object == nullptr) return fail(ENOENT, "no such syncobj");
  object->watch(
      [point = point.point, kind, event, once = std::make_shared<std::atomic<bool>>(false)](const FencePtr& head) {
        const FencePtr fence = find_point(head, point);
        if (fence == nullptr) return false;
        if (once->exchange(true)) return true;
        if (kind == EventKind::kAvailable) {
          event->add_one();
        } else {
          fence->on_signal([event] { event->add_one(); });
        }
        return true;
      });
  return {};
}

}  // namespace softxe
