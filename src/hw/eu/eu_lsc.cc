#include "hw/eu/eu_lsc.h"

#include <optional>

#include "hw/eu/eu_lanes.h"
#include "hw/eu/eu_slm.h"

namespace softxe {

namespace {

using Action = EuLanesMessage::Action;
using Layout = EuLanesMessage::Layout;

/// Which elements of memory a channel's elements in registers are: all of a vector, or components of a quad.
class Elements {
 public:
  explicit Elements(const EuLanesMessage& m) : quad_(m.layout == Layout::kQuad), count_(m.vector) {
    if (!quad_) return;
    count_ = 0;
    for (std::uint8_t c = 0; c < 4; ++c) {
      if ((m.components >> c & 1) != 0) component_[count_++] = c;
    }
  }
  unsigned count() const { return count_; }
  unsigned in_memory(unsigned j) const { return quad_ ? component_[j] : j; }
  /// From the first element's start to the last one's end.
  unsigned span() const { return in_memory(count_ - 1) - in_memory(0) + 1; }

 private:
  bool quad_;
  unsigned count_;
  EuRoom<std::uint8_t, 4> component_;
};

/// What a message of lanes works on once its registers and its window are known.
struct Lanes {
  const EuLanesMessage& message;
  EuMemory& memory;
  const EuWindow& window;
  const EuLaneAddresses& lanes;
  const Elements& elements;
  const EuDataShape& shape;
  std::uint64_t va_mask;
  std::byte* registers;

