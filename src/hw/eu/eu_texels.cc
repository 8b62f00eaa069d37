#include "hw/eu/eu_texels.h"

#include <algorithm>
#include <bit>

#include "hw/eu/eu_active.h"

namespace softxe {

namespace {

constexpr EuSendResult kAcrossTheEnd{EuSendKind::kIllegal, "image message across the end of the address space"};

std::uint32_t size_along(const EuImage::Level& level, EuAxisOf axis) {
  switch (axis) {
    case EuAxisOf::kX: return level.width;
    case EuAxisOf::kY: return level.height;
    case EuAxisOf::kZ: break;
  }
  return level.depth;
}

/// The part of an address that `index` is worth.
template <typename Body>
void with_part(const EuImage& image, const EuImage::Level& level, EuAxisOf axis, const Body& body) {
  const Surface& memory = image.memory;
  switch (axis) {
    case EuAxisOf::kX:
      if (image.format->yuv == EuYuv::kPacked) {
        return body([&](std::uint32_t index) {
          return memory.base + memory.x_part(level.x_bytes + index / 2 * std::uint64_t{4});
        });
      }
      return body([&, bytes = std::uint64_t{image.format->bytes}](std::uint32_t index) {
        return memory.base + memory.x_part(level.x_bytes + index * bytes);
      });
    case EuAxisOf::kY: return body([&](std::uint32_t index) { return memory.y_part(level.y + index); });
    case EuAxisOf::kZ: return body([&](std::uint32_t index) { return memory.z_part(image.first_layer + index); });
  }
}

/// The same in a plane of colours.
std::uint64_t colours_part(const EuImage& image, const EuImage::Level& level, EuAxisOf axis, std::uint32_t index) {
  const Surface& memory = image.memory;
  switch (axis) {
    case EuAxisOf::kX:
      return memory.base + memory.x_part(level.x_bytes + image.colours_x_bytes + index / 2 * std::uint64_t{2});
    case EuAxisOf::kY: return memory.y_part(level.y + image.colours_y + index / 2);
    case EuAxisOf::kZ: break;
  }
  return memory.z_part(image.first_layer + index);
}

}  // namespace

void eu_place(const EuImage& image, const EuImage::Level& level, EuAxisOf axis, std::span<const std::int32_t> index,
              EuAxis& to) {
  const std::uint32_t size = size_along(level, axis);
  std::uint32_t inside = 0;
  for (std::size_t n = 0; n < index.size(); ++n) {
    inside |= static_cast<std::uint32_t>(static_cast<std::uint32_t>(index[n]) < size) << n;
  }
  to.inside = inside;
  with_part(image, level, axis, [&](const auto& part) {
    for (std::size_t n = 0; n < index.size(); ++n) {
      const auto i = static_cast<std::uint32_t>(index[n]);
      to.part[n] = part(i < size ? i : 0);
    }
  });
  if (image.format->yuv == EuYuv::kNone) return;
  to.odd = 0;
  for (std::size_t n = 0; n < index.size(); ++n) {
    const auto i = static_cast<std::uint32_t>(index[n]);
    to.odd |= (i & 1) << n;
    to.colours[n] = colours_part(image, level, axis, i < size ? i : 0);
  }
}

void eu_place_first(const EuImage& image, const EuImage::Level& level, EuAxisOf axis, unsigned count, EuAxis& to) {
  to.inside = eu_lanes_mask(count);
  with_part(image, level, axis, [&](const auto& part) {
    const std::uint64_t first = part(0);
    for (unsigned n = 0; n < count; ++n) to.part[n] = first;
  });
  if (image.format->yuv == EuYuv::kNone) return;
  to.odd = 0;
  for (unsigned n = 0; n < count; ++n) to.colours[n] = colours_part(image, level, axis, 0);
}

bool EuTexels::address(const EuTap& tap, Plane plane, unsigned count, GpuVa* to) const {
  const std::uint64_t to_last = item_bytes(plane) - 1u;
  const auto& x = parts(*tap.x, plane);
  const auto& y = parts(*tap.y, plane);
  const auto& z = parts(*tap.z, plane);
  std::uint64_t past = 0;
  for (unsigned n = 0; n < count; ++n) to[n] = GpuVa((x[n] + y[n] + z[n]) & va_mask_);
  for (unsigned n = 0; n < count; ++n) past |= to[n].value() + to_last;
  const std::uint32_t inside = tap.inside();
  if (inside != eu_lanes_mask(count)) {
    // Lanes outside take a place that is touched anyway.
    const GpuVa some = to[static_cast<unsigned>(std::countr_zero(inside))];
    for (unsigned n = 0; n < count; ++n) {
      if ((inside >> n & 1) == 0) to[n] = some;
    }
  }
  return (past & ~va_mask_) == 0;
}

EuSendResult EuTexels::load(std::span<const EuTap> taps, Plane plane, Places& at) {
  const std::uint32_t bytes = item_bytes(plane);
  std::byte* const elements = elements_.data() + used_;
  EuRoom<GpuVa, std::size_t{kEuTapsMax} * kEuChannelsMax> va;
  std::size_t items = 0;
  std::size_t loaded = 0;
  const auto flush = [&] {
    const std::span<const GpuVa> now = va.first(items).subspan(loaded);
    const Status done =
        memory_.load({.va = now, .item_bytes = bytes, .element_bytes = std::min(bytes, 4u)}, elements + loaded * bytes);
    loaded = items;
    return done;
  };
  for (std::size_t t = 0; t < taps.size(); ++t) {
    at[t] = kNowhere;
    if (taps[t].inside() == 0) continue;
    if ((items - loaded + count_) * bytes > MemoryItems::kBytesMax) {
      if (const Status done = flush(); !done) return eu_memory_failed(done.error());
    }
    if (!address(taps[t], plane, count_, va.data() + items)) return kAcrossTheEnd;
    at[t] = static_cast<std::uint16_t>(used_ + items * bytes);
    items += count_;
  }
  used_ += items * bytes;
  if (items == loaded) return {};
  const Status done = flush();
  return done ? EuSendResult{} : eu_memory_failed(done.error());
}

EuSendResult EuTexels::load(std::span<const EuTap> taps, unsigned count) {
  count_ = count;
  used_ = 0;
  const EuSendResult result = load(taps, Plane::kFirst, at_);
  if (result.kind != EuSendKind::kDone || image_.format->yuv != EuYuv::kPlanar) return result;
  return load(taps, Plane::kColours, colours_);
}

void EuTexels::decode(const EuTap& tap, unsigned number, EuComponents& to) const {
  if (at_[number] == kNowhere) return;
  const std::byte* const elements = elements_.data() + at_[number];
  if (image_.format->yuv == EuYuv::kNone) return eu_decode_elements(*image_.format, elements, count_, to);
  const std::byte* const colours = elements_.data() + colours_[number];
  eu_decode_yuv(*image_.format, {.elements = elements, .colours = colours, .odd = tap.x->odd}, count_, to);
}

EuSendResult EuTexels::store(const EuTap& tap, std::uint32_t components, const std::byte* elements, unsigned count) {
  const std::uint32_t inside = tap.inside();
  if (inside == 0 || components == 0) return {};
  EuRoom<GpuVa, kEuChannelsMax> va;
  if (!address(tap, Plane::kFirst, count, va.data())) return kAcrossTheEnd;
  // Whole elements, or what is stored of them one by one.
  const EuFormat& format = *image_.format;
  const bool whole = components == (1u << format.components) - 1;
  const std::uint32_t bytes = whole ? format.bytes : format.component_bits / 8u;
  EuRoom<GpuVa, std::size_t{kEuTapsMax} * kEuChannelsMax> to;
  unsigned items = 0;
  for (std::uint32_t left = inside; left != 0; left &= left - 1) {
    const auto n = static_cast<unsigned>(std::countr_zero(left));
    for (std::uint32_t k = whole ? 1 : components; k != 0; k &= k - 1) {
      const std::uint64_t offset = static_cast<unsigned>(std::countr_zero(k)) * std::uint64_t{bytes};
      to[items] = va[n] + offset;
      std::memcpy(elements_.data() + std::size_t{items} * bytes, elements + n * format.bytes + offset, bytes);
      ++items;
    }
  }
  const Status done = memory_.store({.va = to.first(items), .item_bytes = bytes, .element_bytes = std::min(bytes, 4u)},
                                    elements_.data());
  return done ? EuSendResult{} : eu_memory_failed(done.error());
}

}  // namespace softxe
