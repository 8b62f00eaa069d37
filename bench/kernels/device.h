// The 14 programs' OpenCL device: whatever the ICD loader finds first. Nothing of softxe in it.
#pragma once

#define CL_TARGET_OPENCL_VERSION 300
#include <CL/cl.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace kernels {

/// Thrown: a call failed or a result is wrong, and why.
struct Failed {
  std::string why;
};

/// A buffer's content stands on the device; write() and read() are no part of what is measured.
class Buffer {
 public:
  Buffer(cl_context context, cl_command_queue queue, std::size_t bytes);
  ~Buffer();
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;

  void write(const void* from, std::size_t bytes);
  void read(void* to, std::size_t bytes);
  cl_mem get() const { return buffer_; }

 private:
  cl_command_queue queue_;
  cl_mem buffer_ = nullptr;
};

struct Range {
  std::size_t global[2] = {1, 1};
  std::size_t local[2] = {1, 1};
  unsigned dimensions = 1;

  static Range line(std::size_t items, std::size_t group) { return {{items, 1}, {group, 1}, 1}; }
  static Range plane(std::size_t width, std::size_t height, std::size_t side) {
    return {{width, height}, {side, side}, 2};
  }
};

class Device {
 public:
  Device();
  ~Device();
  Device(const Device&) = delete;
  Device& operator=(const Device&) = delete;

  const std::string& name() const { return name_; }
  /// Replaces the program that kernels are taken of, and frees all buffers.
  void load(const char* source);
  Buffer& buffer(std::size_t bytes);
  template <typename T>
  Buffer& buffer_of(const std::vector<T>& content) {
    Buffer& made = buffer(content.size() * sizeof(T));
    made.write(content.data(), content.size() * sizeof(T));
    return made;
  }

  class Kernel {
   public:
    Kernel& arg(const Buffer& buffer);
    Kernel& value(std::uint32_t value);
    Kernel& value(float value);
    /// Memory of the process, not of the runtime.
    Kernel& pointer(const void* at);
    /// The next launch takes other arguments.
    Kernel& again();
    /// What it reaches through pointers in memory is the process's memory, too.
    Kernel& reaches_everything();

   private:
    friend class Device;
    cl_kernel kernel_ = nullptr;
    cl_uint next_ = 0;
  };
  Kernel& kernel(const char* name);
  void enqueue(const Kernel& kernel, const Range& range);
  void finish();

 private:
  void unload();

  cl_device_id device_ = nullptr;
  cl_context context_ = nullptr;
  cl_command_queue queue_ = nullptr;
  cl_program program_ = nullptr;
  std::vector<std::unique_ptr<Kernel>> kernels_;
  std::vector<std::unique_ptr<Buffer>> buffers_;
  std::string name_;
};

}  // namespace kernels
