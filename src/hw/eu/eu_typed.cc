// Typed loads and stores: an element of an image for every channel, at whole coordinates (spec/eu-images.md 10).
//
// Outside the image loads read zero in every channel and stores are dropped; the state's channel select means nothing.
#include <bit>
#include <cstring>

#include "hw/eu/eu_active.h"
#include "hw/eu/eu_float_mode.h"
#include "hw/eu/eu_sampler.h"
#include "hw/eu/eu_texels.h"

namespace softxe {

namespace {

using Action = EuLanesMessage::Action;
using Places = std::array<EuLaneRow, 3>;

/// Rows of src0: u, v, r, mip level; what an image does not have is ignored.
class Rows {
 public:
  Rows(const EuSendCall& call, const EuOperand& operand, unsigned count)
      : row_bytes_(eu_row_bytes(call.inst.exec_size, sizeof(std::uint32_t))), count_(count) {
    registers_ = eu_message_registers(call.thread, operand, count * row_bytes_);
  }
  bool sound() const { return registers_ != nullptr; }
  unsigned count() const { return count_; }
  void read(unsigned row, const EuActiveLanes& lanes, EuLaneRow& to) const {
    for (unsigned n = 0; n < lanes.count; ++n) std::memcpy(&to[n], at(row, lanes.channel[n]), sizeof to[n]);
  }
  void write(unsigned row, const EuActiveLanes& lanes, const EuLaneRow& from) const {
    for (unsigned n = 0; n < lanes.count; ++n) std::memcpy(at(row, lanes.channel[n]), &from[n], sizeof from[n]);
  }

 private:
  std::byte* at(unsigned row, unsigned channel) const {
    return registers_ + std::size_t{row} * row_bytes_ + channel * sizeof(std::uint32_t);
  }
  unsigned row_bytes_;
  unsigned count_;
  std::byte* registers_ = nullptr;
};

/// The elements of a message's lanes on one mip level.
class Elements {
 public:
  Elements(const EuSendCall& call, const EuImage& image)
      : image_(image), texels_(call.env.memory, image, eu_va_mask(call)) {}

  /// `at` are the coordinates of `count` lanes on `level`.
  void place(const Places& at, std::uint32_t level, unsigned count) {
    constexpr EuAxisOf kAxes[] = {EuAxisOf::kX, EuAxisOf::kY, EuAxisOf::kZ};
    const EuImage::Level& place = image_.level[level];
    count_ = count;
    for (unsigned i = 0; i < 3; ++i) eu_place_first(image_, place, kAxes[i], count, axes_[i]);
    const unsigned given = image_.coordinates + (image_.array ? 1u : 0u);
    for (unsigned i = 0; i < given; ++i) {
      const unsigned axis = i < image_.coordinates ? i : 2;
      std::array<std::int32_t, kEuChannelsMax> index;
      for (unsigned n = 0; n < count; ++n) index[n] = static_cast<std::int32_t>(at[i][n]);
      eu_place(image_, place, kAxes[axis], std::span(index).first(count), axes_[axis]);
    }
    moved_ += static_cast<unsigned>(std::popcount(tap().inside()));
  }

  EuSendResult load(EuComponents& channels) {
    const EuTap taps[] = {tap()};
    const EuSendResult result = texels_.load(taps, count_);
    if (result.kind != EuSendKind::kDone) return result;
    EuComponents components;
    texels_.decode(taps[0], 0, components);
    for (unsigned c = 0; c < 4; ++c) {
      const auto component = static_cast<unsigned>(image_.format->channels[c]);
      const std::uint32_t constant = image_.format->channels[c] == EuChannel::kOne ? image_.format->one() : 0;
      for (unsigned n = 0; n < count_; ++n) {
        const std::uint32_t value = component < 4 ? components[component][n] : constant;
        channels[c][n] = (taps[0].inside() >> n & 1) != 0 ? value : 0;
      }
    }
    return {};
  }

  EuSendResult store(const EuComponents& channels, std::uint32_t enabled) {
    std::array<std::byte, std::size_t{kEuChannelsMax} * 16> elements;
    eu_encode_elements(*image_.format, channels, count_, elements.data());
    std::uint32_t components = 0;
    for (unsigned k = 0; k < image_.format->components; ++k) {
      components |= (enabled >> image_.format->channel_of(k) & 1) << k;
    }
    return texels_.store(tap(), components, elements.data(), count_);
  }