  std::uint32_t size() const { return message.element.memory_bytes; }
  GpuVa va(std::uint64_t address) const { return GpuVa((window.base.value() + address) & va_mask); }
};
using LaneVas = EuRoom<GpuVa, kEuChannelsMax>;

EuDataShape shape_of(const EuLanesMessage& m, unsigned elements, unsigned exec_size) {
  EuDataShape shape;
  if (m.layout == Layout::kTransposed) {
    shape.element_step = m.element.register_bytes;
    shape.lane_step = eu_round_to_grf(elements * m.element.register_bytes);
    shape.bytes = exec_size * shape.lane_step;
  } else {
    shape.lane_step = m.element.register_bytes;
    shape.element_step = eu_row_bytes(exec_size, m.element.register_bytes);
    shape.bytes = elements * shape.element_step;
  }
  return shape;
}

// --- every channel's elements side by side --------------------------------------------------------

/// Between registers and items, an item being all elements of a channel.
template <typename Codec, typename Move>
void each_element(const Lanes& l, const Move& move) {
  const unsigned count = l.elements.count();
  for (unsigned j = 0; j < count; ++j) {
    std::byte* const row = l.registers + j * l.shape.element_step;
    if (l.lanes.dense && l.shape.lane_step == Codec::kRegisterBytes) {
      for (unsigned n = 0; n < l.lanes.count; ++n) {
        move(row + n * Codec::kRegisterBytes, (std::size_t{n} * count + j) * Codec::kMemoryBytes);
      }
    } else {
      for (unsigned n = 0; n < l.lanes.count; ++n) {
        move(row + l.lanes.channel[n] * l.shape.lane_step, (std::size_t{n} * count + j) * Codec::kMemoryBytes);
      }
    }
  }
}

/// Registers hold what memory holds, in the same order.
bool is_plain_copy(const Lanes& l) {
  const EuElement& e = l.message.element;
  if (e.memory_bytes != e.register_bytes || !l.lanes.dense) return false;
  return l.message.layout == Layout::kTransposed ? l.lanes.count == 1 : l.elements.count() == 1;
}

Status transfer_whole(const Lanes& l, const LaneVas& va) {
  const MemoryItems items{va.first(l.lanes.count), l.elements.count() * l.size(), l.size()};
  const bool plain = is_plain_copy(l);
  if (l.message.action == Action::kStore && plain) return l.memory.store(items, l.registers);
  alignas(64) std::byte data[kEuDataBytesMax];
  if (l.message.action == Action::kStore) {
    eu_with_codec(l.message.element, [&](auto codec) {
      each_element<decltype(codec)>(l, [&](std::byte* reg, std::size_t at) { codec.store(data + at, reg); });
    });
    return l.memory.store(items, data);
  }
  SX_TRY_VOID(l.memory.load(items, data));
  if (plain) {
    std::memcpy(l.registers, data, items.bytes());
    return {};
  }
  eu_with_codec(l.message.element, [&](auto codec) {
    each_element<decltype(codec)>(l, [&](std::byte* reg, std::size_t at) { codec.load(reg, data + at); });
  });
  return {};
}

// --- quads with holes, and channels that stand over the window's edge -----------------------------

/// Every element is an item of its own; elements outside the window read zero and store nothing.
Status transfer_elements(const Lanes& l) {
  EuRoom<GpuVa, MemoryItems::kItemsMax> va;
  EuRoom<std::uint16_t, MemoryItems::kItemsMax> place;
  std::size_t count = 0;
  const std::uint32_t size = l.size();
  alignas(64) std::byte data[kEuDataBytesMax];
  const bool store = l.message.action == Action::kStore;
  const auto each = [&](const auto& body) {
    for (unsigned n = 0; n < l.lanes.count; ++n) {
      for (unsigned j = 0; j < l.elements.count(); ++j) {
        body(l.lanes.address[n] + std::uint64_t{l.elements.in_memory(j)} * size, l.shape.at(l.lanes.channel[n], j));
      }
    }
  };
  each([&](std::uint64_t address, unsigned at) {
    if (!l.window.holds(address, size)) return;
    va[count] = l.va(address);
    place[count++] = static_cast<std::uint16_t>(at);
  });
  const MemoryItems items{va.first(count), size, size};
  if (store) {
    if (count == 0) return {};
    eu_with_codec(l.message.element, [&](auto codec) {
      for (std::size_t i = 0; i < count; ++i) codec.store(data + i * size, l.registers + place[i]);
    });
    return l.memory.store(items, data);
  }
  if (count != 0) SX_TRY_VOID(l.memory.load(items, data));
  static constexpr std::array<std::byte, 8> kZero{};
  eu_with_codec(l.message.element, [&](auto codec) {
    each([&](std::uint64_t, unsigned at) { codec.load(l.registers + at, kZero.data()); });
    for (std::size_t i = 0; i < count; ++i) codec.load(l.registers + place[i], data + i * size);
  });
  return {};
}

/// Whether whole channels can be moved; kPastTheEnd when one leaves the address space.
enum class Extent : std::uint8_t { kWhole, kElements, kPastTheEnd };

Extent find_extent(const Lanes& l, LaneVas& va) {
  const std::uint64_t first = std::uint64_t{l.elements.in_memory(0)} * l.size();
  const std::uint32_t bytes = l.elements.span() * l.size();
  const std::uint64_t base = l.window.base.value() + first;
  const std::uint64_t mask = l.va_mask;  // local, so that stores to `va` cannot change it
  const unsigned count = l.lanes.count;
  const std::uint64_t* const address = l.lanes.address.data();
  std::uint64_t past = 0;
  for (unsigned n = 0; n < count; ++n) va[n] = GpuVa((base + address[n]) & mask);
  for (unsigned n = 0; n < count; ++n) past |= va[n].value() + (bytes - 1);
  if ((past & ~mask) != 0) return Extent::kPastTheEnd;
  if (l.elements.span() != l.elements.count()) return Extent::kElements;
  if (l.window.bytes == EuWindow::kEndless) return Extent::kWhole;
  bool inside = true;
  for (unsigned n = 0; n < l.lanes.count; ++n) inside &= l.window.holds(l.lanes.address[n] + first, bytes);
  return inside ? Extent::kWhole : Extent::kElements;
}

/// A load without destination: each page where a channel's data begins is asked for, neighbours on one page once. It
/// never fails.
EuSendResult prefetch_lanes(const EuSendCall& call, const EuAddressing& address, Layout layout) {
  if (address.space == EuSpace::kSlm) return {};
  const auto window = eu_open_window(call, address);
  EuLaneAddresses lanes;
  const auto each = layout == Layout::kStrided ? EuAddressLayout::kStrided : EuAddressLayout::kEach;
  if (!window || !eu_read_addresses(call, address, each, *window, lanes)) return {};
  const std::uint64_t va_mask = (std::uint64_t{1} << call.env.group.bases().va_bits) - 1;
  std::optional<GpuVa> last;
  for (unsigned n = 0; n < lanes.count; ++n) {
    if (!window->holds(lanes.address[n], 1)) continue;
    const GpuVa page = GpuVa((window->base.value() + lanes.address[n]) & va_mask).aligned_down(kPageSize);
    if (last != page) call.env.memory.prefetch(page);
    last = page;
  }
  return {};
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
  if (call.channels == 0) return {};
  if (!store && call.inst.dst.null()) return prefetch_lanes(call, message.address, message.layout);
  const Elements elements(message);
  const EuDataShape shape = shape_of(message, elements.count(), call.inst.exec_size);
  if (shape.bytes > kEuDataBytesMax || elements.count() * call.inst.exec_size > MemoryItems::kItemsMax) {
    return {EuSendKind::kIllegal, "message with more data than registers"};
  }
  std::byte* registers = eu_message_registers(call.thread, store ? call.inst.src[1] : call.inst.dst, shape.bytes);
  if (registers == nullptr) return kEuNoRegisters;

  EuGroup& group = call.env.group;
  EuSlm slm(group.slm());
  const auto window = eu_open_window(call, message.address);
  if (!window) return eu_no_surface(window.error());
  EuLaneAddresses lanes;
  const auto layout = message.layout == Layout::kStrided ? EuAddressLayout::kStrided : EuAddressLayout::kEach;
  if (!eu_read_addresses(call, message.address, layout, *window, lanes)) return kEuNoRegisters;
  const Lanes l{.message = message,
                .memory = message.address.space == EuSpace::kSlm ? static_cast<EuMemory&>(slm) : call.env.memory,
                .window = *window,
                .lanes = lanes,
                .elements = elements,
                .shape = shape,
                .va_mask = (std::uint64_t{1} << group.bases().va_bits) - 1,
                .registers = registers};
  LaneVas va;
  const Extent extent = find_extent(l, va);
  if (extent == Extent::kPastTheEnd) return kEuPastTheEnd;
  const Status done = extent == Extent::kWhole ? transfer_whole(l, va) : transfer_elements(l);
  return done ? EuSendResult{} : eu_memory_failed(done.error());
}

}  // namespace softxe
