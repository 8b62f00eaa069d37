// Images: copied in and out by either engine, read, sampled and written by kernels, beside others when VRAM is little.
#include <cmath>
#include <cstring>
#include <memory>

#include "rows.h"

namespace {

using kit::Array;
using kit::Commands;
using kit::Kernel;
using kit::Kind;
using kit::Memory;
using kit::Module;
using kit::World;
using uint = std::uint32_t;

struct Shape {
  const char* name;
  ze_image_type_t type;
  uint width, height, depth;  ///< of arrays `depth` is the layers
  size_t elements() const { return size_t{width} * height * depth; }
};
struct Element {
  ze_image_format_layout_t layout;
  ze_image_format_type_t type;
  uint bytes;
};
constexpr Element kFloat{ZE_IMAGE_FORMAT_LAYOUT_32, ZE_IMAGE_FORMAT_TYPE_FLOAT, 4};
constexpr Element kBytes{ZE_IMAGE_FORMAT_LAYOUT_8_8_8_8, ZE_IMAGE_FORMAT_TYPE_UNORM, 4};
constexpr Element kWords{ZE_IMAGE_FORMAT_LAYOUT_32, ZE_IMAGE_FORMAT_TYPE_UINT, 4};
using Swizzle = std::array<ze_image_format_swizzle_t, 4>;
constexpr Swizzle kPlain{ZE_IMAGE_FORMAT_SWIZZLE_R, ZE_IMAGE_FORMAT_SWIZZLE_G, ZE_IMAGE_FORMAT_SWIZZLE_B, ZE_IMAGE_FORMAT_SWIZZLE_A};

class Image {
 public:
  Image(World& w, const Shape& shape, const Element& element, const Swizzle& swizzle = kPlain) {
    ze_image_desc_t desc{};
    desc.stype = ZE_STRUCTURE_TYPE_IMAGE_DESC;
    desc.flags = ZE_IMAGE_FLAG_KERNEL_WRITE;
    desc.type = shape.type;
    desc.format = {element.layout, element.type, swizzle[0], swizzle[1], swizzle[2], swizzle[3]};
    desc.width = shape.width;
    desc.height = shape.height;
    desc.depth = shape.type == ZE_IMAGE_TYPE_3D ? shape.depth : 1;
    desc.arraylevels = shape.type == ZE_IMAGE_TYPE_2DARRAY ? shape.depth : 0;
    kit::check(zeImageCreate(w.context, w.device, &desc, &image_), "image");
  }
  ~Image() { zeImageDestroy(image_); }
  Image(const Image&) = delete;
  Image& operator=(const Image&) = delete;
  ze_image_handle_t get() const { return image_; }
  void from_memory(Commands& list, const void* from, const ze_image_region_t* region = nullptr) {
    kit::check(zeCommandListAppendImageCopyFromMemory(list.get(), image_, from, region, nullptr, 0, nullptr), "copy to an image");
  }
  void to_memory(Commands& list, void* to, const ze_image_region_t* region = nullptr) {
    kit::check(zeCommandListAppendImageCopyToMemory(list.get(), to, image_, region, nullptr, 0, nullptr), "copy of an image");
  }

