// blackscholes, mandelbrot, sha256: items on their own.
#include <array>
#include <bit>

#include "program.h"

namespace kernels {
namespace {

class BlackScholes final : public Program {
 public:
  explicit BlackScholes(const Scale& scale)
      : n_(scale.of(1'048'576)),
        price_(random_.reals(n_, 10, 100)),
        strike_(random_.reals(n_, 10, 100)),
        years_(random_.reals(n_, 0.2F, 2)) {}

  const char* source() const override {
    return R"(
#pragma OPENCL FP_CONTRACT OFF
float below(float d) { return 0.5f + 0.5f * erf(d * 0.70710678f); }
kernel void option(global const float* price, global const float* strike, global const float* years,
                   global float* call, global float* put) {
  const uint i = get_global_id(0);
  const float s = price[i], k = strike[i], t = years[i], v = 0.3f * sqrt(t);
  const float d1 = (log(s / k) + (0.02f + 0.5f * 0.3f * 0.3f) * t) / v, d2 = d1 - v;
  const float later = k * exp(-0.02f * t);
  const float c = s * below(d1) - later * below(d2);
  call[i] = c;
  put[i] = c + later - s;
}
)";
  }
  void prepare(Device& device) override {
    call_ = &device.buffer(n_ * sizeof(float));
    put_ = &device.buffer(n_ * sizeof(float));
    kernel_ = &device.kernel("option")
                   .arg(device.buffer_of(price_))
                   .arg(device.buffer_of(strike_))
                   .arg(device.buffer_of(years_))
                   .arg(*call_)
                   .arg(*put_);
  }
  void enqueue(Device& device) override { device.enqueue(*kernel_, Range::line(n_, 256)); }
  void plain() override {
    expected_call_.resize(n_);
    expected_put_.resize(n_);
    const auto below = [](float d) { return 0.5F + 0.5F * std::erf(d * 0.70710678F); };
    for (std::size_t i = 0; i < n_; ++i) {
      const float v = 0.3F * std::sqrt(years_[i]);
      const float d1 = (std::log(price_[i] / strike_[i]) + (0.02F + 0.5F * 0.3F * 0.3F) * years_[i]) / v;
      const float later = strike_[i] * std::exp(-0.02F * years_[i]);
      expected_call_[i] = price_[i] * below(d1) - later * below(d1 - v);
      expected_put_[i] = expected_call_[i] + later - price_[i];
    }
  }
  void check(Device&) override {
    compare(*call_, expected_call_, 1e-4);
    compare(*put_, expected_put_, 1e-4);
  }

 private:
  Random random_;
  std::size_t n_;
  std::vector<float> price_, strike_, years_, expected_call_, expected_put_;
  Buffer* call_ = nullptr;
  Buffer* put_ = nullptr;
  Device::Kernel* kernel_ = nullptr;
};

class Mandelbrot final : public Program {
 public:
  explicit Mandelbrot(const Scale& scale) : width_(scale.side(1024, 2, 0)), height_(scale.side(1024, 2, 1)) {}

  const char* source() const override {
    return R"(
#pragma OPENCL FP_CONTRACT OFF
kernel void mandelbrot(global uint* out, uint width, uint height) {
  const uint px = get_global_id(0), py = get_global_id(1);
  const float cx = -2.0f + px * (2.5f / 1024) * (1024 / width), cy = -1.25f + py * (2.5f / 1024) * (1024 / height);
  float x = 0, y = 0;
  uint i = 0;
  for (; i < 256; ++i) {
    const float xx = x * x, yy = y * y;
    if (xx + yy > 4.0f) break;
    y = 2.0f * x * y + cy;
    x = xx - yy + cx;
  }
  out[py * width + px] = i;
}
)";
  }
  void prepare(Device& device) override {
    out_ = &device.buffer(width_ * height_ * sizeof(std::uint32_t));
    kernel_ = &device.kernel("mandelbrot").arg(*out_).value(width_).value(height_);
  }
  void enqueue(Device& device) override { device.enqueue(*kernel_, Range::plane(width_, height_, 16)); }
  void plain() override {
    expected_.resize(width_ * height_);
    for (std::uint32_t py = 0; py < height_; ++py) {
      for (std::uint32_t px = 0; px < width_; ++px) {
        const float cx = -2.0F + static_cast<float>(px) * (2.5F / 1024) * static_cast<float>(1024 / width_);
        const float cy = -1.25F + static_cast<float>(py) * (2.5F / 1024) * static_cast<float>(1024 / height_);
        float x = 0, y = 0;
        std::uint32_t i = 0;
        for (; i < 256; ++i) {
          const float xx = x * x, yy = y * y;
          if (xx + yy > 4.0F) break;
          y = 2.0F * x * y + cy;
          x = xx - yy + cx;
        }
        expected_[py * width_ + px] = i;
      }
    }
  }
  void check(Device&) override { compare(*out_, expected_); }

