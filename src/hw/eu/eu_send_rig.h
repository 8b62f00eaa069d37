// What tests of messages share: a thread in a group over a fake memory, and descriptors by field.
#pragma once

#include <cstring>
#include <memory>

#include "hw/eu/eu_group.h"
#include "hw/eu/eu_message.h"
#include "hw/eu/eu_predecode.h"
#include "hw/eu/eu_program.h"
#include "hw/eu/eu_send.h"
#include "hw/eu/fake_eu_memory.h"

namespace softxe {

/// Fields of a data port descriptor, by their codes.
struct LscFields {
  unsigned op = 0;
  unsigned address_size = 3;  ///< a64
  unsigned data_size = 2;     ///< d32
  unsigned vector = 0;        ///< or 15:12 of a quad
  unsigned transposed = 0;
  unsigned address_type = 0;

  std::uint32_t word() const {
    return op | address_size << 7 | data_size << 9 | vector << 12 | transposed << 15 | address_type << 29;
  }
};

class EuSendRig {
 public:
  static constexpr std::uint64_t kGeneral = 0x8000'0000'0000;
  static constexpr std::uint64_t kSurfaces = 0x7000'0000;
  static constexpr std::uint64_t kBindless = 0x7100'0000;
  static constexpr std::uint64_t kTable = 0x7200'0000;
  static constexpr std::uint32_t kSlmBytes = 4096;

  explicit EuSendRig(std::uint32_t slm_bytes = kSlmBytes) : group({.threads = 1, .slm_bytes = slm_bytes}) {
    group.restart({.general_state = GpuVa(kGeneral),
                   .surface_state = GpuVa(kSurfaces),
                   .bindless_surface_state = GpuVa(kBindless),
                   .binding_table = GpuVa(kTable),
                   .va_bits = 48});
    thread() = EuThread{};  // a group leaves registers as they are
    thread().mask = ~0u;
    thread().simd = 32;
  }

  EuThread& thread() { return group.threads()[0]; }
  /// The same thread and group over another memory.
  EuEnv env_over(EuMemory& other) { return {env.program, group, other}; }
  EuSendResult send(const EuInst& inst) { return send(inst, env); }
  /// As a thread does it: decoded, then carried out, by a quick way if there is one.
  EuSendResult send(const EuInst& inst, EuEnv& over) {
    const auto record = std::make_unique<EuRecord>();
    eu_predecode(inst, 0, level, *record);
    quick += record->quick.send != nullptr;
    return eu_send(thread(), *record, over);
  }

  template <typename T>
  void put(unsigned reg, unsigned index, T value) {
    std::memcpy(thread().grf.data() + reg * kEuGrfBytes + index * sizeof value, &value, sizeof value);
  }
  template <typename T>
  T get(unsigned reg, unsigned index) {
    T value;
    std::memcpy(&value, thread().grf.data() + reg * kEuGrfBytes + index * sizeof value, sizeof value);
    return value;
  }

  static EuOperand grf(unsigned reg) {
    return {.file = EuFile::kGrf, .type = EuType::kUD, .reg = static_cast<std::uint8_t>(reg)};
  }
  static EuOperand null() { return {.file = EuFile::kArf, .type = EuType::kUD}; }

  /// Registers by number; kNull for none.
  static constexpr int kNull = -1;
  struct Send {
    EuSfid sfid = EuSfid::kUgm;
    std::uint32_t desc = 0;
    std::uint32_t ext_desc = 0;
    unsigned channels = 16;
    int dst = kNull;
    int src0 = 1;
    int src1 = kNull;
  };
  static EuInst inst(const Send& s) {
    EuInst i;
    i.op = EuOp::kSend;
    i.exec_size = static_cast<std::uint8_t>(s.channels);
    i.dst = s.dst == kNull ? null() : grf(static_cast<unsigned>(s.dst));
    i.src[0] = s.src0 == kNull ? null() : grf(static_cast<unsigned>(s.src0));
    i.src[1] = s.src1 == kNull ? null() : grf(static_cast<unsigned>(s.src1));
    i.send.sfid = s.sfid;
    i.send.desc = s.desc;
    i.send.ext_desc = s.ext_desc;
    return i;
  }

  EuGroup group;
  FakeEuMemory memory;
  EuLevel level = eu_host_level();
  std::uint64_t quick = 0;  ///< messages that had a quick way

  EuProgram program;  ///< messages never look at it
  EuEnv env{program, group, memory};
};

}  // namespace softxe
