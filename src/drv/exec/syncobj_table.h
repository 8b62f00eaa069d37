// SyncobjTable: the syncobjs that one open file owns and the DRM_SYNCOBJ operations on them, errno by errno
// (spec/uapi.md 17). Flags and pads are checked by abi/; what depends on the objects is checked here. Thread-safe.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "drv/exec/id_table.h"
#include "drv/exec/sync_file.h"
#include "drv/exec/syncobj.h"
#include "drv/requests.h"

namespace softxe {

/// A syncobj and a point of it; point 0 is its current fence.
struct SyncPoint {
  SyncobjHandle handle{};
  std::uint64_t point = 0;
};

struct SyncobjWaitRequest {
  std::vector<SyncPoint> points;  ///< point 0 everywhere for the plain WAIT
  bool all = false;
  bool for_submit = false;
  bool available = false;  ///< TIMELINE_WAIT only
  Deadline deadline{};     ///< 0 or past: test once
};

/// Answer of WAIT_ANY: which entry was first. Left alone for an empty list.
struct SyncobjWaitAnswer {
  std::uint32_t first_signalled = ~0u;
};

struct SyncobjTransferRequest {
  SyncPoint source;
  SyncPoint destination;  ///< point 0: replace its fence
  bool for_submit = false;
};

class SyncobjTable {
 public:
  /// By handle (IdTable::slots), and in a fork child: these stand under those handles.
  std::vector<SyncobjPtr> slots() const { return table_.slots(); }
  void inherit(const std::vector<SyncobjPtr>& copies) {
    table_.inherit(copies, [](const SyncobjPtr& copy) { return copy; });
  }
  // ENOSPC when the table is full.
  Result<SyncobjHandle> create(Syncobj::Initially initially);
  /// FD_TO_HANDLE: always a new handle.
  Result<SyncobjHandle> import(SyncobjPtr object);
  /// EINVAL for an unknown handle (the only operation besides HANDLE_TO_FD that says so).
  Status destroy(SyncobjHandle handle);
  /// None when unknown.
  SyncobjPtr find(SyncobjHandle handle) const;
  /// HANDLE_TO_FD without EXPORT_SYNC_FILE: EINVAL when unknown.
  Result<SyncobjPtr> export_object(SyncobjHandle handle) const;

  /// ENOENT unknown; EINVAL nothing there.
  Result<std::shared_ptr<SyncFile>> export_sync_file(SyncPoint from) const;
  /// ENOENT unknown. Point 0 replaces.
  Status import_sync_file(SyncPoint into, const SyncFile& file);

  /// All three: EINVAL for an empty list, ENOENT when any handle is unknown (then nothing is changed).
  Status reset(std::span<const SyncobjHandle> handles);
  Status signal(std::span<const SyncobjHandle> handles);
  Status timeline_signal(std::span<const SyncPoint> points);
  Result<std::vector<std::uint64_t>> query(std::span<const SyncobjHandle> handles, Syncobj::Query what) const;

  /// ENOENT, EINVAL (nothing there and not for_submit), ETIME (5 s without a submission), EINTR.
  Status transfer(const SyncobjTransferRequest& request, WaitContext& context);
  /// ENOENT, EINVAL (nothing there and neither for_submit nor available), ETIME, EINTR.
  Result<SyncobjWaitAnswer> wait(const SyncobjWaitRequest& request, WaitContext& context) const;

  enum class EventKind : std::uint8_t { kSignalled, kAvailable };
  /// ENOENT. Adds 1 to the eventfd once, when the point signals (or becomes available).
  Status register_eventfd(SyncPoint point, EventKind kind, const std::shared_ptr<EventFd>& event);

  /// close(fd): every handle is dropped; running waits and registered eventfds go on.
  void clear() { table_.drain(); }
  std::size_t size() const { return table_.size(); }

 private:
  Result<std::vector<SyncobjPtr>> resolve(std::span<const SyncobjHandle> handles) const;

  IdTable<SyncobjPtr> table_;
};

}  // namespace softxe
