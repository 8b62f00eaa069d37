// What a fast handler would do for an instruction, and as what lanes: the question before eu_fast_select.cc's.
//
// Integer sums, products and bit operations keep only low bits, so that lanes as wide as the widest operand are
// exact. Comparisons need lanes that hold every value of both sources.
#pragma once

#include <algorithm>
#include <optional>

#include "hw/eu/eu_fast.h"
#include "hw/eu/eu_number.h"
#include "hw/eu/eu_opcodes.h"

namespace softxe {

inline bool eu_is_int(EuType type) { return !eu_is_float(type); }
inline bool eu_modified(const EuOperand& operand) { return operand.neg || operand.abs; }

/// The sources of an instruction, all of them and at once.
struct EuSources {
  const EuInst& inst;
  unsigned count;

  explicit EuSources(const EuInst& of) : inst(of), count(eu_source_count(of)) {}
  template <typename Predicate>
  bool all(Predicate predicate) const {
    return std::all_of(inst.src.begin(), inst.src.begin() + count, predicate);
  }
  bool all_of(EuType type) const {
    return all([type](const EuOperand& s) { return s.type == type; });
  }
  bool all_int() const {
    return all([](const EuOperand& s) { return eu_is_int(s.type); });
  }
  bool plain() const {
    return all([](const EuOperand& s) { return !eu_modified(s); });
  }
  bool no_abs() const {
    return all([](const EuOperand& s) { return !s.abs; });
  }
  unsigned widest() const {
    unsigned bytes = 0;
    for (unsigned i = 0; i < count; ++i) bytes = std::max(bytes, eu_type_bytes(inst.src[i].type));
    return bytes;
  }
};

inline bool eu_in_acc(const EuOperand& operand) {
  return operand.file == EuFile::kArf && !operand.indirect && operand.arf() == EuArf::kAcc;
}

/// Nothing: no handler would be right, or none is worth it.
std::optional<EuFastKey> eu_fast_key(const EuSources& sources);

}  // namespace softxe
