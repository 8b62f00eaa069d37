// Reading and writing images in kernels: every type, format, address mode and filter against the reference.
#include <algorithm>
#include <cmath>
#include <limits>

#include "images.h"
#include "rows.h"

namespace {

using images::Format;
using images::Image;
using images::Pixel;
using images::Sampler;
using images::Shape;
using images::Wrap;
using kit::check_cl;
using kit::fail;
using kit::Runtime;

/// Sizes that are no tile's.
Shape shape_of(cl_mem_object_type type) {
  switch (type) {
    case CL_MEM_OBJECT_IMAGE1D: return {type, {300, 1, 1}};
    case CL_MEM_OBJECT_IMAGE1D_ARRAY: return {type, {70, 5, 1}};
    case CL_MEM_OBJECT_IMAGE1D_BUFFER: return {type, {300, 1, 1}};
    case CL_MEM_OBJECT_IMAGE2D: return {type, {67, 35, 1}};
    case CL_MEM_OBJECT_IMAGE2D_ARRAY: return {type, {33, 21, 4}};
    default: return {type, {35, 18, 9}};
  }
}

/// An image with the buffer behind it, if its type wants one.
struct Holder {
  cl_mem buffer = nullptr;
  std::unique_ptr<Image> image;

  Holder(Runtime& rt, const Shape& shape, const Format& format, cl_mem_flags flags) {
    cl_int status = 0;
    if (shape.type == CL_MEM_OBJECT_IMAGE1D_BUFFER) {
      buffer = clCreateBuffer(rt.context, flags, shape.elements() * format.bytes(), nullptr, &status);
      check_cl(status, "clCreateBuffer");
    }
    image = std::make_unique<Image>(rt, shape, format, flags, nullptr, buffer);
  }
  ~Holder() {
    image.reset();
    if (buffer != nullptr) clReleaseMemObject(buffer);
  }
  Image& operator*() { return *image; }
};

const char* suffix(Format::Class kind) {
  return kind == Format::Class::kFloat ? "f" : kind == Format::Class::kSigned ? "i" : "ui";
}
const char* vector_of(Format::Class kind) {
  return kind == Format::Class::kFloat ? "float4" : kind == Format::Class::kSigned ? "int4" : "uint4";
}

/// Values of all three kinds come back as 32 bits.
double value_of(Format::Class kind, std::uint32_t word) {
  float real;
  std::memcpy(&real, &word, 4);
  if (kind == Format::Class::kFloat) return real;
  return kind == Format::Class::kSigned ? static_cast<double>(static_cast<std::int32_t>(word)) : static_cast<double>(word);
}

/// What a reading of a format may be off: OpenCL 3.0, 8.3; sRGB half a step of its code.
double tolerance_of(const Format& format) {
  if (format.srgb()) return 0.002;
  return format.normalized() ? 3e-7 : 0;
}

void check_value(double want, double got, double tolerance, const Format& format, const std::string& where) {
  if (std::fabs(got - want) <= tolerance * std::max(1.0, std::fabs(want))) return;
  fail("%s, %s: %.9g, not %.9g", where.c_str(), format.name().c_str(), got, want);
}

std::string place_text(size_t x, size_t y, size_t z) {
  return "at " + std::to_string(x) + ", " + std::to_string(y) + ", " + std::to_string(z);
}

/// Every element of an image of every format, without a sampler.
void read_all(Runtime& rt, cl_mem_object_type type) {
  kit::Random random(4711);
  const Shape shape = shape_of(type);
  std::unique_ptr<kit::Kernel> kernels[3];
  for (const auto kind : {Format::Class::kFloat, Format::Class::kSigned, Format::Class::kUnsigned}) {
    kernels[static_cast<int>(kind)] = std::make_unique<kit::Kernel>(
        rt, "kernel void k(global uint4* o, read_only " + images::type_name(type) +
                " a) { int x = get_global_id(0), y = get_global_id(1), z = get_global_id(2);"
                " o[(z * get_global_size(1) + y) * get_global_size(0) + x] = as_uint4(read_image" +
                suffix(kind) + "(a, " + images::coordinate(type, "int") + ")); }");
  }
  kit::Array<cl_uint> out(rt, shape.elements() * 4);
  const auto all = images::formats(rt, CL_MEM_READ_ONLY, type);
  if (all.size() < 30) fail("only %zu formats", all.size());
  for (const Format& format : all) {
    Holder holder(rt, shape, format, CL_MEM_READ_ONLY);
    Image& image = *holder;
    image.fill_model(random);
    image.write_all();
    kit::Kernel& kernel = *kernels[static_cast<int>(format.kind())];
    out.block().set_arg(kernel.get(), 0);
    const cl_mem mem = image.get();
    check_cl(clSetKernelArg(kernel.get(), 1, sizeof mem, &mem), "argument");
    kernel.enqueue({.global = {shape.size[0], shape.size[1], shape.size[2]}}, rt.queue);
    check_cl(clFinish(rt.queue), "clFinish");
    out.block().to_host();
    size_t i = 0;
    for (size_t z = 0; z < shape.size[2]; ++z) {
      for (size_t y = 0; y < shape.size[1]; ++y) {
        for (size_t x = 0; x < shape.size[0]; ++x, ++i) {
          const Pixel want = images::decode(format, image.at(x, y, z));
          for (unsigned c = 0; c < 4; ++c) {
            check_value(want.v[c], value_of(format.kind(), out[4 * i + c]), tolerance_of(format), format,
                        place_text(x, y, z) + " channel " + std::to_string(c));
          }
        }
      }
    }
  }
}

// --- samplers -------------------------------------------------------------------------------------

constexpr cl_image_format kSampled[] = {
    {CL_R, CL_FLOAT},           {CL_RGBA, CL_FLOAT},     {CL_RGBA, CL_UNORM_INT8},   {CL_BGRA, CL_UNORM_INT8},
    {CL_RG, CL_SNORM_INT8},     {CL_RG, CL_UNORM_INT16}, {CL_RGBA, CL_HALF_FLOAT},   {CL_A, CL_UNORM_INT8},
    {CL_INTENSITY, CL_FLOAT},   {CL_R, CL_UNORM_INT8},   {CL_LUMINANCE, CL_UNORM_INT8}, {CL_sRGBA, CL_UNORM_INT8},
    {CL_RGBA, CL_UNSIGNED_INT16}, {CL_R, CL_SIGNED_INT8},
};

cl_sampler make_sampler(Runtime& rt, const Sampler& sampler) {
  static constexpr cl_addressing_mode kModes[] = {CL_ADDRESS_NONE, CL_ADDRESS_CLAMP_TO_EDGE, CL_ADDRESS_CLAMP,
                                                  CL_ADDRESS_REPEAT, CL_ADDRESS_MIRRORED_REPEAT};
  const cl_sampler_properties properties[] = {CL_SAMPLER_NORMALIZED_COORDS,
                                              sampler.normalized,
                                              CL_SAMPLER_ADDRESSING_MODE,
                                              kModes[static_cast<int>(sampler.wrap)],
                                              CL_SAMPLER_FILTER_MODE,
                                              cl_sampler_properties(sampler.linear ? CL_FILTER_LINEAR : CL_FILTER_NEAREST),
                                              0};
  cl_int status = 0;
  const cl_sampler made = clCreateSamplerWithProperties(rt.context, properties, &status);
  check_cl(status, "clCreateSamplerWithProperties");
  return made;
}

/// A coordinate that the address mode allows, inside and outside of the image.
std::array<double, 4> random_place(kit::Random& random, const Sampler& sampler, const Image& image) {
  const Shape& shape = image.shape();
  const unsigned count = images::dimensions(shape.type);
  std::array<double, 4> at{};
  do {
    for (unsigned i = 0; i < count; ++i) {
      const auto size = static_cast<double>(shape.size[i]);
      double u = sampler.wrap == Wrap::kNone ? random.real(0.5, size - 0.5) : random.real(-2.5, size + 2.5);
      if (sampler.wrap == Wrap::kRepeat || sampler.wrap == Wrap::kMirror) u = random.real(-3 * size, 4 * size);
      if (random.next() % 8 == 0) u = std::floor(u) + (random.next() % 2) * 0.5;
      if (sampler.wrap == Wrap::kNone) u = std::clamp(u, 0.5, size - 0.5);
      at[i] = static_cast<float>(sampler.normalized ? u / size : u);
    }
    if (images::is_array(shape.type)) at[count] = static_cast<float>(random.real(-1.4, double(shape.size[count]) + 1));
  } while (image.distance_from_tie(sampler, at) < 1e-3);
  return at;
}

void sample(Runtime& rt, cl_mem_object_type type, const Sampler& sampler) {
  constexpr size_t kPlaces = 2000;
  kit::Random random(99 + static_cast<unsigned>(sampler.wrap) * 7 + sampler.linear * 3 + sampler.normalized);
  const cl_sampler made = make_sampler(rt, sampler);
  std::unique_ptr<kit::Kernel> kernels[3];
  for (const auto kind : {Format::Class::kFloat, Format::Class::kSigned, Format::Class::kUnsigned}) {
    kernels[static_cast<int>(kind)] = std::make_unique<kit::Kernel>(
        rt, std::string("kernel void k(global uint4* o, global float4* p, read_only ") + images::type_name(type) +
                " a, sampler_t s) { int i = get_global_id(0); float x = p[i].x, y = p[i].y, z = p[i].z;"
                " o[i] = as_uint4(read_image" + suffix(kind) + "(a, s, " + images::coordinate(type, "float") + ")); }");
  }
  kit::Array<cl_uint> out(rt, kPlaces * 4);
  kit::Array<float> places(rt, kPlaces * 4);
  const auto all = images::formats(rt, CL_MEM_READ_ONLY, type);
  for (const cl_image_format& wanted : kSampled) {
    const Format format{wanted};
    if (format.kind() != Format::Class::kFloat && sampler.linear) continue;
    const bool has = std::any_of(all.begin(), all.end(), [&](const Format& f) {
      return f.cl.image_channel_order == wanted.image_channel_order && f.cl.image_channel_data_type == wanted.image_channel_data_type;
    });
    if (!has) continue;
    Image image(rt, shape_of(type), format, CL_MEM_READ_ONLY);
    image.fill_model(random);
    image.write_all();
    std::vector<std::array<double, 4>> at(kPlaces);
    for (auto& place : at) place = random_place(random, sampler, image);
    places.fill([&](size_t i) { return static_cast<float>(at[i / 4][i % 4]); });
    kit::Kernel& kernel = *kernels[static_cast<int>(format.kind())];
    out.block().set_arg(kernel.get(), 0);
    places.block().set_arg(kernel.get(), 1);
    const cl_mem mem = image.get();
    check_cl(clSetKernelArg(kernel.get(), 2, sizeof mem, &mem), "argument");
    check_cl(clSetKernelArg(kernel.get(), 3, sizeof made, &made), "argument");
    kernel.enqueue({.global = {kPlaces}}, rt.queue);
    check_cl(clFinish(rt.queue), "clFinish");
    out.block().to_host();
    // Elements are within 8; weights of normalized coordinates carry the rounding of a product with the size.
    const double tolerance = tolerance_of(format) + (sampler.linear ? sampler.normalized ? 2e-3 : 2e-5 : 0);
    for (size_t i = 0; i < kPlaces; ++i) {
      const Pixel want = image.sample(sampler, at[i]);
      for (unsigned c = 0; c < 4; ++c) {
        char where[128];
        std::snprintf(where, sizeof where, "(%.9g, %.9g, %.9g) channel %u", at[i][0], at[i][1], at[i][2], c);
        check_value(want.v[c], value_of(format.kind(), out[4 * i + c]), tolerance, format, where);
      }
    }
  }
  clReleaseSampler(made);
}

// --- stores ---------------------------------------------------------------------------------------

/// A store of a float to a channel of `format`, and how far from it the result may be (in steps).
double stored_float(const Format& format, double value) {
  switch (format.cl.image_channel_data_type) {
    case CL_UNORM_INT8:
    case CL_UNORM_INT16: return std::isnan(value) ? 0 : std::clamp(value, 0.0, 1.0);
    case CL_SNORM_INT8:
    case CL_SNORM_INT16: return std::isnan(value) ? 0 : std::clamp(value, -1.0, 1.0);
    case CL_HALF_FLOAT: return static_cast<double>(static_cast<_Float16>(static_cast<float>(value)));
    default: return value;
  }
}
double step_of(const Format& format) {
  switch (format.cl.image_channel_data_type) {
    case CL_UNORM_INT8: return 0.51 / 255;
    case CL_UNORM_INT16: return 0.51 / 65535;
    case CL_SNORM_INT8: return 0.51 / 127;
    case CL_SNORM_INT16: return 0.51 / 32767;
    default: return 0;
  }
}
double stored_integer(const Format& format, std::int64_t value) {
  const unsigned bits = 8 * format.channel_bytes();
  if (format.kind() == Format::Class::kUnsigned) {
    return static_cast<double>(std::min<std::int64_t>(value, (std::int64_t{1} << bits) - 1));
  }
  const std::int64_t limit = std::int64_t{1} << (bits - 1);
  return static_cast<double>(std::clamp<std::int64_t>(value, -limit, limit - 1));
}

std::uint32_t random_word(kit::Random& random, Format::Class kind) {
  if (kind != Format::Class::kFloat) {
    const std::uint32_t word = random.next();
    return random.next() % 2 != 0 ? word >> (random.next() % 32) : word;
  }
  static const float kEdges[] = {0, -0.0f, 0.5f, -1, 2, 1, std::numeric_limits<float>::quiet_NaN(), 1e-6f, 0.999999f};
  const float value = random.next() % 8 == 0 ? kEdges[random.next() % std::size(kEdges)] : float(random.real(-1.3, 1.3));
  std::uint32_t word;
  std::memcpy(&word, &value, 4);
  return word;
}

void write_all(Runtime& rt, cl_mem_object_type type) {
  kit::Random random(31337);
  const Shape shape = shape_of(type);
  std::unique_ptr<kit::Kernel> kernels[3];
  for (const auto kind : {Format::Class::kFloat, Format::Class::kSigned, Format::Class::kUnsigned}) {
    const std::string four = vector_of(kind);
    kernels[static_cast<int>(kind)] = std::make_unique<kit::Kernel>(
        rt, "kernel void k(global uint4* v, write_only " + images::type_name(type) +
                " a) { int x = get_global_id(0), y = get_global_id(1), z = get_global_id(2);"
                " write_image" + suffix(kind) + "(a, " + images::coordinate(type, "int") + ", as_" + four +
                "(v[(z * get_global_size(1) + y) * get_global_size(0) + x])); }");
  }
  kit::Array<cl_uint> values(rt, shape.elements() * 4);
  const auto all = images::formats(rt, CL_MEM_WRITE_ONLY, type);
  if (all.size() < 25) fail("only %zu formats", all.size());
  for (const Format& format : all) {
    Holder holder(rt, shape, format, CL_MEM_WRITE_ONLY);
    Image& image = *holder;
    const auto kind = format.kind();
    values.fill([&](size_t) { return random_word(random, kind); });
    kit::Kernel& kernel = *kernels[static_cast<int>(kind)];
    values.block().set_arg(kernel.get(), 0);
    const cl_mem mem = image.get();
    check_cl(clSetKernelArg(kernel.get(), 1, sizeof mem, &mem), "argument");
    kernel.enqueue({.global = {shape.size[0], shape.size[1], shape.size[2]}}, rt.queue);
    check_cl(clFinish(rt.queue), "clFinish");
    const images::Size origin{0, 0, 0};
    check_cl(clEnqueueReadImage(rt.queue, image.get(), CL_TRUE, origin.data(), shape.size.data(), 0, 0, image.model().data(), 0,
                                nullptr, nullptr),
             "clEnqueueReadImage");
    values.block().to_host();
    for (size_t i = 0; i < shape.elements(); ++i) {
      const Pixel got = images::decode(format, image.model().data() + i * format.bytes());
      const bool alpha = format.cl.image_channel_order == CL_A;
      for (unsigned c = 0; c < (alpha ? 1 : format.channels()); ++c) {
        const unsigned channel = alpha ? 3 : c;
        const std::uint32_t word = values[4 * i + channel];
        const double given = value_of(kind, word);
        const double want = kind == Format::Class::kFloat ? stored_float(format, given)
                                                          : stored_integer(format, static_cast<std::int64_t>(given));
        if (std::isnan(want) && std::isnan(got.v[channel])) continue;
        if (!(std::fabs(want - got.v[channel]) <= step_of(format))) {
          fail("element %zu channel %u of %s: stored %.9g, found %.9g", i, channel, format.name().c_str(), given, got.v[channel]);
        }
      }
    }
  }
}

// --- single claims --------------------------------------------------------------------------------

/// A 2D image whose element i is i, and a kernel over `places`.
struct Ramp {
  Runtime& rt;
  Image image;

