#include "hw/eu/eu_sampler_state.h"

#include <algorithm>

#include "hw/eu/eu_group.h"

namespace softxe {

namespace {

constexpr std::uint32_t bits(std::uint32_t word, unsigned high, unsigned low) {
  return word >> low & ((2u << (high - low)) - 1);
}

using Words = std::array<std::uint32_t, 4>;

bool has_wrap(std::uint32_t code) { return code <= 2 || code == 4; }

/// Why there is no such sampler here; else null.
const char* refused(const Words& words) {
  if (bits(words[0], 16, 14) > 1 || bits(words[0], 19, 17) > 1) return "sampler with an anisotropic filter";
  if (bits(words[0], 21, 20) == 2) return "sampler with a mip filter that does not exist";
  if (bits(words[3], 9, 9) != 0 && bits(words[3], 23, 22) != 0) return "sampler that takes the minimum or maximum";
  if (bits(words[2], 1, 1) != 0) return "sampler that does not decode sRGB";
  for (unsigned low = 0; low <= 6; low += 3) {
    if (!has_wrap(bits(words[3], low + 2, low))) return "sampler with an address mode that OpenCL does not have";
  }
  return nullptr;
}

/// Unsigned, 4.8.
float level_of(std::uint32_t fixed) { return static_cast<float>(fixed) / 256.0f; }

EuSampler decoded(const Words& words) {
  const auto wrap = [&](unsigned low) { return static_cast<EuWrap>(bits(words[3], low + 2, low)); };
  return {.mag = static_cast<EuFilter>(bits(words[0], 19, 17)),
          .min = static_cast<EuFilter>(bits(words[0], 16, 14)),
          .mip = static_cast<EuSampler::Mip>(bits(words[0], 21, 20)),
          .scale = bits(words[3], 10, 10) != 0 ? EuScale::kElements : EuScale::kNormalized,
          .wrap = {wrap(6), wrap(3), wrap(0)},
          .lod_min = level_of(bits(words[1], 31, 20)),
          .lod_max = level_of(bits(words[1], 19, 8))};
}

}  // namespace

bool EuSampler::has_border() const { return std::ranges::count(wrap, EuWrap::kBorder) != 0; }

tl::expected<EuSampler, EuNoSurface> eu_open_sampler(const EuSendCall& call, const EuSamplerPlace& place) {
  const EuBases& bases = call.env.group.bases();
  const bool bindless = (place.pointer & 1) != 0;
  const GpuVa base = bindless ? bases.bindless_sampler : bases.dynamic_state;
  const std::uint32_t offset = place.pointer & (bindless ? ~0xFu : ~0x1Fu);
  const auto fault = [](const Error& error) {
    return tl::make_unexpected(EuNoSurface{EuNoSurface::Kind::kFault, error.why});
  };
  Words words;
  const GpuVa state = base + offset + std::uint64_t{place.index} * sizeof words;
  if (const Status got = eu_read_state(call, state, words); !got) return fault(got.error());
  if (const char* reason = refused(words)) {
    return tl::make_unexpected(EuNoSurface{EuNoSurface::Kind::kUnsupported, reason});
  }
  EuSampler sampler = decoded(words);
  if (sampler.has_border()) {
    const GpuVa colour = base + (words[2] & ~0x3Fu);
    if (const Status got = eu_read_state(call, colour, sampler.border); !got) return fault(got.error());
  }
  return sampler;
}

}  // namespace softxe
