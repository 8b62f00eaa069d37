#include "hw/eu/eu_sample.h"

#include <algorithm>
#include <bit>

#include "hw/eu/eu_active.h"

namespace softxe {

namespace {

float number(std::uint32_t raw) { return std::bit_cast<float>(raw); }
std::uint32_t bits(float value) { return std::bit_cast<std::uint32_t>(value); }

constexpr EuAxisOf kAxes[] = {EuAxisOf::kX, EuAxisOf::kY, EuAxisOf::kZ};

}  // namespace

/// A texel outside has the channels of the border's colour that the format has.
void EuSampling::border(std::uint32_t lanes, EuComponents& to) const {
  for (unsigned k = 0; k < image_.format->components; ++k) {
    const std::uint32_t colour = border_[image_.format->channel_of(k)];
    for (std::uint32_t left = lanes; left != 0; left &= left - 1) {
      to[k][static_cast<unsigned>(std::countr_zero(left))] = colour;
    }
  }
}

void EuSampling::select(const EuComponents& components) {
  const unsigned count = batch_.count;
  for (unsigned c = 0; c < 4; ++c) {
    const auto channel = static_cast<unsigned>(image_.selected[c]);
    if (channel < 4) {
      std::copy_n(components[channel].begin(), count, channels_[c].begin());
    } else {
      const std::uint32_t constant = image_.selected[c] == EuChannel::kOne ? image_.format->one() : 0;
      std::fill_n(channels_[c].begin(), count, constant);
    }
  }
}

EuSendResult EuSampling::fetch(std::span<const EuTap> taps) {
  for (const EuTap& tap : taps) texels_loaded_ += static_cast<unsigned>(std::popcount(tap.inside()));
  return texels_.load(taps, batch_.count);
}

EuSendResult EuSampling::load(const EuPlaces& at, const EuBatch& batch) {
  batch_ = batch;
  border_ = {};
  const unsigned count = batch_.count;
  std::array<EuAxis, 3> axes;
  const unsigned given = image_.coordinates + (image_.array ? 1u : 0u);
  for (unsigned i = 0; i < 3; ++i) eu_place_first(image_, level(), kAxes[i], count, axes[i]);
  for (unsigned i = 0; i < given; ++i) {
    const EuAxisOf axis = i < image_.coordinates ? kAxes[i] : EuAxisOf::kZ;
    eu_place(image_, level(), axis, std::span(at[i]).first(count), axes[static_cast<unsigned>(axis)]);
  }
  const EuTap taps[] = {{axes.data(), &axes[1], &axes[2]}};
  const EuSendResult result = fetch(taps);
  if (result.kind != EuSendKind::kDone) return result;
  EuComponents components;
  decode(taps[0], 0, components);
  select(components);
  return {};
}

void EuSampling::place(const EuSampler& sampler, EuFilter filter, const EuCoordinates& at,
                       std::array<AxisTaps, 3>& axes) const {
  const unsigned count = batch_.count;
  const EuImage::Level& here = level();
  for (unsigned i = 0; i < 3; ++i) eu_place_first(image_, here, kAxes[i], count, axes[i].tap[0]);
  const std::array<std::uint32_t, 3> size{here.width, here.height, here.depth};
  for (unsigned i = 0; i < image_.coordinates; ++i) {
    EuIndices indices;
    eu_find_indices({sampler.wrap[i], filter, sampler.scale}, size[i], at[i].data(), count, indices);
    axes[i].count = filter == EuFilter::kLinear ? 2 : 1;
    if (filter == EuFilter::kLinear) axes[i].weight = indices.weight;
    for (unsigned t = 0; t < axes[i].count; ++t) {
      eu_place(image_, here, kAxes[i], std::span(indices.at[t]).first(count), axes[i].tap[t]);
    }
  }
  if (!image_.array) return;
  std::array<std::int32_t, kEuChannelsMax> layer;
  eu_find_layers(here.depth, at[image_.coordinates].data(), count, layer.data());
  eu_place(image_, here, EuAxisOf::kZ, std::span(layer).first(count), axes[2].tap[0]);
}

/// Components of one tap, the border's where it is outside.
void EuSampling::decode(const EuTap& tap, unsigned number, EuComponents& to) const {
  texels_.decode(tap, number, to);
  border(eu_lanes_mask(batch_.count) & ~tap.inside(), to);
}

/// The share of tap `number`: bit i of it says which neighbour along axis i it is.
void EuSampling::weigh(const std::array<AxisTaps, 3>& axes, unsigned number, EuFloats& weight) const {
  const unsigned count = batch_.count;
  for (unsigned n = 0; n < count; ++n) weight[n] = 1.0f;
  for (unsigned i = 0; i < image_.coordinates; ++i) {
    const EuFloats& second = axes[i].weight;
    if ((number >> i & 1) != 0) {
      for (unsigned n = 0; n < count; ++n) weight[n] *= second[n];
    } else {
      for (unsigned n = 0; n < count; ++n) weight[n] *= 1.0f - second[n];
    }
  }
}

EuSendResult EuSampling::sample(const EuSampler& sampler, EuFilter filter, const EuCoordinates& at,
                                const EuBatch& batch) {
  batch_ = batch;
  border_ = sampler.border;
  std::array<AxisTaps, 3> axes;
  place(sampler, filter, at, axes);
  std::array<EuTap, kEuTapsMax> taps;
  unsigned tap_count = 0;
  for (unsigned z = 0; z < axes[2].count; ++z) {
    for (unsigned y = 0; y < axes[1].count; ++y) {
      for (unsigned x = 0; x < axes[0].count; ++x) {
        taps[tap_count++] = {&axes[0].tap[x], &axes[1].tap[y], &axes[2].tap[z]};
      }
    }
  }
  const EuSendResult result = fetch(std::span(taps).first(tap_count));
  if (result.kind != EuSendKind::kDone) return result;
  EuComponents sum;
  decode(taps[0], 0, sum);
  if (filter == EuFilter::kLinear) {
    for (unsigned t = 0; t < tap_count; ++t) {
      EuFloats weight;
      weigh(axes, t, weight);
      EuComponents components;
      decode(taps[t], t, components);
      for (unsigned k = 0; k < image_.format->components; ++k) {
        for (unsigned n = 0; n < batch_.count; ++n) {
          const float before = t == 0 ? 0.0f : number(sum[k][n]);
          sum[k][n] = bits(before + weight[n] * number(components[k][n]));
        }
      }
    }
  }
  select(sum);
  return {};
}

}  // namespace softxe
