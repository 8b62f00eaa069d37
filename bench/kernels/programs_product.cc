// sgemm in two ways, nbody: arithmetic.
#include "program.h"

namespace kernels {
namespace {

constexpr std::size_t kTile = 16;

/// C = A B, square up to the scale.
class Sgemm : public Program {
 public:
  explicit Sgemm(const Scale& scale)
      : m_(scale.side(1024, 3, 1)),
        n_(scale.side(1024, 3, 2)),
        k_(scale.side(1024, 3, 0)),
        a_(random_.reals(m_ * k_, -1, 1)),
        b_(random_.reals(k_ * n_, -1, 1)) {}

  void prepare(Device& device) override {
    c_ = &device.buffer(m_ * n_ * sizeof(float));
    kernel_ = &device.kernel("sgemm")
                   .arg(device.buffer_of(a_))
                   .arg(device.buffer_of(b_))
                   .arg(*c_)
                   .value(static_cast<std::uint32_t>(n_))
                   .value(static_cast<std::uint32_t>(k_));
  }
  void enqueue(Device& device) override { device.enqueue(*kernel_, Range::plane(n_, m_, kTile)); }
  void plain() override {
    expected_.assign(m_ * n_, 0);
    for (std::size_t i = 0; i < m_; ++i) {
      float* to = expected_.data() + i * n_;
      for (std::size_t l = 0; l < k_; ++l) {
        const float a = a_[i * k_ + l];
        const float* from = b_.data() + l * n_;
        for (std::size_t j = 0; j < n_; ++j) to[j] += a * from[j];
      }
    }
  }
  void check(Device&) override { compare(*c_, expected_, 1e-4); }

 private:
  Random random_;
  std::size_t m_, n_, k_;
  std::vector<float> a_, b_, expected_;
  Buffer* c_ = nullptr;
  Device::Kernel* kernel_ = nullptr;
};

class SgemmNaive final : public Sgemm {
 public:
  using Sgemm::Sgemm;
  const char* source() const override {
    return R"(
#pragma OPENCL FP_CONTRACT OFF
kernel void sgemm(global const float* a, global const float* b, global float* c, uint n, uint k) {
  const uint j = get_global_id(0), i = get_global_id(1);
  float sum = 0;
  for (uint l = 0; l < k; ++l) sum += a[i * k + l] * b[l * n + j];
  c[i * n + j] = sum;
}
)";
  }
};

class SgemmTiled final : public Sgemm {
 public:
  using Sgemm::Sgemm;
  const char* source() const override {
    return R"(
#pragma OPENCL FP_CONTRACT OFF
kernel __attribute__((reqd_work_group_size(16, 16, 1)))
void sgemm(global const float* a, global const float* b, global float* c, uint n, uint k) {
  local float ta[16][16], tb[16][16];
  const uint j = get_global_id(0), i = get_global_id(1), x = get_local_id(0), y = get_local_id(1);
  float sum = 0;
  for (uint t = 0; t < k; t += 16) {
    ta[y][x] = a[i * k + t + x];
    tb[y][x] = b[(t + y) * n + j];
    barrier(CLK_LOCAL_MEM_FENCE);
    for (uint l = 0; l < 16; ++l) sum += ta[y][l] * tb[l][x];
    barrier(CLK_LOCAL_MEM_FENCE);
  }
  c[i * n + j] = sum;
}
)";
  }
};

class Nbody final : public Program {
 public:
  explicit Nbody(const Scale& scale) : items_(scale.side(8192, 2, 0)), bodies_(scale.side(8192, 2, 1)) {
    Random random;
    position_ = random.reals(4 * 8192, -1, 1);
    for (std::size_t i = 3; i < position_.size(); i += 4) position_[i] = random.real(0.5F, 1.5F);
  }

  const char* source() const override {
    return R"(
#pragma OPENCL FP_CONTRACT OFF
kernel __attribute__((reqd_work_group_size(256, 1, 1)))
void nbody(global const float4* position, global float4* force, uint bodies) {
  local float4 tile[256];
  const uint i = get_global_id(0), x = get_local_id(0);
  const float4 me = position[i];
  float3 sum = 0;
  for (uint t = 0; t < bodies; t += 256) {
    tile[x] = position[t + x];
    barrier(CLK_LOCAL_MEM_FENCE);
    for (uint l = 0; l < 256; ++l) {
      const float3 d = tile[l].xyz - me.xyz;
      const float r = rsqrt(d.x * d.x + d.y * d.y + d.z * d.z + 0.01f);
      sum += d * (tile[l].w * r * r * r);
    }
    barrier(CLK_LOCAL_MEM_FENCE);
  }
  force[i] = (float4)(sum, 0);
}
)";
  }
  void prepare(Device& device) override {
    out_ = &device.buffer(items_ * 4 * sizeof(float));
    kernel_ =
        &device.kernel("nbody").arg(device.buffer_of(position_)).arg(*out_).value(static_cast<std::uint32_t>(bodies_));
  }
  void enqueue(Device& device) override { device.enqueue(*kernel_, Range::line(items_, 256)); }
  void plain() override {
    // Apart, so that the compiler can do several bodies at a time.
    std::vector<float> x(bodies_), y(bodies_), z(bodies_), w(bodies_);
    for (std::size_t i = 0; i < bodies_; ++i) {
      x[i] = position_[4 * i], y[i] = position_[4 * i + 1], z[i] = position_[4 * i + 2], w[i] = position_[4 * i + 3];
    }
    expected_.assign(4 * items_, 0);
    for (std::size_t i = 0; i < items_; ++i) {
      const float* me = position_.data() + 4 * i;
      float fx = 0, fy = 0, fz = 0;
#pragma omp simd reduction(+ : fx, fy, fz)
      for (std::size_t l = 0; l < bodies_; ++l) {
        const float dx = x[l] - me[0], dy = y[l] - me[1], dz = z[l] - me[2];
        const float r = 1 / std::sqrt(dx * dx + dy * dy + dz * dz + 0.01F);
        const float s = w[l] * r * r * r;
        fx += dx * s, fy += dy * s, fz += dz * s;
      }
      expected_[4 * i] = fx, expected_[4 * i + 1] = fy, expected_[4 * i + 2] = fz;
    }
  }
  void check(Device&) override { compare(*out_, expected_, 1e-3); }

 private:
  std::size_t items_, bodies_;
  std::vector<float> position_, expected_;
  Buffer* out_ = nullptr;
  Device::Kernel* kernel_ = nullptr;
};

}  // namespace

void add_product_programs(std::vector<ProgramRow>& rows) {
  rows.push_back({"sgemm_naive", make_program<SgemmNaive>});
  rows.push_back({"sgemm_tiled", make_program<SgemmTiled>});
  rows.push_back({"nbody", make_program<Nbody>});
}

}  // namespace kernels
