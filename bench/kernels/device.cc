#include "device.h"

namespace kernels {
namespace {

void check(cl_int status, const char* what) {
  if (status != CL_SUCCESS) throw Failed{std::string(what) + ": " + std::to_string(status)};
}

}  // namespace

Buffer::Buffer(cl_context context, cl_command_queue queue, std::size_t bytes) : queue_(queue) {
  cl_int status = 0;
  buffer_ = clCreateBuffer(context, CL_MEM_READ_WRITE, bytes, nullptr, &status);
  check(status, "clCreateBuffer");
}
Buffer::~Buffer() { clReleaseMemObject(buffer_); }

void Buffer::write(const void* from, std::size_t bytes) {
  check(clEnqueueWriteBuffer(queue_, buffer_, CL_TRUE, 0, bytes, from, 0, nullptr, nullptr), "clEnqueueWriteBuffer");
}
void Buffer::read(void* to, std::size_t bytes) {
  check(clEnqueueReadBuffer(queue_, buffer_, CL_TRUE, 0, bytes, to, 0, nullptr, nullptr), "clEnqueueReadBuffer");
}

Device::Device() {
  cl_platform_id platform = nullptr;
  check(clGetPlatformIDs(1, &platform, nullptr), "clGetPlatformIDs");
  check(clGetDeviceIDs(platform, CL_DEVICE_TYPE_ALL, 1, &device_, nullptr), "clGetDeviceIDs");
  char text[256] = "";
  check(clGetDeviceInfo(device_, CL_DEVICE_NAME, sizeof text - 1, text, nullptr), "clGetDeviceInfo");
  name_ = text;
  cl_int status = 0;
  context_ = clCreateContext(nullptr, 1, &device_, nullptr, nullptr, &status);
  check(status, "clCreateContext");
  queue_ = clCreateCommandQueueWithProperties(context_, device_, nullptr, &status);
  check(status, "clCreateCommandQueueWithProperties");
}

Device::~Device() {
  unload();
  clReleaseCommandQueue(queue_);
  clReleaseContext(context_);
}

void Device::unload() {
  for (const auto& kernel : kernels_) clReleaseKernel(kernel->kernel_);
  kernels_.clear();
  buffers_.clear();
  if (program_ != nullptr) clReleaseProgram(program_);
  program_ = nullptr;
}

void Device::load(const char* source) {
  unload();
  cl_int status = 0;
  program_ = clCreateProgramWithSource(context_, 1, &source, nullptr, &status);
  check(status, "clCreateProgramWithSource");
  status = clBuildProgram(program_, 1, &device_, "-cl-std=CL1.2", nullptr, nullptr);
  if (status == CL_SUCCESS) return;
  char log[4096] = "";
  clGetProgramBuildInfo(program_, device_, CL_PROGRAM_BUILD_LOG, sizeof log - 1, log, nullptr);
  throw Failed{std::string("clBuildProgram: ") + log};
}

Buffer& Device::buffer(std::size_t bytes) {
  buffers_.push_back(std::make_unique<Buffer>(context_, queue_, bytes));
  return *buffers_.back();
}

Device::Kernel& Device::kernel(const char* name) {
  auto made = std::make_unique<Kernel>();
  cl_int status = 0;
  made->kernel_ = clCreateKernel(program_, name, &status);
  check(status, "clCreateKernel");
  kernels_.push_back(std::move(made));
  return *kernels_.back();
}

Device::Kernel& Device::Kernel::arg(const Buffer& buffer) {
  const cl_mem memory = buffer.get();
  check(clSetKernelArg(kernel_, next_++, sizeof memory, &memory), "clSetKernelArg");
  return *this;
}
Device::Kernel& Device::Kernel::value(std::uint32_t value) {
  check(clSetKernelArg(kernel_, next_++, sizeof value, &value), "clSetKernelArg");
  return *this;
}
Device::Kernel& Device::Kernel::value(float value) {
  check(clSetKernelArg(kernel_, next_++, sizeof value, &value), "clSetKernelArg");
  return *this;
}
Device::Kernel& Device::Kernel::pointer(const void* at) {
  check(clSetKernelArgSVMPointer(kernel_, next_++, at), "clSetKernelArgSVMPointer");
  return *this;
}
Device::Kernel& Device::Kernel::again() {
  next_ = 0;
  return *this;
}
/// A runtime that does not know the flag has nothing to do for it.
Device::Kernel& Device::Kernel::reaches_everything() {
  const cl_bool yes = CL_TRUE;
  clSetKernelExecInfo(kernel_, CL_KERNEL_EXEC_INFO_SVM_FINE_GRAIN_SYSTEM, sizeof yes, &yes);
  return *this;
}

void Device::enqueue(const Kernel& kernel, const Range& range) {
  check(clEnqueueNDRangeKernel(queue_, kernel.kernel_, range.dimensions, nullptr, range.global, range.local, 0, nullptr,
                               nullptr),
        "clEnqueueNDRangeKernel");
}

void Device::finish() { check(clFinish(queue_), "clFinish"); }

}  // namespace kernels
