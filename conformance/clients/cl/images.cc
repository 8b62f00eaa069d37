#include "images.h"

#include <algorithm>
#include <cmath>

namespace images {

using kit::check_cl;
using kit::fail;

const char* name_of(cl_mem_object_type type) {
  switch (type) {
    case CL_MEM_OBJECT_IMAGE1D: return "1d";
    case CL_MEM_OBJECT_IMAGE1D_ARRAY: return "1d-array";
    case CL_MEM_OBJECT_IMAGE1D_BUFFER: return "1d-buffer";
    case CL_MEM_OBJECT_IMAGE2D: return "2d";
    case CL_MEM_OBJECT_IMAGE2D_ARRAY: return "2d-array";
    default: return "3d";
  }
}
std::string type_name(cl_mem_object_type type) {
  switch (type) {
    case CL_MEM_OBJECT_IMAGE1D: return "image1d_t";
    case CL_MEM_OBJECT_IMAGE1D_ARRAY: return "image1d_array_t";
    case CL_MEM_OBJECT_IMAGE1D_BUFFER: return "image1d_buffer_t";
    case CL_MEM_OBJECT_IMAGE2D: return "image2d_t";
    case CL_MEM_OBJECT_IMAGE2D_ARRAY: return "image2d_array_t";
    default: return "image3d_t";
  }
}
unsigned dimensions(cl_mem_object_type type) {
  switch (type) {
    case CL_MEM_OBJECT_IMAGE1D:
    case CL_MEM_OBJECT_IMAGE1D_ARRAY:
    case CL_MEM_OBJECT_IMAGE1D_BUFFER: return 1;
    case CL_MEM_OBJECT_IMAGE3D: return 3;
    default: return 2;
  }
}
bool is_array(cl_mem_object_type type) {
  return type == CL_MEM_OBJECT_IMAGE1D_ARRAY || type == CL_MEM_OBJECT_IMAGE2D_ARRAY;
}
std::string coordinate(cl_mem_object_type type, const char* scalar) {
  const unsigned count = dimensions(type) + is_array(type);
  const std::string s = scalar;
  if (count == 1) return "x";
  if (count == 2) return "(" + s + "2)(x, y)";
  return "(" + s + "4)(x, y, z, 0)";
}

unsigned Format::channels() const {
  switch (cl.image_channel_order) {
    case CL_R:
    case CL_A:
    case CL_INTENSITY:
    case CL_LUMINANCE:
    case CL_DEPTH: return 1;
    case CL_RG:
    case CL_RA: return 2;
    default: return 4;
  }
}
unsigned Format::channel_bytes() const {
  switch (cl.image_channel_data_type) {
    case CL_SNORM_INT8:
    case CL_UNORM_INT8:
    case CL_SIGNED_INT8:
    case CL_UNSIGNED_INT8: return 1;
    case CL_SIGNED_INT32:
    case CL_UNSIGNED_INT32:
    case CL_FLOAT: return 4;
    default: return 2;
  }
}
Format::Class Format::kind() const {
  switch (cl.image_channel_data_type) {
    case CL_SIGNED_INT8:
    case CL_SIGNED_INT16:
    case CL_SIGNED_INT32: return Class::kSigned;
    case CL_UNSIGNED_INT8:
    case CL_UNSIGNED_INT16:
    case CL_UNSIGNED_INT32: return Class::kUnsigned;
    default: return Class::kFloat;
  }
}
bool Format::normalized() const {
  return kind() == Class::kFloat && cl.image_channel_data_type != CL_FLOAT && cl.image_channel_data_type != CL_HALF_FLOAT;
}
std::string Format::name() const {
  char text[64];
  std::snprintf(text, sizeof text, "order %#x type %#x", cl.image_channel_order, cl.image_channel_data_type);
  return text;
}

std::vector<Format> formats(kit::Runtime& rt, cl_mem_flags flags, cl_mem_object_type type) {
  cl_image_format list[256];
  cl_uint count = 0;
  check_cl(clGetSupportedImageFormats(rt.context, flags, type, 256, list, &count), "clGetSupportedImageFormats");
  std::vector<Format> result;
  for (cl_uint i = 0; i < count; ++i) {
    const cl_uint order = list[i].image_channel_order;
    const bool plain = order == CL_R || order == CL_A || order == CL_RG || order == CL_RGBA || order == CL_BGRA ||
                       order == CL_INTENSITY || order == CL_LUMINANCE || order == CL_sRGBA || order == CL_sBGRA;
    if (plain) result.push_back({list[i]});
  }
  return result;
}

namespace {

double channel_value(const Format& format, const unsigned char* at, bool colour) {
  switch (format.cl.image_channel_data_type) {
    case CL_SNORM_INT8: return std::max(-1.0, static_cast<signed char>(*at) / 127.0);
    case CL_UNORM_INT8: {
      const double c = *at / 255.0;
      if (!format.srgb() || !colour) return c;
      return c <= 0.04045 ? c / 12.92 : std::pow((c + 0.055) / 1.055, 2.4);
    }
    case CL_SIGNED_INT8: return static_cast<signed char>(*at);
    case CL_UNSIGNED_INT8: return *at;
    default: break;
  }
  std::uint16_t half = 0;
  std::memcpy(&half, at, 2);
  _Float16 real;
  std::memcpy(&real, &half, 2);
  std::uint32_t word = 0;
  if (format.channel_bytes() == 4) std::memcpy(&word, at, 4);
  float single;
  std::memcpy(&single, &word, 4);
  switch (format.cl.image_channel_data_type) {
    case CL_SNORM_INT16: return std::max(-1.0, static_cast<std::int16_t>(half) / 32767.0);
    case CL_UNORM_INT16: return half / 65535.0;
    case CL_SIGNED_INT16: return static_cast<std::int16_t>(half);
    case CL_UNSIGNED_INT16: return half;
    case CL_HALF_FLOAT: return static_cast<float>(real);
    case CL_SIGNED_INT32: return static_cast<std::int32_t>(word);
    case CL_UNSIGNED_INT32: return word;
    default: return single;
  }
}

/// Channels in memory, as red green blue alpha would be.
Pixel ordered(const Format& format, const std::array<double, 4>& c) {
  switch (format.cl.image_channel_order) {
    case CL_R:
    case CL_DEPTH: return {{c[0], 0, 0, 1}};
    case CL_A: return {{0, 0, 0, c[0]}};
    case CL_INTENSITY: return {{c[0], c[0], c[0], c[0]}};
    case CL_LUMINANCE: return {{c[0], c[0], c[0], 1}};
    case CL_RG: return {{c[0], c[1], 0, 1}};
    case CL_BGRA:
    case CL_sBGRA: return {{c[2], c[1], c[0], c[3]}};
    default: return {c};
  }
}

}  // namespace

Pixel decode(const Format& format, const unsigned char* element) {
  std::array<double, 4> c{};
  for (unsigned k = 0; k < format.channels(); ++k) {
    c[k] = channel_value(format, element + k * format.channel_bytes(), k < 3);
  }
  return ordered(format, c);
}

Pixel border(const Format& format) {
  switch (format.cl.image_channel_order) {
    case CL_R:
    case CL_RG:
    case CL_LUMINANCE:
    case CL_DEPTH: return {{0, 0, 0, 1}};
    default: return {};
  }
}

Image::Image(kit::Runtime& rt, const Shape& shape, const Format& format, cl_mem_flags flags, void* host, cl_mem from,
             size_t pitch)
    : rt_(rt), shape_(shape), format_(format) {
  cl_image_desc desc{};
  desc.image_type = shape.type;
  desc.image_width = shape.size[0];
  if (dimensions(shape.type) >= 2) desc.image_height = shape.size[1];
  if (shape.type == CL_MEM_OBJECT_IMAGE3D) desc.image_depth = shape.size[2];
  if (is_array(shape.type)) desc.image_array_size = shape.size[dimensions(shape.type)];
  desc.image_row_pitch = pitch;
  desc.buffer = from;
  cl_int status = 0;
  mem_ = clCreateImage(rt.context, flags, &format.cl, &desc, host, &status);
  if (status != CL_SUCCESS) {
    fail("clCreateImage %s %zu x %zu x %zu, %s: %d", name_of(shape.type), shape.size[0], shape.size[1], shape.size[2],
         format.name().c_str(), status);
  }
  model_.resize(shape.elements() * format.bytes());
}

Image::~Image() { clReleaseMemObject(mem_); }

void Image::fill_model(kit::Random& random) {
  const bool floats = format_.kind() == Format::Class::kFloat && !format_.normalized();
  if (!floats) {
    for (size_t i = 0; i < model_.size(); i += 4) {
      const std::uint32_t word = random.next();
      std::memcpy(model_.data() + i, &word, std::min<size_t>(4, model_.size() - i));
    }
    return;
  }
  for (size_t i = 0; i < model_.size(); i += format_.channel_bytes()) {
    const auto value = static_cast<float>(random.real(-8, 8));
    const auto half = static_cast<_Float16>(value);
    if (format_.channel_bytes() == 4) std::memcpy(model_.data() + i, &value, 4);
    if (format_.channel_bytes() == 2) std::memcpy(model_.data() + i, &half, 2);
  }
}

namespace {

/// Walks the rows of a region: body(offset in the whole image, offset in the region's own rows, bytes).
template <typename Body>
void each_row(const Shape& shape, size_t element, const Size& origin, const Size& region, const Body& body) {
  for (size_t z = 0; z < region[2]; ++z) {
    for (size_t y = 0; y < region[1]; ++y) {
      const size_t row = (z + origin[2]) * shape.size[1] + y + origin[1];
      body((row * shape.size[0] + origin[0]) * element, (z * region[1] + y) * region[0] * element, region[0] * element);
    }
  }
}

}  // namespace

void Image::write(const Size& origin, const Size& region) {
  std::vector<unsigned char> rows(region[0] * region[1] * region[2] * format_.bytes());
  each_row(shape_, format_.bytes(), origin, region,
           [&](size_t in_image, size_t at, size_t bytes) { std::memcpy(rows.data() + at, model_.data() + in_image, bytes); });
  check_cl(clEnqueueWriteImage(rt_.queue, mem_, CL_TRUE, origin.data(), region.data(), 0, 0, rows.data(), 0, nullptr, nullptr),
           "clEnqueueWriteImage");
}

void Image::check(const Size& origin, const Size& region, const char* after) {
  std::vector<unsigned char> rows(region[0] * region[1] * region[2] * format_.bytes(), 0xEE);
  check_cl(clEnqueueReadImage(rt_.queue, mem_, CL_TRUE, origin.data(), region.data(), 0, 0, rows.data(), 0, nullptr, nullptr),
           "clEnqueueReadImage");
  each_row(shape_, format_.bytes(), origin, region, [&](size_t in_image, size_t at, size_t bytes) {
    if (std::memcmp(rows.data() + at, model_.data() + in_image, bytes) == 0) return;
    size_t i = 0;
    while (rows[at + i] == model_[in_image + i]) ++i;
    fail("%s %zu x %zu x %zu of %u bytes: after %s byte %zu is %#x, not %#x", name_of(shape_.type), shape_.size[0],
         shape_.size[1], shape_.size[2], format_.bytes(), after, in_image + i, rows[at + i], model_[in_image + i]);
  });
}

// --- sampling, by OpenCL 3.0 8.2 ------------------------------------------------------------------

namespace {

/// An index as the address mode has it; -1: outside.
long wrapped(const Sampler& sampler, long i, long size) {
  switch (sampler.wrap) {
    case Wrap::kClampToEdge: return std::clamp(i, 0L, size - 1);
    case Wrap::kRepeat: return i < 0 ? i + size : i > size - 1 ? i - size : i;
    case Wrap::kMirror: return std::clamp(i, 0L, size - 1);
    case Wrap::kNone:
    case Wrap::kClamp: break;
  }
  return i < 0 || i >= size ? -1 : i;
}

double place(const Sampler& sampler, double s, double size) {
  if (!sampler.normalized) return s;
  if (sampler.wrap == Wrap::kRepeat) return (s - std::floor(s)) * size;
  if (sampler.wrap == Wrap::kMirror) return std::fabs(s - 2 * std::nearbyint(0.5 * s)) * size;
  return s * size;
}

}  // namespace

Pixel Image::element(long x, long y, long z, const Sampler& sampler) {
  const bool has_y = shape_.size[1] > 1 || dimensions(shape_.type) >= 2;
  const long i = wrapped(sampler, x, static_cast<long>(shape_.size[0]));
  const long j = !has_y ? 0 : dimensions(shape_.type) >= 2 ? wrapped(sampler, y, static_cast<long>(shape_.size[1])) : y;
  const long k = dimensions(shape_.type) == 3 ? wrapped(sampler, z, static_cast<long>(shape_.size[2])) : z;
  if (i < 0 || j < 0 || k < 0) return border(format_);
  return decode(format_, at(static_cast<size_t>(i), static_cast<size_t>(j), static_cast<size_t>(k)));
}

Pixel Image::sample(const Sampler& sampler, const std::array<double, 4>& at) {
  const unsigned count = dimensions(shape_.type);
  std::array<double, 3> u{};
  for (unsigned i = 0; i < count; ++i) u[i] = place(sampler, at[i], static_cast<double>(shape_.size[i]));
  std::array<long, 3> layer{};
  if (is_array(shape_.type)) {
    layer[count] = std::clamp(static_cast<long>(std::nearbyint(at[count])), 0L, static_cast<long>(shape_.size[count]) - 1);
  }
  if (!sampler.linear) {
    std::array<long, 3> i = layer;
    for (unsigned k = 0; k < count; ++k) i[k] = static_cast<long>(std::floor(u[k]));
    return element(i[0], i[1], i[2], sampler);
  }
  Pixel sum;
  for (unsigned tap = 0; tap < 1u << count; ++tap) {
    std::array<long, 3> i = layer;
    double weight = 1;
    for (unsigned k = 0; k < count; ++k) {
      const double below = std::floor(u[k] - 0.5);
      const double a = u[k] - 0.5 - below;
      const bool second = (tap >> k & 1) != 0;
      i[k] = static_cast<long>(below) + second;
      weight *= second ? a : 1 - a;
    }
    const Pixel pixel = element(i[0], i[1], i[2], sampler);
    for (unsigned c = 0; c < 4; ++c) sum.v[c] += weight * pixel.v[c];
  }
  return sum;
}

double Image::distance_from_tie(const Sampler& sampler, const std::array<double, 4>& at) const {
  double least = 1;
  const unsigned count = dimensions(shape_.type);
  for (unsigned i = 0; i < count && !sampler.linear; ++i) {
    const double u = at[i] * (sampler.normalized ? static_cast<double>(shape_.size[i]) : 1);
    if (sampler.normalized) least = std::min(least, std::fabs(u - std::nearbyint(u)));
  }
  if (is_array(shape_.type)) {
    const double r = at[count] - 0.5;
    least = std::min(least, std::fabs(r - std::nearbyint(r)));
  }
  return least;
}

void check_pixel(const Pixel& want, const float* got, double tolerance, const std::string& where) {
  for (unsigned c = 0; c < 4; ++c) {
    const double off = std::fabs(got[c] - want.v[c]);
    if (off <= tolerance * std::max(1.0, std::fabs(want.v[c]))) continue;
    fail("%s: channel %u is %.9g, not %.9g", where.c_str(), c, static_cast<double>(got[c]), want.v[c]);
  }
}

}  // namespace images
