#include "hw/eu/eu_sampler.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>

#include "hw/eu/eu_active.h"
#include "hw/eu/eu_float_mode.h"
#include "hw/eu/eu_half.h"
#include "hw/eu/eu_math.h"
#include "hw/eu/eu_sample.h"

namespace softxe {

namespace {

using Form = EuSamplerMessage::Form;

using Lanes = EuActiveLanes;
using Row = EuLaneRow;

/// The registers of a message: src0 and src1 are one list, a header comes first.
class Payload {
 public:
  Payload(const EuSendCall& call, const EuSamplerMessage& message) : call_(call), message_(message) {
    src0_ = registers(call.inst.src[0], message.src0_registers);
    src1_ = registers(call.inst.src[1], call.inst.send.src1_length);
  }
  /// Whether all registers are the thread's, and the header is in src0.
  bool sound() const {
    return (src0_ != nullptr || message_.src0_registers == 0) &&
           (src1_ != nullptr || call_.inst.send.src1_length == 0) && (!message_.header || message_.src0_registers != 0);
  }
  std::uint32_t header(unsigned dword) const {
    std::uint32_t value = 0;
    std::memcpy(&value, src0_ + dword * sizeof value, sizeof value);
    return value;
  }
  unsigned parameters() const {
    const unsigned registers = message_.src0_registers + call_.inst.send.src1_length - (message_.header ? 1u : 0u);
    return registers / registers_each();
  }
  /// Of the lanes; parameters that are not there are zero.
  void parameter(unsigned number, const Lanes& lanes, Row& to) const {
    if (number >= parameters()) {
      to.fill(0);
      return;
    }
    alignas(64) Row all;
    for (unsigned r = 0; r < registers_each(); ++r) {
      const unsigned at = number * registers_each() + r + (message_.header ? 1u : 0u);
      const std::byte* from = at < message_.src0_registers
                                  ? src0_ + std::size_t{at} * kEuGrfBytes
                                  : src1_ + std::size_t{at - message_.src0_registers} * kEuGrfBytes;
      std::memcpy(all.data() + r * kEuGrfBytes / sizeof(std::uint32_t), from, kEuGrfBytes);
    }
    for (unsigned n = 0; n < lanes.count; ++n) to[n] = all[lanes.channel[n]];
  }

 private:
  unsigned registers_each() const { return message_.simd / 16; }
  const std::byte* registers(const EuOperand& operand, unsigned count) const {
    return count == 0 ? nullptr : eu_message_registers(call_.thread, operand, count * kEuGrfBytes);
  }

  const EuSendCall& call_;
  const EuSamplerMessage& message_;
  const std::byte* src0_ = nullptr;
  const std::byte* src1_ = nullptr;
};

/// Where the channels of an answer stand.
class Answer {
 public:
  Answer(const EuSendCall& call, const EuSamplerMessage& message, std::uint32_t dropped)
      : half_(message.half), row_bytes_(message.half ? kEuGrfBytes : message.simd * 4u) {
    const unsigned bytes = message.response_registers * kEuGrfBytes;
    const unsigned rows_max = bytes / row_bytes_;
    for (std::uint8_t c = 0; c < 4 && rows_ < rows_max; ++c) {
      if ((dropped >> c & 1) == 0) channel_[rows_++] = c;
    }
    to_ = call.inst.dst.null() ? nullptr : eu_message_registers(call.thread, call.inst.dst, bytes);
  }
  bool sound() const { return to_ != nullptr; }

  void write(const Lanes& lanes, const EuComponents& channels) const {
    for (unsigned r = 0; r < rows_; ++r) {
      std::byte* const row = to_ + std::size_t{r} * row_bytes_;
      const auto& from = channels[channel_[r]];
      if (half_) {
        for (unsigned n = 0; n < lanes.count; ++n) {
          const auto value = static_cast<std::uint16_t>(from[n]);
          std::memcpy(row + lanes.channel[n] * sizeof value, &value, sizeof value);
        }
      } else {
        for (unsigned n = 0; n < lanes.count; ++n) std::memcpy(row + lanes.channel[n] * 4u, &from[n], 4);
      }
    }
  }

