#include "hw/eu/eu_lsc.h"

#include "hw/eu/eu_lanes.h"
#include "hw/eu/eu_slm.h"

namespace softxe {

namespace {

using Action = EuLanesMessage::Action;
using Layout = EuLanesMessage::Layout;

/// What a message of lanes works on once its registers and its window are known.
struct Lanes {
  const EuLanesMessage& message;
  EuMemory& memory;
  const EuWindow& window;
  std::uint64_t va_mask;
  EuDataShape shape;
  std::byte* registers;
  EuLaneAddresses lanes;

  /// Component of the quad, or the element itself, that stands as number j in registers.
  std::array<std::uint8_t, 4> component{0, 1, 2, 3};
  unsigned elements = 1;  ///< of each channel, in registers

  std::uint32_t memory_index(unsigned j) const { return message.layout == Layout::kQuad ? component[j] : j; }
  std::uint64_t address(unsigned lane, unsigned j) const {
    return lanes.address[lane] + std::uint64_t{memory_index(j)} * message.element.memory_bytes;
  }
  GpuVa va(std::uint64_t address) const { return GpuVa((window.base.value() + address) & va_mask); }
};

EuDataShape shape_of(const EuLanesMessage& m, unsigned elements, unsigned exec_size) {
  EuDataShape shape;
  if (m.layout == Layout::kTransposed) {
    shape.element_step = m.element.register_bytes;
    shape.lane_step = eu_round_to_grf(elements * m.element.register_bytes);
    shape.bytes = exec_size * shape.lane_step;
  } else {
    shape.lane_step = m.element.register_bytes;
    shape.element_step = eu_round_to_grf(exec_size * m.element.register_bytes);
    shape.bytes = elements * shape.element_step;
  }
  return shape;
}

// --- every channel's elements side by side --------------------------------------------------------

/// Between registers and items, an item being all elements of a channel.
template <typename Codec>
void items_to_registers(const Lanes& l, const std::byte* item) {
  for (unsigned n = 0; n < l.lanes.count; ++n) {
    for (unsigned j = 0; j < l.elements; ++j, item += Codec::kMemoryBytes) {
      Codec::load(l.registers + l.shape.at(l.lanes.channel[n], j), item);
    }
  }
}
template <typename Codec>
void registers_to_items(const Lanes& l, std::byte* item) {
  for (unsigned n = 0; n < l.lanes.count; ++n) {
    for (unsigned j = 0; j < l.elements; ++j, item += Codec::kMemoryBytes) {
      Codec::store(item, l.registers + l.shape.at(l.lanes.channel[n], j));
    }
  }
}

Status transfer_whole(const Lanes& l) {
  std::array<GpuVa, kEuChannelsMax> va;
  for (unsigned n = 0; n < l.lanes.count; ++n) va[n] = l.va(l.address(n, 0));
  const std::uint32_t size = l.message.element.memory_bytes;
  const MemoryItems items{std::span(va).first(l.lanes.count), l.elements * size, size};
  alignas(64) std::byte data[kEuDataBytesMax];
  if (l.message.action == Action::kStore) {
    eu_with_codec(l.message.element, [&](auto codec) { registers_to_items<decltype(codec)>(l, data); });
    return l.memory.store(items, data);
  }
  SX_TRY_VOID(l.memory.load(items, data));
  eu_with_codec(l.message.element, [&](auto codec) { items_to_registers<decltype(codec)>(l, data); });
  return {};
}

// --- quads with holes, and channels that stand over the window's edge -----------------------------

/// Every element is an item of its own; elements outside the window read zero and store nothing.
Status transfer_elements(const Lanes& l) {
  std::array<GpuVa, MemoryItems::kItemsMax> va;
  std::array<std::uint16_t, MemoryItems::kItemsMax> place;
  std::size_t count = 0;
  const std::uint32_t size = l.message.element.memory_bytes;
  alignas(64) std::byte data[kEuDataBytesMax];
  const bool store = l.message.action == Action::kStore;
  eu_with_codec(l.message.element, [&](auto codec) {
    for (unsigned n = 0; n < l.lanes.count; ++n) {
      for (unsigned j = 0; j < l.elements; ++j) {
        const std::uint64_t address = l.address(n, j);
        if (!l.window.holds(address, size)) continue;
        va[count] = l.va(address);
        place[count] = static_cast<std::uint16_t>(l.shape.at(l.lanes.channel[n], j));
        if (store) codec.store(data + count * size, l.registers + place[count]);
        ++count;
      }
    }
  });
  const MemoryItems items{std::span(va).first(count), size, size};
  if (store) return count == 0 ? Status{} : l.memory.store(items, data);
  if (count != 0) SX_TRY_VOID(l.memory.load(items, data));
  static constexpr std::array<std::byte, 8> kZero{};
  eu_with_codec(l.message.element, [&](auto codec) {
    for (unsigned n = 0; n < l.lanes.count; ++n) {
      for (unsigned j = 0; j < l.elements; ++j) {
        codec.load(l.registers + l.shape.at(l.lanes.channel[n], j), kZero.data());
      }
    }
    for (std::size_t i = 0; i < count; ++i) codec.load(l.registers + place[i], data + i * size);
  });
  return {};
}

/// Whether whole channels can be moved; kPastTheEnd when one leaves the address space.
enum class Extent : std::uint8_t { kWhole, kElements, kPastTheEnd };

Extent extent_of(const Lanes& l) {
  const std::uint32_t first = l.memory_index(0);
  const std::uint32_t span = l.memory_index(l.elements - 1) - first + 1;
  const std::uint32_t bytes = span * l.message.element.memory_bytes;
  bool inside = true;
  std::uint64_t past = 0;
  for (unsigned n = 0; n < l.lanes.count; ++n) {
    const std::uint64_t address = l.address(n, 0);
    inside &= l.window.holds(address, bytes);
    past |= (l.va(address).value() + (bytes - 1)) & ~l.va_mask;
  }
  if (past != 0) return Extent::kPastTheEnd;
  return inside && span == l.elements ? Extent::kWhole : Extent::kElements;
}

}  // namespace

std::byte* eu_message_registers(EuThread& thread, const EuOperand& operand, unsigned bytes) {
  if (operand.file != EuFile::kGrf || operand.indirect) return nullptr;
  const unsigned start = operand.reg * kEuGrfBytes;
  if (start + bytes > thread.grf_count() * kEuGrfBytes) return nullptr;
  return thread.grf.data() + start;
}

EuSendResult eu_send_lanes(const EuSendCall& call, const EuLanesMessage& message) {
  const bool store = message.action == Action::kStore;
  // A load without destination is a prefetch: it never faults.
  if (call.channels == 0 || (!store && call.inst.dst.null())) return {};
  std::array<std::uint8_t, 4> component{0, 1, 2, 3};
  unsigned elements = message.vector;
  if (message.layout == Layout::kQuad) {
    elements = 0;
    for (std::uint8_t c = 0; c < 4; ++c) {
      if ((message.components >> c & 1) != 0) component[elements++] = c;
    }
  }
  const EuDataShape shape = shape_of(message, elements, call.inst.exec_size);
  if (shape.bytes > kEuDataBytesMax || elements * call.inst.exec_size > MemoryItems::kItemsMax) {
    return {EuSendKind::kIllegal, "message with more data than registers"};
  }
  std::byte* registers = eu_message_registers(call.thread, store ? call.inst.src[1] : call.inst.dst, shape.bytes);
  if (registers == nullptr) return kEuNoRegisters;

  EuGroup& group = call.env.group;
  EuSlm slm(group.slm());
  EuMemory& memory = message.address.space == EuSpace::kSlm ? static_cast<EuMemory&>(slm) : call.env.memory;
  const auto window = eu_open_window(call, message.address);
  if (!window) return eu_no_window(window.error());
  Lanes l{.message = message,
          .memory = memory,
          .window = *window,
          .va_mask = (std::uint64_t{1} << group.bases().va_bits) - 1,
          .shape = shape,
          .registers = registers,
          .lanes = {},
          .component = component,
          .elements = elements};
  const auto layout = message.layout == Layout::kStrided ? EuAddressLayout::kStrided : EuAddressLayout::kEach;
  if (!eu_read_addresses(call, message.address, layout, *window, l.lanes)) return kEuNoRegisters;
  const Extent extent = extent_of(l);
  if (extent == Extent::kPastTheEnd) return kEuPastTheEnd;
  const Status done = extent == Extent::kWhole ? transfer_whole(l) : transfer_elements(l);
  return done ? EuSendResult{} : eu_memory_failed(done.error());
}

}  // namespace softxe
