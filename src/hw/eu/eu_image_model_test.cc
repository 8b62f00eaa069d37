// A million random samples, loads and stores against a model that does one texel at a time (eu_image_naive_rig.h).
#include <gtest/gtest.h>

#include <random>

#include "hw/eu/eu_image_naive_rig.h"
#include "hw/eu/eu_send_rig.h"

namespace softxe {
namespace {

constexpr std::uint64_t kMemory = 0x4000'0000;
constexpr std::size_t kRegion = 3 << 19;  ///< for one kind of data
constexpr std::uint64_t kStates = 3 * kRegion;
constexpr std::uint32_t kImageState = 0x40, kBorder = 0x100, kSamplers = 0x200;
constexpr unsigned kCoordinates = 10, kData = 40, kAnswer = 70;
constexpr std::uint32_t kUntouched = 0xA5A5'1234;

/// What the state of a thread's memory is: three regions of texels by kind, then states.
struct World {
  std::mt19937 random{20260};
  naive::Memory memory{kMemory, kStates + 0x1000};
  EuSendRig rig;

  World() {
    rig.group.restart({.surface_state = GpuVa(kMemory + kStates),
                       .bindless_surface_state = GpuVa(kMemory + kStates),
                       .dynamic_state = GpuVa(kMemory + kStates),
                       .bindless_sampler = GpuVa(kMemory + kStates),
                       .samplers = kSamplers,
                       .binding_table = GpuVa(kMemory + kStates + 0x400),
                       .va_bits = 48});
    for (std::size_t i = 0; i < kRegion; i += 4) put<std::uint32_t>(i, static_cast<std::uint32_t>(random()));
    for (std::size_t i = kRegion; i < 2 * kRegion; i += 4) put<float>(i, static_cast<float>(real(-8, 8)));
    for (std::size_t i = 2 * kRegion; i < 3 * kRegion; i += 2) {
      put<std::uint16_t>(i, static_cast<std::uint16_t>(naive::half_bits(real(-8, 8))));
    }
    put<std::uint32_t>(kStates + 0x400 + 4 * 5, kImageState);
  }
  template <typename T>
  void put(std::size_t at, T value) {
    std::memcpy(memory.bytes().data() + at, &value, sizeof value);
  }
  double real(double low, double high) { return low + (high - low) * (static_cast<double>(random()) * 0x1p-32); }
  unsigned below(unsigned n) { return static_cast<unsigned>(random() % n); }
};

naive::Image random_image(World& w) {
  naive::Image image;
  for (;;) {
    image = {};
    static constexpr unsigned kTypes[] = {0, 1, 1, 1, 2, 2, 4};
    image.type = kTypes[w.below(7)];
    image.format = &naive::kFormats[w.below(std::size(naive::kFormats))];
    image.array = image.type < 2 && w.below(3) == 0;
    image.tile = image.type == 0 || image.type == 4 ? 0 : w.below(4);
    if (image.type == 2 && image.tile >= 2) image.tile = 1;
    const auto size = [&](unsigned most) { return w.below(4) == 0 ? 1 + w.below(3) : 1 + w.below(most); };
    image.width = size(image.type == 2 ? 60 : 300);
    if (image.type == 1 || image.type == 2) image.height = size(image.type == 2 ? 50 : 150);
    if (image.type == 2) image.depth = size(30);
    if (image.array) image.depth = size(4);
    const unsigned b = image.format->bytes();
    const std::string letters = image.letters();
    const auto side = [&](char c) { return std::uint64_t{1} << std::count(letters.begin(), letters.end(), c); };
    const std::uint64_t row = std::uint64_t{image.width} * b;
    image.pitch = image.tile == 0 ? row + std::uint64_t{b} * w.below(5) : (row + side('X') - 1) / side('X') * side('X');
    image.slice_rows = (image.height + 3) / 4 * 4 + 4 * w.below(3);
    if (image.tile != 0) image.slice_rows = (image.height + side('Y') - 1) / side('Y') * side('Y');
    if (image.type == 0) image.slice_rows = (image.width + 3) / 4 * 4;
    const std::size_t region = image.format->kind == 'f' ? image.format->bits == 16 ? 2 : 1 : 0;
    image.base = kMemory + region * kRegion;
    if (image.tile == 0) image.base += std::uint64_t{b} * w.below(9);
    if (image.extent() + 256 < kRegion) break;
  }
  if (w.below(3) == 0) {
    static constexpr unsigned kSelects[] = {0, 1, 4, 5, 6, 7};
    // Constants are those of floats or of integers; this model has one kind of one.
    for (unsigned& select : image.select) select = kSelects[w.below(6)];
  }
  return image;
}

std::uint32_t float_bits(double value) {
  const auto narrow = static_cast<float>(value);
  std::uint32_t word;
  std::memcpy(&word, &narrow, 4);
  return word;
}

/// A message with the lanes that take part, and the coordinates of each.
struct Lanes {
  unsigned simd = 16;
  std::uint32_t mask = 0;
  explicit Lanes(World& w) : simd(w.below(2) == 0 ? 16 : 32), mask(static_cast<std::uint32_t>(w.random())) {
    if (w.below(3) == 0) mask = ~0u;
    if (simd == 16) mask &= 0xFFFF;
  }
  bool has(unsigned n) const { return (mask >> n & 1) != 0; }
  unsigned row(unsigned first, unsigned number) const { return first + number * simd / 16; }
};

class EuImageModel : public ::testing::Test {
 protected:
  void bind(const naive::Image& image) {
    const auto words = image.state();
    for (unsigned i = 0; i < 16; ++i) w_.put(kStates + kImageState + 4 * i, words[i]);
    image_ = image;
  }
  EuSendResult send(const EuSendRig::Send& s, const Lanes& lanes) {
    EuInst inst = EuSendRig::inst(s);
    inst.exec_size = static_cast<std::uint8_t>(lanes.simd);
    inst.send.ext_desc_in_a0 = bindless_ && s.sfid == EuSfid::kSmpl;
    inst.send.src1_length = static_cast<std::uint8_t>(src1_registers_);
    if (inst.send.ext_desc_in_a0) {
      w_.rig.thread().a0[0] = kImageState;
      w_.rig.thread().a0[1] = 0;
    }
    w_.rig.thread().mask = lanes.mask;
    EuEnv env = w_.rig.env_over(w_.memory);
    return eu_send(w_.rig.thread(), inst, env);
  }
  void clear_answer() {
    for (unsigned r = kAnswer; r < kAnswer + 16; ++r) {
      for (unsigned i = 0; i < 16; ++i) w_.rig.put<std::uint32_t>(r, i, kUntouched);
    }
  }
  void put_row(const Lanes& lanes, unsigned number, const std::array<std::uint32_t, 32>& row) {
    for (unsigned n = 0; n < lanes.simd; ++n) w_.rig.put<std::uint32_t>(lanes.row(kCoordinates, number), n, row[n]);
  }
  std::uint32_t answer(const Lanes& lanes, unsigned row, unsigned lane) {
    return w_.rig.get<std::uint32_t>(lanes.row(kAnswer, row), lane);
  }
  /// One more lane was compared.
  void compare(double want, std::uint32_t got, double tolerance, const char* what) {
    if (image_.format->integer()) {
      const double number = image_.format->kind == 'S' ? static_cast<std::int32_t>(got) : static_cast<double>(got);
      ASSERT_EQ(number, want) << what << " of format " << std::hex << image_.format->code;
      return;
    }
    float real;
    std::memcpy(&real, &got, 4);
    ASSERT_LE(std::fabs(real - want), tolerance * std::max(1.0, std::fabs(want)))
        << what << " of format " << std::hex << image_.format->code << std::dec << ": " << real << ", not " << want;
  }

