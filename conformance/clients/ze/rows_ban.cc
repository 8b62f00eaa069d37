// A kernel writes where nothing is mapped. Its queue is banned; the program must get an error from every way to wait,
// those of the copy engine's queue that waits for the kernel included, and must end. Each row is a process of its own,
// which is started with `--ban WAY`.
#include <sys/mman.h>

#include "rows.h"

namespace {

constexpr uint64_t kForEver = UINT64_MAX;

ze_result_t wait_by(kit::World& w, const std::string& way) {
  kit::Module module(w, "kernel void k(ulong p) { *(global int*)p = get_global_id(0); }");
  void* gone = mmap(nullptr, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  munmap(gone, 1 << 20);
  kit::Kernel bad(module);
  bad.arg(gone).group(32);
  kit::Events events(w, 2, way == "timestamp" ? kit::Events::Has::kTimestamps : kit::Events::Has::kNothing);
  kit::Array<int> from(w, 1024), to(w, 1024);
  if (way == "queue") {
    kit::Commands list(w, kit::Kind::kRegular);
    list.launch(bad, 2);
    list.start();
    return zeCommandQueueSynchronize(list.queue(), kForEver);
  }
  kit::Commands list(w, kit::Kind::kImmediate);
  list.launch(bad, 2, events[0]);
  if (way != "copy") return zeEventHostSynchronize(events[0], kForEver);
  kit::Commands copies(w, w.context, kit::Kind::kImmediate, w.copies);
  copies.copy(to.get(), from.get(), from.bytes(), events[1], {events[0]});
  return zeEventHostSynchronize(events[1], kForEver);
}

}  // namespace

int ban(const char* way) {
  try {
    kit::World w;
    const ze_result_t result = wait_by(w, way);
    if (result == ZE_RESULT_ERROR_DEVICE_LOST) return 0;
    std::printf("the wait ended with %#x\n", static_cast<unsigned>(result));
    return 1;
  } catch (const kit::Failed& failure) {
    std::printf("%s\n", failure.why.c_str());
    return 2;
  }
}

void add_ban_rows(std::vector<kit::Row>& rows) {
  for (const char* way : {"event", "timestamp", "queue", "copy"})
    rows.push_back({std::string("ban-") + way, [=](kit::World&) { kit::run_ban(way); }});
}