 private:
  ze_image_handle_t image_ = nullptr;
};

constexpr Shape kShapes[] = {
    {"1D", ZE_IMAGE_TYPE_1D, 1000, 1, 1},         {"2D", ZE_IMAGE_TYPE_2D, 100, 50, 1},
    {"small 2D", ZE_IMAGE_TYPE_2D, 3, 1, 1},      {"large 2D", ZE_IMAGE_TYPE_2D, 700, 300, 1},
    {"3D", ZE_IMAGE_TYPE_3D, 40, 20, 10},         {"2D array", ZE_IMAGE_TYPE_2DARRAY, 70, 40, 3},
};
constexpr Element kElements[] = {
    {ZE_IMAGE_FORMAT_LAYOUT_8, ZE_IMAGE_FORMAT_TYPE_UINT, 1},
    {ZE_IMAGE_FORMAT_LAYOUT_16, ZE_IMAGE_FORMAT_TYPE_UINT, 2},
    {ZE_IMAGE_FORMAT_LAYOUT_8_8_8_8, ZE_IMAGE_FORMAT_TYPE_UNORM, 4},
    {ZE_IMAGE_FORMAT_LAYOUT_16_16_16_16, ZE_IMAGE_FORMAT_TYPE_UINT, 8},
    {ZE_IMAGE_FORMAT_LAYOUT_32_32_32_32, ZE_IMAGE_FORMAT_TYPE_FLOAT, 16},
};

std::uint8_t byte_of(size_t i) { return std::uint8_t(i * 7 + i / 251); }

/// Everything in, a part over it, everything out.
void round_trips(World& w, uint ordinal) {
  for (const Shape& shape : kShapes) {
    for (const Element& element : kElements) {
      const size_t bytes = shape.elements() * element.bytes;
      Image image(w, shape, element);
      Array<std::uint8_t> in(w, bytes), part(w, bytes), out(w, bytes, Memory::kHost);
      for (size_t i = 0; i < bytes; ++i) in[i] = byte_of(i), part[i] = std::uint8_t(~byte_of(i * 3));
      const ze_image_region_t region = {shape.width / 3, shape.height / 4, shape.depth / 2, shape.width - shape.width / 3,
                                        shape.height - shape.height / 4, shape.depth - shape.depth / 2};
      Commands list(w, w.context, Kind::kRegular, ordinal);
      image.from_memory(list, in.get());
      list.barrier();
      image.from_memory(list, part.get(), &region);
      list.barrier();
      image.to_memory(list, out.get());
      list.run();
      size_t next = 0;
      for (size_t z = 0, i = 0; z < shape.depth; ++z)
        for (size_t y = 0; y < shape.height; ++y)
          for (size_t x = 0; x < shape.width; ++x) {
            const bool over = x >= region.originX && y >= region.originY && z >= region.originZ;
            for (uint b = 0; b < element.bytes; ++b, ++i) {
              const std::uint8_t want = over ? part[next++] : in[i];
              if (out[i] != want)
                kit::fail("%s of %u bytes: byte %u of (%zu, %zu, %zu) is %#x, want %#x", shape.name, element.bytes, b, x, y, z, out[i], want);
            }
          }
    }
  }
}

/// One image to another, and a part of it to a place elsewhere.
void image_to_image(World& w) {
  constexpr Shape kShape{"2D", ZE_IMAGE_TYPE_2D, 120, 70, 1};
  Image a(w, kShape, kWords), b(w, kShape, kWords);
  Array<uint> in(w, kShape.elements()), out(w, kShape.elements());
  for (size_t i = 0; i < kShape.elements(); ++i) in[i] = uint(i * 2654435761u);
  const ze_image_region_t from = {7, 3, 0, 50, 40, 1}, to = {60, 21, 0, 50, 40, 1};
  Commands list(w, Kind::kImmediate);
  a.from_memory(list, in.get());
  list.barrier();
  kit::check(zeCommandListAppendImageCopy(list.get(), b.get(), a.get(), nullptr, 0, nullptr), "copy of a whole image");
  list.barrier();
  kit::check(zeCommandListAppendImageCopyRegion(list.get(), b.get(), a.get(), &to, &from, nullptr, 0, nullptr), "copy of a part");
  list.barrier();
  b.to_memory(list, out.get());
  list.run();
  kit::expect<uint>(out, kShape.elements(), [&](size_t i) {
    const size_t x = i % 120, y = i / 120;
    const bool over = x >= 60 && x < 110 && y >= 21 && y < 61;
    return over ? in[(y - 18) * 120 + x - 53] : in[i];
  }, "element");
}

ze_sampler_handle_t make_sampler(World& w, ze_sampler_address_mode_t address, ze_sampler_filter_mode_t filter) {
  const ze_sampler_desc_t desc = {ZE_STRUCTURE_TYPE_SAMPLER_DESC, nullptr, address, filter, false};
  ze_sampler_handle_t sampler = nullptr;
  kit::check(zeSamplerCreate(w.context, w.device, &desc, &sampler), "sampler");
  return sampler;
}

/// Between elements of a ramp, and beyond its edges.
void sampled(World& w) {
  constexpr Shape kShape{"2D", ZE_IMAGE_TYPE_2D, 40, 12, 1};
  constexpr uint kN = 480;
  Image image(w, kShape, kFloat);
  Array<float> in(w, kN), out(w, kN);
  for (uint i = 0; i < kN; ++i) in[i] = float(i % 40) + 100.0f * float(i / 40);
  Module module(w, "kernel void k(read_only image2d_t a, sampler_t s, global float* o) { int x = get_global_id(0), y = get_global_id(1); o[y * 40 + x] = read_imagef(a, s, (float2)(x - 1.25f, y + 0.75f)).x; }");
  struct Mode {
    ze_sampler_address_mode_t address;
    ze_sampler_filter_mode_t filter;
  };
  for (const auto& [address, filter] : {Mode{ZE_SAMPLER_ADDRESS_MODE_CLAMP, ZE_SAMPLER_FILTER_MODE_LINEAR},
                                        Mode{ZE_SAMPLER_ADDRESS_MODE_CLAMP, ZE_SAMPLER_FILTER_MODE_NEAREST},
                                        Mode{ZE_SAMPLER_ADDRESS_MODE_CLAMP_TO_BORDER, ZE_SAMPLER_FILTER_MODE_NEAREST}}) {
    const ze_sampler_handle_t sampler = make_sampler(w, address, filter);
    Kernel k(module);
    k.arg(image.get()).arg(sampler).arg(out.get()).group(8, 4);
    Commands list(w, Kind::kImmediate);
    image.from_memory(list, in.get());
    list.barrier().launch(k, {5, 3, 1}).run();
    const bool edge = address == ZE_SAMPLER_ADDRESS_MODE_CLAMP;
    kit::expect<float>(out, kN, [&](size_t i) {
      const float u = float(i % 40) - 1.25f, v = float(i / 40) + 0.75f;
      // A ramp filtered is the ramp, half an element off; whole numbers are exact.
      const bool linear = filter == ZE_SAMPLER_FILTER_MODE_LINEAR;
      const float x = linear ? u - 0.5f : std::floor(u), y = linear ? v - 0.5f : std::floor(v);
      if (!edge && (x < 0 || y < 0 || x > 39 || y > 11)) return 0.0f;
      return std::fmin(std::fmax(x, 0.0f), 39.0f) + 100.0f * std::fmin(std::fmax(y, 0.0f), 11.0f);
    }, edge ? "at the edge" : "beyond the border");
    zeSamplerDestroy(sampler);
  }
}

/// A kernel that reads one image and writes another, several times over in one list.
void written(World& w) {
  constexpr Shape kShape{"3D", ZE_IMAGE_TYPE_3D, 33, 17, 9};
  Image a(w, kShape, kWords), b(w, kShape, kWords);
  const size_t n = kShape.elements();
  Array<uint> in(w, n), out(w, n);
  for (size_t i = 0; i < n; ++i) in[i] = uint(i);
  Module module(w, "#pragma OPENCL EXTENSION cl_khr_3d_image_writes : enable\nkernel void k(read_only image3d_t a, write_only image3d_t b) { int4 p = {get_global_id(0), get_global_id(1), get_global_id(2), 0}; write_imageui(b, p, read_imageui(a, p) * 3u + 1u); }");
  Kernel there(module), back(module);
  there.arg(a.get()).arg(b.get()).group(11, 1, 3);
  back.arg(b.get()).arg(a.get()).group(11, 1, 3);
  Commands list(w, Kind::kRegular);
  a.from_memory(list, in.get());
  for (int round = 0; round < 3; ++round) list.barrier().launch(there, {3, 17, 3}).barrier().launch(back, {3, 17, 3});
  list.barrier();
  a.to_memory(list, out.get());
  list.run();
  kit::expect<uint>(out, n, [](size_t i) { return uint(i) * 729 + 364; }, "element");
}

/// Channels in another order, and one that is a constant.
void swizzled(World& w) {
  constexpr Shape kShape{"2D", ZE_IMAGE_TYPE_2D, 16, 4, 1};
  Image image(w, kShape, kBytes, {ZE_IMAGE_FORMAT_SWIZZLE_B, ZE_IMAGE_FORMAT_SWIZZLE_G, ZE_IMAGE_FORMAT_SWIZZLE_R, ZE_IMAGE_FORMAT_SWIZZLE_1});
  Array<std::uint8_t> in(w, 256);
  Array<float> out(w, 256);
  for (uint i = 0; i < 256; ++i) in[i] = std::uint8_t(i);
  Module module(w, "kernel void k(read_only image2d_t a, global float4* o) { int2 p = {get_global_id(0), get_global_id(1)}; o[p.y * 16 + p.x] = read_imagef(a, p); }");
  Kernel k(module);
  k.arg(image.get()).arg(out.get()).group(16);
  Commands list(w, Kind::kImmediate);
  image.from_memory(list, in.get());
  list.barrier().launch(k, {1, 4, 1}).run();
  constexpr uint kFrom[] = {2, 1, 0};
  for (uint i = 0; i < 256; ++i) {
    const float want = i % 4 == 3 ? 1.0f : float(in[i / 4 * 4 + kFrom[i % 4]]) / 255.0f;
    if (std::fabs(out[i] - want) > 1e-6f) kit::fail("channel %u of element %u is %g, want %g", i % 4, i / 4, double(out[i]), double(want));
  }
}

/// A chain of images of 240 MiB beside as much of the program's own memory, which goes to VRAM as kernels use it.
void beside_shared_memory(World& w) {
  constexpr Shape kShape{"2D", ZE_IMAGE_TYPE_2D, 1024, 1024, 1};
  constexpr uint kImages = 60;
  constexpr size_t kN = size_t{64} << 20;
  Module module(w, "kernel void k(read_only image2d_t a, write_only image2d_t b, global uint* m) { int2 p = {get_global_id(0), get_global_id(1)}; uint v = read_imageui(a, p).x + 1; write_imageui(b, p, (uint4)(v)); if (p.y == 0) m[(size_t)v * 1048576 + p.x] = v; }"
                   "kernel void all(global uint* m) { m[get_global_id(0) * (size_t)1024] += 7; }");
  std::vector<std::unique_ptr<Image>> images;
  for (uint i = 0; i < kImages; ++i) images.push_back(std::make_unique<Image>(w, kShape, kWords));
  Array<uint> memory(w, kN, Memory::kMalloc), zero(w, kShape.elements()), out(w, kShape.elements());
  Commands list(w, Kind::kImmediate);
  images[0]->from_memory(list, zero.get());
  Kernel all(module, "all");
  all.arg(memory.get()).group(64);
  list.barrier().launch(all, kN / 1024 / 64).barrier();
  std::vector<std::unique_ptr<Kernel>> kernels;
  for (uint i = 1; i < kImages; ++i) {
    kernels.push_back(std::make_unique<Kernel>(module));
    kernels.back()->arg(images[i - 1]->get()).arg(images[i]->get()).arg(memory.get()).group(64, 4);
    list.launch(*kernels.back(), {16, 256, 1}).barrier();
  }
  images[kImages - 1]->to_memory(list, out.get());
  list.run();
  kit::expect<uint>(out, kShape.elements(), [](size_t) { return kImages - 1; }, "the last image");
  for (uint i = 1; i < kImages; ++i) {
    if (memory[size_t{i} * 1048576 + 5] != i) kit::fail("word of image %u is %u", i, memory[size_t{i} * 1048576 + 5]);
  }
  if (memory[63 * size_t{1048576} + 1024] != 7) kit::fail("a word that only the first kernel wrote is %u", memory[63 * size_t{1048576} + 1024]);
}

}  // namespace

void add_image_rows(std::vector<kit::Row>& rows) {
  rows.push_back({"image-copies-compute", [](World& w) { round_trips(w, w.compute); }});
  rows.push_back({"image-copies-copy-engine", [](World& w) { round_trips(w, w.copies); }});
  rows.push_back({"image-to-image", image_to_image});
  rows.push_back({"image-sampled", sampled});
  rows.push_back({"image-written", written});
  rows.push_back({"image-swizzled", swizzled});
  rows.push_back({"image-beside-shared-memory", beside_shared_memory});
}