  /// Elements that were inside, so far.
  unsigned moved() const { return moved_; }

 private:
  EuTap tap() const { return {axes_.data(), &axes_[1], &axes_[2]}; }

  const EuImage& image_;
  EuTexels texels_;
  std::array<EuAxis, 3> axes_;
  unsigned count_ = 0;
  unsigned moved_ = 0;
};

/// A message on its way: coordinates, image and data are known.
struct Typed {
  const EuTypedMessage& message;
  const EuImage& image;
  const EuActiveLanes& lanes;
  Places at;
  EuLaneRow level;
  EuComponents channels;  ///< of a store the data, of a load the result
};

EuSendResult move(Elements& elements, Typed& typed) {
  const std::uint32_t levels = typed.image.levels - typed.image.first_level;
  return eu_each_group(typed.level, typed.lanes.count, [&](std::uint32_t level, std::uint32_t group) {
    if (level >= levels) return EuSendResult{};
    Places packed;
    for (unsigned i = 0; i < 3; ++i) eu_pack(group, typed.at[i], packed[i]);
    elements.place(packed, typed.image.first_level + level, static_cast<unsigned>(std::popcount(group)));
    EuComponents channels;
    if (typed.message.action == Action::kStore) {
      for (unsigned c = 0; c < 4; ++c) eu_pack(group, typed.channels[c], channels[c]);
      return elements.store(channels, typed.message.components);
    }
    const EuSendResult result = elements.load(channels);
    if (result.kind != EuSendKind::kDone) return result;
    for (unsigned c = 0; c < 4; ++c) eu_unpack(group, channels[c], typed.channels[c]);
    return result;
  });
}

}  // namespace

EuSendResult eu_send_typed(const EuSendCall& call, const EuTypedMessage& message) {
  const bool store = message.action == Action::kStore;
  if (call.channels == 0 || (!store && call.inst.dst.null())) return {};
  const unsigned row_registers = eu_row_bytes(call.inst.exec_size, sizeof(std::uint32_t)) / kEuGrfBytes;
  const Rows places(call, call.inst.src[0], message.src0_registers / row_registers);
  const auto data_rows = static_cast<unsigned>(std::popcount(message.components));
  const Rows data(call, store ? call.inst.src[1] : call.inst.dst, data_rows);
  if (!places.sound() || !data.sound()) return kEuNoRegisters;
  if (places.count() == 0) return {EuSendKind::kIllegal, "image message without coordinates"};

  const auto image = eu_open_image(call, message.address);
  if (!image) return eu_no_surface(image.error());
  if (!image->null() && image->format->yuv != EuYuv::kNone) {
    return {EuSendKind::kUnsupported, "image message: typed access to a YUV format"};
  }
  if (store && !image->null() && !image->format->writable) {
    return {EuSendKind::kUnsupported, "image message: typed store to a format that is only read"};
  }
  const EuActiveLanes lanes(call.channels);
  Typed typed{.message = message, .image = *image, .lanes = lanes, .at = {}, .level = {}, .channels = {}};
  for (unsigned i = 0; i < 3 && i < places.count(); ++i) places.read(i, lanes, typed.at[i]);
  if (places.count() > 3) places.read(3, lanes, typed.level);
  if (store) {
    unsigned row = 0;
    for (unsigned c = 0; c < 4; ++c) {
      if ((message.components >> c & 1) != 0) data.read(row++, lanes, typed.channels[c]);
    }
  }
  if (!image->null()) {
    const HostFloatScope scope(host_float_control(EuRounding::kNearestEven, EuDenormals::kKeep));
    Elements elements(call, *image);
    const EuSendResult result = move(elements, typed);
    if (result.kind != EuSendKind::kDone) return result;
    call.thread.texels += elements.moved();
  }
  ++call.thread.images;
  if (store) return {};
  unsigned row = 0;
  for (unsigned c = 0; c < 4; ++c) {
    if ((message.components >> c & 1) != 0) data.write(row++, lanes, typed.channels[c]);
  }
  return {};
}

}  // namespace softxe
