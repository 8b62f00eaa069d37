// Images for the rows of the OpenCL suite, and what OpenCL's text says of reading and writing them: a reference that
// goes one element at a time, in double. Nothing of softxe in it.
#pragma once

#include <array>
#include <cstring>

#include "kit.h"

namespace images {

using Size = std::array<size_t, 3>;

/// Width, height, depth; of arrays the layers are the last coordinate that the type has.
struct Shape {
  cl_mem_object_type type = CL_MEM_OBJECT_IMAGE2D;
  Size size{1, 1, 1};

  size_t elements() const { return size[0] * size[1] * size[2]; }
};
const char* name_of(cl_mem_object_type type);
/// Coordinates of a position, without the layer.
unsigned dimensions(cl_mem_object_type type);
bool is_array(cl_mem_object_type type);

struct Format {
  cl_image_format cl;
  unsigned channels() const;
  unsigned channel_bytes() const;
  unsigned bytes() const { return channels() * channel_bytes(); }
  enum class Class { kFloat, kSigned, kUnsigned };
  Class kind() const;
  bool normalized() const;
  bool srgb() const { return cl.image_channel_order == CL_sRGBA || cl.image_channel_order == CL_sBGRA; }
  std::string name() const;
};
/// What the context reports for images of this kind.
std::vector<Format> formats(kit::Runtime& rt, cl_mem_flags flags, cl_mem_object_type type);

/// What read_imagef, read_imagei or read_imageui return.
struct Pixel {
  std::array<double, 4> v{};
};
Pixel decode(const Format& format, const unsigned char* element);
/// What lies outside under CLK_ADDRESS_CLAMP.
Pixel border(const Format& format);

enum class Wrap { kNone, kClampToEdge, kClamp, kRepeat, kMirror };
struct Sampler {
  Wrap wrap = Wrap::kNone;
  bool linear = false;
  bool normalized = false;
};

class Image {
 public:
  Image(kit::Runtime& rt, const Shape& shape, const Format& format, cl_mem_flags flags = CL_MEM_READ_WRITE,
        void* host = nullptr, cl_mem from = nullptr, size_t pitch = 0);
  ~Image();
  Image(const Image&) = delete;
  Image& operator=(const Image&) = delete;

  cl_mem get() const { return mem_; }
  const Shape& shape() const { return shape_; }
  const Format& format() const { return format_; }
  /// The model: rows without gaps. Not sent anywhere by itself.
  std::vector<unsigned char>& model() { return model_; }
  unsigned char* at(size_t x, size_t y, size_t z) {
    return model_.data() + ((z * shape_.size[1] + y) * shape_.size[0] + x) * format_.bytes();
  }
  void fill_model(kit::Random& random);
  void write(const Size& origin, const Size& region);
  void write_all() { write({0, 0, 0}, shape_.size); }
  /// Reads and compares with the model.
  void check(const Size& origin, const Size& region, const char* after);
  void check_all(const char* after) { check({0, 0, 0}, shape_.size, after); }

  /// Of this image, from coordinates as read_image takes them.
  Pixel sample(const Sampler& sampler, const std::array<double, 4>& at);
  /// The nearest place to a border between elements or layers, in elements: rounding may take either.
  double distance_from_tie(const Sampler& sampler, const std::array<double, 4>& at) const;

 private:
  Pixel element(long x, long y, long z, const Sampler& sampler);
  kit::Runtime& rt_;
  Shape shape_;
  Format format_;
  cl_mem mem_ = nullptr;
  std::vector<unsigned char> model_;
};

/// "image2d_t" and the like, with its access qualifier before it.
std::string type_name(cl_mem_object_type type);
/// OpenCL C: a coordinate of this image from ints x, y, z or floats, as read_image takes it.
std::string coordinate(cl_mem_object_type type, const char* scalar);

void check_pixel(const Pixel& want, const float* got, double tolerance, const std::string& where);

}  // namespace images
