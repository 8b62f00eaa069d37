// EuMessage: what the descriptors of a send say, in types (spec/eu-isa.md 9).
//
// A pure function of the descriptor words; registers and memory are not looked at. Read next: eu_send.h (who
// carries them out).
#pragma once

#include <cstdint>
#include <variant>

#include "hw/eu/eu_atomic.h"
#include "hw/eu/eu_inst.h"
#include "hw/eu/eu_sampler_message.h"

namespace softxe {

/// Descriptors with the contents of a0 put in.
struct EuDescriptors {
  EuSfid sfid = EuSfid::kNull;
  std::uint32_t desc = 0;
  std::uint32_t ext_desc = 0;         ///< immediate, or the register's value
  std::uint32_t ext_offset = 0;       ///< with a register: the offset word of the instruction; else 0
  bool ext_desc_in_register = false;  ///< surface states by ss and bss
};

/// Where addresses count from.
enum class EuSpace : std::uint8_t {
  kGlobal,     ///< addresses of the VM
  kSlm,        ///< the group's shared local memory
  kStateless,  ///< bti[255]: General State Base
  kBti,        ///< the surface of binding table entry `surface`
  kSurface,    ///< the surface state at Surface State Base + `surface`
  kBindless,   ///< the surface state at Bindless Surface State Base + `surface`
};

/// Address part of a message of lanes.
struct EuAddressing {
  EuSpace space = EuSpace::kGlobal;
  std::uint8_t address_bytes = 8;  ///< of one address in src0: 2, 4, 8
  std::int32_t offset = 0;         ///< bytes, added to every address
  std::uint32_t surface = 0;       ///< binding table index, or bytes from the base of states
};

/// One element in memory and in a register.
struct EuElement {
  std::uint8_t memory_bytes = 4;    ///< 1, 2, 4, 8
  std::uint8_t register_bytes = 4;  ///< at least memory_bytes
  bool high_half = false;           ///< d16u32h: in the upper half of the register's element
};

/// A load or store of every channel: `vector` elements, side by side in memory.
struct EuLanesMessage {
  enum class Action : std::uint8_t { kLoad, kStore };
  /// kStrided: src0 holds one address and a pitch for all channels.
  enum class Layout : std::uint8_t { kRows, kTransposed, kStrided, kQuad };

  Action action = Action::kLoad;
  Layout layout = Layout::kRows;
  EuAddressing address{};
  EuElement element{};
  std::uint8_t vector = 1;      ///< elements of one channel: 1, 2, 3, 4, 8, 16, 32, 64; kQuad: 4
  std::uint8_t components = 1;  ///< kQuad: bits x y z w, at least one
};

struct EuAtomicMessage {
  EuAtomicOp op = EuAtomicOp::kLoad;
  EuAddressing address{};
  EuElement element{};
};

/// The rectangle itself stands in src0.
struct EuBlock2dMessage {
  enum class Order : std::uint8_t { kPlain, kTransposed, kVnni };
  EuLanesMessage::Action action = EuLanesMessage::Action::kLoad;
  Order order = Order::kPlain;
  std::uint8_t element_bytes = 4;
  std::int16_t x_offset = 0;  ///< elements
  std::int16_t y_offset = 0;
};

/// A block of an image; it stands in src0, in bytes and rows. The address has a surface and nothing else.
struct EuTypedBlock2dMessage {
  EuLanesMessage::Action action = EuLanesMessage::Action::kLoad;
  EuAddressing address{};
};

/// An element of an image for every channel, 32 bits for each component.
struct EuTypedMessage {
  EuLanesMessage::Action action = EuLanesMessage::Action::kLoad;
  EuAddressing address{};
  std::uint8_t components = 1;      ///< bits x y z w, at least one: each has a row of data
  std::uint8_t src0_registers = 1;  ///< coordinates
};

struct EuFenceMessage {};
struct EuBarrierMessage {};
/// The gateway's end of thread; the bit itself may stand in other messages, too.
struct EuEndMessage {};

/// `reason` has static storage and names the message.
struct EuIllegalMessage {
  const char* reason;
};
struct EuUnsupportedMessage {
  const char* reason;
};

using EuMessage = std::variant<EuLanesMessage, EuAtomicMessage, EuBlock2dMessage, EuTypedBlock2dMessage, EuTypedMessage,
                               EuSamplerMessage, EuFenceMessage, EuBarrierMessage, EuEndMessage, EuUnsupportedMessage,
                               EuIllegalMessage>;

EuMessage eu_decode_message(const EuDescriptors& words);

}  // namespace softxe
