// What a host program does around kernels: queues out of order, events of its own, callbacks, parts of buffers, maps,
// rectangles, programs from parts, many objects, many threads.
#include <atomic>
#include <cstring>
#include <thread>

#include "rows.h"

namespace {

using kit::check_cl;
using kit::Kernel;
using kit::Random;
using kit::Runtime;
using uint = std::uint32_t;

/// Objects of the interface, released with the row.
class Objects {
 public:
  explicit Objects(Runtime& rt) : rt_(rt) {}
  ~Objects() {
    for (cl_event event : events_) clReleaseEvent(event);
    for (cl_command_queue queue : queues_) clReleaseCommandQueue(queue);
    for (cl_mem buffer : buffers_) clReleaseMemObject(buffer);
  }
  Objects(const Objects&) = delete;
  Objects& operator=(const Objects&) = delete;
  cl_command_queue queue(cl_command_queue_properties properties = 0) {
    const cl_queue_properties list[] = {CL_QUEUE_PROPERTIES, properties, 0};
    cl_int status = 0;
    queues_.push_back(clCreateCommandQueueWithProperties(rt_.context, rt_.device, list, &status));
    check_cl(status, "queue");
    return queues_.back();
  }
  cl_mem buffer(size_t bytes, const void* from = nullptr) {
    cl_int status = 0;
    buffers_.push_back(clCreateBuffer(rt_.context, CL_MEM_READ_WRITE | (from != nullptr ? CL_MEM_COPY_HOST_PTR : 0), bytes, const_cast<void*>(from), &status));
    check_cl(status, "buffer");
    return buffers_.back();
  }
  cl_mem part(cl_mem of, size_t origin, size_t bytes) {
    const cl_buffer_region region = {origin, bytes};
    cl_int status = 0;
    buffers_.push_back(clCreateSubBuffer(of, CL_MEM_READ_WRITE, CL_BUFFER_CREATE_TYPE_REGION, &region, &status));
    check_cl(status, "part of a buffer");
    return buffers_.back();
  }
  cl_event user_event() {
    cl_int status = 0;
    events_.push_back(clCreateUserEvent(rt_.context, &status));
    check_cl(status, "event");
    return events_.back();
  }
  /// For a command to fill in; ours from then on.
  cl_event keep(cl_event event) { return events_.emplace_back(event); }

