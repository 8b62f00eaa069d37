#include "kit.h"

#include <sys/mman.h>

#include <cmath>
#include <cstdlib>
#include <cstring>

namespace kit {

void check_cl(cl_int status, const char* what) {
  if (status != CL_SUCCESS) fail("%s: %d", what, status);
}

Runtime::Runtime(const Options& wanted) : options(wanted) {
  check_cl(clGetPlatformIDs(1, &platform, nullptr), "clGetPlatformIDs");
  check_cl(clGetDeviceIDs(platform, CL_DEVICE_TYPE_ALL, 1, &device, nullptr), "clGetDeviceIDs");
  char text[65536] = "";
  check_cl(clGetDeviceInfo(device, CL_DEVICE_EXTENSIONS, sizeof text, text, nullptr), "clGetDeviceInfo");
  extensions = text;
  cl_int status = 0;
  context = clCreateContext(nullptr, 1, &device, nullptr, nullptr, &status);
  check_cl(status, "clCreateContext");
  queue = clCreateCommandQueueWithProperties(context, device, nullptr, &status);
  check_cl(status, "clCreateCommandQueue");
}

Runtime::~Runtime() {
  clReleaseCommandQueue(queue);
  clReleaseContext(context);
}

namespace {

/// What the widest vector of OpenCL asks for.
constexpr size_t kAlignment = 128;

/// Memory that needs no call at all to be given to a kernel: what the program has anyway.
constexpr size_t kPlainMax = 8 << 20;
alignas(4096) unsigned char global_memory[kPlainMax];
size_t global_used = 0;
unsigned char* stack_memory = nullptr;
size_t stack_used = 0;

void* take(unsigned char* from, size_t& used, size_t bytes) {
  const size_t at = used;
  used = (used + bytes + 255) / 256 * 256;
  if (used > kPlainMax) fail("the row wants more than %zu bytes of this kind of memory", kPlainMax);
  return from + at;
}

}  // namespace

/// Gives rows a stack frame to take their memory from.
void with_stack(const std::function<void()>& body) {
  alignas(4096) unsigned char frame[kPlainMax];
  stack_memory = frame;
  stack_used = global_used = 0;
  body();
  stack_memory = nullptr;
}

Block::Block(Runtime& rt, size_t bytes) : rt_(rt), bytes_(bytes) {
  cl_int status = CL_SUCCESS;
  switch (rt.options.memory) {
    case Memory::kBuffer:
      buffer_ = clCreateBuffer(rt.context, CL_MEM_READ_WRITE, bytes, nullptr, &status);
      check_cl(status, "clCreateBuffer");
      staging_.resize(bytes);
      host_ = staging_.data();
      return;
    case Memory::kUsmDevice:
      device_ = rt.function<clDeviceMemAllocINTEL_fn>("clDeviceMemAllocINTEL")(rt.context, rt.device, nullptr, bytes, 0,
                                                                               &status);
      staging_.resize(bytes);
      host_ = staging_.data();
      break;
    case Memory::kUsmHost:
      host_ = device_ =
          rt.function<clHostMemAllocINTEL_fn>("clHostMemAllocINTEL")(rt.context, nullptr, bytes, 0, &status);
      break;
    case Memory::kUsmShared:
      host_ = device_ = rt.function<clSharedMemAllocINTEL_fn>("clSharedMemAllocINTEL")(rt.context, rt.device, nullptr,
                                                                                       bytes, 0, &status);
      break;
    case Memory::kSvm:
      host_ = device_ = clSVMAlloc(rt.context, CL_MEM_READ_WRITE, bytes, 0);
      map();
      break;
    case Memory::kMalloc: host_ = device_ = std::aligned_alloc(kAlignment, (bytes + kAlignment - 1) / kAlignment * kAlignment); break;
    case Memory::kMmap:
      host_ = device_ = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
      break;
    case Memory::kStack: host_ = device_ = take(stack_memory, stack_used, bytes); break;
    case Memory::kGlobal: host_ = device_ = take(global_memory, global_used, bytes); break;
  }
  if (device_ == nullptr || status != CL_SUCCESS) fail("%zu bytes of memory: status %d", bytes, status);
  std::memset(host_, 0, bytes_);
}

Block::~Block() {
  switch (rt_.options.memory) {
    case Memory::kBuffer: clReleaseMemObject(buffer_); break;
    case Memory::kUsmDevice:
    case Memory::kUsmHost:
    case Memory::kUsmShared:
      rt_.function<clMemBlockingFreeINTEL_fn>("clMemBlockingFreeINTEL")(rt_.context, device_);
      break;
    case Memory::kSvm:
      to_device();
      clFinish(rt_.queue);
      clSVMFree(rt_.context, device_);
      break;
    case Memory::kMalloc: std::free(device_); break;
    case Memory::kMmap: munmap(device_, bytes_); break;
    case Memory::kStack:
    case Memory::kGlobal: break;
  }
}

/// Coarse-grained memory is the host's between a map and an unmap.
void Block::map() {
  check_cl(clEnqueueSVMMap(rt_.queue, CL_TRUE, CL_MAP_READ | CL_MAP_WRITE, device_, bytes_, 0, nullptr, nullptr), "map");
  mapped_ = true;
}

void Block::to_device() {
  switch (rt_.options.memory) {
    case Memory::kSvm:
      if (mapped_) check_cl(clEnqueueSVMUnmap(rt_.queue, device_, 0, nullptr, nullptr), "unmap");
      mapped_ = false;
      break;
    case Memory::kBuffer:
      check_cl(clEnqueueWriteBuffer(rt_.queue, buffer_, CL_TRUE, 0, bytes_, host_, 0, nullptr, nullptr), "write");
      break;
    case Memory::kUsmDevice:
      check_cl(rt_.function<clEnqueueMemcpyINTEL_fn>("clEnqueueMemcpyINTEL")(rt_.queue, CL_TRUE, device_, host_, bytes_,
                                                                             0, nullptr, nullptr),
               "memcpy");
      break;
    default: break;
  }
}

void Block::to_host() {
  switch (rt_.options.memory) {
    case Memory::kSvm:
      if (!mapped_) map();
      break;
    case Memory::kBuffer:
      check_cl(clEnqueueReadBuffer(rt_.queue, buffer_, CL_TRUE, 0, bytes_, host_, 0, nullptr, nullptr), "read");
      break;
    case Memory::kUsmDevice:
      check_cl(rt_.function<clEnqueueMemcpyINTEL_fn>("clEnqueueMemcpyINTEL")(rt_.queue, CL_TRUE, host_, device_, bytes_,
                                                                             0, nullptr, nullptr),
               "memcpy");
      break;
    default: break;
  }
}

void Block::set_arg(cl_kernel kernel, cl_uint index) const {
  switch (rt_.options.memory) {
    case Memory::kBuffer: check_cl(clSetKernelArg(kernel, index, sizeof buffer_, &buffer_), "argument"); break;
    case Memory::kSvm:
    case Memory::kMalloc:
    case Memory::kMmap:
    case Memory::kStack:
    case Memory::kGlobal: check_cl(clSetKernelArgSVMPointer(kernel, index, device_), "argument"); break;
    default:
      check_cl(rt_.function<clSetKernelArgMemPointerINTEL_fn>("clSetKernelArgMemPointerINTEL")(kernel, index, device_),
               "argument");
  }
}

Kernel::Kernel(Runtime& rt, const std::string& source, const std::string& options, const char* name) : rt_(rt) {
  const char* text = source.c_str();
  cl_int status = 0;
  program_ = clCreateProgramWithSource(rt.context, 1, &text, nullptr, &status);
  check_cl(status, "clCreateProgramWithSource");
  std::string all = options + " " + rt.options.build;
  if (all.find("-cl-std") == std::string::npos) all = "-cl-std=CL3.0 " + all;
  status = clBuildProgram(program_, 1, &rt.device, all.c_str(), nullptr, nullptr);
  if (status != CL_SUCCESS) {
    char log[4096] = "";
    clGetProgramBuildInfo(program_, rt.device, CL_PROGRAM_BUILD_LOG, sizeof log - 1, log, nullptr);
    fail("clBuildProgram: %d: %.800s", status, log);
  }
  kernel_ = clCreateKernel(program_, name, &status);
  check_cl(status, "clCreateKernel");
}

Kernel::~Kernel() {
  if (kernel_ != nullptr) clReleaseKernel(kernel_);
  if (program_ != nullptr) clReleaseProgram(program_);
}

Kernel& Kernel::arg(Block& block) {
  block.set_arg(kernel_, next_++);
  blocks_.push_back(&block);
  return *this;
}

Kernel& Kernel::arg(Local local) {
  check_cl(clSetKernelArg(kernel_, next_++, local.bytes, nullptr), "local argument");
  return *this;
}

void Kernel::enqueue(const Range& range, cl_command_queue queue, cl_event* event) {
  check_cl(clEnqueueNDRangeKernel(queue, kernel_, static_cast<cl_uint>(range.global.size()),
                                  range.offset.empty() ? nullptr : range.offset.data(), range.global.data(),
                                  range.local.empty() ? nullptr : range.local.data(), 0, nullptr, event),
           "clEnqueueNDRangeKernel");
}

void Kernel::run(const Range& range) {
  for (Block* block : blocks_) block->give();
  enqueue(range, rt_.queue);
  check_cl(clFinish(rt_.queue), "clFinish");
  for (Block* block : blocks_) block->to_host();
}

size_t Kernel::sub_group_size(const Range& range) const {
  size_t size = 0;
  check_cl(
      clGetKernelSubGroupInfo(kernel_, rt_.device, CL_KERNEL_MAX_SUB_GROUP_SIZE_FOR_NDRANGE,
                              range.local.size() * sizeof(size_t), range.local.data(), sizeof size, &size, nullptr),
      "clGetKernelSubGroupInfo");
  return size;
}

namespace {

double ulps_of(long double got, long double want, int digits, int exponent_min, long double largest) {
  if (std::isnan(want) || std::isnan(got)) return std::isnan(want) && std::isnan(got) ? 0 : 1e30;
  if (got == want) return 0;
  if (std::isinf(got)) return std::fabs(want) >= largest * 0.999L && std::signbit(got) == std::signbit(want) ? 1 : 1e30;
  if (std::isinf(want)) return 1e30;
  int exponent = 0;
  std::frexp(want, &exponent);
  exponent = std::max(exponent, exponent_min);
  return static_cast<double>(std::fabs(got - want) / std::ldexp(1.0L, exponent - digits));
}

}  // namespace

double ulps(float got, long double want) { return ulps_of(got, want, 24, -125, 3.4028234663852886e38L); }
double ulps(double got, long double want) { return ulps_of(got, want, 53, -1021, 1.7976931348623157e308L); }
double ulps(_Float16 got, long double want) { return ulps_of(static_cast<float>(got), want, 11, -13, 65504.0L); }

}  // namespace kit