 private:
  std::uint32_t width_, height_;
  std::vector<std::uint32_t> expected_;
  Buffer* out_ = nullptr;
  Device::Kernel* kernel_ = nullptr;
};

constexpr std::array<std::uint32_t, 64> kSha256{
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};
constexpr std::array<std::uint32_t, 8> kSha256Start{0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                                    0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};

class Sha256 final : public Program {
 public:
  explicit Sha256(const Scale& scale) : n_(scale.of(262'144)) {
    source_ = "constant uint k[64] = {";
    for (const std::uint32_t word : kSha256) source_ += std::to_string(word) + "u,";
    source_ += R"(};
#define TURN(x, n) rotate((uint)(x), (uint)(32 - (n)))
kernel void sha256(global uint* out) {
  const uint id = get_global_id(0);
  uint w[16], random = 12345 + id;
  for (uint i = 0; i < 16; ++i) {
    random ^= random << 13;
    random ^= random >> 17;
    random ^= random << 5;
    w[i] = random;
  }
  const uint8 start = (uint8)(0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19);
  uint a = start.s0, b = start.s1, c = start.s2, d = start.s3, e = start.s4, f = start.s5, g = start.s6, h = start.s7;
  #pragma unroll
  for (uint i = 0; i < 64; ++i) {
    if (i >= 16) {
      const uint w1 = w[(i + 1) & 15], w14 = w[(i + 14) & 15];
      w[i & 15] += (TURN(w1, 7) ^ TURN(w1, 18) ^ (w1 >> 3)) + w[(i + 9) & 15] +
                   (TURN(w14, 17) ^ TURN(w14, 19) ^ (w14 >> 10));
    }
    const uint t1 = h + (TURN(e, 6) ^ TURN(e, 11) ^ TURN(e, 25)) + ((e & f) ^ (~e & g)) + k[i] + w[i & 15];
    const uint t2 = (TURN(a, 2) ^ TURN(a, 13) ^ TURN(a, 22)) + ((a & b) ^ (a & c) ^ (b & c));
    h = g; g = f; f = e; e = d + t1; d = c; c = b; b = a; a = t1 + t2;
  }
  vstore8(start + (uint8)(a, b, c, d, e, f, g, h), id, out);
}
)";
  }

  const char* source() const override { return source_.c_str(); }
  void prepare(Device& device) override {
    out_ = &device.buffer(n_ * 32);
    kernel_ = &device.kernel("sha256").arg(*out_);
  }
  void enqueue(Device& device) override { device.enqueue(*kernel_, Range::line(n_, 256)); }
  void plain() override {
    expected_.resize(n_ * 8);
    for (std::uint32_t id = 0; id < n_; ++id) block(id, expected_.data() + std::size_t{id} * 8);
  }
  void check(Device&) override { compare(*out_, expected_); }

 private:
  static void block(std::uint32_t id, std::uint32_t* out) {
    std::uint32_t random = 12345 + id;
    std::array<std::uint32_t, 64> w;
    for (unsigned i = 0; i < 16; ++i) {
      random ^= random << 13;
      random ^= random >> 17;
      random ^= random << 5;
      w[i] = random;
    }
    for (unsigned i = 16; i < 64; ++i) {
      const std::uint32_t a = w[i - 15], b = w[i - 2];
      w[i] = w[i - 16] + (std::rotr(a, 7) ^ std::rotr(a, 18) ^ (a >> 3)) + w[i - 7] +
             (std::rotr(b, 17) ^ std::rotr(b, 19) ^ (b >> 10));
    }
    auto [a, b, c, d, e, f, g, h] = kSha256Start;
    for (unsigned i = 0; i < 64; ++i) {
      const std::uint32_t t1 =
          h + (std::rotr(e, 6) ^ std::rotr(e, 11) ^ std::rotr(e, 25)) + ((e & f) ^ (~e & g)) + kSha256[i] + w[i];
      const std::uint32_t t2 = (std::rotr(a, 2) ^ std::rotr(a, 13) ^ std::rotr(a, 22)) + ((a & b) ^ (a & c) ^ (b & c));
      h = g, g = f, f = e, e = d + t1, d = c, c = b, b = a, a = t1 + t2;
    }
    const std::array<std::uint32_t, 8> end{a, b, c, d, e, f, g, h};
    for (unsigned i = 0; i < 8; ++i) out[i] = kSha256Start[i] + end[i];
  }
  std::size_t n_;
  std::string source_;
  std::vector<std::uint32_t> expected_;
  Buffer* out_ = nullptr;
  Device::Kernel* kernel_ = nullptr;
};

}  // namespace

void add_item_programs(std::vector<ProgramRow>& rows) {
  rows.push_back({"blackscholes", make_program<BlackScholes>});
  rows.push_back({"mandelbrot", make_program<Mandelbrot>});
  rows.push_back({"sha256", make_program<Sha256>});
}

}  // namespace kernels
