// EuRecord: an instruction as it is carried out: decoded, checked, its handler chosen.
#pragma once

#include <cstdint>

#include "hw/eu/eu_inst.h"
#include "hw/eu/eu_thread.h"

namespace softxe {

struct EuRecord;
using EuHandler = void (*)(EuThread& thread, const EuRecord& record);

enum class EuRecordKind : std::uint8_t { kAlu, kFlow, kSend, kSync, kNop };

struct EuRecord {
  EuHandler run = nullptr;  ///< of kAlu
  /// The instruction behind this one, when it has been reached and lies in the same page.
  const EuRecord* next = nullptr;
  std::uint64_t ip = 0;
  EuRecordKind kind = EuRecordKind::kNop;
  bool wake_point = false;
  bool on_df = false;    ///< rounds df: MXCSR must be that of df
  bool sets_cr = false;  ///< writes the control register
  std::uint8_t bytes = 16;
  EuInst inst{};
};

}  // namespace softxe
