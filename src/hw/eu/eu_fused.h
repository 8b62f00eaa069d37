// a * b + c, rounded once, and what else the C library would be asked for: the runtime needs no libm in its client.
//
// The host's instruction where it has one (FMA3, every x86-64 of the last ten years); else whole numbers, with the same
// bits. Both obey the host's rounding and denormal modes, as std::fma() would.
#pragma once

namespace softxe {

float eu_fused(float a, float b, float c);
double eu_fused(double a, double b, double c);

/// The way without the instruction, for tests.
float eu_fused_in_integers(float a, float b, float c);
double eu_fused_in_integers(double a, double b, double c);

}  // namespace softxe
