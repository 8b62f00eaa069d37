// saxpy, stencil: memory and little else.
#include "program.h"

namespace kernels {
namespace {

class Saxpy final : public Program {
 public:
  explicit Saxpy(const Scale& scale)
      : n_(scale.of(16'777'216)), x_(random_.reals(n_, -1, 1)), y_(random_.reals(n_, -1, 1)) {}

  const char* source() const override {
    return R"(
#pragma OPENCL FP_CONTRACT OFF
kernel void saxpy(global const float* x, global const float* y, global float* o, float a) {
  const uint i = get_global_id(0);
  o[i] = a * x[i] + y[i];
}
)";
  }
  void prepare(Device& device) override {
    out_ = &device.buffer(n_ * sizeof(float));
    kernel_ = &device.kernel("saxpy").arg(device.buffer_of(x_)).arg(device.buffer_of(y_)).arg(*out_).value(kA);
  }
  void enqueue(Device& device) override { device.enqueue(*kernel_, Range::line(n_, 256)); }
  void plain() override {
    expected_.resize(n_);
    for (std::size_t i = 0; i < n_; ++i) expected_[i] = kA * x_[i] + y_[i];
  }
  void check(Device&) override { compare(*out_, expected_); }

 private:
  static constexpr float kA = 2.5F;
  Random random_;
  std::size_t n_;
  std::vector<float> x_, y_, expected_;
  Buffer* out_ = nullptr;
  Device::Kernel* kernel_ = nullptr;
};

class Stencil final : public Program {
 public:
  explicit Stencil(const Scale& scale)
      : width_(scale.side(4096, 2, 0)), height_(scale.side(4096, 2, 1)), in_(Random().reals(width_ * height_, -1, 1)) {}

  const char* source() const override {
    return R"(
#pragma OPENCL FP_CONTRACT OFF
kernel void stencil(global const float* in, global float* out, uint width, uint height) {
  const uint x = get_global_id(0), y = get_global_id(1), i = y * width + x;
  if (x == 0 || y == 0 || x == width - 1 || y == height - 1) {
    out[i] = in[i];
    return;
  }
  out[i] = 0.5f * in[i] + 0.125f * (in[i - 1] + in[i + 1] + in[i - width] + in[i + width]);
}
)";
  }
  void prepare(Device& device) override {
    out_ = &device.buffer(in_.size() * sizeof(float));
    kernel_ = &device.kernel("stencil")
                   .arg(device.buffer_of(in_))
                   .arg(*out_)
                   .value(static_cast<std::uint32_t>(width_))
                   .value(static_cast<std::uint32_t>(height_));
  }
  void enqueue(Device& device) override { device.enqueue(*kernel_, Range::plane(width_, height_, 16)); }
  void plain() override {
    expected_ = in_;
    for (std::size_t y = 1; y + 1 < height_; ++y) {
      const float* row = in_.data() + y * width_;
      float* to = expected_.data() + y * width_;
      for (std::size_t x = 1; x + 1 < width_; ++x) {
        to[x] = 0.5F * row[x] + 0.125F * (row[x - 1] + row[x + 1] + row[x - width_] + row[x + width_]);
      }
    }
  }
  void check(Device&) override { compare(*out_, expected_); }

 private:
  std::size_t width_, height_;
  std::vector<float> in_, expected_;
  Buffer* out_ = nullptr;
  Device::Kernel* kernel_ = nullptr;
};

}  // namespace

void add_stream_programs(std::vector<ProgramRow>& rows) {
  rows.push_back({"saxpy", make_program<Saxpy>});
  rows.push_back({"stencil", make_program<Stencil>});
}

}  // namespace kernels
