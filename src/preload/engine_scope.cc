#include "preload/engine_scope.h"

#include <cerrno>

#include "preload/session.h"

namespace softxe::preload {
namespace {
thread_local constinit unsigned depth = 0;
}  // namespace

bool in_engine() { return depth != 0; }
bool interposing() { return depth == 0 && active(); }
void adopt_engine_thread() { depth = 1; }

EngineScope::EngineScope() : errno_(errno) {
  outermost_ = depth++ == 0;
  if (!outermost_) return;
  mm_ = live_mm();
  if (mm_ != nullptr) {
    live::EngineSection::enter(*mm_);
  } else {
    mask_ = live::block_signals();
  }
}

EngineScope::~EngineScope() {
  if (outermost_) {
    if (mm_ != nullptr) {
      live::EngineSection::leave();
    } else {
      live::restore_signals(mask_);
    }
  }
  --depth;
  errno = errno_;
}

EngineMark::EngineMark() { ++depth; }
EngineMark::~EngineMark() { --depth; }

}  // namespace softxe::preload
