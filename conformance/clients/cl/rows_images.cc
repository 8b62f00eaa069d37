// Transfers of images, and what kernels are told about them.
#include <algorithm>

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

/// One, two, four, eight and sixteen bytes an element.
constexpr cl_image_format kSizes[] = {{CL_R, CL_UNSIGNED_INT8},     {CL_R, CL_UNSIGNED_INT16},
                                      {CL_RGBA, CL_UNSIGNED_INT8},  {CL_RGBA, CL_UNSIGNED_INT16},
                                      {CL_RGBA, CL_UNSIGNED_INT32}, {CL_R, CL_UNSIGNED_INT32}};

/// Sizes that are a tile's, one more and one less, small and long ones.
Shape random_shape(kit::Random& random, cl_mem_object_type type, size_t element) {
  static constexpr size_t kEdges[] = {1, 2, 3, 15, 16, 17, 31, 33, 63, 64, 65, 100, 127, 128, 129, 255, 256, 257};
  const auto size = [&](size_t limit) {
    const size_t edge = kEdges[random.next() % std::size(kEdges)];
    return random.next() % 3 == 0 ? 1 + random.next() % limit : std::min(edge, limit);
  };
  Shape shape{.type = type, .size = {size(600), 1, 1}};
  switch (type) {
    case CL_MEM_OBJECT_IMAGE1D_ARRAY: shape.size[1] = size(20); break;
    case CL_MEM_OBJECT_IMAGE2D:
      shape.size[1] = size(300);
      if (random.next() % 16 == 0 && element <= 4) shape.size = {4096, size_t{2048} >> random.next() % 3, 1};
      break;
    case CL_MEM_OBJECT_IMAGE2D_ARRAY: shape.size = {size(200), size(140), size(6)}; break;
    case CL_MEM_OBJECT_IMAGE3D: shape.size = {size(130), size(70), 1 + size(40)}; break;
    default: break;
  }
  return shape;
}

/// A box inside, often with odd edges.
void random_box(kit::Random& random, const Shape& shape, Size& origin, Size& region) {
  for (unsigned i = 0; i < 3; ++i) {
    origin[i] = random.next() % shape.size[i];
    region[i] = 1 + random.next() % (shape.size[i] - origin[i]);
  }
}

void copy_model(Image& from, const Size& at, Image& to, const Size& where, const Size& region) {
  for (size_t z = 0; z < region[2]; ++z) {
    for (size_t y = 0; y < region[1]; ++y) {
      std::memcpy(to.at(where[0], where[1] + y, where[2] + z), from.at(at[0], at[1] + y, at[2] + z),
                  region[0] * from.format().bytes());
    }
  }
}

void write_and_read(Runtime&, Image& image, kit::Random& random) {
  image.fill_model(random);
  image.write_all();
  image.check_all("a write");
  Size origin, region;
  random_box(random, image.shape(), origin, region);
  image.check(origin, region, "a write, in part");
  random_box(random, image.shape(), origin, region);
  for (size_t z = 0; z < region[2]; ++z)
    for (size_t y = 0; y < region[1]; ++y)
      std::memset(image.at(origin[0], origin[1] + y, origin[2] + z), int(random.next() & 0xFF),
                  region[0] * image.format().bytes());
  image.write(origin, region);
  image.check_all("a write in part");
}

void fill(Runtime& rt, Image& image, kit::Random& random) {
  Size origin, region;
  random_box(random, image.shape(), origin, region);
  cl_uint colour[4] = {random.next() & 0x7F, random.next() & 0x7F, random.next() & 0x7F, random.next() & 0x7F};
  check_cl(clEnqueueFillImage(rt.queue, image.get(), colour, origin.data(), region.data(), 0, nullptr, nullptr),
           "clEnqueueFillImage");
  unsigned char element[16];
  for (unsigned k = 0; k < image.format().channels(); ++k) {
    std::memcpy(element + k * image.format().channel_bytes(), &colour[k], image.format().channel_bytes());
  }
  for (size_t z = 0; z < region[2]; ++z)
    for (size_t y = 0; y < region[1]; ++y)
      for (size_t x = 0; x < region[0]; ++x)
        std::memcpy(image.at(origin[0] + x, origin[1] + y, origin[2] + z), element, image.format().bytes());
  image.check_all("a fill");
}

