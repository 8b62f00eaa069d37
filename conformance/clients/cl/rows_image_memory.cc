// Images whose memory goes away and comes back: beside more of the program's memory than VRAM holds, and over memory of
// the program's own whose neighbour is unmapped.
#include <sys/mman.h>

#include <memory>

#include "images.h"
#include "rows.h"

namespace {

using images::Format;
using images::Image;
using images::Shape;
using images::Size;
using kit::check_cl;
using kit::fail;
using kit::Runtime;

cl_uint element(size_t image, size_t i) { return static_cast<cl_uint>(i * 2654435761u + image); }

/// Images of 192 MiB, then as much again of the arguments' memory: what of both is in VRAM changes place.
void beside_arguments(Runtime& rt) {
  constexpr size_t kImages = 48, kSide = 1024, kWords = size_t{64} << 20, kStep = 1024;
  constexpr Size kPart{kSide, 64, 1};
  kit::Kernel words(rt, "kernel void k(global uint* m, uint n) { size_t i = get_global_id(0) * (size_t)1024; m[i] = m[i] * 3u + n; }");
  kit::Kernel change(rt,
                     "kernel void k(read_write image2d_t a) { int2 p = {get_global_id(0), get_global_id(1)};"
                     " write_imageui(a, p, read_imageui(a, p) ^ 0xFFu); }");
  kit::Array<cl_uint> memory(rt, kWords);
  std::vector<std::unique_ptr<Image>> all;
  for (size_t n = 0; n < kImages; ++n) {
    all.push_back(std::make_unique<Image>(rt, Shape{CL_MEM_OBJECT_IMAGE2D, {kSide, kSide, 1}}, Format{{CL_R, CL_UNSIGNED_INT32}}));
    auto* const model = reinterpret_cast<cl_uint*>(all[n]->model().data());
    for (size_t i = 0; i < kSide * kSide; ++i) model[i] = element(n, i);
    all[n]->write_all();
  }
  memory.block().to_device();
  for (cl_uint round = 0; round < 3; ++round) {
    memory.block().set_arg(words.get(), 0);
    check_cl(clSetKernelArg(words.get(), 1, sizeof round, &round), "argument");
    words.enqueue({.global = {kWords / kStep}, .local = {64}}, rt.queue);
    for (const auto& image : all) {
      const cl_mem mem = image->get();
      check_cl(clSetKernelArg(change.get(), 0, sizeof mem, &mem), "argument");
      change.enqueue({.global = {kSide, 64}}, rt.queue);
    }
    check_cl(clFinish(rt.queue), "clFinish");
  }
  memory.block().to_host();
  for (size_t i = 0; i < kWords; ++i) {
    const cl_uint want = i % kStep == 0 ? 5 : 0;  // 0 * 3 + 0, * 3 + 1, * 3 + 2
    if (memory[i] != want) fail("word %zu is %u, not %u", i, memory[i], want);
  }
  for (const auto& image : all) {
    auto* const model = reinterpret_cast<cl_uint*>(image->model().data());
    for (size_t i = 0; i < kSide * kPart[1]; ++i) model[i] ^= 0xFF;
    image->check({0, 0, 0}, kPart, "three kernels");
    image->check({0, kSide / 2, 0}, kPart, "three kernels, elsewhere");
  }
}

/// One of two images over the program's memory is released and its half unmapped while a kernel works on the other; new
/// memory at the old place is another image's.
void beside_unmap(Runtime& rt) {
  constexpr size_t kElements = 16'384, kHalf = kElements * sizeof(cl_uint);
  const Shape shape{CL_MEM_OBJECT_IMAGE1D, {kElements, 1, 1}};
  const Format format{{CL_R, CL_UNSIGNED_INT32}};
  cl_int status = 0;
  const cl_command_queue other = clCreateCommandQueueWithProperties(rt.context, rt.device, nullptr, &status);
  check_cl(status, "clCreateCommandQueueWithProperties");
  kit::Kernel slow(rt,
                   "kernel void k(read_write image1d_t a) { int x = get_global_id(0);"
                   " for (int i = 0; i < 40; ++i) { write_imageui(a, x, read_imageui(a, x) + 1u);"
                   "  atomic_work_item_fence(CLK_IMAGE_MEM_FENCE, memory_order_acq_rel, memory_scope_work_item); } }");
  kit::Kernel quick(rt, "kernel void k(read_write image1d_t a) { int x = get_global_id(0); write_imageui(a, x, read_imageui(a, x) ^ 0xFFu); }");
  auto* const base = static_cast<unsigned char*>(mmap(nullptr, 2 * kHalf, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  if (base == MAP_FAILED) fail("no memory");
  auto* const low = reinterpret_cast<cl_uint*>(base);
  auto* const high = reinterpret_cast<cl_uint*>(base + kHalf);
  const auto check = [&](cl_command_queue queue, const Image& image, const cl_uint* memory, const auto& want, const char* what) {
    Size origin{0, 0, 0};
    size_t row = 0;
    cl_int error = 0;
    void* mapped = clEnqueueMapImage(queue, image.get(), CL_TRUE, CL_MAP_READ, origin.data(), shape.size.data(), &row, nullptr, 0, nullptr, nullptr, &error);
    check_cl(error, "clEnqueueMapImage");
    for (size_t i = 0; i < kElements; ++i)
      if (memory[i] != want(i)) fail("%s: element %zu is %#x, not %#x", what, i, memory[i], want(i));
    check_cl(clEnqueueUnmapMemObject(queue, image.get(), mapped, 0, nullptr, nullptr), "unmap");
    check_cl(clFinish(queue), "clFinish");
  };
  for (size_t i = 0; i < kElements; ++i) low[i] = element(0, i);
  Image first(rt, shape, format, CL_MEM_READ_WRITE | CL_MEM_USE_HOST_PTR, low);
  for (unsigned round = 0; round < 12; ++round) {
    for (size_t i = 0; i < kElements; ++i) high[i] = element(round, i);
    auto second = std::make_unique<Image>(rt, shape, format, CL_MEM_READ_WRITE | CL_MEM_USE_HOST_PTR, high);
    const cl_mem one = first.get(), two = second->get();
    check_cl(clSetKernelArg(slow.get(), 0, sizeof one, &one), "argument");
    check_cl(clSetKernelArg(quick.get(), 0, sizeof two, &two), "argument");
    slow.enqueue({.global = {kElements}}, rt.queue);
    check_cl(clFlush(rt.queue), "clFlush");
    quick.enqueue({.global = {kElements}}, other);
    check(other, *second, high, [&](size_t i) { return element(round, i) ^ 0xFFu; }, "the image to be unmapped");
    second.reset();
    if (munmap(high, kHalf) != 0) fail("munmap");
    if (mmap(high, kHalf, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) != high) fail("mmap");
    for (size_t i = 0; i < kElements; ++i)
      if (high[i] != 0) fail("new memory at the old place holds %#x", high[i]);
    check(rt.queue, first, low, [&](size_t i) { return element(0, i) + 40 * (round + 1); }, "the image beside");
  }
  clReleaseCommandQueue(other);
  munmap(high, kHalf);
  check(rt.queue, first, low, [&](size_t i) { return element(0, i) + 480; }, "the image that is left");
}

const kit::Row kRows[] = {
    {"image-beside-arguments", beside_arguments},
    {"image-beside-unmap", beside_unmap},
};

}  // namespace

void add_image_memory_rows(std::vector<kit::Row>& rows) { rows.insert(rows.end(), std::begin(kRows), std::end(kRows)); }
