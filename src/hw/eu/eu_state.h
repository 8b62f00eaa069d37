// EuState: what the state commands of a context have said, until they say otherwise (spec/compute-dispatch.md 4).
//
// Part of the hardware context: state is sent once and lives across batches and jobs. Read next: eu_walker.h.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>

#include "base/address.h"

namespace softxe {

/// Plain data, one per hardware context. Addresses have no canonical bits. The setters take whole commands, header
/// included.
struct EuState {
  GpuVa general_state{};
  GpuVa surface_state{};
  GpuVa dynamic_state{};
  GpuVa instruction{};
  GpuVa bindless_surface_state{};
  GpuVa bindless_sampler{};
  GpuVa binding_table_pool{};
  std::optional<std::uint64_t> system_routine{};   ///< STATE_SIP: bytes from the instruction base
  std::uint32_t scratch = 0;                       ///< CFE_STATE dword 1, bits 31:10 in place
  std::uint32_t compute_mode = 0;                  ///< STATE_COMPUTE_MODE dword 1, bits 15:0
  std::array<std::uint32_t, 3> indirect_groups{};  ///< registers 0x500, 0x504, 0x508: groups of an indirect walker

  bool large_grf() const { return (compute_mode >> 15 & 1) != 0; }

  /// STATE_BASE_ADDRESS: only bases whose modify bit is set. `va_mask` keeps the bits that are translated.
  void set_base_addresses(std::span<const std::uint32_t, 22> command, std::uint64_t va_mask);
  /// 3DSTATE_BINDING_TABLE_POOL_ALLOC.
  void set_binding_table_pool(std::span<const std::uint32_t, 4> command, std::uint64_t va_mask);
  /// STATE_COMPUTE_MODE: bits 31:16 of a dword say which of 15:0 change.
  void set_compute_mode(std::span<const std::uint32_t, 3> command);
  /// STATE_SIP.
  void set_system_routine(std::span<const std::uint32_t, 3> command);
  /// CFE_STATE.
  void set_front_end(std::span<const std::uint32_t, 6> command);
};

}  // namespace softxe
