// A kernel writes where nothing is mapped. Its queue is banned; the program must get an error from every way to wait,
// and must end. Each row is a process of its own, which is started with `--ban WAY`.
#include <sys/mman.h>

#include <cstring>

#include "rows.h"

namespace {

/// The status of `way`'s last call.
cl_int wait_by(kit::Runtime& rt, const std::string& way) {
  constexpr size_t kBytes = 4096;
  const cl_queue_properties profiling[] = {CL_QUEUE_PROPERTIES, CL_QUEUE_PROFILING_ENABLE, 0};
  cl_int status = 0;
  cl_command_queue queue = clCreateCommandQueueWithProperties(rt.context, rt.device, way == "profiling" ? profiling : nullptr, &status);
  kit::check_cl(status, "queue");
  cl_mem buffer = clCreateBuffer(rt.context, CL_MEM_READ_WRITE, kBytes, nullptr, &status);
  kit::check_cl(status, "buffer");
  void* gone = mmap(nullptr, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  munmap(gone, 1 << 20);
  kit::Kernel bad(rt, "kernel void k(ulong p) { *(global int*)p = get_global_id(0); }");
  kit::Kernel good(rt, "kernel void k(global int* p) { p[get_global_id(0)] = 1; }");
  bad.value(reinterpret_cast<cl_ulong>(gone));
  kit::check_cl(clSetKernelArg(good.get(), 0, sizeof buffer, &buffer), "argument");
  cl_event event = nullptr;
  bad.enqueue({.global = {64}}, queue, &event);
  char bytes[kBytes];
  if (way == "event") return clWaitForEvents(1, &event);
  if (way == "read") return clEnqueueReadBuffer(queue, buffer, CL_TRUE, 0, kBytes, bytes, 0, nullptr, nullptr);
  if (way == "read-after-event") return clEnqueueReadBuffer(queue, buffer, CL_TRUE, 0, kBytes, bytes, 1, &event, nullptr);
  if (way == "map") {
    clEnqueueMapBuffer(queue, buffer, CL_TRUE, CL_MAP_READ, 0, kBytes, 0, nullptr, nullptr, &status);
    return status;
  }
  status = clFinish(queue);
  if (way == "finish" || way == "profiling" || status == CL_SUCCESS) return status;
  const size_t global = 64;
  cl_command_queue next = way == "other-queue" ? rt.queue : queue;
  const cl_int enqueued = clEnqueueNDRangeKernel(next, good.get(), 1, nullptr, &global, nullptr, 0, nullptr, nullptr);
  const cl_int finished = clFinish(next);
  // Queues of one context share an engine's queue: whether the second one is banned with it is the runtime's business.
  return way == "other-queue" || enqueued != CL_SUCCESS ? CL_OUT_OF_RESOURCES : finished;
}

}  // namespace

int ban(const char* way) {
  try {
    kit::Runtime rt({});
    const cl_int status = wait_by(rt, way);
    return status < 0 ? 0 : 1;
  } catch (const kit::Failed& failure) {
    std::printf("%s\n", failure.why.c_str());
    return 2;
  }
}

void add_ban_rows(std::vector<kit::Row>& rows) {
  static constexpr const char* kNames[] = {"ban-finish", "ban-event", "ban-read", "ban-map", "ban-read-after-event",
                                           "ban-profiling", "ban-queue-again", "ban-other-queue"};
  for (const char* name : kNames) rows.push_back({name, [=](kit::Runtime&) { kit::run_ban(name + std::strlen("ban-")); }});
}
