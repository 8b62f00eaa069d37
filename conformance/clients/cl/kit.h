// What every row of the OpenCL suite is written with: a device, memory of the kind the run asks for, kernels,
// and a comparison that says where the first difference is. Nothing of softxe in it.
#pragma once

#define CL_TARGET_OPENCL_VERSION 300
#include <CL/cl.h>
#include <CL/cl_ext.h>

#include <cstdint>
#include <cstdio>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "../suite.h"

namespace kit {

/// Where the memory of a kernel's arguments comes from.
enum class Memory { kBuffer, kUsmHost, kUsmDevice, kUsmShared, kSvm, kMalloc, kMmap, kStack, kGlobal };

struct Options {
  Memory memory = Memory::kBuffer;
  std::string build;  ///< added to every row's own options
};

struct Runtime {
  cl_platform_id platform = nullptr;
  cl_device_id device = nullptr;
  cl_context context = nullptr;
  cl_command_queue queue = nullptr;
  std::string extensions;
  Options options;

  explicit Runtime(const Options& wanted);
  ~Runtime();
  bool has(const char* extension) const { return extensions.find(extension) != std::string::npos; }
  template <typename F>
  F function(const char* name) const {
    return reinterpret_cast<F>(clGetExtensionFunctionAddressForPlatform(platform, name));
  }
};

void check_cl(cl_int status, const char* what);

/// Bytes that a kernel can reach. `host()` is the client's view: call to_device() after writing, to_host() before
/// reading.
class Block {
 public:
  Block(Runtime& rt, size_t bytes);
  ~Block();
  Block(const Block&) = delete;
  Block& operator=(const Block&) = delete;

  void* host() { return host_; }
  size_t bytes() const { return bytes_; }
  void to_device();
  void to_host();
  /// Before a kernel: memory that the host has not written since it was read is the device's again.
  void give() {
    if (mapped_) to_device();
  }
  void set_arg(cl_kernel kernel, cl_uint index) const;
  /// The address a kernel sees; null for buffers.
  void* device_address() const { return device_; }

 private:
  Runtime& rt_;
  size_t bytes_;
  void* host_ = nullptr;
  void* device_ = nullptr;
  cl_mem buffer_ = nullptr;
  bool mapped_ = false;
  void map();
  std::vector<unsigned char> staging_;
};

template <typename T>
class Array {
 public:
  Array(Runtime& rt, size_t n) : block_(rt, n * sizeof(T)), n_(n) {}
  T& operator[](size_t i) { return static_cast<T*>(block_.host())[i]; }
  size_t size() const { return n_; }
  Block& block() { return block_; }
  Array& fill(const std::function<T(size_t)>& f) {
    for (size_t i = 0; i < n_; ++i) (*this)[i] = f(i);
    block_.to_device();
    return *this;
  }

 private:
  Block block_;
  size_t n_;
};

struct Range {
  std::vector<size_t> global;
  std::vector<size_t> local;   ///< empty: the runtime's choice
  std::vector<size_t> offset;  ///< empty: none
};

struct Local {
  size_t bytes;
};

class Kernel {
 public:
  Kernel(Runtime& rt, const std::string& source, const std::string& options = "", const char* name = "k");
  ~Kernel();
  Kernel(const Kernel&) = delete;
  Kernel& operator=(const Kernel&) = delete;
  Kernel& arg(Block& block);
  template <typename T>
  Kernel& arg(Array<T>& array) {
    return arg(array.block());
  }
  Kernel& arg(Local local);
  template <typename T>
  Kernel& value(const T& value) {
    check_cl(clSetKernelArg(kernel_, next_++, sizeof(T), &value), "clSetKernelArg");
    return *this;
  }
  /// Enqueues, waits, and makes all blocks given to arg() readable.
  void run(const Range& range);
  void enqueue(const Range& range, cl_command_queue queue, cl_event* event = nullptr);
  /// The blocks are not brought back.
  void forget_blocks() { blocks_.clear(); }
  cl_kernel get() const { return kernel_; }
  /// Of this device, for a group of `range`.
  size_t sub_group_size(const Range& range) const;

 private:
  Runtime& rt_;
  cl_program program_ = nullptr;
  cl_kernel kernel_ = nullptr;
  cl_uint next_ = 0;
  std::vector<Block*> blocks_;
};

/// xorshift32 (13, 17, 5).
class Random {
 public:
  explicit Random(uint32_t seed = 12345) : x_(seed) {}
  uint32_t next() {
    x_ ^= x_ << 13;
    x_ ^= x_ >> 17;
    x_ ^= x_ << 5;
    return x_;
  }
  /// In [low, high).
  double real(double low, double high) { return low + (high - low) * (next() * (1.0 / 4294967296.0)); }

 private:
  uint32_t x_;
};

/// Distance in units of the last place of the expected value's type; equal NaNs and zeros of both signs are 0 apart.
double ulps(float got, long double want);
double ulps(double got, long double want);
double ulps(_Float16 got, long double want);

using Row = RowOf<Runtime>;
/// All rows, in the order of the tables.
std::vector<Row> all_rows();

}  // namespace kit
