// What every row of the Level Zero suite is written with: a device, modules made of OpenCL C, memory of any kind,
// command lists of both kinds. Nothing of softxe in it.
#pragma once

#include <level_zero/ze_api.h>

#include <cstdint>
#include <cstdio>
#include <functional>
#include <string>
#include <vector>

#include "../suite.h"

namespace kit {

void check(ze_result_t result, const char* what);

struct World {
  ze_driver_handle_t driver = nullptr;
  ze_device_handle_t device = nullptr;
  ze_context_handle_t context = nullptr;
  uint32_t compute = 0;  ///< ordinal of the group that runs kernels
  uint32_t copies = 0;   ///< ordinal of a group that copies and nothing else

  World();
  ~World();
};

/// What OpenCL's compiler makes of a source: SPIR-V, or the device's own code. (Level Zero takes no source.)
enum class Form { kSpirv, kNative };
std::vector<uint8_t> compiled(const std::string& source, Form form);

class Module {
 public:
  Module(World& w, const std::string& source, const char* flags = "", Form form = Form::kSpirv);
  Module(World& w, ze_context_handle_t context, const std::string& source);
  ~Module() { zeModuleDestroy(module_); }
  Module(const Module&) = delete;
  Module& operator=(const Module&) = delete;
  ze_module_handle_t get() const { return module_; }

 private:
  ze_module_handle_t module_ = nullptr;
};

class Kernel {
 public:
  explicit Kernel(const Module& module, const char* name = "k");
  ~Kernel() { zeKernelDestroy(kernel_); }
  Kernel(const Kernel&) = delete;
  Kernel& operator=(const Kernel&) = delete;
  template <typename T>
  Kernel& arg(const T& value) {
    check(zeKernelSetArgumentValue(kernel_, next_++, sizeof value, &value), "argument");
    return *this;
  }
  /// Local memory.
  Kernel& local(size_t bytes) {
    check(zeKernelSetArgumentValue(kernel_, next_++, bytes, nullptr), "local argument");
    return *this;
  }
  Kernel& group(uint32_t x, uint32_t y = 1, uint32_t z = 1) {
    check(zeKernelSetGroupSize(kernel_, x, y, z), "group size");
    return *this;
  }
  /// The arguments that follow are set from the first again.
  Kernel& again() {
    next_ = 0;
    return *this;
  }
  ze_kernel_handle_t get() const { return kernel_; }

 private:
  ze_kernel_handle_t kernel_ = nullptr;
  uint32_t next_ = 0;
};

enum class Memory { kHost, kDevice, kShared, kMalloc, kMmap };

/// `n` zeroed elements. Those of device memory are reached by read() and write() only.
void* allocate(World& w, ze_context_handle_t context, Memory memory, size_t bytes);
void release(ze_context_handle_t context, Memory memory, void* data, size_t bytes);

template <typename T>
class Array {
 public:
  Array(World& w, size_t n, Memory memory = Memory::kShared) : Array(w, w.context, n, memory) {}
  Array(World& w, ze_context_handle_t context, size_t n, Memory memory)
      : context_(context), memory_(memory), n_(n), data_(static_cast<T*>(allocate(w, context, memory, n * sizeof(T)))) {}
  ~Array() { release(context_, memory_, data_, n_ * sizeof(T)); }
  Array(const Array&) = delete;
  Array& operator=(const Array&) = delete;
  T& operator[](size_t i) { return data_[i]; }
  T* get() { return data_; }
  size_t bytes() const { return n_ * sizeof(T); }

 private:
  ze_context_handle_t context_;
  Memory memory_;
  size_t n_;
  T* data_;
};

/// A command list: an immediate one, or one with a queue of its own.
enum class Kind { kImmediate, kRegular };
class Commands {
 public:
  Commands(World& w, Kind kind) : Commands(w, w.context, kind, w.compute) {}
  Commands(World& w, ze_context_handle_t context, Kind kind, uint32_t ordinal);
  ~Commands();
  Commands(const Commands&) = delete;
  Commands& operator=(const Commands&) = delete;
  Commands& launch(const Kernel& kernel, uint32_t x, ze_event_handle_t signal = nullptr,
                   const std::vector<ze_event_handle_t>& waits = {});
  Commands& launch(const Kernel& kernel, ze_group_count_t groups);
  Commands& copy(void* to, const void* from, size_t bytes, ze_event_handle_t signal = nullptr,
                 const std::vector<ze_event_handle_t>& waits = {});
  Commands& barrier();
  /// Hands over what was appended; an immediate list has done so already.
  void start();
  /// Until all of it is done; a regular list can be filled again then.
  void wait();
  /// Regular lists only: until all of it is done; the same commands once more.
  void finish();
  void repeat();
  void run() {
    start();
    wait();
  }
  ze_command_list_handle_t get() const { return list_; }
  /// Null for immediate lists.
  ze_command_queue_handle_t queue() const { return queue_; }

 private:
  Kind kind_;
  ze_command_list_handle_t list_ = nullptr;
  ze_command_queue_handle_t queue_ = nullptr;
  ze_event_pool_handle_t pool_ = nullptr;
  ze_event_handle_t done_ = nullptr;
};

/// Events the host can wait for.
class Events {
 public:
  enum class Has { kNothing, kTimestamps };
  Events(World& w, uint32_t n, Has has = Has::kNothing);
  ~Events();
  Events(const Events&) = delete;
  Events& operator=(const Events&) = delete;
  ze_event_handle_t operator[](size_t i) const { return events_[i]; }

 private:
  ze_event_pool_handle_t pool_ = nullptr;
  std::vector<ze_event_handle_t> events_;
};
void wait_for(ze_event_handle_t event);

/// Element by element: `want(i)` is the reference.
template <typename T>
void expect(Array<T>& got, size_t n, const std::function<T(size_t)>& want, const char* what) {
  for (size_t i = 0; i < n; ++i)
    if (got[i] != want(i)) fail("%s: element %zu is %g, want %g", what, i, double(got[i]), double(want(i)));
}

using Row = RowOf<World>;
std::vector<Row> all_rows();

}  // namespace kit
