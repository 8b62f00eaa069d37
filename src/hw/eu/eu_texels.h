// Elements of an image at many places at once: the lanes of a message, and for filters the neighbours of each.
//
// An address is the sum of one part for each coordinate (hw/surface.h), so that neighbours share what is worked out.
// All addresses are there before memory is asked for anything; a fault leaves everything as it was.
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "hw/eu/eu_image.h"
#include "hw/eu/eu_lanes.h"

namespace softxe {

/// One coordinate of up to 32 lanes.
struct EuAxis {
  EuRoom<std::uint64_t, kEuChannelsMax> part;     ///< of the address; anything where it is outside
  EuRoom<std::uint64_t, kEuChannelsMax> colours;  ///< the same in the second plane of a planar format, if it is one
  std::uint32_t inside = 0;                       ///< bit n: lane n's is in the image
  std::uint32_t odd = 0;                          ///< bit n: lane n's index is; of packed YUV formats only
};

/// Which coordinate, as far as addresses are concerned.
enum class EuAxisOf : std::uint8_t { kX, kY, kZ };

/// Indices beyond the level, as unsigned numbers, are outside.
void eu_place(const EuImage& image, const EuImage::Level& level, EuAxisOf axis, std::span<const std::int32_t> index,
              EuAxis& to);
/// A coordinate that the image does not have: index 0 for everybody.
void eu_place_first(const EuImage& image, const EuImage::Level& level, EuAxisOf axis, unsigned count, EuAxis& to);

/// One element of each lane.
struct EuTap {
  const EuAxis* x;
  const EuAxis* y;
  const EuAxis* z;
  std::uint32_t inside() const { return x->inside & y->inside & z->inside; }
};

inline constexpr unsigned kEuTapsMax = 8;

class EuTexels {
 public:
  EuTexels(EuMemory& memory, const EuImage& image, std::uint64_t va_mask)
      : memory_(memory), image_(image), va_mask_(va_mask) {}

  /// kDone, kFault or kIllegal. What is outside is not asked for.
  EuSendResult load(std::span<const EuTap> taps, unsigned count);
  /// Components of the lanes of a tap; of lanes outside anything.
  void decode(const EuTap& tap, unsigned number, EuComponents& to) const;
  /// Stores the chosen components (as bits) of the elements of lanes inside; elements have `image.format->bytes` each.
  EuSendResult store(const EuTap& tap, std::uint32_t components, const std::byte* elements, unsigned count);

 private:
  enum class Plane : std::uint8_t { kFirst, kColours };
  using Places = std::array<std::uint16_t, kEuTapsMax>;
  static const EuRoom<std::uint64_t, kEuChannelsMax>& parts(const EuAxis& axis, Plane plane) {
    return plane == Plane::kFirst ? axis.part : axis.colours;
  }
  unsigned item_bytes(Plane plane) const { return plane == Plane::kFirst ? image_.format->item_bytes() : 2; }
  EuSendResult load(std::span<const EuTap> taps, Plane plane, Places& at);
  /// False: it leaves the address space.
  bool address(const EuTap& tap, Plane plane, unsigned count, GpuVa* to) const;

  EuMemory& memory_;
  const EuImage& image_;
  const std::uint64_t va_mask_;
  unsigned count_ = 0;
  Places at_{};           ///< where the elements of a tap are; kNowhere: all are outside
  Places colours_{};      ///< the same for those of the second plane
  std::size_t used_ = 0;  ///< bytes of `elements_`
  static constexpr std::uint16_t kNowhere = 0xFFFF;
  EuRoom<std::byte, std::size_t{kEuTapsMax} * kEuChannelsMax * 16> elements_;
};

}  // namespace softxe