 private:
  bool half_;
  unsigned row_bytes_;
  unsigned rows_ = 0;
  std::array<std::uint8_t, 4> channel_{};
  std::byte* to_ = nullptr;
};

/// Which parameter is what, by form; kNone: not there.
constexpr std::uint8_t kNone = 0xFF;
struct Order {
  std::array<std::uint8_t, 3> coordinate;
  std::uint8_t level;
};
constexpr Order order_of(Form form) {
  switch (form) {
    case Form::kSampleLevel: return {{1, 2, 3}, 0};
    case Form::kSampleGrad: return {{0, 3, 6}, kNone};
    case Form::kLoad: return {{0, 1, 3}, 2};
    case Form::kInfo: return {{kNone, kNone, kNone}, 0};
    case Form::kSampleFirst:
    case Form::kLoadFirst: break;
  }
  return {{0, 1, 2}, kNone};
}

EuAddressing surface_of(const EuSamplerMessage& message) {
  return {.space = message.bindless ? EuSpace::kBindless : EuSpace::kBti, .surface = message.surface};
}

/// A message to the sampler while it is carried out: one object for all its forms.
class Sampling {
 public:
  Sampling(const EuSendCall& call, const EuSamplerMessage& message, const Payload& payload, const EuImage& image)
      : call_(call),
        message_(message),
        payload_(payload),
        image_(image),
        lanes_(call.channels),
        work_(call.env.memory, image, eu_va_mask(call)) {}

  EuSendResult carry_out() {
    if (image_.null()) {
      for (auto& channel : result_) channel.fill(0);
      return {};
    }
    switch (message_.form) {
      case Form::kInfo: return info();
      case Form::kLoad:
      case Form::kLoadFirst: return load();
      case Form::kSampleFirst:
      case Form::kSampleLevel:
      case Form::kSampleGrad: break;
    }
    return sample();
  }
  const Lanes& lanes() const { return lanes_; }
  /// Floats or integers of 32 bits, or those of 16 where the message wants them.
  EuComponents& result() { return result_; }
  std::uint64_t texels() const { return work_.texels(); }

 private:
  EuSendResult info();
  EuSendResult load();
  EuSendResult sample();
  EuSendResult sample_only_level(const EuSampler& sampler);
  struct Plan;
  Plan plan(const EuSampler& sampler, const EuFloats& lod) const;
  EuSendResult sample_levels(const EuSampler& sampler, const Row& keys, EuComponents& to);
  void levels_of_lanes(const EuSampler& sampler, EuFloats& lod) const;
  float level_by_gradients(unsigned lane, const std::array<Row, 9>& rows) const;

  /// Puts what `work_` gave for the packed lanes of a group to where they belong.
  void unpack(std::uint32_t group, EuComponents& to) const {
    for (unsigned c = 0; c < 4; ++c) eu_unpack(group, work_.channels()[c], to[c]);
  }