void map(Runtime& rt, Image& image, kit::Random& random) {
  Size origin, region;
  random_box(random, image.shape(), origin, region);
  // Two things of Intel's runtime, whatever the device: it takes the first element of a mapped 1D buffer for the
  // buffer's, and counts a host pointer's distance from a dword in elements when it asks for the copy.
  if (image.shape().type == CL_MEM_OBJECT_IMAGE1D_BUFFER) origin[0] = 0;
  if (image.format().bytes() == 2) origin = {0, 0, 0};
  size_t row = 0, slice = 0;
  cl_int status = 0;
  auto* bytes = static_cast<unsigned char*>(clEnqueueMapImage(rt.queue, image.get(), CL_TRUE, CL_MAP_READ | CL_MAP_WRITE,
                                                              origin.data(), region.data(), &row, &slice, 0, nullptr,
                                                              nullptr, &status));
  check_cl(status, "clEnqueueMapImage");
  if (image.shape().type == CL_MEM_OBJECT_IMAGE1D_ARRAY) row = slice;
  const size_t length = region[0] * image.format().bytes();
  for (size_t z = 0; z < region[2]; ++z) {
    for (size_t y = 0; y < region[1]; ++y) {
      unsigned char* there = bytes + z * slice + y * row;
      unsigned char* model = image.at(origin[0], origin[1] + y, origin[2] + z);
      size_t same = 0;
      while (same < length && there[same] == model[same]) ++same;
      if (same != length) {
        fail("%s %zu x %zu x %zu of %u bytes: mapped at %zu, %zu, %zu, byte %zu of row %zu, %zu is %#x, not %#x",
             images::name_of(image.shape().type), image.shape().size[0], image.shape().size[1], image.shape().size[2],
             image.format().bytes(), origin[0], origin[1], origin[2], same, y, z, there[same], model[same]);
      }
      for (size_t i = 0; i < length; ++i) there[i] = model[i] = static_cast<unsigned char>(model[i] * 3 + i);
    }
  }
  check_cl(clEnqueueUnmapMemObject(rt.queue, image.get(), bytes, 0, nullptr, nullptr), "clEnqueueUnmapMemObject");
  image.check_all("a mapping");
}

void copy(Runtime& rt, Image& image, kit::Random& random) {
  if (image.shape().type == CL_MEM_OBJECT_IMAGE1D_BUFFER) return;
  Image other(rt, image.shape(), image.format());
  other.fill_model(random);
  other.write_all();
  Size from, region, to;
  random_box(random, image.shape(), from, region);
  for (unsigned i = 0; i < 3; ++i) to[i] = random.next() % (image.shape().size[i] - region[i] + 1);
  check_cl(clEnqueueCopyImage(rt.queue, image.get(), other.get(), from.data(), to.data(), region.data(), 0, nullptr, nullptr),
           "clEnqueueCopyImage");
  copy_model(image, from, other, to, region);
  other.check_all("a copy of an image");
}

void through_buffer(Runtime& rt, Image& image, kit::Random& random) {
  if (image.shape().type == CL_MEM_OBJECT_IMAGE1D_BUFFER) return;
  Size from, region, to;
  random_box(random, image.shape(), from, region);
  for (unsigned i = 0; i < 3; ++i) to[i] = random.next() % (image.shape().size[i] - region[i] + 1);
  const size_t offset = 16 * (random.next() % 5);
  const size_t bytes = region[0] * region[1] * region[2] * image.format().bytes();
  cl_int status = 0;
  const cl_mem buffer = clCreateBuffer(rt.context, CL_MEM_READ_WRITE, offset + bytes, nullptr, &status);
  check_cl(status, "clCreateBuffer");
  check_cl(clEnqueueCopyImageToBuffer(rt.queue, image.get(), buffer, from.data(), region.data(), offset, 0, nullptr, nullptr),
           "clEnqueueCopyImageToBuffer");
  check_cl(clEnqueueCopyBufferToImage(rt.queue, buffer, image.get(), offset, to.data(), region.data(), 0, nullptr, nullptr),
           "clEnqueueCopyBufferToImage");
  // Through a model of the buffer: both boxes may overlap.
  Image box(rt, {.type = image.shape().type, .size = region}, image.format());
  copy_model(image, from, box, {0, 0, 0}, region);
  copy_model(box, {0, 0, 0}, image, to, region);
  image.check_all("copies through a buffer");
  clReleaseMemObject(buffer);
}

