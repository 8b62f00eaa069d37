// spmv, chase: addresses from memory.
#include <cstdlib>
#include <utility>

#include "program.h"

namespace kernels {
namespace {

class Spmv final : public Program {
 public:
  explicit Spmv(const Scale& scale) : rows_(scale.of(1'048'576)) {
    Random random;
    start_.push_back(0);
    for (std::size_t row = 0; row < rows_; ++row) start_.push_back(start_.back() + 8 + random.below(17));
    column_.resize(start_.back());
    for (std::uint32_t& column : column_) column = random.below(static_cast<std::uint32_t>(rows_));
    value_ = random.reals(start_.back(), -1, 1);
    x_ = random.reals(rows_, -1, 1);
  }

  const char* source() const override {
    return R"(
#pragma OPENCL FP_CONTRACT OFF
kernel void spmv(global const uint* start, global const uint* column, global const float* value, global const float* x,
                 global float* y) {
  const uint row = get_global_id(0), end = start[row + 1];
  float sum = 0;
  for (uint i = start[row]; i < end; ++i) sum += value[i] * x[column[i]];
  y[row] = sum;
}
)";
  }
  void prepare(Device& device) override {
    y_ = &device.buffer(rows_ * sizeof(float));
    kernel_ = &device.kernel("spmv")
                   .arg(device.buffer_of(start_))
                   .arg(device.buffer_of(column_))
                   .arg(device.buffer_of(value_))
                   .arg(device.buffer_of(x_))
                   .arg(*y_);
  }
  void enqueue(Device& device) override { device.enqueue(*kernel_, Range::line(rows_, 256)); }
  void plain() override {
    expected_.resize(rows_);
    for (std::size_t row = 0; row < rows_; ++row) {
      float sum = 0;
      for (std::uint32_t i = start_[row]; i < start_[row + 1]; ++i) sum += value_[i] * x_[column_[i]];
      expected_[row] = sum;
    }
  }
  void check(Device&) override { compare(*y_, expected_, 1e-5); }

 private:
  std::size_t rows_;
  std::vector<std::uint32_t> start_, column_;
  std::vector<float> value_, x_, expected_;
  Buffer* y_ = nullptr;
  Device::Kernel* kernel_ = nullptr;
};

/// Lists of 16 nodes through memory of malloc, in random order; an item adds up one list.
class Chase final : public Program {
 public:
  explicit Chase(const Scale& scale) : nodes_(scale.of(1'048'576)), lists_(nodes_ / kLength) {
    node_ = static_cast<Node*>(std::malloc(nodes_ * sizeof(Node)));
    head_ = static_cast<Node**>(std::malloc(lists_ * sizeof(Node*)));
    sum_ = static_cast<std::uint32_t*>(std::malloc(lists_ * sizeof(std::uint32_t)));
    if (node_ == nullptr || head_ == nullptr || sum_ == nullptr) throw Failed{"no memory"};
    Random random;
    std::vector<std::uint32_t> order(nodes_);
    for (std::uint32_t i = 0; i < nodes_; ++i) order[i] = i;
    for (std::uint32_t i = static_cast<std::uint32_t>(nodes_); i-- > 1;)
      std::swap(order[i], order[random.below(i + 1)]);
    for (std::size_t i = 0; i < nodes_; ++i) {
      const bool last = i % kLength == kLength - 1;
      node_[order[i]] = {last ? nullptr : node_ + order[i + 1], random.next(), {}};
    }
    for (std::size_t i = 0; i < lists_; ++i) head_[i] = node_ + order[i * kLength];
  }
  ~Chase() override {
    std::free(node_);
    std::free(head_);
    std::free(sum_);
  }

  const char* source() const override {
    return R"(
struct node { ulong next; uint value; uint rest[13]; };
kernel void chase(global const ulong* heads, global uint* sums) {
  const uint i = get_global_id(0);
  uint sum = 0;
  for (ulong at = heads[i]; at != 0;) {
    global const struct node* node = (global const struct node*)at;
    sum += node->value;
    at = node->next;
  }
  sums[i] = sum;
}
)";
  }
  void prepare(Device& device) override {
    kernel_ = &device.kernel("chase").pointer(head_).pointer(sum_).reaches_everything();
  }
  void enqueue(Device& device) override { device.enqueue(*kernel_, Range::line(lists_, 256)); }
  void plain() override {
    expected_.resize(lists_);
    for (std::size_t i = 0; i < lists_; ++i) {
      std::uint32_t sum = 0;
      for (const Node* at = head_[i]; at != nullptr; at = at->next) sum += at->value;
      expected_[i] = sum;
    }
  }
  void check(Device&) override {
    for (std::size_t i = 0; i < lists_; ++i) {
      if (sum_[i] != expected_[i]) throw Failed{"list " + std::to_string(i) + " has another sum"};
    }
  }

 private:
  static constexpr std::size_t kLength = 16;
  struct Node {
    Node* next;
    std::uint32_t value;
    std::uint32_t rest[13];
  };
  std::size_t nodes_, lists_;
  Node* node_ = nullptr;
  Node** head_ = nullptr;
  std::uint32_t* sum_ = nullptr;
  std::vector<std::uint32_t> expected_;
  Device::Kernel* kernel_ = nullptr;
};

}  // namespace

void add_gather_programs(std::vector<ProgramRow>& rows) {
  rows.push_back({"spmv", make_program<Spmv>});
  rows.push_back({"chase", make_program<Chase>});
}

}  // namespace kernels
