#include "hw/eu/eu_lanes.h"

namespace softxe {

namespace {

constexpr std::uint32_t low_bits(unsigned count) { return count >= 32 ? ~0u : (1u << count) - 1; }

template <typename Address>
std::uint64_t address_at(const std::byte* registers, unsigned index) {
  Address value;
  std::memcpy(&value, registers + index * sizeof value, sizeof value);
  return value;
}

template <typename Address>
void read_each(const EuSendCall& call, const std::byte* src, std::int32_t offset, std::uint64_t mask,
               EuLaneAddresses& lanes) {
  const auto add = static_cast<std::uint64_t>(std::int64_t{offset});
  const unsigned exec_size = call.inst.exec_size;
  lanes.dense = call.channels == low_bits(exec_size);
  if (lanes.dense) {
    std::uint64_t* const to = lanes.address.data();
    for (unsigned n = 0; n < exec_size; ++n) to[n] = (address_at<Address>(src, n) + add) & mask;
    for (unsigned n = 0; n < exec_size; ++n) lanes.channel[n] = static_cast<std::uint8_t>(n);
    lanes.count = exec_size;
    return;
  }
  unsigned n = 0;
  for (std::uint32_t left = call.channels; left != 0; left &= left - 1) {
    const auto k = static_cast<unsigned>(std::countr_zero(left));
    lanes.address[n] = (address_at<Address>(src, k) + add) & mask;
    lanes.channel[n++] = static_cast<std::uint8_t>(k);
  }
  lanes.count = n;
}

/// One address in src0, a pitch in dword 2 (signed).
template <typename Address>
void read_strided(const EuSendCall& call, const std::byte* src, std::int32_t offset, std::uint64_t mask,
                  EuLaneAddresses& lanes) {
  const std::uint64_t base = address_at<Address>(src, 0) + static_cast<std::uint64_t>(std::int64_t{offset});
  const auto pitch = static_cast<std::int32_t>(address_at<std::uint32_t>(src, 2));
  unsigned n = 0;
  for (std::uint32_t left = call.channels; left != 0; left &= left - 1) {
    const auto k = static_cast<unsigned>(std::countr_zero(left));
    lanes.address[n] = (base + static_cast<std::uint64_t>(std::int64_t{pitch} * k)) & mask;
    lanes.channel[n++] = static_cast<std::uint8_t>(k);
  }
  lanes.count = n;
}

template <typename Address>
bool read_lanes(const EuSendCall& call, std::int32_t offset, EuAddressLayout layout, const EuWindow& window,
                EuLaneAddresses& lanes) {
  const unsigned bytes =
      layout == EuAddressLayout::kStrided ? kEuGrfBytes : static_cast<unsigned>(call.inst.exec_size * sizeof(Address));
  const std::byte* src = eu_message_registers(call.thread, call.inst.src[0], bytes);
  if (src == nullptr) return false;
  if (layout == EuAddressLayout::kStrided) {
    read_strided<Address>(call, src, offset, window.address_mask, lanes);
  } else {
    read_each<Address>(call, src, offset, window.address_mask, lanes);
  }
  return true;
}

}  // namespace

bool eu_read_addresses(const EuSendCall& call, const EuAddressing& addressing, EuAddressLayout layout,
                       const EuWindow& window, EuLaneAddresses& lanes) {
  switch (addressing.address_bytes) {
    case 2: return read_lanes<std::uint16_t>(call, addressing.offset, layout, window, lanes);
    case 4: return read_lanes<std::uint32_t>(call, addressing.offset, layout, window, lanes);
    default: return read_lanes<std::uint64_t>(call, addressing.offset, layout, window, lanes);
  }
}

}  // namespace softxe