  const EuSendCall& call_;
  const EuSamplerMessage& message_;
  const Payload& payload_;
  const EuImage& image_;
  const Lanes lanes_;
  EuSampling work_;
  EuCoordinates at_;
  EuComponents result_;
};

EuSendResult Sampling::info() {
  Row lod;
  payload_.parameter(0, lanes_, lod);
  const std::uint32_t levels = image_.levels - image_.first_level;
  for (unsigned n = 0; n < lanes_.count; ++n) {
    const bool there = lod[n] < levels;
    const EuImage::Level& level = image_.level[image_.first_level + (there ? lod[n] : 0)];
    std::array<std::uint32_t, 3> sizes{level.width, 0, 0};
    if (image_.coordinates >= 2) sizes[1] = level.height;
    if (image_.coordinates == 3) sizes[2] = level.depth;
    if (image_.array) sizes[image_.coordinates] = level.depth;
    for (unsigned c = 0; c < 3; ++c) result_[c][n] = there ? sizes[c] : 0;
    result_[3][n] = levels;
  }
  return {};
}

EuSendResult Sampling::load() {
  const Order order = order_of(message_.form);
  EuPlaces at;
  for (unsigned i = 0; i < 3; ++i) {
    Row row;
    payload_.parameter(order.coordinate[i], lanes_, row);
    for (unsigned n = 0; n < lanes_.count; ++n) at[i][n] = static_cast<std::int32_t>(row[n]);
  }
  Row level{};
  if (order.level != kNone) payload_.parameter(order.level, lanes_, level);
  const std::uint32_t levels = image_.levels - image_.first_level;
  return eu_each_group(level, lanes_.count, [&](std::uint32_t key, std::uint32_t group) {
    EuPlaces packed;
    for (unsigned i = 0; i < 3; ++i) eu_pack(group, at[i], packed[i]);
    const auto count = static_cast<unsigned>(std::popcount(group));
    // A level that is not there is outside, as a coordinate is.
    if (key >= levels) packed[0].fill(-1);
    const EuSendResult result =
        work_.load(packed, {.level = image_.first_level + (key < levels ? key : 0), .count = count});
    if (result.kind == EuSendKind::kDone) unpack(group, result_);
    return result;
  });
}

float Sampling::level_by_gradients(unsigned lane, const std::array<Row, 9>& rows) const {
  const EuImage::Level& first = image_.level[image_.first_level];
  const std::array<std::uint32_t, 3> size{first.width, first.height, first.depth};
  float longest = 0;
  for (unsigned direction = 0; direction < 2; ++direction) {
    float square = 0;
    for (unsigned i = 0; i < image_.coordinates; ++i) {
      const float step = std::bit_cast<float>(rows[3 * i + 1 + direction][lane]) * static_cast<float>(size[i]);
      square += step * step;
    }
    longest = std::max(longest, square);
  }
  return longest > 0 ? 0.5f * eu_math(EuMath::kLog, longest, 0.0f) : -127.0f;
}

/// Clamped to what the sampler allows.
void Sampling::levels_of_lanes(const EuSampler& sampler, EuFloats& lod) const {
  const Order order = order_of(message_.form);
  if (message_.form == Form::kSampleGrad) {
    std::array<Row, 9> rows;
    for (unsigned i = 0; i < rows.size(); ++i) payload_.parameter(i, lanes_, rows[i]);
    for (unsigned n = 0; n < lanes_.count; ++n) lod[n] = level_by_gradients(n, rows);
  } else if (order.level != kNone) {
    Row row;
    payload_.parameter(order.level, lanes_, row);
    for (unsigned n = 0; n < lanes_.count; ++n) lod[n] = std::bit_cast<float>(row[n]);
  } else {
    lod.fill(0.0f);
  }
  for (unsigned n = 0; n < lanes_.count; ++n) {
    if (lod[n] != lod[n]) lod[n] = 0.0f;
    lod[n] = std::min(std::max(lod[n], sampler.lod_min), sampler.lod_max);
  }
}

/// The filtered levels of the lanes; with a linear mip filter two of them, and how much of the second.
struct Sampling::Plan {
  Row below;  ///< level * 2 + filter
  Row above;
  EuFloats weight;
  bool mixed = false;
};

Sampling::Plan Sampling::plan(const EuSampler& sampler, const EuFloats& lod) const {
  Plan plan;
  const std::uint32_t last = image_.levels - 1;
  for (unsigned n = 0; n < lanes_.count; ++n) {
    const float level = std::max(lod[n], 0.0f);
    float first = 0;
    if (sampler.mip == EuSampler::Mip::kNearest) first = std::max(std::ceil(level + 0.5f) - 1.0f, 0.0f);
    if (sampler.mip == EuSampler::Mip::kLinear) first = std::floor(level);
    plan.weight[n] = sampler.mip == EuSampler::Mip::kLinear ? level - first : 0.0f;
    const auto number = image_.first_level + static_cast<std::uint32_t>(first);
    EuFilter filter = lod[n] <= 0 ? sampler.mag : sampler.min;
    if (image_.format->integer()) filter = EuFilter::kNearest;  // undefined in OpenCL
    plan.below[n] = std::min(number, last) << 1 | static_cast<std::uint32_t>(filter);
    plan.above[n] = std::min(number + 1, last) << 1 | static_cast<std::uint32_t>(filter);
    plan.mixed |= plan.weight[n] != 0 && plan.below[n] != plan.above[n] && !image_.format->integer();
  }
  return plan;
}

EuSendResult Sampling::sample_levels(const EuSampler& sampler, const Row& keys, EuComponents& to) {
  return eu_each_group(keys, lanes_.count, [&](std::uint32_t key, std::uint32_t group) {
    EuCoordinates packed;
    for (unsigned i = 0; i < 3; ++i) eu_pack(group, at_[i], packed[i]);
    const EuSendResult result = work_.sample(sampler, static_cast<EuFilter>(key & 1), packed,
                                             {.level = key >> 1, .count = static_cast<unsigned>(std::popcount(group))});
    if (result.kind == EuSendKind::kDone) unpack(group, to);
    return result;
  });
}

EuSendResult Sampling::sample_only_level(const EuSampler& sampler) {
  const EuFilter filter = image_.format->integer() ? EuFilter::kNearest : sampler.mag;
  const EuSendResult result = work_.sample(sampler, filter, at_, {.level = 0, .count = lanes_.count});
  result_ = work_.channels();
  return result;
}

EuSendResult Sampling::sample() {
  // Clients have no sampler for one; sizes of other images are small numbers.
  if (image_.type == EuSurfaceType::kBuffer) return {EuSendKind::kUnsupported, "sampler message: sample of a buffer"};
  const EuSamplerPlace place{.pointer = message_.header ? payload_.header(3) : call_.env.group.bases().samplers,
                             .index = message_.sampler};
  const auto sampler = eu_open_sampler(call_, place);
  if (!sampler) return eu_no_surface(sampler.error());
  for (unsigned i = 0; i < 3; ++i) {
    Row row;
    payload_.parameter(order_of(message_.form).coordinate[i], lanes_, row);
    for (unsigned n = 0; n < lanes_.count; ++n) at_[i][n] = std::bit_cast<float>(row[n]);
  }
  if (image_.levels == 1 && sampler->mag == sampler->min) return sample_only_level(*sampler);
  EuFloats lod;
  levels_of_lanes(*sampler, lod);
  const Plan levels = plan(*sampler, lod);
  const EuSendResult result = sample_levels(*sampler, levels.below, result_);
  if (result.kind != EuSendKind::kDone || !levels.mixed) return result;
  EuComponents above;
  const EuSendResult second = sample_levels(*sampler, levels.above, above);
  for (unsigned c = 0; c < 4; ++c) {
    for (unsigned n = 0; n < lanes_.count; ++n) {
      const float mixed = (1.0f - levels.weight[n]) * std::bit_cast<float>(result_[c][n]) +
                          levels.weight[n] * std::bit_cast<float>(above[c][n]);
      result_[c][n] = std::bit_cast<std::uint32_t>(mixed);
    }
  }
  return second;
}

void narrow(const EuImage& image, unsigned count, EuComponents& channels) {
  if (image.null() || image.format->integer()) return;
  for (auto& channel : channels) {
    for (unsigned n = 0; n < count; ++n) channel[n] = eu_half_of_float(std::bit_cast<float>(channel[n]));
  }
}

}  // namespace

EuSendResult eu_send_sampler(const EuSendCall& call, const EuSamplerMessage& message) {
  if (call.channels == 0) return {};
  if (call.inst.exec_size > message.simd) return {EuSendKind::kIllegal, "sampler message with more lanes than rows"};
  const Payload payload(call, message);
  if (!payload.sound()) return kEuNoRegisters;
  // Bits 15:12 of the header say which channels do not come back.
  const Answer answer(call, message, message.header ? payload.header(2) >> 12 & 0xF : 0);
  if (!answer.sound()) return kEuNoRegisters;
  const auto image = eu_open_image(call, surface_of(message));
  if (!image) return eu_no_surface(image.error());
  const HostFloatScope scope(host_float_control(EuRounding::kNearestEven, EuDenormals::kKeep));
  Sampling sampling(call, message, payload, *image);
  const EuSendResult result = sampling.carry_out();
  if (result.kind != EuSendKind::kDone) return result;
  if (message.half && message.form != Form::kInfo) narrow(*image, sampling.lanes().count, sampling.result());
  answer.write(sampling.lanes(), sampling.result());
  ++call.thread.images;
  call.thread.texels += sampling.texels();
  return {};
}

}  // namespace softxe
