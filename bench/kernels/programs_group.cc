// reduce, scan, histogram, bitonic: groups that work together, and passes.
#include <algorithm>

#include "program.h"

namespace kernels {
namespace {

class Reduce final : public Program {
 public:
  explicit Reduce(const Scale& scale) : in_(Random().words(scale.of(67'108'864))) {}

  const char* source() const override {
    return R"(
kernel __attribute__((reqd_work_group_size(256, 1, 1)))
void reduce(global const uint* in, global uint* out, uint n) {
  local uint part[256];
  const uint x = get_local_id(0), step = get_global_size(0);
  uint sum = 0;
  for (uint i = get_global_id(0); i < n; i += step) sum += in[i];
  part[x] = sum;
  barrier(CLK_LOCAL_MEM_FENCE);
  for (uint half_size = 128; half_size > 0; half_size /= 2) {
    if (x < half_size) part[x] += part[x + half_size];
    barrier(CLK_LOCAL_MEM_FENCE);
  }
  if (x == 0) out[get_group_id(0)] = part[0];
}
)";
  }
  void prepare(Device& device) override {
    Buffer& sums = device.buffer(kGroups * sizeof(std::uint32_t));
    out_ = &device.buffer(sizeof(std::uint32_t));
    all_ = &device.kernel("reduce").arg(device.buffer_of(in_)).arg(sums).value(static_cast<std::uint32_t>(in_.size()));
    sums_ = &device.kernel("reduce").arg(sums).arg(*out_).value(kGroups);
  }
  void enqueue(Device& device) override {
    device.enqueue(*all_, Range::line(std::size_t{kGroups} * 256, 256));
    device.enqueue(*sums_, Range::line(256, 256));
  }
  void plain() override {
    std::uint32_t sum = 0;
    for (const std::uint32_t value : in_) sum += value;
    expected_ = {sum};
  }
  void check(Device&) override { compare(*out_, expected_); }

 private:
  static constexpr std::uint32_t kGroups = 256;
  std::vector<std::uint32_t> in_, expected_;
  Buffer* out_ = nullptr;
  Device::Kernel* all_ = nullptr;
  Device::Kernel* sums_ = nullptr;
};

/// Inclusive. Sums of blocks are scanned as the elements were, until one block holds them all.
class Scan final : public Program {
 public:
  explicit Scan(const Scale& scale) : in_(Random().words(scale.of(16'777'216))) {}

  const char* source() const override {
    return R"(
kernel __attribute__((reqd_work_group_size(256, 1, 1)))
void scan(global const uint* in, global uint* out, global uint* sums, uint n) {
  local uint part[256];
  const uint x = get_local_id(0), at = get_group_id(0) * 1024 + x * 4;
  uint own[4], sum = 0;
  for (uint j = 0; j < 4; ++j) {
    sum += at + j < n ? in[at + j] : 0;
    own[j] = sum;
  }
  part[x] = sum;
  barrier(CLK_LOCAL_MEM_FENCE);
  for (uint step = 1; step < 256; step *= 2) {
    const uint before = x >= step ? part[x - step] : 0;
    barrier(CLK_LOCAL_MEM_FENCE);
    part[x] += before;
    barrier(CLK_LOCAL_MEM_FENCE);
  }
  const uint before = part[x] - sum;
  for (uint j = 0; j < 4; ++j)
    if (at + j < n) out[at + j] = own[j] + before;
  if (x == 255) sums[get_group_id(0)] = part[x];
}
kernel void add(global uint* out, global const uint* sums, uint n) {
  const uint i = get_global_id(0) + 1024;
  if (i < n) out[i] += sums[i / 1024 - 1];
}
)";
  }
  void prepare(Device& device) override {
    Buffer* from = &device.buffer_of(in_);
    std::size_t count = in_.size();
    for (;;) {
      const std::size_t blocks = (count + kBlock - 1) / kBlock;
      Buffer& to = levels_.empty() ? device.buffer(count * 4) : *from;  // sums: in place
      Buffer& sums = device.buffer(blocks * 4);
      Device::Kernel& scan =
          device.kernel("scan").arg(*from).arg(to).arg(sums).value(static_cast<std::uint32_t>(count));
      Device::Kernel& add = device.kernel("add").arg(to).arg(sums).value(static_cast<std::uint32_t>(count));
      levels_.push_back({&scan, &add, blocks, count});
      if (levels_.size() == 1) out_ = &to;
      if (blocks == 1) return;
      from = &sums;
      count = blocks;
    }
  }
  void enqueue(Device& device) override {
    for (const Level& level : levels_) device.enqueue(*level.scan, Range::line(level.blocks * 256, 256));
    for (std::size_t i = levels_.size() - 1; i-- > 0;) {
      const std::size_t items = (levels_[i].count + 255) / 256 * 256;
      device.enqueue(*levels_[i].add, Range::line(items, 256));
    }
  }
  void plain() override {
    expected_.resize(in_.size());
    std::uint32_t sum = 0;
    for (std::size_t i = 0; i < in_.size(); ++i) expected_[i] = sum += in_[i];
  }
  void check(Device&) override { compare(*out_, expected_); }

