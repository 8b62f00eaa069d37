// The search for leaks of a sanitizer (-fsanitize=address, =leak): it stops all threads of the process, those of the
// engine among them, and then reads the heap from a thread of its own, which nobody would bring a page from VRAM.
//
// It does so inside dl_iterate_phdr(), the one call of libc's on its way. So when a runtime that can search for leaks
// calls that, everything comes home and stays there until the call returns.
#include <dlfcn.h>
#include <link.h>

#include "preload/engine_scope.h"
#include "preload/interpose.h"
#include "preload/session.h"

namespace softxe::preload {
namespace {

using Visit = int (*)(dl_phdr_info*, std::size_t, void*);

const void* library_of(const void* address) {
  Dl_info info{};
  return address != nullptr && dladdr(address, &info) != 0 ? info.dli_fbase : nullptr;
}

/// The program itself, where it is linked statically with the runtime.
bool may_search_for_leaks(const void* caller) {
  const void* searcher = library_of(dlsym(RTLD_DEFAULT, "__lsan_do_leak_check"));
  return searcher != nullptr && searcher == library_of(caller);
}

}  // namespace

SX_INTERPOSE(int, dl_iterate_phdr, (Visit visit, void* data)) {
  static constinit Real<int(Visit, void*)> real{"dl_iterate_phdr"};
  live::LiveHostMm* mm = interposing() ? live_mm() : nullptr;
  if (mm == nullptr || !may_search_for_leaks(__builtin_return_address(0))) return real(visit, data);
  const EngineEntry entry;  // `visit` may make calls that are hooked: the lock is held
  on_engine_stack([mm] { mm->fork_before(); });
  const int result = real(visit, data);
  mm->fork_after_parent();
  return result;
}

}  // namespace softxe::preload