/// A kernel that copies element by element.
void copy_by_kernel(Runtime& rt, Image& image, kit::Random&) {
  const auto type = image.shape().type;
  const std::string name = images::type_name(type);
  const std::string at = images::coordinate(type, "int");
  kit::Kernel kernel(rt, "kernel void k(read_only " + name + " a, write_only " + name +
                             " b) { int x = get_global_id(0), y = get_global_id(1), z = get_global_id(2);"
                             " write_imageui(b, " + at + ", read_imageui(a, " + at + ")); }");
  cl_mem buffer = nullptr;
  cl_int status = 0;
  if (type == CL_MEM_OBJECT_IMAGE1D_BUFFER) {
    buffer = clCreateBuffer(rt.context, CL_MEM_READ_WRITE, image.model().size(), nullptr, &status);
    check_cl(status, "clCreateBuffer");
  }
  {
    Image other(rt, image.shape(), image.format(), CL_MEM_READ_WRITE, nullptr, buffer);
    other.model() = image.model();
    kernel.value(image.get()).value(other.get());
    const Size& size = image.shape().size;
    kernel.run({.global = {size[0], size[1], size[2]}});
    other.check_all("a copy by a kernel");
  }
  if (buffer != nullptr) clReleaseMemObject(buffer);
}

/// `count` images of one type, drawn from a seed; each goes through every kind of transfer.
void round_trips(Runtime& rt, cl_mem_object_type type, unsigned count) {
  kit::Random random(777 + type);
  for (unsigned i = 0; i < count; ++i) {
    const Format format{kSizes[i % std::size(kSizes)]};
    const Shape shape = random_shape(random, type, format.bytes());
    cl_mem buffer = nullptr;
    cl_int status = 0;
    if (type == CL_MEM_OBJECT_IMAGE1D_BUFFER) {
      buffer = clCreateBuffer(rt.context, CL_MEM_READ_WRITE, shape.elements() * format.bytes(), nullptr, &status);
      check_cl(status, "clCreateBuffer");
    }
    {
      Image image(rt, shape, format, CL_MEM_READ_WRITE, nullptr, buffer);
      for (auto* step : {write_and_read, fill, map, copy, through_buffer, copy_by_kernel}) step(rt, image, random);
    }
    if (buffer != nullptr) clReleaseMemObject(buffer);
  }
}