 private:
  static constexpr std::size_t kBlock = 1024;
  struct Level {
    Device::Kernel* scan;
    Device::Kernel* add;
    std::size_t blocks;
    std::size_t count;
  };
  std::vector<std::uint32_t> in_, expected_;
  std::vector<Level> levels_;
  Buffer* out_ = nullptr;
};

class Histogram final : public Program {
 public:
  explicit Histogram(const Scale& scale) : in_(Random().words(scale.of(16'777'216) / 4)) {}

  const char* source() const override {
    return R"(
kernel __attribute__((reqd_work_group_size(256, 1, 1)))
void histogram(global const uchar4* in, global uint* bins, uint n) {
  local uint part[256];
  const uint x = get_local_id(0), step = get_global_size(0);
  part[x] = 0;
  barrier(CLK_LOCAL_MEM_FENCE);
  for (uint i = get_global_id(0); i < n; i += step) {
    const uchar4 four = in[i];
    atomic_inc(&part[four.x]);
    atomic_inc(&part[four.y]);
    atomic_inc(&part[four.z]);
    atomic_inc(&part[four.w]);
  }
  barrier(CLK_LOCAL_MEM_FENCE);
  atomic_add(&bins[x], part[x]);
}
)";
  }
  void prepare(Device& device) override {
    bins_ = &device.buffer(kBins * sizeof(std::uint32_t));
    kernel_ = &device.kernel("histogram")
                   .arg(device.buffer_of(in_))
                   .arg(*bins_)
                   .value(static_cast<std::uint32_t>(in_.size()));
  }
  void reset(Device&) override {
    const std::vector<std::uint32_t> none(kBins, 0);
    bins_->write(none.data(), none.size() * sizeof none[0]);
  }
  void enqueue(Device& device) override { device.enqueue(*kernel_, Range::line(kGroups * 256, 256)); }
  void plain() override {
    expected_.assign(kBins, 0);
    const auto* bytes = reinterpret_cast<const unsigned char*>(in_.data());
    for (std::size_t i = 0; i < in_.size() * 4; ++i) ++expected_[bytes[i]];
  }
  void check(Device&) override { compare(*bins_, expected_); }

 private:
  static constexpr std::size_t kBins = 256;
  static constexpr std::size_t kGroups = 256;
  std::vector<std::uint32_t> in_, expected_;
  Buffer* bins_ = nullptr;
  Device::Kernel* kernel_ = nullptr;
};

class Bitonic final : public Program {
 public:
  explicit Bitonic(const Scale& scale) : in_(Random().words(scale.of(1'048'576))) {}

  const char* source() const override {
    return R"(
kernel void pass(global uint* data, uint length, uint distance) {
  const uint t = get_global_id(0);
  const uint low = t / distance * distance * 2 + t % distance, high = low + distance;
  const uint a = data[low], b = data[high];
  const bool up = (low & length) == 0;
  if ((a > b) == up) {
    data[low] = b;
    data[high] = a;
  }
}
)";
  }
  void prepare(Device& device) override {
    data_ = &device.buffer(in_.size() * sizeof in_[0]);
    kernel_ = &device.kernel("pass");
  }
  void reset(Device&) override { data_->write(in_.data(), in_.size() * sizeof in_[0]); }
  void enqueue(Device& device) override {
    each_pass([&](std::uint32_t length, std::uint32_t distance) {
      kernel_->again().arg(*data_).value(length).value(distance);
      device.enqueue(*kernel_, Range::line(in_.size() / 2, 256));
    });
  }
  void plain() override {
    expected_ = in_;
    each_pass([&](std::uint32_t length, std::uint32_t distance) {
      for (std::uint32_t block = 0; block < in_.size(); block += 2 * distance) {
        const bool up = (block & length) == 0;
        std::uint32_t* low = expected_.data() + block;
        for (std::uint32_t i = 0; i < distance; ++i) {
          const std::uint32_t less = std::min(low[i], low[i + distance]);
          const std::uint32_t more = std::max(low[i], low[i + distance]);
          low[i] = up ? less : more;
          low[i + distance] = up ? more : less;
        }
      }
    });
    if (!std::is_sorted(expected_.begin(), expected_.end())) throw Failed{"plain C++ does not sort"};
  }
  void check(Device&) override { compare(*data_, expected_); }

 private:
  template <typename Body>
  void each_pass(const Body& body) const {
    for (std::uint32_t length = 2; length <= in_.size(); length *= 2) {
      for (std::uint32_t distance = length / 2; distance > 0; distance /= 2) body(length, distance);
    }
  }
  std::vector<std::uint32_t> in_, expected_;
  Buffer* data_ = nullptr;
  Device::Kernel* kernel_ = nullptr;
};

}  // namespace

void add_group_programs(std::vector<ProgramRow>& rows) {
  rows.push_back({"reduce", make_program<Reduce>});
  rows.push_back({"scan", make_program<Scan>});
  rows.push_back({"histogram", make_program<Histogram>});
  rows.push_back({"bitonic", make_program<Bitonic>});
}

}  // namespace kernels
