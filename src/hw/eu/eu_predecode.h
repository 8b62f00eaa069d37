// From an instruction to its record: which handler, and what the loop must know.
#pragma once

#include "hw/eu/eu_fast.h"
#include "hw/eu/eu_record.h"

namespace softxe {

/// `inst` passed eu_check(). Fills in everything but `next` and `wake_point`.
void eu_predecode(const EuInst& inst, std::uint64_t ip, EuLevel level, EuRecord& record);

}  // namespace softxe