void queries(Runtime& rt) {
  const Shape shapes[] = {{CL_MEM_OBJECT_IMAGE1D, {1000, 1, 1}},      {CL_MEM_OBJECT_IMAGE1D_ARRAY, {50, 4, 1}},
                          {CL_MEM_OBJECT_IMAGE1D_BUFFER, {100000, 1, 1}}, {CL_MEM_OBJECT_IMAGE2D, {64, 32, 1}},
                          {CL_MEM_OBJECT_IMAGE2D_ARRAY, {70, 40, 3}}, {CL_MEM_OBJECT_IMAGE3D, {40, 20, 10}}};
  for (const Shape& shape : shapes) {
    cl_mem buffer = nullptr;
    cl_int status = 0;
    if (shape.type == CL_MEM_OBJECT_IMAGE1D_BUFFER) {
      buffer = clCreateBuffer(rt.context, CL_MEM_READ_WRITE, shape.elements() * 4, nullptr, &status);
      check_cl(status, "clCreateBuffer");
    }
    {
      Image image(rt, shape, {{CL_RGBA, CL_UNSIGNED_INT8}}, CL_MEM_READ_WRITE, nullptr, buffer);
      const unsigned d = images::dimensions(shape.type);
      std::string body = "o[0] = get_image_width(a);";
      if (d >= 2) body += "o[1] = get_image_height(a);";
      if (d == 3) body += "o[2] = get_image_depth(a);";
      if (images::is_array(shape.type)) body += "o[" + std::to_string(d) + "] = get_image_array_size(a);";
      body += "o[3] = get_image_channel_order(a); o[4] = get_image_channel_data_type(a);";
      kit::Kernel kernel(rt, "kernel void k(read_only " + images::type_name(shape.type) + " a, global uint* o) {" + body + "}");
      kit::Array<cl_uint> out(rt, 5);
      out.fill([](size_t) { return 1; });
      kernel.value(image.get()).arg(out).run({.global = {1}});
      for (unsigned i = 0; i < 3; ++i) {
        if (out[i] != shape.size[i]) fail("%s: size %u is %u, not %zu", images::name_of(shape.type), i, out[i], shape.size[i]);
      }
      if (out[3] != CL_RGBA || out[4] != CL_UNSIGNED_INT8) fail("format is %#x, %#x", out[3], out[4]);
    }
    if (buffer != nullptr) clReleaseMemObject(buffer);
  }
}

