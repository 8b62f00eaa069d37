// Fast handlers compiled for what every x86-64 host has.
#include <immintrin.h>

#include <bit>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <type_traits>

#include "hw/eu/eu_channels.h"
#include "hw/eu/eu_exec.h"
#include "hw/eu/eu_fast.h"
#include "hw/eu/eu_fused.h"
#include "hw/eu/eu_group.h"
#include "hw/eu/eu_math.h"
#include "hw/eu/eu_memory.h"
#include "hw/eu/eu_message.h"
#include "hw/eu/eu_number.h"
#include "hw/eu/eu_operand.h"

#define SX_EU_VECTOR_BYTES 16

namespace softxe {
namespace {

#include "hw/eu/eu_fast_vector.inc"
// Behind the vectors.
#include "hw/eu/eu_fast_math.inc"
// Behind the vectors as well.
#include "hw/eu/eu_fast_moves.inc"
// Behind the moves.
#include "hw/eu/eu_fast_wide.inc"
// As well.
#include "hw/eu/eu_fast_dpas.inc"
// As well.
#include "hw/eu/eu_fast_lanes.inc"
// Behind all of these.
#include "hw/eu/eu_fast_ops.inc"

}  // namespace

const EuFastLevel kEuFastPlain = {kVectorBytes,
                                  kRows,
                                  sizeof kRows / sizeof kRows[0],
                                  find_prepare,
                                  find_store,
                                  find_flags,
                                  handle_dpas<float>,
                                  handle_dpas<std::int32_t>,
                                  find_lanes,
                                  send_slm_atomic};

}  // namespace softxe
