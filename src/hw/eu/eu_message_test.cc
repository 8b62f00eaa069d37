// What descriptors say: one line for every form of message, most of them words that kernels were seen to use.
#include "hw/eu/eu_message.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <string>

namespace softxe {
namespace {

std::string text_of(const EuAddressing& a) {
  static constexpr const char* kSpaces[] = {"flat", "slm", "stateless", "bti", "ss", "bss"};
  std::string text = fmt::format("{} a{}", kSpaces[static_cast<unsigned>(a.space)], a.address_bytes * 8);
  if (a.surface != 0) text += fmt::format(" surface {:#x}", a.surface);
  if (a.offset != 0) text += fmt::format(" {:+}", a.offset);
  return text;
}
std::string text_of(const EuElement& e) {
  std::string text = fmt::format("d{}", e.memory_bytes * 8);
  if (e.register_bytes != e.memory_bytes) text += fmt::format("u{}{}", e.register_bytes * 8, e.high_half ? "h" : "");
  return text;
}

/// The typed message as words.
struct Describe {
  std::string operator()(const EuLanesMessage& m) const {
    static constexpr const char* kLayouts[] = {"", " transposed", " strided", " quad"};
    std::string text = m.action == EuLanesMessage::Action::kLoad ? "load " : "store ";
    text += text_of(m.element);
    text += m.layout == EuLanesMessage::Layout::kQuad ? fmt::format(" components {:x}", m.components)
                                                      : fmt::format("x{}", m.vector);
    return text + kLayouts[static_cast<unsigned>(m.layout)] + " " + text_of(m.address);
  }
  std::string operator()(const EuAtomicMessage& m) const {
    return fmt::format("atomic {:#x} {} {}", static_cast<unsigned>(m.op), text_of(m.element), text_of(m.address));
  }
  std::string operator()(const EuBlock2dMessage& m) const {
    static constexpr const char* kOrders[] = {"", " transposed", " vnni"};
    std::string text = m.action == EuLanesMessage::Action::kLoad ? "load" : "store";
    text += fmt::format(" block2d d{}{}", m.element_bytes * 8, kOrders[static_cast<unsigned>(m.order)]);
    if (m.x_offset != 0 || m.y_offset != 0) text += fmt::format(" {:+}{:+}", m.x_offset, m.y_offset);
    return text;
  }
  std::string operator()(const EuTypedBlock2dMessage& m) const {
    return (m.action == EuLanesMessage::Action::kLoad ? "load typed block2d " : "store typed block2d ") +
           text_of(m.address);
  }
  std::string operator()(const EuTypedMessage& m) const {
    return (m.action == EuLanesMessage::Action::kLoad ? "typed load " : "typed store ") +
           fmt::format("components {:x} of {} registers {}", m.components, m.src0_registers, text_of(m.address));
  }
  std::string operator()(const EuSamplerMessage& m) const {
    static constexpr const char* kForms[] = {"sample_lz", "sample_l", "sample_d", "ld", "ld_lz", "resinfo"};
    return fmt::format("{} simd{}{}{} surface {}{:#x} sampler {} src0 {} response {}",
                       kForms[static_cast<unsigned>(m.form)], m.simd, m.header ? " header" : "", m.half ? " half" : "",
                       m.bindless ? "bss " : "", m.surface, m.sampler, m.src0_registers, m.response_registers);
  }
  std::string operator()(const EuFenceMessage&) const { return "fence"; }
  std::string operator()(const EuBarrierMessage&) const { return "barrier"; }
  std::string operator()(const EuEndMessage&) const { return "end"; }
  std::string operator()(const EuUnsupportedMessage& m) const { return fmt::format("unsupported: {}", m.reason); }
  std::string operator()(const EuIllegalMessage& m) const { return fmt::format("illegal: {}", m.reason); }
};

struct Row {
  EuSfid sfid;
  std::uint32_t desc;
  std::uint32_t ext_desc;
  const char* text;
};

TEST(EuMessage, ImmediateDescriptorsMeanWhatTheTableSays) {
  static constexpr EuSfid kUgm = EuSfid::kUgm, kSlm = EuSfid::kSlm, kTgm = EuSfid::kTgm, kGtwy = EuSfid::kGtwy;
  static constexpr Row kRows[] = {
      // Sizes, vectors, orders.
      {kUgm, 0x04200580, 0, "load d32x1 flat a64"},
      {kUgm, 0x04000584, 0, "store d32x1 flat a64"},
      {kUgm, 0x04003584, 0, "store d32x4 flat a64"},
      {kUgm, 0x04004584, 0, "store d32x8 flat a64"},
      {kUgm, 0x04003784, 0, "store d64x4 flat a64"},
      {kUgm, 0x04000984, 0, "store d8u32x1 flat a64"},
      {kUgm, 0x04000B84, 0x4000, "store d16u32x1 flat a64 +4"},
      {kUgm, 0x04000D80, 0, "load d16u32hx1 flat a64"},
      {kUgm, 0x04000180, 0, "load d8x1 flat a64"},
      {kUgm, 0x04000380, 0, "load d16x1 flat a64"},
      {kUgm, 0x0240F580, 0x100000, "load d32x64 transposed flat a64 +256"},
      {kUgm, 0x0200E784, 0, "store d64x32 transposed flat a64"},
      {kUgm, 0x04001581, 0, "load d32x2 strided flat a64"},
      {kUgm, 0x04000585, 0, "store d32x1 strided flat a64"},
      {kUgm, 0x0400F582, 0, "load d32 components f quad flat a64"},
      {kUgm, 0x0400A586, 0, "store d32 components a quad flat a64"},
      {EuSfid::kUgml, 0x04200580, 0, "load d32x1 flat a64"},
      // Addresses.
      {kUgm, 0x04200500, 0, "load d32x1 flat a32"},
      {kUgm, 0x04200480, 0, "load d32x1 flat a16"},
      {kUgm, 0x04200580, 0xFFFFF000, "load d32x1 flat a64 -1"},
      {kUgm, 0x04200580, 0x80000000, "load d32x1 flat a64 -524288"},
      {kUgm, 0x6219D500, 0xFF000000, "load d32x16 transposed stateless a32 surface 0xff"},
      {kUgm, 0x6229E500, 0xFF080000, "load d32x32 transposed stateless a32 surface 0xff +128"},
      {kUgm, 0x64200500, 0xFF800000, "load d32x1 stateless a32 surface 0xff -2048"},
      {kUgm, 0x64200500, 0x05004000, "load d32x1 bti a32 surface 0x5 +4"},
      {kSlm, 0x04200500, 0x400000, "load d32x1 slm a32 +1024"},
      {kSlm, 0x04200904, 0, "store d8u32x1 slm a32"},
      {kSlm, 0x02108500, 0, "load d32x1 transposed slm a32"},
      // Atomics.
      {kUgm, 0x04000588, 0, "atomic 0x8 d32 flat a64"},
      {kUgm, 0x0420078C, 0, "atomic 0xc d64 flat a64"},
      {kUgm, 0x04100593, 0, "atomic 0x13 d32 flat a64"},
      {kUgm, 0x04100B93, 0, "atomic 0x13 d16u32 flat a64"},
      {kSlm, 0x04200512, 0, "atomic 0x12 d32 slm a32"},
      // 2D blocks.
      {kUgm, 0x02400203, 0, "load block2d d16"},
      {kUgm, 0x02800283, 0, "load block2d d16 vnni"},
      {kUgm, 0x02808403, 0, "load block2d d32 transposed"},
      {kUgm, 0x02000407, 0, "store block2d d32"},
      {kUgm, 0x02400003, 0xFF801000, "load block2d d8 +1-2"},
      {kTgm, 0x64000007, 0, "store typed block2d bti a8"},
      {kTgm, 0x62400003, 0x03000000, "load typed block2d bti a8 surface 0x3"},
      {kTgm, 0x22400003, 0, "load typed block2d bss a8"},
      // Fences and the gateway.
      {kUgm, 0x0210261F, 0, "fence"},
      {kSlm, 0x0210001F, 0, "fence"},
      {kTgm, 0x0210001F, 0, "fence"},
      {kGtwy, 0x02000004, 0, "barrier"},
      {kGtwy, 0x02000010, 0, "end"},
      // What is not there yet, by name.
      {kTgm, 0x2440F502, 0, "typed load components f of 2 registers bss a32"},
      {kTgm, 0x2200F506, 0, "typed store components f of 1 registers bss a32"},
      {kTgm, 0x2400050C, 0, "unsupported: image message: typed atomic"},
      {kUgm, 0x0400059B, 0, "unsupported: message load_status"},
      {kUgm, 0x0400059C, 0, "unsupported: message store_uncompressed"},
      {kUgm, 0x040005A8, 0, "unsupported: message append counter atomic"},
      {kUgm, 0x42400203, 0, "unsupported: 2D block message with a surface state"},
      {kUgm, 0x02808283, 0, "unsupported: 2D block message both transposed and transformed"},
      {kGtwy, 0x02000001, 0, "unsupported: gateway message: signal an event"},
      {kGtwy, 0x02000008, 0, "unsupported: gateway message: save a barrier"},
      {EuSfid::kSmpl, 0x0212A0FC, 0, "resinfo simd16 surface bss 0x0 sampler 0 src0 1 response 1"},
      {EuSfid::kSmpl, 0x024B80FC, 0, "sample_lz simd16 header surface bss 0x0 sampler 0 src0 1 response 4"},
      {EuSfid::kSmpl, 0x028D82FC, 0x1234567F,
       "sample_lz simd32 header surface bss 0x12345640 sampler 2 src0 1 response 8"},
      {EuSfid::kSmpl, 0x424D8005, 0, "sample_lz simd32 header half surface 0x5 sampler 0 src0 1 response 4"},
      {EuSfid::kSmpl, 0x0485A0FC, 0, "ld_lz simd32 surface bss 0x0 sampler 0 src0 2 response 8"},
      {EuSfid::kSmpl, 0x08427003, 0, "ld simd16 surface 0x3 sampler 0 src0 4 response 4"},
      {EuSfid::kSmpl, 0x028C20FC, 0, "sample_l simd32 header surface bss 0x0 sampler 0 src0 1 response 8"},
      {EuSfid::kSmpl, 0x0E4A40FC, 0, "sample_d simd16 header surface bss 0x0 sampler 0 src0 7 response 4"},
      {EuSfid::kSmpl, 0x024A00FC, 0, "unsupported: sampler message: sample"},
      {EuSfid::kSmpl, 0x0248A0FC, 0, "unsupported: sampler message of this number of lanes"},
      {EuSfid::kSmpl, 0x224B80FC, 0, "unsupported: sampler message with half parameters"},
      {EuSfid::kSmpl, 0x024B80FA, 0, "unsupported: sampler message to a surface of no kind"},
      {EuSfid::kSmpl, 0x824B80FC, 0, "unsupported: sampler message"},
      {EuSfid::kUrb, 0, 0, "unsupported: message to the unified return buffer (urb)"},
      {EuSfid::kRta, 0, 0, "unsupported: message to the ray tracing unit (rta)"},
      {EuSfid::kBtd, 0, 0, "unsupported: message to the bindless thread dispatcher (btd)"},
      {EuSfid::kRc, 0, 0, "unsupported: message to the render cache (rc)"},
      {EuSfid::kPixi, 0, 0, "unsupported: message to the pixel interpolator (pixi)"},
      // What is no message.
      {kTgm, 0x02400003, 0, "illegal: image message without a surface"},
      {kTgm, 0x62400003, 0xFF000000, "illegal: image message without a surface"},
      {kTgm, 0x0440F502, 0, "illegal: image message without a surface"},
      {kTgm, 0x24400502, 0, "illegal: message of a quad without components"},
      {kTgm, 0x2440F582, 0, "unsupported: image message with coordinates that have not 32 bits"},
      {kTgm, 0x2440F302, 0, "unsupported: image message with data that have not 32 bits"},
      {kTgm, 0x22400083, 0, "illegal: image message: 2D block that is transposed or transformed"},
      {kTgm, 0x22408003, 0, "illegal: image message: 2D block that is transposed or transformed"},
      {EuSfid::kDc0, 0x04200580, 0, "illegal: message to a unit that does not exist"},
      {EuSfid::kNull, 0, 0, "illegal: message to a unit that does not exist"},
      {kUgm, 0x040005A5, 0, "illegal: no operation of the data port"},
      {kUgm, 0x04000F80, 0, "illegal: message of a data size that does not exist"},
      {kUgm, 0x04000400, 0, "illegal: message without a size of addresses"},
      {kUgm, 0x04000582, 0, "illegal: message of a quad without components"},
      {kUgm, 0x04008581, 0, "illegal: strided message that is transposed"},
      {kUgm, 0x0400098C, 0, "illegal: atomic message of a size that does not exist"},
      {kUgm, 0x04000D8C, 0, "illegal: atomic message of a size that does not exist"},
      {kUgm, 0x0400158C, 0, "illegal: atomic message with a vector"},
      {kUgm, 0x0400858C, 0, "illegal: atomic message that is transposed"},
      {kUgm, 0x02400A03, 0, "illegal: 2D block message of a size that does not exist"},
      {kUgm, 0x02008407, 0, "illegal: 2D block store that is transposed or transformed"},
      {kSlm, 0x02400203, 0, "illegal: 2D block message to shared local memory"},
      {kSlm, 0x04200580, 0, "illegal: message to shared local memory with 64-bit addresses"},
      {kSlm, 0x64200500, 0xFF000000, "illegal: message to shared local memory with a surface"},
  };
  for (const Row& row : kRows) {
    const EuMessage m = eu_decode_message({.sfid = row.sfid, .desc = row.desc, .ext_desc = row.ext_desc});
    EXPECT_EQ(std::visit(Describe{}, m), row.text) << fmt::format("{:#010x}:{:#010x}", row.ext_desc, row.desc);
  }
}

TEST(EuMessage, AnExtendedDescriptorInARegisterNamesASurface) {
  static constexpr struct {
    std::uint32_t desc;
    std::uint32_t register_value;
    std::uint32_t offset_word;
    const char* text;
  } kRows[] = {
      {0x4210D500, 0x1040, 0x80000000, "load d32x16 transposed ss a32 surface 0x1040 -65536"},  // as spills have it
      {0x4210D500, 0x1040, 0x80C00000, "load d32x16 transposed ss a32 surface 0x1040 -65152"},
      {0x4200F504, 0x107F, 0x00003000, "store d32x64 transposed ss a32 surface 0x1040 +3"},
      {0x4200F504, 0x1040, 0x0007F000, "store d32x64 transposed ss a32 surface 0x1040 +15"},  // 18:16: the register
      {0x24200500, 0x80, 0x00080000, "load d32x1 bss a32 surface 0x80 +16"},
      {0x64200500, 0x05000000, 0, "load d32x1 bti a32 surface 0x5"},
      {0x04200580, 0x7000, 0, "load d32x1 flat a64"},
      {0x02400203, 0xFFFFFFFF, 0, "load block2d d16"},
  };
  for (const auto& row : kRows) {
    const EuMessage m = eu_decode_message({.sfid = EuSfid::kUgm,
                                           .desc = row.desc,
                                           .ext_desc = row.register_value,
                                           .ext_offset = row.offset_word,
                                           .ext_desc_in_register = true});
    EXPECT_EQ(std::visit(Describe{}, m), row.text);
  }
}

TEST(EuMessage, CacheControlAndLengthsMeanNothing) {
  for (std::uint32_t bit = 16; bit < 29; ++bit) {
    const EuMessage m = eu_decode_message({.sfid = EuSfid::kUgm, .desc = 0x00000580u | 1u << bit});
    EXPECT_EQ(std::visit(Describe{}, m), "load d32x1 flat a64") << bit;
  }
}

}  // namespace
}  // namespace softxe
