// Random messages against the naive model: registers, memory, SLM, faults and progress must be the same.
#include <gtest/gtest.h>

#include <string>

#include "hw/eu/eu_send_naive_rig.h"
#include "hw/eu/eu_send_rig.h"

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wpedantic"  // __int128 in the generator
#include "base/prng.h"
#pragma GCC diagnostic pop

namespace softxe {
namespace {

/// Where the messages of one kind of address find memory: three pages, two of them always there.
struct Place {
  unsigned address_type;
  unsigned address_size;
  EuSfid sfid;
  std::uint64_t base;   ///< of the region in the VM
  std::uint64_t first;  ///< address in the message that means `base`
};
constexpr std::uint64_t kBuffer = 0x9000'0000;  // surface states point here
constexpr std::uint64_t kScratch = 0xA000'0000;
constexpr Place kPlaces[] = {
    {0, 3, EuSfid::kUgm, 0x7F12'3456'7000, 0x7F12'3456'7000},
    {0, 3, EuSfid::kUgml, 0x7F12'3456'7000, 0xFFFF'7F12'3456'7000},  // canonical bits are ignored
    {0, 2, EuSfid::kUgm, 0x2000'0000, 0x2000'0000},
    {0, 1, EuSfid::kUgm, 0x4000, 0x4000},
    {3, 2, EuSfid::kUgm, EuSendRig::kGeneral + 0x40'0000, 0x40'0000},  // bti[255]
    {3, 2, EuSfid::kUgm, kBuffer, 0},                                  // bti[5]
    {2, 2, EuSfid::kUgm, kBuffer, 0},
    {2, 2, EuSfid::kUgm, kScratch, 0},
    {1, 2, EuSfid::kUgm, kBuffer, 0},
    {0, 2, EuSfid::kSlm, 0, 0x1000'0000},
    {0, 1, EuSfid::kSlm, 0, 0},
};
constexpr std::uint64_t kRegionBytes = 3 * kPageSize;
constexpr unsigned kScratchPitch = 2048;
constexpr unsigned kHwId = 3;

class Model {
 public:
  Model(std::uint64_t seed, EuLevel level) : random_(seed) {
    rig_.level = level;
    rig_.thread().hw_id = kHwId;
    naive_.general = EuSendRig::kGeneral;
    naive_.surfaces = EuSendRig::kSurfaces;
    naive_.bindless = EuSendRig::kBindless;
    naive_.table = EuSendRig::kTable;
    for (const Place& place : kPlaces) {
      if (place.sfid != EuSfid::kSlm) map(place.base, kRegionBytes);
    }
    for (const std::uint64_t base : {EuSendRig::kSurfaces, EuSendRig::kBindless, EuSendRig::kTable})
      map(base, kPageSize);
    // A raw buffer that ends in the middle of an element, scratch, and nothing at all.
    for (const std::uint64_t heap : {EuSendRig::kSurfaces, EuSendRig::kBindless}) {
      state(heap + 0x40, 4u << 29 | 0x1FFu << 18, 2 * kPageSize + 2, 0, kBuffer);
      state(heap + 0x80, 6u << 29, 512, kScratchPitch, kScratch | 0xFFFFull << 48);
      state(heap + 0xC0, 7u << 29, 1, 1, 0);
    }
    rig_.memory.put<std::uint32_t>(EuSendRig::kTable + 5 * 4, 0x40);
    naive_.slm.assign(EuSendRig::kSlmBytes, 0);
    for (auto& [page, bytes] : rig_.memory.pages) {
      if (page >= EuSendRig::kSurfaces >> 12 && page <= EuSendRig::kTable >> 12) continue;
      for (std::byte& b : bytes) b = static_cast<std::byte>(random_.next());
    }
    for (auto& [page, bytes] : rig_.memory.pages) std::memcpy(naive_.memory[page].data(), bytes.data(), kPageSize);
    naive_.grf.resize(256 * kEuGrfBytes);
  }

  /// One message. False: something differs, and `what` says what.
  bool step(std::string& what) {
    make();
    fill_registers();
    if (random_.chance(1, 8)) take_page_away();
    NaiveMessage m = message();
    std::memcpy(naive_.grf.data(), rig_.thread().grf.data(), naive_.grf.size());
    const auto expected = naive_.run(m);
    const EuSendResult got = rig_.send(inst_);
    if (got.kind == EuSendKind::kIllegal) {
      what = std::string("refused: ") + got.reason;
      return false;
    }
    const bool fault = got.kind == EuSendKind::kFault;
    if (fault != (expected == NaiveMachine::Outcome::kFault)) what += "fault; ";
    if (rig_.thread().message_done != (fault ? naive_.done : 0)) what += "progress; ";
    compare(what);
    if (!what.empty()) what += describe(m);
    rig_.thread().message_done = 0;
    bring_page_back();
    steps_[m.desc & 0x3F] += 1;
    faults_ += fault;
    return what.empty();
  }
  const std::map<unsigned, unsigned>& steps() const { return steps_; }
  unsigned faults() const { return faults_; }
  /// Messages with a quick way, and how often global memory was reached by it.
  std::uint64_t quick() const { return rig_.quick; }
  std::uint64_t reached() const { return rig_.memory.reached; }

 private:
  void map(std::uint64_t va, std::uint64_t bytes) { rig_.memory.map(va, bytes); }
  void state(std::uint64_t at, std::uint32_t dw0, std::uint32_t entries, std::uint32_t pitch, std::uint64_t base) {
    const std::uint32_t e = entries - 1;
    rig_.memory.put<std::uint32_t>(at, dw0);
    rig_.memory.put<std::uint32_t>(at + 8, (e & 0x7F) | (e >> 7 & 0x3FFF) << 16);
    rig_.memory.put<std::uint32_t>(at + 12, (pitch - 1) | (e >> 21) << 21);
    rig_.memory.put<std::uint64_t>(at + 32, base);
  }
  std::uint64_t below(std::uint64_t limit) { return random_.below(limit); }
  template <typename T, std::size_t n>
  T one_of(const T (&values)[n]) {
    return values[below(n)];
  }

  // --- the message ------------------------------------------------------------------------------

  void make() {
    do {
      // A third is what kernels mostly say.
      const bool common = random_.chance(1, 3);
      place_ = common ? one_of({kPlaces[0], kPlaces[1], kPlaces[4], kPlaces[9]}) : one_of(kPlaces);
      LscFields f{.address_size = place_.address_size, .address_type = place_.address_type};
      const std::uint64_t kind = below(10);
      f.op = static_cast<unsigned>(kind < 4   ? one_of({0, 4})
                                   : kind < 5 ? one_of({1, 5})
                                   : kind < 7 ? one_of({2, 6})
                                              : 8 + below(19));
      f.data_size = static_cast<unsigned>(f.op >= 8 ? one_of({2, 3, 5}) : below(7));
      if (f.op == 2 || f.op == 6) {
        f.vector = static_cast<unsigned>(1 + below(15)) & 7;
        f.transposed = random_.chance(1, 2) || f.vector == 0;
      } else if (f.op < 8) {
        f.vector = static_cast<unsigned>(below(8));
        f.transposed = f.op % 4 == 0 && random_.chance(1, 3);
      }
      if (common) {
        f.op = static_cast<unsigned>(one_of({0, 0, 4, 4, 8, 12, 15, 24}));
        f.data_size = static_cast<unsigned>(f.op >= 8 ? 2 : one_of({2, 2, 3, 4, 5}));
        f.vector = static_cast<unsigned>(f.op >= 8 ? 0 : one_of({0, 0, 1, 3, 4}));
        f.transposed = f.op < 8 && random_.chance(1, 4);
      }
      fields_ = f;
      inst_ = EuSendRig::inst({.sfid = place_.sfid, .desc = f.word(), .channels = one_of({1u, 2u, 4u, 8u, 16u, 32u})});
    } while (!fits());
    registers();
    mask();
    surface();
  }
  unsigned vector() const {
    if (fields_.op == 2 || fields_.op == 6) return static_cast<unsigned>(std::popcount(fields_.word() >> 12 & 15));
    static constexpr unsigned kVectors[] = {1, 2, 3, 4, 8, 16, 32, 64};
    return kVectors[fields_.vector];
  }
  unsigned register_bytes() const {
    return fields_.data_size == 3 ? 8 : fields_.data_size < 2 ? 1 + fields_.data_size : 4;
  }
  /// Data of at most 32 registers and 512 elements.
  bool fits() const {
    const unsigned exec = inst_.exec_size;
    const auto round = [](unsigned n) { return (n + 63) / 64; };
    const bool transposed = fields_.transposed != 0 && fields_.op % 4 == 0;
    const unsigned rows = transposed ? exec * round(vector() * register_bytes())
                                     : vector() * round((exec < 16 ? 16 : exec) * register_bytes());
    return rows <= 32 && vector() * exec <= 512;
  }
  void registers() {
    const auto some = [&] { return static_cast<unsigned>(4 + below(90)); };
    const unsigned dst = some();
    inst_.src[0] = EuSendRig::grf(random_.chance(1, 3) ? dst : some());
    inst_.src[1] = EuSendRig::grf(some());
    inst_.dst = EuSendRig::grf(dst);
    if (fields_.op >= 8) {
      // A destination may begin where a source begins; any other overlap would lose a fault's progress.
      if (random_.chance(1, 3)) inst_.src[1] = inst_.dst;
      if (inst_.src[1].reg != dst) inst_.src[1] = EuSendRig::grf(108);
      if (inst_.src[0].reg != dst) inst_.src[0] = EuSendRig::grf(100);
      if (dst > 90) inst_.dst = EuSendRig::grf(80);
    }
    if (random_.chance(1, 16)) inst_.dst = EuSendRig::null();
  }
  void mask() {
    EuThread& t = rig_.thread();
    inst_.channel_offset = static_cast<std::uint8_t>(below((32u - inst_.exec_size) / 8 + 1) * 8);
    inst_.no_mask = random_.chance(1, 6);
    t.mask = random_.chance(1, 2) ? ~0u : static_cast<std::uint32_t>(random_.next());
    inst_.pred = random_.chance(1, 4) ? EuPred::kChannel : EuPred::kNone;
    inst_.pred_inverted = random_.chance(1, 2);
    inst_.flag = static_cast<std::uint8_t>(below(4));
    inst_.flag_sub = inst_.exec_size + inst_.channel_offset <= 16 ? static_cast<std::uint8_t>(below(2)) : 0;
    for (std::uint32_t& flag : t.flag) flag = static_cast<std::uint32_t>(random_.next());
    t.large_grf = random_.chance(1, 2);
  }
  /// Offsets and surfaces, in a register or not.
  void surface() {
    offset_ = 0;
    inst_.send.ext_desc_in_a0 = false;
    if (fields_.address_type == 1 || fields_.address_type == 2) {
      const std::uint32_t handle = place_.base == kScratch ? 0x80 : random_.chance(1, 8) ? 0xC0 : 0x40;
      offset_ = static_cast<int>(below(1 << 17)) - (1 << 16);
      const auto o = static_cast<std::uint32_t>(offset_) & 0x1FFFF;
      inst_.send.ext_desc_in_a0 = true;
      inst_.send.ext_desc_a0 = static_cast<std::uint8_t>(below(8));
      inst_.send.ext_desc = o >> 4 << 19 | (o & 15) << 12 | inst_.send.ext_desc_a0 << 16;
      rig_.thread().a0[inst_.send.ext_desc_a0 * 2] = static_cast<std::uint16_t>(handle | below(64));
      rig_.thread().a0[inst_.send.ext_desc_a0 * 2 + 1] = 0;
    } else if (fields_.address_type == 3) {
      offset_ = static_cast<int>(below(1 << 12)) - (1 << 11);
      inst_.send.ext_desc = (place_.base == kBuffer ? 5u : 255u) << 24 | (static_cast<std::uint32_t>(offset_) & 0xFFF)
                                                                             << 12;
    } else {
      offset_ = static_cast<int>(below(1 << 14)) - (1 << 13);
      if (place_.address_size == 1) offset_ = static_cast<int>(below(1024));
      inst_.send.ext_desc = static_cast<std::uint32_t>(offset_) << 12;
    }
  }

  // --- what it works on -------------------------------------------------------------------------

  void put_bytes(unsigned at, std::uint64_t value, unsigned bytes) {
    if (at + bytes <= rig_.thread().grf.size()) std::memcpy(rig_.thread().grf.data() + at, &value, bytes);
  }
  void fill_registers() {
    for (unsigned i = 0; i < 8; ++i) put_bytes(static_cast<unsigned>(below(128 * 64 - 8)), random_.next(), 8);
    static constexpr unsigned kMemoryBytes[] = {1, 2, 4, 8, 1, 2, 2};
    const unsigned memory_bytes = kMemoryBytes[fields_.data_size];
    const unsigned align = fields_.op >= 8 || random_.chance(1, 2) ? memory_bytes : 1;
    const unsigned address_bytes = 1u << place_.address_size;
    // Most messages stay within a page or two, near a page's end; some are scattered.
    const std::uint64_t window = random_.chance(1, 3) ? kRegionBytes - 600 : 64 + below(600);
    const std::uint64_t start = below(kRegionBytes - 600 - window + 1);
    if (fields_.op >= 8 && random_.chance(1, 2)) interesting_floats(memory_bytes);
    const unsigned src0 = inst_.src[0].reg * kEuGrfBytes;
    const bool side_by_side = random_.chance(1, 3);
    for (unsigned c = 0; c < inst_.exec_size; ++c) {
      const std::uint64_t at = side_by_side ? std::min<std::uint64_t>(c * memory_bytes, window - 1) : below(window);
      const std::uint64_t va = align_down(place_.first + start + at, align);
      put_bytes(src0 + c * address_bytes, va - static_cast<std::uint64_t>(std::int64_t{offset_}), address_bytes);
    }
    if (fields_.op == 1 || fields_.op == 5) put_bytes(src0 + 8, below(160), 4);
  }
  void interesting_floats(unsigned bytes) {
    static constexpr double kValues[] = {0.0, -0.0, 1.0, -1.5, 65504.0, 6e-8, 3e-5, 1e-320, 1e39, -2.75, 0.1};
    const auto value = [&] {
      if (random_.chance(1, 10)) return NaiveFloat::bits(random_.chance(1, 2) ? NAN : INFINITY, bytes);
      return NaiveFloat::bits(one_of(kValues), bytes);
    };
    const unsigned src1 = inst_.src[1].reg * kEuGrfBytes;
    for (unsigned i = 0; i < 2 * 32; ++i) put_bytes(src1 + i * std::max(4u, bytes), value(), bytes);
    if (place_.sfid == EuSfid::kSlm) return;
    for (std::uint64_t va = place_.base; va < place_.base + kRegionBytes; va += bytes) {
      const std::uint64_t v = value();
      std::memcpy(&rig_.memory.at(va), &v, bytes);
      std::memcpy(&naive_.memory[va >> 12][va & 4095], &v, bytes);
    }
  }
  void take_page_away() {
    if (place_.sfid == EuSfid::kSlm) return;
    away_ = (place_.base >> 12) + 1 + below(2);
    kept_ = rig_.memory.pages.at(away_);
    rig_.memory.pages.erase(away_);
    naive_.memory.erase(away_);
  }
  void bring_page_back() {
    if (away_ == 0) return;
    rig_.memory.pages[away_] = kept_;
    std::memcpy(naive_.memory[away_].data(), kept_.data(), kPageSize);
    away_ = 0;
  }

  NaiveMessage message() {
    const EuThread& t = rig_.thread();
    NaiveMessage m{.slm = place_.sfid == EuSfid::kSlm, .desc = fields_.word(), .ext_desc = inst_.send.ext_desc};
    if (inst_.send.ext_desc_in_a0) {
      m.offset_word = inst_.send.ext_desc;
      m.ext_desc = t.a0[inst_.send.ext_desc_a0 * 2];
    }
    m.channels = inst_.exec_size;
    for (unsigned c = 0; c < m.channels; ++c) {
      const unsigned channel = c + inst_.channel_offset;
      bool on = inst_.no_mask || (t.mask >> channel & 1) != 0;
      if (inst_.pred != EuPred::kNone) {
        const bool flag = (t.flag[inst_.flag] >> (channel + 16 * inst_.flag_sub) & 1) != 0;
        on = on && flag != inst_.pred_inverted;
      }
      m.mask |= (on ? 1u : 0u) << c;
    }
    m.dst = inst_.dst.reg * kEuGrfBytes;
    m.dst_null = inst_.dst.null();
    m.src0 = inst_.src[0].reg * kEuGrfBytes;
    m.src1 = inst_.src[1].reg * kEuGrfBytes;
    m.hw_id = t.hw_id;
    return m;
  }

  void compare(std::string& what) {
    if (std::memcmp(naive_.grf.data(), rig_.thread().grf.data(), naive_.grf.size()) != 0) what += "registers; ";
    for (const auto& [page, bytes] : rig_.memory.pages) {
      if (std::memcmp(bytes.data(), naive_.memory[page].data(), kPageSize) != 0) what += "memory; ";
    }
    if (std::memcmp(naive_.slm.data(), rig_.group.slm().data(), naive_.slm.size()) != 0) what += "SLM; ";
  }
  std::string describe(const NaiveMessage& m) const {
    char text[200];
    std::snprintf(text, sizeof text,
                  "sfid %u desc 0x%08X ext 0x%08X offset word 0x%08X (%u) mask 0x%X dst r%u src r%u r%u",
                  static_cast<unsigned>(place_.sfid), m.desc, m.ext_desc, m.offset_word, m.channels, m.mask, m.dst / 64,
                  m.src0 / 64, m.src1 / 64);
    return text;
  }

  Prng random_;
  EuSendRig rig_;
  NaiveMachine naive_;
  EuInst inst_;
  LscFields fields_;
  Place place_ = kPlaces[0];
  int offset_ = 0;
  std::uint64_t away_ = 0;
  FakeEuMemory::Page kept_{};
  std::map<unsigned, unsigned> steps_;
  unsigned faults_ = 0;
};

TEST(EuSendModel, RandomMessagesDoWhatTheNaiveModelDoes) {
  std::map<unsigned, unsigned> steps;
  unsigned faults = 0;
  std::uint64_t quick = 0;
  std::uint64_t reached = 0;
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    // Every level the processor has, and none.
    Model model(seed, std::min(static_cast<EuLevel>(seed % 4), eu_host_level()));
    for (unsigned step = 0; step < 5000; ++step) {
      std::string what;
      ASSERT_TRUE(model.step(what)) << "seed " << seed << " step " << step << ": " << what;
    }
    for (const auto& [op, count] : model.steps()) steps[op] += count;
    faults += model.faults();
    quick += model.quick();
    reached += model.reached();
  }
  // Every operation was among them, and many faults.
  for (unsigned op = 0; op < 0x1B; ++op) {
    if (op != 3 && op != 7) {
      EXPECT_GT(steps[op], 500u) << op;
    }
  }
  EXPECT_GT(faults, 2000u);
  EXPECT_GT(quick, 5000u);
  EXPECT_GT(reached, 2000u);
}

}  // namespace
}  // namespace softxe
