// Images of YUV formats (cl_intel_packed_yuv, cl_intel_planar_yuv): kernels read V, Y, U as red, green, blue.
#include <vector>

#include "images.h"
#include "rows.h"

namespace {

using kit::check_cl;
using kit::fail;
using kit::Runtime;

constexpr size_t kWidth = 76, kHeight = 36;  // multiples of 4, as NV12 wants them
constexpr size_t kPixels = kWidth * kHeight;

struct Colour {
  unsigned char y, u, v;
};
using Picture = std::vector<Colour>;

/// Brightness by the pixel, colours by pairs, or by two times two pixels.
Picture make_picture(size_t rows_of_a_colour) {
  kit::Random random;
  Picture picture(kPixels);
  for (size_t y = 0; y < kHeight; ++y) {
    for (size_t x = 0; x < kWidth; ++x) {
      Colour& pixel = picture[y * kWidth + x];
      pixel.y = static_cast<unsigned char>(random.next());
      const Colour& first = picture[y / rows_of_a_colour * rows_of_a_colour * kWidth + x / 2 * 2];
      const bool own = &first == &pixel;
      pixel.u = own ? static_cast<unsigned char>(random.next()) : first.u;
      pixel.v = own ? static_cast<unsigned char>(random.next()) : first.v;
    }
  }
  return picture;
}

cl_sampler make_sampler(Runtime& rt, cl_filter_mode filter) {
  const cl_sampler_properties properties[] = {CL_SAMPLER_NORMALIZED_COORDS, CL_FALSE, CL_SAMPLER_ADDRESSING_MODE,
                                              CL_ADDRESS_CLAMP_TO_EDGE, CL_SAMPLER_FILTER_MODE, filter, 0};
  cl_int status = 0;
  const cl_sampler sampler = clCreateSamplerWithProperties(rt.context, properties, &status);
  check_cl(status, "clCreateSamplerWithProperties");
  return sampler;
}

/// Every pixel by whole coordinates, and in the middle of pixels by both filters.
void check_reads(Runtime& rt, cl_mem image, const Picture& picture, const char* what) {
  kit::Kernel kernel(rt,
                     "kernel void k(global float4* o, read_only image2d_t a, sampler_t s) {"
                     " int2 p = {get_global_id(0), get_global_id(1)}; size_t n = get_global_size(0) * get_global_size(1);"
                     " const sampler_t near = CLK_NORMALIZED_COORDS_FALSE | CLK_ADDRESS_CLAMP | CLK_FILTER_NEAREST;"
                     " size_t i = p.y * get_global_size(0) + p.x;"
                     " o[i] = read_imagef(a, near, p); o[n + i] = read_imagef(a, s, convert_float2(p) + 0.5f); }");
  for (const cl_filter_mode filter : {CL_FILTER_NEAREST, CL_FILTER_LINEAR}) {
    const cl_sampler sampler = make_sampler(rt, filter);
    kit::Array<cl_float4> out(rt, 2 * kPixels);
    kit::Kernel& ready = kernel;
    check_cl(clSetKernelArg(ready.get(), 1, sizeof image, &image), "argument");
    check_cl(clSetKernelArg(ready.get(), 2, sizeof sampler, &sampler), "argument");
    out.block().to_device();
    out.block().set_arg(ready.get(), 0);
    ready.enqueue({.global = {kWidth, kHeight}}, rt.queue);
    check_cl(clFinish(rt.queue), "clFinish");
    out.block().to_host();
    for (size_t i = 0; i < 2 * kPixels; ++i) {
      const Colour& pixel = picture[i % kPixels];
      const images::Pixel want{{pixel.v / 255.0, pixel.y / 255.0, pixel.u / 255.0, 1.0}};
      const std::string where = std::string(what) + (i < kPixels ? ", by whole numbers" : ", in the middle") +
                                ", pixel " + std::to_string(i % kPixels);
      images::check_pixel(want, out[i].s, 1e-5, where);
    }
    clReleaseSampler(sampler);
  }
}

void packed(Runtime& rt) {
  if (!rt.has("cl_intel_packed_yuv")) fail("no cl_intel_packed_yuv");
  struct Order {
    cl_channel_order cl;
    const char* bytes;
  };
  const Picture picture = make_picture(1);
  for (const auto& [order, letters] : {Order{CL_YUYV_INTEL, "YUYV"}, Order{CL_UYVY_INTEL, "UYVY"},
                                       Order{CL_YVYU_INTEL, "YVYU"}, Order{CL_VYUY_INTEL, "VYUY"}}) {
    std::vector<unsigned char> bytes(2 * kPixels);
    for (size_t i = 0; i < kPixels; i += 2) {
      bool right = false;
      for (size_t b = 0; b < 4; ++b) {
        unsigned char& to = bytes[2 * i + b];
        switch (letters[b]) {
          case 'U': to = picture[i].u; break;
          case 'V': to = picture[i].v; break;
          default: to = picture[i + right].y, right = true;
        }
      }
    }
    const cl_image_format format = {order, CL_UNORM_INT8};
    cl_image_desc desc{};
    desc.image_type = CL_MEM_OBJECT_IMAGE2D;
    desc.image_width = kWidth;
    desc.image_height = kHeight;
    cl_int status = 0;
    const cl_mem image = clCreateImage(rt.context, CL_MEM_READ_ONLY | CL_MEM_COPY_HOST_PTR, &format, &desc, bytes.data(), &status);
    check_cl(status, "clCreateImage of a packed format");
    check_reads(rt, image, picture, letters);
    clReleaseMemObject(image);
  }
}

cl_mem make_plane(Runtime& rt, cl_mem whole, cl_channel_order order, size_t number) {
  const cl_image_format format = {order, CL_UNORM_INT8};
  cl_image_desc desc{};
  desc.image_type = CL_MEM_OBJECT_IMAGE2D;
  desc.image_depth = number;
  desc.mem_object = whole;
  cl_int status = 0;
  const cl_mem plane = clCreateImage(rt.context, CL_MEM_READ_WRITE, &format, &desc, nullptr, &status);
  check_cl(status, "clCreateImage of a plane");
  return plane;
}

/// An image made of the host's planes, or written plane by plane by kernels; read as one, and plane by plane.
void planar(Runtime& rt, bool by_kernels) {
  if (!rt.has("cl_intel_planar_yuv")) fail("no cl_intel_planar_yuv");
  const Picture picture = make_picture(2);
  std::vector<unsigned char> bytes(kPixels * 3 / 2);
  for (size_t i = 0; i < kPixels; ++i) bytes[i] = picture[i].y;
  for (size_t y = 0; y < kHeight / 2; ++y) {
    for (size_t x = 0; x < kWidth / 2; ++x) {
      const Colour& pixel = picture[2 * y * kWidth + 2 * x];
      bytes[kPixels + y * kWidth + 2 * x] = pixel.u;
      bytes[kPixels + y * kWidth + 2 * x + 1] = pixel.v;
    }
  }
  const cl_image_format format = {CL_NV12_INTEL, CL_UNORM_INT8};
  cl_image_desc desc{};
  desc.image_type = CL_MEM_OBJECT_IMAGE2D;
  desc.image_width = kWidth;
  desc.image_height = kHeight;
  cl_int status = 0;
  const cl_mem_flags flags = CL_MEM_HOST_NO_ACCESS | (by_kernels ? CL_MEM_ACCESS_FLAGS_UNRESTRICTED_INTEL
                                                                 : cl_mem_flags{CL_MEM_READ_ONLY | CL_MEM_COPY_HOST_PTR});
  const cl_mem image = clCreateImage(rt.context, flags, &format, &desc, by_kernels ? nullptr : bytes.data(), &status);
  check_cl(status, "clCreateImage of NV12");
  if (by_kernels) {
    kit::Kernel kernel(rt,
                       "kernel void k(global uchar* from, write_only image2d_t luma, write_only image2d_t colours) {"
                       " int x = get_global_id(0), y = get_global_id(1), w = get_global_size(0), h = get_global_size(1);"
                       " write_imagef(luma, (int2)(x, y), from[y * w + x] / 255.0f);"
                       " if (x < w / 2 && y < h / 2) { global uchar* c = from + w * h + y * w + 2 * x;"
                       "  write_imagef(colours, (int2)(x, y), (float4)(c[0] / 255.0f, c[1] / 255.0f, 0, 0)); } }");
    const cl_mem luma = make_plane(rt, image, CL_R, 0), colours = make_plane(rt, image, CL_RG, 1);
    kit::Array<unsigned char> from(rt, bytes.size());
    from.fill([&](size_t i) { return bytes[i]; });
    kernel.arg(from).value(luma).value(colours).run({.global = {kWidth, kHeight}});
    clReleaseMemObject(luma);
    clReleaseMemObject(colours);
  }
  check_reads(rt, image, picture, by_kernels ? "NV12 of kernels" : "NV12 of the host");
  clReleaseMemObject(image);
}

const kit::Row kRows[] = {
    {"image-yuv-packed", packed},
    {"image-yuv-planar", [](Runtime& rt) { planar(rt, false); }},
    {"image-yuv-planar-by-kernels", [](Runtime& rt) { planar(rt, true); }},
};

}  // namespace

void add_yuv_rows(std::vector<kit::Row>& rows) { rows.insert(rows.end(), std::begin(kRows), std::end(kRows)); }
