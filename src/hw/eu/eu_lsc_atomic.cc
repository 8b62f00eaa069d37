// Atomics of lanes: channel by channel, in ascending order, each exactly once.
#include "hw/eu/eu_lanes.h"
#include "hw/eu/eu_slm.h"

namespace softxe {

namespace {

/// Everything an atomic message needs from registers; the destination may overlap all of it.
struct Atomics {
  EuLaneAddresses lanes;
  std::array<std::uint64_t, kEuChannelsMax> operand{};
  std::array<std::uint64_t, kEuChannelsMax> compare{};
  std::array<std::uint64_t, kEuChannelsMax> found{};
};

/// Takes channels outside the window out: they read zero and change nothing. Returns how many stay; `lane[n]` is
/// where the n-th of them stood.
unsigned keep_inside(const EuWindow& window, std::uint64_t va_mask, std::uint8_t bytes, Atomics& atomics,
                     EuRoom<GpuVa, kEuChannelsMax>& va, EuRoom<std::uint8_t, kEuChannelsMax>& lane) {
  unsigned count = 0;
  for (unsigned n = 0; n < atomics.lanes.count; ++n) {
    const std::uint64_t address = atomics.lanes.address[n];
    if (!window.holds(address, bytes)) continue;
    va[count] = GpuVa((window.base.value() + address) & va_mask);
    lane[count] = static_cast<std::uint8_t>(n);
    atomics.operand[count] = atomics.operand[n];
    atomics.compare[count] = atomics.compare[n];
    ++count;
  }
  return count;
}

/// False when src1 has registers that do not exist.
bool read_operands(const EuSendCall& call, const EuAtomicMessage& m, Atomics& atomics) {
  const unsigned rows = eu_atomic_operands(m.op);
  if (rows == 0) return true;
  const unsigned step = m.element.register_bytes;
  const unsigned block = eu_round_to_grf(call.inst.exec_size * step);
  const std::byte* src = eu_message_registers(call.thread, call.inst.src[1], rows * block);
  if (src == nullptr) return false;
  const std::byte* const operand = rows == 2 ? src + block : src;
  eu_with_codec(m.element, [&](auto codec) {
    for (unsigned n = 0; n < atomics.lanes.count; ++n) {
      const unsigned at = atomics.lanes.channel[n] * step;
      codec.store(reinterpret_cast<std::byte*>(&atomics.operand[n]), operand + at);
      if (rows == 2) codec.store(reinterpret_cast<std::byte*>(&atomics.compare[n]), src + at);
    }
  });
  return true;
}

void write_found(const EuAtomicMessage& m, const Atomics& atomics, unsigned count, std::byte* dst) {
  if (dst == nullptr) return;
  eu_with_codec(m.element, [&](auto codec) {
    for (unsigned n = 0; n < count; ++n) {
      codec.load(dst + atomics.lanes.channel[n] * m.element.register_bytes,
                 reinterpret_cast<const std::byte*>(&atomics.found[n]));
    }
  });
}

}  // namespace

EuSendResult eu_send_atomic(const EuSendCall& call, const EuAtomicMessage& message) {
  EuThread& thread = call.thread;
  const EuSendCall rest{
      .thread = thread, .inst = call.inst, .env = call.env, .channels = call.channels & ~thread.message_done};
  std::byte* dst = nullptr;
  if (!call.inst.dst.null()) {
    dst = eu_message_registers(thread, call.inst.dst, call.inst.exec_size * message.element.register_bytes);
    if (dst == nullptr) return kEuNoRegisters;
  }
  const auto window = eu_open_window(call, message.address);
  if (!window) return eu_no_surface(window.error());
  Atomics atomics;
  if (!eu_read_addresses(rest, message.address, EuAddressLayout::kEach, *window, atomics.lanes)) return kEuNoRegisters;
  if (!read_operands(rest, message, atomics)) return kEuNoRegisters;

  EuGroup& group = call.env.group;
  EuSlm slm(group.slm());
  EuMemory& memory = message.address.space == EuSpace::kSlm ? static_cast<EuMemory&>(slm) : call.env.memory;
  const std::uint64_t va_mask = (std::uint64_t{1} << group.bases().va_bits) - 1;
  const std::uint8_t bytes = message.element.memory_bytes;
  for (unsigned n = 0; n < atomics.lanes.count; ++n) {
    if (!is_aligned(window->base.value() + atomics.lanes.address[n], bytes)) {
      return {EuSendKind::kIllegal, "atomic message that is not naturally aligned"};
    }
  }
  EuRoom<GpuVa, kEuChannelsMax> va;
  EuRoom<std::uint8_t, kEuChannelsMax> lane;
  const unsigned count = keep_inside(*window, va_mask, bytes, atomics, va, lane);
  std::array<std::uint64_t, kEuChannelsMax> found;
  std::size_t done = 0;
  const Status status = memory.atomics({.op = message.op,
                                        .bytes = bytes,
                                        .va = va.first(count),
                                        .operand = atomics.operand.data(),
                                        .compare = atomics.compare.data(),
                                        .found = found.data()},
                                       done);
  for (std::size_t n = 0; n < done; ++n) atomics.found[lane[n]] = found[n];
  if (status) {
    write_found(message, atomics, atomics.lanes.count, dst);
    thread.message_done = 0;
    return {};
  }
  // Channels before the one that faulted are over. Their results may overwrite what they were made from, and only
  // that: where destination and sources start in one register, channel n's result lies before the sources of n + 1.
  write_found(message, atomics, lane[done], dst);
  for (unsigned n = 0; n < lane[done]; ++n) thread.message_done |= 1u << atomics.lanes.channel[n];
  return eu_memory_failed(status.error());
}

}  // namespace softxe
