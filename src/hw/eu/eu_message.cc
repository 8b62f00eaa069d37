#include "hw/eu/eu_message.h"

#include <array>

namespace softxe {

namespace {

using Action = EuLanesMessage::Action;
using Layout = EuLanesMessage::Layout;

constexpr std::uint32_t bits(std::uint32_t word, unsigned high, unsigned low) {
  return word >> low & ((2u << (high - low)) - 1);
}
constexpr std::int32_t signed_bits(std::uint32_t value, unsigned width) {
  const std::uint32_t sign = 1u << (width - 1);
  return static_cast<std::int32_t>((value ^ sign) - sign);
}

// --- LSC ------------------------------------------------------------------------------------------

enum class Form : std::uint8_t { kNone, kLanes, kBlock2d, kAtomic, kFence, kMissing };

struct LscRow {
  Form form = Form::kNone;
  Action action = Action::kLoad;
  Layout layout = Layout::kRows;
  const char* typed = "no operation of the data port";    ///< reason as a typed message (tgm)
  const char* missing = "no operation of the data port";  ///< kMissing: reason otherwise
};

constexpr std::array<LscRow, 64> make_lsc_rows() {
  std::array<LscRow, 64> rows{};
  rows[0x00] = {Form::kLanes, Action::kLoad, Layout::kRows, "image message: typed load", ""};
  rows[0x01] = {Form::kLanes, Action::kLoad, Layout::kStrided, "image message: typed strided load", ""};
  rows[0x02] = {Form::kLanes, Action::kLoad, Layout::kQuad, "", ""};
  rows[0x03] = {Form::kBlock2d, Action::kLoad, Layout::kRows, "", ""};
  rows[0x04] = {Form::kLanes, Action::kStore, Layout::kRows, "image message: typed store", ""};
  rows[0x05] = {Form::kLanes, Action::kStore, Layout::kStrided, "image message: typed strided store", ""};
  rows[0x06] = {Form::kLanes, Action::kStore, Layout::kQuad, "", ""};
  rows[0x07] = {Form::kBlock2d, Action::kStore, Layout::kRows, "", ""};
  for (unsigned op = 0x08; op <= 0x1A; ++op) {
    rows[op] = {Form::kAtomic, Action::kLoad, Layout::kRows, "image message: typed atomic", ""};
  }
  rows[0x1B] = {Form::kMissing, Action::kLoad, Layout::kRows, "image message: typed load_status",
                "message load_status"};
  rows[0x1C] = {Form::kMissing, Action::kLoad, Layout::kRows, "image message: typed store_uncompressed",
                "message store_uncompressed"};
  rows[0x1D] = {Form::kMissing, Action::kLoad, Layout::kRows, "image message: compression state update",
                "message compression state update"};
  rows[0x1E] = {Form::kMissing, Action::kLoad, Layout::kRows, "image message: read of a surface's state",
                "message read of a surface's state"};
  rows[0x1F] = {Form::kFence, Action::kLoad, Layout::kRows, "", ""};
  rows[0x20] = {Form::kMissing, Action::kLoad, Layout::kRows, "image message: typed store_uncompressed_quad",
                "message store_uncompressed_quad"};
  for (unsigned op = 0x28; op <= 0x2A; ++op) {
    rows[op] = {Form::kMissing, Action::kLoad, Layout::kRows, "image message: append counter",
                "message append counter atomic"};
  }
  rows[0x31] = {Form::kMissing, Action::kLoad, Layout::kRows, "image message: multisampled load", "multisampled load"};
  rows[0x32] = {Form::kMissing, Action::kLoad, Layout::kRows, "image message: multisampled store",
                "multisampled store"};
  return rows;
}
constexpr std::array<LscRow, 64> kLscRows = make_lsc_rows();

/// By the data size field; 7 does not exist.
constexpr std::array<EuElement, 8> kElements{{
    {1, 1, false},
    {2, 2, false},
    {4, 4, false},
    {8, 8, false},
    {1, 4, false},
    {2, 4, false},
    {2, 4, true},
    {0, 0, false},
}};
constexpr std::array<std::uint8_t, 8> kVectors{1, 2, 3, 4, 8, 16, 32, 64};

/// Offsets and surfaces of an address (the table of spec/eu-isa.md 9.1).
EuAddressing addressing_of(const EuDescriptors& words) {
  EuAddressing a;
  a.address_bytes = static_cast<std::uint8_t>(1u << bits(words.desc, 8, 7));
  const std::uint32_t ext = words.ext_desc;
  // Offsets of flat addresses and of binding tables exist in an immediate only.
  const bool immediate = !words.ext_desc_in_register;
  switch (bits(words.desc, 30, 29)) {
    case 0:
      a.space = words.sfid == EuSfid::kSlm ? EuSpace::kSlm : EuSpace::kGlobal;
      if (immediate) a.offset = signed_bits(bits(ext, 31, 12), 20);
      break;
    case 1:
    case 2: {
      a.space = bits(words.desc, 30, 29) == 1 ? EuSpace::kBindless : EuSpace::kSurface;
      a.surface = ext & ~0x3Fu;
      // Bits 18:16 of the offset word are the number of the register.
      const std::uint32_t offset = bits(words.ext_offset, 31, 19) << 4 | bits(words.ext_offset, 15, 12);
      if (!immediate) a.offset = signed_bits(offset, 17);
      break;
    }
    default:
      a.surface = bits(ext, 31, 24);
      a.space = a.surface == 255 ? EuSpace::kStateless : EuSpace::kBti;
      if (immediate) a.offset = signed_bits(bits(ext, 23, 12), 12);
      break;
  }
  return a;
}

EuMessage lanes_message(const LscRow& row, const EuDescriptors& words, const EuAddressing& address) {
  EuLanesMessage m;
  m.action = row.action;
  m.layout = row.layout;
  m.address = address;
  m.element = kElements[bits(words.desc, 11, 9)];
  if (row.layout == Layout::kQuad) {
    m.vector = 4;
    m.components = static_cast<std::uint8_t>(bits(words.desc, 15, 12));
    if (m.components == 0) return EuIllegalMessage{"message of a quad without components"};
    return m;
  }
  m.vector = kVectors[bits(words.desc, 14, 12)];
  if (bits(words.desc, 15, 15) != 0) {
    if (row.layout == Layout::kStrided) return EuIllegalMessage{"strided message that is transposed"};
    m.layout = Layout::kTransposed;
  }
  return m;
}

EuMessage atomic_message(const EuDescriptors& words, const EuAddressing& address) {
  EuAtomicMessage m;
  m.op = static_cast<EuAtomicOp>(bits(words.desc, 5, 0));
  m.address = address;
  m.element = kElements[bits(words.desc, 11, 9)];
  const bool size_exists =
      m.element.memory_bytes == m.element.register_bytes ? m.element.memory_bytes >= 4 : m.element.memory_bytes == 2;
  if (!size_exists || m.element.high_half) return EuIllegalMessage{"atomic message of a size that does not exist"};
  if (bits(words.desc, 14, 12) != 0) return EuIllegalMessage{"atomic message with a vector"};
  if (bits(words.desc, 15, 15) != 0) return EuIllegalMessage{"atomic message that is transposed"};
  return m;
}

EuMessage block2d_message(const LscRow& row, const EuDescriptors& words) {
  if (words.sfid == EuSfid::kSlm) return EuIllegalMessage{"2D block message to shared local memory"};
  if (bits(words.desc, 30, 29) != 0) return EuUnsupportedMessage{"2D block message with a surface state"};
  EuBlock2dMessage m;
  m.action = row.action;
  const std::uint32_t size = bits(words.desc, 11, 9);
  if (size > 3) return EuIllegalMessage{"2D block message of a size that does not exist"};
  m.element_bytes = static_cast<std::uint8_t>(1u << size);
  const bool vnni = bits(words.desc, 7, 7) != 0;
  const bool transposed = bits(words.desc, 15, 15) != 0;
  if (vnni && transposed) return EuUnsupportedMessage{"2D block message both transposed and transformed"};
  if (row.action == Action::kStore && (vnni || transposed)) {
    return EuIllegalMessage{"2D block store that is transposed or transformed"};
  }
  m.order = vnni         ? EuBlock2dMessage::Order::kVnni
            : transposed ? EuBlock2dMessage::Order::kTransposed
                         : EuBlock2dMessage::Order::kPlain;
  if (!words.ext_desc_in_register) {
    m.x_offset = static_cast<std::int16_t>(signed_bits(bits(words.ext_desc, 21, 12), 10));
    m.y_offset = static_cast<std::int16_t>(signed_bits(bits(words.ext_desc, 31, 22), 10));
  }
  return m;
}

EuMessage typed_block2d_message(const LscRow& row, const EuDescriptors& words) {
  const EuAddressing address = addressing_of(words);
  if (address.space == EuSpace::kGlobal || address.space == EuSpace::kStateless) {
    return EuIllegalMessage{"image message without a surface"};
  }
  if (bits(words.desc, 7, 7) != 0 || bits(words.desc, 15, 15) != 0) {
    return EuIllegalMessage{"image message: 2D block that is transposed or transformed"};
  }
  return EuTypedBlock2dMessage{.action = row.action, .address = address};
}

EuMessage typed_message(const LscRow& row, const EuDescriptors& words) {
  const EuAddressing address = addressing_of(words);
  if (address.space == EuSpace::kGlobal || address.space == EuSpace::kStateless) {
    return EuIllegalMessage{"image message without a surface"};
  }
  if (address.address_bytes != 4) return EuUnsupportedMessage{"image message with coordinates that have not 32 bits"};
  if (bits(words.desc, 11, 9) != 2) return EuUnsupportedMessage{"image message with data that have not 32 bits"};
  if (address.offset != 0) return EuUnsupportedMessage{"image message with an offset"};
  const auto components = static_cast<std::uint8_t>(bits(words.desc, 15, 12));
  if (components == 0) return EuIllegalMessage{"message of a quad without components"};
  return EuTypedMessage{.action = row.action,
                        .address = address,
                        .components = components,
                        .src0_registers = static_cast<std::uint8_t>(bits(words.desc, 28, 25))};
}

EuMessage lsc_message(const EuDescriptors& words) {
  const LscRow& row = kLscRows[bits(words.desc, 5, 0)];
  if (row.form == Form::kNone) return EuIllegalMessage{row.missing};
  if (row.form == Form::kFence) return EuFenceMessage{};
  if (words.sfid == EuSfid::kTgm && row.form == Form::kBlock2d) return typed_block2d_message(row, words);
  if (words.sfid == EuSfid::kTgm && row.layout == Layout::kQuad) return typed_message(row, words);
  if (words.sfid == EuSfid::kTgm) return EuUnsupportedMessage{row.typed};
  if (row.form == Form::kMissing) return EuUnsupportedMessage{row.missing};
  if (row.form == Form::kBlock2d) return block2d_message(row, words);

  if (bits(words.desc, 8, 7) == 0) return EuIllegalMessage{"message without a size of addresses"};
  if (bits(words.desc, 11, 9) == 7) return EuIllegalMessage{"message of a data size that does not exist"};
  const EuAddressing address = addressing_of(words);
  if (words.sfid == EuSfid::kSlm && address.space != EuSpace::kSlm) {
    return EuIllegalMessage{"message to shared local memory with a surface"};
  }
  if (words.sfid == EuSfid::kSlm && address.address_bytes == 8) {
    return EuIllegalMessage{"message to shared local memory with 64-bit addresses"};
  }
  if (row.form == Form::kAtomic) return atomic_message(words, address);
  return lanes_message(row, words, address);
}

// --- gateway and sampler --------------------------------------------------------------------------

constexpr std::array<const char*, 16> kGatewayReasons{
    "",                                  // end of thread
    "gateway message: signal an event",  // 1
    "gateway message: monitor an event",
    "gateway message: stop monitoring events",
    "",  // barrier
    "gateway message 5",
    "gateway message: wait for an event",
    "gateway message 7",
    "gateway message: save a barrier",
    "gateway message 9",
    "gateway message 10",
    "gateway message 11",
    "gateway message 12",
    "gateway message 13",
    "gateway message 14",
    "gateway message 15",
};

EuMessage gateway_message(const EuDescriptors& words) {
  const std::uint32_t op = bits(words.desc, 3, 0);
  if (op == 0) return EuEndMessage{};
  if (op == 4) return EuBarrierMessage{};
  return EuUnsupportedMessage{kGatewayReasons[op]};
}

EuMessage sampler_message(const EuDescriptors& words) {
  EuSamplerMessage message;
  const char* reason = eu_decode_sampler(words, message);
  if (reason != nullptr) return EuUnsupportedMessage{reason};
  return message;
}

}  // namespace

EuMessage eu_decode_message(const EuDescriptors& words) {
  switch (words.sfid) {
    case EuSfid::kUgm:
    case EuSfid::kUgml:
    case EuSfid::kSlm:
    case EuSfid::kTgm: return lsc_message(words);
    case EuSfid::kGtwy: return gateway_message(words);
    case EuSfid::kSmpl: return sampler_message(words);
    case EuSfid::kRc: return EuUnsupportedMessage{"message to the render cache (rc)"};
    case EuSfid::kUrb: return EuUnsupportedMessage{"message to the unified return buffer (urb)"};
    case EuSfid::kBtd: return EuUnsupportedMessage{"message to the bindless thread dispatcher (btd)"};
    case EuSfid::kRta: return EuUnsupportedMessage{"message to the ray tracing unit (rta)"};
    case EuSfid::kPixi: return EuUnsupportedMessage{"message to the pixel interpolator (pixi)"};
    case EuSfid::kNull:
    case EuSfid::kDc0:
    case EuSfid::kDc1:
    case EuSfid::kDc2: break;
  }
  return EuIllegalMessage{"message to a unit that does not exist"};
}

}  // namespace softxe