 private:
  Runtime& rt_;
  std::vector<cl_event> events_;
  std::vector<cl_command_queue> queues_;
  std::vector<cl_mem> buffers_;
};

void set(cl_kernel kernel, cl_uint index, const void* value, size_t bytes) { check_cl(clSetKernelArg(kernel, index, bytes, value), "argument"); }
std::vector<uint> read(cl_command_queue queue, cl_mem buffer, size_t words) {
  std::vector<uint> got(words);
  check_cl(clEnqueueReadBuffer(queue, buffer, CL_TRUE, 0, words * 4, got.data(), 0, nullptr, nullptr), "read");
  return got;
}
void same(const std::vector<uint>& got, const std::vector<uint>& want) {
  for (size_t i = 0; i < want.size(); ++i)
    if (got[i] != want[i]) kit::fail("word %zu: got %#x, want %#x", i, got[i], want[i]);
}

constexpr const char* kMix = "kernel void k(global const uint* a, global uint* b, uint tag) { size_t i = get_global_id(0); b[i] = b[i] * 3 + a[i] + tag; }";
constexpr size_t kWords = 3000;

/// 200 kernels over eight buffers in a queue out of order, each behind the last that touched one of its buffers.
void out_of_order(Runtime& rt) {
  Objects objects(rt);
  cl_command_queue queue = objects.queue(CL_QUEUE_OUT_OF_ORDER_EXEC_MODE_ENABLE);
  Kernel mix(rt, kMix);
  Random random;
  std::vector<std::vector<uint>> want(8, std::vector<uint>(kWords));
  std::vector<cl_mem> buffers;
  std::vector<std::vector<cl_event>> last(8);
  for (auto& words : want) {
    for (uint& w : words) w = random.next();
    buffers.push_back(objects.buffer(kWords * 4, words.data()));
  }
  for (uint n = 0; n < 200; ++n) {
    const size_t from = random.next() % 8, to = (from + 1 + random.next() % 7) % 8;
    set(mix.get(), 0, &buffers[from], sizeof(cl_mem)), set(mix.get(), 1, &buffers[to], sizeof(cl_mem)), set(mix.get(), 2, &n, 4);
    std::vector<cl_event> before = last[from];
    before.insert(before.end(), last[to].begin(), last[to].end());
    cl_event done = nullptr;
    check_cl(clEnqueueNDRangeKernel(queue, mix.get(), 1, nullptr, &kWords, nullptr, cl_uint(before.size()), before.empty() ? nullptr : before.data(), &done), "enqueue");
    last[from].push_back(objects.keep(done));
    last[to] = {done};
    for (size_t i = 0; i < kWords; ++i) want[to][i] = want[to][i] * 3 + want[from][i] + n;
  }
  check_cl(clFinish(queue), "clFinish");
  for (size_t b = 0; b < 8; ++b) same(read(rt.queue, buffers[b], kWords), want[b]);
}

/// Three queues wait for an event that another thread of the program sets; after an error nothing behind it runs.
void user_events(Runtime& rt) {
  for (const cl_int outcome : {CL_COMPLETE, -7}) {
    Objects objects(rt);
    const std::vector<uint> ones(kWords, 1);
    cl_mem a = objects.buffer(kWords * 4, ones.data());
    cl_event start = objects.user_event();
    cl_event last = start;
    Kernel mix(rt, "kernel void k(global uint* a) { size_t i = get_global_id(0); a[i] = a[i] * 2 + i; }");
    set(mix.get(), 0, &a, sizeof a);
    for (int n = 0; n < 3; ++n) {
      cl_event done = nullptr;
      cl_command_queue queue = objects.queue();
      check_cl(clEnqueueNDRangeKernel(queue, mix.get(), 1, nullptr, &kWords, nullptr, 1, &last, &done), "enqueue");
      check_cl(clFlush(queue), "flush");
      last = objects.keep(done);
    }
    cl_int state = 0;
    check_cl(clGetEventInfo(last, CL_EVENT_COMMAND_EXECUTION_STATUS, sizeof state, &state, nullptr), "state");
    if (state == CL_COMPLETE) kit::fail("a kernel ran before its event");
    std::thread([&] { clSetUserEventStatus(start, outcome); }).join();
    const cl_int waited = clWaitForEvents(1, &last);
    if ((waited == CL_SUCCESS) != (outcome == CL_COMPLETE)) kit::fail("waiting gave %d after %d", waited, outcome);
    std::vector<uint> want = ones;
    if (outcome == CL_COMPLETE)
      for (int n = 0; n < 3; ++n)
        for (uint i = 0; i < kWords; ++i) want[i] = want[i] * 2 + i;
    same(read(rt.queue, a, kWords), want);
  }
}

void callbacks(Runtime& rt) {
  constexpr int kCount = 300;
  static std::atomic<int> called{0};
  static std::atomic<int> bad{0};
  called = 0, bad = 0;
  Objects objects(rt);
  const std::vector<uint> zeros(64);
  cl_mem a = objects.buffer(256, zeros.data());
  Kernel add(rt, "kernel void k(global uint* a) { a[get_global_id(0)] += 1; }");
  set(add.get(), 0, &a, sizeof a);
  const size_t global = 64;
  for (int n = 0; n < kCount; ++n) {
    cl_event done = nullptr;
    check_cl(clEnqueueNDRangeKernel(rt.queue, add.get(), 1, nullptr, &global, nullptr, 0, nullptr, &done), "enqueue");
    objects.keep(done);
    check_cl(clSetEventCallback(
                 done, CL_COMPLETE, [](cl_event, cl_int state, void*) { bad += state != CL_COMPLETE, ++called, called.notify_all(); }, nullptr),
             "callback");
  }
  check_cl(clFinish(rt.queue), "clFinish");
  for (int seen = called; seen < kCount; seen = called) called.wait(seen);
  if (bad != 0) kit::fail("%d callbacks had another state", bad.load());
  same(read(rt.queue, a, 64), std::vector<uint>(64, kCount));
}

/// Kernels read one part of a buffer and write another.
void parts_of_buffers(Runtime& rt) {
  constexpr size_t kPart = 1024, kParts = 9;
  Objects objects(rt);
  Random random;
  std::vector<uint> want(kPart * kParts);
  for (uint& w : want) w = random.next();
  cl_mem whole = objects.buffer(want.size() * 4, want.data());
  Kernel mix(rt, kMix);
  for (uint n = 0; n < 30; ++n) {
    const size_t from = random.next() % kParts, to = (from + 1 + random.next() % (kParts - 1)) % kParts, words = kPart - random.next() % 300;
    cl_mem a = objects.part(whole, from * kPart * 4, words * 4), b = objects.part(whole, to * kPart * 4, words * 4);
    set(mix.get(), 0, &a, sizeof a), set(mix.get(), 1, &b, sizeof b), set(mix.get(), 2, &n, 4);
    check_cl(clEnqueueNDRangeKernel(rt.queue, mix.get(), 1, nullptr, &words, nullptr, 0, nullptr, nullptr), "enqueue");
    for (size_t i = 0; i < words; ++i) want[to * kPart + i] = want[to * kPart + i] * 3 + want[from * kPart + i] + n;
  }
  same(read(rt.queue, whole, want.size()), want);
}

/// Maps of every kind, over each other, with kernels in between.
void maps(Runtime& rt) {
  for (const cl_mem_flags flags : {cl_mem_flags{CL_MEM_READ_WRITE}, cl_mem_flags{CL_MEM_ALLOC_HOST_PTR}, cl_mem_flags{CL_MEM_USE_HOST_PTR}}) {
    std::vector<uint> own(kWords + 1024), want(kWords);
    cl_int status = 0;
    cl_mem a = clCreateBuffer(rt.context, flags, kWords * 4, flags & CL_MEM_USE_HOST_PTR ? own.data() + 1 : nullptr, &status);
    check_cl(status, "buffer");
    Kernel twice(rt, "kernel void k(global uint* a) { a[get_global_id(0)] = a[get_global_id(0)] * 2 + 1; }");
    set(twice.get(), 0, &a, sizeof a);
    Random random;
    for (int n = 0; n < 24; ++n) {
      const size_t at = n == 0 ? 0 : random.next() % kWords, words = n == 0 ? kWords : 1 + random.next() % (kWords - at);
      const cl_map_flags how = n % 3 == 0 ? cl_map_flags{CL_MAP_WRITE_INVALIDATE_REGION} : n % 3 == 1 ? cl_map_flags{CL_MAP_READ} : cl_map_flags{CL_MAP_READ | CL_MAP_WRITE};
      auto* map = static_cast<uint*>(clEnqueueMapBuffer(rt.queue, a, CL_TRUE, how, at * 4, words * 4, 0, nullptr, nullptr, &status));
      check_cl(status, "map");
      auto* again = n % 3 == 1 ? static_cast<uint*>(clEnqueueMapBuffer(rt.queue, a, CL_TRUE, CL_MAP_READ, 0, kWords * 4, 0, nullptr, nullptr, &status)) : nullptr;
      check_cl(status, "second map");
      for (size_t i = 0; i < words; ++i) {
        if (n % 3 != 0 && map[i] != want[at + i]) kit::fail("map %d word %zu: got %#x, want %#x", n, at + i, map[i], want[at + i]);
        if (n % 3 != 1) map[i] = want[at + i] = random.next();
      }
      for (size_t i = 0; again != nullptr && i < kWords; ++i)
        if (again[i] != want[i]) kit::fail("second map %d word %zu: got %#x, want %#x", n, i, again[i], want[i]);
      check_cl(clEnqueueUnmapMemObject(rt.queue, a, map, 0, nullptr, nullptr), "unmap");
      if (again != nullptr) check_cl(clEnqueueUnmapMemObject(rt.queue, a, again, 0, nullptr, nullptr), "unmap");
      check_cl(clEnqueueNDRangeKernel(rt.queue, twice.get(), 1, nullptr, &kWords, nullptr, 0, nullptr, nullptr), "enqueue");
      for (uint& w : want) w = w * 2 + 1;
    }
    same(read(rt.queue, a, kWords), want);
    clReleaseMemObject(a);
  }
}

/// Boxes of bytes between host and buffer, with pitches of both.
void rectangles(Runtime& rt) {
  Objects objects(rt);
  constexpr size_t kX = 97, kY = 23, kZ = 7, kBytes = kX * kY * kZ;
  Random random;
  std::vector<std::uint8_t> want(kBytes), host(kBytes), other(kBytes);
  for (auto& b : want) b = std::uint8_t(random.next());
  cl_mem a = objects.buffer(kBytes, want.data());
  for (int n = 0; n < 40; ++n) {
    size_t at[3], to[3], size[3];
    const size_t most[3] = {kX, kY, kZ};
    for (int d = 0; d < 3; ++d) {
      size[d] = 1 + random.next() % most[d];
      at[d] = random.next() % (most[d] - size[d] + 1), to[d] = random.next() % (most[d] - size[d] + 1);
    }
    const auto place = [](const size_t* p, size_t x, size_t y, size_t z) { return ((p[2] + z) * kY + p[1] + y) * kX + p[0] + x; };
    for (auto& b : host) b = std::uint8_t(random.next());
    std::fill(other.begin(), other.end(), 0xEE);
    check_cl(clEnqueueWriteBufferRect(rt.queue, a, CL_TRUE, at, to, size, kX, kX * kY, kX, kX * kY, host.data(), 0, nullptr, nullptr), "write");
    check_cl(clEnqueueReadBufferRect(rt.queue, a, CL_TRUE, to, at, size, kX, kX * kY, kX, kX * kY, other.data(), 0, nullptr, nullptr), "read");
    for (size_t z = 0; z < size[2]; ++z)
      for (size_t y = 0; y < size[1]; ++y)
        for (size_t x = 0; x < size[0]; ++x) want[place(at, x, y, z)] = host[place(to, x, y, z)];
    for (size_t i = 0; i < kBytes; ++i) {
      const size_t x = i % kX - at[0], y = i / kX % kY - at[1], z = i / kX / kY - at[2];
      const bool inside = x < size[0] && y < size[1] && z < size[2];
      const std::uint8_t w = inside ? want[place(to, x, y, z)] : 0xEE;
      if (other[i] != w) kit::fail("round %d, byte %zu read: got %#x, want %#x", n, i, other[i], w);
    }
  }
}

/// Patterns of every size OpenCL has, at every offset they may have.
void fills(Runtime& rt) {
  Objects objects(rt);
  constexpr size_t kBytes = 16384;
  std::vector<std::uint8_t> want(kBytes), got(kBytes);
  cl_mem a = objects.buffer(kBytes, want.data());
  Random random;
  for (size_t size = 1; size <= 128; size *= 2)
    for (int n = 0; n < 4; ++n) {
      std::uint8_t pattern[128];
      for (auto& b : pattern) b = std::uint8_t(random.next());
      const size_t at = random.next() % (kBytes / size) * size, count = 1 + random.next() % (kBytes / size - at / size);
      check_cl(clEnqueueFillBuffer(rt.queue, a, pattern, size, at, count * size, 0, nullptr, nullptr), "fill");
      for (size_t i = 0; i < count * size; ++i) want[at + i] = pattern[i % size];
    }
  check_cl(clEnqueueReadBuffer(rt.queue, a, CL_TRUE, 0, kBytes, got.data(), 0, nullptr, nullptr), "read");
  for (size_t i = 0; i < kBytes; ++i)
    if (got[i] != want[i]) kit::fail("byte %zu: got %#x, want %#x", i, got[i], want[i]);
}

/// 1,000 kernels, buffers and events, 60 queues, all alive at once.
void many_objects(Runtime& rt) {
  constexpr uint kCount = 1000;
  Objects objects(rt);
  std::string source;
  for (uint n = 0; n < 50; ++n) source += "kernel void k" + std::to_string(n) + "(global uint* a, uint t) { a[get_global_id(0)] = t * 100 + " + std::to_string(n) + "; }\n";
  const char* text = source.c_str();
  cl_int status = 0;
  cl_program program = clCreateProgramWithSource(rt.context, 1, &text, nullptr, &status);
  check_cl(clBuildProgram(program, 1, &rt.device, "", nullptr, nullptr), "build");
  std::vector<cl_kernel> kernels;
  std::vector<cl_mem> buffers;
  std::vector<cl_command_queue> queues;
  for (int n = 0; n < 60; ++n) queues.push_back(objects.queue());
  const size_t global = 40;
  for (uint n = 0; n < kCount; ++n) {
    kernels.push_back(clCreateKernel(program, ("k" + std::to_string(n % 50)).c_str(), &status));
    check_cl(status, "kernel");
    buffers.push_back(objects.buffer(global * 4));
    set(kernels[n], 0, &buffers[n], sizeof(cl_mem)), set(kernels[n], 1, &n, 4);
    cl_event done = nullptr;
    check_cl(clEnqueueNDRangeKernel(queues[n % 60], kernels[n], 1, nullptr, &global, nullptr, 0, nullptr, &done), "enqueue");
    objects.keep(done);
  }
  for (cl_command_queue queue : queues) check_cl(clFinish(queue), "clFinish");
  for (uint n = 0; n < kCount; ++n) same(read(rt.queue, buffers[n], global), std::vector<uint>(global, n * 100 + n % 50));
  for (cl_kernel kernel : kernels) clReleaseKernel(kernel);
  clReleaseProgram(program);
}

/// Four threads of the program, each with a queue and kernels of its own, all in one context.
void threads(Runtime& rt) {
  std::atomic<int> wrong{0};
  std::vector<std::thread> all;
  for (uint t = 0; t < 4; ++t)
    all.emplace_back([&, t] {
      try {
        Objects objects(rt);
        cl_command_queue queue = objects.queue();
        Kernel mix(rt, kMix);
        std::vector<uint> a(kWords, t + 1), b(kWords, 7 * t);
        cl_mem from = objects.buffer(kWords * 4, a.data()), to = objects.buffer(kWords * 4, b.data());
        set(mix.get(), 0, &from, sizeof from), set(mix.get(), 1, &to, sizeof to);
        for (uint n = 0; n < 50; ++n) {
          set(mix.get(), 2, &n, 4);
          check_cl(clEnqueueNDRangeKernel(queue, mix.get(), 1, nullptr, &kWords, nullptr, 0, nullptr, nullptr), "enqueue");
          for (uint& w : b) w = w * 3 + t + 1 + n;
          if (n % 10 == 0) same(read(queue, to, kWords), b);
        }
        same(read(queue, to, kWords), b);
      } catch (const kit::Failed&) {
        ++wrong;
      }
    });
  for (std::thread& thread : all) thread.join();
  if (wrong != 0) kit::fail("%d threads saw wrong results", wrong.load());
}

/// Times of commands of all kinds are in order, and do not go back.
void profiling(Runtime& rt) {
  Objects objects(rt);
  cl_command_queue queue = objects.queue(CL_QUEUE_PROFILING_ENABLE);
  cl_mem a = objects.buffer(kWords * 4), b = objects.buffer(kWords * 4);
  Kernel one(rt, "kernel void k(global uint* a) { a[get_global_id(0)] = 1; }");
  set(one.get(), 0, &a, sizeof a);
  std::vector<cl_event> events;
  for (int n = 0; n < 30; ++n) {
    cl_event done = nullptr;
    const uint pattern = 5;
    check_cl(n % 3 == 0   ? clEnqueueNDRangeKernel(queue, one.get(), 1, nullptr, &kWords, nullptr, 0, nullptr, &done)
             : n % 3 == 1 ? clEnqueueCopyBuffer(queue, a, b, 0, 0, kWords * 4, 0, nullptr, &done)
                          : clEnqueueFillBuffer(queue, a, &pattern, 4, 0, kWords * 4, 0, nullptr, &done),
             "enqueue");
    events.push_back(objects.keep(done));
  }
  check_cl(clFinish(queue), "clFinish");
  cl_ulong before = 0;
  for (size_t n = 0; n < events.size(); ++n) {
    cl_ulong t[4] = {};
    const cl_profiling_info which[] = {CL_PROFILING_COMMAND_QUEUED, CL_PROFILING_COMMAND_SUBMIT, CL_PROFILING_COMMAND_START, CL_PROFILING_COMMAND_END};
    for (int i = 0; i < 4; ++i) check_cl(clGetEventProfilingInfo(events[n], which[i], sizeof t[i], &t[i], nullptr), "profile");
    if (!(t[0] <= t[1] && t[1] <= t[2] && t[2] <= t[3])) kit::fail("command %zu: %llu %llu %llu %llu", n, (long long)t[0], (long long)t[1], (long long)t[2], (long long)t[3]);
    if (t[2] < before) kit::fail("command %zu started before the last one ended", n);
    before = t[3];
  }
}

/// A program of two sources and a header, compiled apart, linked, taken as binary, built again from that.
void linked(Runtime& rt) {
  const char* header = "uint f(uint x);";
  const char* first = "#include \"f.h\"\nkernel void k(global uint* a) { a[get_global_id(0)] = f(get_global_id(0)) + 1; }";
  const char* second = "#include \"f.h\"\nuint f(uint x) { return x * x + 7; }";
  const char* name = "f.h";
  cl_int status = 0;
  cl_program parts[3] = {clCreateProgramWithSource(rt.context, 1, &first, nullptr, &status), clCreateProgramWithSource(rt.context, 1, &second, nullptr, &status),
                         clCreateProgramWithSource(rt.context, 1, &header, nullptr, &status)};
  for (int i = 0; i < 2; ++i) check_cl(clCompileProgram(parts[i], 1, &rt.device, "", 1, &parts[2], &name, nullptr, nullptr), "compile");
  cl_program program = clLinkProgram(rt.context, 1, &rt.device, "", 2, parts, nullptr, nullptr, &status);
  check_cl(status, "link");
  size_t bytes = 0;
  check_cl(clGetProgramInfo(program, CL_PROGRAM_BINARY_SIZES, sizeof bytes, &bytes, nullptr), "size");
  std::vector<unsigned char> binary(bytes);
  unsigned char* to = binary.data();
  check_cl(clGetProgramInfo(program, CL_PROGRAM_BINARIES, sizeof to, &to, nullptr), "binary");
  const unsigned char* from = binary.data();
  cl_program again = clCreateProgramWithBinary(rt.context, 1, &rt.device, &bytes, &from, nullptr, &status);
  check_cl(status, "from binary");
  check_cl(clBuildProgram(again, 1, &rt.device, "", nullptr, nullptr), "build");
  Objects objects(rt);
  std::vector<uint> want(kWords);
  for (uint i = 0; i < kWords; ++i) want[i] = i * i + 8;
  for (cl_program each : {program, again}) {
    cl_mem a = objects.buffer(kWords * 4);
    cl_kernel kernel = clCreateKernel(each, "k", &status);
    check_cl(status, "kernel");
    set(kernel, 0, &a, sizeof a);
    cl_kernel clone = clCloneKernel(kernel, &status);
    check_cl(status, "clone");
    clReleaseKernel(kernel);
    check_cl(clEnqueueNDRangeKernel(rt.queue, clone, 1, nullptr, &kWords, nullptr, 0, nullptr, nullptr), "enqueue");
    same(read(rt.queue, a, kWords), want);
    clReleaseKernel(clone);
  }
  for (cl_program each : {program, again, parts[0], parts[1], parts[2]}) clReleaseProgram(each);
}

const kit::Row kRows[] = {
    {"host-out-of-order", out_of_order}, {"host-user-events", user_events}, {"host-callbacks", callbacks}, {"host-parts-of-buffers", parts_of_buffers},
    {"host-maps", maps}, {"host-rectangles", rectangles}, {"host-fills", fills}, {"host-many-objects", many_objects},
    {"host-threads", threads}, {"host-profiling", profiling}, {"host-linked", linked},
};

}  // namespace

void add_host_rows(std::vector<kit::Row>& rows) { rows.insert(rows.end(), std::begin(kRows), std::end(kRows)); }