  Ramp(Runtime& runtime, const Shape& shape, cl_image_format format = {CL_R, CL_FLOAT}) : rt(runtime), image(rt, shape, {format}) {
    for (size_t i = 0; i < shape.elements(); ++i) {
      const auto value = static_cast<float>(i);
      for (unsigned c = 0; c < image.format().channels(); ++c) std::memcpy(image.model().data() + (i * image.format().channels() + c) * 4, &value, 4);
    }
    image.write_all();
  }
  void expect(const std::string& statement, const std::vector<float>& want) {
    kit::Kernel kernel(rt, "kernel void k(global float* o, read_only " + images::type_name(image.shape().type) + " a) {" +
                               "const sampler_t edge = CLK_ADDRESS_CLAMP_TO_EDGE | CLK_FILTER_NEAREST;"
                               "const sampler_t edge_linear = CLK_ADDRESS_CLAMP_TO_EDGE | CLK_FILTER_LINEAR;"
                               "const sampler_t clamp_ = CLK_ADDRESS_CLAMP | CLK_FILTER_NEAREST;"
                               "const sampler_t clamp_linear = CLK_ADDRESS_CLAMP | CLK_FILTER_LINEAR;"
                               "const sampler_t repeat = CLK_ADDRESS_REPEAT | CLK_FILTER_NEAREST | CLK_NORMALIZED_COORDS_TRUE;"
                               "const sampler_t mirror = CLK_ADDRESS_MIRRORED_REPEAT | CLK_FILTER_NEAREST | CLK_NORMALIZED_COORDS_TRUE;" +
                               statement + "}");
    kit::Array<float> out(rt, want.size());
    out.fill([](size_t) { return -99.0f; });
    kernel.arg(out).value(image.get()).run({.global = {1}});
    for (size_t i = 0; i < want.size(); ++i) {
      if (std::fabs(out[i] - want[i]) > 1e-5f) fail("%s: value %zu is %.9g, not %.9g", statement.c_str(), i, out[i], want[i]);
    }
  }
};

void borders(Runtime& rt) {
  const Shape shape{CL_MEM_OBJECT_IMAGE2D, {20, 12, 1}};
  Ramp r(rt, shape);
  r.expect("o[0] = read_imagef(a, edge_linear, (float2)(1.0f, 0.5f)).x;", {0.5f});
  r.expect("vstore4(read_imagef(a, clamp_, (float2)(-0.25f, 0.5f)), 0, o);", {0, 0, 0, 1});
  r.expect("vstore4(read_imagef(a, clamp_linear, (float2)(20.25f, 0.5f)), 0, o);", {0.25f * 19, 0, 0, 1});
  r.expect("vstore4(read_imagef(a, clamp_, (int2)(-1, 0)), 0, o); vstore4(read_imagef(a, clamp_, (int2)(20, 0)), 1, o);",
           {0, 0, 0, 1, 0, 0, 0, 1});
  r.expect("o[0] = read_imagef(a, repeat, (float2)(1.25f, 0.01f)).x; o[1] = read_imagef(a, repeat, (float2)(-0.25f, 0.01f)).x;"
           "o[2] = read_imagef(a, mirror, (float2)(1.26f, 0.01f)).x;",
           {5, 15, 14});
  Ramp four(rt, shape, {CL_RGBA, CL_FLOAT});
  four.expect("vstore4(read_imagef(a, clamp_, (int2)(-1, 0)), 0, o); vstore4(read_imagef(a, clamp_, (int2)(20, 0)), 1, o);",
              {0, 0, 0, 0, 0, 0, 0, 0});
  Ramp layers(rt, {CL_MEM_OBJECT_IMAGE2D_ARRAY, {4, 4, 4}});
  layers.expect("o[0] = read_imagef(a, edge, (float4)(0.5f, 0.5f, 2.5f, 0)).x; o[1] = read_imagef(a, edge, (float4)(0.5f, 0.5f, 3.7f, 0)).x;"
                "o[2] = read_imagef(a, edge, (float4)(0.5f, 0.5f, -1, 0)).x; o[3] = read_imagef(a, edge, (float4)(0.5f, 0.5f, 99, 0)).x;",
                {32, 48, 0, 48});
}

/// The compiler asks for the channels that are used.
void some_channels(Runtime& rt) {
  Ramp r(rt, {CL_MEM_OBJECT_IMAGE2D, {20, 12, 1}}, {CL_RGBA, CL_FLOAT});
  for (unsigned mask = 1; mask < 16; ++mask) {
    std::string text = "float4 v = read_imagef(a, edge_linear, (float2)(3.5f, 0.5f)), w = read_imagef(a, (int2)(5, 1));";
    std::vector<float> want;
    for (unsigned c = 0; c < 4; ++c) {
      if ((mask >> c & 1) == 0) continue;
      const std::string at = std::to_string(want.size());
      text += "o[" + at + "] = v." + "xyzw"[c] + " + 100 * w." + "xyzw"[c] + ";";
      want.push_back(3 + 100 * 25);
    }
    r.expect(text, want);
  }
}

void two_samplers(Runtime& rt) {
  kit::Random random(5);
  Image image(rt, {CL_MEM_OBJECT_IMAGE2D, {64, 8, 1}}, {{CL_R, CL_FLOAT}});
  image.fill_model(random);
  image.write_all();
  kit::Kernel kernel(rt,
                     "kernel void k(global float* o, read_only image2d_t a, sampler_t s, sampler_t t) {"
                     " int i = get_global_id(0); float2 p = (float2)(i % 64 + 0.25f, i / 64 + 0.75f);"
                     " if (i % 3 == 0) o[i] = read_imagef(a, s, p).x; else if (i % 3 == 1) o[i] = read_imagef(a, t, p).x; else o[i] = 7; }");
  const Sampler kinds[] = {{Wrap::kClampToEdge, true, false}, {Wrap::kClamp, false, false}};
  const cl_sampler samplers[] = {make_sampler(rt, kinds[0]), make_sampler(rt, kinds[1])};
  kit::Array<float> out(rt, 512);
  kernel.arg(out).value(image.get()).value(samplers[0]).value(samplers[1]).run({.global = {512}});
  for (size_t i = 0; i < 512; ++i) {
    const double want =
        i % 3 == 2 ? 7 : image.sample(kinds[i % 3], {double(i % 64) + 0.25, double(i / 64) + 0.75, 0, 0}).v[0];
    if (std::fabs(out[i] - want) > 1e-4) fail("item %zu: %.9g, not %.9g", i, double(out[i]), want);
  }
  for (const cl_sampler sampler : samplers) clReleaseSampler(sampler);
}

void halves(Runtime& rt) {
  kit::Random random(6);
  Image image(rt, {CL_MEM_OBJECT_IMAGE2D, {64, 8, 1}}, {{CL_RGBA, CL_UNORM_INT8}});
  image.fill_model(random);
  image.write_all();
  const Sampler kind{Wrap::kClampToEdge, true, false};
  const cl_sampler sampler = make_sampler(rt, kind);
  kit::Kernel kernel(rt,
                     "#pragma OPENCL EXTENSION cl_khr_fp16 : enable\n"
                     "kernel void k(global half* o, read_only image2d_t a, sampler_t s) {"
                     " int i = get_global_id(0); vstore4(read_imageh(a, s, (float2)(i % 64 + 0.25f, i / 64 + 0.75f)), i, o); }");
  kit::Array<_Float16> out(rt, 512 * 4);
  kernel.arg(out).value(image.get()).value(sampler).run({.global = {512}});
  for (size_t i = 0; i < 512; ++i) {
    const Pixel want = image.sample(kind, {double(i % 64) + 0.25, double(i / 64) + 0.75, 0, 0});
    for (unsigned c = 0; c < 4; ++c) {
      if (std::fabs(double(out[4 * i + c]) - want.v[c]) > 1e-3) fail("item %zu channel %u", i, c);
    }
  }
  clReleaseSampler(sampler);
}

/// Stores outside are dropped, and nobody minds.
void outside(Runtime& rt) {
  kit::Random random(7);
  for (const cl_mem_object_type type : {CL_MEM_OBJECT_IMAGE1D, CL_MEM_OBJECT_IMAGE2D, CL_MEM_OBJECT_IMAGE2D_ARRAY, CL_MEM_OBJECT_IMAGE3D}) {
    Image image(rt, shape_of(type), {{CL_R, CL_UNSIGNED_INT32}});
    image.fill_model(random);
    image.write_all();
    kit::Kernel kernel(rt, "kernel void k(write_only " + images::type_name(type) +
                               " a) { int x = get_image_width(a) + get_global_id(0), y = 1, z = 0;"
                               " write_imageui(a, " + images::coordinate(type, "int") + ", 1);"
                               " x = -1 - x; write_imageui(a, " + images::coordinate(type, "int") + ", 2);"
                               " x = 3; y = -1; z = -1; " +
                               (type == CL_MEM_OBJECT_IMAGE1D ? "" : "write_imageui(a, " + images::coordinate(type, "int") + ", 3);") + " }");
    kernel.value(image.get()).run({.global = {100}});
    image.check_all("stores outside");
  }
}

/// Blocks of sub-groups, in linear bytes of rows.
void blocks(Runtime& rt) {
  if (!rt.has("cl_intel_subgroups")) fail("no cl_intel_subgroups");
  kit::Random random(8);
  Image from(rt, {CL_MEM_OBJECT_IMAGE2D, {256, 32, 1}}, {{CL_R, CL_UNSIGNED_INT32}});
  Image to(rt, from.shape(), from.format());
  from.fill_model(random);
  from.write_all();
  kit::Kernel kernel(rt,
                     "__attribute__((intel_reqd_sub_group_size(16))) kernel void k(read_only image2d_t a, write_only image2d_t b) {"
                     " int2 p = (int2)(get_group_id(0) * 64, get_global_id(1) * 8);"
                     " uint8 v = intel_sub_group_block_read8(a, p);"
                     " intel_sub_group_block_write8(b, p, v + 1u); }");
  kernel.value(from.get()).value(to.get()).run({.global = {256, 4}, .local = {16, 1}});
  for (size_t i = 0; i < to.model().size(); i += 4) {
    std::uint32_t word;
    std::memcpy(&word, from.model().data() + i, 4);
    ++word;
    std::memcpy(to.model().data() + i, &word, 4);
  }
  to.check_all("block writes");
}

void depth_formats(Runtime& rt) {
  kit::Random random(9);
  for (const cl_channel_type type : {CL_FLOAT, CL_UNORM_INT16}) {
    const Format format{{CL_DEPTH, type}};
    Image image(rt, {CL_MEM_OBJECT_IMAGE2D, {64, 32, 1}}, format);
    image.fill_model(random);
    image.write_all();
    image.check_all("a write");
    kit::Kernel kernel(rt,
                       "kernel void k(global float* o, read_only image2d_depth_t a) {"
                       " int2 p = {get_global_id(0), get_global_id(1)}; o[p.y * 64 + p.x] = read_imagef(a, p); }");
    kit::Array<float> out(rt, 64 * 32);
    kernel.arg(out).value(image.get()).run({.global = {64, 32}});
    for (size_t i = 0; i < out.size(); ++i) {
      check_value(images::decode(format, image.model().data() + i * format.bytes()).v[0], out[i], tolerance_of(format), format, "item " + std::to_string(i));
    }
  }
}

#define READ(name, type) \
  {"image-read-" name, [](Runtime& rt) { read_all(rt, type); }}, {"image-write-" name, [](Runtime& rt) { write_all(rt, type); }}
#define SAMPLE(name, type, mode, wrap, normalized)                                                          \
  {"image-sample-" name "-" mode "-nearest", [](Runtime& rt) { sample(rt, type, {wrap, false, normalized}); }}, \
      {"image-sample-" name "-" mode "-linear", [](Runtime& rt) { sample(rt, type, {wrap, true, normalized}); }}
#define SAMPLES(name, type)                                                          \
  SAMPLE(name, type, "none", Wrap::kNone, false),                                    \
      SAMPLE(name, type, "edge", Wrap::kClampToEdge, false),                         \
      SAMPLE(name, type, "clamp", Wrap::kClamp, false),                              \
      SAMPLE(name, type, "normalized-none", Wrap::kNone, true),                      \
      SAMPLE(name, type, "normalized-edge", Wrap::kClampToEdge, true),               \
      SAMPLE(name, type, "normalized-clamp", Wrap::kClamp, true),                    \
      SAMPLE(name, type, "repeat", Wrap::kRepeat, true), SAMPLE(name, type, "mirror", Wrap::kMirror, true)

const kit::Row kRows[] = {
    READ("1d", CL_MEM_OBJECT_IMAGE1D),
    READ("1d-array", CL_MEM_OBJECT_IMAGE1D_ARRAY),
    READ("1d-buffer", CL_MEM_OBJECT_IMAGE1D_BUFFER),
    READ("2d", CL_MEM_OBJECT_IMAGE2D),
    READ("2d-array", CL_MEM_OBJECT_IMAGE2D_ARRAY),
    READ("3d", CL_MEM_OBJECT_IMAGE3D),
    SAMPLES("1d", CL_MEM_OBJECT_IMAGE1D),
    SAMPLES("1d-array", CL_MEM_OBJECT_IMAGE1D_ARRAY),
    SAMPLES("2d", CL_MEM_OBJECT_IMAGE2D),
    SAMPLES("2d-array", CL_MEM_OBJECT_IMAGE2D_ARRAY),
    SAMPLES("3d", CL_MEM_OBJECT_IMAGE3D),
    {"image-borders", borders},
    {"image-some-channels", some_channels},
    {"image-two-samplers", two_samplers},
    {"image-halves", halves},
    {"image-stores-outside", outside},
    {"image-blocks", blocks},
    {"image-depth", depth_formats},
};

}  // namespace

void add_sample_rows(std::vector<kit::Row>& rows) { rows.insert(rows.end(), std::begin(kRows), std::end(kRows)); }
