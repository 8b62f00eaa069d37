// ImplicitFences: whose work on a buffer object others are to wait for without being told (spec/uapi.md 18).
//
// Xe's jobs and binds synchronise explicitly: they neither add fences here nor wait for these. Clients do, through the
// object's dma-buf: IMPORT_SYNC_FILE adds the fence of work on the object, EXPORT_SYNC_FILE asks what to wait for.
#pragma once

#include <cstddef>
#include <vector>

#include "base/lock.h"
#include "drv/exec/fence.h"

namespace softxe {

/// Thread-safe. Owns its fences until they are signalled and somebody adds another.
class ImplicitFences {
 public:
  enum class Use : std::uint8_t { kRead, kWrite };

  /// Until `fence` is signalled, the object is in use. Adding one again changes nothing but a read into a write.
  void add(FencePtr fence, Use use);
  /// Signalled when somebody may begin to use the object so: to read it, all who write must be done; to write it,
  /// all. Fails as the first of them, in the order of add(), that fails from now on.
  FencePtr before(Use use) const;
  /// How many are kept.
  std::size_t size() const;

 private:
  struct Entry {
    FencePtr fence;
    Use use;
  };
  mutable LeafMutex lock_{"ImplicitFences"};
  std::vector<Entry> entries_ SX_GUARDED_BY(lock_);
};

}  // namespace softxe
