// dpas: the product of two small matrices, added to a third (spec/eu-isa.md 5.2).
#pragma once

#include "hw/eu/eu_inst.h"
#include "hw/eu/eu_thread.h"

namespace softxe {

/// Bits of one element of a source.
unsigned eu_dpas_bits(EuType type);

/// Elements of one row of src2 for every step of the systolic depth.
unsigned eu_dpas_ops(const EuInst& inst);

/// `inst` passed eu_check(). Float sums are kept in f, one rounding for each product.
void eu_dpas(EuThread& thread, const EuInst& inst);

}  // namespace softxe