/// An image over a buffer of its own pitch: both see the same bytes.
void from_buffer(Runtime& rt) {
  constexpr size_t kWidth = 90, kHeight = 20, kPitch = 400;
  std::vector<unsigned char> bytes(kPitch * kHeight);
  for (size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<unsigned char>(i * 7);
  cl_int status = 0;
  const cl_mem buffer =
      clCreateBuffer(rt.context, CL_MEM_READ_WRITE | CL_MEM_COPY_HOST_PTR, bytes.size(), bytes.data(), &status);
  check_cl(status, "clCreateBuffer");
  {
    Image image(rt, {CL_MEM_OBJECT_IMAGE2D, {kWidth, kHeight, 1}}, {{CL_RGBA, CL_UNSIGNED_INT8}}, CL_MEM_READ_WRITE, nullptr,
                buffer, kPitch);
    kit::Kernel kernel(rt,
                       "kernel void k(read_write image2d_t a) { int2 p = {get_global_id(0), get_global_id(1)};"
                       " write_imageui(a, p, read_imageui(a, p) + 1u); }");
    kernel.value(image.get()).run({.global = {kWidth, kHeight}});
    std::vector<unsigned char> after(bytes.size());
    check_cl(clEnqueueReadBuffer(rt.queue, buffer, CL_TRUE, 0, after.size(), after.data(), 0, nullptr, nullptr), "read");
    for (size_t i = 0; i < bytes.size(); ++i) {
      const bool inside = i % kPitch < kWidth * 4;
      // A channel of 255 stays: stores clamp.
      const unsigned want = !inside ? bytes[i] : bytes[i] == 255 ? 255u : bytes[i] + 1u;
      if (after[i] != want) fail("byte %zu is %u, not %u", i, after[i], want);
    }
  }
  clReleaseMemObject(buffer);
}

/// The client's own memory as an image, given back to the client by a mapping, then unmapped beside another.
void host_memory(Runtime& rt) {
  constexpr size_t kWidth = 256, kHeight = 64;
  for (const cl_mem_object_type type : {CL_MEM_OBJECT_IMAGE2D, CL_MEM_OBJECT_IMAGE1D}) {
    const Shape shape{type, {kWidth, type == CL_MEM_OBJECT_IMAGE2D ? kHeight : 1, 1}};
    std::vector<cl_uint> mine(shape.elements());
    for (size_t i = 0; i < mine.size(); ++i) mine[i] = static_cast<cl_uint>(i * 2654435761u);
    const std::vector<cl_uint> before = mine;
    Image image(rt, shape, {{CL_R, CL_UNSIGNED_INT32}}, CL_MEM_READ_WRITE | CL_MEM_USE_HOST_PTR, mine.data());
    kit::Kernel kernel(rt, "kernel void k(read_write " + images::type_name(type) +
                               " a) { int x = get_global_id(0), y = get_global_id(1), z = 0;"
                               " write_imageui(a, " + images::coordinate(type, "int") + ", read_imageui(a, " +
                               images::coordinate(type, "int") + ") ^ 0xFFu); }");
    kernel.value(image.get()).run({.global = {shape.size[0], shape.size[1]}});
    Size origin{0, 0, 0};
    size_t row = 0, slice = 0;
    cl_int status = 0;
    auto* bytes = static_cast<unsigned char*>(clEnqueueMapImage(rt.queue, image.get(), CL_TRUE, CL_MAP_READ, origin.data(),
                                                                shape.size.data(), &row, &slice, 0, nullptr, nullptr, &status));
    check_cl(status, "clEnqueueMapImage");
    for (size_t i = 0; i < mine.size(); ++i) {
      cl_uint value = 0;
      std::memcpy(&value, bytes + i / kWidth * row + i % kWidth * 4, 4);
      if (value != (before[i] ^ 0xFFu)) fail("element %zu is %#x, not %#x", i, value, before[i] ^ 0xFFu);
    }
    check_cl(clEnqueueUnmapMemObject(rt.queue, image.get(), bytes, 0, nullptr, nullptr), "unmap");
    check_cl(clFinish(rt.queue), "clFinish");
  }
}

/// A chain of images, 320 MiB of them, all written before one is read again. (What a VM maps must fit into VRAM.)
void many_at_once(Runtime& rt) {
  constexpr size_t kImages = 40, kWidth = 1024, kHeight = 512;
  kit::Kernel kernel(rt,
                     "kernel void k(read_only image2d_t a, write_only image2d_t b, uint n) {"
                     " int2 p = {get_global_id(0), get_global_id(1)};"
                     " write_imageui(b, p, read_imageui(a, p) + n); }");
  std::vector<std::unique_ptr<Image>> all;
  for (size_t i = 0; i < kImages; ++i) {
    all.push_back(std::make_unique<Image>(rt, Shape{CL_MEM_OBJECT_IMAGE2D, {kWidth, kHeight, 1}},
                                          Format{{CL_RGBA, CL_UNSIGNED_INT32}}));
  }
  const cl_uint zero[4] = {1, 2, 3, 4};
  const Size origin{0, 0, 0}, region{kWidth, kHeight, 1};
  check_cl(clEnqueueFillImage(rt.queue, all[0]->get(), zero, origin.data(), region.data(), 0, nullptr, nullptr), "fill");
  for (size_t i = 1; i < kImages; ++i) {
    const cl_mem from = all[i - 1]->get(), to = all[i]->get();
    const auto n = static_cast<cl_uint>(i);
    check_cl(clSetKernelArg(kernel.get(), 0, sizeof from, &from), "argument");
    check_cl(clSetKernelArg(kernel.get(), 1, sizeof to, &to), "argument");
    check_cl(clSetKernelArg(kernel.get(), 2, sizeof n, &n), "argument");
    kernel.enqueue({.global = {kWidth, kHeight}}, rt.queue);
  }
  check_cl(clFinish(rt.queue), "clFinish");
  for (const size_t i : {size_t{0}, kImages / 2, kImages - 1}) {
    const Size at{kWidth - 3, kHeight - 2, 0}, part{3, 2, 1};
    cl_uint got[24];
    check_cl(clEnqueueReadImage(rt.queue, all[i]->get(), CL_TRUE, at.data(), part.data(), 0, 0, got, 0, nullptr, nullptr),
             "clEnqueueReadImage");
    for (unsigned k = 0; k < 24; ++k) {
      const cl_uint want = k % 4 + 1 + static_cast<cl_uint>(i * (i + 1) / 2);
      if (got[k] != want) fail("image %zu: value %u is %u, not %u", i, k, got[k], want);
    }
  }
}

/// Sizes of one mip level of an image, and where calls want its number.
struct MipLevel {
  size_t origin[4] = {0, 0, 0, 0};
  Size region{1, 1, 1};

  MipLevel(const Shape& shape, unsigned level) {
    const unsigned spatial = images::dimensions(shape.type), all = spatial + images::is_array(shape.type);
    for (unsigned i = 0; i < 3; ++i) region[i] = i < spatial ? std::max<size_t>(shape.size[i] >> level, 1) : shape.size[i];
    origin[all] = level;
  }
};

cl_mem make_mipmap(Runtime& rt, const Shape& shape, const Format& format, unsigned levels) {
  cl_image_desc desc{};
  desc.image_type = shape.type;
  desc.image_width = shape.size[0];
  if (images::dimensions(shape.type) >= 2) desc.image_height = shape.size[1];
  if (shape.type == CL_MEM_OBJECT_IMAGE3D) desc.image_depth = shape.size[2];
  if (images::is_array(shape.type)) desc.image_array_size = shape.size[images::dimensions(shape.type)];
  desc.num_mip_levels = levels;
  cl_int status = 0;
  const cl_mem image = clCreateImage(rt.context, CL_MEM_READ_WRITE, &format.cl, &desc, nullptr, &status);
  check_cl(status, "clCreateImage with mip levels");
  return image;
}

unsigned char mip_byte(size_t i, unsigned level) { return static_cast<unsigned char>(i * 7 + level * 31 + i / 251); }

/// Every level keeps its bytes while the others are written.
void mip_levels(Runtime& rt) {
  if (!rt.has("cl_khr_mipmap_image")) fail("no cl_khr_mipmap_image");
  const Shape shapes[] = {{CL_MEM_OBJECT_IMAGE2D, {512, 256, 1}},      {CL_MEM_OBJECT_IMAGE2D, {100, 37, 1}},
                          {CL_MEM_OBJECT_IMAGE3D, {64, 40, 20}},       {CL_MEM_OBJECT_IMAGE2D_ARRAY, {100, 60, 3}},
                          {CL_MEM_OBJECT_IMAGE1D, {300, 1, 1}},        {CL_MEM_OBJECT_IMAGE1D_ARRAY, {70, 4, 1}}};
  constexpr unsigned kLevels = 5;
  for (const Shape& shape : shapes) {
    for (const cl_image_format& cl : {kSizes[0], kSizes[2], kSizes[4]}) {
      const Format format{cl};
      const cl_mem image = make_mipmap(rt, shape, format, kLevels);
      std::vector<unsigned char> bytes;
      for (unsigned pass = 0; pass < 2; ++pass) {
        for (unsigned level = 0; level < kLevels; ++level) {
          const MipLevel at(shape, level);
          bytes.assign(at.region[0] * at.region[1] * at.region[2] * format.bytes(), 0);
          if (pass == 0) {
            for (size_t i = 0; i < bytes.size(); ++i) bytes[i] = mip_byte(i, level);
            check_cl(clEnqueueWriteImage(rt.queue, image, CL_TRUE, at.origin, at.region.data(), 0, 0, bytes.data(), 0, nullptr, nullptr),
                     "clEnqueueWriteImage of a level");
            continue;
          }
          check_cl(clEnqueueReadImage(rt.queue, image, CL_TRUE, at.origin, at.region.data(), 0, 0, bytes.data(), 0, nullptr, nullptr),
                   "clEnqueueReadImage of a level");
          for (size_t i = 0; i < bytes.size(); ++i) {
            if (bytes[i] != mip_byte(i, level)) fail("%s of %u bytes: byte %zu of level %u", images::name_of(shape.type), format.bytes(), i, level);
          }
        }
      }
      clReleaseMemObject(image);
    }
  }
}

/// A level by its number, and by how fast coordinates change.
void mip_samples(Runtime& rt) {
  if (!rt.has("cl_khr_mipmap_image")) fail("no cl_khr_mipmap_image");
  const Shape shape{CL_MEM_OBJECT_IMAGE2D, {512, 256, 1}};
  const Format format{{CL_R, CL_FLOAT}};
  const cl_mem image = make_mipmap(rt, shape, format, 5);
  for (unsigned level = 0; level < 5; ++level) {
    const MipLevel at(shape, level);
    const std::vector<float> value(at.region[0] * at.region[1], static_cast<float>(level));
    check_cl(clEnqueueWriteImage(rt.queue, image, CL_TRUE, at.origin, at.region.data(), 0, 0, value.data(), 0, nullptr, nullptr), "write");
  }
  float last = 10;
  cl_uint last_bits = 0;
  std::memcpy(&last_bits, &last, 4);
  const cl_sampler_properties properties[] = {CL_SAMPLER_NORMALIZED_COORDS, CL_TRUE, CL_SAMPLER_ADDRESSING_MODE,
                                              CL_ADDRESS_CLAMP_TO_EDGE, CL_SAMPLER_FILTER_MODE, CL_FILTER_LINEAR,
                                              CL_SAMPLER_MIP_FILTER_MODE, CL_FILTER_LINEAR, CL_SAMPLER_LOD_MIN, 0,
                                              CL_SAMPLER_LOD_MAX, last_bits, 0};
  cl_int status = 0;
  const cl_sampler sampler = clCreateSamplerWithProperties(rt.context, properties, &status);
  check_cl(status, "clCreateSamplerWithProperties");
  kit::Kernel kernel(rt,
                     "#pragma OPENCL EXTENSION cl_khr_mipmap_image : enable\n"
                     "kernel void k(global float* o, read_only image2d_t a, sampler_t s) {"
                     " for (int i = 0; i < 9; ++i) o[i] = read_imagef(a, s, (float2)(0.3f, 0.6f), i * 0.5f).x;"
                     " for (int i = 0; i < 5; ++i) { float step = (1 << i) / 512.0f;"
                     "  o[9 + i] = read_imagef(a, s, (float2)(0.3f, 0.6f), (float2)(step, 0), (float2)(0, step)).x; }"
                     " o[14] = get_image_num_mip_levels(a); }");
  kit::Array<float> out(rt, 15);
  kernel.arg(out).value(image).value(sampler).run({.global = {1}});
  for (size_t i = 0; i < 15; ++i) {
    const double want = i < 9 ? i * 0.5 : i < 14 ? double(i - 9) : 5.0;
    if (out[i] < want - 0.01 || out[i] > want + 0.01) fail("value %zu is %.9g, not %.9g", i, double(out[i]), want);
  }
  clReleaseSampler(sampler);
  clReleaseMemObject(image);
}

#define TRIPS(name, type, count) {name, [](Runtime& rt) { round_trips(rt, type, count); }}
const kit::Row kRows[] = {
    TRIPS("image-round-trips-1d", CL_MEM_OBJECT_IMAGE1D, 24),
    TRIPS("image-round-trips-1d-array", CL_MEM_OBJECT_IMAGE1D_ARRAY, 24),
    TRIPS("image-round-trips-1d-buffer", CL_MEM_OBJECT_IMAGE1D_BUFFER, 24),
    TRIPS("image-round-trips-2d", CL_MEM_OBJECT_IMAGE2D, 60),
    TRIPS("image-round-trips-2d-array", CL_MEM_OBJECT_IMAGE2D_ARRAY, 34),
    TRIPS("image-round-trips-3d", CL_MEM_OBJECT_IMAGE3D, 34),
    {"image-queries", queries},
    {"image-from-buffer", from_buffer},
    {"image-host-memory", host_memory},
    {"image-many-at-once", many_at_once},
    {"image-mip-levels", mip_levels},
    {"image-mip-samples", mip_samples},
};

}  // namespace

void add_image_rows(std::vector<kit::Row>& rows) { rows.insert(rows.end(), std::begin(kRows), std::end(kRows)); }
