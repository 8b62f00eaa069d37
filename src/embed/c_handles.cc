#include "embed/c_handles.h"

namespace softxe::api {

HandleTable& HandleTable::instance() {
  static auto* const table = new HandleTable;
  return *table;
}

std::uint64_t HandleTable::add(Object object) {
  std::lock_guard hold(mutex_);
  objects_.emplace(next_, std::move(object));
  return next_++;
}

}  // namespace softxe::api