  std::uint32_t random_index(unsigned size) {
    switch (w_.below(12)) {
      case 0: return static_cast<std::uint32_t>(-1 - static_cast<int>(w_.below(3)));
      case 1: return size + w_.below(3);
      case 2: return 0x7FFFFFFF;
      default: return w_.below(size);
    }
  }
  struct Texels {
    unsigned given;                  ///< coordinates that the image has
    std::array<unsigned, 3> limits;  ///< of them
    std::array<std::array<std::uint32_t, 32>, 3> at;
  };
  Texels random_texels(const Lanes& lanes);
  void random_load();
  void random_sample();
  void random_typed();
  void random_store();

  World w_;
  naive::Image image_;
  bool bindless_ = false;
  unsigned src1_registers_ = 0;
  std::uint64_t compared_ = 0;
  std::uint64_t stores_ = 0;
  std::vector<std::byte> model_ = w_.memory.bytes();  ///< what texels must be
};

/// ld and ld_lz: whole coordinates; outside there is a border of zero.
void EuImageModel::random_load() {
  const Lanes lanes(w_);
  const bool with_level = w_.below(2) == 0;
  const unsigned given = image_.dimensions() + (image_.array ? 1u : 0u);
  const unsigned limits[] = {image_.width, image_.dimensions() >= 2 ? image_.height : image_.depth, image_.depth};
  std::array<std::array<std::uint32_t, 32>, 3> at{};
  for (unsigned d = 0; d < 3; ++d) {
    for (auto& one : at[d]) one = d < given ? random_index(limits[d]) : static_cast<std::uint32_t>(w_.random());
    put_row(lanes, with_level && d == 2 ? 3 : d, at[d]);
  }
  if (with_level) put_row(lanes, 2, {});
  clear_answer();
  const unsigned rows = with_level ? 4 : 3;
  bindless_ = w_.below(2) == 0;
  src1_registers_ = rows * lanes.simd / 16 - 2;
  const std::uint32_t desc = (bindless_ ? 0xFCu : 5u) | (with_level ? 0x07u : 0x1Au) << 12 | (lanes.simd / 16) << 17 |
                             4 * (lanes.simd / 16) << 20 | 2u << 25;
  ASSERT_EQ(
      send({.sfid = EuSfid::kSmpl, .desc = desc, .dst = kAnswer, .src0 = kCoordinates, .src1 = kCoordinates + 2}, lanes)
          .kind,
      EuSendKind::kDone);
  for (unsigned n = 0; n < lanes.simd; ++n) {
    if (!lanes.has(n)) {
      ASSERT_EQ(answer(lanes, 0, n), kUntouched);
      continue;
    }
    std::array<std::int64_t, 3> i{};
    for (unsigned d = 0; d < given; ++d) {
      const unsigned to = d < image_.dimensions() ? d : 2;
      i[to] = at[d][n] < limits[d] ? std::int64_t{at[d][n]} : -1;
    }
    const naive::Color want = naive::selected(image_, naive::texel(w_.memory, image_, i, 0));
    for (unsigned c = 0; c < 4; ++c) ASSERT_NO_FATAL_FAILURE(compare(want[c], answer(lanes, c, n), 3e-7, "ld"));
    ++compared_;
  }
}

/// sample_lz, with and without a header that drops channels.
void EuImageModel::random_sample() {
  if (image_.type == 4) return;  // clients have no sampler for a buffer
  const Lanes lanes(w_);
  naive::Sampler s;
  static constexpr unsigned kWraps[] = {0, 1, 2, 4};
  for (unsigned& wrap : s.wrap) wrap = kWraps[w_.below(4)];
  s.linear = w_.below(2) == 0;
  s.normalized = w_.below(2) == 0;
  s.border = image_.format->integer() ? 0 : w_.below(3) * 0.25;
  for (unsigned c = 0; c < 4; ++c) w_.put<float>(kStates + kBorder + 4 * c, static_cast<float>(s.border));
  const auto state = s.state(kBorder);
  const unsigned index = w_.below(4);
  for (unsigned i = 0; i < 4; ++i) w_.put(kStates + kSamplers + 16 * index + 4 * i, state[i]);

  const unsigned dims = image_.dimensions();
  const unsigned given = dims + (image_.array ? 1u : 0u);
  const double size[] = {double(image_.width), double(image_.height), double(image_.depth)};
  std::array<std::array<float, 3>, 32> at{};
  for (auto& place : at) {
    for (unsigned d = 0; d < given; ++d) {
      // Whole 64ths, not on the border between two texels: what rounding does there is nobody's business.
      const double texels = dims > d ? size[d] : image_.depth;
      double u = std::floor(w_.real(-1.5 * texels - 2, 2.5 * texels + 2)) + (1 + w_.below(63)) / 64.0;
      if (d >= dims) u = std::floor(u) + (w_.below(2) == 0 ? 0.25 : 0.75);
      place[d] = static_cast<float>(s.normalized && d < dims ? u / texels : u);
    }
  }
  const bool header = w_.below(2) == 0;
  const std::uint32_t dropped = header ? w_.below(15) : 0;
  if (header) {
    w_.rig.put<std::uint32_t>(kCoordinates - 1, 2, dropped << 12);
    w_.rig.put<std::uint32_t>(kCoordinates - 1, 3, kSamplers | w_.below(2));
  }
  for (unsigned d = 0; d < 3; ++d) {
    std::array<std::uint32_t, 32> row;
    for (unsigned n = 0; n < 32; ++n) std::memcpy(&row[n], &at[n][d], 4);
    put_row(lanes, d, row);
  }
  clear_answer();
  const unsigned each = lanes.simd / 16;
  bindless_ = w_.below(2) == 0;
  const unsigned in_src0 = header ? 1 : each;
  src1_registers_ = 3 * each - (header ? 0 : each);
  const std::uint32_t desc = (bindless_ ? 0xFCu : 5u) | index << 8 | 0x18u << 12 | each << 17 |
                             (header ? 1u << 19 : 0) | 4 * each << 20 | in_src0 << 25;
  ASSERT_EQ(send({.sfid = EuSfid::kSmpl,
                  .desc = desc,
                  .dst = kAnswer,
                  .src0 = header ? int{kCoordinates} - 1 : int{kCoordinates},
                  .src1 = static_cast<int>(header ? kCoordinates : kCoordinates + each)},
                 lanes)
                .kind,
            EuSendKind::kDone);
  for (unsigned n = 0; n < lanes.simd; ++n) {
    if (!lanes.has(n)) continue;
    const naive::Color want = naive::sample(w_.memory, image_, s, at[n]);
    unsigned row = 0;
    for (unsigned c = 0; c < 4; ++c) {
      if ((dropped >> c & 1) != 0) continue;
      const double tolerance = s.linear ? 2e-3 : 4e-7;
      ASSERT_NO_FATAL_FAILURE(compare(want[c], answer(lanes, row++, n), tolerance, "sample_lz"));
    }
    if (row < 4) {
      ASSERT_EQ(answer(lanes, row, n), kUntouched);
    }
    ++compared_;
  }
}

/// Puts the coordinates of a typed message; those that the image does not have are anything.
EuImageModel::Texels EuImageModel::random_texels(const Lanes& lanes) {
  Texels texels{.given = image_.dimensions() + (image_.array ? 1u : 0u),
                .limits = {image_.width, image_.dimensions() >= 2 ? image_.height : image_.depth, image_.depth},
                .at = {}};
  for (unsigned d = 0; d < 3; ++d) {
    for (auto& one : texels.at[d])
      one = d < texels.given ? random_index(texels.limits[d]) : static_cast<std::uint32_t>(w_.random());
    put_row(lanes, d, texels.at[d]);
  }
  return texels;
}

/// The typed load gives what the format has; outside everything is zero.
void EuImageModel::random_typed() {
  const Lanes lanes(w_);
  const auto [given, limits, at] = random_texels(lanes);
  const auto each = lanes.simd / 16;
  const unsigned components = 1 + w_.below(15);
  clear_answer();
  src1_registers_ = 0;
  const std::uint32_t desc = 0x6000'0502u | components << 12 | 3 * each << 25;
  ASSERT_EQ(
      send({.sfid = EuSfid::kTgm, .desc = desc, .ext_desc = 5u << 24, .dst = kAnswer, .src0 = kCoordinates}, lanes)
          .kind,
      EuSendKind::kDone);
  for (unsigned n = 0; n < lanes.simd; ++n) {
    if (!lanes.has(n)) continue;
    bool inside = true;
    std::array<std::int64_t, 3> i{};
    for (unsigned d = 0; d < given; ++d) {
      inside &= at[d][n] < limits[d];
      i[d < image_.dimensions() ? d : 2] = at[d][n];
    }
    const naive::Color want = inside ? naive::texel(w_.memory, image_, i, 0) : naive::Color{};
    unsigned row = 0;
    for (unsigned c = 0; c < 4; ++c) {
      if ((components >> c & 1) == 0) continue;
      ASSERT_NO_FATAL_FAILURE(compare(want[c], answer(lanes, row++, n), 3e-7, "typed load"));
    }
    ++compared_;
  }
}

/// Stores into a copy of the region; everything around stays as it is.
void EuImageModel::random_store() {
  if (!image_.format->stored) return;
  const Lanes lanes(w_);
  const auto [given, limits, at] = random_texels(lanes);
  std::array<std::array<std::uint32_t, 32>, 4> data;
  const bool floats = !image_.format->integer();
  for (unsigned c = 0; c < 4; ++c) {
    for (unsigned n = 0; n < 32; ++n) {
      const auto word = static_cast<std::uint32_t>(w_.random());
      const double value = w_.real(-1.4, 1.4);
      data[c][n] = floats ? float_bits(w_.below(30) == 0 && image_.format->kind != 'f' ? std::nan("") : value)
                          : word >> w_.below(32);
      if (!floats && w_.below(2) == 0) data[c][n] = ~data[c][n];
    }
  }
  const unsigned each = lanes.simd / 16;
  const unsigned components = w_.below(4) == 0 ? 1 + w_.below(15) : 15;
  unsigned row = 0;
  for (unsigned c = 0; c < 4; ++c) {
    if ((components >> c & 1) == 0) continue;
    for (unsigned n = 0; n < lanes.simd; ++n) w_.rig.put<std::uint32_t>(lanes.row(kData, row), n, data[c][n]);
    ++row;
  }
  // The model's bytes of every texel that is stored, in the order of lanes.
  struct Texel {
    std::uint64_t va;
    std::array<std::byte, 16> bytes;
  };
  std::vector<Texel> texels;
  const unsigned bytes = image_.format->bytes();
  for (unsigned n = 0; n < lanes.simd; ++n) {
    bool inside = lanes.has(n);
    std::array<std::uint64_t, 3> i{};
    for (unsigned d = 0; d < given; ++d) {
      inside &= at[d][n] < limits[d];
      i[d < image_.dimensions() ? d : 2] = at[d][n];
    }
    compared_ += lanes.has(n) ? 1 : 0;
    if (!inside) continue;
    Texel texel{.va = image_.address(i[0], i[1], i[2]), .bytes = {}};
    std::array<std::byte, 16> all{};
    naive::encode(*image_.format, {data[0][n], data[1][n], data[2][n], data[3][n]}, all.data());
    std::memcpy(texel.bytes.data(), w_.memory.at(texel.va), bytes);
    for (const Texel& before : texels) {
      if (before.va == texel.va) texel.bytes = before.bytes;
    }
    for (unsigned k = 0; image_.format->channels[k] != 0; ++k) {
      const unsigned size = image_.format->bits / 8;
      const auto channel = std::string("RGBA").find(image_.format->channels[k]);
      if ((components >> channel & 1) != 0) std::memcpy(texel.bytes.data() + k * size, all.data() + k * size, size);
    }
    std::erase_if(texels, [&](const Texel& before) { return before.va == texel.va; });
    texels.push_back(texel);
  }
  const std::uint32_t desc = 0x6000'0506u | components << 12 | 3 * each << 25;
  src1_registers_ = row * each;
  ASSERT_EQ(
      send({.sfid = EuSfid::kTgm, .desc = desc, .ext_desc = 5u << 24, .src0 = kCoordinates, .src1 = kData}, lanes).kind,
      EuSendKind::kDone);
  for (const Texel& texel : texels) {
    ASSERT_EQ(std::memcmp(w_.memory.at(texel.va), texel.bytes.data(), bytes), 0)
        << "store to format " << std::hex << image_.format->code << " of type " << image_.type;
    std::memcpy(model_.data() + (texel.va - kMemory), texel.bytes.data(), bytes);
  }
  // What lies around is as it was; looked at now and then.
  if (++stores_ % 64 == 0) {
    ASSERT_EQ(std::memcmp(w_.memory.bytes().data(), model_.data(), kStates), 0);
  }
}

TEST_F(EuImageModel, AMillionRandomSamplesLoadsAndStoresAgree) {
  while (compared_ < 1'000'000) {
    bind(random_image(w_));
    SCOPED_TRACE(testing::Message() << "type " << image_.type << " array " << image_.array << " tile " << image_.tile
                                    << " format " << std::hex << image_.format->code << std::dec << " " << image_.width
                                    << " x " << image_.height << " x " << image_.depth << " after " << compared_);
    for (unsigned i = 0; i < 3; ++i) {
      ASSERT_NO_FATAL_FAILURE(random_load());
      ASSERT_NO_FATAL_FAILURE(random_sample());
      ASSERT_NO_FATAL_FAILURE(random_typed());
      ASSERT_NO_FATAL_FAILURE(random_store());
    }
  }
}

}  // namespace
}  // namespace softxe
